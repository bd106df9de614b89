"""Intercepts: data without the constant that an intercept would be."""

import numpy as np

from .._logging import warn
from ..solvers.design import raise_not_finite
from ..solvers.threads import map_chunks

# A constant explains so much of few samples by chance.
_FEWEST_SAMPLES = 10
# Columns that are transformed at a time.
_CHUNK = 512


def remove_constant(values, sample_weight=None, name="X"):
    """Turn samples into one row fewer, in which an intercept has no part, and return their mean.

    Each row is the difference of the mean of all samples before one, and this one, times a factor
    with which the sum of squares is that around the mean of all (West 1979). Without weights these
    are the rows of ``scipy.linalg.helmert(n) @ values``.
    """
    n_samples, n_columns = values.shape
    if n_samples < 2:
        raise ValueError(
            f"n_samples = {n_samples}, but an intercept needs at least 2 samples: pass more, or "
            "fit_intercept=False."
        )
    dtype, tiny = values.dtype, np.finfo(float).tiny
    weight = np.ones(n_samples) if sample_weight is None else sample_weight
    # Around one of the samples a constant is zero, without rounding.
    origin = values[np.argmax(weight > 0)]
    total = np.cumsum(weight)
    factors = np.sqrt(total[:-1] * weight[1:] / np.maximum(total[1:], tiny))
    shares = factors / np.maximum(total[:-1], tiny)
    factors, shares = (part.astype(dtype)[:, np.newaxis] for part in (factors, shares))
    rows = np.empty((n_samples - 1, n_columns), dtype, order="F")
    mean = np.empty(n_columns)

    def fill(chunk):
        with np.errstate(over="ignore", invalid="ignore"):  # which is noticed below
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
    # The columns last: of a large X that takes a while.
    if power_of_mean > 0.5 * power and not np.any((np.ptp(X, axis=0) == 0) & (X[0] != 0)):
        warn(
            "A constant explains more than half of the power of y, but the model has no intercept. "
            "If that is an offset, pass fit_intercept=True, or subtract the means from X and y."
        )
