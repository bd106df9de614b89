"""The channels that MNE objects share, and whether their sensors agree."""

import warnings

import mne
import numpy as np
from mne.io.constants import FIFF
from mne.transforms import apply_trans

# How far sensors may be from where they are in the forward solution, in m, before a warning: heads
# move in a recording.
_DISPLACED = 5e-3


def select_channels(evokeds, forward, noise_cov):
    """Return the good M/EEG channels that all objects share, in the order of the first average.

    A warning names the good channels that one of the objects lacks. That the averages lack whole
    types of channels (MEG was picked, say) is no reason for a warning.

    Parameters
    ----------
    evokeds : list of mne.Evoked
        The data.
    forward : instance of mne.Forward
        The forward solution.
    noise_cov : instance of mne.Covariance
        The noise covariance.

    Returns
    -------
    ch_names : list of str
        The channels.

    Raises
    ------
    ValueError
        If there are none.
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
            "forward": [name for name in measured if name not in modelled],
            "noise_cov": [name for name in measured if name not in covered],
            "evoked": [
                name
                for k, name in enumerate(forward_info["ch_names"])
                if name in unmeasured and mne.channel_type(forward_info, k) in types
            ],
        }
    )
    return shared


def check_sensors(info, forward):
    """Raise unless reference and compensation of the data are those of the forward solution.

    Parameters
    ----------
    info : instance of mne.Info
        Of the data.
    forward : instance of mne.Forward
        The forward solution.

    Raises
    ------
    ValueError
        If they are not.

    Warns
    -----
    RuntimeWarning
        In the name of the caller's caller's caller, if sensors are elsewhere.
    """
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
    grades = [_find_compensation_grade(one, info["ch_names"]) for one in (info, forward["info"])]
    if grades[0] != grades[1]:
        raise ValueError(
            f"evoked has compensation grade {grades[0]}, forward {grades[1]}. Change that of the "
            "recording (raw.apply_gradient_compensation), or compute the forward solution again."
        )
    _warn_if_displaced(info, forward)


def _warn_if_displaced(info, forward):
    """Warn of sensors that are elsewhere in the head coordinates of the forward solution."""
    types, ch_names = np.array(info.get_channel_types()), np.array(info["ch_names"])
    for what, names, why in (
        ("MEG sensors", ch_names[types != "eeg"], "dev_head_t: the head was elsewhere"),
        ("electrodes", ch_names[types == "eeg"], "their montage"),
    ):
        places = [_locate_sensors(one, names) for one in (info, forward["info"])]
        displacement = np.linalg.norm(places[0] - places[1], axis=1)
        largest = np.nan_to_num(displacement).max(initial=0.0)
        if largest > _DISPLACED:
            warnings.warn(
                f"The {what} of evoked are up to {1e3 * largest:.0f} mm from where forward has "
                f"them, relative to the head ({why}). Compute the forward solution with the info "
                "of this recording.",
                RuntimeWarning,
                stacklevel=5,
            )


def _locate_sensors(info, ch_names):
    """Return the positions of sensors in head coordinates, NaN where they are not known."""
    unknown = np.full((4, 4), np.nan)
    transforms = {FIFF.FIFFV_COORD_HEAD: np.eye(4)}
    if info.get("dev_head_t") is not None:
        transforms[FIFF.FIFFV_COORD_DEVICE] = info["dev_head_t"]["trans"]
    places = dict.fromkeys(ch_names, np.full(3, np.nan))
    for ch in info["chs"]:
        if ch["ch_name"] in places and ch["loc"][:3].any():  # all zero where it is not known
            to_head = transforms.get(ch["coord_frame"], unknown)
            places[ch["ch_name"]] = apply_trans(to_head, ch["loc"][:3])
    return np.reshape([*places.values()], (-1, 3))


def check_same_sensors(first, other):
    """Raise unless two averages have the same channels and projectors.

    Parameters
    ----------
    first, other : instance of mne.Evoked
        The averages.

    Raises
    ------
    ValueError
        If they have not.
    """
    different = sorted(set(first.ch_names) ^ set(other.ch_names))
    if different:
        raise ValueError(
            "evoked must be a list of objects with the same channels, but some lack "
            f"{join_names(different)}. Pick the same channels in all of them."
        )
    products = [_multiply_projectors(one.info, first.ch_names) for one in (first, other)]
    # Unit vectors, which files hold in single precision.
    if not np.allclose(*products, rtol=0, atol=1e-5):
        raise ValueError(
            "evoked must be a list of objects with the same projectors, as one whitener takes "
            "account of them. Add to each the projectors of the others (evoked.add_proj)."
        )


def _multiply_projectors(info, ch_names):
    """Return the product of the vectors of all projectors: neither order nor signs matter to it."""
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
    """Return the grade of gradient compensation, which the coil types of CTF systems hold."""
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
        warnings.warn(f"Channels left out: {'; '.join(parts)}.", RuntimeWarning, stacklevel=5)


def join_names(names):
    """Write names in a line, only the first if they are many.

    Parameters
    ----------
    names : sequence of str
        The names.

    Returns
    -------
    line : str
        The line.
    """
    return ", ".join([*names[:8], "..."] if len(names) > 8 else names)
