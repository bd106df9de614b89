"""
How sure am I?
==============

A point on the cortex is no result without an error bar. Where else could a source be, could it be
noise, what would have been missed, and is it there in other trials::

    python examples/plot_confidence.py
"""

import matplotlib.pyplot as plt
import mne
import numpy as np

from skmxne import InverseProblem, MixedNormIC, SourceDisplay
from skmxne.datasets import make_recording

mne.set_log_level("WARNING")
recording = make_recording(n_sources=3, n_trials=40, amplitude=40e-9)
problem = InverseProblem.from_epochs(
    recording.epochs, recording.forward, recording.noise_cov, loose=0.2, tmin=0.05, tmax=0.35
)
model = MixedNormIC(n_orient=3, target_covariance=problem.target_covariance)
model.fit(problem.X, problem.y)

# %%
# Where else could each source be?
# --------------------------------
# The region of a source holds all positions that explain its part of the data almost as well, given
# the other sources: up to what noise and errors of the forward model may do. Regions are drawn in
# the colour of their source. They follow the cortex and need not be round, nor in one piece.

confidence = problem.compute_confidence(model)
SourceDisplay.from_estimator(model, problem, confidence=confidence)
print(problem.to_data_frame(model, confidence=confidence).round(3).T)

# %%
# This recording is simulated, so that we can look.

true = np.concatenate(
    [
        space["rr"][vertices]
        for space, vertices in zip(recording.forward["src"], recording.stc.vertices, strict=True)
    ]
)
for k, position in enumerate(confidence.positions):
    distances = np.linalg.norm(true - problem.locations[position], axis=1)
    nearest = true[distances.argmin()]
    region = problem.locations[confidence.regions[k]]
    gap = np.linalg.norm(region - nearest, axis=1).min()
    print(
        f"source at position {position}: {len(region)} positions in its region; the true source is "
        f"{1e3 * distances.min():.0f} mm from the source, {1e3 * gap:.0f} mm from the region"
    )

# %%
# Could it be noise?
# ------------------
# The p-value compares what a source explains with the most that any position explains in noise.
# With epochs, noise is made of the trials: averages in which half of them count negatively, so that
# the response cancels. A p-value does not say that the place is right: see its region.

for position, p in zip(confidence.positions, confidence.p_values, strict=True):
    print(f"source at position {position}: p {'< 0.001' if p < 0.001 else f'= {p:.3f}'}")

# %%
# Is it there in other trials?
# ----------------------------
# The model is fitted again without one fold of trials after the other. The share of these fits that
# find a source within 1 cm:

print(problem.compute_stability(model))

# %%
# What would have been missed?
# ----------------------------
# How strong a source would have to be, at each position, to be found in 80 % of such recordings.
# EEG sees sources near the electrodes best.

weakest = problem.to_detectability(model, power=0.8)
fig, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
for ax, across, name in zip(axes, [0, 1], ["from the back", "from the right"], strict=True):
    order = np.argsort(-weakest.data[:, 0])  # the most visible on top
    points = ax.scatter(
        *1e3 * problem.locations[order][:, [across, 2]].T,
        c=1e9 * weakest.data[order, 0],
        s=4,
        cmap="viridis_r",
        vmax=1e9 * np.quantile(weakest.data, 0.95),
    )
    ax.set(title=name, xlabel=f"{'xy'[across]} (mm)", ylabel="z (mm)", aspect="equal")
fig.colorbar(points, label="weakest source that is found (nAm)", extend="max")
print(f"median over the cortex: {1e9 * np.median(weakest.data):.0f} nAm")
plt.show()
