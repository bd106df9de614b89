"""Debiasing: take back the shrinkage of the penalty."""

import numpy as np
from scipy.optimize import lsq_linear, nnls


def compute_debiasing(X, y, coef, n_orient=1):
    """Compute the factors that take the shrinkage away from the amplitudes.

    They minimise ``||y - X diag(d) W||_F`` over ``d >= 1``, one factor per position, exactly.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_active * n_orient)
        Columns of the active positions.
    y : ndarray of shape (n_samples, n_targets)
        Data.
    coef : ndarray of shape (n_active * n_orient, n_targets)
        Coefficients ``W``.
    n_orient : int, default=1
        Columns of a block.

    Returns
    -------
    factors : ndarray of shape (n_active,)
        What to multiply the coefficients of each position by, at least 1.

    Notes
    -----
    With ``d = 1 + e`` this is a non-negative least squares problem for ``e``, whose Gram matrix
    is that of the fields ``X_g W_g`` of the positions.
    """
    n_active = len(coef) // n_orient
    if n_active == 0:
        return np.ones(0)

    def sum_rows(array):
        return array.reshape(n_active, n_orient, -1).sum(axis=1)

    gram = (X.T @ X) * (coef @ coef.T)
    gram = sum_rows(sum_rows(gram).T)
    moments = sum_rows((X.T @ (y - X @ coef)) * coef).sum(axis=1)
    # Fields of unit norm, then a square root of their Gram matrix stands in for the fields.
    norms = np.sqrt(np.maximum(gram.diagonal(), np.finfo(float).tiny))
    values, vectors = np.linalg.eigh(gram / norms / norms[:, None])
    kept = values > 1e-14 * values[-1]
    roots, vectors = np.sqrt(values[kept]), vectors[:, kept]
    target = vectors.T @ (moments / norms) / roots
    fields = roots[:, None] * vectors.T
    try:
        excess, _ = nnls(fields, target, maxiter=max(100, 30 * n_active))
    except RuntimeError:
        # The active sets of `nnls` may cycle where fields are nearly parallel.
        excess = lsq_linear(fields, target, bounds=(0.0, np.inf), tol=1e-14).x
    return 1.0 + excess / norms
