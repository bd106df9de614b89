"""The penalties of MxNE and irMxNE, and how they shrink an amplitude."""

import matplotlib.pyplot as plt
import numpy as np

from skmxne import MixedNormEstimator

fig, (ax_penalty, ax_amplitude) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
norm = np.linspace(0, 2, 500)
ax_penalty.plot(norm, norm, color="#0072B2", linestyle="--", label="MxNE: norm")
ax_penalty.plot(norm, np.sqrt(norm), color="#D55E00", label="irMxNE: root")
ax_penalty.set(xlabel="norm of a block (in units of u)", ylabel="penalty (in units of u)")
ax_penalty.legend(frameon=False)

amplitude = np.linspace(-1, 1, 801)
X = np.eye(len(amplitude))
models = {
    "MxNE": (dict(n_mxne_iter=1, debias=False), dict(color="#0072B2", linestyle="--")),
    "irMxNE": (dict(n_mxne_iter=30, debias=False), dict(color="#D55E00", linestyle="-.")),
    "irMxNE, debiased": (dict(n_mxne_iter=30, debias=True), dict(color="black", linestyle="-")),
}
ax_amplitude.plot(amplitude, amplitude, color="0.7", linewidth=5, label="least squares")
for name, (params, style) in models.items():
    model = MixedNormEstimator(alpha=40, tol=1e-10, **params).fit(X, amplitude)
    ax_amplitude.plot(amplitude, model.coef_, label=name, **style)
ax_amplitude.set(xlabel="amplitude in the data", ylabel="estimated amplitude")
ax_amplitude.set(xlim=(0, 1), ylim=(0, 1.02))
ax_amplitude.legend(frameon=False)
for ax in (ax_penalty, ax_amplitude):
    ax.spines[["top", "right"]].set_visible(False)
