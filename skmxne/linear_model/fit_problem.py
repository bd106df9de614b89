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

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_positions * n_orient)
        Columns, float32 or float64; not copied.
    y : ndarray of shape (n_samples, n_targets)
        Data, float64.
    n_orient : int, default=1
        Features per position.
    scale : ndarray of shape (n_positions,), default=None
        What the columns of each position are multiplied by.
    time_pca : bool or int, default=True
        Reduce ``y`` to its rank, or to this rank.
    reweighting_scale : float, default=None
        Amplitude of the reweighted penalty. None: ``alpha_max / max_g ||X_g||_2^2``.

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
        """Solve for one alpha.

        Parameters
        ----------
        alpha : float
            Penalty in percent of `alpha_max`.
        start : Solution, default=None
            Where to start: no active position if None.
        n_mxne_iter : int, default=1
            Convex problems to solve, more than one with reweighting.
        **options : dict
            Options of `solve_mixed_norm`.

        Returns
        -------
        solution : Solution
            The solution, before debiasing.
        first : Solution
            The solution without reweighting: where the next alpha may start.
        """
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
        """Turn a solution into coefficients for ``X`` and ``y`` as they were given.

        Parameters
        ----------
        solution : Solution
            For the weighted columns and the reduced targets.
        factors : float or ndarray of shape (n_active,), default=1.0
            What to multiply the coefficients of each active position by.

        Returns
        -------
        active : ndarray of int, shape (n_active * n_orient,)
            Features of the active positions.
        coef : ndarray of shape (n_targets, n_active * n_orient)
            Their coefficients.
        """
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
