"""How many positions the data support: the risk inflation criterion, for blocks."""

from typing import NamedTuple

import numpy as np
from scipy.linalg import qr


class SupportFit(NamedTuple):
    """The least-squares fit of some positions, without any penalty."""

    rss: float  # residual sum of squares
    rank: int  # of the columns
    gram: np.ndarray  # of the residual: of its columns or its rows, whichever are fewer


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
    gram = residual.T @ residual if len(y) > y.shape[1] else residual @ residual.T
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


def compute_threshold(n_positions, n_orient, noise_power, n_independent):
    """Compute what the best of many positions explains of noise, at most, most of the time.

    It is for independent targets of one variance. A strong common component, such as a drift,
    has a longer tail than its `n_independent` tells.

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
