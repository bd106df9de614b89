"""The warm-started path of solutions."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csc_array

from .._logging import verbosity
from ..solvers.dispatch import Solver
from ..solvers.threads import single_threaded_blas
from .base import warn_if_not_converged
from .fit_problem import MixedNormProblem
from .intercept import warn_if_constant
from .options import FitOptions
from .validation import cast_coef, check_alphas, check_data


def mixed_norm_path(
    X: ArrayLike,
    y: ArrayLike,
    *,
    alphas: int | ArrayLike = 20,
    eps: float = 0.1,
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
) -> tuple[NDArray[np.float64], list[csc_array], NDArray[np.float64]]:
    """Compute the mixed-norm estimate along a path of alphas.

    Each solution starts from the previous one, so a path costs much less than separate fits.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_blocks * n_orient)
        Samples, as for `MixedNormEstimator`.
    y : array-like of shape (n_samples,) or (n_samples, n_targets)
        Targets.
    alphas : int or array-like of shape (n_alphas,), default=20
        Percentages of `alpha_max`. An int is the size of a geometric grid from 99 down to
        ``100 * eps``.
    eps : float, default=0.1
        The smallest alpha of the grid is ``100 * eps`` percent.
    n_orient, n_mxne_iter, reweighting_scale, weights, weights_min, solver : object
        As for `MixedNormEstimator`.
    maxit, tol, active_set_size, dgap_freq, debias, time_pca, fit_intercept, verbose : object
        As for `MixedNormEstimator`.

    Returns
    -------
    alphas : ndarray of shape (n_alphas,)
        The percentages, in descending order.
    coefs : list of scipy.sparse.csc_array of shape (n_targets, n_features)
        The coefficients for each alpha, debiased unless ``debias=False``, in the precision of `X`.
        With ``fit_intercept=True``, the intercept is ``y.mean(axis=0) - coef @ X.mean(axis=0)``.
    dual_gaps : ndarray of shape (n_alphas,)
        The duality gap of the last convex problem for each alpha, relative to ``||y||_F^2``.

    Raises
    ------
    TypeError, ValueError
        If a parameter or the data are not valid, or coefficients exceed the range of their dtype.

    Warns
    -----
    ConvergenceWarning
        If a duality gap does not reach ``tol``.
    UserWarning
        If the model has no intercept, but a constant explains more than half of the power of `y`
        (with at least 10 samples).

    See Also
    --------
    MixedNormEstimator : The estimate for one alpha.
    sklearn.linear_model.lasso_path : The path of the Lasso.

    Examples
    --------
    >>> from skmxne import mixed_norm_path
    >>> from skmxne.datasets import make_block_sparse_regression
    >>> X, y = make_block_sparse_regression(n_orient=3, n_active=2, random_state=0)
    >>> alphas, coefs, dual_gaps = mixed_norm_path(X, y, alphas=[90, 60, 30], n_orient=3)
    >>> [coef.nnz // (3 * 10) for coef in coefs]
    [1, 2, 2]
    """
    X, y = check_data(X, y)
    options = FitOptions.check(
        X.shape[1],
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
    )
    alphas = check_alphas(alphas, eps)
    with verbosity(verbose), single_threaded_blas():
        problem = MixedNormProblem(X, y, options)
        solutions = list(problem.solve_path(alphas))
        coefs = [_to_sparse(problem, *pair) for pair in zip(alphas, solutions, strict=True)]
    warn_if_not_converged([solution.status for solution in solutions], options, "alphas")
    warn_if_constant(X, y, options)
    return alphas, coefs, np.array([solution.dual_gap for solution in solutions])


def _to_sparse(problem, alpha, solution):
    """Return the coefficients of a solution as a sparse array of all features."""
    X, n_targets = problem.design.X, problem.n_targets
    active, coef = problem.to_coef(solution, problem.debias(alpha, solution))
    coef = cast_coef(coef, X.dtype)
    starts = np.zeros(X.shape[1] + 1, dtype=int)
    starts[active + 1] = n_targets
    rows = np.tile(np.arange(n_targets), len(active))
    return csc_array((coef.T.ravel(), rows, np.cumsum(starts)), (n_targets, X.shape[1]))
