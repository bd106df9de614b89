"""
How many sources? Criteria and cross-validation
===============================================

``alpha`` decides how many sources a model has. Here four ways to choose it look at the same
recording, whose four sources are known, and whose noise is correlated in time, as that of
low-passed recordings is::

    python examples/choices/plot_choose_alpha.py
"""

import warnings

import matplotlib.pyplot as plt
import mne
import numpy as np

from skmxne import InverseProblem, MixedNormCV, MixedNormIC, PathDisplay, SelectionDisplay
from skmxne.datasets import make_recording

mne.set_log_level("WARNING")
recording = make_recording(n_sources=4, autocorrelation=0.9)
epochs = recording.epochs.crop(0.05, 0.35)
problem = InverseProblem.from_epochs(
    epochs, recording.forward, recording.noise_cov, loose=0.2, n_folds=5
)

# %%
# Four ways to choose
# -------------------
# Criteria judge the models of one path. "ric" asks how many positions the data support, counts how
# many times are independent in the noise, and searches on from there, for positions that are on no
# path. "bic" and "sure" take all times for independent, which is wrong here. Cross-validation fits
# a path to some trials, and judges it by the others.

models = {
    "ric": MixedNormIC(n_orient=3, criterion="ric"),
    "bic": MixedNormIC(n_orient=3, criterion="bic"),
    "sure": MixedNormIC(n_orient=3, criterion="sure"),
    "trials": MixedNormCV(n_orient=3, n_mxne_iter=10, eps=0.05, one_standard_error=True),
}
with warnings.catch_warnings():
    # That a choice is at the edge of the grid shows below.
    warnings.simplefilter("ignore", UserWarning)
    for name, model in models.items():
        folds = {}
        if name == "trials":
            folds = dict(y_folds=problem.y_folds, fold_weights=problem.fold_weights)
        model.fit(problem.X, problem.y, **folds)

# %%
# How near are they to the truth?

true = problem.find_locations(recording.stc) * 1e3
print("chosen by   alpha (%)   sources   true sources found within 15 mm")
for name, model in models.items():
    found = problem.find_locations(model) * 1e3
    distances = np.linalg.norm(true[:, np.newaxis] - found, axis=2)
    n_found = np.sum(distances.min(axis=1) < 15)
    print(f"{name:9}   {model.alpha_:9.1f}   {model.n_active_:7}   {n_found} of {len(true)}")
times = f"{models['ric'].n_independent_targets_:.0f} of {problem.y.shape[1]}"
print(f"independent times in the noise, as 'ric' counts them: {times}")

# %%
# What they looked at
# -------------------
# Each curve has its minimum at the alpha chosen on the path; cross-validation takes the sparsest
# model that is as good as the best within the standard error. Below, the number of sources, and,
# as a star, the model after the search.

fig = plt.figure(figsize=(9.5, 8.5), layout="constrained")
for part, (name, model) in zip(fig.subfigures(2, 2).flat, models.items(), strict=True):
    axes = part.subplots(2, sharex=True, height_ratios=[2, 1])
    SelectionDisplay.from_estimator(model, ax=axes)
    axes[0].set(title=name, xlabel="")

# %%
# The path
# --------
# The same path seen from the sources: how strong each is. Over a wide range of alphas there are
# four strong ones, though a neighbour may take the place of one. What comes in at the end is weak.

PathDisplay.from_estimator(models["ric"], problem.X, problem.y, n_labelled=6)
plt.show()
