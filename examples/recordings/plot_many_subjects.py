"""
How do I run many subjects on a cluster?
========================================

Each subject is fitted on its own, so many machines can work at the same time. `joblib` sends the
subjects to the workers of a Dask cluster. Here the workers are two processes on this machine. This
example needs ``pip install distributed``::

    python examples/recordings/plot_many_subjects.py

``--output`` sets the folder of the figure.
"""

import os
import sys
from argparse import ArgumentParser
from itertools import cycle
from pathlib import Path

import matplotlib.pyplot as plt
import mne
import numpy as np
from dask.distributed import Client, LocalCluster
from joblib import Parallel, delayed, parallel_config
from matplotlib.lines import Line2D
from sklearn.utils import Bunch

from skmxne import InverseProblem, MixedNormIC
from skmxne.datasets import make_recording

# %%
# One subject
# -----------
# These functions run in the workers. To send little data, ``localize`` takes the number of a
# subject and returns a few arrays and dipoles. The recordings are simulated. For your own, write
# ``read`` with `mne.read_evokeds`, `mne.read_forward_solution` and `mne.read_cov`, and put the
# files where every worker can read them.


def read(subject):
    """Return the recording of a subject."""
    return make_recording(n_sources=1 + subject % 3, random_state=subject)


def localize(subject):
    """Find the sources of a subject; a criterion chooses their number."""
    with mne.use_log_level("WARNING"):
        recording = read(subject)
        evoked = recording.evoked.crop(0.05, 0.35)
        problem = InverseProblem.from_evoked(
            evoked, recording.forward, recording.noise_cov, loose=0.2
        )
        model = MixedNormIC(n_orient=problem.n_orient).fit(problem.X, problem.y)
        truth = recording.stc.crop(0.05, 0.35)
        spaces = zip(recording.forward["src"], truth.vertices, strict=True)
        return Bunch(
            subject=subject,
            process=os.getpid(),
            alpha=model.alpha_,
            explained_variance=problem.explained_variance(model),
            dipoles=problem.to_dipoles(model),
            times=truth.times,
            true_positions=np.vstack([space["rr"][used] for space, used in spaces]),
            true_amplitudes=np.abs(truth.data),
            cortex=recording.forward["source_rr"][::5],
        )


# %%
# All subjects
# ------------
# The table shows which process has fitted each subject, and, for each true source, the distance to
# the nearest found one.


def print_table(results):
    """Print a row for each subject."""
    print("subject  process  alpha (%)  sources: true  found  distances (mm)  explained (%)")
    for one in results:
        found = np.array([dipole.pos[0] for dipole in one.dipoles]).reshape(-1, 3)
        distances = [
            f"{np.linalg.norm(found - true, axis=1).min(initial=np.inf) * 1e3:.0f}"
            for true in one.true_positions
        ]
        print(
            f"{one.subject:7}  {one.process:7}  {one.alpha:9.0f}  {len(distances):13}  "
            f"{len(found):5}  {', '.join(distances):>14}  {one.explained_variance:13.0f}"
        )


# %%
# The figure has a column for each subject: the sources seen from the top, and their time courses.
# Colour-blind readers can tell the colours of the found sources apart.

COLORS = "#0072B2", "#E69F00", "#CC79A7", "#009E73"


def draw(results):
    """Return a figure with a column for each subject."""
    fig, axes = plt.subplots(
        2, len(results), figsize=(11, 5), sharex="row", sharey="row", layout="constrained"
    )
    for one, (ax, ax_time) in zip(results, axes.T, strict=True):
        ax.plot(*one.cortex[:, :2].T * 1e3, ".", color="0.85", markersize=1)
        ax.plot(*one.true_positions[:, :2].T * 1e3, "kx", markersize=9)
        for color, dipole in zip(cycle(COLORS), one.dipoles):
            x, y, _ = dipole.pos[0] * 1e3
            ax.plot(x, y, "o", color=color, alpha=0.8)
            ax_time.plot(dipole.times * 1e3, dipole.amplitude * 1e9, color=color)
        ax_time.plot(one.times * 1e3, one.true_amplitudes.T * 1e9, "k:", linewidth=1)
        ax.set(aspect="equal", title=f"Subject {one.subject}", xlabel="x (mm)")
        ax_time.set(xlabel="time (ms)")
    axes[0, 0].set_ylabel("y (mm)")
    axes[1, 0].set_ylabel("amplitude (nAm)")
    fig.legend(
        [Line2D([], [], marker="o"), Line2D([], [], marker="x", color="k", linestyle=":")],
        ["found", "true"],
        loc="outside lower center",
        ncols=2,
    )
    return fig


# %%
# On the cluster
# --------------
# For another cluster, change only the first two lines of ``with``. If the cluster is already
# running, use its address: ``Client("tcp://scheduler:8786")``. With SLURM, wait until the jobs have
# started, because `joblib` counts the workers::
#
#     from dask_jobqueue import SLURMCluster
#
#     with (
#         SLURMCluster(cores=1, memory="4GB", walltime="01:00:00") as cluster,
#         Client(cluster) as client,
#         parallel_config(backend="dask"),
#     ):
#         cluster.scale(jobs=50)
#         client.wait_for_workers(50)
#         results = Parallel()(delayed(localize)(subject) for subject in range(500))
#
# Workers need the packages of this process, in the same versions. Each worker of a `LocalCluster`
# first imports this file; ``if __name__ == "__main__"`` prevents it from starting its own cluster.
# In the same context, `MixedNormCV` and `GridSearchCV` fit their folds in parallel.

if __name__ == "__main__":
    parser = ArgumentParser(description="Find the sources of many subjects on a Dask cluster.")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("many-subjects-output"),
        help="folder of the figure, which is overwritten (default: %(default)s)",
    )
    # In a notebook, the command line belongs to the notebook.
    arguments = parser.parse_args([] if "ipykernel" in sys.modules else None)

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster),
        parallel_config(backend="dask"),
    ):
        results = Parallel()(delayed(localize)(subject) for subject in range(6))

    print_table(results)
    arguments.output.mkdir(parents=True, exist_ok=True)
    figure = draw(results)
    figure.savefig(arguments.output / "subjects.png", dpi=150)
    print(f"Written to {arguments.output}: subjects.png")
    plt.show()
