"""Figure of the amplitudes along the path."""

from collections.abc import Sequence
from inspect import signature
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from ..linear_model.base import BaseMixedNorm
from ..linear_model.path import mixed_norm_path
from ..linear_model.validation import prefix_errors
from .style import GREY, check_axes, check_n_labelled, mark_alpha, pick_line_styles, set_alpha_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class PathDisplay:
    """The norm of each block along the path of alphas.

    Use `from_estimator` to make one. All parameters are stored as attributes.

    Parameters
    ----------
    alphas : ndarray of shape (n_alphas,)
        Percentages in descending order.
    norms : ndarray of shape (n_alphas, n_ever_active)
        Norm of the coefficients, over orientations and targets, of each block that is active at
        any of the alphas.
    names : sequence of str, length n_ever_active
        Names of these blocks.
    alpha : float
        The percentage to mark.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        The axes.
    figure_ : matplotlib.figure.Figure
        The figure.
    lines_ : list of matplotlib.lines.Line2D
        The strongest blocks, in descending order.
    other_lines_ : list of matplotlib.lines.Line2D
        The others.
    chosen_line_ : matplotlib.lines.Line2D
        The mark of `alpha`.

    See Also
    --------
    SelectionDisplay : How alpha was chosen.
    mixed_norm_path : The coefficients along the path.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from skmxne import MixedNormEstimator, PathDisplay
    >>> from skmxne.datasets import make_block_sparse_regression
    >>> X, y = make_block_sparse_regression(n_orient=3, noise=1.0, random_state=0)
    >>> estimator = MixedNormEstimator(alpha=30, n_orient=3)
    >>> display = PathDisplay.from_estimator(estimator, X, y, n_labelled=2)
    >>> [line.get_label() for line in display.lines_]
    ['block 34', 'block 0']
    >>> plt.close(display.figure_)
    """

    def __init__(
        self,
        *,
        alphas: NDArray[np.float64],
        norms: NDArray[np.float64],
        names: Sequence[str],
        alpha: float,
    ) -> None:
        self.alphas = alphas
        self.norms = norms
        self.names = names
        self.alpha = alpha

    def __repr__(self) -> str:
        return f"<PathDisplay: {len(self.names)} blocks along {len(self.alphas)} alphas>"

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: ArrayLike,
        y: ArrayLike,
        *,
        alphas: int | ArrayLike | None = None,
        eps: float = 0.1,
        position_names: Sequence[str] | None = None,
        n_labelled: int = 5,
        ax: "Axes | None" = None,
    ) -> Self:
        """Compute the path of an estimator and draw it.

        Parameters
        ----------
        estimator : MixedNormEstimator, MixedNormCV, MixedNormIC or Pipeline
            The path has its parameters, and its alpha is marked. `MixedNormCV` and `MixedNormIC`
            must be fitted; if a search followed the path, the alpha chosen on the path is marked. A
            Pipeline that ends with one of these must be fitted, and transforms `X`.
        X : array-like of shape (n_samples, n_blocks * n_orient)
            Samples.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets.
        alphas : int or array-like of shape (n_alphas,), default=None
            Percentages, as for `mixed_norm_path`. None: those that `MixedNormCV` or `MixedNormIC`
            has chosen from, else 20.
        eps : float, default=0.1
            Ratio of the smallest alpha to 100 percent, if `alphas` is a number.
        position_names : sequence of str, length n_blocks, default=None
            Names of the blocks. None: their indices.
        n_labelled, ax : object
            As for `plot`.

        Returns
        -------
        display : PathDisplay
            The display, drawn.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If a selector or a pipeline is not fitted.
        TypeError, ValueError
            If `estimator` is of another kind, or there is not one name per block.
        """
        if isinstance(estimator, Pipeline):
            check_is_fitted(estimator)
            X, estimator = estimator[:-1].transform(X), estimator[-1]
        if not isinstance(estimator, BaseMixedNorm):
            raise TypeError(
                "estimator must be a MixedNormEstimator, MixedNormCV or MixedNormIC, or a Pipeline "
                f"that ends with one, got {estimator!r}."
            )
        if hasattr(estimator, "alphas"):
            check_is_fitted(estimator)
            alpha = getattr(estimator, "path_alpha_", estimator.alpha_)
            grid = estimator.alphas_
        else:
            alpha, grid = estimator.alpha, 20
        params = {name: getattr(estimator, name) for name in signature(BaseMixedNorm).parameters}
        alphas, coefs, _ = mixed_norm_path(
            X, y, alphas=grid if alphas is None else alphas, eps=eps, **params
        )
        norms = np.array([_compute_norms(coef, estimator.n_orient) for coef in coefs])
        with prefix_errors("position_names"):
            shape = np.shape(position_names)
        if position_names is not None and shape != norms.shape[1:]:
            raise ValueError(
                f"position_names has {np.size(position_names)} names for {norms.shape[1]} "
                "blocks: give one per block."
            )
        active = np.flatnonzero(norms.any(axis=0))
        names = [f"block {g}" if position_names is None else position_names[g] for g in active]
        display = cls(alphas=alphas, norms=norms[:, active], names=names, alpha=alpha)
        return display.plot(ax, n_labelled=n_labelled)

    def plot(self, ax: "Axes | None" = None, *, n_labelled: int = 5) -> Self:
        """Draw the figure.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw. None: in a new figure.
        n_labelled : int, default=5
            How many blocks to draw in colour and to name: the strongest at the marked alpha. If
            fewer are active there, the strongest along the path follow.

        Returns
        -------
        display : PathDisplay
            The display itself.

        Raises
        ------
        TypeError
            If `ax` is not an Axes, or `n_labelled` is not a number of blocks.
        """
        check_n_labelled(n_labelled)
        if ax is None:
            import matplotlib.pyplot as plt

            ax = plt.subplots(figsize=(7.2, 4), layout="constrained")[1]
        check_axes(ax)
        self.ax_, self.figure_ = ax, ax.figure
        set_alpha_axis(ax, self.alphas)
        at_alpha = self.norms[np.argmin(np.abs(self.alphas - self.alpha))]
        order = np.lexsort((self.norms.max(axis=0), at_alpha))[::-1]
        strongest, others = order[:n_labelled], order[n_labelled:]
        # A block is drawn from where it becomes active.
        padded = np.pad(self.norms, ((1, 1), (0, 0)))
        norms = np.where(padded[:-2] + padded[1:-1] + padded[2:] > 0, self.norms, np.nan)
        self.lines_ = [
            ax.plot(self.alphas, norms[:, g], label=self.names[g], **style)[0]
            for g, style in zip(strongest, pick_line_styles(len(strongest)), strict=True)
        ]
        self.other_lines_ = []
        if len(others):
            style = dict(color=GREY, linewidth=0.8, zorder=1.5)
            self.other_lines_ = ax.plot(self.alphas, norms[:, others], **style)
            self.other_lines_[0].set_label(f"{len(others)} others")
        self.chosen_line_ = mark_alpha(ax, self.alpha)
        ax.set_ylim(bottom=0)
        ax.set_ylabel("norm of the coefficients")
        # Lines may be anywhere: the legend is beside the axes.
        ax.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
        return self


def _compute_norms(coef, n_orient):
    """Compute the norm of every block of sparse coefficients."""
    power = (coef.astype(np.float64) ** 2).sum(axis=0)
    return np.sqrt(power.reshape(-1, n_orient).sum(axis=1))
