"""
How many sources? Choosing alpha by a criterion or by cross-validation
======================================================================

``alpha`` determines how many sources a model has. This example compares four ways to choose it. The
recording is simulated and has four sources. Its noise is correlated in time, as after a low-pass
filter::

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
# Criteria judge the models of one path. "ric" estimates how many sources the data support and how
# many times are independent in the noise. It then searches for better positions, which need not be
# on the path. "bic" and "sure" assume that all times are independent, which is wrong here.
# Cross-validation fits a path to some trials and tests it on the others.

models = {
    "ric": MixedNormIC(n_orient=3, criterion="ric"),
    "bic": MixedNormIC(n_orient=3, criterion="bic"),
    "sure": MixedNormIC(n_orient=3, criterion="sure"),
    "trials": MixedNormCV(n_orient=3, n_mxne_iter=10, eps=0.05, one_standard_error=True),
}
with warnings.catch_warnings():
    # The figure below shows if a choice is at the edge of the grid.
    warnings.simplefilter("ignore", UserWarning)
    for name, model in models.items():
        folds = {}
        if name == "trials":
            folds = dict(y_folds=problem.y_folds, fold_weights=problem.fold_weights)
        model.fit(problem.X, problem.y, **folds)

# %%
# How many of the true sources does each model find?

true = problem.find_locations(recording.stc) * 1e3
print("chosen by   alpha (%)   sources   true sources found within 15 mm")
for name, model in models.items():
    found = problem.find_locations(model) * 1e3
    distances = np.linalg.norm(true[:, np.newaxis] - found, axis=2)
    n_found = np.sum(distances.min(axis=1) < 15)
    print(f"{name:9}   {model.alpha_:9.1f}   {model.n_active_:7}   {n_found} of {len(true)}")
times = f"{models['ric'].n_independent_targets_:.0f} of {problem.y.shape[1]}"
print(f"independent times in the noise, estimated by 'ric': {times}")

# %%
# Criteria and errors along the path
# ----------------------------------
# A criterion is lowest at the alpha that it chooses on the path. Cross-validation takes the
# sparsest model whose error is within one standard error of the smallest. Below is the number of
# sources. The star is the model after the search.

fig = plt.figure(figsize=(9.5, 8.5), layout="constrained")
for part, (name, model) in zip(fig.subfigures(2, 2).flat, models.items(), strict=True):
    axes = part.subplots(2, sharex=True, height_ratios=[2, 1])
    SelectionDisplay.from_estimator(model, ax=axes)
    axes[0].set(title=name, xlabel="")

# %%
# The path
# --------
# How strong is each source along the same path? Over a wide range of alphas there are four strong
# sources, although a neighbour may replace one of them. Most sources that appear last are weak.

PathDisplay.from_estimator(models["ric"], problem.X, problem.y, n_labelled=6)
plt.show()
