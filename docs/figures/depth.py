"""Norms of the columns by depth: depth weighting raises those of deep positions."""

import matplotlib.pyplot as plt
import numpy as np
from scipy.spatial import KDTree

from skmxne import InverseProblem
from skmxne.datasets import make_recording

recording = make_recording()
electrodes = np.array([ch["loc"][:3] for ch in recording.evoked.info["chs"]])
fig, axes = plt.subplots(1, 4, figsize=(9.5, 3), sharex=True, sharey=True, layout="constrained")
for ax, depth in zip(axes, [0, 0.5, 0.8, 1], strict=True):
    problem = InverseProblem.from_evoked(
        recording.evoked, recording.forward, recording.noise_cov, depth=depth, loose=1
    )
    blocks = problem.X.reshape(len(problem.X), -1, 3)
    norms = np.sqrt((blocks**2).sum(axis=(0, 2)))
    distance, _ = KDTree(electrodes).query(problem.forward["source_rr"])
    ax.plot(1e3 * distance, norms / norms.max(), ".", color="#0072B2", markersize=2, alpha=0.3)
    ax.set(title=f"depth={depth}", ylim=(0, 1.05), xlabel="distance (mm)")
    ax.grid(color="0.9")
axes[0].set_ylabel("norm of the columns\n(1: largest)")
