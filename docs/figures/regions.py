"""Regions of three sources of 30 nAm."""

import matplotlib.pyplot as plt
import mne

from skmxne import InverseProblem, MixedNormIC, SourceDisplay
from skmxne.datasets import make_recording

with mne.use_log_level("WARNING"):
    recording = make_recording(n_sources=3, n_trials=40, amplitude=30e-9)
    problem = InverseProblem.from_evoked(
        recording.evoked, recording.forward, recording.noise_cov, loose=0.2, tmin=0.05, tmax=0.35
    )
    model = MixedNormIC(n_orient=3).fit(problem.X, problem.y)
    confidence = problem.compute_confidence(model)
    SourceDisplay.from_estimator(model, problem, confidence=confidence)
plt.show()
