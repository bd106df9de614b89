"""Views of the cortex from several sides, with its gyri and sulci, and sources."""

from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import cg
from scipy.spatial import KDTree

from .positions import compute_spacing, plot_sources

# The directions to the viewer and to the right of the view, in head coordinates: x to the right, y
# to the front, z up.
_VIEWS = {
    ("lh", "lateral"): ((-1, 0, 0), (0, -1, 0)),
    ("lh", "medial"): ((1, 0, 0), (0, 1, 0)),
    ("rh", "lateral"): ((1, 0, 0), (0, 1, 0)),
    ("rh", "medial"): ((-1, 0, 0), (0, -1, 0)),
    ("both", "top"): ((0, 0, 1), (1, 0, 0)),
}
_SIDES = {"lh": "left ", "rh": "right ", "both": ""}
# Width of each of two smoothing steps, in mm: the cortex keeps its shape, and all but the deepest
# sulci open.
_SMOOTHING = 15.0
_PIXELS_PER_MM = 2.5
# A source is visible if it is less than this below the visible surface, in mm.
_DEPTH_SEEN = 3.0
# Positions are vertices of the surface, up to the precision of files, in mm.
_SAME_PLACE = 0.01
_GYRUS, _SULCUS = 0.92, 0.66


def list_views(surfaces):
    """List the views of some surfaces."""
    shown = {surface.hemisphere for surface in surfaces} | {"both"}
    return [view for view in _VIEWS if view[0] in shown]


def plot_cortex(axes, surfaces, locations, all_locations, colors, regions=(), is_weak=()):
    """Draw sources on the cortex, which is smoothed to show its sulci.

    `regions` are where the sources in colour could be. Numbers of weak sources are white.
    """
    from matplotlib.colors import to_rgb

    with ThreadPoolExecutor() as pool:
        cortex = _join([*pool.map(_prepare, surfaces, repeat(all_locations))])
    vertices = KDTree(cortex.rr).query(1e3 * locations)[1] if len(locations) else np.empty(0, int)
    shades = np.repeat(cortex.shades[:, np.newaxis], 3, axis=1)
    for region, color in reversed([*zip(regions, colors, strict=False)]):
        in_region = 1e3 * KDTree(region).query(all_locations)[0] < _SAME_PLACE
        painted = np.append(in_region, False)[cortex.nearest]
        shades[painted] = 0.15 * shades[painted] + 0.85 * np.array(to_rgb(color))
    with ThreadPoolExecutor() as pool:
        pictures = [*pool.map(lambda view: _View(cortex, view, shades), list_views(surfaces))]
    depths = np.array([picture.find_depths(vertices) for picture in pictures])
    for ax, picture, depth in zip(axes, pictures, depths, strict=True):
        picture.draw(ax)
        # In views where a source is visible; if it is hidden in all, where it is hidden least.
        is_shown = (depth < _DEPTH_SEEN) | ((depth == depths.min(axis=0)) & np.isfinite(depth))
        plot_sources(
            ax,
            picture.points[vertices, :2],
            colors,
            picture.center,
            picture.reach,
            is_shown=is_shown,
            is_hidden=depth >= _DEPTH_SEEN,
            is_weak=is_weak,
            beside=bool(len(regions)),
        )


class _Cortex(NamedTuple):
    """One surface or more, in mm."""

    rr: NDArray[np.float64]
    tris: NDArray[np.int_]
    smooth: NDArray[np.float64]  # the vertices, smoothed
    normals: NDArray[np.float64]  # of the smoothed surface
    shades: NDArray[np.float64]
    nearest: NDArray[np.int_]  # nearest position, -1 if none is near
    hemispheres: NDArray[np.str_]


def _prepare(surface, all_locations):
    """Smooth a surface, and distinguish gyri from sulci."""
    rr, tris = 1e3 * surface.rr, surface.tris
    a, b, c = (rr - rr.mean(axis=0))[tris].swapaxes(0, 1)
    if np.vdot(a, np.cross(b, c)) < 0:  # the volume is negative: triangles face inwards
        tris = tris[:, ::-1]
    once, smooth = _smooth(rr, tris, n_times=2)
    # Vertices below the smoothed surface are in sulci.
    height = np.sum((rr - once) * _compute_normals(once, tris), axis=1)
    shades = np.where(height > np.median(height), _GYRUS, _SULCUS)
    own = np.flatnonzero(KDTree(rr).query(1e3 * all_locations)[0] < _SAME_PLACE)
    distances, index = KDTree(1e3 * all_locations[own]).query(rr)
    nearest = np.where(distances < 2 * compute_spacing(1e3 * all_locations[own]), own[index], -1)
    hemispheres = np.full(len(rr), surface.hemisphere)
    return _Cortex(rr, tris, smooth, _compute_normals(smooth, tris), shades, nearest, hemispheres)


def _join(parts):
    """Join surfaces to one, and number its vertices consecutively in the triangles."""
    starts = np.cumsum([0, *(len(part.rr) for part in parts[:-1])])
    shifted = [part._replace(tris=part.tris + n) for part, n in zip(parts, starts, strict=True)]
    return _Cortex(*map(np.concatenate, zip(*shifted, strict=True)))


class _View:
    """A picture of the cortex from one side."""

    def __init__(self, cortex, view, colors):
        hemisphere, self.name = view[0], f"{_SIDES[view[0]]}{view[1]}"
        to_viewer, right = np.array(_VIEWS[view], dtype=float)
        axes = np.stack([right, np.cross(to_viewer, right), to_viewer], axis=1)
        self.points = cortex.smooth @ axes
        self.is_in = (cortex.hemispheres == hemisphere) | (hemisphere == "both")
        tris = cortex.tris[self.is_in[cortex.tris[:, 0]]]
        # Light from above, behind the viewer.
        light = np.array([0.0, 0.45, 0.9])
        shading = 0.35 + 0.65 * np.clip(cortex.normals @ axes @ light, 0, 1)
        seen = self.points[self.is_in, :2]
        self.low, high = seen.min(axis=0) - 2, seen.max(axis=0) + 2
        self.center, self.reach = (self.low + high) / 2, np.max(high - self.low) / 2
        self.shape = np.ceil((high - self.low) * _PIXELS_PER_MM).astype(int)[::-1] + 1
        pixels = np.column_stack(
            [(self.points[:, :2] - self.low) * _PIXELS_PER_MM, self.points[:, 2]]
        )
        self.image, self.depths = _rasterize(
            pixels, tris, colors * shading[:, np.newaxis], self.shape
        )

    def find_depths(self, vertices):
        """Return how deep vertices lie below the visible surface, in mm (other hemisphere: inf)."""
        depths, own = np.full(len(vertices), np.inf), self.is_in[vertices]
        points = self.points[vertices[own]]
        columns, rows = ((points[:, :2] - self.low) * _PIXELS_PER_MM).round().astype(int).T
        # At the edge a pixel may have no cortex: nothing hides a source there.
        depths[own] = np.maximum(self.depths[rows, columns] - points[:, 2], 0)
        return depths

    def draw(self, ax):
        """Draw the picture."""
        is_cortex = np.isfinite(self.depths)
        rows, columns = self.shape
        high = self.low + np.array([columns - 1, rows - 1]) / _PIXELS_PER_MM
        extent = (self.low[0], high[0], self.low[1], high[1])
        ax.imshow(
            np.dstack([self.image.clip(0, 1), is_cortex]),
            origin="lower",
            extent=extent,
            interpolation="antialiased",
        )
        ax.set_title(self.name)
        ax.set_axis_off()
        for end, x, align in [("L", 0.02, "left"), ("R", 0.98, "right")]:
            if self.name == "top":
                ax.text(x, 0.02, end, ha=align, color="0.4", transform=ax.transAxes)


def _smooth(rr, tris, n_times):
    """Smooth a surface by steps of implicit diffusion (Desbrun et al. 1999), and return each."""
    edges = np.vstack([tris[:, :2], tris[:, 1:], tris[:, ::2]])
    lengths = np.sum((rr[edges[:, 0]] - rr[edges[:, 1]]) ** 2, axis=1)
    weights = np.ones(len(edges), dtype=np.float32)
    neighbors = sparse.coo_array((weights, edges.T), shape=(len(rr), len(rr))).tocsr()
    neighbors = neighbors + neighbors.T
    degrees = np.maximum(neighbors.sum(axis=1), 1)
    steps = np.float32(_SMOOTHING**2 / lengths.mean())
    matrix = sparse.diags_array((1 + steps) * degrees) - steps * neighbors
    center, surfaces = rr.mean(axis=0), []
    points = (rr - center).astype(np.float32).T
    for _ in range(n_times):
        points = np.stack([cg(matrix, degrees * x, x0=x, rtol=5e-2)[0] for x in points])
        surfaces.append(points.T + center)
    return surfaces


def _compute_normals(rr, tris):
    """Compute the normals of the vertices of a surface: the means over their triangles."""
    a, b, c = rr[tris[:, 0]], rr[tris[:, 1]], rr[tris[:, 2]]
    of_triangles = np.repeat(np.cross(b - a, c - a), 3, axis=0)
    normals = [np.bincount(tris.ravel(), component, len(rr)) for component in of_triangles.T]
    normals = np.stack(normals, axis=1)
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    return normals / np.where(lengths > 0, lengths, 1)


def _rasterize(points, tris, colors, shape):
    """Draw triangles with a depth buffer.

    Points are column, row and height towards the viewer. Returns, at every pixel, the interpolated
    colour and the height of the highest triangle; without a triangle, the height is -infinity.
    """
    a, b, c = (points[tris[:, k], :2] for k in range(3))
    areas = _cross(b - a, c - a)
    faces_viewer = areas > 0
    tris, areas, corners = tris[faces_viewer], areas[faces_viewer], np.stack([a, b, c], axis=1)
    corners = corners[faces_viewer]
    # All pixels of the boxes around the triangles, and the triangle of each.
    low = np.ceil(corners.min(axis=1)).astype(int)
    sizes = np.maximum(np.floor(corners.max(axis=1)).astype(int) - low + 1, 0)
    counts = sizes.prod(axis=1)
    owners = np.repeat(np.arange(len(tris)), counts)
    index = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
    columns = low[owners, 0] + index % sizes[owners, 0]
    rows = low[owners, 1] + index // sizes[owners, 0]
    pixels = np.column_stack([columns, rows])
    a, b, c = (corners[owners, k] - pixels for k in range(3))
    opposite = [_cross(b, c), _cross(c, a), _cross(a, b)]
    weights = np.stack(opposite, axis=1) / areas[owners, np.newaxis]
    is_inside = (weights >= -1e-9).all(axis=1)
    rows, columns, owners, weights = (x[is_inside] for x in (rows, columns, tris[owners], weights))
    heights = np.sum(weights * points[owners, 2], axis=1)
    order = np.argsort(heights)  # the highest is drawn last
    image, depths = np.zeros((*shape, 3)), np.full(shape, -np.inf)
    where = rows[order], columns[order]
    image[where] = np.einsum("pk,pkc->pc", weights[order], colors[owners[order]])
    depths[where] = heights[order]
    return image, depths


def _cross(first, second):
    """Compute the cross products of vectors in a plane."""
    return first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
