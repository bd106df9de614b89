"""
Fixed, loose or free orientation?
=================================

The current of a source has a direction. ``loose`` sets how far it may turn away from the normal of
the cortex. ``pick_ori`` sets which components are returned::

    python examples/recordings/plot_orientation.py
"""

import matplotlib.pyplot as plt
import mne
import numpy as np

from skmxne import InverseProblem, MixedNormIC
from skmxne.datasets import make_recording

mne.set_log_level("WARNING")
recording = make_recording(n_sources=2)
evoked = recording.evoked.crop(0.05, 0.35)
truth = recording.stc.crop(0.05, 0.35)

# %%
# Fixed, loose, free
# ------------------
# The true currents flow along the normals of the cortex. Fixed orientation assumes this. That is
# right here, but if the normal is wrong, as on the other side of a fold, the model cannot correct
# it. Free orientation treats all directions alike and estimates the direction from the data. Loose
# orientation prefers the normal.

problems, models = {}, {}
for name, loose in {"fixed": 0, "loose": 0.2, "free": 1}.items():
    problem = InverseProblem.from_evoked(
        evoked, recording.forward, recording.noise_cov, loose=loose
    )
    problems[name] = problem
    models[name] = MixedNormIC(n_orient=problem.n_orient).fit(problem.X, problem.y)

true = problem.find_locations(truth) * 1e3
print("orientation   features   sources   distance from the true sources (mm)")
for name, model in models.items():
    found = problems[name].find_locations(model) * 1e3
    distance = np.linalg.norm(true[:, np.newaxis] - found, axis=2).min(axis=1)
    distances = ", ".join(f"{each:.0f}" for each in distance)
    print(f"{name:11}   {problems[name].n_orient:8}   {len(found):7}   {distances}")

# %%
# Amplitude, normal component, vector
# -----------------------------------
# ``pick_ori=None`` returns the length of the current, which has no sign. ``"normal"`` returns the
# component along the normal: positive out of the cortex, negative into it. ``"vector"`` returns all
# three components, in head coordinates.

problem, model = problems["free"], models["free"]
length = problem.to_source_estimate(model)
normal = problem.to_source_estimate(model, pick_ori="normal")
vector = problem.to_source_estimate(model, pick_ori="vector")
print(vector)

fig, axes = plt.subplots(1, len(length.data), figsize=(10, 3.6), sharey=True, squeeze=False)
for k, ax in enumerate(axes[0]):
    ax.axhline(0, color="0.8", linewidth=0.8)
    ax.plot(length.times * 1e3, length.data[k] * 1e9, color="black", label="length")
    ax.plot(length.times * 1e3, normal.data[k] * 1e9, "--", color="#D55E00", label="normal")
    ax.set(title=f"source {k + 1}", xlabel="time (ms)")
axes[0, 0].set_ylabel("amplitude (nAm)")
fig.set_layout_engine("constrained")
fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)

# %%
# The direction over time
# -----------------------
# Each arrow is the current at one time, every 12 ms, seen from the top. If a current turned over
# time, its arrows would fan out. Here they stay near one axis, although the model allows any
# direction.

fig, ax = plt.subplots(figsize=(7.5, 5.5), layout="constrained")
ax.plot(*recording.forward["source_rr"][:, :2].T * 1e3, ".", color="0.85", markersize=1)
ax.plot(*true[:, :2].T, "kx", markersize=9, label="true position")
for k, place in enumerate(problem.find_locations(model) * 1e3):
    color, steps = ("#0072B2", "#E69F00", "#009E73")[k % 3], vector.data[k, :, ::3] * 1e9
    ax.quiver(
        *np.repeat(place[:2, np.newaxis], steps.shape[1], axis=1),
        *steps[:2],
        color=color,
        angles="xy",
        scale_units="xy",
        scale=1.5,
        width=0.005,
        label=f"current of source {k + 1}",
    )
ax.set(aspect="equal", xlabel="x (mm), to the right", ylabel="y (mm), to the front")
fig.legend(loc="outside right upper", frameon=False)
plt.show()
