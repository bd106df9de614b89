"""
How do I tune depth, loose and alpha with GridSearchCV?
=======================================================

``depth`` sets how much to favour deep positions, ``loose`` how far currents may turn away from the
normal, and ``alpha`` how many sources there are. With a pipeline, one `GridSearchCV` tunes all
three::

    python examples/choices/plot_search_depth.py
"""

import matplotlib.pyplot as plt
import mne
import numpy as np
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import Pipeline

from skmxne import InverseProblem, MixedNormEstimator, SourceWeighting
from skmxne.datasets import make_recording

mne.set_log_level("WARNING")
recording = make_recording(n_sources=3)
evoked = recording.evoked.crop(0.05, 0.35)

# %%
# A pipeline with the weights
# ---------------------------
# The problem has no weights. `SourceWeighting` computes them from the rows of ``X`` that it is
# fitted to: in cross-validation, from the training rows.

problem = InverseProblem.from_evoked(
    evoked, recording.forward, recording.noise_cov, depth=None, loose=1
)
model = MixedNormEstimator(n_orient=3, n_mxne_iter=5)
pipeline = Pipeline([("weighting", SourceWeighting(n_orient=3)), ("model", model)])

# %%
# The search
# ----------
# The rows of ``X`` are virtual sensors, whose noise is independent. Each fold leaves out a random
# part of them. A model that predicts the left-out sensors has found more than noise.

depths, looses, alphas = [0, 0.5, 1], [0.1, 1], [70, 50, 30, 15]
grid = {"weighting__depth": depths, "weighting__loose": looses, "model__alpha": alphas}
search = GridSearchCV(pipeline, grid, cv=KFold(5, shuffle=True, random_state=0))
search.fit(problem.X, problem.y)
print("best:", search.best_params_)
print(f"R^2 on left-out sensors: {search.best_score_:.2f}")

# %%
# Which parameters matter?
# ------------------------
# If the score hardly changes with a parameter, the data do not determine it. Then use the default.

scores = search.cv_results_["mean_test_score"].reshape(len(alphas), len(depths), len(looses))
fig, axes = plt.subplots(1, len(looses), figsize=(9, 3.6), sharey=True, layout="constrained")
best = search.best_params_
for k, (ax, loose) in enumerate(zip(axes, looses, strict=True)):
    image = ax.imshow(scores[..., k].T, vmin=scores.min(), vmax=scores.max(), cmap="cividis")
    ax.set(title=f"loose = {loose}", xlabel="alpha (%)")
    ax.set_xticks(range(len(alphas)), alphas)
    ax.set_yticks(range(len(depths)), depths)
    if loose == best["weighting__loose"]:
        place = alphas.index(best["model__alpha"]), depths.index(best["weighting__depth"])
        ax.plot(*place, "o", color="white", markeredgecolor="black", markersize=10)
axes[0].set_ylabel("depth")
fig.colorbar(image, ax=axes, label="R² on left-out sensors\n(dot: best)")

# %%
# The sources
# -----------
# `InverseProblem` accepts a fitted search like a model.

found = problem.find_locations(search) * 1e3
for place in problem.find_locations(recording.stc) * 1e3:
    nearest = np.linalg.norm(found - place, axis=1).min(initial=np.inf)
    print(f"true source at {place.round().astype(int)} mm, nearest found: {nearest:.0f} mm away")
plt.show()
