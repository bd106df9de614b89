"""Checking the MNE objects of an inverse problem, and choosing the channels they share."""

import logging
import warnings
from numbers import Real

import mne
import numpy as np
from mne.io.constants import FIFF

from .independent_targets import count_independent_targets, limit_by_chance
from .mne_sensors import check_same_sensors, check_sensors, join_names, select_channels

# What to call channels of more than one.
_TYPES = {"grad": "gradiometers", "mag": "magnetometers", "eeg": "EEG"}

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
_FORWARD_KEYS = (
    *("sol", "info", "nsource", "nchan", "source_rr", "source_nn", "source_ori", "surf_ori"),
    "coord_frame",
)
_COVARIANCE_KEYS = {"names": list, "bads": list, "projs": list, "data": np.ndarray}
# How far below zero rounding may push an eigenvalue of a matrix of correlations.
_NEGATIVE = 1e-3


def hush_mne():
    """Make a context in which MNE reports no progress; who wants to hear even less is heeded."""
    return mne.use_log_level(max(logging.WARNING, logging.getLogger("mne").level))


def prepare_evokeds(evoked, forward, noise_cov):
    """Check the data of an inverse problem and restrict them to the channels to use.

    Parameters
    ----------
    evoked : instance of mne.Evoked, or list of such
        The data. They are not modified.
    forward : instance of mne.Forward
        The forward solution.
    noise_cov : instance of mne.Covariance
        The noise covariance.

    Returns
    -------
    evokeds : list of mne.Evoked
        The data at the good M/EEG channels that all three share, in the order of the first.
    """
    evokeds = _check_evokeds(evoked)
    check_forward(forward)
    _check_noise_cov(noise_cov)
    ch_names = select_channels(evokeds, forward, noise_cov)
    _check_covariance(noise_cov, ch_names)
    evokeds = [one.copy().pick(ch_names) for one in evokeds]
    for one in evokeds:
        _check_data(one)
        check_sensors(one.info, forward)
    _warn_flat(evokeds, noise_cov)
    return evokeds


def warn_if_noise_differs(y, evokeds, whitener):
    """Warn, in the name of the caller's caller, where a baseline is not what noise would be.

    Parameters
    ----------
    y : ndarray of shape (n_samples, n_targets)
        Whitened data, whose noise should have variance 1.
    evokeds : list of mne.Evoked
        The averages that they are of; the baseline of each is all before 0.
    whitener : ndarray of shape (n_samples, n_channels)
        The matrix that has whitened their data.
    """
    for one in evokeds:
        data, y = np.split(y, [len(one.times)], axis=1)
        baseline = data[:, one.times < 0]
        if baseline.shape[1] < _SHORTEST_BASELINE:
            continue
        doubt = _doubt_channels(baseline, one.ch_names, whitener) or _doubt_noise(baseline)
        if doubt:
            whose = f" of {one.comment!r}" if len(evokeds) > 1 else ""
            warnings.warn(
                f"The whitened data{whose} before time 0 have {doubt}", RuntimeWarning, stacklevel=3
            )


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
    _, most = limit_by_chance(n_independent, len(rows))
    return power / median / (2.0 * most)


def _doubt_noise(baseline):
    """Say how the noise is not that of the covariance and the number of trials, None if it is."""
    gram = baseline.T @ baseline
    n_independent = count_independent_targets(gram, *baseline.shape)
    power = np.mean(baseline**2)
    # Correction takes one independent time from the noise, of a short baseline too much.
    least = 0.5 if n_independent >= _FEWEST_INDEPENDENT else 0.0
    _, most = limit_by_chance(len(baseline) * n_independent)
    if not least <= power <= max(2.0, most):
        return (
            f"{power:.2g} times the power of the noise that noise_cov and nave (the number of "
            "trials) predict. noise_cov has to be that of single trials, in the same units, with "
            "the same filter; and the baseline has to be corrected (apply_baseline)."
        )
    rows = _compare_rows(baseline)
    if rows is not None and rows.max() > 1.0:
        ratio = np.mean(baseline**2, axis=1).max() / power
        return (
            f"the power that noise_cov predicts on average, but {ratio:.2g} times as much in one "
            "component. noise_cov may be of other data, of another filter, or of too few samples."
        )
    return None


def _check_evokeds(evoked):
    """Return one or several averages as a list, and raise unless they can make one model."""
    evokeds = list(evoked) if isinstance(evoked, list | tuple) else [evoked]
    if not evokeds:
        raise ValueError("evoked is an empty list. Pass at least one instance of mne.Evoked.")
    for one in evokeds:
        if not isinstance(one, mne.Evoked):
            raise TypeError(
                "evoked must be an instance of mne.Evoked or a list of such, got "
                f"{type(one).__name__}. Read one with mne.read_evokeds, or average epochs with "
                "epochs.average()."
            )
        if one.kind != "average":
            raise ValueError(
                f"evoked has kind={one.kind!r}. Pass an average, as mne.read_evokeds reads with "
                "kind='average'."
            )
        is_number = isinstance(one.nave, Real) and not isinstance(one.nave, bool)
        if not (is_number and 0 < one.nave < np.inf):
            raise ValueError(
                f"evoked has nave={one.nave}. Set it to the number of trials averaged."
            )
        shape = len(one.ch_names), len(one.times)
        data = np.asarray(one.data)
        if data.shape != shape or data.dtype.kind not in "fiu" or np.ma.is_masked(one.data):
            raise ValueError(
                f"evoked has data of shape {data.shape} and dtype {data.dtype}, but should have "
                f"real numbers, not masked, of {shape[0]} channels and {shape[1]} times."
            )
        check_same_sensors(evokeds[0], one)
    return evokeds


def describe_evokeds(evokeds):
    """Describe averages in words.

    Parameters
    ----------
    evokeds : list of mne.Evoked
        Averages at the same channels.

    Returns
    -------
    description : dict of str
        Names and values.
    """
    types = evokeds[0].get_channel_types()
    counts = (f"{types.count(kind)} {_TYPES.get(kind, kind)}" for kind in dict.fromkeys(types))
    times = [f"{1e3 * one.times[0]:z.0f} to {1e3 * one.times[-1]:z.0f} ms" for one in evokeds]
    n_times = sum(len(one.times) for one in evokeds)
    return {
        "Condition": ", ".join(one.comment or "unnamed" for one in evokeds),
        "Trials": ", ".join(f"{one.nave:g}" for one in evokeds),
        "Times": f"{', '.join(times)} ({n_times} samples)",
        "Channels": ", ".join(counts),
    }


def check_forward(forward):
    """Raise an error unless a forward solution can be used.

    Parameters
    ----------
    forward : instance of mne.Forward
        The forward solution.

    Raises
    ------
    TypeError
        If it is of another class.
    ValueError
        If its source space is missing, incomplete or of another forward solution.
    """
    if not isinstance(forward, mne.Forward):
        raise TypeError(
            f"forward must be an instance of mne.Forward, got {type(forward).__name__}. Read one "
            "with mne.read_forward_solution or make one with mne.make_forward_solution."
        )
    lacking = [key for key in _FORWARD_KEYS if forward.get(key) is None]
    if lacking:
        raise ValueError(f"forward lacks {lacking}. Make it with mne.make_forward_solution.")
    if not forward.get("src"):
        raise ValueError(
            "forward has no source space (key 'src'), which tells the vertices. Make it again "
            "with mne.make_forward_solution."
        )
    types = [space["type"] for space in forward["src"]]
    if "surf" in types and (types[:2] != ["surf", "surf"] or "surf" in types[2:]):
        raise ValueError(
            f"forward has source spaces of types {types}, but MNE knows surfaces only as the first "
            "two, the left and the right hemisphere. Make it with both: to leave one out, "
            "mne.forward.restrict_forward_to_label keeps it, without vertices."
        )
    n_used = sum(space["nuse"] for space in forward["src"])
    if n_used != forward["nsource"]:
        raise ValueError(
            f"forward has {forward['nsource']} positions, but {n_used} vertices of its source "
            "space (key 'src') are in use. Compute it again with that source space."
        )
    _check_gain(forward, n_used)
    _check_coordinates(forward)
    normals = [space["nn"][space["vertno"]] for space in forward["src"]]
    if not all(np.isfinite(array).all() for array in (forward["source_rr"], *normals)):
        raise ValueError(
            "forward has positions or normals that are infinite or NaN. Make it again with "
            "mne.make_forward_solution."
        )


def _check_coordinates(forward):
    """Raise unless positions are in head coordinates, or in those of the MRI with a transform."""
    frame, transform = forward["coord_frame"], forward.get("mri_head_t")
    if frame not in (FIFF.FIFFV_COORD_HEAD, FIFF.FIFFV_COORD_MRI):
        raise ValueError(
            f"forward has coord_frame={frame}, but should be in head (4) or MRI coordinates (5). "
            "Make it again with mne.make_forward_solution."
        )
    if frame == FIFF.FIFFV_COORD_MRI and (
        not isinstance(transform, mne.Transform)
        or (transform["from"], transform["to"]) != (FIFF.FIFFV_COORD_MRI, FIFF.FIFFV_COORD_HEAD)
    ):
        raise ValueError(
            "forward is in MRI coordinates, but lacks the transform from there to head coordinates "
            "(mri_head_t). Read it with mne.read_forward_solution, or make it again."
        )
    others = {space.get("coord_frame", frame) for space in forward["src"]} - {frame}
    if others:
        raise ValueError(
            f"forward has coord_frame={frame}, but its source space (key 'src') has "
            f"{', '.join(map(str, others))}. Use the source space that it was computed with: read "
            "it again with mne.read_forward_solution."
        )


def _check_gain(forward, n_positions):
    """Raise unless the arrays of a forward solution are as large as they should be."""
    gain, n_channels = forward["sol"]["data"], len(forward["sol"]["row_names"])
    n_orient = np.size(forward["source_nn"]) // (3 * n_positions) if n_positions else 0
    shapes = gain.shape, np.shape(forward["source_rr"]), np.shape(forward["source_nn"])
    n_columns = n_positions * n_orient
    expected = (n_channels, n_columns), (n_positions, 3), (n_columns, 3)
    if n_orient not in (1, 3) or shapes != expected or gain.dtype.kind != "f":
        raise ValueError(
            f"forward has a gain of shape {shapes[0]} and dtype {gain.dtype}, positions of shape "
            f"{shapes[1]} and orientations of shape {shapes[2]}, which do not fit {n_channels} "
            f"channels and {n_positions} positions. Make it again with mne.make_forward_solution."
        )


def _check_noise_cov(noise_cov):
    """Raise unless `noise_cov` is a covariance."""
    if not isinstance(noise_cov, mne.Covariance):
        raise TypeError(
            f"noise_cov must be an instance of mne.Covariance, got {type(noise_cov).__name__}. "
            "Read one with mne.read_cov or estimate one with mne.compute_covariance."
        )
    kinds = _COVARIANCE_KEYS.items()
    lacking = [key for key, kind in kinds if not isinstance(noise_cov.get(key), kind)]
    if lacking:
        raise ValueError(
            f"noise_cov has no good {lacking}. Estimate it again with mne.compute_covariance."
        )
    n_channels, data = len(noise_cov.ch_names), noise_cov.data
    if data.shape not in [(n_channels,), (n_channels, n_channels)] or data.dtype.kind not in "fiu":
        raise ValueError(
            f"noise_cov has data of shape {data.shape} and dtype {data.dtype}, but should have "
            f"real numbers of {n_channels} channels. Estimate it again."
        )


def _check_covariance(noise_cov, ch_names):
    """Raise unless the covariance of the channels used is finite, and one."""
    used = np.isin(noise_cov.ch_names, ch_names)
    values = noise_cov.data[used]  # of a diagonal covariance, the variances
    values = np.diag(values) if values.ndim == 1 else values[:, used]
    if not np.isfinite(values).all():
        raise ValueError("noise_cov is infinite or NaN. Estimate it again, from finite data.")
    # Channels of different types have different units.
    sizes = np.sqrt(np.abs(values.diagonal()))
    sizes[sizes == 0.0] = 1.0
    correlations = values / sizes / sizes[:, np.newaxis]
    is_symmetric = np.allclose(correlations, correlations.T, rtol=0, atol=_NEGATIVE)
    if not is_symmetric or np.linalg.eigvalsh(correlations)[0] < -_NEGATIVE * len(values):
        raise ValueError(
            "noise_cov is no covariance: it is not symmetric, or has negative eigenvalues. "
            "Estimate it again with mne.compute_covariance."
        )


def _check_data(evoked):
    """Raise if the data are infinite or NaN."""
    finite = np.isfinite(evoked.data).all(axis=1)
    if not finite.all():
        raise ValueError(
            f"evoked has infinite or NaN data in {join_names(np.array(evoked.ch_names)[~finite])}. "
            "Mark these channels in evoked.info['bads'], or average without the trials concerned."
        )


def _warn_flat(evokeds, noise_cov):
    """Warn, in the name of the caller's caller, of channels that record nothing."""
    types, ch_names = np.array(evokeds[0].get_channel_types()), np.array(evokeds[0].ch_names)
    variances = noise_cov.data if noise_cov.data.ndim == 1 else noise_cov.data.diagonal()
    variances = dict(zip(noise_cov.ch_names, variances, strict=True))
    noise = np.sqrt(np.maximum([variances[name] for name in ch_names], 0.0))
    flat = {"evoked": np.zeros(len(types), dtype=bool), "noise_cov": np.zeros_like(noise, bool)}
    for kind in set(types):
        of_kind = types == kind
        if noise[of_kind].any():
            flat["noise_cov"][of_kind] = noise[of_kind] <= _NO_NOISE * _find_median(noise[of_kind])
        for one in evokeds:
            flat["evoked"][of_kind] |= _find_flat(one.data[of_kind], noise[of_kind])
    parts = [
        f"{join_names(ch_names[is_flat])} in {where}"
        for where, is_flat in flat.items()
        if any(is_flat)
    ]
    if parts and not flat["evoked"].all():
        warnings.warn(
            f"Channels are flat: {', '.join(parts)}. They make false sources: mark them as bad.",
            RuntimeWarning,
            stacklevel=4,
        )


def _find_flat(data, noise):
    """Return which channels of a type are constant, or nearly so while no other channel is."""
    if data.shape[1] == 1:
        return np.zeros(len(data), dtype=bool)
    constant = np.ptp(data, axis=1) == 0.0
    if len(data) < _ENOUGH_CHANNELS or data.shape[1] < _SHORTEST_BASELINE:
        return constant
    size = data.std(axis=1) / np.where(noise > 0.0, noise, np.inf)
    size[noise <= 0.0] = np.inf
    size /= _find_median(size[~constant & (noise > 0.0)])
    weak = size < _FLAT
    return constant | (weak if not np.any(~weak & (size < _APART)) else False)


def _find_median(values):
    """Return the median of what is positive, one where nothing is."""
    positive = values[values > 0.0]
    return np.median(positive) if len(positive) else 1.0
