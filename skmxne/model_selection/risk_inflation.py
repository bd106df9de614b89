"""The risk inflation criterion of a set of blocks."""

from typing import NamedTuple

import numpy as np
from scipy.linalg import cholesky, qr, solve_triangular

from ..solvers.objective import compute_columns
from .noise import count_independent_targets, summarize_covariance

# The error along some columns may be this many times `model_error`, which is a mean.
_LARGEST_ERROR = 10.0
# A time course with a smaller norm, relative to its block, is left out.
_NEGLIGIBLE = 1e-6
# Smaller weights count as this: its square does not underflow.
_LEAST_WEIGHT = 1e-100
# Added to the diagonal of the Gram matrix of columns of unit norm, which may be dependent.
_RIDGE = 1e-10


class SupportFit(NamedTuple):
    """The least-squares fit of some blocks, and their criterion."""

    positions: np.ndarray  # ascending
    rss: float  # residual sum of squares
    rank: int  # of the columns
    n_independent: float  # number of independent targets
    criterion: float  # infinite for a model that is too large to be judged
    unlimited: float  # the criterion without that limit
    by_own: float  # the criterion if the residual is all noise
    cost: float  # of adding a block of weight 1
    safe_cost: float  # the same for the noise of the residual, if that is stronger


class RiskInflation:
    """The risk inflation criterion for blocks, ``RSS_0 + sum_k (s2 d / w_k^2 + floor)``.

    ``d`` is the power that the best of all blocks explains in noise of variance 1, ``w_k`` the
    weight of block ``k``.
    """

    def __init__(self, design, y, *, noise_variance, target_covariance, model_error, floor=0.0):
        self.design, self.floor = design, floor
        self.largest_error = _LARGEST_ERROR * model_error
        self.noise_variance = noise_variance
        self.n_samples, self.n_targets = y.shape
        self.total = float(np.vdot(y, y))
        # Rotated, so that there are no more targets than samples.
        self.y = y @ np.linalg.svd(y, full_matrices=False)[2].T if y.shape[1] > len(y) else y
        self.n_candidates = np.count_nonzero(design.norms) or 1
        self.power, self._n_given = float(self.n_targets), None
        if target_covariance is not None:
            self.power, self._n_given = summarize_covariance(target_covariance)
        self._fits = {}

    def fit(self, positions):
        """Fit the data with some blocks, and compute their criterion."""
        positions = np.sort(np.asarray(positions, dtype=int))
        if (key := positions.tobytes()) not in self._fits:
            self._fits[key] = self._fit(positions)
        return self._fits[key]

    def _fit(self, positions):
        design, y, n_active = self.design, self.y, len(positions)
        columns = design.columns(positions)
        residual, rank = fit_columns(columns, y, np.finfo(design.X.dtype).eps)
        gram = residual.T @ residual if len(y) > y.shape[1] else residual @ residual.T
        rss = float(np.trace(gram))
        n_independent = self.count_independent(gram, rank)
        threshold = compute_threshold(self.n_candidates, design.n_orient, self.power, n_independent)
        costs = 1.0 / self.weights(positions) ** 2
        errors = n_active * self.floor
        # The blocks were chosen as the best: of noise, each explains as much as the threshold.
        n_left = self.n_samples * self.power - n_active * threshold
        own_level = rss / n_left if n_left > 0.0 else np.inf
        by_own = rss + (own_level * threshold * costs.sum() + errors if n_active else 0.0)
        level = own_level if self.noise_variance is None else self.noise_variance
        unlimited = rss + (level * threshold * costs.sum() + errors if n_active else 0.0)
        # So many features cannot tell signal from noise, and leave no residual to estimate it.
        is_limited = self.noise_variance is not None and 2 * rank > len(y)
        criterion = np.inf if is_limited else unlimited
        shown = rss / (self.power * max(self.n_samples - rank, 1))
        cost, safe_cost = level * threshold, max(level, shown) * threshold
        return SupportFit(
            positions, rss, rank, n_independent, criterion, unlimited, by_own, cost, safe_cost
        )

    def count_independent(self, gram, rank):
        """Return the number of independent targets, as given or estimated from the residual."""
        if self._n_given is not None:
            return self._n_given
        n_left = self.n_samples - rank
        return count_independent_targets(gram, n_left, self.n_targets, self.noise_variance)

    def weights(self, positions=slice(None)):
        """Return the weights of blocks that the user has set, relative to the largest."""
        if self.design.scale is None:
            return np.ones(self.design.n_positions)[positions]
        return np.maximum(self.design.scale[positions], _LEAST_WEIGHT)

    def find_errors(self, positions):
        """Compute the power that each block may explain of errors in the columns of stronger ones.

        An error in the columns of ``m`` leaves a residual with the time course of ``m``, mostly
        along columns similar to those of ``m``. So the result is the power that ``k`` explains
        along the time course of ``m``, but at most ``10 model_error P_m |cos(X_k, X_m)|``, summed
        over the stronger blocks ``m``. ``P_m`` is the power that ``m`` explains alone.
        """
        errors = np.zeros(len(positions))
        if len(positions) < 2 or self.largest_error == 0.0:
            return errors
        columns = self.design.columns(np.asarray(positions))
        fields = Fields(columns, self.y, self.design.n_orient)
        courses = fields.find_courses(self.largest_error)
        for k in range(len(positions)):
            is_stronger = fields.rank[courses.owners] < fields.rank[k]
            errors[k] = courses.take(is_stronger).explain(
                fields.explained[k], fields.similarities[courses.owners[is_stronger], k]
            )
        return errors


class Fields:
    """The power that blocks explain, alone and given the others.

    Attributes
    ----------
    explained : ndarray of shape (n_active, n_orient, n_targets)
        Their squares sum up to the power that each block explains given the others.
    powers : ndarray of shape (n_active,)
        The power that each block explains alone.
    rank : ndarray of int, shape (n_active,)
        The rank of each block by `powers`, 0 for the strongest.
    similarities : ndarray of shape (n_active, n_active)
        Cosine of block ``j`` with the span of block ``k``, as entry ``[k, j]``.
    """

    def __init__(self, columns, y, n_orient):
        norms = np.linalg.norm(columns, axis=0)
        columns = columns / np.where(norms > 0.0, norms, 1.0)
        n_active = columns.shape[1] // n_orient
        gram, products = columns.T @ columns, columns.T @ y
        gram.flat[:: len(gram) + 1] += _RIDGE
        self._gram, self._products, self._n_orient = gram, products, n_orient
        inverse = np.linalg.inv(gram)
        coef = (inverse @ products).reshape(n_active, n_orient, -1)
        self.explained, self.powers = np.empty_like(coef), np.empty(n_active)
        self.similarities = np.empty((n_active, n_active))
        sizes = np.einsum("ij,ij->j", columns, columns).reshape(n_active, n_orient).sum(axis=1)
        for k in range(n_active):
            rows = slice(k * n_orient, (k + 1) * n_orient)
            sizes_of_inverse, axes = np.linalg.eigh(inverse[rows, rows])
            self.explained[k] = (axes.T @ coef[k]) / np.sqrt(sizes_of_inverse)[:, None]
            factor = cholesky(gram[rows, rows], lower=True)
            self.powers[k] = np.sum(solve_triangular(factor, products[rows], lower=True) ** 2)
            shares = solve_triangular(factor, gram[rows], lower=True) ** 2
            shares = shares.sum(axis=0).reshape(n_active, n_orient).sum(axis=1)
            self.similarities[k] = np.sqrt(shares / np.where(sizes > 0.0, sizes, 1.0))
        self.rank = np.argsort(np.argsort(-self.powers, kind="stable"))

    def find_courses(self, largest_error):
        """Find the time courses of blocks, each fitted to the residual of the stronger ones."""
        rows = compute_columns(np.argsort(self.rank), self._n_orient)
        factor = cholesky(self._gram[np.ix_(rows, rows)], lower=True)
        left = solve_triangular(factor, self._products[rows], lower=True)
        n_targets = left.shape[1]
        courses, limits, owners = np.empty((0, n_targets)), [], []
        for k, block in zip(
            np.argsort(self.rank), left.reshape(-1, self._n_orient, n_targets), strict=True
        ):
            if len(courses) == n_targets:  # they span all targets
                break
            rest = block - (block @ courses.T) @ courses
            _, sizes, added = np.linalg.svd(rest, full_matrices=False)
            kept = sizes > _NEGLIGIBLE * np.linalg.norm(block)
            courses = np.vstack([courses, added[kept]])
            shares = (sizes[kept] / np.linalg.norm(sizes)) ** 2
            limits += list(largest_error * self.powers[k] * shares)
            owners += [k] * np.count_nonzero(kept)
        return Courses(courses, np.array(limits), np.array(owners))


class Courses(NamedTuple):
    """Orthonormal time courses of blocks, and the power of column errors along each."""

    courses: np.ndarray  # (n_courses, n_targets)
    limits: np.ndarray  # (n_courses,)
    owners: np.ndarray  # (n_courses,) of int

    def take(self, which):
        """Return some of the time courses."""
        return Courses(*(part[which] for part in self))

    def explain(self, explained, similarities):
        """Compute how much of the power that blocks explain may be errors of the owners' columns.

        `explained` has the shape (..., n_orient, n_targets), `similarities` (..., n_courses).
        """
        along = np.sum((explained @ self.courses.T) ** 2, axis=-2)
        return np.minimum(along, self.limits * similarities).sum(axis=-1)


def fit_columns(columns, y, eps):
    """Return the residual of the least-squares fit of columns, and their rank."""
    if not columns.shape[1]:
        return y, 0
    basis, triangle, _ = qr(columns, mode="economic", pivoting=True, check_finite=False)
    pivots = np.abs(triangle.diagonal())
    rank = np.count_nonzero(pivots > max(columns.shape) * eps * pivots[0])
    return y - basis[:, :rank] @ (basis[:, :rank].T @ y), rank


def compute_largest_power(design, y, positions):
    """Compute the power that the strongest block explains alone, by least squares."""
    n_orient = design.n_orient
    columns = design.columns(positions)
    blocks = columns.T.reshape(len(positions), n_orient, len(y))
    products = blocks @ y
    inverses = np.linalg.pinv(blocks @ blocks.swapaxes(1, 2), hermitian=True)
    return float(np.einsum("gij,git,gjt->g", inverses, products, products).max(initial=0.0))


def compute_threshold(n_positions, n_orient, noise_power, n_independent):
    """Approximate an upper bound on the power that the best of many blocks explains in pure noise.

    It assumes independent targets of equal variance. A strong common component, such as a drift,
    has a longer tail than `n_independent` suggests.
    """
    amplitude = np.sqrt(n_orient * n_independent) + np.sqrt(2.0 * np.log(n_positions))
    return float(noise_power / n_independent * amplitude**2)
