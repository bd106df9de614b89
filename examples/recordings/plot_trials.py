"""
Are sources stable over trials?
===============================

A real source should also be found in other trials. This example divides the epochs into folds. It
chooses alpha by cross-validation over trials, and looks for the sources in each fold::

    python examples/recordings/plot_trials.py
"""

import matplotlib.pyplot as plt
import mne
import numpy as np
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, GroupKFold

from skmxne import InverseProblem, MixedNormCV, MixedNormEstimator, SelectionDisplay
from skmxne.datasets import make_recording

mne.set_log_level("WARNING")
recording = make_recording(n_sources=3)
epochs = recording.epochs.crop(0.05, 0.35)

# %%
# Folds of trials
# ---------------
# ``problem.X`` and ``problem.y`` belong to the average of all epochs. ``y_folds`` has the average
# of each fold. If the epochs have several conditions, each fold has its share of each of them.

problem = InverseProblem.from_epochs(
    epochs, recording.forward, recording.noise_cov, loose=0.2, n_folds=5
)
print(f"{len(epochs)} epochs, X {problem.X.shape}, y {problem.y.shape}")
print(f"y_folds {problem.y_folds.shape}, share of each fold {problem.fold_weights.round(2)}")

# %%
# Cross-validation over trials
# ----------------------------
# A model is fitted to the average of some trials and tested on the average of the others, at all
# sensors. ``one_standard_error=True`` takes the sparsest model whose error is within one standard
# error of the smallest.

model = MixedNormCV(n_orient=3, n_mxne_iter=10, eps=0.05, one_standard_error=True)
model.fit(problem.X, problem.y, y_folds=problem.y_folds, fold_weights=problem.fold_weights)
print(f"alpha = {model.alpha_:.0f} %, {model.n_active_} sources")
SelectionDisplay.from_estimator(model, folds=True)

# %%
# Are the sources found in every fold?
# ------------------------------------
# The model with the chosen alpha is fitted to each fold alone, with fewer trials and more noise. A
# source that most folds find does not depend on a few trials.

estimator = MixedNormEstimator(model.alpha_, n_orient=3, n_mxne_iter=10)
fits = [clone(estimator).fit(problem.X, y) for y in problem.y_folds]

all_trials = problem.find_locations(model) * 1e3
of_folds = [problem.find_locations(each) * 1e3 for each in fits]
true = problem.find_locations(recording.stc) * 1e3
for k, place in enumerate(all_trials, start=1):
    nearest = [np.linalg.norm(found - place, axis=1).min(initial=np.inf) for found in of_folds]
    distances = ", ".join(f"{each:.0f}" for each in nearest)
    print(f"source {k}: distance to the nearest source of each fold (mm): {distances}")

fig, ax = plt.subplots(figsize=(7.5, 5.5), layout="constrained")
ax.plot(*recording.forward["source_rr"][:, :2].T * 1e3, ".", color="0.85", markersize=1)
for k, found in enumerate(of_folds):
    label = "one fold" if k == 0 else None
    ax.plot(*found[:, :2].T, "o", color="#0072B2", alpha=0.5, markersize=7, label=label)
ax.plot(
    *all_trials[:, :2].T, "s", color="#D55E00", fillstyle="none", markersize=13, label="all trials"
)
ax.plot(*true[:, :2].T, "kx", markersize=9, label="true")
ax.set(aspect="equal", xlabel="x (mm), to the right", ylabel="y (mm), to the front")
fig.legend(loc="outside right upper", frameon=False)

# %%
# GridSearchCV over trials
# ------------------------
# ``to_folds`` stacks the rows of all folds, so that any search of scikit-learn can leave out one
# fold at a time. This needs the memory of one ``X`` per fold.

X, y, groups = problem.to_folds()
search = GridSearchCV(
    MixedNormEstimator(n_orient=3, n_mxne_iter=10), {"alpha": [60, 40, 20, 5]}, cv=GroupKFold(5)
)
search.fit(X, y, groups=groups)
print(f"GridSearchCV: alpha = {search.best_params_['alpha']} %")
print(problem.to_source_estimate(search))
plt.show()
