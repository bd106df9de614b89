"""
Reweighting and debiasing
=========================

The penalty that makes a model sparse also shrinks it. Two remedies, alone and together, on a
recording whose sources are known::

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
# All have the same alpha. Reweighting (``n_mxne_iter=10``) replaces the norm of a block by its
# root, which spares strong sources and removes weak ones. Debiasing leaves the positions as they
# are, and gives each a factor that undoes its shrinkage.

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
# What becomes of the amplitudes
# ------------------------------
# MxNE finds all sources too weak, and the last as two neighbours, each with half of it; a fifth,
# next to the first source, is hardly seen. Debiasing mends the amplitudes of the first two sources,
# but cannot make one of the neighbours. Reweighting finds one for each source, a little too weak,
# and debiasing mends that.

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
# How it gets there
# -----------------
# Each reweighting solves a convex problem with a certificate. The objective with the root falls
# from one to the next, and soon stays.

objective = np.array(models["irMxNE"].objective_)
fig, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
ax.plot(np.arange(1, len(objective) + 1), objective / objective[0], "o-", color="#0072B2")
ax.set(xlabel="convex problems solved", ylabel="objective (1: after the first)")
ax.set_xticks(range(1, len(objective) + 1))
plt.show()
