"""The mixed norm keeps or drops a position for all times; the Lasso, for each time alone."""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import Lasso

from skmxne import MixedNormEstimator

rng = np.random.default_rng(0)
n_sensors, n_positions, n_times = 30, 40, 60
time = np.arange(n_times)
truth = np.zeros((n_positions, n_times))
for position, peak, frequency in [(8, 20, 0.05), (19, 35, 0.08), (31, 30, 0.04)]:
    truth[position] = np.exp(-(((time - peak) / 10) ** 2)) * np.cos(
        2 * np.pi * frequency * (time - peak)
    )
X = rng.standard_normal((n_sensors, n_positions))
y = X @ truth + 0.5 * rng.standard_normal((n_sensors, n_times))

# Of both, the model with as many coefficients that are not zero as the truth has.
paths = {
    "Lasso": [Lasso(alpha, fit_intercept=False) for alpha in np.geomspace(0.1, 1, 50)],
    "mixed norm": [MixedNormEstimator(alpha, debias=False) for alpha in np.geomspace(5, 95, 50)],
}
maps = {"truth": truth}
for name, models in paths.items():
    coefs = [model.fit(X, y).coef_.T for model in models]
    maps[name] = min(coefs, key=lambda coef: abs(np.count_nonzero(coef) - 3 * n_times))

fig, axes = plt.subplots(1, 3, figsize=(9, 3.6), sharey=True, layout="constrained")
for ax, (name, coef) in zip(axes, maps.items(), strict=True):
    image = ax.imshow(
        np.where(coef == 0, np.nan, coef),
        aspect="auto",
        cmap="PuOr",
        vmin=-1,
        vmax=1,
        interpolation="nearest",
    )
    ax.set(title=name, xlabel="time (samples)")
    ax.set_facecolor("white")
axes[0].set_ylabel("position")
fig.colorbar(image, ax=axes, label="amplitude (white: exactly zero)")
