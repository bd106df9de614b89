"""The common style of the figures."""

from itertools import cycle, islice
from numbers import Integral

import numpy as np

# Colours that colour-blind people can distinguish: Okabe & Ito (2008),
# https://jfly.uni-koeln.de/color. In this order, neighbours also differ in lightness. Without
# colour, the patterns of the lines distinguish them.
COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000")
_PATTERNS = ("-", "--", "-.", ":")

BLUE, VERMILION, GREY = "#0072B2", "#D55E00", "0.75"


def check_axes(ax):
    """Raise a TypeError unless `ax` is an Axes."""
    if not hasattr(ax, "set_xscale"):
        raise TypeError(f"ax must be of the class matplotlib.axes.Axes, got {ax!r}.")


def check_n_labelled(n_labelled):
    """Raise a TypeError unless `n_labelled` is a number of positions."""
    if not isinstance(n_labelled, Integral) or n_labelled < 0:
        raise TypeError(f"n_labelled must be a non-negative integer, got {n_labelled!r}.")


def check_problem(problem):
    """Raise a TypeError unless `problem` is an inverse problem."""
    if not hasattr(problem, "to_dipoles"):
        raise TypeError(
            f"problem must be an InverseProblem, got {type(problem).__name__}. Pass the one "
            "whose X and y the estimator was fitted on."
        )


def take_condition(condition, residuals, *others):
    """Return the index of a condition, all residuals, and its part of the other lists."""
    if not isinstance(residuals, list):
        residuals, others = [residuals], [[other] for other in others]
    index = _find_condition(condition, [residual.comment for residual in residuals])
    return index, residuals, *(other[index] for other in others)


def _find_condition(condition, names):
    if isinstance(condition, str):
        if condition not in names:
            raise ValueError(f"condition={condition!r} does not exist: choose from {names}.")
        return names.index(condition)
    if condition not in range(len(names)):
        raise ValueError(
            f"condition={condition!r} does not exist: choose an index below {len(names)}, or from "
            f"{names}."
        )
    return int(condition)


def find_order(rows):
    """Return the indices of the sources of a table among ascending positions."""
    positions = sorted(row["position"] for row in rows)
    return [positions.index(row["position"]) for row in rows]


def make_figure(fig, size):
    """Return a given figure, or make one of a size in inches."""
    if fig is None:
        import matplotlib.pyplot as plt

        fig = plt.figure(figsize=size, layout="constrained")
    if not hasattr(fig, "add_gridspec"):
        raise TypeError(f"fig must be of the class matplotlib.figure.Figure, got {fig!r}.")
    return fig


def pick_line_styles(n_lines):
    """Pick as many styles of lines as needed."""
    styles = zip(cycle(COLORS), cycle(_PATTERNS), strict=False)
    return [dict(color=c, linestyle=pattern) for c, pattern in islice(styles, n_lines)]


def set_alpha_axis(ax, alphas):
    """Make an x axis of percentages, from few active positions to many.

    It is logarithmic, with labels such as 50, 20 and 10, and linear near an alpha of zero.
    """
    positive = alphas[alphas > 0]
    if len(positive) == len(alphas):
        ax.set_xscale("log")
    elif len(positive):
        ax.set_xscale("symlog", linthresh=positive[-1], linscale=0.5)
    ticks = [0] if len(positive) < len(alphas) else []
    if len(positive):
        ticks += _make_ticks(positive)
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set_xticks([], minor=True)
    ax.xaxis.set_inverted(True)
    # Show all of the path, also where nothing is active.
    ax.update_datalim(np.column_stack([alphas, alphas]), updatey=False)
    ax.set_xlabel("alpha (%)")


def _make_ticks(alphas):
    """Return few round numbers among positive alphas."""
    from matplotlib.ticker import MaxNLocator

    low, high = alphas[-1], alphas[0]
    multiples = (1, 2, 5) if high < 300 * low else (1,)
    exponents = range(int(np.floor(np.log10(low))), 3)
    ticks = [m * 10.0**exponent for exponent in exponents for m in multiples]
    # The margin of the axis reaches 100.
    ticks = [tick for tick in ticks if low <= tick <= high or (tick == 100 and high >= 95)]
    if len(ticks) < 3:
        ticks = MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(low, high)
        ticks = [tick for tick in ticks if low <= tick <= high]
    return ticks or [high]


def mark_alpha(ax, alpha, name="chosen"):
    """Mark the chosen alpha."""
    label = f"{name}: alpha = {alpha:.3g} %"
    return ax.axvline(alpha, color="black", linestyle=":", zorder=1, label=label)
