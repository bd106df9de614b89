"""The sources of a model as a table."""

from pathlib import Path

import mne
import numpy as np

from ..inspection.confidence import Confidence
from .gain import find_hemisphere
from .outputs import find_vertices


def check_confidence(confidence, n_positions, positions=None):
    """Raise unless a confidence fits a number of positions and, if given, the active ones."""
    if not isinstance(confidence, Confidence):
        raise TypeError(
            f"confidence must be what compute_confidence returns, got {type(confidence).__name__}."
        )
    if confidence.regions.shape[1] != n_positions:
        raise ValueError(
            f"confidence has {confidence.regions.shape[1]} positions, but the problem has "
            f"{n_positions}. Compute it with compute_confidence of this problem."
        )
    if positions is not None and not np.array_equal(confidence.positions, positions):
        raise ValueError("confidence has other sources than the model. Compute it for this model.")


def list_sources(positions, dipoles, gain, confidence=None):
    """Return a dict for each source."""
    hemispheres, vertices = _find_places(gain.src, positions)
    rows = []
    for k, dipole in enumerate(dipoles):
        peak = np.abs(dipole.amplitude).argmax()
        row = {"position": int(positions[k])}
        row |= {"hemisphere": hemispheres[k], "vertex": int(vertices[k])}
        row |= dict(zip(["x_mm", "y_mm", "z_mm"], 1e3 * dipole.pos[peak], strict=True))
        row |= {
            "amplitude_nAm": 1e9 * dipole.amplitude[peak],
            "latency_ms": 1e3 * dipole.times[peak],
            "gof_percent": dipole.gof[peak],
        }
        row |= dict(zip(["ori_x", "ori_y", "ori_z"], dipole.ori[peak], strict=True))
        if confidence is not None:
            region = gain.locations[confidence.regions[k]]
            row["p_value"] = confidence.p_values[k]
            row["radius_mm"] = 1e3 * np.linalg.norm(region - dipole.pos[peak], axis=1).max()
        rows.append({key: _to_number(value) for key, value in row.items()})
    return rows


def sort_sources(lists):
    """Sort the sources of several data in one order, that of the largest peak in any of them."""
    amplitudes = [[abs(row["amplitude_nAm"]) for row in rows] for rows in lists]
    order = np.argsort(-np.max(amplitudes, axis=0), kind="stable")
    return [[rows[k] for k in order] for rows in lists]


def list_columns(is_judged, has_labels=False):
    """List the columns for a table that has no sources."""
    columns = ["position", "hemisphere", "vertex", "x_mm", "y_mm", "z_mm", "amplitude_nAm"]
    columns += ["latency_ms", "gof_percent", "ori_x", "ori_y", "ori_z"]
    columns += ["p_value", "radius_mm"] if is_judged else []
    return columns + (["label"] if has_labels else [])


def make_frame(rows, columns):
    """Make a data frame of sources; without sources it is empty but has `columns`."""
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError(
            "to_data_frame needs pandas: install it, or use list_sources instead."
        ) from error

    return pd.DataFrame(rows, columns=list(rows[0]) if rows else columns).set_index("position")


def add_anatomy(rows, gain, mri_head_t, subjects_dir, parc):
    """Add the label of each source of a surface, and its MNI coordinates if they are known."""
    subject = gain.src[0].get("subject_his_id")
    if subject is None:
        raise ValueError(
            "subjects_dir cannot be used: the source space of forward has no name of a subject. "
            "Leave subjects_dir out."
        )
    if not Path(subjects_dir, subject).is_dir():
        raise ValueError(
            f"subjects_dir has no folder {subject!r}: pass FreeSurfer's folder of subjects."
        )
    labels = []
    if any(row["hemisphere"] for row in rows):
        labels = mne.read_labels_from_annot(subject, parc, subjects_dir=subjects_dir)
    for row in rows:
        owners = [
            label.name
            for label in labels
            if label.hemi == row["hemisphere"] and row["vertex"] in label.vertices
        ]
        row["label"] = owners[0] if owners else ""
    transform = Path(subjects_dir, subject, "mri", "transforms", "talairach.xfm")
    if not rows or not transform.exists():
        return
    places = np.array([[row["x_mm"], row["y_mm"], row["z_mm"]] for row in rows]) / 1e3
    mni = mne.head_to_mni(places, subject, mri_head_t, subjects_dir=subjects_dir)
    for row, place in zip(rows, mni, strict=True):
        row |= dict(zip(["mni_x_mm", "mni_y_mm", "mni_z_mm"], map(float, place), strict=True))


def _find_places(src, positions):
    """Return the hemisphere, empty in volumes, and the vertex of each position."""
    of_spaces = find_vertices(src, positions)
    hemispheres = [
        find_hemisphere(space)
        for space, vertices in zip(src, of_spaces, strict=True)
        for _ in vertices
    ]
    return hemispheres, np.concatenate(of_spaces)


def _to_number(value):
    """Convert a number of NumPy to one of Python."""
    return value.item() if isinstance(value, np.generic) else value
