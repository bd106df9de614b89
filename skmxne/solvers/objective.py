"""The objective, its dual, and the quantities that both need.

Shapes throughout the numerical core: ``X`` (n_samples, n_positions * n_orient),
``y`` (n_samples, n_targets), coefficients ``W`` (n_positions * n_orient, n_targets).
Block ``g`` is the ``n_orient`` consecutive rows of ``W`` that belong to position ``g``.
"""

import numpy as np
from numpy.typing import NDArray


def compute_block_norms(coef, n_orient):
    """Compute the Frobenius norm of each block of rows."""
    return np.sqrt(np.einsum("ij,ij->i", coef, coef).reshape(-1, n_orient).sum(axis=1))


def compute_columns(positions, n_orient):
    """Compute which columns of ``X``, or rows of ``W``, belong to some blocks."""
    return (positions[:, None] * n_orient + np.arange(n_orient)).ravel()


def prox_l21(coef: NDArray[np.float64], threshold: float, n_orient: int = 1) -> NDArray[np.float64]:
    """Shorten every block by a threshold: the proximal operator of the sum of norms.

    Parameters
    ----------
    coef : ndarray of shape (n_positions * n_orient, n_targets)
        Coefficients.
    threshold : float
        By how much each block is shortened, not negative. Blocks with a smaller norm become zero.
    n_orient : int, default=1
        Number of rows per block.

    Returns
    -------
    shrunk : ndarray of shape (n_positions * n_orient, n_targets)
        The minimiser of ``1/2 ||. - coef||_F^2 + threshold * sum_g ||._g||_F``.
    """
    longest = np.maximum(compute_block_norms(coef, n_orient), threshold)
    kept = 1.0 - threshold / np.where(longest > 0.0, longest, 1.0)
    return coef * np.repeat(kept, n_orient)[:, None]


def compute_explained(power, residual_power):
    """Compute the percentage of a power that is explained, 0 if there is no power."""
    return float(100.0 * (1.0 - residual_power / power)) if power else 0.0


def compute_primal(residual, block_norms, penalty):
    """Compute the objective ``1/2 ||residual||_F^2 + penalty * sum_g ||W_g||_F``."""
    return 0.5 * np.vdot(residual, residual) + penalty * block_norms.sum()


def compute_dual_step(y, residual, dual_norm, penalty):
    """Compute the multiple of a residual that is the best dual feasible point along it.

    The dual of the problem is to maximise ``1/2 ||y||_F^2 - 1/2 ||y - theta||_F^2`` over
    ``max_g ||X_g^T theta||_F <= penalty``. Every ``theta = s * residual`` with
    ``|s| <= penalty / dual_norm`` is feasible.
    """
    power = np.vdot(residual, residual)
    if power == 0.0:
        return 0.0
    step = np.vdot(residual, y) / power
    if dual_norm > 0.0:
        step = np.clip(step, -penalty / dual_norm, penalty / dual_norm)
    return step


def compute_dual(y, residual, dual_norm, penalty):
    """Compute the best lower bound of the objective along one residual."""
    step = compute_dual_step(y, residual, dual_norm, penalty)
    return step * np.vdot(residual, y) - 0.5 * step**2 * np.vdot(residual, residual)
