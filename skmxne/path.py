"""The warm-started path of solutions."""

import warnings
from numbers import Integral, Real

import numpy as np
from scipy.sparse import csc_array
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_X_y

from .parameters import check_parameters, check_weights, verbosity
from .problem import MixedNormProblem
from .threads import single_threaded_blas

DEFAULTS = {
    "n_orient": 1,
    "n_mxne_iter": 1,
    "reweighting_scale": None,
    "weights": None,
    "weights_min": 0.0,
    "solver": "auto",
    "maxit": 3000,
    "tol": 1e-4,
    "active_set_size": 10,
    "dgap_freq": 10,
    "debias": True,
    "time_pca": True,
    "verbose": None,
}


def mixed_norm_path(X, y, *, alphas=20, eps=0.1, **params):
    """Compute the mixed-norm estimate along a path of alphas.

    Each solution starts from the one before, which makes a path much cheaper than its solutions
    one by one.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_positions * n_orient)
        Samples, as for `MixedNormEstimator`.
    y : array-like of shape (n_samples,) or (n_samples, n_targets)
        Targets.
    alphas : int or array-like of shape (n_alphas,), default=20
        Percentages of `alpha_max`; an int for so many in a geometric grid from 99 down to
        ``100 * eps``.
    eps : float, default=0.1
        Ratio of the smallest alpha of the grid to 100 percent.
    **params : dict
        Parameters of `MixedNormEstimator`, except ``alpha`` and ``warm_start``.

    Returns
    -------
    alphas : ndarray of shape (n_alphas,)
        The percentages, in descending order.
    coefs : list of scipy.sparse.csc_array of shape (n_targets, n_features)
        The coefficients for each alpha, debiased unless ``debias=False``.
    dual_gaps : ndarray of shape (n_alphas,)
        The duality gap of the last convex problem for each alpha, relative to ``||y||_F^2``.

    Raises
    ------
    TypeError, ValueError
        If a parameter or the data are not valid.

    Warns
    -----
    ConvergenceWarning
        If a duality gap does not reach ``tol``.

    See Also
    --------
    MixedNormEstimator : One alpha.
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
    unknown = sorted(set(params) - set(DEFAULTS))
    if unknown:
        raise TypeError(f"mixed_norm_path has no parameter {', '.join(unknown)}.")
    params = DEFAULTS | params
    X, y = check_X_y(X, y, dtype=[np.float64, np.float32], multi_output=True, y_numeric=True)
    check_parameters(params, X.shape[1])
    alphas = check_alphas(alphas, eps)
    with verbosity(params["verbose"]), single_threaded_blas():
        problem = make_problem(X, y, params)
        coefs, dual_gaps, n_missed = [], [], 0
        for solution, factors in solve_path(problem, alphas, params):
            coefs.append(_to_sparse(*problem.to_coef(solution, factors), X.shape[1]))
            dual_gaps.append(solution.dual_gap)
            n_missed += not solution.converged
    warn_if_missed(n_missed, f"{len(alphas)} alphas", params)
    return alphas, coefs, np.array(dual_gaps)


def check_alphas(alphas, eps):
    """Check a grid of alphas, or make one.

    Parameters
    ----------
    alphas : int or array-like of shape (n_alphas,)
        Percentages, or the number of them.
    eps : float
        Ratio of the smallest alpha of the grid to 100 percent.

    Returns
    -------
    alphas : ndarray of shape (n_alphas,)
        Percentages in descending order.

    Raises
    ------
    TypeError, ValueError
        If they are not numbers in [0, 100).
    """
    if isinstance(alphas, Integral) and not isinstance(alphas, bool):
        if alphas < 1:
            raise ValueError(f"alphas must be at least one, got {alphas}.")
        if not isinstance(eps, Real):
            raise TypeError(f"eps must be a number, got {eps!r}.")
        if not 0 < eps < 0.99:
            raise ValueError(f"eps must be in (0, 0.99), got {eps!r}.")
        return np.geomspace(99.0, 100.0 * eps, alphas)
    alphas = np.asarray(alphas)
    if alphas.dtype.kind not in "fiu" or alphas.ndim != 1 or alphas.size == 0:
        raise TypeError("alphas must be an int or a sequence of percentages.")
    if not ((alphas >= 0) & (alphas < 100)).all():
        raise ValueError("alphas must be percentages in [0, 100).")
    return np.sort(alphas.astype(np.float64))[::-1]


def warn_if_missed(n_missed, of, params):
    """Warn, in the name of the caller's caller, of solutions that miss the tolerance.

    Parameters
    ----------
    n_missed : int
        How many.
    of : str
        Of how many, and what they are.
    params : dict
        Parameters of `MixedNormEstimator`.
    """
    if n_missed:
        warnings.warn(
            f"The duality gap did not get below tol={params['tol']:g} of ||y||^2 at {n_missed} of "
            f"{of}: increase maxit={params['maxit']}, or tol where rounding does not allow for "
            "less.",
            ConvergenceWarning,
            stacklevel=3,
        )


def warn_if_smallest(alpha, alphas, eps):
    """Warn, in the name of the caller's caller, of a choice below which there may be a better one.

    Parameters
    ----------
    alpha : float
        The choice.
    alphas : ndarray of shape (n_alphas,)
        What there was to choose from, in descending order.
    eps : float
        Ratio of the smallest alpha of a grid to 100 percent.
    """
    if alpha == alphas[-1] > 0.0:
        warnings.warn(
            f"alpha_={alpha:g} is the smallest of the grid, the best may lie below it: lower "
            f"eps={eps:g}, or pass smaller alphas.",
            UserWarning,
            stacklevel=3,
        )


def make_problem(X, y, params, sample_weight=None):
    """Make the problem that the parameters of an estimator describe.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_positions * n_orient)
        Checked samples.
    y : ndarray of shape (n_samples,) or (n_samples, n_targets)
        Checked targets.
    params : dict
        Checked parameters of `MixedNormEstimator`.
    sample_weight : ndarray of shape (n_samples,), default=None
        Checked weights of the samples in the data term.

    Returns
    -------
    problem : MixedNormProblem
        What to solve.
    """
    n_orient = params["n_orient"]
    y = y.reshape(len(y), -1).astype(np.float64, copy=False)
    if sample_weight is not None:
        roots = np.sqrt(sample_weight)[:, None]
        X, y = X * roots.astype(X.dtype), y * roots
    return MixedNormProblem(
        X,
        y,
        n_orient=n_orient,
        scale=check_weights(params["weights"], params["weights_min"], X.shape[1] // n_orient),
        time_pca=params["time_pca"],
        reweighting_scale=params["reweighting_scale"],
    )


def solve_path(problem, alphas, params, start=None):
    """Solve a problem for one alpha after the other, each started from the one before.

    Parameters
    ----------
    problem : MixedNormProblem
        What to solve.
    alphas : iterable of float
        Percentages, best in descending order.
    params : dict
        Checked parameters of `MixedNormEstimator`.
    start : Solution, default=None
        Where to start the first.

    Yields
    ------
    solution : Solution
        The solution, before debiasing.
    factors : ndarray of shape (n_active,)
        Debiasing factors of the active positions, ones if not asked for.
    """
    for alpha in alphas:
        solution, start = problem.solve(alpha, start, **pick_options(params))
        yield solution, compute_factors(problem, alpha, solution, params)


def pick_options(params):
    """Return the parameters that `MixedNormProblem.solve` takes.

    Parameters
    ----------
    params : dict
        Parameters of `MixedNormEstimator`.

    Returns
    -------
    options : dict
        Some of them.
    """
    names = ("n_mxne_iter", "solver", "maxit", "tol", "active_set_size", "dgap_freq")
    return {name: params[name] for name in names}


def compute_factors(problem, alpha, solution, params):
    """Compute the debiasing factors that the parameters of an estimator ask for.

    Parameters
    ----------
    problem : MixedNormProblem
        What was solved.
    alpha : float
        Penalty in percent.
    solution : Solution
        The solution.
    params : dict
        Parameters of `MixedNormEstimator`.

    Returns
    -------
    factors : ndarray of shape (n_active,)
        Debiasing factors of the active positions, ones if not asked for.
    """
    # Without penalty nothing is shrunk.
    if params["debias"] and alpha > 0:
        return problem.debias(solution)
    return np.ones(len(solution.positions))


def _to_sparse(active, coef, n_features):
    """Return coefficients of some features as a sparse array of all."""
    n_targets = len(coef)
    starts = np.zeros(n_features + 1, dtype=int)
    starts[active + 1] = n_targets
    rows = np.tile(np.arange(n_targets), len(active))
    return csc_array((coef.T.ravel(), rows, np.cumsum(starts)), (n_targets, n_features))
