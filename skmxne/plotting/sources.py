"""Figure of the sources of a model, and of the residual."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from ..inspection.confidence import Confidence, say_p
from .cortex import list_views, plot_cortex
from .positions import plot_positions
from .style import (
    BLUE,
    GREY,
    VERMILION,
    check_n_labelled,
    check_problem,
    find_order,
    make_figure,
    pick_line_styles,
    take_condition,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

    from ..inverse.problem import InverseProblem


# Sources with larger p-values may be noise, and are drawn pale.
_LEVEL = 0.05


class SourceDisplay:
    """The sources of a model: where they are, how strong, and how well they explain the data.

    Use `from_estimator` to make one. All parameters are stored as attributes.

    Parameters
    ----------
    times : ndarray of shape (n_times,)
        The times in s.
    amplitudes : ndarray of shape (n_sources, n_times)
        The amplitudes in A m, the sources with the largest peaks first.
    locations : ndarray of shape (n_sources, 3)
        Where the sources are, in m, in head coordinates: x to the right, y to the front, z up.
    all_locations : ndarray of shape (n_positions, 3)
        Where sources could have been.
    data : ndarray of shape (n_samples, n_times)
        The whitened data, with noise of variance 1.
    residual : ndarray of shape (n_samples, n_times)
        The whitened residual.
    surfaces : list of named tuples, default=()
        The cortex, as in :attr:`InverseProblem.surfaces`. Without it, projections are drawn.
    name : str, default=None
        Name of the data.
    regions : list of ndarray of shape (n, 3), default=None
        The region where each source could be: its positions in m.
    p_values : ndarray of shape (n_sources,), default=None
        The p-values of the sources. Above 0.05, lines are pale and numbers are white.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure or matplotlib.figure.SubFigure
        The figure.
    position_axes_ : list of matplotlib.axes.Axes
        The positions: views of the cortex (left and right, lateral and medial; top), which is
        smoothed to show its sulci. Without a cortex, projections in mm.
    time_ax_ : matplotlib.axes.Axes
        The amplitudes over time.
    noise_ax_ : matplotlib.axes.Axes
        The data, the residual, and the expected noise.
    fit_ax_ : matplotlib.axes.Axes
        The goodness of fit over time.
    lines_ : list of matplotlib.lines.Line2D
        The amplitudes of the strongest sources.
    other_lines_ : list of matplotlib.lines.Line2D
        The amplitudes of the other sources.

    See Also
    --------
    InverseProblem : Makes the outputs that are drawn.
    SelectionDisplay : How alpha was chosen.
    mne.SourceEstimate.plot : Sources on the surface of the brain, in three dimensions.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from skmxne import InverseProblem, MixedNormEstimator, SourceDisplay
    >>> from skmxne.datasets import make_recording
    >>> recording = make_recording(n_sources=2)
    >>> problem = InverseProblem.from_evoked(
    ...     recording.evoked, recording.forward, recording.noise_cov, tmin=0.05, tmax=0.35
    ... )
    >>> model = MixedNormEstimator(60, n_orient=3, n_mxne_iter=5).fit(problem.X, problem.y)
    >>> display = SourceDisplay.from_estimator(model, problem)
    >>> len(display.lines_)
    2
    >>> plt.close(display.figure_)
    """

    def __init__(
        self,
        *,
        times: NDArray[np.float64],
        amplitudes: NDArray[np.float64],
        locations: NDArray[np.float64],
        all_locations: NDArray[np.float64],
        data: NDArray[np.float64],
        residual: NDArray[np.float64],
        surfaces: Sequence[Any] = (),
        name: str | None = None,
        regions: list[NDArray[np.float64]] | None = None,
        p_values: NDArray[np.float64] | None = None,
    ) -> None:
        self.times = times
        self.amplitudes = amplitudes
        self.locations = locations
        self.all_locations = all_locations
        self.data = data
        self.residual = residual
        self.surfaces = surfaces
        self.name = name
        self.regions = regions
        self.p_values = p_values

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        problem: "InverseProblem",
        *,
        confidence: Confidence | None = None,
        condition: int | str = 0,
        n_labelled: int = 7,
        fig: "Figure | SubFigure | None" = None,
    ) -> Self:
        """Draw the sources of a model fitted on an inverse problem.

        Parameters
        ----------
        estimator : estimator or array-like of shape (n_targets, n_features)
            As for :meth:`InverseProblem.to_source_estimate`.
        problem : InverseProblem
            The problem, of any kind of source space and orientation.
        confidence : Confidence, default=None
            The result of :meth:`InverseProblem.compute_confidence` for this model, to draw the
            region of each source in its colour, and to show p-values.
        condition : int or str, default=0
            Index or comment of the data to draw, if the problem was made from a list.
        n_labelled, fig : object
            As for `plot`.

        Returns
        -------
        display : SourceDisplay
            The display, drawn.

        Raises
        ------
        TypeError
            If `problem` is not an InverseProblem.
        ValueError
            If the problem has no such condition, or the coefficients or `confidence` do not fit it.
        """
        check_problem(problem)
        index, residuals, rows, dipoles = take_condition(
            condition,
            problem.to_residual(estimator),
            problem.list_sources(estimator, confidence),
            problem.to_dipoles(estimator),
        )
        residual, stops = residuals[index], np.cumsum([len(evoked.times) for evoked in residuals])
        targets = slice(stops[index] - len(residual.times), stops[index])
        order = find_order(rows)
        dipoles = [dipoles[k] for k in order]
        amplitudes = [dipole.amplitude for dipole in dipoles]
        judged: dict[str, Any] = {}
        if confidence is not None:
            judged["regions"] = [problem.locations[confidence.regions[k]] for k in order]
            judged["p_values"] = np.array([row["p_value"] for row in rows])
        display = cls(
            times=residual.times,
            amplitudes=np.reshape(amplitudes, (-1, len(residual.times))),
            locations=np.reshape([dipole.pos[0] for dipole in dipoles], (-1, 3)),
            all_locations=problem.locations,
            data=problem.y[:, targets],
            residual=problem.whitener @ residual.data * problem.target_scale[targets],
            surfaces=problem.surfaces,
            name=residual.comment,
            **judged,
        )
        return display.plot(fig, n_labelled=n_labelled)

    def plot(self, fig: "Figure | SubFigure | None" = None, *, n_labelled: int = 7) -> Self:
        """Draw the figure.

        Parameters
        ----------
        fig : matplotlib.figure.Figure or matplotlib.figure.SubFigure, default=None
            An empty figure to draw in. None: a new one.
        n_labelled : int, default=7
            How many sources to draw in colour and to number, the strongest first.

        Returns
        -------
        display : SourceDisplay
            The display itself.

        Raises
        ------
        TypeError
            If `fig` is not a figure, or `n_labelled` is not a number of sources.
        """
        check_n_labelled(n_labelled)
        # Both hemispheres have five views, in two rows; otherwise there is one row.
        height = 6.5 if len(list_views(self.surfaces)) == 5 else 5
        self.figure_ = fig = make_figure(fig, (10, 4 + height))
        rows = fig.add_gridspec(3, 1, height_ratios=[height, 4, 3.5])
        n_labelled = min(n_labelled, len(self.amplitudes))
        styles = pick_line_styles(n_labelled)
        fig.suptitle(self._summarize(), parse_math=False)
        self._plot_places(rows[0], [style["color"] for style in styles])
        self._plot_amplitudes(fig.add_subplot(rows[1]), styles)
        bottom = rows[2].subgridspec(1, 2)
        self._plot_noise(fig.add_subplot(bottom[0]))
        self._plot_fit(fig.add_subplot(bottom[1]))
        return self

    def __repr__(self):
        return f"<SourceDisplay: {len(self.amplitudes)} sources>"

    def _summarize(self):
        """Summarize the figure in one line."""
        n_sources, (percent,) = len(self.amplitudes), _explain(self.data, self.residual, None)
        (most,) = _explain(self.data, np.ones_like(self.data), None).clip(min=0)
        name, noise = f"{self.name!r}: " if self.name else "", f"noise: {100 - most:.0f} %"
        if n_sources == 0:
            return f"{name}no source ({noise} of the whitened data)"
        found = "1 source explains" if n_sources == 1 else f"{n_sources} sources explain"
        return f"{name}{found} {percent:z.0f} % of the whitened data ({noise})"

    def _plot_places(self, spec, colors):
        """Draw where the sources are, on the cortex if there is one."""
        views = spec.subgridspec(1, 3)
        if len(list_views(self.surfaces)) == 5:
            grid = spec.subgridspec(2, 3, width_ratios=[4, 3, 4])
            views = grid[0, 0], grid[1, 0], grid[0, 2], grid[1, 2], grid[:, 1]
        self.position_axes_ = [self.figure_.add_subplot(view, aspect="equal") for view in views]
        where = self.locations, self.all_locations, colors, self.regions or (), self._find_weak()
        if self.surfaces:
            plot_cortex(self.position_axes_, self.surfaces, *where)
        else:
            plot_positions(self.position_axes_, *where)

    def _find_weak(self):
        """Return which sources may be noise, if there are p-values."""
        return () if self.p_values is None else self.p_values > _LEVEL

    def _plot_amplitudes(self, ax, styles):
        self.time_ax_ = ax
        amplitudes, locations, n_labelled = self.amplitudes * 1e9, self.locations * 1e3, len(styles)
        self.other_lines_ = []
        if len(amplitudes) > n_labelled:
            style = dict(color=GREY, linewidth=0.8, zorder=1.5)
            self.other_lines_ = self._plot_over_time(ax, amplitudes[n_labelled:].T, **style)
        self.lines_ = []
        for k, style in enumerate(styles):
            x, y, z = locations[k]
            label = f"{k + 1}: ({x:z.0f}, {y:z.0f}, {z:z.0f}) mm"
            if self.regions is not None:
                away = np.linalg.norm(self.regions[k] - self.locations[k], axis=1)
                label += f",\nwithin {1e3 * away.max():.0f} mm"
            if self.p_values is not None:
                label += f", {say_p(self.p_values[k])}"
            if self.p_values is not None and self.p_values[k] > _LEVEL:
                style = style | dict(alpha=0.5, linewidth=1)
            self.lines_ += self._plot_over_time(ax, amplitudes[k], label=label, **style)
        if self.other_lines_:
            self.other_lines_[0].set_label(f"{len(self.other_lines_)} weaker")
        self._plot_over_time(ax, 0 * self.times, color="0.6", linewidth=0.6, zorder=1)
        ax.set(title="Amplitudes", ylabel="amplitude (nAm)")
        if len(amplitudes):
            order = [*self.lines_, *self.other_lines_[:1]]
            ax.legend(handles=order, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
        else:
            ax.set_yticks([0])
            ax.text(0.5, 0.6, "no source", ha="center", transform=ax.transAxes)

    def _plot_noise(self, ax):
        self.noise_ax_ = ax
        for values, label, style in [
            (self.data, "data", dict(color="black")),
            (self.residual, "residual", dict(color=VERMILION, linestyle="--")),
        ]:
            self._plot_over_time(ax, np.sqrt(np.mean(values**2, axis=0)), label=label, **style)
        ax.axhline(1, color="0.5", linestyle=":", label="noise")
        ax.set_ylim(0, 1.25 * ax.get_ylim()[1])
        ax.set(title="Whitened data", ylabel="root mean square")
        _add_legend_on_top(ax)

    def _plot_fit(self, ax):
        self.fit_ax_ = ax
        self._plot_over_time(ax, _explain(self.data, self.residual), color=BLUE, label="sources")
        most = _explain(self.data, np.ones_like(self.data)).clip(min=0)
        style = dict(color="0.5", linestyle=":", label="not noise")
        self._plot_over_time(ax, most, **style)
        ax.set(title="Goodness of fit", ylabel="explained (%)", ylim=(-4, 130), yticks=[0, 50, 100])
        _add_legend_on_top(ax)

    def _plot_over_time(self, ax, values, **style):
        """Draw values over time, a single time as a point."""
        ax.set_xlabel("time (ms)")
        ax.margins(x=0 if len(self.times) > 1 else None)
        marker = "" if len(self.times) > 1 else "o"
        return ax.plot(self.times * 1e3, values, marker=marker, **style)


def _add_legend_on_top(ax):
    """Add a legend in a line, above what is drawn."""
    style = dict(
        fontsize="small", frameon=False, handlelength=1.6, columnspacing=1, borderaxespad=0
    )
    ax.legend(loc="upper center", ncols=3, **style)


def _explain(data, residual, axis=0):
    """Compute the percentage of power that is explained, at every time or over all times."""
    power = np.sum(data**2, axis=axis)
    explained = 1 - np.sum(residual**2, axis=axis) / np.where(power > 0, power, np.inf)
    return np.atleast_1d(100 * np.where(power > 0, explained, 0))
