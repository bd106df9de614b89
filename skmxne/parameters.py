"""Checks of hyperparameters: a clear error that says what was wrong and what to do."""

import math
from numbers import Integral, Real

import numpy as np
from sklearn.utils import check_array

from .arrays import naming
from .degrees_of_freedom import CRITERIA
from .solvers import check_solver


def check_parameters(params, n_features):
    """Check the hyperparameters of fits of every kind.

    Parameters
    ----------
    params : dict
        Names and values, as `get_params` of an estimator returns them; only those given are
        checked, of which `n_orient` has to be one.
    n_features : int
        Number of features of the data to fit.

    Returns
    -------
    params : dict
        The same, with numbers as `float` and `int`: those of NumPy may be of low precision.

    Raises
    ------
    TypeError, ValueError
        If a value is of the wrong kind, out of its range, or does not fit the others.
    """
    params = dict(params)
    _check_real(params, "alpha", 0, 100)
    _check_integer(params, "n_orient")
    _check_integer(params, "n_mxne_iter")
    _check_real(params, "reweighting_scale", 0, math.inf, optional=True, interval="()")
    _check_real(params, "weights_min", 0, math.inf)
    _check_real(params, "penalty", 0, math.inf)
    _check_integer(params, "maxit")
    _check_real(params, "tol", 0, math.inf)
    _check_integer(params, "active_set_size", optional=True)
    _check_n_jobs(params.get("n_jobs"))
    _check_bool(params, "debias")
    _check_bool(params, "warm_start")
    _check_bool(params, "one_standard_error")
    _check_bool(params, "return_residual")
    _check_bool(params, "return_as_dipoles")
    _check_real(params, "noise_variance", 0, math.inf, optional=True, interval="()")
    _check_real(params, "depth", 0, math.inf, optional=True)
    _check_real(params, "loose", 0, 1, interval="[]")
    _check_real(params, "model_error", 0, 1)
    criteria = ["ric", *CRITERIA]
    criterion = params.get("criterion", "ric")
    if not isinstance(criterion, str) or criterion not in criteria:
        raise ValueError(f"criterion={criterion!r} is unknown: use one of {criteria}.")
    if params.get("dgap_freq") != math.inf:
        _check_integer(params, "dgap_freq", or_else="inf")
    if not isinstance(params.get("time_pca", True), bool | np.bool_):
        _check_integer(params, "time_pca", or_else="True or False")
    n_orient = params["n_orient"]
    if n_features % n_orient:
        raise ValueError(
            f"n_orient={n_orient} does not divide the {n_features} features of X: each position "
            "has n_orient consecutive features. Set n_orient to the number of orientations in X "
            "(1 for fixed, 3 for loose or free)."
        )
    if n_orient != 3 and params.get("loose", 1) != 1:
        raise ValueError(
            f"loose={params['loose']:g} needs n_orient=3, two tangential orientations and the "
            f"normal, got n_orient={n_orient}: set loose=1, or n_orient to 3 where X has them."
        )
    check_solver(params.get("solver", "auto"), n_orient)
    return params


def check_weights(weights, weights_min, n_positions):
    """Check the weights of the positions and turn them into factors of their columns.

    Parameters
    ----------
    weights : array-like of shape (n_positions,) or None
        Not negative; larger is more likely active.
    weights_min : float
        Positions whose weight is not above it are left out.
    n_positions : int
        Number of positions.

    Returns
    -------
    scale : ndarray of shape (n_positions,) or None
        ``weights / max(weights)``, 0 where a position is left out.

    Raises
    ------
    TypeError
        If the weights are not real numbers.
    ValueError
        If the weights have the wrong shape, are not finite or negative, or leave no position.
    """
    if weights is None:
        return None
    with naming("weights", weights):
        weights = np.asarray(weights)
    if weights.dtype.kind not in "fiub":
        raise TypeError(f"weights must be real numbers, got dtype {weights.dtype}.")
    weights = weights.astype(np.float64)
    if weights.shape != (n_positions,):
        raise ValueError(
            f"weights has shape {weights.shape}, but X has {n_positions} positions: give one "
            f"weight per position, shape ({n_positions},)."
        )
    if not np.isfinite(weights).all() or weights.min() < 0:
        raise ValueError("weights must be finite and not negative.")
    largest = weights.max()
    if largest == 0:
        raise ValueError("weights are all zero: at least one position needs a positive weight.")
    if largest <= weights_min:
        raise ValueError(
            f"weights_min={weights_min:g} leaves no position, as the largest weight is "
            f"{largest:g}: lower weights_min (it has the unit of weights)."
        )
    return np.where(weights > weights_min, weights / largest, 0.0)


def check_sample_weight(sample_weight, n_samples):
    """Check the weights of the samples.

    Parameters
    ----------
    sample_weight : array-like of shape (n_samples,) or float
        Not negative; a number stands for all.
    n_samples : int
        Number of samples.

    Returns
    -------
    sample_weight : ndarray of shape (n_samples,)
        One weight per sample.

    Raises
    ------
    ValueError
        If the weights have the wrong shape, are not finite, negative or all zero, or if the
        largest is not between 1e-30 and 1e30.
    """
    with naming("sample_weight", sample_weight):
        if isinstance(sample_weight, Real):
            sample_weight = np.full(n_samples, float(sample_weight))
        weight = check_array(
            sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight"
        )
    if weight.shape != (n_samples,):
        raise ValueError(
            f"sample_weight has shape {weight.shape}, but X has {n_samples} samples: give one "
            f"weight per sample, shape ({n_samples},)."
        )
    if weight.min() < 0 or weight.max() == 0:
        raise ValueError("sample_weight must not be negative, nor zero throughout.")
    if not 1e-30 <= weight.max() <= 1e30:
        raise ValueError(
            f"sample_weight has the largest value {weight.max():g}: divide it by a constant, on "
            "which no coefficient depends."
        )
    return weight


def check_target_covariance(target_covariance, n_targets):
    """Check the covariance of the noise across targets.

    Parameters
    ----------
    target_covariance : array-like of shape (n_targets, n_targets) or None
        Symmetric and positive semi-definite.
    n_targets : int
        Number of targets.

    Returns
    -------
    target_covariance : ndarray of shape (n_targets, n_targets) or None
        The covariance.

    Raises
    ------
    ValueError
        If it has the wrong shape, is not finite, or is no covariance.
    """
    if target_covariance is None:
        return None
    with naming("target_covariance", target_covariance):
        covariance = check_array(
            target_covariance,
            dtype=np.float64,
            ensure_2d=False,
            allow_nd=True,
            input_name="target_covariance",
        )
    if covariance.shape != (n_targets, n_targets):
        raise ValueError(
            f"target_covariance has shape {covariance.shape}, but y has {n_targets} targets: give "
            f"the covariance of their noise, shape ({n_targets}, {n_targets})."
        )
    largest = np.abs(covariance).max()
    if largest and not 1e-300 <= largest <= 1e300:
        raise ValueError(
            f"target_covariance has the largest value {largest:g}: divide it by a constant, and "
            "multiply noise_variance by it."
        )
    rounding = 1e-6 * n_targets * largest
    is_symmetric = np.allclose(covariance, covariance.T, rtol=0.0, atol=rounding)
    if largest == 0 or not is_symmetric or np.linalg.eigvalsh(covariance)[0] < -rounding:
        raise ValueError(
            "target_covariance must be a covariance: symmetric, without negative eigenvalues, and "
            "not zero throughout."
        )
    return covariance


def _check_real(params, name, low, high, *, optional=False, interval="[)"):
    """Check for a number between two others; the brackets of the interval tell which may be it."""
    value = params.get(name)
    if name not in params or (value is None and optional):
        return
    if not isinstance(value, Real) or isinstance(value, bool | np.bool_):
        kind = "a number or None" if optional else "a number"
        hint = " MixedNormIC and MixedNormCV choose alpha." if name == "alpha" else ""
        raise TypeError(f"{name} must be {kind}, got {value!r}.{hint}")
    left, right = interval
    above = value >= low if left == "[" else value > low
    below = value <= high if right == "]" else value < high
    if not (above and below):
        raise ValueError(f"{name} must be in {left}{low}, {high}{right}, got {value!r}.")
    with naming(name):
        params[name] = float(value)


def _check_integer(params, name, *, optional=False, or_else=None):
    """Check for a positive integer."""
    value = params.get(name, 1)
    if name not in params or (value is None and optional):
        return
    kind = f"a positive integer{' or None' if optional else ''}"
    if or_else:
        kind = f"{kind}, or {or_else}"
    if not isinstance(value, Integral) or isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be {kind}, got {value!r}.")
    if value < 1:
        raise ValueError(f"{name} must be {kind}, got {value!r}.")
    params[name] = int(value)


def _check_n_jobs(n_jobs):
    if n_jobs is None:
        return
    if not isinstance(n_jobs, Integral) or isinstance(n_jobs, bool | np.bool_):
        raise TypeError(f"n_jobs must be an integer or None, got {n_jobs!r}.")
    if n_jobs == 0:
        raise ValueError("n_jobs must not be 0: 1 is one fold at a time, -1 all processors.")


def _check_bool(params, name):
    value = params.get(name, True)
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r}.")
