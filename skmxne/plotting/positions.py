"""Positions in the head, from three sides."""

import numpy as np

# Title, the head coordinates to the right and up, and what the ends of the first are called.
_VIEWS = (
    ("from the top", 0, 1, ("L", "R")),
    ("from the back", 0, 2, ("L", "R")),
    ("from the right", 1, 2, ("back", "front")),
)
_AXIS_NAMES = "x (mm)", "y (mm)", "z (mm)"


def plot_positions(axes, locations, all_locations, colors):
    """Draw sources in a cloud of all positions, from the top, the back and the right.

    Parameters
    ----------
    axes : sequence of 3 matplotlib.axes.Axes
        Where to draw, in mm.
    locations : ndarray of shape (n_sources, 3)
        The sources in m, in head coordinates, the strongest first.
    all_locations : ndarray of shape (n_positions, 3)
        All positions.
    colors : sequence of str, length n_labelled
        Hexadecimal colours of the sources to number. The others are small and grey.
    """
    cloud, found, n_labelled = all_locations * 1e3, locations * 1e3, len(colors)
    center = (cloud.min(axis=0) + cloud.max(axis=0)) / 2
    reach = 1.15 * np.abs(cloud - center).max() + 5  # the same in all views
    size = np.clip(100 / np.sqrt(len(cloud)), 1, 6)
    cloud_style = dict(color="0.85", markersize=size, zorder=1, rasterized=True)
    for ax, (title, right, up, ends) in zip(axes, _VIEWS, strict=True):
        ax.plot(cloud[:, right], cloud[:, up], ".", **cloud_style)
        others = found[n_labelled:]
        ax.plot(others[:, right], others[:, up], "o", color="0.5", markersize=3, zorder=2)
        for k, color in reversed([*enumerate(colors)]):  # the strongest on top
            _plot_number(ax, k + 1, found[k, right], found[k, up], color)
        for side, label, align in zip([0.02, 0.98], ends, ["left", "right"], strict=True):
            ax.text(side, 0.02, label, ha=align, color="0.4", transform=ax.transAxes)
        ax.set(title=title, xlabel=_AXIS_NAMES[right], ylabel=_AXIS_NAMES[up])
        ax.set_xlim(center[right] - reach, center[right] + reach)
        ax.set_ylim(center[up] - reach, center[up] + reach)


def _plot_number(ax, number, x, y, color):
    """Draw a source with its number in it, dark on light or light on dark."""
    red, green, blue = (int(color[k : k + 2], 16) for k in (1, 3, 5))
    is_light = 0.3 * red + 0.6 * green + 0.1 * blue > 128
    ax.plot(x, y, "o", color=color, markeredgecolor="white", markersize=12)
    style = dict(ha="center", va="center_baseline", fontsize=8, fontweight="bold", clip_on=True)
    ax.text(x, y, f"{number}", color="black" if is_light else "white", **style)
