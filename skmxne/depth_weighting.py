"""Depth weighting: deep positions, whose fields are weak, are given more variance."""

import numpy as np


def compute_depth_prior(gain, n_orient, *, exp, combine_xyz="fro", limit=None, exact_limit=False):
    """Compute the prior variances that make up for the depth of positions.

    Parameters
    ----------
    gain : ndarray of shape (n_channels, n_positions * n_orient)
        The gain that tells how strong the field of each position is.
    n_orient : int
        The number of orientations of a position.
    exp : float
        The exponent: 0 changes nothing, 1 makes all positions as visible.
    combine_xyz : {"fro", "spectral", False}, default="fro"
        The power of a position: that of all its orientations, that of the strongest
        orientation, or, with False, one for every orientation.
    limit : float, default=None
        How many times the amplitude of the strongest position may be exceeded.
    exact_limit : bool, default=False
        Whether variances are cut at the limit itself, or at the first that is above it.

    Returns
    -------
    prior : ndarray of shape (n_positions * n_orient,)
        The prior variances, relative to one another.
    """
    power = _compute_power(gain, n_orient, combine_xyz)
    # No sensor may see a position at all, such as the centre of a sphere.
    power[power == 0.0] = power[power > 0.0].min(initial=np.inf)
    variance = 1.0 / power
    if limit is not None:
        highest = limit**2 * variance.min()
        if not exact_limit:
            highest = variance[variance > highest].min(initial=variance.max())
        variance = np.minimum(variance, highest)
    return np.repeat(variance**exp, gain.shape[1] // len(power))


def _compute_power(gain, n_orient, combine_xyz):
    """Compute the squared norm of the block of every position, or of every column."""
    if combine_xyz == "spectral" and n_orient > 1:
        blocks = gain.reshape(len(gain), -1, n_orient)
        gram = np.einsum("cpi,cpj->pij", blocks, blocks)
        return np.linalg.eigvalsh(gram)[:, -1]
    power = np.einsum("cf,cf->f", gain, gain)
    return power if combine_xyz is False else power.reshape(-1, n_orient).sum(axis=1)
