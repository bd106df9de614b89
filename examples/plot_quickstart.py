r"""
Sources of a recording, with a chosen alpha
===========================================

A recording in, a source estimate out: a criterion chooses how many sources the data support.
Without arguments the recording is simulated, and what is found can be compared with the truth::

    python examples/plot_quickstart.py

With files of one's own, all in the formats of MNE::

    python examples/plot_quickstart.py \
        --evoked sample-ave.fif --condition "Left Auditory" \
        --forward sample-fwd.fif --noise-cov sample-cov.fif \
        --tmin 0.05 --tmax 0.15 --picks meg

The source estimate and the figures are written to the folder given by ``--output``.
"""

import sys
from argparse import ArgumentParser
from pathlib import Path

import matplotlib.pyplot as plt
import mne
import numpy as np

from skmxne import InverseProblem, MixedNormIC, SelectionDisplay, SourceDisplay
from skmxne.datasets import make_recording

parser = ArgumentParser(
    description="Find the sources of a recording, alpha chosen by an information criterion."
)
parser.add_argument(
    "--evoked",
    help="averaged data (-ave.fif), whose mean up to time 0 is subtracted; simulated without it",
)
parser.add_argument("--forward", help="forward solution (-fwd.fif)")
parser.add_argument("--noise-cov", help="noise covariance of single trials (-cov.fif)")
parser.add_argument("--condition", help="which average of the file, if it has several")
parser.add_argument("--picks", help="channel types to use, such as meg or eeg; all by default")
parser.add_argument("--tmin", type=float, default=0.05, help="start in s (default: %(default)s)")
parser.add_argument("--tmax", type=float, default=0.35, help="end in s (default: %(default)s)")
parser.add_argument(
    "--loose", type=float, default=0.2, help="0 fixed to 1 free orientation (default: %(default)s)"
)
parser.add_argument(
    "--depth", type=float, default=0.8, help="exponent of depth weighting (default: %(default)s)"
)
parser.add_argument(
    "--output",
    type=Path,
    default=Path("quickstart-output"),
    help="folder to write to, over what is there (default: %(default)s)",
)
# In a notebook, the command line is that of the notebook.
arguments = parser.parse_args([] if "ipykernel" in sys.modules else None)
files = (arguments.evoked, arguments.forward, arguments.noise_cov)
if not all(files) and any([*files, arguments.condition]):
    parser.error("--evoked, --forward and --noise-cov go together")
mne.set_log_level("WARNING")

# %%
# The recording
# -------------
# An average over trials, a forward solution, and the covariance of the noise of single trials.


def read_files():
    """Read the recording, and end with a message where that cannot be done."""
    readers = mne.read_evokeds, mne.read_forward_solution, mne.read_cov
    objects = []
    for path, read in zip(files, readers, strict=True):
        try:
            objects.append(read(path))
        except (OSError, ValueError) as error:
            parser.error(f"{path} cannot be read by mne.{read.__name__}: {error}")
    averages, forward, noise_cov = objects
    conditions = [one.comment for one in averages]
    condition = arguments.condition or (conditions[0] if len(conditions) == 1 else None)
    if condition not in conditions:
        problem = f"{condition!r} is not in the file" if condition else "the file has several"
        parser.error(f"--condition: {problem}, choose from {conditions}")
    return averages[conditions.index(condition)].apply_baseline((None, 0)), forward, noise_cov


if all(files):
    evoked, forward, noise_cov = read_files()
    truth = None
else:
    recording = make_recording()
    evoked, forward, noise_cov = recording.evoked, recording.forward, recording.noise_cov
    truth = recording.stc
first, last = evoked.times[[0, -1]]
if not first <= arguments.tmin < arguments.tmax <= last:
    parser.error(f"--tmin and --tmax, in s, must be in this order between {first:g} and {last:g}")
if arguments.picks:
    try:
        evoked.pick(arguments.picks)
    except ValueError as error:
        parser.error(f"--picks: {error}")

# %%
# The model
# ---------
# `InverseProblem` whitens and weights: rows of ``X`` and ``y`` are sensors whose noise has variance
# 1, which is what the criterion needs to know. `MixedNormIC` follows the reweighted mixed norm,
# which finds few sources and hardly shrinks their amplitudes, from many to few: no sources at an
# alpha of 100 %, more and more below.

problem = InverseProblem.from_evoked(
    *(evoked, forward, noise_cov),
    loose=arguments.loose,
    depth=arguments.depth,
    tmin=arguments.tmin,
    tmax=arguments.tmax,
)
model = MixedNormIC(n_orient=problem.n_orient).fit(problem.X, problem.y)

# %%
# The sources
# -----------
# The fitted model goes back to `InverseProblem`, which returns objects of MNE. The strongest first,
# as in the figure below.

stc = problem.to_source_estimate(model)
dipoles = problem.to_dipoles(model)
hemispheres = ["left"] * len(stc.lh_vertno) + ["right"] * len(stc.rh_vertno)

print(problem)
print(
    f"alpha = {model.alpha_:.0f} %, {len(dipoles)} source(s), "
    f"{problem.explained_variance(model):.0f} % of the whitened data explained, noise included"
)
if not dipoles:
    print("The criterion finds no more than noise: try more trials, or another time window.")
print("source  hemisphere   x, y, z (mm)      peak (nAm)  at (ms)  goodness of fit then (%)")
pairs = zip(hemispheres, dipoles, strict=True)
pairs = sorted(pairs, key=lambda pair: np.abs(pair[1].amplitude).max(), reverse=True)
for number, (hemisphere, dipole) in enumerate(pairs, start=1):
    peak = np.argmax(np.abs(dipole.amplitude))
    x, y, z = dipole.pos[peak] * 1e3
    print(
        f"{number:6}  {hemisphere:10}  {x:4.0f}, {y:4.0f}, {z:4.0f}"
        f"  {dipole.amplitude[peak] * 1e9:13.1f}"
        f"  {dipole.times[peak] * 1e3:7.0f}  {dipole.gof[peak]:24.0f}"
    )

# %%
# Of a simulated recording the true sources are known.

found = np.array([dipole.pos[0] for dipole in dipoles]).reshape(-1, 3) * 1e3
if truth is not None:
    true = np.vstack(
        [space["rr"][used] for space, used in zip(forward["src"], truth.vertices, strict=True)]
    )
    for location in true * 1e3:
        nearest = np.linalg.norm(found - location, axis=1).min(initial=np.inf)
        x, y, z = location
        print(f"true source at {x:.0f}, {y:.0f}, {z:.0f} mm: nearest found {nearest:.0f} mm away")

# %%
# Figures
# -------
# The criterion, whose minimum is the chosen alpha, and the number of sources at every alpha. Then
# where the sources of the chosen one are, how strong they are over time, and what they leave of the
# data, which should be noise.

selection = SelectionDisplay.from_estimator(model)
sources = SourceDisplay.from_estimator(model, problem)
if truth is not None:
    for ax, (right, up) in zip(sources.position_axes_, [(0, 1), (0, 2), (1, 2)], strict=True):
        circles = dict(color="black", fillstyle="none", markersize=18, linestyle="")
        ax.plot(true[:, right] * 1e3, true[:, up] * 1e3, marker="o", label="true", **circles)
    sources.position_axes_[-1].legend(fontsize="small", loc="upper right")

arguments.output.mkdir(parents=True, exist_ok=True)
selection.figure_.savefig(arguments.output / "alpha.png", dpi=150)
sources.figure_.savefig(arguments.output / "sources.png", dpi=150)
stc.save(arguments.output / "sources", overwrite=True)
print(f"Written to {arguments.output}: alpha.png, sources.png, sources-lh.stc, sources-rh.stc")
plt.show()
