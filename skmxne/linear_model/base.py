"""The common base of the regressors: parameters, fitted attributes and predictions."""

from functools import partial
from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import exceptions
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from .._html import RepresentationMixin
from .._logging import warn
from .._progress import ProgressMixin
from .options import FitOptions
from .validation import cast_coef, check_data, check_features


class BaseMixedNorm(
    RepresentationMixin, ProgressMixin, MultiOutputMixin, RegressorMixin, BaseEstimator
):
    """A linear model whose coefficients are a mixed-norm estimate.

    Parameters
    ----------
    n_orient, n_mxne_iter, reweighting_scale, weights, weights_min, solver : object
        As for `MixedNormEstimator`.
    maxit, tol, active_set_size, dgap_freq, debias, time_pca, fit_intercept, verbose : object
        As for `MixedNormEstimator`.
    """

    # Fitted attributes, set by `store_model`.
    coef_: NDArray[Any]
    debias_scale_: NDArray[np.float64]
    intercept_: float | NDArray[Any]
    penalty_: float
    alpha_max_: float
    active_set_: NDArray[np.bool_]
    n_active_: int
    explained_variance_: float
    dual_gap_: float
    objective_: list[float]
    n_iter_: int
    converged_: bool

    def __init__(
        self,
        *,
        n_orient,
        n_mxne_iter,
        reweighting_scale,
        weights,
        weights_min,
        solver,
        maxit,
        tol,
        active_set_size,
        dgap_freq,
        debias,
        time_pca,
        fit_intercept,
        verbose,
    ):
        self.n_orient = n_orient
        self.n_mxne_iter = n_mxne_iter
        self.reweighting_scale = reweighting_scale
        self.weights = weights
        self.weights_min = weights_min
        self.solver = solver
        self.maxit = maxit
        self.tol = tol
        self.active_set_size = active_set_size
        self.dgap_freq = dgap_freq
        self.debias = debias
        self.time_pca = time_pca
        self.fit_intercept = fit_intercept
        self.verbose = verbose

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Predict with the linear model.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_targets)
            Predicted targets.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the model is not fitted.
        TypeError, ValueError
            If `X` is not valid, or its number of features differs from that in `fit`.
        """
        check_is_fitted(self)
        validate = partial(validate_data, self, reset=False)
        X = check_features(X, validate, ensure_all_finite=True)
        if X.shape[1] != self.coef_.shape[-1]:
            raise ValueError(
                f"X has {X.shape[1]} features, but coef_ has {self.coef_.shape[-1]}: the last fit "
                "failed, and coef_ is that of an earlier fit. Fit again."
            )
        # Only a few features have coefficients that are not zero.
        active = np.flatnonzero(self.coef_.reshape(-1, X.shape[1]).any(axis=0))
        return X[:, active] @ self.coef_[..., active].T + self.intercept_

    def _check(self, X, y):
        """Check the data, and the hyperparameters that all regressors share."""
        X, y = check_data(X, y, partial(validate_data, self))
        shared = {name: getattr(self, name) for name in SHARED_PARAMETERS}
        return X, y, FitOptions.check(X.shape[1], **shared)

    def _summarize(self):
        """Summarize the fit as a dictionary of names and values."""
        if not hasattr(self, "coef_"):
            return {}
        alpha = f"{100.0 * self.penalty_ / (self.alpha_max_ or 1.0):.3g} %"
        if hasattr(self, "alphas_"):
            grid = f"{len(self.alphas_)} from {self.alphas_[0]:.3g} to {self.alphas_[-1]:.3g} %"
            alpha = f"{alpha}, chosen on a grid of {grid}"
            of_path = getattr(self, "path_alpha_", self.alpha_)
            if of_path != self.alpha_:
                alpha = (
                    f"{of_path:.3g} %, chosen on a grid of {grid}; "
                    f"after the search {self.alpha_:.3g} %"
                )
        converged = "converged" if self.converged_ else "not converged"
        return {
            "Alpha": alpha,
            "Active blocks": f"{self.n_active_} of {len(self.debias_scale_)}",
            "Explained variance": f"{self.explained_variance_:.1f} %",
            "Duality gap": f"{self.dual_gap_:.1e}, {converged}",
            "Iterations": str(self.n_iter_),
        }


# The hyperparameters that `FitOptions` takes.
SHARED_PARAMETERS = [name for name in signature(BaseMixedNorm).parameters if name != "verbose"]


def store_model(model, problem, alpha, solution, y_ndim):
    """Set the fitted attributes of a model from a solution."""
    X = problem.design.X
    factors = problem.debias(alpha, solution)
    active, coef = problem.to_coef(solution, factors)
    model.coef_ = np.zeros((problem.n_targets, X.shape[1]), dtype=X.dtype, order="F")
    model.coef_[:, active] = cast_coef(coef, X.dtype)
    if y_ndim == 1:
        model.coef_ = model.coef_[0]
    model.debias_scale_ = np.ones(problem.design.n_positions)
    model.debias_scale_[solution.positions] = factors
    model.intercept_ = problem.find_intercept(model.coef_)
    model.alpha_max_ = problem.alpha_max
    model.penalty_ = problem.compute_penalty(alpha)
    model.active_set_ = np.zeros(X.shape[1], dtype=bool)
    model.active_set_[active] = True
    model.n_active_ = len(solution.positions)
    model.explained_variance_ = problem.compute_explained_variance(solution, factors)
    model.dual_gap_ = float(solution.dual_gap)
    model.objective_ = [float(value) for value in solution.objective]
    model.n_iter_ = max(solution.n_iter, 1)
    model.converged_ = solution.converged


class EmptyModelWarning(UserWarning, RuntimeWarning):
    """The model is empty. A UserWarning as in scikit-learn, and a RuntimeWarning as in MNE."""


class ConvergenceWarning(exceptions.ConvergenceWarning, RuntimeWarning):
    """A fit is less exact than requested. Both scikit-learn's category and that of MNE."""


def warn_if_empty(model, remedy):
    """Warn if the model is empty."""
    if model.n_active_ == 0:
        reason = "nothing in X correlates with y." if model.alpha_max_ == 0.0 else remedy
        warn(f"The model is empty, all coefficients are zero: {reason}", EmptyModelWarning)


def warn_if_not_converged(statuses, options, fits, gap=None):
    """Warn if duality gaps are above the tolerance, and say why."""
    missed = [status for status in statuses if status != "converged"]
    if not missed:
        return
    found = f"The duality gap is above tol={options.tol:g} at {len(missed)} of {len(statuses)}"
    found = f"{found} {fits}"
    if gap is not None:
        found = f"The duality gap, {gap:.1e} of the power of y, is above tol={options.tol:g}"
        if gap <= options.tol:
            found = "An earlier iteration of the reweighting has a duality gap above "
            found += f"tol={options.tol:g}"
    remedies = {
        "maxit": f"increase maxit={options.maxit}",
        "stalled": "it no longer gets smaller, increase tol",
    }
    remedy = "; ".join(remedies[status] for status in sorted(set(missed)))
    warn(f"{found}, so the model is not exact: {remedy}.", ConvergenceWarning)
