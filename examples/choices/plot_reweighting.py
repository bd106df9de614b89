"""
Why are amplitudes too small? Reweighting and debiasing
=======================================================

The penalty makes a model sparse, but it also shrinks the amplitudes. There are two remedies:
reweighting and debiasing. This example compares them on a simulated recording::

    python examples/choices/plot_reweighting.py
"""

import matplotlib.pyplot as plt
import mne
import numpy as np
from matplotlib.lines import Line2D

from skmxne import InverseProblem, MixedNormEstimator
from skmxne.datasets import make_recording

mne.set_log_level("WARNING")
recording = make_recording(n_sources=3)
evoked = recording.evoked.crop(0.05, 0.35)
truth = recording.stc.crop(0.05, 0.35)
problem = InverseProblem.from_evoked(evoked, recording.forward, recording.noise_cov, loose=0.2)

# %%
# Four models
# -----------
# All have the same alpha. Reweighting (``n_mxne_iter=10``) penalises the square root of the norm of
# each source instead of the norm. This shrinks strong sources less and removes weak ones. Debiasing
# keeps the positions and multiplies each source by a factor that undoes the shrinkage.

models = {
    "MxNE": MixedNormEstimator(30, n_orient=3, debias=False),
    "MxNE, debiased": MixedNormEstimator(30, n_orient=3),
    "irMxNE": MixedNormEstimator(30, n_orient=3, n_mxne_iter=10, debias=False),
    "irMxNE, debiased": MixedNormEstimator(30, n_orient=3, n_mxne_iter=10),
}
print("model              sources   largest amplitude (nAm)   explained (%)")
for name, model in models.items():
    model.fit(problem.X, problem.y)
    peak = problem.to_source_estimate(model).data.max() * 1e9
    explained = problem.explained_variance(model)
    print(f"{name:16}   {model.n_active_:7}   {peak:23.0f}   {explained:13.0f}")
print(f"{'truth':16}   {len(truth.data):7}   {np.abs(truth.data).max() * 1e9:23.0f}")

# %%
# Are the amplitudes right?
# -------------------------
# With MxNE all amplitudes are too small. The last source is split into two neighbours with half of
# the amplitude each, and a fifth source, next to the first, is hardly visible. Debiasing corrects
# the amplitudes of the first two sources, but cannot merge the neighbours. Reweighting finds one
# source for each true one, slightly too weak, and debiasing corrects this.

fig, axes = plt.subplots(2, 2, figsize=(9, 6), sharex=True, sharey=True, layout="constrained")
for ax, (name, model) in zip(axes.flat, models.items(), strict=True):
    stc = problem.to_source_estimate(model)
    ax.plot(truth.times * 1e3, np.abs(truth.data).T * 1e9, color="black", linestyle=":")
    ax.plot(stc.times * 1e3, stc.data.T * 1e9, color="#0072B2", linewidth=1)
    ax.set(title=f"{name}: {model.n_active_} sources")
found = Line2D([], [], color="#0072B2", label="found")
true = Line2D([], [], color="black", linestyle=":", label="true")
fig.supxlabel("time (ms)")
fig.supylabel("amplitude (nAm)")
fig.legend(handles=[found, true], loc="outside upper center", ncols=2)

# %%
# How many iterations does reweighting need?
# ------------------------------------------
# Each iteration solves a convex problem with a certificate. The objective, with the square roots,
# falls from one iteration to the next and is soon constant.

objective = np.array(models["irMxNE"].objective_)
fig, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
ax.plot(np.arange(1, len(objective) + 1), objective / objective[0], "o-", color="#0072B2")
ax.set(xlabel="number of convex problems", ylabel="objective (1: after the first)")
ax.set_xticks(range(1, len(objective) + 1))
plt.show()
