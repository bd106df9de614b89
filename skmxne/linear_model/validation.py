"""Checks of data, parameters and grids: errors that name the argument and say what to do."""

import re
from contextlib import contextmanager
from functools import partial
from numbers import Integral, Real

import numpy as np
from scipy import sparse
from sklearn.utils import check_array

from .._logging import warn

# The norms of the columns of X, which are needed anyway, show whether X is finite: a separate check
# takes as long as a product.
_OPTIONS = dict(dtype=[np.float64, np.float32], ensure_all_finite=False)
_check_array = partial(check_array, input_name="X")


@contextmanager
def prefix_errors(name, value=None):
    """Make errors name the argument, and raise one if its kind is not supported."""
    _check_kind(name, value)
    try:
        yield
    except (TypeError, ValueError, OverflowError) as error:
        # Without the array itself, which some errors print.
        lines = [line for line in str(error).splitlines() if line[:1] not in " ["]
        text = " ".join(line for line in lines if not line.startswith("array="))
        if re.search(rf"\b{name}\b", text):
            raise
        kind = ValueError if isinstance(error, OverflowError) else type(error)
        raise kind(f"{name} cannot be used. {text}") from error


def check_features(X, validate=None, **options):
    """Check samples of features."""
    with prefix_errors("X", X):
        return (validate or _check_array)(X, **(_OPTIONS | options))


def check_data(X, y, validate=None):
    """Check samples and their targets."""
    X = check_features(X, validate)
    if y is None:
        raise ValueError("A fit requires y to be passed, but the target y is None.")
    if sparse.issparse(y):
        raise TypeError(
            "Sparse data was passed for y, but dense data is required: use y.toarray()."
        )
    with prefix_errors("y", y):
        y = check_array(y, ensure_2d=False, input_name="y").astype(np.float64, copy=False)
    if len(y) != len(X):
        hint = "pass one row of y for each row of X."
        if len(X) in y.shape:
            hint = "y should be (n_samples, n_targets), pass its transpose."
        elif len(y) in X.shape:
            hint = "X should be (n_samples, n_features), pass its transpose."
        raise ValueError(
            f"X and y have inconsistent numbers of samples, {len(X)} and {len(y)}: {hint}"
        )
    return X, y


def _check_kind(name, value):
    """Raise for MNE objects, and for masked values and times, which NumPy takes for numbers."""
    if type(value).__module__.partition(".")[0] == "mne" or hasattr(value, "to_source_estimate"):
        raise TypeError(
            f"{name} must be an array, got {type(value).__name__}: make a problem from MNE objects "
            "with skmxne.InverseProblem.from_evoked(evoked, forward, noise_cov), and pass "
            "problem.X and problem.y."
        )
    if np.ma.is_masked(value):
        raise ValueError(f"{name} has masked values: leave these samples out, or fill them.")
    while isinstance(value, list | tuple) and value:
        value = value[0]
    dtypes = getattr(value, "dtypes", ())  # several of a DataFrame, one of a Series
    for dtype in [getattr(value, "dtype", None), *(dtypes if np.iterable(dtypes) else ())]:
        if getattr(dtype, "kind", None) in ("m", "M"):
            raise TypeError(f"{name} must be numbers, got times of dtype {dtype}.")


def check_magnitude(name, array, power):
    """Raise if sums of squares overflow or underflow."""
    if not np.isfinite(power):
        raise ValueError(
            f"Input {name} contains values whose squares are too large: divide {name} by a "
            "constant."
        )
    if power < np.finfo(np.float64).tiny and array.any():
        raise ValueError(
            f"Input {name} contains values whose squares are too small: multiply {name} by a "
            "constant."
        )


def cast_coef(coef, dtype):
    """Return coefficients in the precision of the data, or raise if its range is too small."""
    with np.errstate(over="ignore", under="ignore"):
        cast = coef.astype(dtype, copy=False)
    vanish = coef.any() and np.abs(cast).max() < np.finfo(dtype).tiny
    if vanish or not np.isfinite(cast).all():
        remedy = ", or pass X in double precision" if dtype == np.float32 else ""
        raise ValueError(
            f"The coefficients are too {'small' if vanish else 'large'} for {np.dtype(dtype)}: "
            f"scale X or y{remedy}."
        )
    return cast


def check_weights(weights, weights_min, n_positions):
    """Check the weights of the blocks, and return one factor per block for its columns."""
    if weights is None:
        return None
    with prefix_errors("weights", weights):
        weights = np.asarray(weights)
    if weights.dtype.kind not in "fiub":
        raise TypeError(f"weights must be real numbers, got dtype {weights.dtype}.")
    weights = weights.astype(np.float64)
    if weights.shape != (n_positions,):
        raise ValueError(
            f"weights has shape {weights.shape}, but X has {n_positions} blocks of features: give "
            f"one weight per block, shape ({n_positions},)."
        )
    if not np.isfinite(weights).all() or weights.min() < 0:
        raise ValueError("weights must be finite and not negative.")
    largest = weights.max()
    if largest == 0:
        raise ValueError("weights are all zero: at least one must be positive.")
    if largest <= weights_min:
        raise ValueError(
            f"weights_min={weights_min:g} leaves nothing, as the largest weight is {largest:g}: "
            "lower weights_min (it has the unit of weights)."
        )
    return np.where(weights > weights_min, weights / largest, 0.0)


def check_sample_weight(sample_weight, n_samples):
    """Check the weights of the samples."""
    with prefix_errors("sample_weight", sample_weight):
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
        raise ValueError("sample_weight must not be negative, and not all zero.")
    if not 1e-30 <= weight.max() <= 1e30:
        raise ValueError(
            f"sample_weight has the maximum {weight.max():g}, out of range: divide it by a "
            "constant. This does not change the coefficients."
        )
    return weight


def check_target_covariance(target_covariance, n_targets):
    """Check the covariance of the noise across targets."""
    if target_covariance is None:
        return None
    with prefix_errors("target_covariance", target_covariance):
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
            f"target_covariance has the largest value {largest:g}, out of range: divide it by a "
            "constant, and multiply noise_variance by the same constant."
        )
    rounding = 1e-6 * n_targets * largest
    is_symmetric = np.allclose(covariance, covariance.T, rtol=0.0, atol=rounding)
    if largest == 0 or not is_symmetric or np.linalg.eigvalsh(covariance)[0] < -rounding:
        raise ValueError(
            "target_covariance must be a covariance: symmetric, without negative eigenvalues, and "
            "not all zero."
        )
    return covariance


def check_real(name, value, low, high, *, optional=False, interval="[)"):
    """Check for a number in an interval, whose brackets say whether the ends are included."""
    if value is None and optional:
        return None
    if not isinstance(value, Real) or isinstance(value, bool | np.bool_):
        kind = "a number or None" if optional else "a number"
        hint = " MixedNormIC and MixedNormCV choose alpha." if name == "alpha" else ""
        raise TypeError(f"{name} must be {kind}, got {value!r}.{hint}")
    left, right = interval
    above = value >= low if left == "[" else value > low
    below = value <= high if right == "]" else value < high
    if not (above and below):
        unit = " percent" if name == "alpha" else ""
        raise ValueError(f"{name} must be in {left}{low}, {high}{right}{unit}, got {value!r}.")
    with prefix_errors(name):
        return float(value)


def check_integer(name, value, *, optional=False, or_else=None):
    """Check for a positive integer."""
    if value is None and optional:
        return None
    kind = f"a positive integer{' or None' if optional else ''}"
    if or_else:
        kind = f"{kind}, or {or_else}"
    if not isinstance(value, Integral) or isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be {kind}, got {value!r}.")
    if value < 1:
        raise ValueError(f"{name} must be {kind}, got {value!r}.")
    return int(value)


def check_bool(name, value):
    """Check for True or False."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r}.")
    return bool(value)


# Largest alpha of a grid, in percent: at 100 no block is active.
_TOP = 99.0
# Maximum number of alphas of a grid: more are probably a mistake.
_MOST = 10_000


def check_alphas(alphas, eps):
    """Check a grid of alphas, or make one."""
    if isinstance(alphas, Integral) and not isinstance(alphas, bool):
        if not 1 <= alphas <= _MOST:
            raise ValueError(
                f"alphas must be an int from 1 to {_MOST}, or a sequence, got {alphas}."
            )
        eps = check_real("eps", eps, 0, 0.99, interval="()")
        return np.geomspace(_TOP, 100.0 * eps, alphas)
    with prefix_errors("alphas", alphas):
        alphas = np.asarray(alphas)
    if alphas.ndim == 0 or alphas.dtype.kind not in "fiu":
        raise TypeError("alphas must be an int or a sequence of percentages.")
    if alphas.ndim > 1 or alphas.size == 0:
        raise ValueError(
            "alphas must be a sequence of at least one percentage, of shape (n_alphas,), got shape "
            f"{alphas.shape}."
        )
    if not ((alphas >= 0) & (alphas < 100)).all():
        raise ValueError(
            "alphas must be percentages in [0, 100): at 100 and above the model is empty."
        )
    return np.sort(alphas.astype(np.float64))[::-1]


def warn_if_at_edge(alpha, alphas, at_the_top=None):
    """Warn if the chosen alpha lies at an edge of the grid."""
    if len(alphas) == 1:  # no choice
        return
    found = None
    if alpha == alphas[-1] > 0.0:
        found = "the smallest of the grid: a better one may lie below it. Try smaller alphas."
    elif alpha == alphas[0] < _TOP:
        found = "the largest of the grid: a better one may lie above it. Try larger alphas."
    elif alpha == alphas[0] and at_the_top:
        found = f"the largest of the grid, where almost nothing is active. {at_the_top}"
    if found:
        warn(f"The alpha chosen, {alpha:g} %, is {found}")
