"""The active set: a solver for few positions becomes one for all, with a certificate."""

import logging
from dataclasses import dataclass, field

import numpy as np

from .objective import compute_dual, compute_primal
from .solvers import SOLVERS, BlockProblem

logger = logging.getLogger(__name__)

# The active set is solved to this share of the gap that was left over all positions, ...
_INNER_SHARE = 0.1
# ... and to this share of the tolerance in the end, which leaves room for the inactive positions.
_FINAL_SHARE = 0.3
# Outer iterations in which the gap hardly shrinks, before rounding is blamed.
_MAX_STALLED = 10


@dataclass
class Solution:
    """Coefficients of the active positions, and how good they are.

    Attributes
    ----------
    positions : ndarray of int, shape (n_active,)
        Active positions, ascending.
    coef : ndarray of shape (n_active * n_orient, n_targets)
        Their coefficients.
    dual_gap : float
        Duality gap over all positions, relative to ``||y||_F^2``.
    objective : list of float
        Objective after each outer iteration.
    n_iter : int
        Inner iterations in all.
    converged : bool
        Whether the gap has reached the tolerance.
    correlation : ndarray of shape (n_positions,) or None
        Upper bounds of ``||X_g^T (y - X W)||_F``, as of `BlockDesign.correlate`.
    """

    positions: np.ndarray
    coef: np.ndarray
    dual_gap: float = 0.0
    objective: list = field(default_factory=list)
    n_iter: int = 0
    converged: bool = True
    correlation: np.ndarray | None = None

    @classmethod
    def empty(cls, y, correlation=None):
        """Return the model without active positions, whose residual is ``y``."""
        return cls(np.array([], dtype=int), np.empty((0, y.shape[1])), correlation=correlation)


def solve_mixed_norm(
    design,
    y,
    penalty,
    start,
    *,
    solver="auto",
    tol=1e-4,
    maxit=3000,
    active_set_size=10,
    dgap_freq=10,
):
    """Minimise ``1/2 ||y - X W||_F^2 + penalty * sum_g ||W_g||_F`` over all positions.

    Any solver finds the solution on an active set of positions. One product with all of ``X``
    then gives the duality gap of the full problem, and the positions that violate optimality,
    ``||X_g^T (y - X W)||_F > penalty``. The worst of them join the active set, at most as many
    as it has, those that became zero leave it, until the gap is small enough.

    Parameters
    ----------
    design : BlockDesign
        Columns of ``X``.
    y : ndarray of shape (n_samples, n_targets)
        Data, not all zero.
    penalty : float
        Regularization strength, positive.
    start : Solution
        Where to start: its positions and coefficients, and where it has a correlation, the
        positions that violate optimality by it.
    solver : str, default="auto"
        Key of `SOLVERS`.
    tol : float, default=1e-4
        Duality gap to stop at, relative to ``||y||_F^2``.
    maxit : int, default=3000
        Most inner iterations.
    active_set_size : int or None, default=10
        Positions added at first. None: all at once, no active set.
    dgap_freq : int or inf, default=10
        Inner iterations between two evaluations of the duality gap.

    Returns
    -------
    solution : Solution
        The solution, with the best gap that was certified.
    """
    power = np.vdot(y, y)
    active, coef, correlation = start.positions, start.coef, start.correlation
    problem = BlockProblem(design.columns(active), y, penalty, design.n_orient)
    objective, n_iter, gap, best_dual, n_stalled = [], 0, np.inf, -np.inf, 0
    while gap > tol * power and n_iter < maxit and n_stalled < _MAX_STALLED:
        joining = _choose_joining(design, active, correlation, penalty, active_set_size)
        if len(joining):
            problem = problem.extend(design.columns(joining))
            active = np.append(active, joining)
            coef = np.append(coef, np.zeros((len(joining) * design.n_orient, y.shape[1])), axis=0)

        n_inner = 1
        if len(active):
            inner_tol = max(_INNER_SHARE * min(gap, power), _FINAL_SHARE * tol * power)
            coef, n_inner = SOLVERS[solver](
                problem, coef, tol=inner_tol, maxit=maxit - n_iter, dgap_freq=dgap_freq
            )
        n_iter += max(n_inner, 1)
        kept = problem.block_norms(coef) > 0.0
        problem, active = problem.restrict(kept), active[kept]
        coef = coef[np.repeat(kept, design.n_orient)]

        residual = y - problem.X @ coef
        known = active, problem.block_norms(problem.X.T @ residual)
        correlation = design.correlate(residual, penalty, known)
        objective.append(compute_primal(residual, problem.block_norms(coef), penalty))
        best_dual = max(best_dual, compute_dual(y, residual, correlation.max(), penalty))
        previous_gap, gap = gap, max(objective[-1] - best_dual, 0.0)
        n_stalled = n_stalled + 1 if gap > 0.9 * previous_gap else 0
        logger.info(
            "outer iteration %d: objective %g, relative duality gap %.1e, active positions %d",
            *(len(objective), objective[-1], gap / power, len(active)),
        )
    order = np.argsort(active)
    coef = coef.reshape(len(active), design.n_orient, y.shape[1])[order].reshape(coef.shape)
    converged = bool(gap <= tol * power)
    return Solution(active[order], coef, gap / power, objective, n_iter, converged, correlation)


def _choose_joining(design, active, correlation, penalty, active_set_size):
    """Choose the positions that join the active set: the worst violators of optimality."""
    if active_set_size is None:
        joining = np.ones(design.n_positions) if design.scale is None else design.scale
        joining = joining > 0.0
    elif correlation is None:
        return active[:0]
    else:
        joining = correlation > penalty
    joining[active] = False
    joining = np.flatnonzero(joining)
    if active_set_size is not None:
        n_most = max(active_set_size, len(active))
        joining = joining[np.argsort(-correlation[joining], kind="stable")[:n_most]]
    return joining
