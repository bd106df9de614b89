"""The coefficients of fitted models, Pipelines and searches."""

import numpy as np
from scipy import sparse
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from ..linear_model.validation import prefix_errors
from ..solvers.objective import compute_columns


def read_coefficients(estimator, n_targets, n_features, n_orient, *, may_have_intercept=False):
    """Return the active positions of a model, their coefficients, and the scale of all columns."""
    if not may_have_intercept:
        _check_intercept(list_steps(estimator)[-1])
    coef, scale = _find_coefficients(estimator, n_features, n_orient)
    if not sparse.issparse(coef):
        with prefix_errors("estimator", coef):
            coef = np.asarray(coef)
    if coef.dtype.kind not in "fiub":
        raise TypeError(
            "estimator must be a fitted model with coef_, or an array of real coefficients, got "
            f"{type(estimator).__name__}."
        )
    shape = coef.shape
    if coef.ndim == 1:
        coef = coef.reshape(1, -1)
    if len(shape) == 2 and shape[0] != n_targets and shape[1] == n_features:
        raise ValueError(
            f"estimator has coefficients of {len(coef)} targets (times), but y has {n_targets}. "
            "Fit it to these data."
        )
    if coef.shape != (n_targets, n_features):
        raise ValueError(
            f"estimator has coefficients of shape {shape}, but the problem has "
            f"(n_targets, n_features) = {(n_targets, n_features)}. Fit it on X and y of this "
            "problem, or transpose the coefficients."
        )

    # Dense coefficients are large and nearly all zero: only the active columns are kept.
    if sparse.issparse(coef):
        coef = coef.tocsc()
        active = np.diff(coef.indptr) > 0
    else:
        active = coef.any(axis=0)
    positions = np.flatnonzero(active.reshape(-1, n_orient).any(axis=1))
    features = compute_columns(positions, n_orient)
    coef = coef[:, features]
    coef = (coef.toarray() if sparse.issparse(coef) else coef) * scale[features]
    if not np.isfinite(coef).all():
        raise ValueError("estimator has coefficients that are infinite or NaN.")
    return positions, coef.T.reshape(len(positions), n_orient, n_targets), scale


def list_steps(estimator):
    """List the parts of a model: the steps of Pipelines, and the best estimators of searches."""
    if isinstance(estimator, Pipeline):
        steps = [step for _, step in estimator.steps if step not in (None, "passthrough")]
        return [part for step in steps for part in list_steps(step)] or [estimator]
    if hasattr(estimator, "best_estimator_"):
        return list_steps(estimator.best_estimator_)
    return [estimator]


def _check_intercept(estimator):
    """Raise if a model has an intercept."""
    if np.any(getattr(estimator, "intercept_", 0)):
        raise ValueError(
            f"estimator has an intercept, which belongs to no source. Fit "
            f"{type(estimator).__name__} with fit_intercept=False."
        )


def _find_coefficients(estimator, n_features, n_orient):
    """Return the coefficients as stored, and the factors by which to scale their columns."""
    *transformers, estimator = list_steps(estimator)
    if hasattr(estimator, "fit") and not hasattr(estimator, "coef_"):
        check_is_fitted(estimator)
        raise TypeError(
            f"estimator must be a linear model or a search that refits one: "
            f"{type(estimator).__name__} has neither coef_ nor best_estimator_."
        )
    fitted_n_orient = getattr(estimator, "n_orient", n_orient)
    if fitted_n_orient != n_orient:
        raise ValueError(
            f"estimator was fitted with n_orient={fitted_n_orient}, but the problem has blocks of "
            f"n_orient={n_orient}. Fit it with n_orient={n_orient}."
        )
    return getattr(estimator, "coef_", estimator), _find_column_scale(transformers, n_features)


def _name_features(X, transformer):
    """Name features as in the fit of a transformer, which would warn otherwise."""
    names = getattr(transformer, "feature_names_in_", None)
    if names is None or len(names) != np.shape(X)[1]:
        return X
    try:
        import pandas as pd
    except ImportError:  # the names are from another kind of data frame
        return X
    return pd.DataFrame(np.asarray(X), columns=names)


def _find_column_scale(transformers, n_features):
    """Return the factors by which fitted transformers, one after another, scale the columns."""
    probe = result = np.vstack([np.ones(n_features), np.linspace(-1, 2, n_features)])
    for transformer in transformers:
        result = transformer.transform(_name_features(result, transformer))
    result = np.asarray(result)
    if result.shape != probe.shape or not np.allclose(result, result[0] * probe, rtol=1e-6, atol=0):
        raise ValueError(
            "estimator is a Pipeline with a step that does more than scale the columns of X, so "
            "its coefficients do not belong to features. Leave out the step, or pass the "
            "coefficients of X as an array."
        )
    return result[0]
