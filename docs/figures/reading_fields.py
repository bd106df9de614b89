"""Fields of a good model and of a model that lacks a source."""

import matplotlib.pyplot as plt
import mne
import numpy as np

from skmxne import FieldDisplay, InverseProblem, MixedNormIC
from skmxne.datasets import make_recording

with mne.use_log_level("WARNING"):
    # Each has one source with its peak at 100 ms; the sum has two that are active together.
    recordings = [make_recording(1, random_state=seed) for seed in (1, 2)]
    evoked = mne.combine_evoked([recording.evoked for recording in recordings], [1, 1])
    evoked.comment = ""
    problem = InverseProblem.from_evoked(
        evoked, recordings[0].forward, recordings[0].noise_cov, loose=0.2, tmin=0.05, tmax=0.15
    )
    good = MixedNormIC(n_orient=problem.n_orient).fit(problem.X, problem.y)
    table = problem.to_data_frame(good)
    bad = np.array(good.coef_)  # without the weaker source
    bad[:, 3 * table.index[1] : 3 * table.index[1] + 3] = 0
    fig = plt.figure(figsize=(9, 7.5), layout="constrained")
    parts = fig.subfigures(1, 2, width_ratios=[1.5, 1])
    for part, model in zip(parts, [good, bad], strict=True):
        FieldDisplay.from_estimator(model, problem, fig=part)
    parts[0].suptitle("two sources: a good model")
    parts[1].suptitle("a source is missing")
