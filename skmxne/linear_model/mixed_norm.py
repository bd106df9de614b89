"""The mixed-norm estimate as a scikit-learn estimator."""

from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from .._logging import verbosity
from ..solvers.dispatch import Solver
from ..solvers.threads import single_threaded_blas
from .base import BaseMixedNorm, store_model, warn_if_empty, warn_if_not_converged
from .fit_problem import MixedNormProblem
from .intercept import warn_if_constant
from .validation import check_bool, check_real, check_sample_weight


class MixedNormEstimator(BaseMixedNorm):
    r"""Sparse multi-output regression with a mixed norm over blocks of features.

    The coefficients ``W`` minimise

    .. math::

        \frac{1}{2} \lVert y - X W \rVert_F^2 + \lambda \sum_g \lVert W_g \rVert_F,
        \qquad \lambda = \frac{\alpha}{100} \max_g \lVert X_g^T y \rVert_F

    where ``W_g`` are the ``n_orient`` consecutive rows of block ``g``, for all targets, and
    :math:`\lambda` is ``penalty_``. With ``X`` the whitened gain and ``y`` the whitened data, this
    is the mixed-norm estimate (MxNE) of M/EEG source imaging [1]_. A block is either zero as a
    whole or active; at ``alpha=100`` no block is active. With ``n_mxne_iter > 1``, iterative
    reweighting (irMxNE) replaces the norms by :math:`\sqrt{u \lVert W_g \rVert_F}` [2]_: the
    solution is sparser and less shrunk. There is no intercept unless ``fit_intercept=True``.

    Parameters
    ----------
    alpha : float, default=20.0
        Regularization in percent of `alpha_max_`, in [0, 100). 0 means no regularization (the
        minimum-norm least-squares fit); at 100 no block would be active. The absolute penalty
        is ``penalty_ = alpha / 100 * alpha_max_``. To set a penalty, pass ``100 * penalty /
        alpha_max_``.
    n_orient : int, default=1
        Number of consecutive features per block: 1 for fixed, 3 for loose or free orientation.
        It must divide the number of features.
    n_mxne_iter : int, default=1
        Number of MxNE iterations. Above 1, iterative reweighting is applied.
    reweighting_scale : float, default=None
        The amplitude ``u`` of the reweighted penalty. None uses ``alpha_max_ / max_g
        ||X_g||_2^2``: scaling ``X`` or ``y`` then only scales the solution. MNE's value is
        ``100 * nave / alpha_max_`` for an `InverseProblem`, whose ``y`` is the average times
        the square root of its number of trials ``nave``.
    weights : array-like of shape (n_blocks,), default=None
        Non-negative weights of the blocks: a larger weight makes a block more likely to be
        active. The columns of ``X`` are multiplied by ``weights / max(weights)``.
    weights_min : float, default=0.0
        Blocks with a weight of at most `weights_min` are left out; same unit as ``weights``.
    solver : {"auto", "newton", "bcd", "cd", "prox"} or callable, default="auto"
        The algorithm: Newton's method on source variances ("newton", the choice of "auto"), block
        coordinate descent ("bcd"), coordinate descent ("cd", for ``n_orient=1``), or accelerated
        proximal gradient ("prox"). All solve the same problem to the same certificate. A function
        ``solver(problem, coef, *, tol, maxit, dgap_freq)`` gets a
        :class:`~skmxne.solvers.BlockProblem` and the initial coefficients. It returns coefficients
        with ``problem.dual_gap(coef) <= tol``, and its number of iterations.
    maxit : int, default=3000
        Maximum number of iterations of the solver in each convex problem.
    tol : float, default=1e-4
        The fit stops when the duality gap, relative to ``||y||_F^2``, is at most `tol`.
    active_set_size : int, default=10
        Maximum number of blocks that join the active set in the first step; later steps may add
        more. With ``solver="auto"``, at least ``32768 / (n_samples * n_orient)``. None: no active
        set.
    dgap_freq : int or inf, default=10
        Number of iterations between two evaluations of the duality gap. Ignored by "newton"
        and "cd".
    debias : bool, default=True
        Rescale the active blocks to remove the shrinkage of the penalty: each by a factor of at
        least 1, such that the residual is smallest.
    time_pca : bool or int, default=True
        True reduces ``y`` to its rank first, which only saves time. An int limits the rank of
        ``y``. False does not reduce ``y``.
    fit_intercept : bool, default=False
        Fit an intercept, which is not penalised. All other attributes then refer to the centred
        data. Whitened M/EEG data have no intercept.
    warm_start : bool, default=False
        Start from the solution of the last fit.
    verbose : bool, str or int, default=None
        Level of the messages logged by the logger "skmxne": True for "INFO", False for "WARNING",
        None to keep the level. Nothing is printed: call `logging.basicConfig` to see the messages.
        At "INFO" or below, choosing alpha shows a progress bar in a terminal or a notebook. With
        scikit-learn 1.9 or later, `set_callbacks` can add other bars.

    Attributes
    ----------
    coef_ : ndarray of shape (n_targets, n_features) or (n_features,)
        Coefficients, debiased if ``debias=True``.
    debias_scale_ : ndarray of shape (n_blocks,)
        Debiasing factor of each block: ``coef_`` divided by it is the penalised solution.
    intercept_ : float or ndarray of shape (n_targets,)
        The intercept, 0.0 if ``fit_intercept=False``.
    penalty_ : float
        ``alpha / 100 * alpha_max_``.
    alpha_max_ : float
        Smallest penalty at which no block is active: ``max_g ||X_g^T y||_F``, after applying
        weights, sample weights and the rank limit.
    active_set_ : ndarray of bool, shape (n_features,)
        Features of the active blocks.
    n_active_ : int
        Number of active blocks.
    explained_variance_ : float
        Percentage of ``||y||_F^2`` that the model explains in the data passed to `fit`.
    dual_gap_ : float
        Duality gap of the last convex problem solved, relative to ``||y||_F^2``: an upper bound
        on the distance of its objective from the minimum.
    objective_ : list of float
        The objective after each outer iteration. With reweighting, the non-convex objective after
        each convex problem.
    n_iter_ : int
        Total number of iterations of the solver.
    converged_ : bool
        Whether the duality gaps of all convex problems have reached ``tol``. If True, reweighting
        may still have stopped at ``n_mxne_iter`` while ``objective_`` was decreasing.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features seen in `fit`, if they are all strings.

    See Also
    --------
    skmxne.InverseProblem : Turn M/EEG data into ``X`` and ``y``, and coefficients into sources.
    sklearn.linear_model.MultiTaskLasso : The same model for ``n_orient=1``, with ``alpha`` equal
        to ``penalty_ / n_samples``.

    References
    ----------
    .. [1] Gramfort, Kowalski & Hämäläinen (2012). Mixed-norm estimates for the M/EEG inverse
       problem using accelerated gradient methods. Physics in Medicine and Biology 57(7),
       1937-1961. https://doi.org/10.1088/0031-9155/57/7/1937
    .. [2] Strohmeier, Bekhti, Haueisen & Gramfort (2016). The iterative reweighted mixed-norm
       estimate for spatio-temporal MEG/EEG source reconstruction. IEEE Transactions on Medical
       Imaging 35(10), 2218-2228. https://doi.org/10.1109/TMI.2016.2553445

    Examples
    --------
    >>> from skmxne import MixedNormEstimator
    >>> from skmxne.datasets import make_block_sparse_regression
    >>> X, y = make_block_sparse_regression(n_orient=3, n_active=2, random_state=0)
    >>> estimator = MixedNormEstimator(alpha=40, n_orient=3).fit(X, y)
    >>> estimator.n_active_
    2
    >>> estimator.score(X, y) > 0.95
    True
    """

    def __init__(
        self,
        alpha: float = 20.0,
        *,
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
        warm_start: bool = False,
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
        self.alpha = alpha
        self.warm_start = warm_start

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_blocks * n_orient)
            Samples. The features of a block are adjacent columns. Single precision is kept.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets.
        sample_weight : array-like of shape (n_samples,) or float, default=None
            Weights of the samples in the data term.

        Returns
        -------
        self : MixedNormEstimator
            The fitted estimator.

        Raises
        ------
        TypeError, ValueError
            If a hyperparameter or the data are not valid.

        Warns
        -----
        ConvergenceWarning
            If the duality gap does not reach ``tol``.
        UserWarning
            If no block is active; or if the model has no intercept, but a constant explains more
            than half of the power of `y` (with at least 10 samples).
        """
        X, y, options = self._check(X, y)
        alpha = check_real("alpha", self.alpha, 0, 100)
        check_bool("warm_start", self.warm_start)
        if sample_weight is not None:
            sample_weight = check_sample_weight(sample_weight, len(X))
        report = self._report(X, y, sample_weight)
        with verbosity(self.verbose), single_threaded_blas(), report:
            problem = MixedNormProblem(X, y, options, sample_weight)
            solution, _ = problem.solve(alpha, self._get_start(problem))
            store_model(self, problem, alpha, solution, y.ndim)
        warn_if_not_converged([solution.status], options, "fits", self.dual_gap_)
        warn_if_empty(self, "lower alpha.")
        warn_if_constant(X, y, options, sample_weight)
        return self

    def _get_start(self, problem):
        """Return the last solution if ``warm_start=True`` and its shape matches, else None."""
        if not self.warm_start or not hasattr(self, "coef_"):
            return None
        coef = self.coef_.reshape(-1, self.coef_.shape[-1])
        shape = problem.n_targets, problem.design.X.shape[1]
        if coef.shape != shape or len(self.debias_scale_) * self.n_orient != shape[1]:
            return None
        return problem.from_coef(coef / np.repeat(self.debias_scale_, self.n_orient))
