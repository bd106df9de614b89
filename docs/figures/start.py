"""Three sources of a simulated recording, on the cortex and over time."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LightSource

from skmxne import InverseProblem, MixedNormIC
from skmxne.datasets import make_recording

COLORS = ["#0072B2", "#D55E00", "#009E73"]
PATTERNS = ["-", "--", "-."]

recording = make_recording()
evoked = recording.evoked.crop(0.05, 0.35)
problem = InverseProblem.from_evoked(evoked, recording.forward, recording.noise_cov, loose=0.2)
model = MixedNormIC(n_orient=problem.n_orient).fit(problem.X, problem.y)
stc = problem.to_source_estimate(model)


def find_places(estimate):
    """Return where the sources of an estimate are, in mm."""
    spaces = zip(recording.forward["src"], estimate.vertices, strict=True)
    return 1e3 * np.vstack([space["rr"][used] for space, used in spaces])


fig = plt.figure(figsize=(10, 4.6))
ax = fig.add_axes([0.0, 0.0, 0.5, 1.0], projection="3d", computed_zorder=False)
for space in recording.forward["src"]:
    surface = ax.plot_trisurf(
        *(1e3 * space["rr"].T),
        triangles=space["tris"],
        color="#d8d4cf",
        lightsource=LightSource(azdeg=200, altdeg=55),
        linewidth=0,
        antialiased=False,
        zorder=1,
    )
order = np.argsort(-stc.data.max(axis=1))  # the strongest first, as in the figures of the package
found, true = find_places(stc)[order], find_places(recording.stc)
lift = np.array([0.0, 0.0, 6.0])  # so that no fold hides them
for k, place in enumerate(found + lift):
    ax.plot(*place[:, np.newaxis], "o", color=COLORS[k], markersize=16, alpha=0.9, zorder=3)
    x, y, z = place
    ax.text(x + 9, y, z, str(k + 1), size=14, weight="bold", va="center", zorder=5)
ax.plot(*(true + lift).T, "kx", markersize=8, markeredgewidth=2, zorder=4)
rr = np.vstack([1e3 * space["rr"] for space in recording.forward["src"]])
ax.set_box_aspect(np.ptp(rr, axis=0), zoom=1.65)
ax.view_init(elev=62, azim=-90)
ax.set_axis_off()
fig.text(0.02, 0.05, "left", size="large")
fig.text(0.48, 0.05, "right", size="large", ha="right")

ax = fig.add_axes([0.58, 0.15, 0.4, 0.75])
truth = recording.stc.crop(0.05, 0.35)
ax.plot(1e3 * truth.times, 1e9 * np.abs(truth.data).T, color="0.3", linewidth=0.9)
ax.plot([], [], color="0.3", linewidth=0.9, label="true")
for k, amplitudes in enumerate(stc.data[order]):
    style = dict(color=COLORS[k], linestyle=PATTERNS[k], linewidth=2)
    ax.plot(1e3 * stc.times, 1e9 * amplitudes, label=f"found: {k + 1}", **style)
ax.set(xlabel="time (ms)", ylabel="amplitude (nAm)", xlim=(50, 350), ylim=(0, None))
ax.legend(frameon=False)
ax.spines[["top", "right"]].set_visible(False)
