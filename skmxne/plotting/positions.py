"""Positions in the head, from three sides."""

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial import KDTree

# Title, the head coordinates to the right and up, and labels of the ends of the first.
_VIEWS = (
    ("top", 0, 1, ("L", "R")),
    ("back", 0, 2, ("L", "R")),
    ("right", 1, 2, ("back", "front")),
)
_AXIS_NAMES = "x (mm)", "y (mm)", "z (mm)"

# Size of the disc of a number, as a share of half the width of a view in a figure of usual size.
_NUMBER_SIZE = 0.15


def plot_positions(axes, locations, all_locations, colors, regions=(), is_weak=()):
    """Draw sources in a cloud of all positions, from the top, the back and the right.

    `regions` are where the sources in colour could be. Numbers of weak sources are white.
    """
    from matplotlib.collections import EllipseCollection

    cloud, found = all_locations * 1e3, locations * 1e3
    center = (cloud.min(axis=0) + cloud.max(axis=0)) / 2
    # The same in all views, with space for numbers beside the sources.
    reach = (1.3 if len(regions) else 1.15) * np.abs(cloud - center).max() + 5
    spacing = compute_spacing(cloud)
    region_style = dict(alpha=0.6, linewidth=0, zorder=1.5)
    for ax, (title, right, up, ends) in zip(axes, _VIEWS, strict=True):
        view = [right, up]
        _plot_silhouette(ax, cloud[:, view], spacing)
        ax.plot(*cloud[:, view].T, ".", color="0.75", markersize=1, zorder=1, rasterized=True)
        for region, color in reversed([*zip(regions, colors, strict=False)]):
            sizes = np.full(len(region), spacing)
            style = dict(offsets=1e3 * region[:, view], offset_transform=ax.transData, units="xy")
            discs = EllipseCollection(sizes, sizes, 0, color=color, **style, **region_style)
            ax.add_collection(discs)
        style = dict(beside=bool(len(regions)), is_weak=is_weak)
        plot_sources(ax, found[:, view], colors, center[view], reach, **style)
        for side, label, align in zip([0.02, 0.98], ends, ["left", "right"], strict=True):
            ax.text(side, 0.02, label, ha=align, color="0.4", transform=ax.transAxes)
        ax.set(title=title, xlabel=_AXIS_NAMES[right], ylabel=_AXIS_NAMES[up])
        ax.set_xlim(center[right] - reach, center[right] + reach)
        ax.set_ylim(center[up] - reach, center[up] + reach)


def compute_spacing(points):
    """Compute the distance between neighbouring positions in mm."""
    if len(points) < 2:
        return 10.0
    gaps = KDTree(points).query(points, k=2)[0][:, 1]
    return float(np.clip(np.median(gaps), 2, 10))


def _plot_silhouette(ax, points, spacing):
    """Draw the outline of all positions."""
    step = spacing / 3
    low, high = points.min(axis=0) - 3 * spacing, points.max(axis=0) + 3 * spacing
    edges = [np.arange(*ends, step) for ends in zip(low, high, strict=True)]
    counts, *_ = np.histogram2d(*points.T, bins=edges)
    density = gaussian_filter(np.minimum(counts, 1), 2)
    centers = [(ends[1:] + ends[:-1]) / 2 for ends in edges]
    level = 0.3 * density[counts > 0].min()
    ax.contourf(*centers, density.T, levels=[level, density.max()], colors=["0.93"], zorder=0)
    ax.contour(*centers, density.T, levels=[level], colors=["0.6"], linewidths=0.8, zorder=0.5)


def plot_sources(
    ax, points, colors, center, reach, *, is_shown=None, is_hidden=None, is_weak=(), beside=False
):
    """Draw sources in a view, the first of them in colours and with numbers.

    Sources that are not shown are left out. Hidden ones have open markers, weak ones have white
    numbers. Numbers are on their sources or beside them.
    """
    n_points, n_labelled = len(points), len(colors)
    is_shown = np.ones(n_points, dtype=bool) if is_shown is None else is_shown
    is_hidden = np.zeros(n_points, dtype=bool) if is_hidden is None else is_hidden
    is_weak = is_weak if len(is_weak) else np.zeros(n_points, dtype=bool)
    others = np.flatnonzero(is_shown[n_labelled:]) + n_labelled
    style = dict(color="0.2", markeredgecolor="white", markeredgewidth=0.6, markersize=4)
    ax.plot(*points[others].T, "o", **style, zorder=2)
    numbered = np.flatnonzero(is_shown[:n_labelled])
    places = points[numbered]
    if beside:
        away = places - center
        lengths = np.linalg.norm(away, axis=1, keepdims=True)
        places = places + _NUMBER_SIZE * reach * away / np.where(lengths > 0, lengths, 1)
    places = _spread(places, _NUMBER_SIZE * reach)
    for k, place in reversed([*zip(numbered, places, strict=True)]):  # the strongest on top
        _plot_number(ax, k + 1, points[k], place, colors[k], is_hidden[k], is_weak[k])


def _spread(points, distance):
    """Move points until they are a distance apart, so that their numbers do not overlap."""
    places, turn = points.copy(), np.arange(len(points)) * 2.4
    apart = 1e-3 * np.stack([np.cos(turn), np.sin(turn)], axis=1)  # separates equal points
    for _ in range(100):
        gaps = (places + apart)[:, np.newaxis] - (places + apart)
        lengths = np.linalg.norm(gaps, axis=2) + np.eye(len(points)) * distance
        lack = np.clip(distance - lengths, 0, None)
        if not lack.any():
            break
        places = places + 0.2 * np.sum(gaps * (lack / lengths)[..., np.newaxis], axis=1)
    return places


def _plot_number(ax, number, point, place, color, is_hidden, is_weak):
    """Draw a source, and a number in a disc at a place, dark on light or light on dark."""
    from matplotlib.colors import to_rgb

    is_light = is_weak or np.dot(to_rgb(color), [0.3, 0.6, 0.1]) > 0.5
    ax.plot(*np.transpose([point, place]), color=color, linewidth=1)
    style = dict(markerfacecolor="white", markeredgecolor=color) if is_hidden else {}
    ax.plot(*point, "o", **(dict(color=color, markeredgecolor="white", markersize=5) | style))
    face, edge = ("white", color) if is_weak else (color, "white")
    ax.scatter(*place, s=144, facecolors=face, edgecolors=edge, linewidths=1, zorder=2)
    style = dict(ha="center", va="center_baseline", fontsize=8, fontweight="bold", clip_on=True)
    ax.text(*place, f"{number}", color="black" if is_light else "white", **style)
