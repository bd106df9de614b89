"""Data prepared once for all alphas."""

from functools import cached_property

import numpy as np

from ..solvers.active_set import Solution
from ..solvers.debiasing import compute_debiasing
from ..solvers.design import BlockDesign, Correlation
from ..solvers.least_squares import solve_least_squares
from ..solvers.objective import compute_columns, compute_explained
from ..solvers.reweighting import reweight, solve_reweighted
from .intercept import remove_constant
from .validation import check_magnitude

# In percent. The solvers raise alpha to powers, and a smaller alpha changes the objective by less
# than rounding does.
_LEAST_ALPHA = 1e-50


class MixedNormProblem:
    """The weighted and reduced ``X`` and ``y``, and all quantities that do not depend on alpha.

    Attributes
    ----------
    alpha_max : float
        Smallest penalty at which no block is active.
    targets : ndarray of shape (n_rows, n_targets)
        The weighted targets: one row per sample, or one row fewer with an intercept.
    power_left_out : float
        The power (``||.||_F^2``) of the data that a limited rank removes.
    """

    def __init__(self, X, y, options, sample_weight=None):
        self.options = options
        y = y.reshape(len(y), -1).astype(np.float64, copy=False)
        self._means = None
        if options.fit_intercept:
            X, X_mean = remove_constant(X, sample_weight)
            y, y_mean = remove_constant(y, sample_weight, "y")
            self._means, sample_weight = (X_mean, y_mean), None
        if sample_weight is None:
            self._prepare(X, y)
            return
        roots = np.sqrt(sample_weight)[:, None]
        with np.errstate(over="ignore", invalid="ignore"):  # checked below
            X, y = X * roots.astype(X.dtype), y * roots
        try:
            self._prepare(X, y)
        except ValueError as error:
            raise ValueError(f"{error} (X and y are weighted by sample_weight.)") from error

    def _prepare(self, X, y):
        """Check the magnitude of the data, and reduce the targets."""
        scale = self.options.scale
        self.design = BlockDesign(X, self.options.n_orient, scale)
        self.targets, self.n_targets = y, y.shape[1]
        column_norms = self.design.norms  # first: they show whether X is finite
        check_magnitude("y", y, np.vdot(y, y))
        if column_norms.any() or scale is None:
            check_magnitude("X", X, column_norms.max() ** 2)
        self.y, self.basis, self.power_left_out = _reduce_targets(y, self.options.time_pca)
        norms = self.design.correlate(self.y)
        # If the data do not correlate with a column, the product is zero up to this rounding error.
        rounding = len(y) * np.finfo(y.dtype).eps * np.linalg.norm(self.y) * column_norms
        norms[norms <= rounding] = 0.0
        correlation = Correlation(self.y, norms, np.zeros(len(norms)))
        self.empty = Solution.empty(self.y, correlation)
        self.alpha_max = float(norms.max())
        if not np.isfinite(self.alpha_max):
            raise ValueError("X and y together are too large: divide them by constants.")

    @cached_property
    def reweighting_scale(self):
        """The amplitude of the reweighted penalty."""
        if self.options.reweighting_scale is not None:
            return self.options.reweighting_scale
        return self.alpha_max / self.design.largest_norm**2

    def compute_penalty(self, alpha):
        """Turn a percentage of `alpha_max` into a penalty."""
        return (max(alpha, _LEAST_ALPHA) if alpha else 0.0) / 100.0 * self.alpha_max

    def solve(self, alpha, start=None):
        """Solve for one alpha. Return the solution, and that of the first convex problem."""
        options = self.options
        if self.alpha_max == 0.0:
            solution = Solution.empty(self.y, self.empty.correlation)
            solution.objective.append(0.5 * np.vdot(self.y, self.y))
            return solution, solution
        if alpha == 0:
            solution = solve_least_squares(self.design, self.y, tol=options.tol)
            return solution, solution
        return solve_reweighted(
            self.design,
            self.y,
            self.compute_penalty(alpha),
            self.empty if start is None else start,
            n_mxne_iter=options.n_mxne_iter,
            reweighting_scale=self.reweighting_scale if options.n_mxne_iter > 1 else None,
            solver=options.solver,
            tol=options.tol,
            maxit=options.maxit,
            active_set_size=options.active_set_size,
            dgap_freq=options.dgap_freq,
        )

    def solve_from(self, alpha, positions):
        """Solve by reweighting only, starting from the least-squares fit of some blocks."""
        options, columns = self.options, self.design.columns(positions)
        coef = np.linalg.lstsq(columns, self.y, rcond=None)[0]
        return reweight(
            self.design,
            self.y,
            self.compute_penalty(alpha),
            Solution(positions, coef),
            options.n_mxne_iter,
            self.reweighting_scale,
            solver=options.solver,
            tol=options.tol,
            maxit=options.maxit,
            dgap_freq=options.dgap_freq,
        )

    def solve_path(self, alphas, start=None):
        """Yield the solution for each alpha, started from the previous one."""
        for alpha in alphas:
            solution, start = self.solve(alpha, start)
            yield solution

    def debias(self, alpha, solution):
        """Compute the factor that removes the shrinkage of each active block."""
        if not self.options.debias or alpha == 0:  # without penalty nothing is shrunk
            return np.ones(len(solution.positions))
        columns = self.design.columns(solution.positions)
        return compute_debiasing(columns, self.y, solution.coef, self.design.n_orient)

    def compute_explained_variance(self, solution, factors):
        """Compute the percentage of the power of the data that a debiased solution explains."""
        power = np.vdot(self.y, self.y) + self.power_left_out
        coef = solution.coef * np.repeat(factors, self.design.n_orient)[:, None]
        residual = self.y - self.design.columns(solution.positions) @ coef
        return compute_explained(power, np.vdot(residual, residual) + self.power_left_out)

    def to_coef(self, solution, factors=1.0):
        """Convert a solution to coefficients for the original ``X`` and ``y``."""
        n_orient = self.design.n_orient
        coef = solution.coef if self.basis is None else solution.coef @ self.basis
        factors = np.broadcast_to(factors, solution.positions.shape)
        if self.design.scale is not None:
            factors = factors * self.design.scale[solution.positions]
        active = compute_columns(solution.positions, n_orient)
        return active, coef.T * np.repeat(factors, n_orient)

    def find_intercept(self, coef):
        """Return the intercept: zero if none is fitted, else one number per target."""
        if self._means is None:
            return 0.0
        X_mean, y_mean = self._means
        if coef.ndim == 1:
            return float(y_mean[0] - X_mean @ coef)
        return (y_mean - coef @ X_mean).astype(coef.dtype)

    def from_coef(self, coef):
        """Convert coefficients of all features to a start solution: the inverse of `to_coef`."""
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
    """Rotate the targets and keep as few as their rank: rotations do not change the penalty.

    Returns the reduced targets in descending order of energy, the basis that maps them back, and
    the power that a limited rank removes.
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
