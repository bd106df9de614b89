"""
How sure am I?
==============

A point on the cortex is no result without an error bar. Where else could a source be, could it be
noise, is it there in other trials, and what would have been missed::

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
# Twelve trials, three sources of 40 nAm. As in a real brain, sources are not at positions that the
# model has: it gets every second one.

vertices = [space["vertno"][::2] for space in recording.forward["src"]]
some = mne.SourceEstimate(np.zeros((sum(map(len, vertices)), 1)), vertices, 0, 1)
forward = mne.forward.restrict_forward_to_stc(recording.forward, some)
problem = InverseProblem.from_epochs(
    recording.epochs, forward, recording.noise_cov, loose=0.2, tmin=0.05, tmax=0.35
)

# %%
# With an alpha that is too small, the model has too many sources. Which are to be believed?

model = MixedNormEstimator(alpha=30, n_orient=3, n_mxne_iter=10).fit(problem.X, problem.y)
confidence = problem.compute_confidence(model)
print(confidence)

# %%
# Where else could each source be?
# --------------------------------
# The region of a source holds the positions that explain its part of the data almost as well, given
# the other sources. Regions are drawn in the colour of their source. They follow the cortex, and
# need not be round or in one piece. "Within" is the distance from the source to the farthest
# position of its region.

SourceDisplay.from_estimator(model, problem, confidence=confidence, n_labelled=3)

# %%
# Could it be noise?
# ------------------
# The p-value compares what a source adds to the stronger ones with the most that any position
# explains in noise. With epochs, noise is made of the trials: averages in which half of them count
# negatively, so that the response cancels. Three sources pass. This recording is simulated, so that
# we can look: these are the ones near a true source.

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
# The model is fitted again without one fold of trials after the other: the share of these fits that
# find a source within 1 cm. It is no substitute for a p-value: what all folds share, errors of the
# head model and an alpha that is too small, is found in all of them; and a source that is real, but
# whose region is large, may be found elsewhere in it. The values are in the order of
# ``confidence.positions``, those of the table go by amplitude.

table["stability"] = dict(zip(confidence.positions, problem.compute_stability(model), strict=True))
columns = ["amplitude_nAm", "p_value", "radius_mm", "stability", "to_true_mm"]
print(table[columns].round(3))

# %%
# What would have been missed?
# ----------------------------
# How strong a source would have to be, at each position, to be found in 80 % of such recordings by
# the default of `MixedNormIC`. EEG sees sources near the electrodes best.

weakest = problem.to_detectability(model, power=0.8)
fig, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
for ax, across, name in zip(axes, [0, 1], ["from the back", "from the right"], strict=True):
    order = np.argsort(-weakest.data[:, 0])  # the most visible on top
    points = ax.scatter(
        *1e3 * problem.locations[order][:, [across, 2]].T,
        c=1e9 * weakest.data[order, 0],
        s=6,
        cmap="viridis_r",
        vmax=1e9 * np.quantile(weakest.data, 0.95),
    )
    ax.set(title=name, xlabel=f"{'xy'[across]} (mm)", ylabel="z (mm)", aspect="equal")
fig.colorbar(points, label="weakest source that is found (nAm)", extend="max")
print(f"median over the cortex: {1e9 * np.median(weakest.data):.0f} nAm")
plt.show()
