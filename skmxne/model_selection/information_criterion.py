"""Alpha by an information criterion."""

import numpy as np

from ..base import BaseMixedNorm, store_model, warn_if_empty
from ..degrees_of_freedom import compute_criterion
from ..grid import check_alphas, warn_if_smallest
from ..parameters import check_target_covariance, verbosity
from ..path import (
    compute_factors,
    make_problem,
    pick_options,
    warn_if_missed,
)
from ..threads import single_threaded_blas


class MixedNormIC(BaseMixedNorm):
    """Mixed-norm estimate with alpha chosen by an information criterion.

    One path on all the data, whose solutions are judged by their residual sum of squares (RSS) and
    their exact degrees of freedom (dof), both before debiasing. Nothing is fitted twice. With
    ``s2`` the variance of the noise and ``n = n_samples * n_targets``, the criterion is

    - ``RSS + 2 s2 dof - n s2`` for "sure", an unbiased estimate of the risk
      ``||X W - E[y]||_F^2`` [1]_,
    - ``RSS + log(n) s2 dof`` for "bic", which asks more of each position [2]_,
    - ``n RSS / (n - dof)^2`` for "gcv", which needs no ``s2`` [3]_,
    - for "discrepancy", the largest alpha with ``RSS <= (n - dof) s2``.

    Parameters
    ----------
    criterion : {"sure", "bic", "gcv", "discrepancy"}, default="bic"
        What chooses alpha. All but "gcv" take `noise_variance` at its word.
    noise_variance : float or None, default=1.0
        Variance of the noise of ``y``: 1 for the whitened data of an `InverseProblem`. None
        estimates it as ``RSS / (n - dof)`` at the smallest alpha: too small where the model there
        takes noise for signal, so give it if you can.
    target_covariance : array-like of shape (n_targets, n_targets), default=None
        Covariance of the noise across targets, in units of `noise_variance`: of the times of a
        low-passed recording for example, see below. None: independent noise of one variance.
    alphas : int or array-like of shape (n_alphas,), default=20
        Percentages to choose from; an int for so many in a geometric grid from 99 down to
        ``100 * eps``.
    eps : float, default=0.05
        Ratio of the smallest alpha of the grid to 100 percent.
    n_orient : int, default=1
        As for `MixedNormEstimator`.
    n_mxne_iter : int, default=10
        Number of MxNE iterations. Above 1, iterative reweighting is applied.
    reweighting_scale, weights, weights_min, solver, maxit, tol : object
        As for `MixedNormEstimator`.
    active_set_size, dgap_freq, debias, time_pca, verbose : object
        As for `MixedNormEstimator`.

    Attributes
    ----------
    alpha_ : float
        The alpha chosen, in percent.
    alphas_ : ndarray of shape (n_alphas,)
        The alphas to choose from, in percent, in descending order.
    criterion_ : ndarray of shape (n_alphas,)
        The criterion. For "discrepancy", ``RSS - (n - dof) s2``.
    degrees_of_freedom_ : ndarray of shape (n_alphas,)
        Degrees of freedom of the solutions before debiasing.
    residual_sum_of_squares_ : ndarray of shape (n_alphas,)
        Residual sums of squares of the solutions before debiasing.
    n_active_path_ : ndarray of int, shape (n_alphas,)
        Number of active positions of the solutions.
    noise_variance_ : float
        The variance of the noise, as given or estimated.
    coef_, debias_scale_, intercept_, penalty_, alpha_max_, active_set_, n_active_ : object
        The model at `alpha_`, as that of `MixedNormEstimator`.
    dual_gap_, objective_, n_iter_, converged_, n_features_in_, feature_names_in_ : object
        As for `MixedNormEstimator`.

    See Also
    --------
    MixedNormEstimator : The model for one alpha.
    sklearn.linear_model.LassoLarsIC : The same for the Lasso.

    Notes
    -----
    Degrees of freedom are the divergence of the fit after the reweightings that were made, exactly,
    whether or not these have reached a fixed point; `penalty_`, the scale of the reweighting and
    the basis of a limited `time_pca` count as given. In the mean over the noise "sure" is the
    risk. The closer to a fixed point, the steeper the fit rises where a position enters, up to a
    jump: at most data the divergence is then smaller than its mean, which few data make up
    for [4]_, and close to a jump it stands out from its neighbours in `degrees_of_freedom_`, up or
    down. BIC asks for more anyway.

    Noise of low-passed recordings is correlated in time, and stronger the farther from the baseline
    that was subtracted: taken for white noise of variance 1, it makes all criteria keep too many
    positions. With `target_covariance` ``C``, dof is the covariance of fit and noise in units of
    ``s2``, ``n`` becomes ``n_samples * tr(C)``, and BIC takes the logarithm of
    ``n_samples * tr(C)^2 / tr(C^2)``. The trials of an average have ``C``, with epochs of
    the channels and the times of the `InverseProblem`::

        noise = epochs.get_data()
        noise = problem.whitener @ (noise - noise.mean(axis=0))
        C = np.einsum("eit,eis->ts", noise, noise) / (len(noise) - 1) / len(problem.X)

    References
    ----------
    .. [1] Stein (1981). Estimation of the mean of a multivariate normal distribution. The Annals
       of Statistics 9(6), 1135-1151.
    .. [2] Zou, Hastie & Tibshirani (2007). On the "degrees of freedom" of the lasso. The Annals of
       Statistics 35(5), 2173-2192.
    .. [3] Golub, Heath & Wahba (1979). Generalized cross-validation as a method for choosing a good
       ridge parameter. Technometrics 21(2), 215-223.
    .. [4] Tibshirani (2015). Degrees of freedom and model search. Statistica Sinica 25(3),
       1265-1296.

    Examples
    --------
    >>> from skmxne import MixedNormIC
    >>> from skmxne.datasets import make_block_sparse_regression
    >>> X, y = make_block_sparse_regression(n_orient=3, noise=1.0, random_state=0)
    >>> model = MixedNormIC(n_orient=3).fit(X, y)
    >>> model.n_active_
    5
    >>> bool(model.degrees_of_freedom_[model.alphas_ == model.alpha_][0] > 100)
    True
    """

    def __init__(
        self,
        *,
        criterion="bic",
        noise_variance=1.0,
        target_covariance=None,
        alphas=20,
        eps=0.05,
        n_orient=1,
        n_mxne_iter=10,
        reweighting_scale=None,
        weights=None,
        weights_min=0.0,
        solver="auto",
        maxit=3000,
        tol=1e-4,
        active_set_size=10,
        dgap_freq=10,
        debias=True,
        time_pca=True,
        verbose=None,
    ):
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
            verbose=verbose,
        )
        self.criterion = criterion
        self.noise_variance = noise_variance
        self.target_covariance = target_covariance
        self.alphas = alphas
        self.eps = eps

    def fit(self, X, y):
        """Fit the path, choose alpha, and keep its model.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_positions * n_orient)
            Samples, as for `MixedNormEstimator`.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets.

        Returns
        -------
        self : MixedNormIC
            The fitted model.

        Raises
        ------
        TypeError, ValueError
            If a hyperparameter or the data are not valid, or leave no noise to estimate.

        Warns
        -----
        ConvergenceWarning
            If a duality gap does not reach ``tol``.
        UserWarning
            If the alpha chosen is the smallest, or if no position is active.
        """
        X, y, params = self._check(X, y)
        self.alphas_ = check_alphas(self.alphas, self.eps)
        covariance = check_target_covariance(self.target_covariance, y.size // len(y))
        with verbosity(self.verbose), single_threaded_blas():
            problem = make_problem(X, y, params)
            solutions, judged = self._solve(problem, covariance, pick_options(params))
            self.residual_sum_of_squares_, self.degrees_of_freedom_ = np.transpose(judged)
            self.n_active_path_ = np.array([len(solution.positions) for solution in solutions])
            best = self._choose(y.size, len(y), covariance)
            self.alpha_ = float(self.alphas_[best])
            factors = compute_factors(problem, self.alpha_, solutions[best], params)
        store_model(self, problem, self.alpha_, solutions[best], factors, y.ndim)
        n_missed = sum(not solution.converged for solution in solutions)
        warn_if_missed(n_missed, f"{len(solutions)} alphas", params)
        warn_if_smallest(self.alpha_, self.alphas_, self.alphas, self.eps)
        warn_if_empty(self, "the criterion finds no more than noise. Check noise_variance.")
        return self

    def _solve(self, problem, covariance, options):
        """Return the solutions of the path, and the RSS and dof of each."""
        solutions, judged, first = [], [], None
        for alpha in self.alphas_:
            solution, first = problem.solve(alpha, first, **options)
            solutions.append(solution)
            judged.append(
                problem.compute_rss_and_dof(alpha, solution, target_covariance=covariance)
            )
        return solutions, judged

    def _choose(self, n, n_samples, covariance):
        """Compute the criterion, and return the index of the best alpha."""
        n_independent = n
        if covariance is not None:
            n = n_samples * np.trace(covariance)
            n_independent = n**2 / (n_samples * np.sum(covariance**2))
        rss, dof = self.residual_sum_of_squares_, self.degrees_of_freedom_
        self.noise_variance_ = self.noise_variance
        if self.noise_variance is None:
            if dof[-1] >= n:
                raise ValueError(
                    f"noise_variance=None has nothing to estimate the noise from: at alpha="
                    f"{self.alphas_[-1]:g} the model has {dof[-1]:.0f} degrees of freedom for "
                    f"{n:g} data (n_samples={n_samples}). Give the variance, or raise the smallest "
                    "alpha (eps)."
                )
            self.noise_variance_ = rss[-1] / (n - dof[-1])
        self.noise_variance_ = float(self.noise_variance_)
        self.criterion_ = compute_criterion(
            *(self.criterion, rss, dof, self.noise_variance_), n, n_independent
        )
        if self.criterion != "discrepancy":
            if not np.isfinite(self.criterion_).any():
                raise ValueError(
                    f"criterion={self.criterion!r} has nothing to judge by: all models of the grid "
                    "have as many degrees of freedom as there are data. Raise the smallest alpha."
                )
            return np.argmin(self.criterion_)
        reached = self.criterion_ <= 0.0
        return np.argmax(reached) if reached.any() else len(rss) - 1
