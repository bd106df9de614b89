"""
Can sources be found without a cortex?
======================================

If there is no cortical surface of the subject, or if a source may be deep, a grid of positions that
fills the head takes its place. How close does it get to the true sources::

    python examples/recordings/plot_volume.py
"""

import matplotlib.pyplot as plt
import mne
import numpy as np

from skmxne import InverseProblem, MixedNormIC, SourceDisplay
from skmxne.datasets import make_recording

mne.set_log_level("WARNING")

# %%
# Three grids
# -----------
# The sources of this simulated EEG recording are on a cortex, which is not used here. The head
# model is a sphere, as in the simulation. MNE fills it with positions of a given spacing, without
# those less than 5 mm from the skull. Volumes have no normals, so the orientation is always free.

recording = make_recording()
info = recording.evoked.info
sphere = mne.make_sphere_model("auto", "auto", info)
spaces = zip(recording.forward["src"], recording.stc.vertices, strict=True)
truth = np.vstack([space["rr"][used] for space, used in spaces])  # in m

print("spacing   positions   sources   mm from the true sources to the nearest found")
for spacing in (20, 10, 7):
    src = mne.setup_volume_source_space(pos=float(spacing), sphere=sphere, sphere_units="m")
    forward = mne.make_forward_solution(info, None, src, sphere, meg=False)
    problem = InverseProblem.from_evoked(
        recording.evoked, forward, recording.noise_cov, tmin=0.05, tmax=0.35
    )
    model = MixedNormIC(n_orient=problem.n_orient).fit(problem.X, problem.y)
    found = problem.find_locations(model)
    nearest = 1e3 * np.linalg.norm(truth[:, np.newaxis] - found, axis=2).min(axis=1)
    distances = ", ".join(f"{distance:.0f}" for distance in nearest)
    print(f"{spacing:4} mm   {forward['nsource']:9}   {model.n_active_:7}   {distances}")

# %%
# A spacing of 20 mm is too coarse: no position has the field of a true source, and several
# positions together imitate it. With 10 and 7 mm, the three sources are found.
#
# Where else could they be?
# -------------------------
# The region of a source holds the positions that explain its part of the data almost as well.
# ``radius_mm`` is the distance from the source to the farthest of them. The index of the table is
# the position; regions are in ascending order of positions.

confidence = problem.compute_confidence(model)  # of the grid of 7 mm
table = problem.to_data_frame(model, confidence=confidence)
print(table[["x_mm", "y_mm", "z_mm", "amplitude_nAm", "latency_ms", "radius_mm"]].round())
for position, region in zip(confidence.positions, confidence.regions, strict=True):
    print(f"region of {position}: {region.sum()} positions, {region.sum() * 0.7**3:.1f} cubic cm")

# %%
# The figure shows the grid from three sides, and each region in the colour of its source.

SourceDisplay.from_estimator(model, problem, confidence=confidence)

# %%
# The source estimate
# -------------------
# It has only the vertices of the sources. Their numbers refer to all points of the grid, in the
# head or not. ``pick_ori="vector"`` gives the current with its direction, which free orientation
# finds in the data.

stc = problem.to_source_estimate(model, pick_ori="vector")
print(stc)
for vertex, current in zip(stc.vertices[0], stc.data, strict=True):
    peak = np.linalg.norm(current, axis=0).argmax()
    print(
        f"vertex {vertex} at {1e3 * src[0]['rr'][vertex]} mm: "
        f"{(1e9 * current[:, peak]).round()} nAm at {1e3 * stc.times[peak]:.0f} ms"
    )
plt.show()
