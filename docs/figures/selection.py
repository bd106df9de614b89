"""Alpha chosen by a criterion and by cross-validation over trials."""

import matplotlib.pyplot as plt

from skmxne import InverseProblem, MixedNormCV, MixedNormIC, SelectionDisplay
from skmxne.datasets import make_recording

recording = make_recording()
epochs = recording.epochs.crop(0.05, 0.35)
problem = InverseProblem.from_epochs(
    epochs, recording.forward, recording.noise_cov, loose=0.2, n_folds=5
)
criterion = MixedNormIC(n_orient=3).fit(problem.X, problem.y)
folds = MixedNormCV(n_orient=3, n_mxne_iter=10, eps=0.05, one_standard_error=True)
folds.fit(problem.X, problem.y, y_folds=problem.y_folds, fold_weights=problem.fold_weights)

fig, axes = plt.subplots(
    2, 2, figsize=(9, 5.2), sharex=True, height_ratios=[2, 1], layout="constrained"
)
titles = "risk inflation criterion", "error on trials left out"
for column, (model, title) in enumerate(zip((criterion, folds), titles, strict=True)):
    SelectionDisplay.from_estimator(model, ax=axes[:, column])
    axes[0, column].set(title=title, xlabel="")
