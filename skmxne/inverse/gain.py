"""From a forward solution to the whitened, weighted gain that sparse solvers work on."""

import logging
from numbers import Integral, Real
from typing import NamedTuple

import mne
import numpy as np
from mne.forward import is_fixed_orient
from mne.io.constants import FIFF
from mne.transforms import apply_trans
from numpy.typing import NDArray

from .._logging import quiet_mne, warn
from ..solvers.threads import map_chunks
from .weighting import compute_depth_prior, compute_orient_prior, compute_source_scale

_HEMISPHERES = {
    FIFF.FIFFV_MNE_SURF_LEFT_HEMI: "lh",
    FIFF.FIFFV_MNE_SURF_RIGHT_HEMI: "rh",
}


class Surface(NamedTuple):
    """A cortical surface: "lh" or "rh", vertices in m, in head coordinates, and triangles."""

    hemisphere: str
    rr: NDArray[np.float64]
    tris: NDArray[np.int_]


class OrientedGain:
    """The gain of some channels, along the orientations that an inverse problem uses.

    No copy of the gain is stored: a forward solution at full resolution is large, and all of it is
    needed only once, to whiten it.

    Attributes
    ----------
    src : instance of mne.SourceSpaces
        The source space of `forward`, shared.
    mri_head_t : instance of mne.transforms.Transform
        From MRI to head coordinates.
    locations : ndarray of shape (n_positions, 3)
        The positions in m, in head coordinates, also if `forward` is in MRI coordinates.
    orientations : ndarray of shape (n_positions, n_orient, 3)
        The orientations of every position, unit vectors in head coordinates.
    """

    def __init__(self, forward, ch_names, orientation="given"):
        # A shallow copy is enough: MNE assigns to keys of forward solutions, but changes no arrays.
        self._forward = mne.Forward(forward)
        self._forward["sol"] = dict(forward["sol"])
        index = {name: k for k, name in enumerate(forward["sol"]["row_names"])}
        self._rows = np.array([index[name] for name in ch_names])
        self._ch_names = list(ch_names)
        self.src, self.mri_head_t = forward["src"], forward["mri_head_t"]
        self._to_head = np.eye(4)
        if forward["coord_frame"] == FIFF.FIFFV_COORD_MRI:
            self._to_head = forward["mri_head_t"]["trans"]
        self.locations = apply_trans(self._to_head, forward["source_rr"])
        given = forward["source_nn"].reshape(forward["nsource"], -1, 3)
        # In the coordinates of the forward solution.
        self._axes, self._rotation = given, None
        self._has_normals = forward["surf_ori"]
        is_fixed = orientation == "fixed"
        if not is_fixed_orient(forward) and (
            is_fixed or (orientation == "surface" and not forward["surf_ori"])
        ):
            self._axes = (
                find_normals(self.src)[:, np.newaxis] if is_fixed else _find_frames(self.src)
            )
            self._has_normals = True
            self._rotation = self._axes @ given.swapaxes(1, 2)
        self.orientations = apply_trans(self._to_head, self._axes, move=False)

    @property
    def n_positions(self):
        """The number of positions."""
        return len(self._axes)

    @property
    def n_orient(self):
        """The number of orientations of a position."""
        return self._axes.shape[1]

    def columns(self, positions=slice(None)):
        """Make the columns of some positions."""
        gain = self._forward["sol"]["data"]
        blocks = gain.T.reshape(self.n_positions, -1, len(gain))
        fields = blocks[positions][..., self._rows].astype(np.float64)
        if self._rotation is not None:
            fields = self._rotation[positions] @ fields
            if self.n_orient == 1:
                # Rounded like fixed forward solutions of MNE, so that all results agree.
                fields = fields.astype(np.float32).astype(np.float64)
        return fields.reshape(-1, len(self._rows)).T

    def free(self):
        """Return the gain with all orientations that the forward solution has."""
        return OrientedGain(self._forward, self._ch_names)

    def surfaces(self):
        """List the surfaces that have positions; none unless all of the source space is cortex."""
        for space in self.src:
            # A file may have no triangles.
            if not find_hemisphere(space) or space["tris"] is None or not len(space["tris"]):
                return []
        return [
            Surface(find_hemisphere(space), apply_trans(self._to_head, space["rr"]), space["tris"])
            for space in self.src
            if space["nuse"]
        ]

    def normals(self, positions):
        """Find the normals of the surface at some positions, (n, 3) in head coordinates."""
        if self._has_normals:
            return self.orientations[positions, -1]
        return apply_trans(self._to_head, find_normals(self.src)[positions], move=False)

    def given_axes(self, positions):
        """Find the axes of the original forward solution at some positions."""
        if self._rotation is None or self.n_orient == 1:
            return np.tile(np.eye(self.n_orient), (len(positions), 1, 1))
        return self._rotation[positions]

    def to_forward(self):
        """Make a forward solution of these channels and orientations."""
        forward = mne.Forward(self._forward)
        forward["info"] = forward["info"].copy()
        forward["sol"] = dict(forward["sol"])
        forward["sol_grad"] = None  # it has other orientations
        forward = mne.pick_channels_forward(forward, self._ch_names, ordered=True, copy=False)
        if self._rotation is not None:
            kind = "FIXED" if self.n_orient == 1 else "FREE"
            forward.update(
                source_nn=self._axes.reshape(-1, 3),
                source_ori=FIFF[f"FIFFV_MNE_{kind}_ORI"],
                surf_ori=True,
            )
            columns = self.columns()
            forward["sol"].update(data=columns, ncol=columns.shape[1])
        return forward


def compute_field_powers(gain, grams):
    """Compute the power of the whitened field of 1 A m at each position.

    Currents flow along the fixed orientation, else along the normals of surfaces, else along the
    orientation of the strongest field. `grams` are the Gram matrices of all orientations.
    """
    free, everywhere = gain.free(), np.arange(gain.n_positions)
    along = gain.orientations[:, 0] if gain.n_orient == 1 else free.normals(everywhere)
    mixing = np.einsum("poc,pc->po", free.orientations, along)
    powers = np.einsum("po,poq,pq->p", mixing, grams, mixing).clip(min=0.0)
    if gain.n_orient == 1:
        return powers
    is_surface = [space["type"] == "surf" for space in gain.src]
    is_surface = np.repeat(is_surface, [space["nuse"] for space in gain.src])
    return np.where(is_surface, powers, np.linalg.eigvalsh(grams)[:, -1].clip(min=0.0))


def find_hemisphere(space):
    """Return the hemisphere, "lh" or "rh", of a source space; empty if it is no surface."""
    return _HEMISPHERES.get(space["id"], "") if space["type"] == "surf" else ""


def find_normals(src):
    """Find the normals of all positions of surface and discrete source spaces."""
    return np.concatenate([_find_normals_of(space) for space in src])


def _find_normals_of(space):
    if space["type"] == "vol":
        return np.tile([0.0, 0.0, 1.0], (space["nuse"], 1))
    if space["nuse"] == 0:
        return np.empty((0, 3))
    if space.get("patch_inds") is None:
        return space["nn"][space["vertno"]]
    patches = [space["pinfo"][k] for k in space["patch_inds"]]
    owners = np.repeat(np.arange(len(patches)), [len(patch) for patch in patches])
    vectors = space["nn"][np.concatenate(patches)]
    normals = np.column_stack([np.bincount(owners, component) for component in vectors.T])
    return normals / np.linalg.norm(normals, axis=1, keepdims=True)


def _find_frames(src):
    """Find two tangents and the normal of every position; in volumes the axes of the head."""
    normals = find_normals(src)
    # Any two tangents would do. As in mne.convert_forward_solution, they are eigenvectors of the
    # projector on the tangential plane; the normal has the eigenvalue 0. With other tangents, depth
    # weighting by orientation (combine_xyz=False) would differ from that of MNE.
    projectors = np.eye(3) - normals[:, :, np.newaxis] * normals[:, np.newaxis]
    frames = np.linalg.eigh(projectors)[1].swapaxes(1, 2)[:, ::-1]
    along = np.einsum("pc,pc->p", frames[:, 2], normals)
    frames *= np.where(along < 0, -1.0, 1.0)[:, np.newaxis, np.newaxis]
    is_volume = np.repeat([space["type"] == "vol" for space in src], [s["nuse"] for s in src])
    frames[is_volume] = np.eye(3)
    return frames


_DEPTH_DEFAULTS = {
    "exp": 0.8,
    "limit": None,
    "limit_depth_chs": "whiten",
    "combine_xyz": "fro",
    "allow_fixed_depth": True,
}
_DEPTH_CHOICES = {
    "limit_depth_chs": (True, False, "whiten"),
    "combine_xyz": ("fro", "spectral", False),
    "allow_fixed_depth": (True, False),
}
# Positions whitened at a time: few enough for the cache, enough for BLAS.
_CHUNK_SIZE = 256
_KINDS = {"surf": "surface", "vol": "volume", "discrete": "discrete"}


class PreparedGain(NamedTuple):
    """A gain whose rows are virtual sensors with independent noise of variance 1."""

    X: np.ndarray  # (rank, n_features): whitener @ gain.columns() * source_scale
    source_scale: np.ndarray  # (n_features,)
    whitener: np.ndarray  # (rank, n_channels)
    gain: OrientedGain


def prepare_gain(info, forward, noise_cov, *, loose, depth, rank):
    """Orient, whiten and weight a forward solution as `mne.inverse_sparse.mixed_norm` does."""
    loose = _check_loose(loose, forward["src"])
    depth = _check_depth(depth)
    _check_rank(rank, info)
    _check_orientation(forward, loose, depth)
    if depth["exp"]:
        _warn_if_kinds_differ(loose)
    gain = OrientedGain(forward, info["ch_names"], _choose_orientation(loose, depth))
    whitener = _compute_whitener(noise_cov, info, rank)
    X = whiten_gain(gain, whitener)
    with np.errstate(over="ignore"):
        norm = np.linalg.norm(X)
    if not 0 < norm < np.inf:
        raise ValueError(
            "forward has a gain that is infinite, NaN or zero, whitened by noise_cov. Compute it "
            "again, and check the unit of noise_cov."
        )
    sizes = [space["nuse"] for space in gain.src]
    values = [loose[_KINDS[space["type"]]] for space in gain.src]
    orient_prior = compute_orient_prior(np.repeat(values, sizes), gain.n_orient)
    depth_prior = 1.0
    if depth["exp"]:
        depth_prior = _find_depth_prior(gain, X, info, forward, whitener, depth)
    source_scale = compute_source_scale(X, orient_prior, depth_prior)
    X *= source_scale
    return PreparedGain(X, source_scale, whitener, gain)


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
            f"{sorted(kinds)}, got {sorted(loose, key=str)}."
        )
    for kind, value in loose.items():
        if not isinstance(value, Real) or isinstance(value, bool) or not 0 <= value <= 1:
            raise ValueError(f"loose must be 'auto' or a number from 0 to 1, got {value!r}.")
        if kind == "volume" and value < 1:
            raise ValueError(
                f"loose must be 1 in volumes, which have no normals, got {value!r}. Pass "
                "loose='auto', or a dict such as {'surface': 0.2, 'volume': 1}."
            )
    return loose


def _check_depth(depth):
    """Return all options of depth weighting, with exponent 0 for none."""
    options = depth if isinstance(depth, dict) else {"exp": depth}
    unknown = sorted(set(options) - set(_DEPTH_DEFAULTS), key=str)
    if unknown:
        raise ValueError(f"depth must have keys among {list(_DEPTH_DEFAULTS)}, got {unknown}.")
    options = _DEPTH_DEFAULTS | options
    exp = 0 if options["exp"] is None else options["exp"]
    if not isinstance(exp, Real) or isinstance(exp, bool) or not 0 <= exp < np.inf:
        raise ValueError(
            f"depth must be None or an exponent, at least 0 and normally at most 1, got {exp!r}."
        )
    limit = options["limit"]
    if limit is not None and (not isinstance(limit, Real) or not 0 < limit < np.inf):
        raise ValueError(f"depth must have a limit that is None or positive, got {limit!r}.")
    for name, choices in _DEPTH_CHOICES.items():
        value = options[name]
        # 0 equals False, but it may be meant as a number.
        if not isinstance(value, str | bool | np.bool_) or value not in choices:
            raise ValueError(f"depth must have {name} in {choices}, got {value!r}.")
        options[name] = value if isinstance(value, str) else bool(value)
    return options | {"exp": float(exp)}


def _warn_if_kinds_differ(loose):
    """Warn if weights favour one kind of source space.

    Depth weights equalize the power of all orientations together; loose weights then reduce it.
    """
    gains = {kind: np.sqrt((1 + 2 * value) / 3) for kind, value in loose.items()}
    low, high = min(gains, key=gains.get), max(gains, key=gains.get)
    if gains[low] < 0.9 * gains[high]:
        warn(
            f"loose={loose} gives the positions of the {low} source space "
            f"{100 * (1 - gains[low] / gains[high]):.0f} % less gain than those of the {high} one "
            f"after depth weighting: sources are more likely to be found in the {high} one. To "
            f"treat both alike, set loose={loose[high]:g} for all, or use weights that are "
            f"{gains[high] / gains[low]:.2f} times as large in the {low} one.",
            RuntimeWarning,
        )


def _compute_whitener(noise_cov, info, rank):
    """Compute the matrix that whitens the channels, with as many rows as the noise has rank."""
    on_mismatch = "warn"
    if isinstance(rank, dict) or (rank is None and info["proc_history"]):
        rank, on_mismatch = _estimate_rank(noise_cov, info, rank or {}), "ignore"
    try:
        whitener, _ = mne.cov.compute_whitener(
            noise_cov, info, rank=rank, pca=True, on_rank_mismatch=on_mismatch
        )
    except RuntimeError as error:
        raise ValueError(
            f"evoked, forward and noise_cov share too few good channels ({len(info['ch_names'])}) "
            "for the projectors of evoked. Pass objects of one recording."
        ) from error
    if len(whitener) == 0:
        raise ValueError(
            "noise_cov has rank 0 after the projectors of evoked. Use more channels or a higher "
            "rank."
        )
    return whitener


def _estimate_rank(noise_cov, info, given):
    """Return the ranks, estimated where they are not given; warn where one is too high."""
    with quiet_mne(logging.ERROR):  # its own warning advises a rank that is not accepted here
        known = mne.compute_rank(noise_cov, "info", info=info)  # by Maxwell filter and projectors
        estimated = mne.compute_rank(noise_cov, None, info=info)
    for kind, rank in estimated.items():
        problem = None
        if kind in given and given[kind] > rank:
            problem = (
                f"The rank given for {kind!r}, {given[kind]}, is higher than that of the noise "
                f"covariance, {rank}: whitening then amplifies rounding errors. Pass a lower rank."
            )
        elif kind not in given and rank > known[kind]:
            problem = (
                f"The noise covariance has rank {rank} for {kind!r}, but the data only have rank "
                f"{known[kind]} after a Maxwell filter. Estimate the covariance from data filtered "
                "in the same way, or set rank to 'info'."
            )
        if problem:
            warn(problem, RuntimeWarning)
    return estimated | {kind: given[kind] for kind in estimated.keys() & given.keys()}


def _check_rank(rank, info):
    """Raise unless MNE accepts a rank and all of its keys have an effect."""
    if rank is None or (isinstance(rank, str) and rank in ("info", "full")):
        return
    if not isinstance(rank, dict):
        raise TypeError(f"rank must be None, 'info', 'full' or a dict, got {rank!r}.")
    if not set(rank) <= {"meg", "mag", "grad", "eeg"}:
        raise ValueError(f"rank must have types of channels as keys, such as 'eeg', got {rank!r}.")
    for value in rank.values():
        if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
            raise ValueError(f"rank must have positive integers as values, got {rank!r}.")
    # MNE whitens magnetometers and gradiometers together, as one type.
    types = info.get_channel_types()
    types += ["meg" for kind in types if kind in ("mag", "grad")]
    for kind, value in rank.items():
        if kind in types and value > types.count(kind):
            raise ValueError(
                f"rank={rank!r} is more than the number of channels, {types.count(kind)} for "
                f"{kind!r}."
            )
    of_meg = {"mag", "grad"} & set(types)
    key = "meg" if len(of_meg) == 2 else "".join(of_meg)
    ignored = sorted(set(rank) & ({"meg", *of_meg} if of_meg else set()) - {key})
    if ignored:
        raise IneffectiveRankError(key, ignored)


class IneffectiveRankError(ValueError):
    """A rank is given for MEG channels under a name that has no effect."""

    def __init__(self, key, ignored):
        self.ignored = ignored
        why = "magnetometers and gradiometers are whitened together, with one rank"
        if key != "meg":
            kind = {"mag": "magnetometers", "grad": "gradiometers"}[key]
            why = f"the MEG channels used are all {kind}"
        super().__init__(
            f"rank has {' and '.join(map(repr, ignored))}, without effect: {why}. Give it as "
            f"{key!r}."
        )


def _check_orientation(forward, loose, depth):
    """Raise if the forward solution cannot have the orientation specified."""
    if not is_fixed_orient(forward):
        return
    if any(loose.values()):
        raise ValueError(
            f"forward has fixed orientation, but loose={loose} needs free orientation. Pass "
            "loose=0, or a forward with free orientation."
        )
    if depth["exp"] and not depth["allow_fixed_depth"]:
        raise ValueError(
            "forward has fixed orientation, and depth has allow_fixed_depth=False. Pass "
            "depth=None, or a forward with free orientation."
        )


def _choose_orientation(loose, depth):
    """Return the orientations that positions are to have, as `OrientedGain` names them."""
    if not any(loose.values()):
        return "fixed"
    if min(loose.values()) < 1:
        return "surface"
    # On surfaces, free orientation also uses tangents and normals, so that `SourceWeighting` can
    # make it loose. Volumes have no normals. Weighting by orientation depends on the axes: as in
    # MNE, they are those of the forward solution.
    by_orientation = depth["exp"] and not depth["combine_xyz"]
    return "given" if by_orientation or set(loose) == {"volume"} else "surface"


def whiten_gain(gain, whitener):
    """Whiten the columns of a gain, a chunk of them at a time."""
    X = np.empty((len(whitener), gain.n_positions * gain.n_orient))

    def fill(chunk):
        columns = slice(chunk.start * gain.n_orient, chunk.stop * gain.n_orient)
        np.matmul(whitener, gain.columns(chunk), out=X[:, columns])

    map_chunks(fill, gain.n_positions, _CHUNK_SIZE)
    return X


def _find_depth_prior(gain, X, info, forward, whitener, depth):
    """Return the prior variances that compensate for depth, from the channels `depth` specifies."""
    channels, ch_names = depth["limit_depth_chs"], info["ch_names"]
    of_whole_positions = gain.n_orient == 1 and not depth["allow_fixed_depth"]
    if of_whole_positions:
        gain = OrientedGain(forward, ch_names, "surface")
        X = whiten_gain(gain, whitener) if channels == "whiten" else None
    if channels == "whiten":
        matrix = X
    else:
        matrix = gain.columns()[_pick_best_type(info) if channels else slice(None)]
    prior = compute_depth_prior(
        matrix,
        gain.n_orient,
        exp=depth["exp"],
        combine_xyz=depth["combine_xyz"],
        limit=depth["limit"],
        exact_limit=channels is False,
    )
    return prior[2::3] if of_whole_positions else prior


def _pick_best_type(info):
    """Return the indices of gradiometers, else of magnetometers, else of electrodes."""
    types = np.array(info.get_channel_types())
    best = next(kind for kind in ("grad", "mag", "eeg") if kind in types)
    return np.flatnonzero(types == best)
