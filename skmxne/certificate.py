"""Certificates: how far coefficients are from the minimum, whoever computed them."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import sparray
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from .optimality import Certificate, CertifiedProblem


def verify(
    estimator: BaseEstimator,
    X: ArrayLike,
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
) -> Certificate:
    """Verify a fitted model, with nothing that its solver has computed but the coefficients.

    ``alpha_max``, the penalty, weights, the limited rank of an int as `time_pca` and the residual
    are computed again from the data and the parameters of the estimator as they are now. `coef_`
    is divided by `debias_scale_`: what is certified is the minimum of the penalised problem, not
    the debiasing, nor how alpha was chosen.

    Parameters
    ----------
    estimator : MixedNormEstimator, MixedNormCV or MixedNormIC
        The fitted model, a search with it as `best_estimator_`, or a Pipeline that ends with it.
    X : array-like of shape (n_samples, n_features)
        The samples that it was fitted to.
    y : array-like of shape (n_samples,) or (n_samples, n_targets)
        Their targets.
    sample_weight : array-like of shape (n_samples,) or float, default=None
        The weights of the samples, if it was fitted with weights.

    Returns
    -------
    certificate : Certificate
        `dual_gap`, `kkt_residual`, `objective`, `penalty` and ``holds(tol=1e-4)``.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the model is not fitted.
    TypeError, ValueError
        If it is of another kind, or the data do not fit it.

    See Also
    --------
    compute_certificate : The same for coefficients of any origin, with the formulas.

    Notes
    -----
    For a reweighted model, which is a local minimum at best, see `compute_certificate`: the
    reweighting may have ended at ``n_mxne_iter``, before its fixed point. Then the gap tells how
    far the next convex problem would still lead. If ``X`` is in single precision, so are the
    coefficients, whose rounding a `tol` below about 1e-8 sees.

    Examples
    --------
    >>> from skmxne import MixedNormEstimator, verify
    >>> from skmxne.datasets import make_block_sparse_regression
    >>> X, y = make_block_sparse_regression(n_orient=3, random_state=0)
    >>> estimator = MixedNormEstimator(alpha=40, n_orient=3).fit(X, y)
    >>> verify(estimator, X, y).holds(tol=1e-4)
    True
    """
    if hasattr(estimator, "best_estimator_"):
        return verify(estimator.best_estimator_, X, y, sample_weight)
    if isinstance(estimator, Pipeline):
        check_is_fitted(estimator)
        for _, step in estimator.steps[:-1]:
            X = X if step in (None, "passthrough") else step.transform(X)
        return verify(estimator[-1], X, y, sample_weight)
    if not hasattr(estimator, "debias_scale_"):
        if hasattr(estimator, "fit") and not isinstance(estimator, type):
            check_is_fitted(estimator)
        raise TypeError(
            "estimator must be a fitted MixedNormEstimator, MixedNormCV or MixedNormIC, got "
            f"{type(estimator).__name__}. For other models pass coef_ to compute_certificate."
        )
    params = estimator.get_params(deep=False)
    problem = CertifiedProblem(X, y, params, sample_weight)
    coef, params = np.asarray(estimator.coef_, dtype=np.float64), problem.params
    scale = np.repeat(estimator.debias_scale_, params["n_orient"])
    if coef.shape[-1] != len(scale):
        raise ValueError(
            f"estimator has n_orient={params['n_orient']}, with which it was not fitted. Verify it "
            "with the parameters of the fit."
        )
    coef = problem.check_coef(coef / scale)
    if not isinstance(params["time_pca"], bool | np.bool_):
        problem.limit_rank(params["time_pca"])
    alpha = estimator.alpha_ if hasattr(estimator, "alpha_") else estimator.alpha
    alpha_max, amplitude = problem.find_alpha_max(), None
    if params["n_mxne_iter"] > 1 and alpha > 0 and alpha_max > 0:
        amplitude = params["reweighting_scale"] or problem.find_reweighting_scale()
    return problem.certify(coef, float(alpha) / 100.0 * alpha_max, amplitude)


def compute_certificate(
    X: ArrayLike,
    y: ArrayLike,
    coef: ArrayLike | sparray,
    penalty: float,
    *,
    n_orient: int = 1,
    weights: ArrayLike | None = None,
    weights_min: float = 0.0,
    sample_weight: ArrayLike | None = None,
    reweighting_scale: float | None = None,
) -> Certificate:
    """Compute how far coefficients of any origin are from the minimum of the mixed norm.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_positions * n_orient)
        Samples.
    y : array-like of shape (n_samples,) or (n_samples, n_targets)
        Targets.
    coef : array-like or sparse array of shape (n_targets, n_features) or (n_features,)
        Coefficients of the penalised problem, before debiasing.
    penalty : float
        The factor of the norms, as `penalty_` of an estimator: ``alpha * n_samples`` for
        `MultiTaskLasso` of scikit-learn, whose intercept must not be fitted.
    n_orient : int, default=1
        Features per position.
    weights, weights_min, sample_weight : object
        As for `MixedNormEstimator`, if the problem has weights.
    reweighting_scale : float, default=None
        The amplitude ``u`` of the reweighted penalty. None: the penalty is convex.

    Returns
    -------
    certificate : Certificate
        `dual_gap`, `kkt_residual`, `objective`, `penalty` and ``holds(tol=1e-4)``.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, or does not fit the others.

    See Also
    --------
    verify : The same for a fitted estimator.

    Notes
    -----
    With ``R = y - X W`` any ``theta`` with ``max_g ||X_g^T theta||_F <= penalty`` bounds the
    minimum from below [1]_, [2]_. Its distance to the objective is a sum of terms that are not
    negative, so that rounding does not hide a gap::

        gap = 1/2 ||R - theta||_F^2 + sum_g (penalty ||W_g||_F - <X_g^T theta, W_g>)

    The best multiples of ``R``, and of the point next to it that satisfies the optimality
    conditions of the active positions, are tried. The fits of this package converge by the first,
    so that their certificate holds. The optimality conditions, whose violation is `kkt_residual`,
    are ``X_g^T R = penalty W_g / ||W_g||_F`` where ``W_g`` is not zero, else ``||X_g^T R||_F <=
    penalty``. Without penalty the gap is half the power of what of ``R`` the columns explain; that
    the fit has the least norm is not looked at.

    The reweighted objective has ``sqrt(u ||W_g||_F)`` for the norms [3]_. It is not convex, and has
    a local minimum wherever the convex problem with the columns of each position multiplied by ``2
    sqrt(||W_g||_F / u)`` is solved by the same coefficients. The gap and the residual are those of
    this problem. They say nothing of positions that are zero, which stay zero in it, and so of
    other, perhaps lower, minima.

    References
    ----------
    .. [1] Gramfort, Kowalski & Hämäläinen (2012). Mixed-norm estimates for the M/EEG inverse
       problem using accelerated gradient methods. Physics in Medicine and Biology 57(7),
       1937-1961. https://doi.org/10.1088/0031-9155/57/7/1937
    .. [2] Ndiaye, Fercoq, Gramfort & Salmon (2015). Gap Safe screening rules for sparse multi-task
       and multi-class models. Advances in Neural Information Processing Systems 28.
    .. [3] Strohmeier, Bekhti, Haueisen & Gramfort (2016). The iterative reweighted mixed-norm
       estimate for spatio-temporal MEG/EEG source reconstruction. IEEE Transactions on Medical
       Imaging 35(10), 2218-2228. https://doi.org/10.1109/TMI.2016.2553445

    Examples
    --------
    >>> from sklearn.linear_model import MultiTaskLasso
    >>> from skmxne import compute_certificate
    >>> from skmxne.datasets import make_block_sparse_regression
    >>> X, y = make_block_sparse_regression(random_state=0)
    >>> lasso = MultiTaskLasso(alpha=0.1, fit_intercept=False).fit(X, y)
    >>> compute_certificate(X, y, lasso.coef_, penalty=0.1 * len(X)).holds(tol=1e-4)
    True
    """
    params = dict(n_orient=n_orient, weights_min=weights_min, reweighting_scale=reweighting_scale)
    problem = CertifiedProblem(
        X, y, params | {"penalty": penalty, "weights": weights}, sample_weight
    )
    coef, params = problem.check_coef(coef), problem.params
    return problem.certify(coef, params["penalty"], params["reweighting_scale"])
