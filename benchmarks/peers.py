"""The problems, the contenders, and the certificate by which all are compared."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

OURS = "skmxne"


@dataclass(frozen=True)
class Problem:
    """A regression. ``X`` is in Fortran order, so that no contender has to copy it."""

    name: str
    X: np.ndarray
    y: np.ndarray
    n_orient: int

    @cached_property
    def power(self):
        """``||y||_F^2``; gaps are relative to it."""
        return float(np.vdot(self.y, self.y))

    @cached_property
    def alpha_max(self):
        """Smallest penalty at which no position is active."""
        return float(self.block_norms(self.X.T @ self.y).max())

    @cached_property
    def scaled_X(self):
        """``X`` scaled so that `alpha_max` is 100, as MNE's solver expects."""
        return self.X * (100.0 / self.alpha_max)

    def block_norms(self, rows):
        """Compute the Frobenius norm of each block of ``n_orient`` rows."""
        squares = np.einsum("ij,ij->i", rows, rows)
        return np.sqrt(squares.reshape(-1, self.n_orient).sum(axis=1))


class Fit(NamedTuple):
    """The active features, and their coefficients (n_active_features, n_targets)."""

    features: np.ndarray
    coef: np.ndarray


def certify(problem, alpha, fit):
    """Compute the duality gap over all positions, relative to ``||y||_F^2``.

    The gap depends only on the coefficients in ``fit``: the dual point is their residual, with the
    best scale. So no solver has an advantage from dual points that it has computed before.
    """
    penalty = alpha / 100.0 * problem.alpha_max
    residual = problem.y - problem.X[:, fit.features] @ fit.coef
    coef = np.zeros((problem.X.shape[1], problem.y.shape[1]))
    coef[fit.features] = fit.coef
    power, overlap = np.vdot(residual, residual), np.vdot(residual, problem.y)
    primal = 0.5 * power + penalty * problem.block_norms(coef).sum()
    largest = penalty / problem.block_norms(problem.X.T @ residual).max()
    scale = np.clip(overlap / power, -largest, largest)
    dual = scale * overlap - 0.5 * scale**2 * power
    return float((primal - dual) / problem.power)


def count_positions(problem, fit):
    """Count the active positions."""
    return len(np.unique(fit.features // problem.n_orient))


def reduce_targets(y):
    """Rotate ``y`` as MNE's ``time_pca=True`` does."""
    left, singular_values, basis = np.linalg.svd(y, full_matrices=False)
    return left * singular_values, basis


def solve_skmxne(problem, alpha, tol):
    """Fit `skmxne.MixedNormEstimator`. Checks of the data, SVD and alpha_max are timed."""
    from skmxne import MixedNormEstimator

    model = MixedNormEstimator(alpha, n_orient=problem.n_orient, tol=tol, debias=False)
    model.fit(problem.X, squeeze(problem.y))
    features = np.flatnonzero(model.active_set_)
    return Fit(features, np.atleast_2d(model.coef_)[:, features].T)


def solve_mne(problem, alpha, tol):
    """Call MNE's solver with the arguments that `mne.inverse_sparse.mixed_norm` passes to it.

    The SVD, alpha_max and the solver are timed; scaling the gain is not.
    """
    from mne.inverse_sparse.mxne_optim import mixed_norm_solver, norm_l2inf

    y, basis = reduce_targets(problem.y)
    n_orient = problem.n_orient
    norm_l2inf(problem.X.T @ y, n_orient, copy=False)
    coef, active, _ = mixed_norm_solver(
        y,
        problem.scaled_X,
        alpha,
        tol=tol * np.vdot(y, y),
        active_set_size=10,
        debias=False,
        n_orient=n_orient,
        solver="auto",
        verbose="ERROR",
    )
    return Fit(np.flatnonzero(active), coef @ basis * (100.0 / problem.alpha_max))


def solve_sklearn(problem, alpha, tol):
    """Fit scikit-learn's `Lasso`, or `MultiTaskLasso` to the rotated ``y``; alpha_max is timed."""
    from sklearn.linear_model import Lasso, MultiTaskLasso

    y, basis, penalty = prepare(problem, alpha)
    estimator = Lasso if y.shape[1] == 1 else MultiTaskLasso
    options = dict(fit_intercept=False, copy_X=False, max_iter=100_000, tol=tol)
    coef = estimator(penalty / len(y), **options).fit(problem.X, squeeze(y)).coef_
    return keep_active(np.atleast_2d(coef).T, basis)


def solve_skglm(problem, alpha, tol):
    """Fit skglm's `Lasso` or `GroupLasso`, or call its `MultiTaskBCD` on the rotated ``y``.

    It stops by the largest violation of the optimality conditions, here relative to the penalty.
    """
    import skglm
    from skglm.datafits import QuadraticMultiTask
    from skglm.penalties import L2_1
    from skglm.solvers import MultiTaskBCD

    y, basis, penalty = prepare(problem, alpha)
    penalty /= len(y)
    tol *= penalty
    if y.shape[1] == 1:
        options = dict(alpha=penalty, tol=tol, max_iter=1000, fit_intercept=False)
        if problem.n_orient == 1:
            model = skglm.Lasso(**options)
        else:
            model = skglm.GroupLasso(groups=problem.n_orient, **options)
        return keep_active(model.fit(problem.X, squeeze(y)).coef_[:, None], basis)
    y = np.asfortranarray(y)
    solver = MultiTaskBCD(max_iter=1000, tol=tol, fit_intercept=False)
    # The fit in Fortran order is twice as fast as in the order that the solver takes by default.
    start = np.zeros_like(y)
    coef, _, _ = solver.solve(problem.X, y, QuadraticMultiTask(), L2_1(penalty), None, start)
    return keep_active(coef, basis)


def solve_celer(problem, alpha, tol):
    """Fit celer's `Lasso` or `GroupLasso`, or call its `mtl_path` on the rotated ``y``.

    Its `MultiTaskLasso` does not run with scikit-learn 1.6 and later, but `mtl_path` does.
    """
    import celer
    from celer.homotopy import mtl_path

    y, basis, penalty = prepare(problem, alpha)
    penalty /= len(y)
    if y.shape[1] > 1:
        coef = mtl_path(problem.X, np.asfortranarray(y), alphas=[penalty], tol=tol)[1]
        return keep_active(coef[..., 0].T, basis)
    options = dict(alpha=penalty, tol=tol, fit_intercept=False)
    if problem.n_orient == 1:
        model = celer.Lasso(**options)
    else:
        model = celer.GroupLasso(groups=problem.n_orient, **options)
    return keep_active(model.fit(problem.X, squeeze(y)).coef_[:, None], basis)


def solve_adelie(problem, alpha, tol, n_penalties=10):
    """Call adelie's `grpnet` on the rotated ``y``, along a path that ends at the penalty.

    It stops by the change of the coefficients.
    """
    import adelie

    y, basis, penalty = prepare(problem, alpha)
    y = np.ascontiguousarray(y)
    starts = np.arange(0, problem.X.shape[1], problem.n_orient)
    glm = adelie.glm.gaussian(y[:, 0]) if y.shape[1] == 1 else adelie.glm.multigaussian(y)
    state = adelie.grpnet(
        problem.X,
        glm,
        groups=starts,
        penalty=np.ones(len(starts)),
        lmda_path=np.geomspace(100.0 / alpha, 1.0, n_penalties + 1)[1:] * penalty / y.size,
        intercept=False,
        adev_tol=1,
        early_exit=False,
        progress_bar=False,
        tol=tol,
    )
    coef = state.betas[-1].toarray().reshape(-1, y.shape[1])
    return keep_active(coef, basis)


def solve_adelie_from_zero(problem, alpha, tol):
    """Call adelie's `grpnet` without a path, which is faster on a few problems."""
    return solve_adelie(problem, alpha, tol, n_penalties=1)


def prepare(problem, alpha):
    """Rotate ``y``, and compute the penalty."""
    y, basis = reduce_targets(problem.y)
    return y, basis, alpha / 100.0 * problem.block_norms(problem.X.T @ y).max()


def squeeze(y):
    """Return ``y`` as a vector if it has one target, as scikit-learn expects."""
    return y[:, 0] if y.shape[1] == 1 else y


def keep_active(coef, basis):
    """Make a `Fit` from coefficients (n_features, n_components) of the rotated ``y``."""
    features = np.flatnonzero(coef.any(axis=1))
    return Fit(features, coef[features] @ basis)


@dataclass(frozen=True)
class Contender:
    """A solver, and how to call it.

    The search for a tolerance starts at `loosest`; None means at the gap itself. `blocks` says
    which problems with several features per block it can solve. With more coefficients than
    `most_coefficients` it takes minutes and more than 14 GB.
    """

    name: str
    label: str
    solve: Callable
    loosest: float | None
    blocks: Literal["none", "one target", "any"]
    most_coefficients: float = np.inf

    def can_solve(self, problem):
        """Return whether the contender can solve this problem."""
        if problem.X.shape[1] * min(problem.y.shape) > self.most_coefficients:
            return False
        if problem.n_orient == 1 or self.blocks == "any":
            return True
        return self.blocks == "one target" and problem.y.shape[1] == 1


_CONTENDERS = (
    Contender(OURS, "skmxne", solve_skmxne, None, "any"),
    Contender("mne", "MNE", solve_mne, None, "any"),
    Contender("sklearn", "scikit-learn", solve_sklearn, None, "none"),
    Contender("skglm", "skglm", solve_skglm, 1.0, "one target"),
    Contender("celer", "celer", solve_celer, None, "one target"),
    Contender("adelie", "adelie", solve_adelie, 1e-8, "any", 2e6),
    Contender("adelie-zero", "adelie, from zero", solve_adelie_from_zero, 1e-8, "any", 2e6),
)
CONTENDERS = {contender.name: contender for contender in _CONTENDERS}


def warm_up(names):
    """Run contenders on small problems, to import and compile them and to start threads."""
    for n_orient, n_targets in ((1, 1), (1, 3), (3, 1), (3, 3)):
        problem = Problem("small", *simulate(40, 60, n_orient, n_targets, n_active=3), n_orient)
        for name in names:
            if CONTENDERS[name].can_solve(problem):
                CONTENDERS[name].solve(problem, 60.0, 1e-2)


def make_recorded(recording):
    """Make the problems of a recording, with fixed and with loose orientation."""
    from skmxne import InverseProblem

    problems = []
    for label, loose in (("fixed", 0.0), ("loose", 0.2)):
        inverse = InverseProblem.from_evoked(*recording, loose=loose, depth=0.9)
        X = np.asfortranarray(inverse.X)
        problems.append(Problem(f"recorded, {label}", X, inverse.y, inverse.n_orient))
    return problems


def make_simulated(n_positions):
    """Simulate problems of the same size as the recorded ones."""
    return [
        Problem(f"simulated, {label}", *simulate(302, n_positions, n_orient, 61), n_orient)
        for label, n_orient in (("fixed", 1), ("loose", 3))
    ]


def simulate(n_samples, n_positions, n_orient, n_targets, n_active=20):
    """Draw a regression with correlated columns; ``X`` is in Fortran order."""
    from skmxne.datasets import make_block_sparse_regression

    X, y = make_block_sparse_regression(
        n_samples,
        n_positions,
        n_orient=n_orient,
        n_targets=n_targets,
        n_active=n_active,
        correlation=0.9,
        noise=2.0,
        random_state=0,
    )
    return np.asfortranarray(X), y.reshape(n_samples, n_targets)
