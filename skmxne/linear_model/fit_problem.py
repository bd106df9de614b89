"""Data made ready once, for any number of alphas."""

import numpy as np

from ..solvers.active_set import Solution
from ..solvers.debiasing import compute_debiasing
from ..solvers.design import BlockDesign, Correlation
from ..solvers.least_squares import solve_least_squares
from ..solvers.objective import compute_columns
from ..solvers.reweighting import solve_reweighted
from .validation import check_magnitude

# In percent. The solvers raise it to powers, and a smaller one changes the objective by less than
# any rounding.
_LEAST_ALPHA = 1e-50


class MixedNormProblem:
    """``X`` and ``y``, weighted and reduced, with all that does not depend on alpha.

    Attributes
    ----------
    alpha_max : float
        Smallest penalty at which no position is active.
    power_left_out : float
        ``||.||_F^2`` of what a limited rank leaves out of the data.
    """

    def __init__(self, X, y, *, n_orient=1, scale=None, time_pca=True, reweighting_scale=None):
        self.design = BlockDesign(X, n_orient, scale)
        self.n_targets = y.shape[1]
        column_norms = self.design.norms  # first: they show whether X is finite
        check_magnitude("y", y, np.vdot(y, y))
        if column_norms.any() or scale is None:
            check_magnitude("X", X, column_norms.max() ** 2)
        self.y, self.basis, self.power_left_out = _reduce_targets(y, time_pca)
        norms = self.design.correlate(self.y)
        # What rounding alone makes of data that do not correlate with any column.
        rounding = len(y) * np.finfo(y.dtype).eps * np.linalg.norm(self.y) * column_norms
        norms[norms <= rounding] = 0.0
        correlation = Correlation(self.y, norms, np.zeros(len(norms)))
        self.empty = Solution.empty(self.y, correlation)
        self.alpha_max = float(norms.max())
        if not np.isfinite(self.alpha_max):
            raise ValueError("X and y together are too large: divide them by constants.")
        self.reweighting_scale = reweighting_scale

    def compute_penalty(self, alpha):
        """Turn a percentage of `alpha_max` into a penalty."""
        return (max(alpha, _LEAST_ALPHA) if alpha else 0.0) / 100.0 * self.alpha_max

    def solve(self, alpha, start=None, *, n_mxne_iter=1, **options):
        """Solve for one alpha."""
        if self.alpha_max == 0.0:
            power = np.vdot(self.y, self.y)
            solution = Solution.empty(self.y, self.empty.correlation)
            solution.objective.append(0.5 * power)
            return solution, solution
        if alpha == 0:
            solution = solve_least_squares(self.design, self.y, tol=options.get("tol", np.inf))
            return solution, solution
        if n_mxne_iter > 1:
            if self.reweighting_scale is None:
                self.reweighting_scale = self.alpha_max / self.design.largest_norm**2
            options["reweighting_scale"] = self.reweighting_scale
        return solve_reweighted(
            self.design,
            self.y,
            self.compute_penalty(alpha),
            self.empty if start is None else start,
            n_mxne_iter=n_mxne_iter,
            **options,
        )

    def debias(self, solution):
        """Compute the factor of each active position that takes its shrinkage away."""
        columns = self.design.columns(solution.positions)
        return compute_debiasing(columns, self.y, solution.coef, self.design.n_orient)

    def compute_explained_variance(self, solution, factors):
        """Compute the percentage of the power of the data that a debiased solution explains."""
        power = np.vdot(self.y, self.y) + self.power_left_out
        if power == 0.0:
            return 0.0
        coef = solution.coef * np.repeat(factors, self.design.n_orient)[:, None]
        residual = self.y - self.design.columns(solution.positions) @ coef
        return float(100.0 * (1.0 - (np.vdot(residual, residual) + self.power_left_out) / power))

    def to_coef(self, solution, factors=1.0):
        """Turn a solution into coefficients for ``X`` and ``y`` as they were given."""
        n_orient = self.design.n_orient
        coef = solution.coef if self.basis is None else solution.coef @ self.basis
        factors = np.broadcast_to(factors, solution.positions.shape)
        if self.design.scale is not None:
            factors = factors * self.design.scale[solution.positions]
        active = compute_columns(solution.positions, n_orient)
        return active, coef.T * np.repeat(factors, n_orient)

    def from_coef(self, coef):
        """Turn coefficients of all features into a start, the inverse of `to_coef`."""
        n_orient, scale = self.design.n_orient, self.design.scale
        active = coef.any(axis=0).reshape(-1, n_orient).any(axis=1)
        if scale is not None:
            active &= scale > 0.0
        positions = np.flatnonzero(active)
        coef = coef.T[np.repeat(active, n_orient)].astype(np.float64)
        if self.basis is not None:
            coef = coef @ self.basis.T
        if scale is not None:
            coef /= np.repeat(scale[positions], n_orient)[:, None]
        return Solution(positions, coef)


def _reduce_targets(y, time_pca):
    """Rotate the targets so that the fewest matter: the penalty does not see rotations.

    Returns the reduced targets, in the order of their energy, the basis to come back with, and the
    power that a limit leaves out.
    """
    unlimited = isinstance(time_pca, bool | np.bool_)
    if y.shape[1] == 1 or (unlimited and not time_pca):
        return y, None, 0.0
    left, singular_values, basis = np.linalg.svd(y, full_matrices=False)
    rounding = max(y.shape) * np.finfo(y.dtype).eps * singular_values[0]
    rank = max(np.count_nonzero(singular_values > rounding), 1)
    kept = rank if unlimited else min(rank, time_pca)
    power_left_out = float(np.sum(singular_values[kept:rank] ** 2))
    return left[:, :kept] * singular_values[:kept], basis[:kept], power_left_out
