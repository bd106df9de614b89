"""
From three files to a figure for a paper
========================================

You have an average, a forward solution and a noise covariance, in files of MNE. This example reads
them, finds the sources, checks them, and writes figures and tables. The files here are simulated;
replace their names by yours::

    python examples/recordings/plot_own_files.py
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import mne

from skmxne import FieldDisplay, InverseProblem, MixedNormIC, SourceDisplay
from skmxne.datasets import make_recording

mne.set_log_level("WARNING")

# %%
# The files
# ---------
# Leave this step out if you have files. The average has times before 0, which show whether the
# noise covariance and the number of trials are right. The covariance is that of single trials.

folder = Path(tempfile.mkdtemp())
recording = make_recording(n_sources=2)
recording.evoked.comment = "tone"
recording.evoked.save(folder / "my-ave.fif")
mne.write_forward_solution(folder / "my-fwd.fif", recording.forward)
mne.write_cov(folder / "my-cov.fif", recording.noise_cov)

# %%
# Reading
# -------
# ``baseline=(None, 0)`` subtracts the mean before 0, and ``pick`` chooses the sensors. EEG needs an
# average reference as a projector, as this file has: ``evoked.set_eeg_reference(projection=True)``.

evoked = mne.read_evokeds(folder / "my-ave.fif", condition="tone", baseline=(None, 0))
evoked.pick("eeg")
forward = mne.read_forward_solution(folder / "my-fwd.fif")
noise_cov = mne.read_cov(folder / "my-cov.fif")
print(evoked)

# %%
# The sources
# -----------
# ``tmin`` and ``tmax`` are the times to explain, during which sources stay at their places. The
# noise covariance and the number of trials determine the noise level, and `MixedNormIC` adds a
# source only if it explains more than noise. If there are warnings, read them first.

problem = InverseProblem.from_evoked(evoked, forward, noise_cov, loose=0.2, tmin=0.05, tmax=0.35)
model = MixedNormIC(n_orient=problem.n_orient).fit(problem.X, problem.y)
print(f"{model.n_active_} sources explain {problem.explained_variance(model):.0f} % of the data")
print(*model.remarks_, sep="\n")

# %%
# How certain
# -----------
# The table has the place of each source, the amplitude and time of its peak, the share of the data
# that it explains then, a p-value, and the radius of the region in which it could be.

confidence = problem.compute_confidence(model)
table = problem.to_data_frame(model, confidence=confidence)
print(table.drop(columns=["ori_x", "ori_y", "ori_z"]).round(3).T)

# %%
# The figure for the paper
# ------------------------
# The sources on the cortex, which is smoothed to show its sulci (dark). The colour around each
# source is its region.

display = SourceDisplay.from_estimator(model, problem, confidence=confidence)
display.figure_.savefig(folder / "sources.pdf")

# %%
# The check
# ---------
# The fields at the peak of each source: the data, the model, this source alone, and the residual.
# If the model is good, the residual looks like noise.

FieldDisplay.from_estimator(model, problem)
plt.show()

# %%
# Files for later
# ---------------
# The command ``skmxne localize`` writes the same, with a report and a paragraph on methods.

table.to_csv(folder / "sources.csv")
problem.to_source_estimate(model).save(folder / "sources")
problem.to_residual(model).save(folder / "residual-ave.fif")
print(*sorted(path.name for path in folder.iterdir()), sep="\n")
