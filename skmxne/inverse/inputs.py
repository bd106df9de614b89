"""Checking the MNE objects of an inverse problem, and choosing the channels they share."""

from numbers import Real

import mne
import numpy as np
from mne.io.constants import FIFF
from mne.transforms import apply_trans

from .._logging import warn

# Plurals of types of channels.
_TYPES = {"grad": "gradiometers", "mag": "magnetometers", "eeg": "EEG"}

_FORWARD_KEYS = (
    *("sol", "info", "nsource", "nchan", "source_rr", "source_nn", "source_ori", "surf_ori"),
    "coord_frame",
)
_COVARIANCE_KEYS = {"names": list, "bads": list, "projs": list, "data": np.ndarray}
# Tolerance for rounding in a matrix of correlations: asymmetry, and negative eigenvalues per row.
_NEGATIVE = 1e-3


def prepare_evokeds(evoked, forward, noise_cov):
    """Check the data of an inverse problem and restrict them to the channels to use."""
    evokeds = _check_evokeds(evoked)
    check_forward(forward)
    _check_noise_cov(noise_cov)
    ch_names = select_channels(evokeds, forward, noise_cov)
    _check_covariance(noise_cov, ch_names)
    evokeds = [average.copy().pick(ch_names) for average in evokeds]
    for average in evokeds:
        _check_data(average)
        check_sensors(average.info, forward)
    return evokeds


def _check_evokeds(evoked):
    """Return one or several averages as a list, and raise unless they can make one model."""
    evokeds = list(evoked) if isinstance(evoked, list | tuple) else [evoked]
    if not evokeds:
        raise ValueError("evoked is an empty list. Pass at least one instance of mne.Evoked.")
    for average in evokeds:
        if not isinstance(average, mne.Evoked):
            raise TypeError(
                "evoked must be an instance of mne.Evoked or a list of such, got "
                f"{type(average).__name__}. Read one with mne.read_evokeds, or average epochs with "
                "epochs.average()."
            )
        if average.kind != "average":
            raise ValueError(
                f"evoked has kind={average.kind!r}. Pass an average, as mne.read_evokeds reads "
                "with kind='average'."
            )
        is_number = isinstance(average.nave, Real) and not isinstance(average.nave, bool)
        if not (is_number and 0 < average.nave < np.inf):
            raise ValueError(
                f"evoked has nave={average.nave}. Set it to the number of trials averaged."
            )
        shape = len(average.ch_names), len(average.times)
        data = np.asarray(average.data)
        if data.shape != shape or data.dtype.kind not in "fiu" or np.ma.is_masked(average.data):
            raise ValueError(
                f"evoked has data of shape {data.shape} and dtype {data.dtype}, but should have "
                f"real numbers, not masked, of {shape[0]} channels and {shape[1]} times."
            )
        check_same_sensors(evokeds[0], average)
    return evokeds


def crop_evokeds(evokeds, tmin=None, tmax=None):
    """Return averages restricted to some times."""
    if tmin is None and tmax is None:
        return evokeds
    for name, value in {"tmin": tmin, "tmax": tmax}.items():
        if not isinstance(value, Real | None) or isinstance(value, bool):
            raise TypeError(f"{name} must be a time in s, or None, got {value!r}.")
    for evoked in evokeds:
        first, last, step = evoked.times[0], evoked.times[-1], 1 / evoked.info["sfreq"]
        start, stop = first if tmin is None else tmin, last if tmax is None else tmax
        if not first - step < start <= stop < last + step:
            name = f"evoked {evoked.comment!r}" if len(evokeds) > 1 else "evoked"
            raise ValueError(
                f"tmin={tmin} to tmax={tmax} is not a period of {name}, whose times are from "
                f"{first:zg} to {last:zg} s."
            )
    return [evoked.copy().crop(tmin, tmax) for evoked in evokeds]


def describe_evokeds(evokeds):
    """Describe averages in words."""
    types = evokeds[0].get_channel_types()
    counts = (f"{types.count(kind)} {_TYPES.get(kind, kind)}" for kind in dict.fromkeys(types))
    ends = (1e3 * average.times[[0, -1]] for average in evokeds)
    times = dict.fromkeys(
        f"{first:z.0f} ms" if first == last else f"{first:z.0f} to {last:z.0f} ms"
        for first, last in ends
    )
    n_times = sum(len(average.times) for average in evokeds)
    return {
        "Condition": ", ".join(average.comment or "unnamed" for average in evokeds),
        "Trials": ", ".join(f"{average.nave:g}" for average in evokeds),
        "Times": f"{', '.join(times)} ({n_times} sample{'s' * (n_times > 1)})",
        "Channels": ", ".join(counts),
    }


def check_forward(forward):
    """Raise an error unless a forward solution can be used."""
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
            "forward has no source space (key 'src'), and so no vertices. Make it again with "
            "mne.make_forward_solution."
        )
    types = [space["type"] for space in forward["src"]]
    if "surf" in types and (types[:2] != ["surf", "surf"] or "surf" in types[2:]):
        raise ValueError(
            f"forward has source spaces of types {types}, but in MNE surfaces are always the first "
            "two, the left and the right hemisphere. Make it with both. To use one only, apply "
            "mne.forward.restrict_forward_to_label, which keeps the other without vertices."
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
            f"noise_cov lacks {lacking}, or has them of a wrong type. Estimate it again with "
            "mne.compute_covariance."
        )
    n_channels, data = len(noise_cov.ch_names), noise_cov.data
    if data.shape not in [(n_channels,), (n_channels, n_channels)] or data.dtype.kind not in "fiu":
        raise ValueError(
            f"noise_cov has data of shape {data.shape} and dtype {data.dtype}, but should have "
            f"real numbers of {n_channels} channels. Estimate it again."
        )


def _check_covariance(noise_cov, ch_names):
    """Raise unless the covariance of the channels used is finite, symmetric and positive."""
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
            "noise_cov is not a covariance: it is not symmetric, or has negative eigenvalues. "
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


# Largest distance, in m, of sensors from their positions in the forward solution without a warning:
# heads move during a recording.
_DISPLACED = 5e-3


def select_channels(evokeds, forward, noise_cov):
    """Return the good M/EEG channels that all objects share, in the order of the first average.

    A warning names the good channels that one of the objects lacks. There is no warning if the
    averages lack a whole type of channels, such as EEG if MEG was picked.
    """
    info = evokeds[0].info
    bads = {*noise_cov["bads"], *(name for evoked in evokeds for name in evoked.info["bads"])}
    picks = mne.pick_types(info, meg=True, eeg=True, ref_meg=False, exclude=list(bads))
    measured = [info["ch_names"][pick] for pick in picks]
    if not measured:
        types = [kind for kind in info.get_channel_types() if kind not in ("mag", "grad", "eeg")]
        if len(types) == len(info["ch_names"]):
            counts = ", ".join(f"{types.count(kind)} {kind}" for kind in dict.fromkeys(types))
            raise ValueError(
                f"evoked has no MEG or EEG channel, only {counts}. The forward solutions of MNE "
                "are for MEG and EEG: pick such channels, or correct the types of channels with "
                "evoked.set_channel_types."
            )
        raise ValueError(
            "evoked has no MEG or EEG channel left when the bad channels of evoked and noise_cov "
            "are excluded. Check their bads, and what was picked."
        )
    modelled, covered = set(forward["sol"]["row_names"]), set(noise_cov.ch_names)
    shared = [name for name in measured if name in modelled and name in covered]
    if not shared:
        raise ValueError(
            "evoked, forward and noise_cov have no good MEG or EEG channel in common. The first "
            f"names are {measured[0]!r}, {forward['sol']['row_names'][0]!r} and "
            f"{noise_cov.ch_names[0]!r}: rename the channels, or pass objects of one recording."
        )
    types = set(info.get_channel_types(picks))
    unmeasured = (modelled & covered) - bads - set(info["ch_names"])
    forward_info = forward["info"]
    _warn_missing(
        {
            "the forward solution": [name for name in measured if name not in modelled],
            "the noise covariance": [name for name in measured if name not in covered],
            "the data": [
                name
                for k, name in enumerate(forward_info["ch_names"])
                if name in unmeasured and mne.channel_type(forward_info, k) in types
            ],
        }
    )
    return shared


def check_sensors(info, forward):
    """Raise unless reference and compensation of the data are those of the forward solution."""
    eeg = {info["ch_names"][pick] for pick in mne.pick_types(info, meg=False, eeg=True)}
    referenced = {
        name
        for proj in info["projs"]
        if proj["kind"] == FIFF.FIFFV_PROJ_ITEM_EEG_AVREF
        or (proj["desc"].startswith("Average ") and proj["desc"].endswith(" reference"))
        for name in proj["data"]["col_names"]
    }
    if eeg and (info["custom_ref_applied"] or not eeg <= referenced):
        raise ValueError(
            "evoked needs an average reference of its EEG channels, made by a projector. Call "
            "evoked.set_eeg_reference(projection=True) and evoked.apply_proj(), or leave EEG out "
            "with evoked.pick('meg')."
        )
    infos = info, forward["info"]
    grades = [_find_compensation_grade(sensors, info["ch_names"]) for sensors in infos]
    if grades[0] != grades[1]:
        raise ValueError(
            f"evoked has compensation grade {grades[0]}, forward {grades[1]}. Change that of the "
            "recording (raw.apply_gradient_compensation), or compute the forward solution again."
        )
    _warn_if_displaced(info, forward)


def _warn_if_displaced(info, forward):
    """Warn if sensors have other positions in the head than in the forward solution."""
    types, ch_names = np.array(info.get_channel_types()), np.array(info["ch_names"])
    for what, names, why in (
        ("MEG sensors", ch_names[types != "eeg"], "dev_head_t, the head position, differs"),
        ("electrodes", ch_names[types == "eeg"], "the montage differs"),
    ):
        places = [_locate_sensors(sensors, names) for sensors in (info, forward["info"])]
        displacement = np.linalg.norm(places[0] - places[1], axis=1)
        largest = np.nan_to_num(displacement).max(initial=0.0)
        if largest > _DISPLACED:
            warn(
                f"The {what} are up to {1e3 * largest:.0f} mm from their positions in the forward "
                f"solution, relative to the head: {why}. Sources are found in wrong places: "
                "compute the forward solution with the info of this recording.",
                RuntimeWarning,
            )


def _locate_sensors(info, ch_names):
    """Return the positions of sensors in head coordinates, NaN if they are unknown."""
    unknown = np.full((4, 4), np.nan)
    transforms = {FIFF.FIFFV_COORD_HEAD: np.eye(4)}
    if info.get("dev_head_t") is not None:
        transforms[FIFF.FIFFV_COORD_DEVICE] = info["dev_head_t"]["trans"]
    places = dict.fromkeys(ch_names, np.full(3, np.nan))
    for ch in info["chs"]:
        if ch["ch_name"] in places and ch["loc"][:3].any():  # all zero if unknown
            to_head = transforms.get(ch["coord_frame"], unknown)
            places[ch["ch_name"]] = apply_trans(to_head, ch["loc"][:3])
    return np.reshape([*places.values()], (-1, 3))


def check_same_sensors(first, other):
    """Raise unless two averages have the same channels and projectors."""
    different = sorted(set(first.ch_names) ^ set(other.ch_names))
    if different:
        raise ValueError(
            "evoked must be a list of objects with the same channels, but some lack "
            f"{join_names(different)}. Pick the same channels in all of them."
        )
    products = [_multiply_projectors(evoked.info, first.ch_names) for evoked in (first, other)]
    # Files store these unit vectors in single precision.
    if not np.allclose(*products, rtol=0, atol=1e-5):
        raise ValueError(
            "evoked must be a list of objects with the same projectors, as all have the same "
            "whitener. Add to each the projectors of the others (evoked.add_proj)."
        )


def _multiply_projectors(info, ch_names):
    """Return the product of the vectors of all projectors, the same for any order and signs."""
    index = {name: k for k, name in enumerate(ch_names)}
    vectors = [np.zeros((0, len(index)))]
    for proj in info["projs"]:
        names = proj["data"]["col_names"]
        known = [k for k, name in enumerate(names) if name in index]
        values = np.zeros((proj["data"]["nrow"], len(index)))
        values[:, [index[names[k]] for k in known]] = proj["data"]["data"][:, known]
        vectors.append(values)
    vectors = np.vstack(vectors)
    return vectors.T @ vectors


def _find_compensation_grade(info, ch_names):
    """Return the grade of gradient compensation, which is in the coil types of CTF systems."""
    meg = [ch for ch in info["chs"] if ch["kind"] == FIFF.FIFFV_MEG_CH]
    return max((int(ch["coil_type"]) >> 16 for ch in meg if ch["ch_name"] in ch_names), default=0)


def _warn_missing(missing):
    """Warn about channels that are left out."""
    parts = [
        f"{len(names)} not in {where} ({join_names(names)})"
        for where, names in missing.items()
        if names
    ]
    if parts:
        warn(
            f"Channels left out: {'; '.join(parts)}. Only shared channels are used.",
            RuntimeWarning,
        )


def join_names(names):
    """Join names in a line; of many names, only the first."""
    return ", ".join([*names[:8], "..."] if len(names) > 8 else names)
