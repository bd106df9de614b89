"""Positions in the head, from three sides."""

import numpy as np

# Title, the head coordinates to the right and up, and what the ends of the first are called.
_VIEWS = (
    ("from the top", 0, 1, ("L", "R")),
    ("from the back", 0, 2, ("L", "R")),
    ("from the right", 1, 2, ("back", "front")),
)
_AXIS_NAMES = "x (mm)", "y (mm)", "z (mm)"

# What the disc of a number takes of half the width of a view, in a figure of the usual size.
_NUMBER_SIZE = 0.15


def plot_positions(axes, locations, all_locations, colors, regions=()):
    """Draw sources in a cloud of all positions, from the top, the back and the right.

    With `regions`, where else the sources in colour could be.
    """
    cloud, found, n_labelled = all_locations * 1e3, locations * 1e3, len(colors)
    center = (cloud.min(axis=0) + cloud.max(axis=0)) / 2
    # The same in all views, with space for numbers beside the sources.
    reach = (1.3 if len(regions) else 1.15) * np.abs(cloud - center).max() + 5
    size = np.clip(60 / np.sqrt(len(cloud)), 1, 4)
    cloud_style = dict(color="0.8", markersize=size, zorder=1, rasterized=True)
    # As large as few positions are apart: a silhouette.
    shade_style = dict(color="0.94", markersize=6 * size, zorder=0, rasterized=True)
    region_style = dict(markersize=2 * size + 2, markeredgewidth=0, alpha=0.6, zorder=1.5)
    for ax, (title, right, up, ends) in zip(axes, _VIEWS, strict=True):
        view = [right, up]
        ax.plot(*cloud[:, view].T, ".", **cloud_style)
        ax.plot(*cloud[:, view].T, ".", **shade_style)
        for region, color in reversed([*zip(regions, colors, strict=False)]):
            ax.plot(*region[:, view].T * 1e3, ".", color=color, **region_style)
        ax.plot(*found[n_labelled:, view].T, "o", color="0.5", markersize=3, zorder=2)
        places = found[:n_labelled, view]
        if len(regions):  # numbers beside them
            away = places - center[view]
            lengths = np.linalg.norm(away, axis=1, keepdims=True)
            places = places + _NUMBER_SIZE * reach * away / np.where(lengths > 0, lengths, 1)
        places = _spread(places, _NUMBER_SIZE * reach)
        for k, color in reversed([*enumerate(colors)]):  # the strongest on top
            _plot_number(ax, k + 1, found[k, view], places[k], color)
        for side, label, align in zip([0.02, 0.98], ends, ["left", "right"], strict=True):
            ax.text(side, 0.02, label, ha=align, color="0.4", transform=ax.transAxes)
        ax.set(title=title, xlabel=_AXIS_NAMES[right], ylabel=_AXIS_NAMES[up])
        ax.set_xlim(center[right] - reach, center[right] + reach)
        ax.set_ylim(center[up] - reach, center[up] + reach)


def _spread(points, distance):
    """Move points until all are as far from one another as a distance, which numbers need."""
    places, turn = points.copy(), np.arange(len(points)) * 2.4
    apart = 1e-3 * np.stack([np.cos(turn), np.sin(turn)], axis=1)  # points in the same place part
    for _ in range(100):
        gaps = (places + apart)[:, np.newaxis] - (places + apart)
        lengths = np.linalg.norm(gaps, axis=2) + np.eye(len(points)) * distance
        lack = np.clip(distance - lengths, 0, None)
        if not lack.any():
            break
        places = places + 0.2 * np.sum(gaps * (lack / lengths)[..., np.newaxis], axis=1)
    return places


def _plot_number(ax, number, point, place, color):
    """Draw a source, and a number in a disc at a place, dark on light or light on dark."""
    red, green, blue = (int(color[k : k + 2], 16) for k in (1, 3, 5))
    is_light = 0.3 * red + 0.6 * green + 0.1 * blue > 128
    ax.plot(*np.transpose([point, place]), color=color, linewidth=1)
    ax.plot(*point, "o", color=color, markeredgecolor="white", markersize=5)
    ax.scatter(*place, s=144, color=color, edgecolors="white", linewidths=1, zorder=2)
    style = dict(ha="center", va="center_baseline", fontsize=8, fontweight="bold", clip_on=True)
    ax.text(*place, f"{number}", color="black" if is_light else "white", **style)
