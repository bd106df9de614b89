"""Convex quadratic functions with lower bounds."""

import numpy as np
from scipy.linalg import LinAlgError

from .cholesky import factorize, solve_factorized

# Exchanges in a row without progress, before one variable at a time is exchanged.
_PATIENCE = 3


def minimize_quadratic(hessian, linear, lower, *, damping=0.0, max_pivots=30):
    """Minimise ``1/2 d^T H d - linear^T d`` over ``d >= lower``, by block principal pivoting.

    Every variable is free or fixed at its bound. All variables that violate optimality change
    sides at once, as long as their number decreases. If it does not for a while, only the last of
    them changes sides, which always terminates [1]_.

    References
    ----------
    .. [1] Júdice & Pires (1994). A block principal pivoting algorithm for large-scale strictly
       monotone linear complementarity problems. Computers & Operations Research 21(5), 587-596.
    """
    scale = 1.0 / np.sqrt(np.maximum(hessian.diagonal(), np.finfo(float).tiny))
    with np.errstate(over="ignore"):
        hessian = hessian * scale * scale[:, None]
    if not np.isfinite(hessian).all():  # a diagonal that is zero up to rounding
        raise LinAlgError("The Hessian is not positive definite.")
    hessian.flat[:: len(hessian) + 1] += damping
    lower = lower / scale
    target = linear * scale - hessian @ lower
    rounding = 1e-12 * np.abs(target).max(initial=0.0)
    free = np.ones(len(linear), dtype=bool)
    fewest, patience = len(linear) + 1, _PATIENCE
    for _ in range(max_pivots):
        index = np.flatnonzero(free)
        part = hessian if len(index) == len(hessian) else hessian[np.ix_(index, index)]
        factor = factorize(part)
        solution = np.zeros(len(linear))
        solution[index] = solve_factorized(factor, target[index])
        multipliers = hessian @ solution - target
        wrong = np.flatnonzero(np.where(free, solution < 0.0, multipliers < -rounding))
        if len(wrong) == 0:
            break
        if len(wrong) < fewest:
            fewest, patience = len(wrong), _PATIENCE
        elif patience:
            patience -= 1
        else:
            wrong = wrong[-1:]
        free[wrong] = ~free[wrong]
    with np.errstate(over="ignore"):
        minimizer = (np.maximum(solution, 0.0) + lower) * scale
    if not np.isfinite(minimizer).all():
        raise LinAlgError("The Hessian is not positive definite.")
    return minimizer
