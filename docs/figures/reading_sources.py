"""Three sources; one of them is weak, on the underside, and its place is uncertain."""

import matplotlib.pyplot as plt
import mne
import numpy as np

from skmxne import InverseProblem, MixedNormEstimator, SourceDisplay
from skmxne.datasets import make_recording

with mne.use_log_level("WARNING"):
    recording = make_recording(n_sources=2, n_trials=20)
    evoked, forward, noise_cov = recording.evoked, recording.forward, recording.noise_cov
    fixed = mne.convert_forward_solution(forward, surf_ori=True, force_fixed=True)
    field = fixed["sol"]["data"][:, fixed["source_rr"][:, 2].argmin()]
    course = 90e-9 * np.exp(-(((evoked.times - 0.2) / 0.02) ** 2))
    evoked.data += np.outer(field - field.mean(), course)  # average reference
    problem = InverseProblem.from_evoked(
        evoked, forward, noise_cov, loose=0.2, tmin=0.05, tmax=0.35
    )
    model = MixedNormEstimator(alpha=26, n_orient=3, n_mxne_iter=10).fit(problem.X, problem.y)
    confidence = problem.compute_confidence(model)
fig = plt.figure(figsize=(10, 9.5), layout="constrained")
SourceDisplay.from_estimator(model, problem, confidence=confidence, n_labelled=4, fig=fig)
