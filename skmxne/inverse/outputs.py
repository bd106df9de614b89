"""From source amplitudes to MNE objects: source estimates, dipoles and residuals."""

import logging

import mne
import numpy as np

from .._logging import quiet_mne

# Scalar and vector class for every kind of source space.
_CLASSES = {
    "surface": (mne.SourceEstimate, mne.VectorSourceEstimate),
    "volume": (mne.VolSourceEstimate, mne.VolVectorSourceEstimate),
    "discrete": (mne.VolSourceEstimate, mne.VolVectorSourceEstimate),
    "mixed": (mne.MixedSourceEstimate, mne.MixedVectorSourceEstimate),
}
SOURCE_ESTIMATES = tuple({cls for pair in _CLASSES.values() for cls in pair})


def check_pick_ori(pick_ori, n_orient, kind):
    """Raise unless a source estimate can have the orientations specified."""
    if not isinstance(pick_ori, str | None) or pick_ori not in (None, "normal", "vector"):
        raise ValueError(f"pick_ori must be None, 'normal' or 'vector', got {pick_ori!r}.")
    if pick_ori is not None and n_orient == 1:
        raise ValueError(
            f"pick_ori={pick_ori!r} needs loose or free orientation. Make the problem with "
            "loose > 0, or pass pick_ori=None for the signed amplitudes along the normals."
        )
    if pick_ori == "normal" and kind != "surface":
        raise ValueError(
            f"pick_ori='normal' needs the normals of a surface, but forward has a {kind} "
            "source space. Pass pick_ori='vector' or None."
        )


def make_source_estimate(sources, positions, gain, evoked, pick_ori=None):
    """Make the source estimate of a few active positions."""
    src = gain.src
    scalar, vector = _CLASSES[src.kind]
    if pick_ori == "vector":
        data = _to_vectors(sources, positions, gain)
    elif pick_ori == "normal":
        normals = gain.normals(positions)
        data = np.einsum("pc,pct->pt", normals, _to_vectors(sources, positions, gain))
    elif sources.shape[1] == 1:
        data = sources[:, 0]
    else:
        data = np.linalg.norm(sources, axis=1)

    return (vector if pick_ori == "vector" else scalar)(
        data,
        find_vertices(src, positions),
        tmin=evoked.times[0],
        tstep=1 / evoked.info["sfreq"],
        subject=src[0].get("subject_his_id"),
    )


def make_map(values, positions, gain):
    """Make a source estimate with a single time, and one value per position."""
    src = gain.src
    return _CLASSES[src.kind][0](
        np.reshape(values, (-1, 1)),
        find_vertices(src, positions),
        tmin=0.0,
        tstep=1.0,
        subject=src[0].get("subject_his_id"),
    )


def find_vertices(src, positions):
    """Return the vertices of ascending positions, separately for each source space."""
    starts = _find_starts(src)
    return [
        space["vertno"][positions[(start <= positions) & (positions < stop)] - start]
        for space, start, stop in zip(src, starts[:-1], starts[1:], strict=True)
    ]


def find_axes(gain, positions, scale):
    """Find the axes along which the goodness of fit is divided, in terms of the orientations."""
    # By the convention of MNE: with free orientation the axes of the original forward solution,
    # else tangents and normals, without axes that cannot have an amplitude.
    is_free = (scale == scale[:, :1]).all()
    axes = gain.given_axes(positions) if is_free else np.eye(gain.n_orient)
    return axes * (scale[positions, :, np.newaxis] > 0)


def make_dipoles(sources, positions, gain, times, fields, axes, data):
    """Make one dipole per active position."""
    n_active, n_orient, n_times = sources.shape
    if n_active == 0:
        return []
    turned_fields = np.einsum("spo,poa->spa", fields.reshape(-1, n_active, n_orient), axes)
    turned_sources = axes.swapaxes(1, 2) @ sources
    share = _share_goodness_of_fit(
        turned_fields.reshape(fields.shape), turned_sources.reshape(-1, n_times), data
    )
    goodness_of_fit = share.reshape(sources.shape).sum(axis=1)
    vectors = _to_vectors(sources, positions, gain)
    if n_orient == 1:
        amplitudes = sources[:, 0]
        orientations = np.broadcast_to(gain.orientations[positions].swapaxes(1, 2), vectors.shape)
    else:
        amplitudes = np.linalg.norm(vectors, axis=1)
        orientations = vectors / np.where(amplitudes > 0, amplitudes, 1)[:, np.newaxis]
    locations = np.repeat(gain.locations[positions][:, np.newaxis], n_times, axis=1)
    return [
        mne.Dipole(times, *dipole)
        for dipole in zip(
            locations, amplitudes, orientations.swapaxes(1, 2), goodness_of_fit, strict=True
        )
    ]


def make_field(evoked, prediction):
    """Make the field of sources, and apply the projectors that the data have applied."""
    info = mne.create_info(evoked.ch_names, evoked.info["sfreq"], evoked.get_channel_types())
    predicted = mne.EvokedArray(prediction, info)
    with quiet_mne(logging.ERROR):  # MNE has logged the same for the data
        predicted.add_proj([proj for proj in evoked.info["projs"] if proj["active"]]).apply_proj()
    field = evoked.copy()
    field.data = predicted.data
    return field


def make_residual(evoked, prediction):
    """Subtract a prediction from data."""
    residual = evoked.copy()
    residual.data = evoked.data.astype(np.float64) - make_field(evoked, prediction).data
    return residual


def make_weights(stc, src, name="stc"):
    """Find the largest magnitude over time at every position of a source space."""
    if not isinstance(stc, SOURCE_ESTIMATES):
        raise TypeError(f"{name} must be a source estimate of MNE, got {type(stc).__name__}.")
    if len(stc.times) == 0:
        raise ValueError(f"{name} has no times, and so no magnitudes. Crop it less.")
    positions = find_positions(stc, src, name)
    if not np.isfinite(stc.data).all():
        raise ValueError(f"{name} is infinite or NaN. Compute it again, from finite data.")
    magnitudes = np.linalg.norm(stc.data, axis=1) if stc.data.ndim == 3 else np.abs(stc.data)
    weights = np.zeros(_find_starts(src)[-1])
    weights[positions] = magnitudes.max(axis=1)
    return weights


def find_positions(stc, src, name):
    """Return the positions of the vertices of a source estimate in a source space."""
    if not isinstance(stc, _CLASSES[src.kind]):
        raise ValueError(
            f"{name} is a {type(stc).__name__}, but the forward solution has a {src.kind} source "
            f"space. Pass a {_CLASSES[src.kind][0].__name__} of that source space."
        )
    subject = src[0].get("subject_his_id")
    if None not in (stc.subject, subject) and stc.subject != subject:
        raise ValueError(
            f"{name} is of subject {stc.subject!r}, but the source space is of {subject!r}. Morph "
            f"{name} with mne.compute_source_morph."
        )
    if len(stc.vertices) != len(src) or not all(
        np.isin(vertices, space["vertno"]).all()
        for vertices, space in zip(stc.vertices, src, strict=True)
    ):
        raise ValueError(
            f"{name} has vertices that are not in the source space of the forward solution. "
            "Compute it with that source space, or morph it there with mne.compute_source_morph."
        )
    starts = _find_starts(src)[:-1]
    positions = [
        start + np.searchsorted(space["vertno"], vertices)
        for start, space, vertices in zip(starts, src, stc.vertices, strict=True)
    ]
    return np.concatenate(positions)


def _find_starts(src):
    """Return the first position of every source space, and the number of positions."""
    return np.cumsum([0] + [space["nuse"] for space in src])


def _to_vectors(sources, positions, gain):
    """Turn amplitudes along the orientations of a gain to vectors in head coordinates."""
    return np.einsum("poc,pot->pct", gain.orientations[positions], sources)


def _share_goodness_of_fit(gain, sources, data):
    """Divide the explained variance, in percent, among sources whose fields overlap.

    As for MNE's dipoles, the fields are decomposed along the left singular vectors u_k of `gain`.
    The variance explained along u_k at time t is the power of the data minus that of the residual.
    Source j gets a share of it in proportion to the power of its own contribution,
    ``(u_k^T gain_j sources_jt) ** 2``. The shares add up to what all sources explain together.
    """
    basis, singular_values, _ = np.linalg.svd(gain, full_matrices=False)
    basis = basis[:, singular_values >= 1e-6 * singular_values[0]]
    residual = data - gain @ sources
    explained = (basis.T @ data) ** 2 - (basis.T @ residual) ** 2
    shares = np.zeros_like(sources)
    for coordinates, explained_k in zip(basis.T @ gain, explained, strict=True):
        power = (coordinates[:, np.newaxis] * sources) ** 2
        total = power.sum(axis=0)
        shares += power * (explained_k / np.where(total > 0, total, 1))
    total = (data**2).sum(axis=0)
    return 100 * shares / np.where(total > 0, total, np.inf)
