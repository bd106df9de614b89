"""Intercepts: data without the constant that an intercept would be."""

import numpy as np

from .._logging import warn

# A constant explains so much of few samples by chance.
_FEWEST_SAMPLES = 10


def remove_constant(values, sample_weight=None):
    """Turn samples into one row fewer, in which an intercept has no part, and return their mean.

    Each row is the difference of the mean of all samples before one, and this one, times a factor
    with which the sum of squares is that around the mean of all (West 1979). Without weights these
    are the rows of ``scipy.linalg.helmert(n) @ values``.
    """
    n_samples = len(values)
    if n_samples < 2:
        raise ValueError(
            f"n_samples = {n_samples}, but an intercept needs at least 2 samples: pass more, or "
            "fit_intercept=False."
        )
    weight = np.ones(n_samples) if sample_weight is None else sample_weight
    mean = np.average(values, axis=0, weights=weight)
    centered = values - mean.astype(values.dtype)
    # What rounding leaves of a constant is not data.
    rounding = 10 * np.finfo(values.dtype).eps * np.linalg.norm(values, axis=0)
    centered[:, np.linalg.norm(centered, axis=0) <= rounding] = 0.0
    total, tiny = np.cumsum(weight), np.finfo(float).tiny
    factors = np.sqrt(total[:-1] * weight[1:] / np.maximum(total[1:], tiny))
    shares = factors / np.maximum(total[:-1], tiny)
    sums = np.cumsum(weight.astype(values.dtype)[:, np.newaxis] * centered, axis=0)[:-1]
    rows = shares.astype(values.dtype)[:, np.newaxis] * sums
    rows -= factors.astype(values.dtype)[:, np.newaxis] * centered[1:]
    return rows, mean


def warn_if_constant(X, y):
    """Warn if a constant explains most of the targets of a model without intercept."""
    if len(y) < _FEWEST_SAMPLES:
        return
    with np.errstate(over="ignore", invalid="ignore"):  # which the fit itself notices
        power = np.vdot(y, y)
        share = len(y) * np.sum(y.mean(axis=0) ** 2) / power if power > 0 else 0.0
    has_constant = (np.ptp(X, axis=0) == 0) & (X[0] != 0) if share > 0.5 else False
    if share > 0.5 and not np.any(has_constant):
        warn(
            f"A constant explains {100 * share:.0f} % of the power of y, but the model has no "
            "intercept. Pass fit_intercept=True, or subtract the means from X and y."
        )
