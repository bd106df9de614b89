"""
Which variables matter in a sparse additive model?
==================================================

A block is a group of features that belong together. Here a block is the spline basis of a variable,
so the model keeps or drops the whole curve of a variable. There is no brain in this example, and
MNE is not needed::

    python examples/arrays/plot_block_sparse_regression.py
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer, StandardScaler

from skmxne import MixedNormCV, SelectionDisplay

# %%
# The data
# --------
# 200 samples of 30 variables. Three variables matter: each adds a curve to both targets.

rng = np.random.default_rng(0)
n_samples, n_variables = 200, 30
variables = rng.uniform(-1, 1, (n_samples, n_variables))
curves = {
    4: lambda x: np.column_stack([np.sin(4 * x), np.cos(4 * x)]),
    11: lambda x: np.column_stack([2 * x**2, -(x**2)]),
    25: lambda x: np.column_stack([np.tanh(5 * x), x]),
}
outputs = sum(curve(variables[:, j]) for j, curve in curves.items())
outputs = outputs + 0.5 * rng.standard_normal(outputs.shape)
train, test, y_train, y_test = train_test_split(variables, outputs, random_state=0)

# %%
# The model
# ---------
# `SplineTransformer` makes seven features from each variable, side by side: a block. The features
# and the targets are centred, because the model has no intercept.

splines = SplineTransformer(n_knots=6, degree=3, include_bias=False)
selector = MixedNormCV(n_orient=7, n_mxne_iter=10, eps=0.05)
pipeline = make_pipeline(splines, StandardScaler(with_std=False), selector)
model = TransformedTargetRegressor(pipeline, transformer=StandardScaler(with_std=False))
model.fit(train, y_train)

fitted = model.regressor_[-1]
matter = np.flatnonzero(fitted.active_set_[::7])
print(f"true variables: {sorted(curves)}, found: {matter.tolist()}")
print(f"R^2 on left-out samples: {model.score(test, y_test):.2f}")

# %%
# The choice of alpha
# -------------------
# As in `MultiTaskLassoCV`, five-fold cross-validation has chosen alpha, but the folds are shuffled.

SelectionDisplay.from_estimator(model.regressor_)

# %%
# The curves
# ----------
# What each found variable adds to the targets, over its range.

ticks = np.linspace(-1, 1, 101)
fig, axes = plt.subplots(
    1, len(matter), figsize=(10, 3.4), sharey=True, squeeze=False, layout="constrained"
)
for ax, j in zip(axes[0], matter, strict=True):
    grid = np.zeros((len(ticks), n_variables))
    grid[:, j] = ticks
    found = model.predict(grid)
    true = curves[j](ticks) if j in curves else np.zeros((len(ticks), 2))
    for k, (color, pattern) in enumerate([("#0072B2", "-"), ("#D55E00", "--")]):
        label = dict(label=f"target {k + 1}, found")
        ax.plot(ticks, true[:, k] - true[:, k].mean(), color="0.75", linewidth=5)
        ax.plot(ticks, found[:, k] - found[:, k].mean(), color=color, linestyle=pattern, **label)
    ax.set(title=f"variable {j}", xlabel="value")
axes[0, 0].plot([], [], color="0.75", linewidth=5, label="true")
axes[0, 0].set_ylabel("effect, centred")
fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
plt.show()
