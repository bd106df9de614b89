"""Alpha by cross-validation."""

from collections.abc import Callable
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn import get_config
from sklearn.metrics import check_scoring
from sklearn.model_selection import KFold, check_cv
from sklearn.utils import check_consistent_length
from sklearn.utils.metadata_routing import UNUSED, MetadataRouter, MethodMapping, process_routing
from sklearn.utils.parallel import Parallel, delayed

from .._logging import verbosity
from ..linear_model.base import (
    SHARED_PARAMETERS,
    BaseMixedNorm,
    store_model,
    warn_if_empty,
    warn_if_not_converged,
)
from ..linear_model.fit_problem import MixedNormProblem
from ..linear_model.intercept import warn_if_constant
from ..linear_model.mixed_norm import MixedNormEstimator
from ..linear_model.validation import (
    check_alphas,
    check_bool,
    check_sample_weight,
    prefix_errors,
    warn_if_at_edge,
)
from ..solvers.dispatch import Solver
from ..solvers.threads import single_threaded_blas
from .folds import check_folds, check_y_folds, fit_fold, split_measurements, split_samples

_AT_THE_TOP = (
    "With more than one source, it predicts best only because the penalty shrinks larger models "
    "more. Compare with reweighting, or with an information criterion."
)


class MixedNormCV(BaseMixedNorm):
    """Mixed-norm estimate with alpha chosen by cross-validation.

    In every fold the whole path of alphas is fitted, each solution starting from the previous one.
    `GridSearchCV` with the same alphas, folds and scoring makes the same choice, but takes longer.
    Alpha is a percentage of the `alpha_max_` of each fold. A fold is a part of the samples, or a
    part of the trials with all samples: see `y_folds` of `fit`.

    Parameters
    ----------
    alphas : int or array-like of shape (n_alphas,), default=20
        Percentages to choose from. An int is the size of a geometric grid from 99 down to
        ``100 * eps``.
    eps : float, default=0.1
        The smallest alpha of the grid is ``100 * eps`` percent.
    cv : int, cross-validation generator or iterable, default=None
        The folds, as for `GridSearchCV`. None: the `y_folds` passed to `fit`, or else
        ``KFold(5, shuffle=True, random_state=0)``, since neighbouring rows are often alike.
    scoring : str or callable, default=None
        The score that chooses alpha: a name of scikit-learn, or ``scorer(estimator, X, y)``, where
        greater is better. None: the mean squared error.
    one_standard_error : bool, default=False
        Take the largest alpha whose mean score is within one standard error of the best.
    n_jobs : int, default=None
        Number of folds to fit in parallel, in threads. None: 1, unless in a
        `joblib.parallel_config` context, whose backend may be processes or a Dask cluster. -1: all
        processors.
    n_orient, n_mxne_iter, reweighting_scale, weights, weights_min, solver : object
        As for `MixedNormEstimator`.
    maxit, tol, active_set_size, dgap_freq, debias, time_pca, fit_intercept, verbose : object
        As for `MixedNormEstimator`.

    Attributes
    ----------
    alpha_ : float
        The chosen alpha, in percent: ``MixedNormEstimator(alpha=alpha_)`` is the same model.
    alphas_ : ndarray of shape (n_alphas,)
        The alphas to choose from, in percent, in descending order.
    mse_path_ : ndarray of shape (n_alphas, n_folds)
        Mean squared error on the left-out samples.
    score_path_ : ndarray of shape (n_alphas, n_folds)
        The scores, if `scoring` is not None.
    n_active_path_ : ndarray of int, shape (n_alphas, n_folds)
        Number of active blocks.
    coef_, debias_scale_, intercept_, penalty_, alpha_max_, active_set_, n_active_ : object
        As for `MixedNormEstimator`, of the fit to all data at `alpha_`.
    explained_variance_, dual_gap_, objective_, n_iter_, converged_, n_features_in_ : object
        As for `MixedNormEstimator`.
    feature_names_in_ : object
        As for `MixedNormEstimator`.

    See Also
    --------
    MixedNormIC : Alpha by an information criterion, from one path on all data.
    sklearn.linear_model.MultiTaskLassoCV : The same for ``n_orient=1``, without reweighting.

    Examples
    --------
    >>> from skmxne import MixedNormCV
    >>> from skmxne.datasets import make_block_sparse_regression
    >>> X, y = make_block_sparse_regression(n_orient=3, noise=1.0, random_state=0)
    >>> model = MixedNormCV(n_orient=3, n_mxne_iter=5, eps=0.03).fit(X, y)
    >>> model.n_active_
    5
    >>> model.mse_path_.shape
    (20, 5)
    """

    # Groups go to the splitter: callers of `fit` need not request them.
    __metadata_request__fit = {"groups": UNUSED}  # noqa: RUF012

    def __init__(
        self,
        *,
        alphas: int | ArrayLike = 20,
        eps: float = 0.1,
        cv: Any = None,
        scoring: str | Callable[..., float] | None = None,
        one_standard_error: bool = False,
        n_jobs: int | None = None,
        n_orient: int = 1,
        n_mxne_iter: int = 1,
        reweighting_scale: float | None = None,
        weights: ArrayLike | None = None,
        weights_min: float = 0.0,
        solver: str | Solver = "auto",
        maxit: int = 3000,
        tol: float = 1e-4,
        active_set_size: int | None = 10,
        dgap_freq: float = 10,
        debias: bool = True,
        time_pca: bool | int = True,
        fit_intercept: bool = False,
        verbose: bool | str | int | None = None,
    ) -> None:
        super().__init__(
            n_orient=n_orient,
            n_mxne_iter=n_mxne_iter,
            reweighting_scale=reweighting_scale,
            weights=weights,
            weights_min=weights_min,
            solver=solver,
            maxit=maxit,
            tol=tol,
            active_set_size=active_set_size,
            dgap_freq=dgap_freq,
            debias=debias,
            time_pca=time_pca,
            fit_intercept=fit_intercept,
            verbose=verbose,
        )
        self.alphas = alphas
        self.eps = eps
        self.cv = cv
        self.scoring = scoring
        self.one_standard_error = one_standard_error
        self.n_jobs = n_jobs

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        groups: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        y_folds: ArrayLike | None = None,
        fold_weights: ArrayLike | None = None,
    ) -> Self:
        """Fit a path in every fold, choose alpha, and refit to all data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_blocks * n_orient)
            Samples, as for `MixedNormEstimator`.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets.
        groups : array-like of shape (n_samples,), default=None
            Groups for the splitter, for example `GroupKFold`.
        sample_weight : array-like of shape (n_samples,) or float, default=None
            Weights of the samples, in the data term and in the scores.
        y_folds : array-like of shape (n_folds,) + y.shape, default=None
            Measurements of `y` at the same `X`, whose mean is `y`: for example averages of
            different trials, as in an `InverseProblem`. Each fold is fitted to the mean of the
            others, and predicts its own measurement. Errors and scores are scaled to the noise of
            `y`. `cv` and `groups` must be None.
        fold_weights : array-like of shape (n_folds,), default=None
            Weights of `y_folds` in the mean: their shares of the trials. None: equal weights.

        Returns
        -------
        self : MixedNormCV
            The fitted model.

        Raises
        ------
        TypeError, ValueError
            If a hyperparameter or the data are not valid, or a score is not finite.

        Warns
        -----
        ConvergenceWarning
            If a duality gap does not reach ``tol``.
        UserWarning
            If the chosen alpha is at an edge of the grid; if no block is active; or if the model
            has no intercept, but a constant explains more than half of the power of `y` (with at
            least 10 samples).
        """
        X, y, options = self._check(X, y)
        check_bool("one_standard_error", self.one_standard_error)
        _check_n_jobs(self.n_jobs)
        if sample_weight is not None:
            sample_weight = check_sample_weight(sample_weight, len(X))
        alphas = check_alphas(self.alphas, self.eps)
        scorer = self._make_scorer()
        model = MixedNormEstimator(**{name: getattr(self, name) for name in SHARED_PARAMETERS})
        splits = self._make_splits(X, y, groups, sample_weight, y_folds, fold_weights)
        report = self._report(X, y, sample_weight, n_tasks=len(splits))
        with verbosity(self.verbose), single_threaded_blas(), report as follow:
            results = self._make_parallel()(
                delayed(fit_fold)(model, alphas, options, scorer, *split) for split in splits
            )
            paths = map(np.transpose, zip(*follow(results, "fold"), strict=True))
            errors, scores, statuses, n_active = paths
            alpha = float(alphas[self._choose(-errors if scorer is None else scores)])
            problem = MixedNormProblem(X, y, options, sample_weight)
            solution, _ = problem.solve(alpha)
            store_model(self, problem, alpha, solution, y.ndim)
        self.alphas_, self.alpha_ = alphas, alpha
        self.mse_path_, self.n_active_path_ = errors, n_active
        vars(self).pop("score_path_", None)
        if scorer is not None:
            self.score_path_ = scores
        warn_if_not_converged([*statuses.ravel(), solution.status], options, "fits")
        if self.n_active_:
            at_the_top = _AT_THE_TOP if self.n_mxne_iter == 1 else None
            warn_if_at_edge(self.alpha_, self.alphas_, at_the_top)
        warn_if_empty(
            self,
            "no alpha predicts left-out data better than the empty model. There may be no "
            "signal, or too few samples or trials.",
        )
        warn_if_constant(X, y, options, sample_weight)
        return self

    def get_metadata_routing(self) -> MetadataRouter:
        """Return how metadata is routed.

        Returns
        -------
        routing : MetadataRouter
            Groups go to the splitter, sample weights are used here.
        """
        mapping = MethodMapping().add(caller="fit", callee="split")
        router = MetadataRouter(owner=self).add_self_request(self)
        return router.add(splitter=self._make_splitter(), method_mapping=mapping)

    def _make_splitter(self):
        return KFold(5, shuffle=True, random_state=0) if self.cv is None else check_cv(self.cv)

    def _make_parallel(self):
        """Make a Parallel that yields results as they arrive, if joblib's backend supports this."""
        options = dict(n_jobs=self.n_jobs, prefer="threads")
        try:
            return Parallel(**options, return_as="generator")
        except ValueError:
            return Parallel(**options)

    def _make_splits(self, X, y, groups, sample_weight, y_folds, fold_weights):
        """Return a function and its arguments for each fold; calling it copies the samples."""
        if y_folds is None:
            if fold_weights is not None:
                raise ValueError("fold_weights are the weights of y_folds: pass both, or neither.")
            folds = self._split(X, y, groups)
            return [(split_samples, X, y, sample_weight, *fold) for fold in folds]
        if self.cv is not None or groups is not None:
            raise ValueError("cv and groups must be None with y_folds, which define the folds.")
        y_folds, shares = check_y_folds(y_folds, fold_weights, y)
        return [
            (split_measurements, X, y_folds, shares, sample_weight, k) for k in range(len(y_folds))
        ]

    def _split(self, X, y, groups):
        """Return the folds of a splitter."""
        metadata = {} if groups is None else {"groups": groups}
        if metadata:
            with prefix_errors("groups", groups):
                check_consistent_length(X, groups)
            if get_config()["enable_metadata_routing"]:
                metadata = process_routing(self, "fit", **metadata).splitter.split
        with prefix_errors("cv"):
            folds = [(train, test) for train, test in self._make_splitter().split(X, y, **metadata)]
        check_folds(folds, len(X))
        return folds

    def _make_scorer(self):
        if self.scoring is None:
            return None
        if not (isinstance(self.scoring, str) or callable(self.scoring)):
            raise TypeError(
                "scoring must be the name of a score, scorer(estimator, X, y), or None, got "
                f"{self.scoring!r}."
            )
        return check_scoring(self, self.scoring)

    def _choose(self, scores):
        """Return the index of the best alpha."""
        if not np.isfinite(scores).all():
            raise ValueError(
                f"scoring={self.scoring!r} is not finite in at least one fold: use another score, "
                "or set cv to leave out more samples at a time."
            )
        means = scores.mean(axis=1)
        best = np.argmax(means)
        if not self.one_standard_error:
            return best
        if scores.shape[1] == 1:
            raise ValueError("one_standard_error=True needs more than one fold: change cv.")
        error = scores[best].std(ddof=1) / np.sqrt(scores.shape[1])
        return np.argmax(means >= means[best] - error)


def _check_n_jobs(n_jobs):
    if n_jobs is None:
        return
    if not isinstance(n_jobs, Integral) or isinstance(n_jobs, bool | np.bool_):
        raise TypeError(f"n_jobs must be an integer or None, got {n_jobs!r}.")
    if n_jobs == 0:
        raise ValueError("n_jobs must not be 0: use 1 for one fold at a time, -1 for all CPUs.")
