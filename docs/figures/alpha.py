"""How strong each position is along the path of a simulated regression."""

import numpy as np

from skmxne import MixedNormEstimator, PathDisplay
from skmxne.datasets import make_block_sparse_regression

X, y, coef = make_block_sparse_regression(
    n_orient=3, n_active=4, noise=1, coef=True, random_state=0
)
true = coef.any(axis=0)[::3]
names = [f"position {g}{' (true)' * bool(true[g])}" for g in np.arange(100)]
model = MixedNormEstimator(alpha=25, n_orient=3, debias=False)
PathDisplay.from_estimator(model, X, y, alphas=40, eps=0.03, position_names=names, n_labelled=4)
