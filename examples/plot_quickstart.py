r"""
Sources of a recording, with a chosen alpha
===========================================

A recording in, a source estimate out: a criterion chooses how many sources the data support.
The recording is simulated, so that what is found can be compared with the truth::

    python examples/plot_quickstart.py

With files of your own, in the formats of MNE::

    python examples/plot_quickstart.py \
        --evoked sample-ave.fif --condition "Left Auditory" \
        --forward sample-fwd.fif --noise-cov sample-cov.fif \
        --tmin 0.05 --tmax 0.15 --picks meg

The command ``skmxne localize`` takes such files, too, tells what is wrong with them, and writes a
report.
"""

import sys
from argparse import ArgumentParser
from pathlib import Path

import matplotlib.pyplot as plt
import mne
import numpy as np

from skmxne import InverseProblem, MixedNormIC, SelectionDisplay, SourceDisplay
from skmxne.datasets import make_recording

mne.set_log_level("WARNING")

# %%
# The recording
# -------------
# An average over trials, a forward solution, and the covariance of the noise of single trials.

recording = make_recording()
evoked, forward, noise_cov = recording.evoked, recording.forward, recording.noise_cov
truth = recording.stc

# %%
# Files that are given on the command line take its place.

parser = ArgumentParser()
for name in ("--evoked", "--forward", "--noise-cov", "--condition", "--picks"):
    parser.add_argument(name)
parser.add_argument("--tmin", type=float, default=0.05)
parser.add_argument("--tmax", type=float, default=0.35)
parser.add_argument("--output", type=Path, default=Path("quickstart-output"))
options = parser.parse_args([] if "ipykernel" in sys.modules else None)  # none in a notebook
if options.evoked or options.forward or options.noise_cov:
    averages = mne.read_evokeds(options.evoked)
    if options.condition is None and len(averages) > 1:
        parser.error(f"choose a --condition: {[average.comment for average in averages]}")
    evoked = mne.read_evokeds(options.evoked, options.condition or 0, baseline=(None, 0))
    forward = mne.read_forward_solution(options.forward)
    noise_cov = mne.read_cov(options.noise_cov)
    truth = None
if options.picks:
    evoked.pick(options.picks)

# %%
# The model
# ---------
# `InverseProblem` whitens and weights: rows of ``X`` and ``y`` are sensors whose noise has variance
# 1, which is what the criterion needs to know. `MixedNormIC` follows the reweighted mixed norm,
# which finds few sources and hardly shrinks their amplitudes, from no sources at an alpha of 100 %
# to more and more below.

problem = InverseProblem.from_evoked(
    evoked, forward, noise_cov, loose=0.2, tmin=options.tmin, tmax=options.tmax
)
model = MixedNormIC(n_orient=problem.n_orient).fit(problem.X, problem.y)
print(problem)
print(
    f"alpha = {model.alpha_:.0f} %, {model.n_active_} source(s), "
    f"{problem.explained_variance(model):.0f} % of the whitened data explained, noise included"
)

# %%
# The sources
# -----------
# The fitted model goes back to `InverseProblem`, which lists its sources, the strongest first, as
# the figure below does.

print("source  hemisphere   x, y, z (mm)      peak (nAm)  at (ms)  goodness of fit then (%)")
for number, source in enumerate(problem.list_sources(model), start=1):
    print(
        f"{number:6}  {source['hemisphere']:10}"
        f"  {source['x_mm']:4.0f}, {source['y_mm']:4.0f}, {source['z_mm']:4.0f}"
        f"  {source['amplitude_nAm']:13.1f}  {source['latency_ms']:7.0f}"
        f"  {source['gof_percent']:24.0f}"
    )

# %%
# Of a simulated recording the true sources are known.

if truth is not None:
    found = problem.find_locations(model) * 1e3
    for place in problem.find_locations(truth) * 1e3:
        nearest = np.linalg.norm(found - place, axis=1).min(initial=np.inf)
        x, y, z = place
        print(f"true source at {x:.0f}, {y:.0f}, {z:.0f} mm: nearest found {nearest:.0f} mm away")

# %%
# Figures
# -------
# The criterion, whose minimum is the alpha chosen on the path, and the number of sources at every
# alpha; the star is the model that a search from there has found. Then where its sources are, how
# strong they are over time, and what they leave of the data, which should be noise.

selection = SelectionDisplay.from_estimator(model)
sources = SourceDisplay.from_estimator(model, problem)
options.output.mkdir(parents=True, exist_ok=True)
selection.figure_.savefig(options.output / "alpha.png", dpi=150)
sources.figure_.savefig(options.output / "sources.png", dpi=150)
problem.to_source_estimate(model).save(options.output / "sources", overwrite=True)
print(f"Written to {options.output}: alpha.png, sources.png and the source estimate")
plt.show()
