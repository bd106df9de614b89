"""Grids of alphas to choose from."""

import warnings
from numbers import Integral, Real

import numpy as np

from .arrays import naming

# Largest alpha of a grid, in percent: at 100 nothing is active.
_TOP = 99.0
# Most alphas of a grid: more is a slip.
_MOST = 10_000


def check_alphas(alphas, eps):
    """Check a grid of alphas, or make one.

    Parameters
    ----------
    alphas : int or array-like of shape (n_alphas,)
        Percentages, or the number of them.
    eps : float
        Ratio of the smallest alpha of the grid to 100 percent.

    Returns
    -------
    alphas : ndarray of shape (n_alphas,)
        Percentages in descending order.

    Raises
    ------
    TypeError, ValueError
        If they are not numbers in [0, 100).
    """
    if isinstance(alphas, Integral) and not isinstance(alphas, bool):
        if not 1 <= alphas <= _MOST:
            raise ValueError(f"alphas must be at least one, and at most {_MOST}, got {alphas}.")
        if not isinstance(eps, Real):
            raise TypeError(f"eps must be a number, got {eps!r}.")
        if not 0 < float(eps) < 0.99:
            raise ValueError(f"eps must be in (0, 0.99), got {eps!r}.")
        return np.geomspace(_TOP, 100.0 * float(eps), alphas)
    with naming("alphas", alphas):
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
            "alphas must be percentages in [0, 100): at 100 and above no position is active."
        )
    return np.sort(alphas.astype(np.float64))[::-1]


def warn_if_at_edge(alpha, alphas, given, eps, at_the_top=None):
    """Warn, in the name of the caller's caller, of a choice beyond which there may be a better one.

    Parameters
    ----------
    alpha : float
        The choice.
    alphas : ndarray of shape (n_alphas,)
        What there was to choose from, in descending order.
    given : int or array-like of shape (n_alphas,)
        What it was made of.
    eps : float
        Ratio of the smallest alpha of a grid to 100 percent.
    at_the_top : str, default=None
        What to do where the choice is the largest alpha that makes sense. None: nothing.
    """
    if len(alphas) == 1:  # no choice
        return
    remedy = None
    if alpha == alphas[-1] > 0.0:
        lower = f"lower eps={eps:g}" if isinstance(given, Integral) else "add smaller alphas"
        remedy = f"the smallest of the grid, the best may lie below it: {lower}."
    elif alpha == alphas[0] < _TOP:
        remedy = "the largest of the grid, the best may lie above it: add larger alphas."
    elif alpha == alphas[0] and at_the_top:
        remedy = f"the largest of the grid, at which next to nothing is active: {at_the_top}"
    if remedy:
        warnings.warn(f"alpha_={alpha:g} is {remedy}", UserWarning, stacklevel=3)
