"""
How certain are the sources?
============================

A source needs an error bar. This example asks four questions: Where else could a source be? Could
it be noise? Is it found in other trials? Which sources could the model have missed? ::

    python examples/recordings/plot_confidence.py
"""

import matplotlib.pyplot as plt
import mne
import numpy as np

from skmxne import InverseProblem, MixedNormEstimator, SourceDisplay
from skmxne.datasets import make_recording

mne.set_log_level("WARNING")
recording = make_recording(n_sources=3, n_trials=12, amplitude=40e-9)

# %%
# Twelve trials, three sources of 40 nAm. In a real brain, sources lie between the positions of the
# source space. To imitate this, the model gets only every second position.

vertices = [space["vertno"][::2] for space in recording.forward["src"]]
some = mne.SourceEstimate(np.zeros((sum(map(len, vertices)), 1)), vertices, 0, 1)
forward = mne.forward.restrict_forward_to_stc(recording.forward, some)
problem = InverseProblem.from_epochs(
    recording.epochs, forward, recording.noise_cov, loose=0.2, tmin=0.05, tmax=0.35
)

# %%
# Here alpha is too small, so the model has too many sources. Which of them are real?

model = MixedNormEstimator(alpha=30, n_orient=3, n_mxne_iter=10).fit(problem.X, problem.y)
confidence = problem.compute_confidence(model)
print(confidence)

# %%
# Where else could each source be?
# --------------------------------
# The region of a source holds the positions that explain its part of the data almost as well, given
# the other sources. It has the colour of its source. Regions follow the folds of the cortex, and
# need not be round or in one piece. "Within" is the distance from the source to the farthest
# position of its region.

SourceDisplay.from_estimator(model, problem, confidence=confidence, n_labelled=3)

# %%
# Could it be noise?
# ------------------
# The p-value compares what a source adds to the stronger ones with the most that any position
# explains in noise. With epochs, the noise is made from the trials: they are averaged, half of them
# with a minus sign, so that the response cancels. Three sources have p < 0.05. The recording is
# simulated, so we can check: each of the three is less than 6 mm from a true source.

table = problem.to_data_frame(model, confidence=confidence)
true = np.concatenate(
    [
        space["rr"][found]
        for space, found in zip(recording.forward["src"], recording.stc.vertices, strict=True)
    ]
)
places = table[["x_mm", "y_mm", "z_mm"]].to_numpy() / 1e3
distances = np.linalg.norm(places[:, np.newaxis] - true, axis=2)
table["to_true_mm"] = 1e3 * distances.min(axis=1)

# %%
# Is it there in other trials?
# ----------------------------
# The model is fitted again, each time without one fold of trials. The stability is the share of
# these fits that find a source within 1 cm. It does not replace a p-value. Errors of the head model
# or an alpha that is too small are the same in all fits, so a ghost may have a high stability. A
# real source may have a low one, if the fits find it elsewhere in its region. The values are in the
# order of ``confidence.positions``; the table is sorted by amplitude.

table["stability"] = dict(zip(confidence.positions, problem.compute_stability(model), strict=True))
columns = ["amplitude_nAm", "p_value", "radius_mm", "stability", "to_true_mm"]
print(table[columns].round(3))

# %%
# Which sources could have been missed?
# -------------------------------------
# The map shows, for each position, the amplitude that a source needs to be found in 80 % of such
# recordings by `MixedNormIC` with default parameters. EEG detects sources near the electrodes best.

weakest = problem.to_detectability(model, power=0.8)
fig, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
for ax, across, name in zip(axes, [0, 1], ["from the back", "from the right"], strict=True):
    order = np.argsort(-weakest.data[:, 0])  # the lowest amplitudes on top
    points = ax.scatter(
        *1e3 * problem.locations[order][:, [across, 2]].T,
        c=1e9 * weakest.data[order, 0],
        s=6,
        cmap="viridis_r",
        vmax=1e9 * np.quantile(weakest.data, 0.95),
    )
    ax.set(title=name, xlabel=f"{'xy'[across]} (mm)", ylabel="z (mm)", aspect="equal")
fig.colorbar(points, label="detectable amplitude (nAm)", extend="max")
print(f"detectable amplitude, median over the cortex: {1e9 * np.median(weakest.data):.0f} nAm")
plt.show()
