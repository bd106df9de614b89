r"""
How do I find the sources of a recording?
=========================================

This example finds the sources of a recording. A criterion chooses how many there are. The
recording is simulated, so you can compare the result with the true sources::

    python examples/plot_quickstart.py

With your own files, in the formats of MNE::

    python examples/plot_quickstart.py \
        --evoked sample-ave.fif --condition "Left Auditory" \
        --forward sample-fwd.fif --noise-cov sample-cov.fif \
        --tmin 0.05 --tmax 0.15 --picks meg

The command ``skmxne localize`` reads the same files, checks them, and writes a report.
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
# An average over trials, a forward solution, and the noise covariance of single trials.

recording = make_recording()
evoked, forward, noise_cov = recording.evoked, recording.forward, recording.noise_cov
truth = recording.stc

# %%
# If the command line names files, they are used instead.

parser = ArgumentParser()
for name in ("--evoked", "--forward", "--noise-cov", "--condition", "--picks"):
    parser.add_argument(name)
parser.add_argument("--tmin", type=float, default=0.05)
parser.add_argument("--tmax", type=float, default=0.35)
parser.add_argument("--output", type=Path, default=Path("quickstart-output"))
options = parser.parse_args([] if "ipykernel" in sys.modules else None)  # no options in a notebook
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
# `InverseProblem` whitens the data and weights the positions. In ``X`` and ``y`` the noise has
# variance 1, as the criterion assumes. `MixedNormIC` fits models with falling alpha, from 100 % (no
# source) to small values (many sources), and the criterion chooses one. The models use the
# reweighted mixed norm: they have few sources, and their amplitudes are hardly shrunk.

problem = InverseProblem.from_evoked(
    evoked, forward, noise_cov, loose=0.2, tmin=options.tmin, tmax=options.tmax
)
model = MixedNormIC(n_orient=problem.n_orient).fit(problem.X, problem.y)
print(problem)
print(
    f"alpha = {model.alpha_:.0f} %, {model.n_active_} source(s) explain "
    f"{problem.explained_variance(model):.0f} % of the whitened data (signal and noise)"
)

# %%
# The sources
# -----------
# `InverseProblem` lists the sources of the model. The one with the largest peak is first, as in the
# figure below. The goodness of fit is the part of the data at this peak that the source explains.

print("source  hemisphere   x, y, z (mm)      peak (nAm)  at (ms)       goodness of fit (%)")
for number, source in enumerate(problem.list_sources(model), start=1):
    print(
        f"{number:6}  {source['hemisphere']:10}"
        f"  {source['x_mm']:4.0f}, {source['y_mm']:4.0f}, {source['z_mm']:4.0f}"
        f"  {source['amplitude_nAm']:13.1f}  {source['latency_ms']:7.0f}"
        f"  {source['gof_percent']:24.0f}"
    )

# %%
# If the recording is simulated, the true sources are known.

if truth is not None:
    found = problem.find_locations(model) * 1e3
    for place in problem.find_locations(truth) * 1e3:
        nearest = np.linalg.norm(found - place, axis=1).min(initial=np.inf)
        x, y, z = place
        print(f"true source at {x:.0f}, {y:.0f}, {z:.0f} mm, nearest found: {nearest:.0f} mm away")

# %%
# Figures
# -------
# The first figure shows the criterion and the number of sources for each alpha. The criterion is
# lowest at the chosen alpha. A search then improves this model; the star is the result. The second
# figure shows where the sources are, their time courses, and the residual, which should be noise.

selection = SelectionDisplay.from_estimator(model)
sources = SourceDisplay.from_estimator(model, problem)
options.output.mkdir(parents=True, exist_ok=True)
selection.figure_.savefig(options.output / "alpha.png", dpi=150)
sources.figure_.savefig(options.output / "sources.png", dpi=150)
problem.to_source_estimate(model).save(options.output / "sources", overwrite=True)
print(f"Written to {options.output}: alpha.png, sources.png and the source estimate")
plt.show()
