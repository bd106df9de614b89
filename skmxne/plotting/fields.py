"""Figure of the fields of sources at the sensors."""

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from .style import check_n_labelled, check_problem, find_order, make_figure, take_condition

if TYPE_CHECKING:
    import mne
    from matplotlib.figure import Figure, SubFigure

    from ..inverse.problem import InverseProblem


# Units of the fields, and how many make one T, T/m or V.
_UNITS = {"mag": ("fT", 1e15), "grad": ("fT/cm", 1e13), "eeg": ("µV", 1e6)}


class FieldDisplay:
    """The fields at the peak of each source: data, model, this source alone, and residual.

    Use `from_estimator` to make one. All parameters are stored as attributes.

    Parameters
    ----------
    residual : instance of mne.Evoked
        The residual.
    fields : list of mne.Evoked
        The fields of the sources, the sources with the largest peaks first.
    peaks : ndarray of int, shape (n_sources,)
        The indices of the times of the peaks.
    gof : ndarray of shape (n_sources,)
        The goodness of fit of all sources together at these times, in percent of the power of the
        whitened data of all sensors.
    ch_type : {"mag", "grad", "eeg"}
        The type of sensors.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure or matplotlib.figure.SubFigure
        The figure.
    axes_ : ndarray of matplotlib.axes.Axes, shape (n_rows, n_columns)
        The topographies: a column for each source, with data, model, source and residual.

    See Also
    --------
    SourceDisplay : Where the sources are.
    mne.viz.plot_topomap : Draws each topography.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from skmxne import FieldDisplay, InverseProblem, MixedNormEstimator
    >>> from skmxne.datasets import make_recording
    >>> recording = make_recording(n_sources=2)
    >>> problem = InverseProblem.from_evoked(
    ...     recording.evoked, recording.forward, recording.noise_cov, tmin=0.05, tmax=0.35
    ... )
    >>> model = MixedNormEstimator(60, n_orient=3, n_mxne_iter=5).fit(problem.X, problem.y)
    >>> display = FieldDisplay.from_estimator(model, problem)
    >>> display.axes_.shape
    (4, 2)
    >>> plt.close(display.figure_)
    """

    def __init__(
        self,
        *,
        residual: "mne.Evoked",
        fields: "list[mne.Evoked]",
        peaks: NDArray[np.int_],
        gof: NDArray[np.float64],
        ch_type: str,
    ) -> None:
        self.residual = residual
        self.fields = fields
        self.peaks = peaks
        self.gof = gof
        self.ch_type = ch_type

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        problem: "InverseProblem",
        *,
        ch_type: str | None = None,
        condition: int | str = 0,
        n_labelled: int = 5,
        fig: "Figure | SubFigure | None" = None,
    ) -> Self:
        """Draw the fields of the sources of a model fitted on an inverse problem.

        Parameters
        ----------
        estimator : estimator or array-like of shape (n_targets, n_features)
            As for :meth:`InverseProblem.to_source_estimate`.
        problem : InverseProblem
            The problem.
        ch_type : {"mag", "grad", "eeg"}, default=None
            The type of sensors; None: the first of these in the data. Each pair of planar
            gradiometers is drawn as the root mean square of both.
        condition : int or str, default=0
            Index or comment of the data to draw, if the problem was made from a list.
        n_labelled, fig : object
            As for `plot`.

        Returns
        -------
        display : FieldDisplay
            The display, drawn.

        Raises
        ------
        TypeError
            If `problem` is not an InverseProblem.
        ValueError
            If the problem has no such sensors or condition, or the coefficients do not fit it.
        """
        check_problem(problem)
        index, residuals, rows, dipoles, fields = take_condition(
            condition,
            problem.to_residual(estimator),
            problem.list_sources(estimator),
            problem.to_dipoles(estimator),
            problem.to_fields(estimator),
        )
        residual = residuals[index]
        types = residual.get_channel_types(unique=True)
        types = [kind for kind in ("mag", "grad", "eeg") if kind in types]
        if ch_type is not None and ch_type not in types:
            raise ValueError(f"ch_type={ch_type!r} does not exist: choose from {types}.")
        order = find_order(rows)
        peaks = np.array([np.abs(dipoles[k].amplitude).argmax() for k in order], dtype=int)
        gof = sum((dipole.gof for dipole in dipoles), start=np.zeros(len(residual.times)))
        display = cls(
            residual=residual,
            fields=[fields[k] for k in order],
            peaks=peaks,
            gof=gof[peaks],
            ch_type=ch_type or types[0],
        )
        return display.plot(fig, n_labelled=n_labelled)

    def plot(self, fig: "Figure | SubFigure | None" = None, *, n_labelled: int = 5) -> Self:
        """Draw the figure.

        Parameters
        ----------
        fig : matplotlib.figure.Figure or matplotlib.figure.SubFigure, default=None
            An empty figure to draw in. None: a new one.
        n_labelled : int, default=5
            How many sources to draw, the strongest first.

        Returns
        -------
        display : FieldDisplay
            The display itself. Without sources, it shows the time where the data are strongest.

        Raises
        ------
        TypeError
            If `fig` is not a figure, or `n_labelled` is not a number of sources.
        """
        check_n_labelled(n_labelled)
        columns = self._list_columns(n_labelled)
        names = list(columns[0][2])
        self.figure_ = make_figure(fig, (max(1.8 * len(columns) + 2, 4.5), 1.7 * len(names) + 0.9))
        self.axes_ = self.figure_.subplots(len(names), len(columns), squeeze=False)
        self.figure_.suptitle(self._summarize(), parse_math=False)
        images = []
        for axes, (time, title, rows) in zip(self.axes_.T, columns, strict=True):
            axes[0].set_title(title, fontsize="medium")
            images += [
                self._plot_topography(ax, evoked, time)
                for ax, evoked in zip(axes, rows.values(), strict=True)
            ]
        for ax, name in zip(self.axes_[:, 0], names, strict=True):
            ax.set_ylabel(name)
        largest = max(np.abs(image.get_clim()).max() for image in images)
        for image in images:  # the same scale everywhere
            image.set_clim(0.0 if self.ch_type == "grad" else -largest, largest)
        label = f"{self.ch_type} ({_UNITS[self.ch_type][0]})"
        self.figure_.colorbar(images[0], ax=self.axes_, shrink=0.5, label=label)
        return self

    def __repr__(self):
        return f"<FieldDisplay: {self.ch_type}, {len(self.fields)} sources>"

    def _summarize(self):
        """Summarize the figure."""
        name = f"{self.residual.comment!r}: " if self.residual.comment else ""
        return f"{name}fields at the peaks" if self.fields else f"{name}no source"

    def _list_columns(self, n_labelled):
        """List time, title and fields of each column."""
        residual, fields = self.residual.copy().pick(self.ch_type), []
        for field in self.fields:
            fields.append(field.copy().pick(self.ch_type))
        model, data = residual.copy(), residual.copy()
        model.data = sum((field.data for field in fields), start=np.zeros(residual.data.shape))
        data.data = residual.data + model.data
        rows, times, columns = {"data": data, "model": model}, residual.times, []
        for k, (peak, field) in enumerate(zip(self.peaks, fields, strict=True)):
            title = f"source {k + 1}, {1e3 * times[peak]:z.0f} ms"
            title += f"\nall sources explain {self.gof[k]:z.0f} %"
            of_source = rows | {"source alone": field, "residual": residual}
            columns.append((times[peak], title, of_source))
        if not columns[:n_labelled]:
            strongest = times[np.sum(data.data**2, axis=0).argmax()]
            return [(strongest, f"{1e3 * strongest:z.0f} ms", rows | {"residual": residual})]
        return columns[:n_labelled]

    def _plot_topography(self, ax, evoked, time):
        """Draw a field at a time, and return its image."""
        import mne

        style = dict(contours=0, sensors="k,", cmap="Reds" if self.ch_type == "grad" else "RdBu_r")
        values = evoked.data[:, np.argmin(np.abs(evoked.times - time))] * _UNITS[self.ch_type][1]
        options = dict(ch_type=self.ch_type, axes=ax, show=False)
        return mne.viz.plot_topomap(values, evoked.info, **options, **style)[0]
