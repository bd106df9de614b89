"""Certificates: how far coefficients of any origin are from the minimum.

This module shares no code with the solvers: it computes the optimality conditions and the duality
gap again, in double precision, from the data, the coefficients and the hyperparameters.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from scipy.sparse import sparray
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import check_is_fitted

from ..linear_model.options import FitOptions
from ..linear_model.validation import (
    check_data,
    check_magnitude,
    check_real,
    check_sample_weight,
    prefix_errors,
)


class Certificate(NamedTuple):
    """The result of `verify` and `compute_certificate`.

    Attributes
    ----------
    dual_gap : float
        Duality gap relative to ``||y||_F^2``: an upper bound on how far the objective is above the
        minimum.
    kkt_residual : float
        Largest violation of the optimality conditions, relative to the penalty; without penalty,
        relative to ``max_g ||X_g^T y||_F``. It need not be as small as the gap: near the minimum
        it is of the order of the square root of the gap.
    objective : float
        Value of the objective; for a reweighted model, of that with the square root.
    penalty : float
        The penalty.
    """

    dual_gap: float
    kkt_residual: float
    objective: float
    penalty: float

    def holds(self, tol: float = 1e-4) -> bool:
        """Return whether the duality gap is at most `tol`, as estimators promise."""
        return bool(self.dual_gap <= tol)


def _center(values, weight):
    """Subtract a sample, then the mean: a constant then becomes exactly zero."""
    values = values - values[0 if weight is None else np.argmax(weight > 0)]
    return values - np.average(values, axis=0, weights=weight)


class CertifiedProblem:
    """Checked and weighted data, for which coefficients are certified.

    Attributes
    ----------
    options : FitOptions
        The parameters, checked.
    """

    def __init__(self, X, y, sample_weight, **params):
        X, y = check_data(X, y)
        assert_all_finite(X, input_name="X")
        self.options = FitOptions.check(X.shape[1], **params)
        self.eps = np.finfo(X.dtype).eps
        self.X, self.y = X.astype(np.float64), y.reshape(len(y), -1).astype(np.float64)
        if sample_weight is not None:
            sample_weight = check_sample_weight(sample_weight, len(y))
        if self.options.fit_intercept:
            self.X, self.y = _center(self.X, sample_weight), _center(self.y, sample_weight)
        if sample_weight is not None:
            roots = np.sqrt(sample_weight)[:, np.newaxis]
            self.X, self.y = self.X * roots, self.y * roots
        check_magnitude("y", self.y, np.vdot(self.y, self.y))
        check_magnitude("X", self.X, np.vdot(self.X, self.X))
        self.n_orient, self.scale = self.options.n_orient, self.options.scale
        if self.scale is None:
            self.scale = np.ones(X.shape[1] // self.n_orient)

    def check_coef(self, coef):
        """Return coefficients as blocks of shape (n_blocks, n_orient, n_targets)."""
        with prefix_errors("coef", coef):
            coef = coef.toarray() if sparse.issparse(coef) else np.asarray(coef)
        if coef.dtype.kind not in "fiub":
            raise TypeError(f"coef must be real numbers, got dtype {coef.dtype}.")
        expected = self.y.shape[1], self.X.shape[1]
        if coef.shape != expected and (expected[0] > 1 or coef.shape != expected[1:]):
            raise ValueError(
                f"coef has shape {coef.shape}, but X and y have (n_targets, n_features) = "
                f"{expected}: pass the data of the fit, or transpose coef."
            )
        if not np.isfinite(coef).all():
            raise ValueError("coef is infinite or NaN.")
        coef = coef.reshape(expected).T.astype(np.float64)
        return coef.reshape(len(self.scale), self.n_orient, -1)

    def limit_rank(self, rank):
        """Limit the rank of the targets."""
        basis = np.linalg.svd(self.y, full_matrices=False)[2][:rank]
        self.y = self.y @ basis.T @ basis

    def find_alpha_max(self):
        """Compute the smallest penalty that makes all coefficients zero; 0 if only rounding."""
        norms = self.scale * _compute_norms(self.correlate(self.y))
        sizes = self.scale * _compute_norms(self.X.T.reshape(len(norms), self.n_orient, -1))
        rounding = len(self.y) * np.finfo(float).eps * np.linalg.norm(self.y) * sizes
        return float(norms[norms > rounding].max(initial=0.0))

    def find_reweighting_scale(self):
        """Compute the default amplitude of the reweighted penalty."""
        blocks = self.X.T.reshape(len(self.scale), self.n_orient, -1)
        largest = np.linalg.eigvalsh(blocks @ blocks.swapaxes(1, 2))[:, -1]
        return self.find_alpha_max() / (self.scale**2 * largest).max()

    def correlate(self, residual):
        """Compute ``X_g^T residual``, shape (n_blocks, n_orient, n_targets)."""
        return (self.X.T @ residual).reshape(len(self.scale), self.n_orient, -1)

    def certify(self, coef, penalty, amplitude=None):
        """Compute the certificate of blocks of coefficients for the columns without weights."""
        residual = self.y - self.X @ coef.reshape(self.X.shape[1], -1)
        active, scale = coef.any(axis=(1, 2)), self.scale
        if not scale[active].all():
            return Certificate(np.inf, np.inf, np.inf, penalty)
        sizes = np.zeros(len(scale))
        sizes[active] = _compute_norms(coef[active]) / scale[active]
        objective = 0.5 * np.vdot(residual, residual)
        if amplitude is None:
            objective += penalty * sizes.sum()
        else:
            objective += penalty * np.sqrt(amplitude * sizes).sum()
            scale, sizes = scale * 2.0 * np.sqrt(sizes / amplitude), np.sqrt(sizes * amplitude) / 2
        correlation = self.correlate(residual)
        if penalty == 0.0:
            gap = self._compute_explained(residual, scale)
        else:
            points = residual, self._improve_dual(residual, correlation, coef, penalty, scale)
            gaps = [self._compute_gap(residual, t, coef, penalty, scale, sizes) for t in points]
            gap = max(min(gaps), 0.0)
        gap = _divide(gap, np.vdot(self.y, self.y))
        violation = self._compute_violation(correlation, coef, penalty, scale)
        return Certificate(gap, violation, float(objective), penalty)

    def _compute_explained(self, residual, scale):
        """Compute half the power of the residual that the columns still explain."""
        X = self.X * np.repeat(scale, self.n_orient)
        left, singular_values, _ = np.linalg.svd(X, full_matrices=False)
        rounding = max(X.shape) * self.eps * singular_values[0]
        missed = left[:, singular_values > rounding].T @ residual
        return 0.5 * np.vdot(missed, missed)

    def _improve_dual(self, residual, correlation, coef, penalty, scale):
        """Find the point nearest to the residual that is optimal for the active blocks.

        With a small penalty, a small error of the coefficients is a large error of the residual.
        """
        active = coef.any(axis=(1, 2))
        if not active.any():
            return residual
        columns = self.X[:, np.repeat(active, self.n_orient)]
        units = _normalize(coef[active]) * (penalty / scale[active])[:, np.newaxis, np.newaxis]
        missed = (units - correlation[active]).reshape(-1, self.y.shape[1])
        return residual + np.linalg.lstsq(columns.T, missed, rcond=None)[0]

    def _compute_gap(self, residual, point, coef, penalty, scale, sizes):
        """Compute the gap of the best feasible multiple of a point of the dual problem."""
        power, correlation = np.vdot(point, point), self.correlate(point)
        step = np.vdot(point, self.y) / power if power else 0.0
        dual_norm = (scale * _compute_norms(correlation)).max()
        if abs(step) * dual_norm > penalty:
            step = np.sign(step) * penalty / dual_norm
        distance = residual - step * point
        gap = 0.5 * np.vdot(distance, distance) + penalty * sizes.sum()
        return gap - step * np.vdot(correlation, coef)

    def _compute_violation(self, correlation, coef, penalty, scale):
        """Compute the largest violation of the optimality conditions, relative to the penalty."""
        active = coef.any(axis=(1, 2))
        correlation = correlation * scale[:, np.newaxis, np.newaxis]
        violations = np.maximum(_compute_norms(correlation) - penalty, 0.0)
        missed = correlation[active] - penalty * _normalize(coef[active])
        violations[active] = _compute_norms(missed)
        return _divide(violations.max(), penalty or self.find_alpha_max())


def _compute_norms(blocks):
    """Compute the norm of every block along the first axis."""
    return np.linalg.norm(blocks, axis=(1, 2))


def _normalize(blocks):
    """Divide blocks that are not zero by their norms."""
    # Scaled first, since squares of very small numbers are zero.
    blocks = blocks / np.abs(blocks).max(axis=(1, 2), keepdims=True)
    return blocks / _compute_norms(blocks)[:, np.newaxis, np.newaxis]


def _divide(value, unit):
    """Divide by a unit that may be zero."""
    return float(value / unit) if unit else (np.inf if value else 0.0)


def verify(
    estimator: BaseEstimator,
    X: ArrayLike,
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
) -> Certificate:
    """Verify a fitted model from data and coefficients, without trusting the solver.

    ``alpha_max``, the penalty, the weights, the rank limit (an int as `time_pca`) and the residual
    are computed again from the data and the current parameters of the estimator. `coef_` is divided
    by `debias_scale_`: the certificate is for the solution of the penalised problem. It does not
    cover the debiasing, the intercept or the choice of alpha.

    Parameters
    ----------
    estimator : MixedNormEstimator, MixedNormCV or MixedNormIC
        The fitted model, a search with it as `best_estimator_`, or a Pipeline that ends with it.
    X : array-like of shape (n_samples, n_features)
        The samples used in the fit.
    y : array-like of shape (n_samples,) or (n_samples, n_targets)
        Their targets.
    sample_weight : array-like of shape (n_samples,) or float, default=None
        The weights of the samples used in the fit, if any.

    Returns
    -------
    certificate : Certificate
        `dual_gap`, `kkt_residual`, `objective`, `penalty` and ``holds(tol=1e-4)``.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the model is not fitted.
    TypeError, ValueError
        If the estimator is of another kind, or the data do not match it.

    See Also
    --------
    compute_certificate : The same for coefficients of any origin, with the formulas.

    Notes
    -----
    A reweighted model is at best a local minimum, see `compute_certificate`. If reweighting stopped
    at ``n_mxne_iter``, before its fixed point, the gap bounds how much the next convex problem
    would still improve its objective. If ``X`` is in single precision, so are the coefficients;
    their rounding matters for a `tol` below about 1e-8.

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
    names = ["n_orient", "weights", "weights_min", "n_mxne_iter", "reweighting_scale"]
    names += ["time_pca", "fit_intercept"]
    problem = CertifiedProblem(X, y, sample_weight, **{name: params[name] for name in names})
    coef, options = np.asarray(estimator.coef_, dtype=np.float64), problem.options
    scale = np.repeat(estimator.debias_scale_, options.n_orient)
    if coef.shape[-1] != len(scale):
        raise ValueError(
            f"estimator has n_orient={options.n_orient}, but was fitted with another value. Verify "
            "it with the parameters of the fit."
        )
    coef = problem.check_coef(coef / scale)
    if not isinstance(options.time_pca, bool):
        problem.limit_rank(options.time_pca)
    alpha = estimator.alpha_ if hasattr(estimator, "alpha_") else estimator.alpha
    alpha = check_real("alpha", alpha, 0, 100)
    alpha_max, amplitude = problem.find_alpha_max(), None
    if options.n_mxne_iter > 1 and alpha > 0 and alpha_max > 0:
        amplitude = options.reweighting_scale or problem.find_reweighting_scale()
    return problem.certify(coef, alpha / 100.0 * alpha_max, amplitude)


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
    fit_intercept: bool = False,
) -> Certificate:
    """Compute how far coefficients of any origin are from the minimum of the mixed norm.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_blocks * n_orient)
        Samples.
    y : array-like of shape (n_samples,) or (n_samples, n_targets)
        Targets.
    coef : array-like or sparse array of shape (n_targets, n_features) or (n_features,)
        Coefficients of the penalised problem, before debiasing.
    penalty : float
        The factor of the norms, such as `penalty_` of an estimator, or ``alpha * n_samples`` for
        `MultiTaskLasso` of scikit-learn.
    n_orient : int, default=1
        Features per block.
    weights, weights_min : object
        As for `MixedNormEstimator`.
    sample_weight : array-like of shape (n_samples,) or float, default=None
        Weights of the samples in the data term.
    reweighting_scale : float, default=None
        The amplitude ``u`` of the reweighted penalty. None: the penalty is convex.
    fit_intercept : bool, default=False
        Whether the model has an intercept.

    Returns
    -------
    certificate : Certificate
        `dual_gap`, `kkt_residual`, `objective`, `penalty` and ``holds(tol=1e-4)``.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, or does not match the others.

    See Also
    --------
    verify : The same for a fitted estimator.

    Notes
    -----
    With ``R = y - X W``, any ``theta`` with ``max_g ||X_g^T theta||_F <= penalty`` gives a lower
    bound of the minimum [1]_, [2]_. The distance of the objective to this bound is a sum of
    non-negative terms, so rounding does not hide a gap::

        gap = 1/2 ||R - theta||_F^2 + sum_g (penalty ||W_g||_F - <X_g^T theta, W_g>)

    Two points are tried: the best multiple of ``R``, and the best multiple of the point nearest to
    ``R`` that satisfies the optimality conditions of the active blocks. The solvers of this package
    use the first to stop, so their certificate holds. `kkt_residual` is the violation of the
    optimality conditions: ``X_g^T R = penalty W_g / ||W_g||_F`` where ``W_g`` is not zero, else
    ``||X_g^T R||_F <= penalty``. Without penalty, the gap is half the power of ``R`` that the
    columns still explain. Whether the fit has minimum norm is not checked.

    The reweighted objective has ``sqrt(u ||W_g||_F)`` instead of the norms [3]_. It is not convex.
    Coefficients are a local minimum if they also solve the convex problem in which the columns of
    each block are multiplied by ``2 sqrt(||W_g||_F / u)``. The gap and the residual are those of
    this convex problem. Blocks that are zero stay zero in it, so the certificate says nothing about
    them, or about other, possibly lower, minima.

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
    problem = CertifiedProblem(
        *(X, y, sample_weight),
        n_orient=n_orient,
        weights=weights,
        weights_min=weights_min,
        reweighting_scale=reweighting_scale,
        fit_intercept=fit_intercept,
    )
    penalty = check_real("penalty", penalty, 0, math.inf)
    return problem.certify(problem.check_coef(coef), penalty, problem.options.reweighting_scale)
