"""
Sources of a recorded auditory response
=======================================

A tone in the left ear is heard on both sides of the brain about 90 ms later. Where, and how
strongly? This example finds out in the "sample" data of MNE, where they are on this machine (they
are not downloaded). Where they are not, it takes a simulated recording of two sources in their
place::

    python examples/recordings/plot_auditory.py
"""

import matplotlib.pyplot as plt
import mne

from skmxne import FieldDisplay, InverseProblem, MixedNormIC, SourceDisplay
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
confidence = problem.compute_confidence(model)
print(
    f"{model.n_active_} sources at alpha = {model.alpha_:.0f} % explain "
    f"{problem.explained_variance(model):.0f} % of the whitened data, noise included"
)
table = problem.to_data_frame(model, confidence=confidence)
print(table.drop(columns=["ori_x", "ori_y", "ori_z"]).round(3).T)

# %%
# Where they are
# --------------
# On the cortex, which is smoothed so that sulci (dark) can be seen into. In the colour of each
# source is where else it could be.

SourceDisplay.from_estimator(model, problem, confidence=confidence)

# %%
# What the sensors see
# --------------------
# At the peak of each source: the data, the field of all sources together, that of this source
# alone, and what is left. If the model is good, no source shows in the residual.

FieldDisplay.from_estimator(model, problem)

# %%
# Over time, each line is a sensor, in the colour of its place on the head.

residual = problem.to_residual(model)
kind = "grad" if "grad" in residual else "eeg"
fig, axes = plt.subplots(2, figsize=(7, 6), sharex=True, sharey=True, layout="constrained")
style = dict(picks=kind, spatial_colors=True, time_unit="ms", show=False)
evoked.copy().crop(tmin, tmax).plot(axes=axes[0], titles="data", **style)
residual.plot(axes=axes[1], titles="residual", **style)
plt.show()
