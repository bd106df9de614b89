"""Coordinate descent: scikit-learn's MultiTaskLasso."""

import os
import warnings
from threading import RLock

import numpy as np

# Held while scikit-learn's warning is silenced: filters belong to the whole process, and one of two
# threads would restore the filters that the other has set.
_lock = RLock()


def _renew_lock():
    """Make a new lock in a child process, where nobody would release the old one."""
    global _lock
    _lock = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def solve_cd(problem, coef, *, tol, maxit, dgap_freq=None):
    """Solve a problem with blocks of one row by scikit-learn's `MultiTaskLasso`."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import MultiTaskLasso

    # scikit-learn divides the data term by n_samples.
    model = MultiTaskLasso(
        alpha=problem.penalty / len(problem.y),
        fit_intercept=False,
        max_iter=maxit,
        tol=tol,
        warm_start=True,
    )
    model.coef_ = np.array(coef.T, order="F")  # a copy: scikit-learn writes to it
    with _lock, warnings.catch_warnings():
        # The caller checks the duality gap.
        warnings.filterwarnings("ignore", "Objective did not converge", ConvergenceWarning)
        model.fit(problem.X, problem.y)
    return model.coef_.T.copy(), model.n_iter_
