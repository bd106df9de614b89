"""Tables in Markdown, and the figures of `bench_solvers.py`."""

import statistics

import matplotlib
from matplotlib import pyplot as plt
from matplotlib.ticker import NullFormatter

matplotlib.use("Agg")

# Okabe and Ito's colours, which the colour-blind tell apart, and a marker for each.
STYLES = [
    dict(color="#0072B2", marker="o"),
    dict(color="#D55E00", marker="s"),
    dict(color="#009E73", marker="^"),
    dict(color="#CC79A7", marker="D"),
]


def make_table(header, rows):
    """Format a table: the first column is text, the others are numbers."""
    yield ""
    yield "| " + " | ".join(header) + " |"
    yield "| --- |" + " ---: |" * (len(header) - 1)
    for row in rows:
        yield "| " + " | ".join(map(str, row)) + " |"
    yield ""


def format_ratios(ratios):
    """Format ratios as median [min, max]."""
    if not ratios:
        return "-"
    return f"{statistics.median(ratios):.3g} [{min(ratios):.3g}, {max(ratios):.3g}]"


def draw_gaps(curves, folder):
    """Draw certified gap against time.

    Parameters
    ----------
    curves : dict of list
        Points (seconds, gap) of each (problem, contender).
    folder : Path
        Where to.

    Returns
    -------
    path : Path
        The file.
    """
    problems = list(dict.fromkeys(problem for problem, _ in curves))
    labels = list(dict.fromkeys(label for _, label in curves))
    figure, axes = plt.subplots(
        1,
        len(problems),
        figsize=(4.5 * len(problems), 4),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for axis, problem in zip(axes[0], problems, strict=True):
        for label, style in zip(labels, STYLES, strict=False):
            points = curves.get((problem, label))
            if points:
                axis.loglog(*zip(*points, strict=True), label=label, **style)
        axis.set(title=f"{problem}, alpha = 20 %", xlabel="time (s)")
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.grid(alpha=0.3)
    axes[0, 0].set_ylabel("certified duality gap / $||y||^2$")
    axes[0, 0].legend()
    return save(figure, folder, "gap_against_time.png")


def draw_growth(curves, folder):
    """Draw time against size.

    Parameters
    ----------
    curves : dict of list
        Points (size, seconds) of each (what grows, number of orientations).
    folder : Path
        Where to.

    Returns
    -------
    path : Path
        The file.
    """
    figure, axes = plt.subplots(1, 2, figsize=(9, 4), sharey=True, layout="constrained")
    for axis, what in zip(axes, dict.fromkeys(what for what, _ in curves), strict=True):
        for style, n_orient in zip(STYLES, (1, 3), strict=False):
            label = "1 orientation" if n_orient == 1 else f"{n_orient} orientations"
            axis.loglog(*zip(*curves[what, n_orient], strict=True), label=label, **style)
        axis.set(xlabel=f"number of {what}")
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("time of one fit (s)")
    axes[0].legend()
    return save(figure, folder, "growth_with_size.png")


def save(figure, folder, name):
    """Save a figure and say where."""
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / name, dpi=150)
    plt.close(figure)
    return folder / name
