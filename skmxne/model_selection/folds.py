"""Folds of samples, or of measurements of the same samples."""

import itertools
from copy import copy
from numbers import Real
from typing import NamedTuple

import numpy as np
from sklearn.metrics import mean_squared_error
from sklearn.utils import check_array

from ..linear_model.base import store_model
from ..linear_model.fit_problem import MixedNormProblem
from ..linear_model.validation import prefix_errors
from ..solvers.threads import single_threaded_blas

# Largest relative difference between `y` and the mean of the folds: files hold single precision.
_ROUNDING = 1e-5


class Fold(NamedTuple):
    """The training and test data of a fold, and the error and score of a model on the test data."""

    X: np.ndarray
    y: np.ndarray
    sample_weight: np.ndarray | None
    X_test: np.ndarray
    y_test: np.ndarray
    test_weight: np.ndarray | None
    share: float = 1.0  # `y_test` has the noise variance of all data divided by `share`.

    def compute_error(self, model):
        """Compute the mean squared error of a model, on the scale of the noise of all data."""
        prediction = model.predict(self.X_test)
        error = mean_squared_error(self.y_test, prediction, sample_weight=self.test_weight)
        return self.share * error

    def scale_test(self):
        """Return `X_test` and `y_test` on the scale of the noise of all data."""
        if self.share == 1.0:
            return self.X_test, self.y_test
        root = np.sqrt(self.share)
        return self.X_test * root.astype(self.X_test.dtype), self.y_test * root

    def score(self, scorer, model, X, y):
        """Score a model; errors say if the scorer takes no weights."""
        weigh = {} if self.test_weight is None else {"sample_weight": self.test_weight}
        try:
            score = scorer(model, X, y, **weigh)
        except TypeError as error:
            if not weigh or "sample_weight" not in str(error):
                raise TypeError(f"scoring failed as scorer(estimator, X, y): {error}") from error
            raise TypeError(
                f"scoring takes no sample_weight ({scorer}): use another score, or no weights."
            ) from error
        except (ValueError, AttributeError) as error:
            raise ValueError(f"scoring={scorer} cannot be used: {error}") from error
        if not isinstance(score, Real):
            raise TypeError(f"scoring must return a number, got {score!r}.")
        with prefix_errors("scoring"):
            return float(score)


def check_folds(folds, n_samples):
    """Check the folds of a splitter."""
    if not folds:
        raise ValueError("cv gives no fold: pass a splitter, or a list of (train, test).")
    samples = np.arange(n_samples)
    for part in itertools.chain(*folds):
        try:
            picked = samples[part]
        except (IndexError, TypeError, ValueError) as error:
            raise ValueError(
                f"cv must give indices or masks of the {n_samples} samples: {error}."
            ) from error
        if picked.ndim != 1:
            raise ValueError(
                f"cv must give pairs of 1-D indices or masks of the {n_samples} samples, but one "
                f"contains {part!r}."
            )
        if picked.size == 0:
            raise ValueError("cv gives a fold without training or test samples.")


def split_samples(X, y, sample_weight, train, test):
    """Make a fold of some samples."""
    if sample_weight is None:
        return Fold(X[train], y[train], None, X[test], y[test], None)
    weights = sample_weight[train], sample_weight[test]
    if not (weights[0].any() and weights[1].any()):
        raise ValueError(
            "sample_weight is zero throughout a fold: leave these samples out, or change cv."
        )
    return Fold(X[train], y[train], weights[0], X[test], y[test], weights[1])


def split_measurements(X, y_folds, shares, sample_weight, k):
    """Make a fold of one of several measurements of the same samples.

    The training data are the mean of the other measurements. Stacking these instead, each times
    the square root of its share, would give the same model: the data term differs only by a factor
    and a constant. So all folds use the same `X`.
    """
    others = np.where(np.arange(len(shares)) == k, 0.0, shares)
    y = np.tensordot(others / others.sum(), y_folds, axes=1)
    return Fold(X, y, sample_weight, X, y_folds[k], sample_weight, shares[k])


def check_y_folds(y_folds, fold_weights, y):
    """Check several measurements of the same targets, and their weights."""
    with prefix_errors("y_folds", y_folds):
        y_folds = check_array(
            y_folds, dtype=np.float64, ensure_2d=False, allow_nd=True, input_name="y_folds"
        )
    n_folds = len(y_folds)
    if y_folds.shape[1:] != y.shape or n_folds < 2:
        raise ValueError(
            f"y_folds has shape {y_folds.shape}, but y has {y.shape}: give at least two folds, "
            "each of the shape of y."
        )
    shares = np.ones(n_folds)
    if fold_weights is not None:
        with prefix_errors("fold_weights", fold_weights):
            shares = check_array(
                fold_weights, dtype=np.float64, ensure_2d=False, input_name="fold_weights"
            )
    if shares.shape != (n_folds,) or shares.min() <= 0:
        raise ValueError(
            f"fold_weights must be one positive number for each of the {n_folds} y_folds, such as "
            "its number of trials."
        )
    shares = shares / shares.max()
    shares /= shares.sum()
    difference = np.abs(np.tensordot(shares, y_folds, axes=1) - y).max()
    if difference > _ROUNDING * np.abs(y_folds).max():
        raise ValueError(
            f"y must be the mean of y_folds with fold_weights, but differs by {difference:.1e}: "
            "put each trial of y into one fold, use the numbers of trials as fold_weights, and "
            "scale y_folds as y. InverseProblem.from_epochs does so."
        )
    return y_folds, shares


def fit_fold(model, alphas, options, scorer, split, *data):
    """Fit the path on the training data of a fold, and judge its models on the test data."""
    fold = split(*data)
    scaled = None if scorer is None else fold.scale_test()
    errors, scores, statuses, n_active = [], [], [], []
    model = copy(model)
    model.n_features_in_ = fold.X.shape[1]
    with single_threaded_blas():
        problem = MixedNormProblem(fold.X, fold.y, options, fold.sample_weight)
        for alpha, solution in zip(alphas, problem.solve_path(alphas), strict=True):
            store_model(model.set_params(alpha=alpha), problem, alpha, solution, fold.y.ndim)
            errors.append(fold.compute_error(model))
            if scorer is not None and fold.share != 1.0:  # scaled like X and y of the scorer
                model.intercept_ = model.intercept_ * float(np.sqrt(fold.share))
            scores.append(None if scorer is None else fold.score(scorer, model, *scaled))
            statuses.append(solution.status)
            n_active.append(model.n_active_)
    return errors, scores, statuses, n_active
