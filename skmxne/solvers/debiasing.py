"""Debiasing: remove the shrinkage of the penalty."""

import numpy as np
from scipy.linalg import LinAlgError, qr
from scipy.optimize import nnls

from .bounded_quadratic import minimize_quadratic

# Damping of the Gram matrix of fields of unit norm, which may be parallel; repetitions correct its
# effect.
_DAMPING = 1e-12
_MAX_REPETITIONS = 20


def compute_debiasing(X, y, coef, n_orient=1):
    """Compute the factors that remove the shrinkage of the amplitudes.

    Up to rounding, they minimise ``||y - X diag(d) W||_F`` over ``d >= 1``, one per position.

    Notes
    -----
    With ``d = 1 + e`` this is a non-negative least squares problem for ``e``, whose Gram matrix
    is that of the fields ``X_g W_g`` of the positions. The proximal point method solves it even if
    fields are parallel, since each of its steps has a unique solution [1]_. If it fails, because
    fields are parallel up to less than the square root of rounding, Lawson and Hanson's algorithm
    solves the problem on the fields themselves [2]_.

    References
    ----------
    .. [1] Rockafellar (1976). Monotone operators and the proximal point algorithm. SIAM Journal
       on Control and Optimization 14(5), 877-898.
    .. [2] Lawson & Hanson (1995). Solving least squares problems. SIAM, chapter 23.
    """
    n_active = len(coef) // n_orient
    if n_active == 0:
        return np.ones(0)

    def sum_rows(array):
        return array.reshape(n_active, n_orient, -1).sum(axis=1)

    gram = (X.T @ X) * (coef @ coef.T)
    gram = sum_rows(sum_rows(gram).T)
    moments = sum_rows((X.T @ (y - X @ coef)) * coef).sum(axis=1)
    norms = np.sqrt(np.maximum(gram.diagonal(), np.finfo(float).tiny))
    gram = gram / norms / norms[:, None]
    target = moments / norms
    excess, lower = np.zeros(n_active), np.zeros(n_active)
    options = dict(damping=_DAMPING, max_pivots=10 * n_active)
    try:
        for _ in range(_MAX_REPETITIONS):
            previous = excess
            excess = minimize_quadratic(gram, target + _DAMPING * previous, lower, **options)
            moved = np.abs(excess - previous).max()
            if _DAMPING * moved <= np.finfo(float).eps * np.abs(target).max():
                return 1.0 + excess / norms
    except LinAlgError:
        pass
    return 1.0 + _fit_fields(X, y, coef, norms, excess) / norms


def _fit_fields(X, y, coef, norms, excess):
    """Return how much of each unit-norm field to add to the fit; `excess` if none is found."""
    n_active = len(norms)
    n_orient = len(coef) // n_active
    fields = np.empty((n_active, y.size))
    for g, field in enumerate(fields):
        rows = slice(g * n_orient, (g + 1) * n_orient)
        field[:] = (X[:, rows] @ coef[rows]).ravel() / norms[g]
    factor, upper = qr(fields.T, mode="economic")
    try:
        return nnls(upper, factor.T @ (y - X @ coef).ravel(), maxiter=100 * n_active)[0]
    except RuntimeError:  # SciPy 1.14 may cycle
        return excess
