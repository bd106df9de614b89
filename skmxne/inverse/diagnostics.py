"""Check the data of an inverse problem: flat channels, baselines that do not look like noise."""

import numpy as np

from .._logging import warn
from ..model_selection.noise import chi2_bounds, count_independent_targets
from .inputs import join_names

# Fewest times before 0 for a check of the noise, and fewest independent ones among them for a
# warning that the noise is too weak.
_SHORTEST_BASELINE = 20
_FEWEST_INDEPENDENT = 5
# A channel is checked if projectors keep at least this share of it. If more than this share of all
# channels is noisy, single channels are not the cause.
_LEAST_OWN = 0.5
_MOST_OUTLIERS = 0.1
# A channel is flat if its standard deviation, relative to its noise and to the median of its type,
# is below _FLAT, and no channel is between _FLAT and _APART: without noise, some fields are weak.
_FLAT = 0.05
_APART = 0.2
_ENOUGH_CHANNELS = 50
# Largest standard deviation of a channel that is flat in the noise covariance, relative to the
# median of its type.
_NO_NOISE = 1e-6


def warn_if_flat(evokeds, noise_cov):
    """Warn about channels that record nothing."""
    types, ch_names = np.array(evokeds[0].get_channel_types()), np.array(evokeds[0].ch_names)
    variances = noise_cov.data if noise_cov.data.ndim == 1 else noise_cov.data.diagonal()
    variances = dict(zip(noise_cov.ch_names, variances, strict=True))
    noise = np.sqrt(np.maximum([variances[name] for name in ch_names], 0.0))
    in_data, in_noise = np.zeros((2, len(types)), dtype=bool)
    for kind in set(types):
        of_kind = types == kind
        if noise[of_kind].any():
            in_noise[of_kind] = noise[of_kind] <= _NO_NOISE * _find_median(noise[of_kind])
        for evoked in evokeds:
            in_data[of_kind] |= _find_flat(evoked.data[of_kind], noise[of_kind])
    parts = [
        f"{join_names(ch_names[is_flat])} in {where}"
        for where, is_flat in {"the data": in_data, "the noise covariance": in_noise}.items()
        if any(is_flat)
    ]
    if parts and not in_data.all():
        warn(
            f"Channels are flat: {', '.join(parts)}. They make false sources: mark them as bad.",
            RuntimeWarning,
        )


def _find_flat(data, noise):
    """Return which channels of a type are constant, or nearly constant and unlike all others."""
    if data.shape[1] == 1:
        return np.zeros(len(data), dtype=bool)
    constant = np.ptp(data, axis=1) == 0.0
    if len(data) < _ENOUGH_CHANNELS or data.shape[1] < _SHORTEST_BASELINE:
        return constant
    has_noise = noise > 0.0
    size = np.full(len(data), np.inf)
    size[has_noise] = data[has_noise].std(axis=1) / noise[has_noise]
    size /= _find_median(size[~constant & has_noise])
    is_apart = not np.any((size >= _FLAT) & (size < _APART))
    return constant | ((size < _FLAT) & is_apart)


def _find_median(values):
    """Return the median of the positive values, one if there are none."""
    positive = values[values > 0.0]
    return np.median(positive) if len(positive) else 1.0


def warn_if_noise_differs(evokeds, whitener):
    """Warn if a baseline does not look like noise."""
    for evoked in evokeds:
        is_before = evoked.times < 0
        if np.count_nonzero(is_before) < _SHORTEST_BASELINE:
            continue
        baseline = whitener @ evoked.data[:, is_before] * np.sqrt(evoked.nave)
        doubt = _doubt_channels(baseline, evoked.ch_names, whitener) or _doubt_noise(baseline)
        if doubt:
            whose = f" of {evoked.comment!r}" if len(evokeds) > 1 else ""
            warn(f"The whitened data{whose} before time 0 have {doubt}", RuntimeWarning)


def _doubt_channels(baseline, ch_names, whitener):
    """Name the few channels that are much noisier than the others, None if there are none.

    Whitened data are rotated back to the channels (ZCA): each row is the part of a channel that its
    neighbours do not predict.
    """
    rotation = whitener.T / np.linalg.norm(whitener, axis=1)
    own = np.sum(rotation**2, axis=1)  # less than 1 where projectors remove a part
    is_seen = own > _LEAST_OWN
    rows = rotation[is_seen] @ (baseline - baseline.mean(axis=1, keepdims=True))
    rows /= np.sqrt(own[is_seen, np.newaxis])
    power = _compare_rows(rows)
    if power is None or not 0.5 <= np.median(np.mean(rows**2, axis=1)) <= 2.0:  # all are wrong
        return None
    far = np.flatnonzero(power > 1.0)
    if not 0 < len(far) <= _MOST_OUTLIERS * len(power):
        return None
    far = far[np.argsort(-power[far])]
    names = np.array(ch_names)[is_seen][far]
    ratios = power[far] / np.median(power)
    outliers = [f"{name} ({ratio:.0f} times)" for name, ratio in zip(names, ratios, strict=True)]
    return (
        f"far more power in {join_names(outliers)} than in most channels. The first may be flat "
        "or noisy, which causes false sources and also affects its neighbours: look at it, mark it "
        "as bad, and try again."
    )


def _compare_rows(rows):
    """Return the power of rows relative to the median, divided by a limit: above 1 it is too large.

    The limit is twice the largest power among as many rows of noise. None if there is no noise.
    """
    power = np.mean(rows**2, axis=1)
    median = np.median(power)
    if not median > 0.0:
        return None
    rows = rows / np.sqrt(np.maximum(power, median * np.finfo(float).eps))[:, np.newaxis]
    n_independent = count_independent_targets(rows.T @ rows, *rows.shape)
    _, most = chi2_bounds(n_independent, len(rows))
    return power / median / (2.0 * most)


def _doubt_noise(baseline):
    """Say how the noise differs from its covariance and number of trials, None if it does not."""
    gram = baseline.T @ baseline
    n_independent = count_independent_targets(gram, *baseline.shape)
    power = np.mean(baseline**2)
    # Baseline correction removes one independent time of the noise: too much if there are few.
    least = 0.5 if n_independent >= _FEWEST_INDEPENDENT else 0.0
    _, most = chi2_bounds(len(baseline) * n_independent)
    if not least <= power <= max(2.0, most):
        return (
            f"{power:.2g} times the power that the noise covariance and the number of trials "
            "predict. The covariance has to be that of single trials, in the same units, with the "
            "same filter; and the baseline has to be corrected."
        )
    rows = _compare_rows(baseline)
    if rows is not None and rows.max() > 1.0:
        ratio = np.mean(baseline**2, axis=1).max() / power
        return (
            "on average the power that the noise covariance predicts, but "
            f"{ratio:.2g} times as much in one component. The covariance may come from other data, "
            "another filter, or too few samples: estimate it again."
        )
    return None
