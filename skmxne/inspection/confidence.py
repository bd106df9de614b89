"""How certain the sources of a model are: regions, p-values and detectability."""

from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2, gumbel_r, norm
from sklearn.utils import assert_all_finite, check_random_state

from ..linear_model.intercept import remove_constant
from ..linear_model.validation import (
    check_bool,
    check_data,
    check_integer,
    check_real,
    prefix_errors,
)
from ..model_selection.noise import estimate_covariance, summarize_covariance
from ..model_selection.risk_inflation import RiskInflation, compute_threshold
from ..model_selection.support_search import SupportSearch
from ..solvers.design import BlockDesign
from ..solvers.threads import map_chunks, single_threaded_blas
from .coefficients import list_steps, read_coefficients

# A place has three coordinates.
_N_DIMENSIONS = 3
# Times `model_error`: the power of an error of a field along similar fields, and along any.
_ERROR_ALIKE, _ERROR_ANYWHERE = 5.0, 0.25
# Cosine above which one field may be an error of the other.
_ALIKE = 0.7
# A time course with a smaller norm, relative to the largest, is only rounding.
_NEGLIGIBLE = 1e-6
# Maximum number of iterations of the noise estimate, and the change of shares that ends it.
_MAX_ITER, _TOLERANCE = 100, 1e-3
# Smallest share of the noise power that the drawn time courses have.
_DRAWN = 0.999
# Smallest p-value that is reported: a smaller one would only extrapolate the draws.
_LEAST_P = 1e-6
# Maximum number of sources named in a line.
_MOST_SHOWN = 4
# Minimum number of draws to fit a distribution to.
_FEWEST_DRAWS = 20


@dataclass(frozen=True, repr=False, eq=False)
class Confidence:
    """The result of `compute_confidence`: how certain the sources of a model are.

    Attributes
    ----------
    positions : ndarray of int, shape (n_sources,)
        The active positions of the model, ascending.
    p_values : ndarray of shape (n_sources,)
        The probability that the best of all positions explains as much in pure noise: at least
        1e-6, NaN without draws.
    regions : ndarray of bool, shape (n_sources, n_positions)
        The positions where each source could be. Its own position is always one of them.
    level : float
        The level of the regions.
    powers : ndarray of shape (n_sources,)
        The sum of squares of ``y`` that each source explains, given those that explain more.
    """

    positions: NDArray[np.int_]
    p_values: NDArray[np.float64]
    regions: NDArray[np.bool_]
    level: float
    powers: NDArray[np.float64]

    def __repr__(self):
        n_sources = len(self.positions)
        sources = [
            f"{position}: {say_p(p)}, region of {size}"
            for position, p, size in zip(
                self.positions, self.p_values, self.regions.sum(axis=1), strict=True
            )
        ]
        if n_sources > _MOST_SHOWN:
            sources[_MOST_SHOWN:] = ["..."]
        number = f"{n_sources} source{'' if n_sources == 1 else 's'}"
        return "; ".join([f"<Confidence: {number}, level {self.level:g}", *sources]) + ">"


def format_p(p):
    """Write a p-value."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def say_p(p):
    """Write a p-value with its name."""
    if np.isnan(p):
        return "no p-value"
    return f"p {'' if p < 0.001 else '= '}{format_p(p)}"


def compute_confidence(
    estimator: Any,
    X: ArrayLike,
    y: ArrayLike,
    *,
    level: float = 0.95,
    n_draws: int = 200,
    random_state: int | np.random.RandomState | None = 0,
    n_orient: int | None = None,
    noise: ArrayLike | None = None,
    model_error: float = 0.06,
    fit_intercept: bool | None = None,
) -> Confidence:
    """Compute the region and the p-value of each source of a model.

    A source is an active block of features. The region of a source holds all positions where it
    could be. For M/EEG data use
    :meth:`InverseProblem.compute_confidence <skmxne.InverseProblem.compute_confidence>`, where
    sources may have any orientation, even if that of the model is fixed.

    Parameters
    ----------
    estimator : estimator or array-like of shape (n_targets, n_features)
        A fitted model with `coef_`, a search with such a model as `best_estimator_`, a Pipeline
        that scales features and ends with one of these, or the coefficients themselves. Only the
        set of active blocks matters.
    X : array-like of shape (n_samples, n_features)
        The samples used in the fit; only their shape is compared. Their noise is assumed to be
        independent and of equal variance.
    y : array-like of shape (n_samples,) or (n_samples, n_targets)
        Their targets.
    level : float, default=0.95
        The level of the regions, between 0 and 1.
    n_draws : int, default=200
        Number of recordings of noise to draw for the p-values, at least 20; 0 for no p-values. If
        `noise` is given, its recordings are the draws.
    random_state : int, RandomState instance or None, default=0
        Determines the draws.
    n_orient : int, default=None
        Features per block. None: that of the estimator, or 1 if it has none.
    noise : array-like of shape (n_draws, n_samples, n_targets), default=None
        Recordings of noise like that of `y`, such as averages of trials with random signs. None:
        normal noise is drawn, with a covariance across targets estimated from the residual.
    model_error : float, default=0.06
        The share of the power of a source that errors in ``X`` may move to other positions.
    fit_intercept : bool, default=None
        Whether the model has an intercept. None: as in the estimator; False for coefficients.

    Returns
    -------
    confidence : Confidence
        `positions`, `p_values`, `regions`, `level` and `powers`. A model of zeros has no sources.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the model is not fitted.
    TypeError, ValueError
        If the model does not match the data, or has too many sources to be judged; or if a
        parameter is not valid.

    Notes
    -----
    **Regions.** Given the other sources, ``p(j)`` is the sum of squares that block ``j`` explains
    along the strongest time course of the source. The region holds all ``j`` with ::

        p(j) >= p(found) - chi2_3(level) s2 - model_error P

    This is the profile likelihood of a place in three dimensions [1]_, with an allowance for errors
    in ``X``. ``s2`` is the variance of the residual along the time course. ``P`` is the power that
    the source explains given those that explain more, or ``p(found)`` if that is larger. Without
    the allowance, regions would often miss the true position if it lies between those of ``X``, or
    if the head model is inaccurate. Two kinds of other sources are not taken as given. First,
    sources that may be noise, or errors of stronger sources. Second, if the source itself may be an
    error of a stronger one, stronger sources with a similar field (a cosine of 0.7 or more).

    **p-values.** Sources are ordered: the one that explains most comes first, then the one that
    explains most given the first, and so on. The power that each adds is compared with the largest
    power that any block explains in recordings of noise. A Gumbel distribution is fitted to these
    maxima. No source has a lower p-value than those before it. So if all sources are noise, the
    smallest p-value is at most 0.05 in about 5 % of recordings, whatever the number of sources.

    An error of a strong field looks like a weak source with the same time course. So a part of the
    power of a source is not counted. This part is the power along the time courses of those before
    it, up to ``5 model_error`` of their power times the cosine of both fields, plus
    ``model_error / 4`` of the power of the first.

    If sources are noise, they are where noise is strongest, and the residual alone underestimates
    the noise. So the power of the sources is added to the residual, up to the power that a search
    for as many sources would explain in noise.

    A p-value tests a source against noise only, not against a source at another position: see
    `regions` for that.

    References
    ----------
    .. [1] Fuchs, Wagner & Kastner (2004). Confidence limits of dipole source reconstruction
       results. Clinical Neurophysiology 115(6), 1442-1451.
    .. [2] Darvas, Rautiainen, Pantazis, Baillet, Benali, Mosher, Garnero & Leahy (2005).
       Investigations of dipole localization accuracy in MEG using the bootstrap. NeuroImage 25(2),
       355-368.

    Examples
    --------
    >>> from skmxne import MixedNormIC, compute_confidence
    >>> from skmxne.datasets import make_block_sparse_regression
    >>> X, y = make_block_sparse_regression(n_active=3, noise=0.5, random_state=0)
    >>> model = MixedNormIC(noise_variance=0.25).fit(X, y)
    >>> confidence = compute_confidence(model, X, y)
    >>> confidence.positions.tolist() == model.coef_.any(axis=0).nonzero()[0].tolist()
    True
    >>> bool(confidence.p_values.max() < 0.001)
    True
    """
    X, y = check_data(X, y)
    assert_all_finite(X, input_name="X")
    y = y.reshape(len(y), -1)
    if n_orient is None:
        n_orient = getattr(list_steps(estimator)[-1], "n_orient", 1)
    n_orient = check_integer("n_orient", n_orient)
    if X.shape[1] % n_orient:
        raise ValueError(
            f"n_orient={n_orient} does not divide the {X.shape[1]} features of X. Pass the number "
            "of features per block."
        )
    positions, _, _ = read_coefficients(
        estimator, y.shape[1], X.shape[1], n_orient, may_have_intercept=True
    )
    noise = check_noise(noise, y.shape)
    if fit_intercept is None:
        model = list_steps(estimator)[-1]
        has_intercept = bool(np.any(getattr(model, "intercept_", 0)))
        fit_intercept = getattr(model, "fit_intercept", has_intercept)
    if check_bool("fit_intercept", fit_intercept):
        X, y = remove_constant(X)[0], remove_constant(y, name="y")[0]
        if noise is not None:
            noise = np.stack([remove_constant(draw, name="noise")[0] for draw in noise])
    options = dict(level=level, random_state=random_state, model_error=model_error)
    if noise is not None:
        n_draws = len(noise) if check_n_draws(n_draws) else 0
        rows = noise.reshape(-1, noise.shape[2]).astype(np.float64, copy=False)
        options |= dict(covariance=rows.T @ rows / len(rows), draw=noise.__getitem__)
    with single_threaded_blas():
        candidates = Candidates(X, n_orient)
        return judge_sources(candidates, y, positions, n_draws=n_draws, **options)


def judge_sources(
    candidates,
    y,
    positions,
    *,
    level,
    n_draws,
    random_state,
    model_error,
    covariance=None,
    n_rows=np.inf,
    draw=None,
):
    """Compute the confidence of sources at some of the candidates.

    `covariance` is that of the noise across targets, estimated from `n_rows` rows; by default it is
    estimated from the residual. ``draw(k)`` returns a recording of noise; by default, normal noise.
    """
    level = check_real("level", level, 0, 1, interval="()")
    model_error = check_real("model_error", model_error, 0, 1)
    n_draws = check_n_draws(n_draws)
    if len(positions) == 0:
        regions = np.empty((0, candidates.design.n_positions), dtype=bool)
        return Confidence(positions, np.empty(0), regions, level, np.empty(0))
    sources = _Sources(candidates, y, positions, covariance, model_error)
    regions = np.array([sources.find_region(position, level) for position in positions])
    p_values = np.full(len(positions), np.nan)
    if n_draws:
        variance = np.trace(sources.covariance) / y.shape[1]
        if draw is None:
            n_rows = len(y) if covariance is None else n_rows
            draw = _NormalNoise(sources.covariance, n_rows, len(y), n_draws, random_state)
        p_values = compute_p_values(sources.excesses, variance, candidates, draw, n_draws)
    order = np.argsort(sources.positions)
    return Confidence(positions, p_values[order], regions, level, sources.powers[order])


def check_n_draws(n_draws):
    """Check a number of draws."""
    if not isinstance(n_draws, Integral) or isinstance(n_draws, bool | np.bool_):
        raise TypeError(f"n_draws must be an integer, got {n_draws!r}.")
    if n_draws != 0 and n_draws < _FEWEST_DRAWS:
        raise ValueError(
            f"n_draws must be at least {_FEWEST_DRAWS}, or 0 for no p-values, got {n_draws}."
        )
    return int(n_draws)


def check_noise(noise, shape):
    """Check recordings of noise."""
    if noise is None:
        return None
    with prefix_errors("noise", noise):
        noise = np.asarray(noise)
    if noise.dtype.kind != "f" or noise.ndim != 3 or noise.shape[1:] != shape:
        raise ValueError(
            f"noise must be floats of shape (n_draws, {shape[0]}, {shape[1]}), each like y, got "
            f"{noise.dtype} of shape {noise.shape}."
        )
    if len(noise) < _FEWEST_DRAWS:
        raise ValueError(f"noise must have at least {_FEWEST_DRAWS} draws, got {len(noise)}.")
    if not np.isfinite(noise).all():
        raise ValueError("noise is infinite or NaN.")
    return noise


class Candidates:
    """All positions where a source can be, and the power that they explain in noise."""

    def __init__(self, X, n_orient):
        self.design = BlockDesign(X, n_orient)

    @cached_property
    def _bases(self):
        """Orthonormal bases of all blocks, in single precision, as rows."""
        design = self.design
        grams, n_orient = design.grams, design.n_orient
        sizes = np.trace(grams, axis1=1, axis2=2)
        kept = np.flatnonzero(sizes > 0.0)
        values, axes = np.linalg.eigh(grams[kept])
        # A block of dependent columns has fewer basis vectors than columns: other rows are zero.
        is_own = values > 1e-6 * values[:, -1:]
        factors = np.where(is_own, 1.0 / np.sqrt(np.where(is_own, values, 1.0)), 0.0)
        mixing = (axes * factors[:, np.newaxis]).swapaxes(1, 2)
        bases = np.empty((len(kept), n_orient, len(design.X)), dtype=np.float32)

        def fill(chunk):
            columns = design.columns(kept[chunk])
            bases[chunk] = mixing[chunk] @ columns.T.reshape(-1, n_orient, len(design.X))

        map_chunks(fill, len(kept), 256)
        return bases.reshape(-1, len(design.X))

    def find_maxima(self, draw, n_draws):
        """Find the largest power that any position explains in each recording of noise."""
        bases, maxima = self._bases, np.empty(n_draws)

        def fill(chunk):
            for k in range(chunk.start, chunk.stop):
                products = bases @ draw(k).astype(np.float32, copy=False)
                powers = np.einsum("ij,ij->i", products, products)
                maxima[k] = powers.reshape(-1, self.design.n_orient).sum(axis=1).max()

        map_chunks(fill, n_draws, 5)
        return maxima


class _NormalNoise:
    """Recordings of normal noise, rotated so that targets are independent.

    The covariance across targets was estimated from `n_rows` rows; the draws vary it as much.
    """

    def __init__(self, covariance, n_rows, n_samples, n_draws, random_state):
        variances = np.linalg.eigvalsh(covariance)[::-1].clip(min=0.0)
        n_kept = 1 + np.searchsorted(np.cumsum(variances), _DRAWN * variances.sum())
        self._variances, self._n_rows, self._n_samples = variances[:n_kept], n_rows, n_samples
        rng = check_random_state(random_state)
        self._seeds = rng.randint(np.iinfo(np.int32).max, size=n_draws)

    def __call__(self, k):
        rng, variances = np.random.default_rng(self._seeds[k]), self._variances
        noise = rng.standard_normal((self._n_samples, len(variances)))
        if np.isfinite(self._n_rows):
            scale = max(self._n_rows - 2.0, 1.0)  # keeps the mean
            variances = variances * scale / rng.chisquare(self._n_rows, len(variances))
        return noise * np.sqrt(variances)


def compute_p_values(powers, variance, candidates, draw, n_draws):
    """Compare the powers of sources, in the order of a search, with maxima over noise."""
    if not variance > 0.0:  # data without noise
        return np.maximum.accumulate(np.where(powers > 0.0, _LEAST_P, 1.0))
    # Scaled to the order of one, for single precision.
    unit = np.sqrt(variance)
    maxima = candidates.find_maxima(lambda k: draw(k) / unit, n_draws)
    p_values = gumbel_r.sf(powers / variance, *gumbel_r.fit(maxima))
    return np.maximum.accumulate(p_values).clip(min=_LEAST_P)


class _Sources:
    """The sources of a model in the order of a search, and the noise.

    Attributes
    ----------
    positions : ndarray of int, shape (n_sources,)
        The one that explains most first, then the one that explains most given it, and so on.
    powers : ndarray of shape (n_sources,)
        The power that each explains given those before it.
    excesses : ndarray of shape (n_sources,)
        The same, without the power that may be errors of the fields of those before.
    residual_covariance : ndarray of shape (n_targets, n_targets)
        The covariance of the noise across targets, if all sources are real.
    covariance : ndarray of shape (n_targets, n_targets)
        The same, if the sources may be noise.
    threshold : float
        Approximate power that the best of all positions explains in noise.
    """

    def __init__(self, candidates, y, positions, covariance, model_error):
        design = candidates.design
        if len(positions) * design.n_orient >= len(y):
            number = f"{len(positions)} source{'s' * (len(positions) > 1)}"
            raise ValueError(
                f"The model has {number}. With {design.n_orient} features each they explain any "
                f"data of {len(y)} samples, so they cannot be judged. Fit a sparser model, with a "
                "larger alpha."
            )
        self.design, self.y, self.model_error = design, y, model_error
        # The search is faster if there are no more targets than samples.
        n_targets = y.shape[1]
        is_long = n_targets > len(y)
        self._turn = np.linalg.svd(y, full_matrices=False)[2].T if is_long else np.eye(n_targets)
        criterion = RiskInflation(
            *(design, y @ self._turn),
            noise_variance=None,
            target_covariance=None,
            model_error=0.1 * _ERROR_ALIKE * model_error,
        )
        self.search = SupportSearch(criterion)
        self.positions = self._order(positions)
        self._bases = self._find_bases()
        self._parts = [basis.T @ y for basis in self._bases]
        self.powers = np.array([np.sum(part**2) for part in self._parts])
        self.excesses = self.powers - self._find_errors()
        self.residual_covariance = self.covariance = covariance
        if covariance is None:
            basis = np.hstack(self._bases)
            residual = y - basis @ (basis.T @ y)
            self.residual_covariance = estimate_covariance(residual, len(y) - basis.shape[1])
            self.covariance = self._estimate_noise(residual)
        self.threshold = self._compute_threshold(self.covariance)

    def _order(self, positions):
        """Order the sources: each is the one that explains most given those before."""
        order, left = [], [int(position) for position in positions]
        while left:
            products, grams = self.search.project(order, left)
            explained = np.linalg.solve(np.linalg.cholesky(grams), products)
            order.append(left.pop(np.argmax(np.sum(explained**2, axis=(1, 2)))))
        return np.array(order)

    def _find_bases(self):
        """Find an orthonormal basis of what the columns of each source add to those before it."""
        bases = []
        for position in self.positions:
            columns = own = self.design.columns(np.array([position]))
            for basis in bases:
                own = own - basis @ (basis.T @ own)
            left, sizes, _ = np.linalg.svd(own, full_matrices=False)
            bases.append(left[:, sizes > _NEGLIGIBLE * np.linalg.norm(columns)])
        return bases

    def _find_errors(self):
        """Compute the power of each source that may be errors of the fields of those before it."""
        parts, errors = self._parts, np.zeros(len(self._parts))
        for k in range(1, len(parts)):
            _, sizes, courses = np.linalg.svd(np.concatenate(parts[:k]), full_matrices=False)
            courses = courses[sizes > _NEGLIGIBLE * sizes.max(initial=0.0)]
            before = [int(position) for position in self.positions[:k]]
            alike = self.search.find_errors(before, self.positions[k : k + 1])[0]
            anywhere = _ERROR_ANYWHERE * self.model_error * self.powers[0]
            along = np.sum((parts[k] @ courses.T) ** 2)
            errors[k] = min(along, alike + anywhere)
        return errors

    def _estimate_noise(self, residual):
        """Estimate the covariance of the noise, if the sources may be noise.

        A search then finds them where noise is strongest. The first one explains as much as the
        best of all positions explains in noise, and each next one the same share of the residual.
        Up to these limits, the power of the sources counts as noise.
        """
        n_samples, powers = len(self.y), self.powers
        covariance, shares = estimate_covariance(residual, n_samples), np.zeros(len(powers))
        for _ in range(_MAX_ITER):
            threshold = self._compute_threshold(covariance)
            left = max(1.0 - threshold / (n_samples * np.trace(covariance) or 1.0), 0.0)
            counted = np.minimum(threshold * left ** np.arange(len(powers)), powers)
            last, shares = shares, counted / np.where(powers > 0.0, powers, 1.0)
            if np.abs(shares - last).max() < _TOLERANCE:
                break
            rows = residual + sum(
                np.sqrt(share) * (basis @ part)
                for share, basis, part in zip(shares, self._bases, self._parts, strict=True)
            )
            covariance = estimate_covariance(rows, n_samples)
        return covariance

    def _compute_threshold(self, covariance):
        """Approximate the power that the best of all positions explains in noise."""
        if not np.trace(covariance) > 0.0:
            return 0.0
        sizes = self.search.criterion.n_candidates, self.design.n_orient
        return compute_threshold(*sizes, *summarize_covariance(covariance))

    def find_region(self, position, level):
        """Find the positions where a source could be."""
        given = self._find_given(position)
        products, grams = self.search.project(given)
        explained = np.linalg.solve(np.linalg.cholesky(grams), products)
        course = np.linalg.svd(explained[position], full_matrices=False)[2][0]
        powers = np.sum((explained @ course) ** 2, axis=1)
        course_of_y = self._turn @ course
        variance = course_of_y @ self.residual_covariance @ course_of_y
        own = self.powers[self.positions == position][0]
        allowed = self.model_error * max(own, powers[position])
        least = powers[position] - chi2.ppf(level, _N_DIMENSIONS) * variance - allowed
        region = (powers >= least) & self.search.is_candidate
        region[given] = False
        region[position] = True
        return region

    def _find_given(self, position):
        """Find the other sources that a region is conditioned on."""
        k = int(np.flatnonzero(self.positions == position)[0])
        is_given = self.excesses > self.threshold
        if not is_given[k] and self.powers[k] > self.threshold:
            for before in range(k):
                cosine = self.search.find_cosines(self.positions[before], [position])[0]
                is_given[before] &= cosine < _ALIKE
        is_given[k] = False
        return [int(other) for other in self.positions[is_given]]


def compute_detectable_power(n_positions, n_orient, covariance, course, power):
    """Compute how strong the field of a source must be to find it with a probability of `power`.

    Returns the sum of squares of the field over sensors and time. The source is found if it
    explains more than the best of all positions explains in noise. The power that it explains is
    noncentral chi-squared, here approximated by its mean and its variance.
    """
    trace, n_independent = summarize_covariance(covariance)
    threshold = compute_threshold(n_positions, n_orient, trace, n_independent)
    variance = course @ covariance @ course / (course @ course)
    quantile = norm.ppf(power)
    excess = threshold - n_orient * trace
    spread = 2.0 * n_orient * np.vdot(covariance, covariance)
    middle = excess + 2.0 * quantile**2 * variance
    root = np.sqrt(middle**2 - excess**2 + quantile**2 * spread)
    return max(middle + np.sign(quantile) * root, 0.0)
