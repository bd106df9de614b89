"""
MxNE and dSPM of the same recording
===================================

dSPM gives a value at every position of the cortex, MxNE gives a few sources. This example computes
both from one recording whose true sources are known, and compares maps, peaks and distances::

    python examples/recordings/plot_dspm.py
"""

import matplotlib.pyplot as plt
import mne
import numpy as np
from mne.minimum_norm import apply_inverse, make_inverse_operator

from skmxne import InverseProblem, MixedNormIC
from skmxne.datasets import make_recording

mne.set_log_level("WARNING")

# %%
# One recording
# -------------
# Three sources of 30 nAm, one after the other. As in a real brain, sources need not be at positions
# of the source space: both methods get only every second position.

recording = make_recording(n_sources=3, amplitude=30e-9)
vertices = [space["vertno"][::2] for space in recording.forward["src"]]
some = mne.SourceEstimate(np.zeros((sum(map(len, vertices)), 1)), vertices, 0, 1)
forward = mne.forward.restrict_forward_to_stc(recording.forward, some)
evoked, noise_cov, truth = recording.evoked, recording.noise_cov, recording.stc
spaces = zip(recording.forward["src"], truth.vertices, strict=True)
true = 1e3 * np.vstack([space["rr"][used] for space, used in spaces])
peaks = np.abs(truth.data).argmax(axis=1)

# %%
# dSPM
# ----
# The usual settings of MNE. A dSPM value is the ratio of the estimate to its noise, without a unit.
# We look at the maps at the times when a true source has its peak. eLORETA is another estimate from
# the same inverse operator.

inverse = make_inverse_operator(evoked.info, forward, noise_cov, loose=0.2, depth=0.8)
estimates = [apply_inverse(evoked, inverse, 1 / 9, method) for method in ("dSPM", "eLORETA")]
maps, others = (estimate.data[:, peaks].T for estimate in estimates)

# %%
# MxNE
# ----
# The criterion decides how many sources there are. The amplitudes are in A m. Each source has a
# region where it could be.

problem = InverseProblem.from_evoked(evoked, forward, noise_cov, loose=0.2, tmin=0.05, tmax=0.35)
model = MixedNormIC(n_orient=problem.n_orient).fit(problem.X, problem.y)
confidence = problem.compute_confidence(model)
places, found = 1e3 * problem.locations, 1e3 * problem.find_locations(model)
print(f"dSPM: {maps.shape[1]} values at each time. MxNE: {len(found)} sources")

# %%
# Where the peaks are
# -------------------
# How far from the true source are the maximum of each map, and the nearest source of MxNE? How many
# positions are above half of the maximum of dSPM, and how many are in the region of the source?

nearest = np.linalg.norm(true[:, np.newaxis] - found, axis=2).argmin(axis=1)
print("  time      distance (mm) of dSPM  eLORETA  MxNE   positions: dSPM  MxNE")
for k, place in enumerate(true):
    points = places[maps[k].argmax()], places[others[k].argmax()], found[nearest[k]]
    dspm, eloreta, mxne = np.linalg.norm(np.array(points) - place, axis=1)
    n_half, n_region = np.sum(maps[k] > maps[k].max() / 2), confidence.regions[nearest[k]].sum()
    time = f"{1e3 * truth.times[peaks[k]]:.0f} ms"
    print(f"{time}  {dspm:22.0f}  {eloreta:7.0f}  {mxne:4.0f}  {n_half:16}  {n_region:4}")

# %%
# The maxima of eLORETA are as near as the sources of MxNE, but here we knew how many to look for,
# and when. The maps are blurred: they show activity at the resolution of the method. The positions
# above half of the maximum are not its extent, and neither is a region: all true sources are
# points. MxNE would give points for extended activity, too.

fig, axes = plt.subplots(2, 3, figsize=(9, 6.5), sharex=True, sharey=True, layout="constrained")
for k, (upper, lower) in enumerate(axes.T):
    order = np.argsort(maps[k])  # the largest on top
    style = dict(c=maps[k, order], s=8, cmap="magma_r", vmin=0, vmax=maps.max())
    points = upper.scatter(*places[order, :2].T, **style)
    lower.plot(*places[:, :2].T, ".", color="0.85", markersize=2)
    lower.plot(*places[confidence.regions[nearest[k]], :2].T, ".", color="#E69F00", label="region")
    lower.plot(*found[nearest[k], :2], "o", color="#0072B2", label="MxNE source")
    for ax, name in [(upper, "dSPM"), (lower, "MxNE")]:
        ax.plot(*true[k, :2], "x", color="#009E73", markersize=9, markeredgewidth=2, label="true")
        ax.set(aspect="equal", title=f"{name}, {1e3 * truth.times[peaks[k]]:.0f} ms")
fig.supxlabel("x (mm), right positive")
fig.supylabel("y (mm), front up")
fig.colorbar(points, ax=axes, shrink=0.5, label="dSPM value")
fig.legend(*lower.get_legend_handles_labels(), loc="outside upper right", ncols=3, frameon=False)
plt.show()
