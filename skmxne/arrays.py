"""Checks of X and y: errors that name the argument, also those of scikit-learn."""

import re
from contextlib import contextmanager
from functools import partial

import numpy as np
from scipy import sparse
from sklearn.utils import check_array

# Whether X is finite shows in the norms of its columns, which are needed anyway: looking at all of
# X once more takes as long as a product.
_OPTIONS = dict(dtype=[np.float64, np.float32], ensure_all_finite=False)
_check_array = partial(check_array, input_name="X")


@contextmanager
def naming(name, value=None):
    """Make errors name an argument, and raise one for what only looks like numbers.

    Parameters
    ----------
    name : str
        The argument that is looked at.
    value : object, default=None
        What is given for it.
    """
    _check_kind(name, value)
    try:
        yield
    except (TypeError, ValueError, OverflowError) as error:
        # Without the whole array, which some show.
        lines = [line for line in str(error).splitlines() if line[:1] not in " ["]
        text = " ".join(line for line in lines if not line.startswith("array="))
        if re.search(rf"\b{name}\b", text):
            raise
        kind = ValueError if isinstance(error, OverflowError) else type(error)
        raise kind(f"{name} cannot be used. {text}") from error


def check_features(X, validate=None, **options):
    """Check samples of features.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        The samples.
    validate : callable, default=None
        `validate_data` of an estimator. None: `check_array`.
    **options : dict
        Options of it.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        The samples, of single or double precision; not copied if they are so already.

    Raises
    ------
    TypeError, ValueError
        If they are not a matrix of real numbers. Whether they are finite is not looked at.
    """
    with naming("X", X):
        return (validate or _check_array)(X, **(_OPTIONS | options))


def check_data(X, y, validate=None):
    """Check samples and their targets.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        The samples.
    y : array-like of shape (n_samples,) or (n_samples, n_targets)
        The targets.
    validate : callable, default=None
        `validate_data` of an estimator. None: `check_array`.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        The samples, of single or double precision; not copied if they are so already.
    y : ndarray of shape (n_samples,) or (n_samples, n_targets)
        The targets, of double precision.

    Raises
    ------
    TypeError, ValueError
        If they are not arrays of real numbers, or do not fit each other. Whether `X` is finite is
        not looked at.
    """
    X = check_features(X, validate)
    if y is None:
        raise ValueError("A fit requires y to be passed, but the target y is None.")
    if sparse.issparse(y):
        raise TypeError("Sparse data was passed for y, but dense data is required: y.toarray().")
    with naming("y", y):
        y = check_array(y, ensure_2d=False, input_name="y").astype(np.float64, copy=False)
    if len(y) != len(X):
        hint = "pass the rows of X and y that belong together."
        if len(X) in y.shape:
            hint = "y should be (n_samples, n_targets), pass its transpose."
        elif len(y) in X.shape:
            hint = "X should be (n_samples, n_features), pass its transpose."
        raise ValueError(
            f"X and y have inconsistent numbers of samples, {len(X)} and {len(y)}: {hint}"
        )
    return X, y


def _check_kind(name, value):
    """Raise for what would be taken for numbers that it does not mean, or is no array at all."""
    if type(value).__module__.partition(".")[0] == "mne" or hasattr(value, "to_source_estimate"):
        raise TypeError(
            f"{name} must be an array, got {type(value).__name__}: make X and y of objects of MNE "
            "with skmxne.InverseProblem.from_evoked(evoked, forward, noise_cov), and pass "
            "problem.X and problem.y."
        )
    if np.ma.is_masked(value):
        raise ValueError(f"{name} has masked values: leave these samples out, or fill them.")
    while isinstance(value, list | tuple) and value:
        value = value[0]
    dtypes = getattr(value, "dtypes", ())  # of a DataFrame; of a Series it is its dtype
    for dtype in [getattr(value, "dtype", None), *(dtypes if np.iterable(dtypes) else ())]:
        if getattr(dtype, "kind", None) in ("m", "M"):
            raise TypeError(f"{name} must be numbers, got times of dtype {dtype}.")


def check_magnitude(name, array, power):
    """Raise if sums of squares overflow or underflow.

    Parameters
    ----------
    name : str
        The argument.
    array : ndarray
        Its values.
    power : float
        The largest sum of squares of interest.
    """
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
