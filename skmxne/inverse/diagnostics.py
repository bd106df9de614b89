"""What speaks against the data of an inverse problem: flat channels, and baselines unlike noise."""

import numpy as np

from .._logging import warn
from ..model_selection.noise import chi2_bounds, count_independent_targets
from .inputs import join_names

# Times before 0, below which nothing is said about the noise, and independent ones among them,
# below which nothing is said where it is little.
_SHORTEST_BASELINE = 20
_FEWEST_INDEPENDENT = 5
# A channel of which projectors leave a smaller share is not looked at, and more noisy channels than
# this share of all are no channels' fault.
_LEAST_OWN = 0.5
_MOST_OUTLIERS = 0.1
# A channel whose deviation, relative to that of its noise and to the median of its type, is smaller
# is flat, unless it is not apart from the others: data without noise have weak fields in some.
_FLAT = 0.05
_APART = 0.2
_ENOUGH_CHANNELS = 50
# The same for the noise itself.
_NO_NOISE = 1e-6


def warn_if_flat(evokeds, noise_cov):
    """Warn of channels that record nothing."""
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
    """Return which channels of a type are constant, or nearly so while no other channel is."""
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
    """Return the median of what is positive, one where nothing is."""
    positive = values[values > 0.0]
    return np.median(positive) if len(positive) else 1.0


def warn_if_noise_differs(evokeds, whitener):
    """Warn where a baseline is not what noise would be."""
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

    Whitened data are rotated back to the channels (ZCA): each is what neighbours do not predict.
    """
    rotation = whitener.T / np.linalg.norm(whitener, axis=1)
    own = np.sum(rotation**2, axis=1)  # less than 1 where projectors take a part away
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
        f"far more power than that of most channels in {join_names(outliers)}. The first may be "
        "flat or noisy, which makes false sources and shows in its neighbours, too: look at it, "
        "mark it as bad, and try again."
    )


def _compare_rows(rows):
    """Return the power of rows relative to the median, divided by a limit: above 1 it is too large.

    The limit is twice the largest of as many rows of noise. None where there is no noise.
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
    """Say how the noise is not that of the covariance and the number of trials, None if it is."""
    gram = baseline.T @ baseline
    n_independent = count_independent_targets(gram, *baseline.shape)
    power = np.mean(baseline**2)
    # Correction takes one independent time from the noise, of a short baseline too much.
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
            "the power that the noise covariance predicts on average, but "
            f"{ratio:.2g} times as much in one component. The covariance may be of other data, of "
            "another filter, or of too few samples."
        )
    return None
