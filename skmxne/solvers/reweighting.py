"""Iterative reweighting: from the convex mixed norm to the L0.5/L2 penalty (irMxNE)."""

import logging
from dataclasses import replace

import numpy as np

from .active_set import find_status, solve_mixed_norm
from .block_problem import BlockProblem
from .dispatch import solve_block_problem
from .objective import compute_block_norms, compute_primal

logger = logging.getLogger(__name__)


def solve_reweighted(
    design,
    y,
    penalty,
    start,
    *,
    n_mxne_iter=1,
    reweighting_scale=1.0,
    active_set_size=10,
    tol=1e-4,
    maxit=3000,
    **options,
):
    """Minimise ``1/2 ||y - X W||_F^2 + penalty * sum_g sqrt(u ||W_g||_F)``, locally.

    The square root is replaced by its tangent at the last iterate: a convex problem with the
    columns of block ``g`` multiplied by ``2 sqrt(||W_g||_F / u)``. In the first problem all weights
    are one, so ``n_mxne_iter=1`` is the convex mixed norm [1]_.

    References
    ----------
    .. [1] Strohmeier, Bekhti, Haueisen & Gramfort (2016). The iterative reweighted mixed-norm
       estimate for spatio-temporal MEG/EEG source reconstruction. IEEE Transactions on Medical
       Imaging 35(10), 2218-2228.
    """
    options |= dict(tol=tol, maxit=maxit)
    first = solve_mixed_norm(design, y, penalty, start, active_set_size=active_set_size, **options)
    if n_mxne_iter == 1:
        return first, first
    solution = reweight(*(design, y, penalty, first, n_mxne_iter - 1, reweighting_scale), **options)
    return solution, first


def reweight(design, y, penalty, start, n_times, scale, *, tol, **options):
    """Reweight a solution over its own positions until nothing changes, at most `n_times`."""
    solution, columns = start, design.columns(start.positions)
    objective = [_compute_objective(columns, y, penalty, solution, design, scale)]
    for _ in range(n_times):
        if len(solution.positions) == 0:
            break
        previous = solution
        solution, kept = _reweight(
            columns, y, penalty, previous, design.n_orient, scale, tol=tol, **options
        )
        change = previous.coef.copy()
        change[kept] -= solution.coef
        columns = columns[:, kept]
        objective.append(_compute_objective(columns, y, penalty, solution, design, scale))
        logger.info(
            "reweighting %d: objective %g, active blocks %d",
            *(len(objective) - 1, objective[-1], len(solution.positions)),
        )
        if np.linalg.norm(change) <= tol * np.linalg.norm(previous.coef):
            break
    return replace(solution, objective=objective, correlation=None)


def _reweight(columns, y, penalty, solution, n_orient, scale, *, tol, maxit, **options):
    """Solve the convex problem with the weights of a solution, over its own positions.

    Returns the next solution and which rows of the last one it kept.
    """
    norms = compute_block_norms(solution.coef, n_orient)
    weights = np.repeat(2.0 * np.sqrt(norms / scale), n_orient)
    problem = BlockProblem(columns * weights, y, penalty, n_orient)
    coef, n_iter = solve_block_problem(
        problem, solution.coef / weights[:, None], tol=tol, maxit=maxit, **options
    )
    gap = max(problem.dual_gap(coef), 0.0)
    status = find_status(gap, tol, n_iter, maxit)
    active = problem.block_norms(coef) > 0.0
    kept = np.repeat(active, n_orient)
    return replace(
        solution,
        positions=solution.positions[active],
        coef=(coef * weights[:, None])[kept],
        dual_gap=gap,
        n_iter=solution.n_iter + max(n_iter, 1),
        previous=solution,
        status=status if solution.converged else solution.status,
    ), kept


def _compute_objective(columns, y, penalty, solution, design, scale):
    """Compute the reweighted objective, with the square root."""
    norms = compute_block_norms(solution.coef, design.n_orient)
    return compute_primal(y - columns @ solution.coef, np.sqrt(scale * norms), penalty)
