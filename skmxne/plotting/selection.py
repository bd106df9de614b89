"""Figure of the choice of alpha."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from ..linear_model.base import BaseMixedNorm
from .style import BLUE, GREY, VERMILION, check_axes, mark_alpha, set_alpha_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BAND = dict(color=BLUE, alpha=0.2, linewidth=0)


class SelectionDisplay:
    """The values by which alpha was chosen, and the number of active blocks, along the path.

    Use `from_estimator` to make one. All parameters are stored as attributes.

    The axes are limited so that the best values can be seen. Arrows mark values outside the axes.

    Parameters
    ----------
    alphas : ndarray of shape (n_alphas,)
        Percentages in descending order.
    values : ndarray of shape (n_alphas,) or (n_alphas, n_folds)
        The criterion, or the errors or scores in the folds.
    alpha : float
        The percentage chosen.
    value_name : str
        Label of the values.
    n_active : ndarray of shape (n_alphas,) or (n_alphas, n_folds)
        Number of active blocks.
    threshold : float, default=None
        Threshold that the values are compared with.
    threshold_name : str, default=None
        Label of the threshold.
    refined : tuple of float and int, default=None
        Percentage and number of active blocks of the model that a search has found.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Axes with the values.
    axes_ : ndarray of matplotlib.axes.Axes
        `ax_`, and the axes with the number of active blocks if they are drawn.
    figure_ : matplotlib.figure.Figure
        The figure.
    line_ : matplotlib.lines.Line2D
        The criterion, or the mean over folds.
    fill_between_ : matplotlib.collections.PolyCollection or None
        One standard error on both sides of the mean.
    fold_lines_ : list of matplotlib.lines.Line2D
        The single folds, if they are drawn.
    chosen_lines_ : list of matplotlib.lines.Line2D
        The mark of the chosen alpha in each of `axes_`.
    threshold_line_ : matplotlib.lines.Line2D or None
        The threshold.
    n_active_line_ : matplotlib.lines.Line2D or None
        The number of active blocks, or its mean over folds.
    refined_line_ : matplotlib.lines.Line2D or None
        The mark of the model that a search has found.

    See Also
    --------
    PathDisplay : The amplitudes along the path.
    sklearn.model_selection.ValidationCurveDisplay : Scores along any parameter.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from skmxne import MixedNormIC, SelectionDisplay
    >>> from skmxne.datasets import make_block_sparse_regression
    >>> X, y = make_block_sparse_regression(n_orient=3, noise=1.0, random_state=0)
    >>> model = MixedNormIC(n_orient=3).fit(X, y)
    >>> display = SelectionDisplay.from_estimator(model)
    >>> display.ax_.get_ylabel()
    'RIC'
    >>> plt.close(display.figure_)
    """

    def __init__(
        self,
        *,
        alphas: NDArray[np.float64],
        values: NDArray[np.float64],
        alpha: float,
        value_name: str,
        n_active: NDArray[np.int_],
        threshold: float | None = None,
        threshold_name: str | None = None,
        refined: tuple[float, int] | None = None,
    ) -> None:
        self.alphas = alphas
        self.values = values
        self.alpha = alpha
        self.value_name = value_name
        self.n_active = n_active
        self.threshold = threshold
        self.threshold_name = threshold_name
        self.refined = refined

    def __repr__(self) -> str:
        return f"<SelectionDisplay: {len(self.alphas)} alphas, {self.alpha:.3g} % chosen>"

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        *,
        ax: "Axes | Sequence[Axes] | None" = None,
        folds: bool = False,
        line_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw how a fitted estimator has chosen alpha.

        Parameters
        ----------
        estimator : MixedNormCV, MixedNormIC or Pipeline
            The fitted estimator, or a pipeline that ends with one.
        ax, folds, line_kw : object
            As for `plot`.

        Returns
        -------
        display : SelectionDisplay
            The display, drawn.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If `estimator` is not fitted.
        TypeError
            If `estimator` is of another kind.
        """
        if isinstance(estimator, Pipeline):
            estimator = estimator[-1]
        if not (isinstance(estimator, BaseMixedNorm) and hasattr(estimator, "alphas")):
            raise TypeError(
                "estimator must be a fitted MixedNormCV or MixedNormIC, or a Pipeline that ends "
                f"with one, got {estimator!r}."
            )
        check_is_fitted(estimator)
        describe = _describe_criterion if hasattr(estimator, "criterion_") else _describe_folds
        parameters = dict(alphas=estimator.alphas_, alpha=estimator.alpha_)
        display = cls(n_active=estimator.n_active_path_, **(parameters | describe(estimator)))
        return display.plot(ax, folds=folds, line_kw=line_kw)

    def plot(
        self,
        ax: "Axes | Sequence[Axes] | None" = None,
        *,
        folds: bool = False,
        line_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw the figure.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or pair of them, default=None
            Where to draw: one axes for the values, or two, the second for the number of active
            blocks. None: a new figure with both.
        folds : bool, default=False
            Draw the single folds, too.
        line_kw : dict, default=None
            Arguments of `matplotlib.axes.Axes.plot` for the line of the values.

        Returns
        -------
        display : SelectionDisplay
            The display itself.

        Raises
        ------
        TypeError
            If `ax` has elements that are not Axes, or `folds` or `line_kw` have a wrong type.
        ValueError
            If there are more than two axes.
        """
        if not isinstance(line_kw, dict | None):
            raise TypeError(f"line_kw must be a dict or None, got {line_kw!r}.")
        if not isinstance(folds, bool | np.bool_):
            raise TypeError(f"folds must be True or False, got {folds!r}.")
        self.axes_ = _make_axes(ax)
        self.ax_ = self.axes_[0]
        self.figure_ = self.ax_.figure
        for panel in self.axes_:
            set_alpha_axis(panel, self.alphas)
        if ax is None:
            self.ax_.set_xlabel("")
        self._plot_values(folds, {"color": BLUE, "marker": "."} | (line_kw or {}))
        self.n_active_line_ = self.refined_line_ = None
        if len(self.axes_) == 2:
            self._plot_n_active(self.axes_[1])
        name = "chosen" if self.refined is None else "chosen on the path"
        self.chosen_lines_ = [mark_alpha(panel, self.alpha, name) for panel in self.axes_]
        self.ax_.legend(fontsize="small")
        self.figure_.align_ylabels(self.axes_)
        return self

    def _plot_values(self, folds, line_kw):
        # Infinite where the criterion is not defined.
        values = np.where(np.isfinite(self.values), self.values, np.nan)
        self.fill_between_, self.fold_lines_, self.threshold_line_ = None, [], None
        if values.ndim == 2:
            n_folds = values.shape[1]
            if folds:
                style = dict(color=GREY, linewidth=0.8, zorder=0)
                self.fold_lines_ = self.ax_.plot(self.alphas, values, **style)
                self.fold_lines_[0].set_label("single folds")
            means = values.mean(axis=1)
            if n_folds > 1:
                error = _compute_standard_error(values)
                self.fill_between_ = self.ax_.fill_between(
                    *(self.alphas, means - error, means + error),
                    **_BAND,
                    label="± standard error",
                )
            values, line_kw = means, {"label": f"mean of {n_folds} folds"} | line_kw
        try:
            (self.line_,) = self.ax_.plot(self.alphas, values, **line_kw)
        except AttributeError as error:
            raise TypeError(f"line_kw must have arguments of a line: {error}") from error
        if self.threshold is not None:
            self.threshold_line_ = self.ax_.axhline(
                self.threshold, color=VERMILION, linestyle="--", label=self.threshold_name
            )
        self.ax_.set_ylabel(self.value_name)
        if not np.isnan(values).all():
            self._zoom_in(values)

    def _zoom_in(self, values):
        """If far values hide the best one, limit the axes and mark far values by arrows."""
        chosen = values[np.argmin(np.abs(self.alphas - self.alpha))]
        # The best is the lowest criterion or error, or the highest score.
        sign = -1 if 2 * chosen > np.nanmin(values) + np.nanmax(values) else 1
        threshold = np.nan if self.threshold is None else self.threshold
        limit = sign * _find_limit(sign * values, sign * threshold)
        is_off = sign * values > sign * limit
        if not is_off.any():
            return
        marker, height = ("^", 0.96) if sign > 0 else ("v", 0.04)
        style = dict(color=self.line_.get_color(), label="outside the axes")
        style["transform"] = self.ax_.get_xaxis_transform()
        self.ax_.plot(self.alphas[is_off], np.full(is_off.sum(), height), marker, **style)
        nearest = self.ax_.dataLim.intervaly[::sign][0]
        margin = 0.05 * (limit - nearest)
        self.ax_.set_ylim(sorted([nearest - margin, limit + margin]), auto=None)

    def _plot_n_active(self, ax):
        largest, n_active = max(self.n_active.max(), 1), self.n_active
        if self.refined is not None:
            alpha, n_refined = self.refined
            largest = max(largest, n_refined)
            style = dict(color=VERMILION, marker="*", markersize=12, linestyle="")
            label = f"after the search: {n_refined} at {alpha:.3g} %"
            (self.refined_line_,) = ax.plot([alpha], [n_refined], **style, label=label)
            ax.legend(fontsize="small")
        if n_active.ndim == 2:
            low, high, n_active = n_active.min(axis=1), n_active.max(axis=1), n_active.mean(axis=1)
            ax.fill_between(self.alphas, low, high, **_BAND, label="range over folds")
            ax.legend(fontsize="small")
        (self.n_active_line_,) = ax.plot(self.alphas, n_active, color=BLUE, marker=".")
        # Small numbers matter most.
        ax.set_yscale("symlog", linthresh=1, linscale=0.5)
        ticks = range(6) if largest <= 5 else [0, *(m * 10**k for k in range(6) for m in (1, 3))]
        ticks = [tick for tick in ticks if tick <= largest]
        ax.set_yticks(ticks, map(str, ticks))
        ax.set_yticks([], minor=True)
        ax.set_ylim(0, 1.2 * largest)
        ax.set_ylabel("number active")


def _make_axes(ax):
    """Return the axes given, or those of a new figure."""
    if ax is None:
        import matplotlib.pyplot as plt

        layout = dict(height_ratios=[2, 1], figsize=(6.4, 5.2), layout="constrained")
        return plt.subplots(2, sharex=True, **layout)[1]
    axes = np.atleast_1d(np.asarray(ax, dtype=object))
    for panel in axes.flat:
        check_axes(panel)
    if axes.shape not in [(1,), (2,)]:
        raise ValueError(f"ax must be one Axes, or a pair of them, got shape {axes.shape}.")
    return axes


def _describe_criterion(estimator):
    """Return the parameters of the display of an information criterion."""
    if estimator.criterion != "discrepancy":
        described = dict(values=estimator.criterion_, value_name=estimator.criterion.upper())
        chosen = estimator.alphas_ == estimator.path_alpha_
        refined = estimator.alpha_, int(estimator.n_active_)
        if refined != (estimator.path_alpha_, estimator.n_active_path_[chosen][0]):
            described["refined"] = refined
        return described | dict(alpha=estimator.path_alpha_)
    return dict(
        values=estimator.criterion_,
        value_name=r"$\mathrm{RSS} - (n - \mathrm{dof})\, s^2$",
        threshold=0.0,
        threshold_name="zero: the residual is noise",
    )


def _describe_folds(estimator):
    """Return the parameters of the display of a cross-validation."""
    values, value_name, sign = estimator.mse_path_, "mean squared error", -1.0
    if hasattr(estimator, "score_path_"):
        values, sign = estimator.score_path_, 1.0
        is_name = isinstance(estimator.scoring, str)
        value_name = estimator.scoring.replace("_", " ") if is_name else "score"
    if not estimator.one_standard_error:
        return dict(values=values, value_name=value_name)
    means = values.mean(axis=1)
    best = np.argmax(sign * means)
    return dict(
        values=values,
        value_name=value_name,
        threshold=means[best] - sign * _compute_standard_error(values)[best],
        threshold_name="best + standard error" if sign < 0 else "best - standard error",
    )


def _find_limit(values, threshold):
    """Find the largest value to show, so that a minimum between larger values can be seen.

    The lower side of the minimum, half of the values, and the threshold are in view. The limit is
    infinite if these take a third or more of the axes anyway.
    """
    low, best = np.nanmin(values), np.nanargmin(values)
    side = min(np.nanmax(values[: best + 1]), np.nanmax(values[best:])) - low
    limit = np.nanmax([low + 1.5 * side, np.nanmedian(values), threshold])
    is_hidden = side > 0 and 3 * (limit - low) < np.nanmax(values) - low
    return limit if is_hidden else np.inf


def _compute_standard_error(values):
    """Compute the standard error of the mean over folds."""
    return values.std(axis=1, ddof=1) / np.sqrt(values.shape[1])
