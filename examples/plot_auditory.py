"""
Sources of a recorded auditory response
=======================================

A tone in the left ear is heard on both sides of the brain about 90 ms later. Where, and how
strongly? This example finds out in the "sample" data of MNE, where they are on this machine (they
are not downloaded). Where they are not, it takes a simulated recording of two sources in their
place::

    python examples/plot_auditory.py
"""

import matplotlib.pyplot as plt
import mne
import numpy as np

from skmxne import InverseProblem, MixedNormIC
from skmxne.datasets import make_recording

mne.set_log_level("WARNING")

# %%
# The recording
# -------------
# Three objects of MNE: an average, a forward solution, and the noise covariance of single trials.

if mne.datasets.has_dataset("sample"):
    title = "tone in the left ear, recorded MEG"
    folder = mne.datasets.sample.data_path(download=False) / "MEG" / "sample"
    evoked = mne.read_evokeds(
        folder / "sample_audvis-ave.fif", condition="Left Auditory", baseline=(None, 0)
    )
    forward = mne.read_forward_solution(folder / "sample_audvis-meg-eeg-oct-6-fwd.fif")
    noise_cov = mne.read_cov(folder / "sample_audvis-cov.fif")
    evoked.pick("meg", exclude="bads")
    tmin, tmax = 0.05, 0.15
else:
    title = "simulated EEG of two sources"
    recording = make_recording(n_sources=2)
    evoked, forward, noise_cov = recording.evoked, recording.forward, recording.noise_cov
    tmin, tmax = 0.05, 0.35
print(f"{title}: {len(evoked.ch_names)} channels, {evoked.nave} trials")

# %%
# The sources
# -----------
# The number of trials and the covariance tell the level of the noise. `MixedNormIC` adds sources
# as long as they explain more than noise would, and more than errors of the head model leave. Times
# before 0 stay in the average: they show whether covariance and number of trials are right.

problem = InverseProblem.from_evoked(evoked, forward, noise_cov, loose=0.2, tmin=tmin, tmax=tmax)
model = MixedNormIC(n_orient=problem.n_orient).fit(problem.X, problem.y)
dipoles = problem.to_dipoles(model)
residual = problem.to_residual(model)
print(
    f"{len(dipoles)} sources at alpha = {model.alpha_:.0f} % explain "
    f"{problem.explained_variance(model):.0f} % of the whitened data, noise included"
)
print("source   x, y, z (mm)        peak (nAm)   at (ms)")
for k, dipole in enumerate(dipoles, start=1):
    peak = np.argmax(dipole.amplitude)
    x, y, z = dipole.pos[peak] * 1e3
    print(
        f"{k:6}   {x:4.0f}, {y:4.0f}, {z:4.0f}   {dipole.amplitude[peak] * 1e9:12.1f}   "
        f"{dipole.times[peak] * 1e3:7.0f}"
    )

# %%
# What they explain
# -----------------
# Top: all channels, as recorded, and what the sources leave of them: if the model is good, that
# looks like noise. Bottom: where the sources are, seen from the top, and how strong over time.

colors = "#0072B2", "#E69F00", "#000000", "#CC79A7", "#009E73", "#56B4E9", "#D55E00"
patterns = "-", "--", "-.", ":"
kind, unit, scale = ("grad", "fT/cm", 1e13) if "grad" in evoked else ("eeg", "µV", 1e6)

fig = plt.figure(figsize=(10, 7), layout="constrained")
grid = fig.add_gridspec(2, 2)
top = grid[0, :].subgridspec(1, 2).subplots(sharey=True)
for ax, name, data in zip(
    top, ("data", "residual"), (evoked.crop(tmin, tmax), residual), strict=True
):
    ax.plot(data.times * 1e3, data.get_data(kind).T * scale, color="0.4", linewidth=0.6)
    ax.set(title=f"{name} ({kind})", xlabel="time (ms)")
    ax.margins(x=0)
top[0].set_ylabel(f"field ({unit})")

ax = fig.add_subplot(grid[1, 0], aspect="equal", title="positions, front up")
ax.plot(*forward["source_rr"][:, :2].T * 1e3, ".", color="0.85", markersize=1)
ax_time = fig.add_subplot(
    grid[1, 1], title="amplitudes", xlabel="time (ms)", ylabel="amplitude (nAm)"
)
for k, dipole in enumerate(dipoles):
    color = colors[k % len(colors)]
    x, y, _ = dipole.pos[0] * 1e3
    ax.plot(x, y, "o", color=color)
    ax.annotate(f"{k + 1}", (x, y), (6, 6), textcoords="offset points")
    style = dict(color=color, linestyle=patterns[k % len(patterns)])
    ax_time.plot(dipole.times * 1e3, dipole.amplitude * 1e9, label=f"source {k + 1}", **style)
ax.set(xlabel="x (mm), right positive", ylabel="y (mm)")
ax_time.margins(x=0)
ax_time.legend(loc="center left", bbox_to_anchor=(1, 0.5))
fig.suptitle(title)
plt.show()
