"""Three sources of a simulated recording, on the cortex and over time."""

import matplotlib.pyplot as plt
import numpy as np

from skmxne import InverseProblem, MixedNormIC, SourceDisplay
from skmxne.datasets import make_recording

recording = make_recording()
problem = InverseProblem.from_evoked(
    recording.evoked, recording.forward, recording.noise_cov, loose=0.2, tmin=0.05, tmax=0.35
)
model = MixedNormIC(n_orient=problem.n_orient).fit(problem.X, problem.y)
confidence = problem.compute_confidence(model)
fig = plt.figure(figsize=(10, 9), layout="constrained")
display = SourceDisplay.from_estimator(model, problem, confidence=confidence, fig=fig)

truth = recording.stc.crop(0.05, 0.35)
lines = display.time_ax_.plot(1e3 * truth.times, 1e9 * np.abs(truth.data).T, "0.4", linewidth=0.8)
lines[0].set_label("true")
display.time_ax_.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize="small")
