"""The gain of a forward solution along chosen orientations, column by column as it is needed."""

import mne
import numpy as np
from mne.forward import is_fixed_orient
from mne.io.constants import FIFF
from mne.transforms import apply_trans


class OrientedGain:
    """The gain of some channels, along the orientations that an inverse problem uses.

    Nothing of the size of the gain is stored: a forward solution at full resolution is large, and
    all of it is needed but once, to be whitened.

    Parameters
    ----------
    forward : instance of mne.Forward
        The forward solution. It is not modified.
    ch_names : list of str
        The channels, in the order wanted.
    orientation : {"given", "surface", "fixed"}
        The orientations of `forward` as they are, two tangential to the surface and the normal
        (those of volumes stay as they are), or the normal alone.

    Attributes
    ----------
    src : instance of mne.SourceSpaces
        The source space of `forward`, shared.
    locations : ndarray of shape (n_positions, 3)
        The positions in m, in head coordinates, whatever those of `forward` are.
    orientations : ndarray of shape (n_positions, n_orient, 3)
        The orientations of every position, unit vectors in head coordinates.
    """

    def __init__(self, forward, ch_names, orientation="given"):
        # MNE assigns to the keys of forward solutions, and writes to none of the arrays in them.
        self._forward = mne.Forward(forward)
        self._forward["sol"] = dict(forward["sol"])
        index = {name: k for k, name in enumerate(forward["sol"]["row_names"])}
        self._rows = np.array([index[name] for name in ch_names])
        self._ch_names = list(ch_names)
        self.src = forward["src"]
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
        """Make the columns of some positions.

        Parameters
        ----------
        positions : slice or ndarray of int, default=slice(None)
            The positions, by default all.

        Returns
        -------
        columns : ndarray of shape (n_channels, n * n_orient)
            The fields of a unit source (1 A m) along every orientation.
        """
        gain = self._forward["sol"]["data"]
        blocks = gain.T.reshape(self.n_positions, -1, len(gain))
        fields = blocks[positions][..., self._rows].astype(np.float64)
        if self._rotation is not None:
            fields = self._rotation[positions] @ fields
            if self.n_orient == 1:
                # As MNE does, so that its fixed forward solutions are the same, and so is all else.
                fields = fields.astype(np.float32).astype(np.float64)
        return fields.reshape(-1, len(self._rows)).T

    def normals(self, positions):
        """Find the normals of the surface at some positions, (n, 3) in head coordinates."""
        if self._has_normals:
            return self.orientations[positions, -1]
        return apply_trans(self._to_head, find_normals(self.src)[positions], move=False)

    def given_axes(self, positions):
        """Find the axes of the original forward solution at some positions.

        Parameters
        ----------
        positions : ndarray of int
            The positions.

        Returns
        -------
        axes : ndarray of shape (n, n_orient, n_orient)
            The axes, in columns that are made of the orientations used: of one, that itself.
        """
        if self._rotation is None or self.n_orient == 1:
            return np.tile(np.eye(self.n_orient), (len(positions), 1, 1))
        return self._rotation[positions]

    def to_forward(self):
        """Make a forward solution of these channels and orientations.

        Returns
        -------
        forward : instance of mne.Forward
            The forward solution. It shares its source space with the original.
        """
        forward = mne.Forward(self._forward)
        forward["info"] = forward["info"].copy()
        forward["sol"] = dict(forward["sol"])
        forward["sol_grad"] = None  # it is of other orientations
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


def find_normals(src):
    """Find the normals of all positions of surface and discrete source spaces.

    Parameters
    ----------
    src : instance of mne.SourceSpaces
        The source spaces. Where a vertex stands for a patch of the surface, its normal is the
        mean over that.

    Returns
    -------
    normals : ndarray of shape (n_positions, 3)
        The normals, (0, 0, 1) in volumes, which have none.
    """
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
    """Find two tangents and the normal of every position, the axes of the head in volumes."""
    normals = find_normals(src)
    # Which tangents is open: as mne.convert_forward_solution does, those that are eigenvectors of
    # the projector on the tangential plane, whose eigenvalue 0 belongs to the normal. Depth
    # weighting by orientation (combine_xyz=False) is only then the same as MNE's.
    projectors = np.eye(3) - normals[:, :, np.newaxis] * normals[:, np.newaxis]
    frames = np.linalg.eigh(projectors)[1].swapaxes(1, 2)[:, ::-1]
    along = np.einsum("pc,pc->p", frames[:, 2], normals)
    frames *= np.where(along < 0, -1.0, 1.0)[:, np.newaxis, np.newaxis]
    is_volume = np.repeat([space["type"] == "vol" for space in src], [s["nuse"] for s in src])
    frames[is_volume] = np.eye(3)
    return frames
