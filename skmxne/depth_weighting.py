"""Weighting of sources: more prior variance for deep ones, less for tangential orientations."""

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
    with _silent_overflow():
        variance = 1.0 / power
        if limit is not None:
            highest = limit**2 * variance.min()
            if not exact_limit:
                highest = variance[variance > highest].min(initial=variance.max())
            variance = np.minimum(variance, highest)
        return np.repeat(variance**exp, gain.shape[1] // len(power))


def compute_orient_prior(loose, n_orient):
    """Compute the prior variances of orientations: less for those tangential to the surface.

    Parameters
    ----------
    loose : ndarray of shape (n_positions,)
        The variances of the first two of three orientations, relative to that of the normal.
    n_orient : int
        The number of orientations of a position. Only three are told apart.

    Returns
    -------
    prior : ndarray of shape (n_positions * n_orient,)
        The prior variances, relative to one another.
    """
    prior = np.ones((len(loose), n_orient))
    if n_orient == 3:
        prior[:, :2] = loose[:, np.newaxis]
    return prior.ravel()


def compute_source_scale(gain, orient_prior, depth_prior=1.0):
    """Compute the factors of the columns of a gain that give sources their prior variances.

    Their unit is that of MNE, which scales the source covariance R such that trace(G R G^T) is the
    number of rows: this is the sum of squares of the weighted gain.

    Parameters
    ----------
    gain : ndarray of shape (n_rows, n_features)
        The whitened gain G.
    orient_prior : ndarray of shape (n_features,)
        The prior variances of orientations.
    depth_prior : ndarray of shape (n_features,), default=1.0
        The prior variances that make up for depth, by which these are multiplied.

    Returns
    -------
    scale : ndarray of shape (n_features,)
        The factors.

    Raises
    ------
    ValueError
        If the factors are infinite, NaN or all zero.
    """
    with _silent_overflow():
        prior = orient_prior * depth_prior
        power = _compute_power(gain, 1, False) @ prior
        scale = np.sqrt(prior) * np.sqrt(len(gain) / power)
    if not np.isfinite(scale).all() or not scale.any():
        raise ValueError("depth gives weights that are infinite, NaN or zero. Lower the exponent.")
    return scale


def _silent_overflow():
    """Make a context in which numbers may become infinite: those of the scale are checked."""
    return np.errstate(divide="ignore", over="ignore", invalid="ignore")


def _compute_power(gain, n_orient, combine_xyz):
    """Compute the squared norm of the block of every position, or of every column."""
    if combine_xyz == "spectral" and n_orient > 1:
        blocks = gain.reshape(len(gain), -1, n_orient)
        gram = np.einsum("cpi,cpj->pij", blocks, blocks)
        return np.linalg.eigvalsh(gram)[:, -1]
    power = np.einsum("cf,cf->f", gain, gain)
    return power if combine_xyz is False else power.reshape(-1, n_orient).sum(axis=1)
