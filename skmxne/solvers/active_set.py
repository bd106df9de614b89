"""The active set: solve the problem on few positions, and certify the solution on all."""

import logging
from dataclasses import dataclass, field

import numpy as np

from .block_problem import BlockProblem
from .design import Correlation
from .dispatch import solve_block_problem
from .objective import compute_dual, compute_dual_step, compute_primal

logger = logging.getLogger(__name__)

# The active set is solved to this share of the last gap over all positions, ...
_INNER_SHARE = 0.3
# ... but not below this share of the tolerance: the rest is for the inactive positions.
_FINAL_SHARE = 0.3
# With solver="auto", at least so many entries of X may join at a time: fewer save no time.
_CHEAP = 2**15
# Relative error of the gap and the dual point.
_ROUNDING = 1e-13
# Maximum number of outer iterations with hardly any decrease of the gap, due to rounding.
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
        Total number of inner iterations.
    status : {"converged", "maxit", "stalled"}
        Why the solver stopped: the gap reached the tolerance, the number of iterations reached the
        maximum, or the gap no longer got smaller.
    correlation : Correlation or None
        The correlation of all positions with the residual.
    previous : Solution or None
        For a reweighted problem, the solution that the weights were computed from.
    """

    positions: np.ndarray
    coef: np.ndarray
    dual_gap: float = 0.0
    objective: list = field(default_factory=list)
    n_iter: int = 0
    status: str = "converged"
    correlation: Correlation | None = None
    previous: "Solution | None" = None

    @property
    def converged(self):
        """Whether the gap has reached the tolerance."""
        return self.status == "converged"

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

    `solver` finds the solution on an active set of positions. The correlation of all positions with
    the residual then gives the duality gap of the full problem, and the positions that violate
    optimality, ``||X_g^T (y - X W)||_F > penalty``. The worst of these join the active set, and
    positions that became zero leave it, until the gap is small enough. Two kinds of positions need
    no product: those that the gap proves to be zero in every solution (Gap Safe screening [1]_),
    and those whose bound is still below the penalty (`Correlation`).

    References
    ----------
    .. [1] Ndiaye, Fercoq, Gramfort & Salmon (2017). Gap Safe screening rules for sparsity
       enforcing penalties. Journal of Machine Learning Research 18(128), 1-33.
    """
    if solver == "auto" and active_set_size is not None:
        active_set_size = max(active_set_size, _CHEAP // (len(y) * design.n_orient))
    active_set = _ActiveSet(design, y, penalty, start)
    certificate = _DualBound(design, y, penalty)
    at_start = certificate.update(active_set, start.correlation or active_set.correlate())
    if at_start > 0.5 * np.vdot(y, y):  # zero is a better start
        active_set = _ActiveSet(design, y, penalty, Solution.empty(y))
        certificate.update(active_set, active_set.correlate())
    objective, n_iter, n_stalled, best_gap = [], 0, 0, certificate.gap
    while not objective or (certificate.gap > tol and n_iter < maxit and n_stalled < _MAX_STALLED):
        # If a position violates optimality, zero is no solution, even within the tolerance.
        least = _FINAL_SHARE * tol if len(active_set.positions) else _ROUNDING
        active_set.grow(certificate, active_set_size, len(objective))
        n_iter += active_set.solve(
            solver,
            tol=max(_INNER_SHARE * certificate.gap, least),
            maxit=maxit - n_iter,
            dgap_freq=dgap_freq,
        )
        correlation = active_set.correlate(certificate.correlation, certificate.candidates)
        objective.append(certificate.update(active_set, correlation))
        n_stalled = n_stalled + 1 if certificate.gap > 0.9 * best_gap else 0
        best_gap = min(best_gap, certificate.gap)
        logger.info(
            "outer iteration %d: objective %g, relative duality gap %.1e, active blocks %d",
            *(len(objective), objective[-1], certificate.gap, len(active_set.positions)),
        )
    order = np.argsort(active_set.positions)
    blocks = active_set.coef.reshape(len(order), design.n_orient, y.shape[1])
    return Solution(
        positions=active_set.positions[order],
        coef=blocks[order].reshape(active_set.coef.shape),
        dual_gap=certificate.gap,
        objective=objective,
        n_iter=n_iter,
        status=find_status(certificate.gap, tol, n_iter, maxit),
        correlation=certificate.correlation,
    )


def find_status(gap, tol, n_iter, maxit):
    """Return why a solver stopped."""
    if gap <= tol:
        return "converged"
    return "maxit" if n_iter >= maxit else "stalled"


class _ActiveSet:
    """The positions of the active set, with their columns and coefficients."""

    def __init__(self, design, y, penalty, start):
        self.design = design
        self.positions, self.coef = start.positions, start.coef
        columns = design.columns(start.positions)
        self.problem = BlockProblem(columns, y, penalty, design.n_orient)

    def grow(self, certificate, size, n_before):
        """Add the positions that violate optimality most, or all positions if size is None.

        At first the correlation is that of another solution, so at most `size` are added. This
        limit then doubles every time, and is at least the size of the active set.
        """
        norms = certificate.correlation.norms
        if size is None:
            joins = self.design.norms > 0.0
        else:
            joins = certificate.candidates & (norms > self.problem.penalty)
        joins[self.positions] = False
        joining = np.flatnonzero(joins)
        if size is not None:
            worst = np.argsort(-norms[joining], kind="stable")
            # The active set may triple while it has fewer columns than samples, then double: with
            # many more columns than samples, it is slow to solve.
            growth = 2 if len(self.coef) < len(self.problem.y) else 1
            n_most = size if n_before == 0 else growth * len(self.positions)
            joining = joining[worst[: max(n_most, size * 2**n_before)]]
        if len(joining):
            self.problem = self.problem.extend(self.design.columns(joining))
            self.positions = np.append(self.positions, joining)
            zeros = np.zeros((self.problem.X.shape[1] - len(self.coef), self.coef.shape[1]))
            self.coef = np.append(self.coef, zeros, axis=0)

    def solve(self, solver, *, tol, **options):
        """Solve on the active set, drop positions that became zero, and return the iterations."""
        if len(self.positions) == 0:
            return 1
        coef, n_iter = solve_block_problem(
            self.problem, self.coef, solver=solver, tol=tol, **options
        )
        kept = self.problem.block_norms(coef) > 0.0
        self.problem, self.positions = self.problem.restrict(kept), self.positions[kept]
        self.coef = coef[np.repeat(kept, self.design.n_orient)]
        return max(n_iter, 1)

    def correlate(self, correlation=None, candidates=None):
        """Correlate all positions with the residual; an earlier correlation saves products."""
        problem = self.problem
        residual = problem.y - problem.X @ self.coef
        known = self.positions, problem.block_norms(problem.correlate(residual))
        if correlation is None:
            return Correlation.measure(self.design, residual, problem.penalty, known)
        return correlation.follow(self.design, residual, problem.penalty, known, candidates)


class _DualBound:
    """The duality gap over all positions, relative to the power of the data.

    It is that of the current coefficients and a dual point along their residual, so anybody can
    compute it again from the coefficients. A better dual point of an earlier iteration is not used.
    """

    def __init__(self, design, y, penalty):
        self.design, self.y, self.penalty = design, y, penalty
        self.gap = np.inf
        self.candidates = np.ones(design.n_positions, dtype=bool)
        self.correlation = None

    def update(self, active_set, correlation):
        """Update the gap for the coefficients of the active set, and return their objective."""
        self.correlation = correlation
        residual, bounds = correlation.residual, correlation.bounds(self.design)
        dual_norm = bounds[self.candidates].max(initial=0.0)
        block_norms = active_set.problem.block_norms(active_set.coef)
        primal = compute_primal(residual, block_norms, self.penalty)
        dual = compute_dual(self.y, residual, dual_norm, self.penalty)
        self.gap = max(primal - dual, 0.0) / np.vdot(self.y, self.y)
        self._screen(residual, bounds, dual_norm, primal - dual)
        return primal

    def _screen(self, residual, bounds, dual_norm, gap):
        """Drop the positions that are zero in every solution.

        The dual solution lies in a ball of radius ``sqrt(2 gap)`` around the dual point. If
        ``||X_g^T theta||`` is below the penalty in the whole ball, the position is zero.
        """
        step = compute_dual_step(self.y, residual, dual_norm, self.penalty)
        # Add the rounding error: a gap that rounds to zero must not drop active positions.
        gap = max(gap, 0.0) + _ROUNDING * np.vdot(self.y, self.y)
        reach = abs(step) * bounds + self.design.norms * np.sqrt(2.0 * gap)
        self.candidates &= reach >= self.penalty * (1.0 - _ROUNDING)
