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

The source estimate and the figure are written to the folder given by ``--output``.
"""

import sys
from argparse import ArgumentParser
from itertools import cycle
from pathlib import Path

import matplotlib.pyplot as plt
import mne
import numpy as np

from skmxne import InverseProblem, MixedNormIC, SelectionDisplay
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
evoked.crop(arguments.tmin, arguments.tmax)
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
    evoked, forward, noise_cov, loose=arguments.loose, depth=arguments.depth
)
model = MixedNormIC(n_orient=problem.n_orient).fit(problem.X, problem.y)

# %%
# The sources
# -----------
# The fitted model goes back to `InverseProblem`, which returns objects of MNE.

stc = problem.to_source_estimate(model)
dipoles = problem.to_dipoles(model)
hemispheres = ["left"] * len(stc.lh_vertno) + ["right"] * len(stc.rh_vertno)

print(problem)
print(
    f"alpha = {model.alpha_:.0f} %, {len(dipoles)} source(s), "
    f"{problem.explained_variance(model):.0f} % of the whitened data explained, noise included"
)
if not dipoles:
    print("There is no more than noise: try more trials, or another time window.")
print("hemisphere   x, y, z (mm)      peak (nAm)  at (ms)  goodness of fit then (%)")
peaks = [np.argmax(np.abs(dipole.amplitude)) for dipole in dipoles]
for hemisphere, dipole, peak in zip(hemispheres, dipoles, peaks, strict=True):
    x, y, z = dipole.pos[peak] * 1e3
    print(
        f"{hemisphere:10}  {x:4.0f}, {y:4.0f}, {z:4.0f}  {dipole.amplitude[peak] * 1e9:12.1f}"
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
# A figure
# --------
# Top: the criterion, whose minimum is the chosen alpha, the number of sources at every alpha, and
# where those of the chosen one are. Bottom: how strong they are over time.

fig = plt.figure(figsize=(11, 7), layout="constrained")
grid = fig.add_gridspec(2, 3)
ax_criterion, ax_number = grid[0, 0].subgridspec(2, 1, height_ratios=[3, 2]).subplots(sharex=True)
SelectionDisplay.from_estimator(model, ax=(ax_criterion, ax_number))
ax_criterion.set_xlabel("")
ax_criterion.legend(loc="lower center", bbox_to_anchor=(0.5, 1), frameon=False)
ax_number.set_ylabel("sources")

# Colours that all eyes tell apart (Okabe & Ito), and numbers and patterns for print without colour.
colors = "#0072B2", "#E69F00", "#000000", "#CC79A7", "#009E73", "#56B4E9", "#D55E00"
styles = [
    dict(color=color, linestyle=pattern)
    for color, pattern, _ in zip(cycle(colors), cycle(["-", "--", "-.", ":"]), dipoles)
]
sides = (5, 5), (5, -13), (-12, 5), (-12, -13)  # of neighbours, whose numbers would overlap
cloud = forward["source_rr"] * 1e3
views = (("top", 0, 1), ("back", 0, 2))
for column, (title, i, j) in enumerate(views, start=1):
    ax = fig.add_subplot(grid[0, column], aspect="equal", title=f"Positions from the {title}")
    ax.plot(cloud[:, i], cloud[:, j], ".", color="0.85", markersize=1, rasterized=True)
    if truth is not None:
        ax.plot(true[:, i] * 1e3, true[:, j] * 1e3, "kx", markersize=9, label="true")
    for k, location in enumerate(found):
        ax.plot(location[i], location[j], "o", color=styles[k]["color"])
        ax.annotate(f"{k + 1}", location[[i, j]], sides[k % 4], textcoords="offset points")
    ax.set(xlabel=f"{'xyz'[i]} (mm)", ylabel=f"{'xyz'[j]} (mm)")
    ax.margins(0.1)
if truth is not None:
    ax.plot([], [], "o", color="0.4", label="found")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))

ax_time = fig.add_subplot(grid[1, :], xlabel="time (ms)", ylabel="amplitude (nAm)")
ax_time.set_title("Amplitudes of the sources")
for k, (hemisphere, dipole) in enumerate(zip(hemispheres, dipoles, strict=True)):
    x, y, z = found[k]
    label = f"{k + 1}: {hemisphere} ({x:.0f}, {y:.0f}, {z:.0f}) mm"
    ax_time.plot(dipole.times * 1e3, dipole.amplitude * 1e9, label=label, **styles[k])
ax_time.set_xlim(evoked.times[0] * 1e3, evoked.times[-1] * 1e3)
if dipoles:
    ax_time.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
else:
    ax_time.text(0.5, 0.5, "no source", ha="center", transform=ax_time.transAxes)

arguments.output.mkdir(parents=True, exist_ok=True)
fig.savefig(arguments.output / "sources.png", dpi=150)
stc.save(arguments.output / "sources", overwrite=True)
print(f"Written to {arguments.output}: sources.png, sources-lh.stc, sources-rh.stc")
plt.show()
