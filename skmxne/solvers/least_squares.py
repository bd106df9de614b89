"""No regularization: the minimum-norm least-squares fit."""

import numpy as np
from scipy.linalg import svd

from .active_set import Solution
from .objective import compute_block_norms, compute_primal


def solve_least_squares(design, y, *, tol=np.inf):
    """Minimise ``||y - X W||_F``, and ``||W||_F`` among its minimisers."""
    positions = np.flatnonzero(design.norms)
    X = design.columns(positions)
    left, singular_values, right = svd(X, full_matrices=False, check_finite=False)
    rounding = max(X.shape) * np.finfo(design.X.dtype).eps * singular_values[0]
    rank = np.count_nonzero(singular_values > rounding)
    left, right = left[:, :rank], right[:rank]
    coef = right.T @ (left.T @ y / singular_values[:rank, None])
    residual = y - X @ coef
    active = compute_block_norms(coef, design.n_orient) > 0.0
    missed = left.T @ residual
    gap = 0.5 * np.vdot(missed, missed) / np.vdot(y, y)
    return Solution(
        positions[active],
        coef[np.repeat(active, design.n_orient)],
        dual_gap=gap,
        status="converged" if gap <= tol else "stalled",
        objective=[compute_primal(residual, np.zeros(1), 0.0)],
        n_iter=1,
    )
