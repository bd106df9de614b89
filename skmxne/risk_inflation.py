"""How many positions the data support: the risk inflation criterion, for blocks."""

from typing import NamedTuple

import numpy as np
from scipy.linalg import qr


class SupportFit(NamedTuple):
    """The least-squares fit of some positions, without any penalty."""

    rss: float  # residual sum of squares
    rank: int  # of the columns
    gram: np.ndarray  # (n_targets, n_targets): residual.T @ residual


def fit_support(X, y, eps):
    """Fit targets by all columns, by least squares.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_columns)
        Columns of the positions, possibly none.
    y : ndarray of shape (n_samples, n_targets)
        Data.
    eps : float
        Relative precision of the columns, which decides about their rank.

    Returns
    -------
    fit : SupportFit
        What is left of the data.
    """
    basis, rank = np.empty((len(y), 0)), 0
    if X.shape[1]:
        basis, triangle, _ = qr(X, mode="economic", pivoting=True, check_finite=False)
        pivots = np.abs(triangle.diagonal())
        rank = np.count_nonzero(pivots > max(X.shape) * eps * pivots[0])
    residual = y - basis[:, :rank] @ (basis[:, :rank].T @ y)
    gram = residual.T @ residual
    return SupportFit(float(np.trace(gram)), rank, gram)


def compute_largest_power(design, y, positions):
    """Compute how much of the data the strongest position explains alone, by least squares.

    Parameters
    ----------
    design : BlockDesign
        Columns of ``X``.
    y : ndarray of shape (n_samples, n_targets)
        Data.
    positions : ndarray of int, shape (n,)
        The positions, possibly none.

    Returns
    -------
    power : float
        The largest ``||y||_F^2 - min_V ||y - X_g V||_F^2``.
    """
    n_orient = design.n_orient
    columns = design.columns(positions)
    blocks = columns.T.reshape(len(positions), n_orient, len(y))
    products = blocks @ y
    inverses = np.linalg.pinv(blocks @ blocks.swapaxes(1, 2), hermitian=True)
    return float(np.einsum("gij,git,gjt->g", inverses, products, products).max(initial=0.0))


def count_independent_targets(fit, n_samples, n_targets):
    """Estimate how many targets are independent, by the covariance ``C`` of what a fit leaves.

    It is ``tr(C)^2 / tr(C^2)``, by which a sum of squares has the mean and the variance of a
    chi-squared variable [1]_. ``tr(C^2)`` is estimated without bias, for normal noise.

    Parameters
    ----------
    fit : SupportFit
        The fit.
    n_samples, n_targets : int
        Number of samples and of targets; the fit may be one of fewer, rotated targets.

    Returns
    -------
    n_independent : float
        The number, from 1 to that of the targets.

    References
    ----------
    .. [1] Satterthwaite (1946). An approximate distribution of estimates of variance components.
       Biometrics Bulletin 2(6), 110-114.
    """
    n_left = n_samples - fit.rank
    trace = np.trace(fit.gram)
    if n_left < 3 or trace <= 0.0:
        return float(n_targets)
    square = np.vdot(fit.gram, fit.gram) - trace**2 / n_left
    square *= n_left**2 / ((n_left - 1) * (n_left + 2))
    return float(trace**2 / max(square, trace**2 / n_targets))


def compute_threshold(n_positions, n_orient, noise_power, n_independent):
    """Compute what the best of many positions explains of noise, at most times.

    Parameters
    ----------
    n_positions : int
        Number of positions to choose from.
    n_orient : int
        Number of orientations of a position.
    noise_power : float
        The power of the noise of a sample, over all targets.
    n_independent : float
        How many independent targets this power comes from.

    Returns
    -------
    power : float
        ``noise_power / n_independent * (sqrt(n_orient * n_independent)
        + sqrt(2 log(n_positions)))^2``: the mean, and by how much the largest of `n_positions`
        chi-squared variables exceeds it.
    """
    amplitude = np.sqrt(n_orient * n_independent) + np.sqrt(2.0 * np.log(n_positions))
    return float(noise_power / n_independent * amplitude**2)
