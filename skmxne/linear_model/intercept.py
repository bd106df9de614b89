"""Intercepts: remove constants from the data, and warn about them."""

import numpy as np

from .._logging import warn
from ..solvers.design import raise_not_finite
from ..solvers.threads import map_chunks

# With fewer samples, a constant may explain most of the power by chance.
_FEWEST_SAMPLES = 10
# Columns that are transformed at a time.
_CHUNK = 512


def remove_constant(values, sample_weight=None, name="X"):
    """Remove the constant from samples, which leaves one row fewer, and return their mean.

    Each row is the mean of all samples before a sample, minus this sample, times a factor. The
    factors make the sum of squares equal to that around the mean of all samples (West 1979).
    Without weights, the result is ``scipy.linalg.helmert(n) @ values``.
    """
    n_samples, n_columns = values.shape
    if n_samples < 2:
        raise ValueError(
            f"n_samples = {n_samples}, but an intercept needs at least 2 samples: pass more, or "
            "fit_intercept=False."
        )
    dtype, tiny = values.dtype, np.finfo(float).tiny
    weight = np.ones(n_samples) if sample_weight is None else sample_weight
    # Relative to one of the samples, a constant is exactly zero.
    origin = values[np.argmax(weight > 0)]
    total = np.cumsum(weight)
    factors = np.sqrt(total[:-1] * weight[1:] / np.maximum(total[1:], tiny))
    shares = factors / np.maximum(total[:-1], tiny)
    factors, shares = (part.astype(dtype)[:, np.newaxis] for part in (factors, shares))
    rows = np.empty((n_samples - 1, n_columns), dtype, order="F")
    mean = np.empty(n_columns)

    def fill(chunk):
        with np.errstate(over="ignore", invalid="ignore"):  # checked below
            centered = values[:, chunk] - origin[chunk]
            shift = np.average(centered, axis=0, weights=weight)
            mean[chunk] = origin[chunk] + shift
            centered -= shift.astype(dtype)
            sums = np.cumsum(weight.astype(dtype)[:, np.newaxis] * centered, axis=0)[:-1]
            rows[:, chunk] = shares * sums - factors * centered[1:]

    map_chunks(fill, n_columns, _CHUNK)
    if not np.isfinite(mean).all():
        raise_not_finite(values, name)
    return rows, mean


def warn_if_constant(X, y, options, sample_weight=None):
    """Warn if a constant explains most of the targets of a model without intercept."""
    if options.fit_intercept or len(y) < _FEWEST_SAMPLES:
        return
    if sample_weight is not None:
        used = sample_weight > 0
        X, y, sample_weight = X[used], y[used], sample_weight[used]
    power = np.average(y**2, axis=0, weights=sample_weight).sum()
    power_of_mean = np.sum(np.average(y, axis=0, weights=sample_weight) ** 2)
    # The columns are checked last: this takes long for a large X.
    if power_of_mean > 0.5 * power and not np.any((np.ptp(X, axis=0) == 0) & (X[0] != 0)):
        warn(
            "A constant explains more than half of the power of y, but the model has no intercept. "
            "If this is an offset, pass fit_intercept=True, or subtract the means from X and y."
        )
