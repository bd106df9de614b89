"""From a forward solution to the whitened, weighted gain that sparse solvers work on."""

from numbers import Real
from typing import NamedTuple

import mne
import numpy as np
from mne.forward import compute_depth_prior, compute_orient_prior, is_fixed_orient

_DEPTH_DEFAULTS = {
    "exp": 0.8,
    "limit": None,
    "limit_depth_chs": "whiten",
    "combine_xyz": "fro",
    "allow_fixed_depth": True,
}
_KINDS = {"surf": "surface", "vol": "volume", "discrete": "discrete"}


class PreparedGain(NamedTuple):
    """A gain whose rows are virtual sensors with independent noise of variance 1."""

    X: np.ndarray  # (rank, n_features): whitener @ forward["sol"]["data"] * source_scale
    source_scale: np.ndarray  # (n_features,)
    whitener: np.ndarray  # (rank, n_channels)
    forward: mne.Forward


def prepare_gain(info, forward, noise_cov, *, loose, depth, rank):
    """Orient, whiten and weight a forward solution as `mne.inverse_sparse.mixed_norm` does.

    Parameters
    ----------
    info : instance of mne.Info
        The channels to use, all of them good, and their projectors.
    forward : instance of mne.Forward
        The forward solution. It is not modified.
    noise_cov : instance of mne.Covariance
        The noise covariance.
    loose : "auto", float in [0, 1] or dict
        The weight of the tangential orientations, as in :class:`~skmxne.InverseProblem`.
    depth : None, float or dict
        The depth weighting, as in :class:`~skmxne.InverseProblem`.
    rank : None, "info", "full" or dict
        The rank of the noise covariance, as :func:`mne.compute_rank` takes it.

    Returns
    -------
    gain : PreparedGain
        The weighted gain, and what it is made of.
    """
    loose = _check_loose(loose, forward["src"])
    depth = _check_depth(depth)
    _check_orientation(forward, loose, depth)
    forward = pick_channels(forward, info["ch_names"])
    gain = forward["sol"]["data"]
    if not np.isfinite(gain).all() or not gain.any():
        raise ValueError("forward has a gain that is infinite, NaN or zero. Compute it again.")
    whitener, _ = mne.cov.compute_whitener(noise_cov, info, rank=rank, pca=True)
    if len(whitener) == 0:
        raise ValueError(
            "noise_cov has rank 0 after the projectors of evoked. Use more channels or a higher "
            "rank."
        )

    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        prior = _orient_and_weight(forward, info, noise_cov, loose, depth, rank)
    if not np.isfinite(prior).all() or not prior.any():
        raise ValueError("depth gives weights that are infinite, NaN or zero. Lower the exponent.")
    source_scale = np.sqrt(prior)
    X = whitener @ forward["sol"]["data"]
    X *= source_scale
    # MNE scales the source covariance R such that trace(G R G^T) is the number of rows.
    scale = np.sqrt(len(X) / np.linalg.norm(X) ** 2)
    X *= scale
    source_scale *= scale
    return PreparedGain(X, source_scale, whitener, forward)


def pick_channels(forward, ch_names):
    """Restrict a forward solution to channels, without a copy of its large source space.

    Parameters
    ----------
    forward : instance of mne.Forward
        The forward solution. It is not modified.
    ch_names : list of str
        The channels, in the order wanted.

    Returns
    -------
    picked : instance of mne.Forward
        The forward solution of these channels. Functions of MNE may convert it in place.
    """
    # MNE assigns to keys of these dictionaries, and writes to none of the arrays in them.
    picked = mne.Forward(forward)
    picked["info"] = forward["info"].copy()
    for key in ("sol", "sol_grad"):
        if forward[key] is not None:
            picked[key] = dict(forward[key])
    return mne.pick_channels_forward(picked, ch_names, ordered=True, copy=False)


def _check_loose(loose, src):
    """Return the looseness of every kind of source space."""
    kinds = {_KINDS[space["type"]] for space in src}
    if isinstance(loose, str) and loose == "auto":
        loose = 0.2 if kinds == {"surface"} else 1.0
    if not isinstance(loose, dict):
        loose = dict.fromkeys(kinds, loose)
    if set(loose) != kinds:
        raise ValueError(
            "loose, if a dict, must have the kinds of source space of forward as keys, "
            f"{sorted(kinds)}, got {sorted(loose)}."
        )
    for value in loose.values():
        if not isinstance(value, Real) or not 0 <= value <= 1:
            raise ValueError(f"loose must be 'auto' or a number from 0 to 1, got {value!r}.")
    return loose


def _check_depth(depth):
    """Return all options of depth weighting, with exponent 0 for none."""
    options = depth if isinstance(depth, dict) else {"exp": depth}
    unknown = sorted(set(options) - set(_DEPTH_DEFAULTS))
    if unknown:
        raise ValueError(f"depth must have keys among {list(_DEPTH_DEFAULTS)}, got {unknown}.")
    options = _DEPTH_DEFAULTS | options
    exp = 0 if options["exp"] is None else options["exp"]
    if not isinstance(exp, Real) or not 0 <= exp < np.inf:
        raise ValueError(
            f"depth must be None or an exponent, at least 0 and normally at most 1, got {exp!r}."
        )
    return options | {"exp": float(exp)}


def _check_orientation(forward, loose, depth):
    """Raise if the forward solution cannot be brought to the orientation asked for."""
    if not is_fixed_orient(forward):
        return
    if any(loose.values()):
        raise ValueError(
            f"forward has fixed orientation, which cannot be freed to loose={loose}. Pass loose=0, "
            "or a forward with free orientation."
        )
    if depth["exp"] and not depth["allow_fixed_depth"]:
        raise ValueError(
            "forward has fixed orientation, and depth has allow_fixed_depth=False. Pass "
            "depth=None, or a forward with free orientation."
        )


def _orient_and_weight(forward, info, noise_cov, loose, depth, rank):
    """Orient a forward solution in place and return the prior variances of its features."""
    exp, allow_fixed_depth = depth.pop("exp"), depth.pop("allow_fixed_depth")
    fixed, constrained = not any(loose.values()), min(loose.values()) < 1
    if allow_fixed_depth if fixed else constrained:
        _convert_to_surface(forward, fixed)
    prior = np.ones(forward["sol"]["data"].shape[1])
    if exp:
        prior *= compute_depth_prior(forward, info, exp, noise_cov=noise_cov, rank=rank, **depth)
    if not fixed:
        return prior * compute_orient_prior(forward, loose)
    if not is_fixed_orient(forward):
        _convert_to_surface(forward, fixed)
        prior = prior[2::3]
    return prior


def _convert_to_surface(forward, fixed):
    """Rotate orientations to the normals of the surface, in place; keep only these if fixed."""
    if not is_fixed_orient(forward) and (fixed or not forward["surf_ori"]):
        mne.convert_forward_solution(forward, surf_ori=True, force_fixed=fixed, copy=False)
