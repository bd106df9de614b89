"""Coordinate descent: scikit-learn's MultiTaskLasso."""

import warnings

import numpy as np

from .._logging import catch_warnings


def solve_cd(problem, coef, *, tol, maxit, dgap_freq=None):
    """Solve a problem with blocks of one row by scikit-learn's `MultiTaskLasso`."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import MultiTaskLasso

    # scikit-learn divides the data term by n_samples, and takes a gap relative to ||y||^2.
    model = MultiTaskLasso(
        alpha=problem.penalty / len(problem.y),
        fit_intercept=False,
        max_iter=maxit,
        tol=tol / np.vdot(problem.y, problem.y),
        warm_start=True,
    )
    model.coef_ = np.array(coef.T, order="F")  # a copy: scikit-learn writes to it
    with catch_warnings():
        # Whoever called looks at the gap. What other threads have to tell is not silenced.
        warnings.filterwarnings("ignore", "Objective did not converge", ConvergenceWarning)
        model.fit(problem.X, problem.y)
    return model.coef_.T.copy(), model.n_iter_
