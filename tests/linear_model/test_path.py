"""The warm-started path."""

from inspect import signature

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning

from skmxne import MixedNormEstimator, mixed_norm_path
from skmxne.linear_model.fit_problem import MixedNormProblem
from skmxne.linear_model.options import FitOptions

ALPHAS = [60.0, 40.0, 20.0, 5.0]


@pytest.mark.parametrize("n_orient", [1, 3])
@pytest.mark.parametrize("n_mxne_iter", [1, 5])
@pytest.mark.parametrize("debias", [True, False])
def test_path_is_the_estimator_at_every_alpha(make_problem, n_orient, n_mxne_iter, debias):
    X, y = make_problem(40, 60, n_orient=n_orient, noise=1.0)
    params = dict(n_orient=n_orient, n_mxne_iter=n_mxne_iter, debias=debias, tol=1e-12)

    alphas, coefs, dual_gaps = mixed_norm_path(X, y, alphas=ALPHAS, **params)

    assert_array_equal(alphas, ALPHAS)
    for alpha, coef, gap in zip(alphas, coefs, dual_gaps, strict=True):
        expected = MixedNormEstimator(alpha, **params).fit(X, y)
        assert coef.shape == expected.coef_.shape
        assert_allclose(coef.toarray(), expected.coef_, atol=1e-5 * np.abs(expected.coef_).max())
        assert gap <= 1e-12


def test_only_active_features_are_stored(make_problem):
    X, y = make_problem(n_orient=3)
    _, (coef,), _ = mixed_norm_path(X, y, alphas=[50], n_orient=3)
    active = MixedNormEstimator(50, n_orient=3).fit(X, y).active_set_
    assert coef.nnz == active.sum() * y.shape[1]
    assert_array_equal(np.unique(coef.tocoo().col), np.flatnonzero(active))


def test_weights_scale_and_leave_out_positions(make_problem):
    X, y = make_problem(40, 20)
    weights = np.linspace(0, 2, 20)
    _, (coef,), _ = mixed_norm_path(X, y, alphas=[10], weights=weights, tol=1e-10)
    expected = MixedNormEstimator(10, weights=weights, tol=1e-10).fit(X, y).coef_
    assert_allclose(coef.toarray(), expected, atol=1e-6 * np.abs(expected).max())
    assert coef[:, [0]].nnz == 0


def test_one_target_is_one_row(make_problem):
    X, y = make_problem(n_targets=1)
    _, (coef,), _ = mixed_norm_path(X, y, alphas=[30])
    expected = MixedNormEstimator(30).fit(X, y).coef_
    assert_allclose(coef.toarray(), [expected], rtol=1e-10)


def test_grid_is_geometric_from_99_to_eps(make_problem):
    alphas, coefs, dual_gaps = mixed_norm_path(*make_problem(), alphas=4, eps=0.2)
    assert_allclose(alphas[[0, -1]], [99, 20])
    assert_allclose(np.diff(np.log(alphas)), np.log(20 / 99) / 3)
    assert len(coefs) == len(dual_gaps) == 4


def test_alphas_are_sorted_downwards(make_problem):
    alphas, coefs, _ = mixed_norm_path(*make_problem(), alphas=[10, 80, 40])
    assert_array_equal(alphas, [80, 40, 10])
    assert coefs[0].nnz < coefs[2].nnz


def test_alpha_zero_ends_the_path(make_problem):
    X, y = make_problem(20, 30)
    _, coefs, _ = mixed_norm_path(X, y, alphas=[50, 0])
    assert_allclose(coefs[1].toarray(), (np.linalg.pinv(X) @ y).T, atol=1e-10)


def test_path_needs_fewer_iterations_and_products_than_its_solutions_alone(make_problem):
    X, y = make_problem(60, 400, correlation=0.9, noise=1.0, n_active=30)
    options = FitOptions(tol=1e-8)
    alphas = np.geomspace(99, 5, 15)

    along = MixedNormProblem(X, y, options)
    n_iter = sum(solution.n_iter for solution in along.solve_path(alphas))
    alone = [MixedNormProblem(X, y, options) for _ in alphas]
    n_iter_alone = sum(
        problem.solve(alpha)[0].n_iter for problem, alpha in zip(alone, alphas, strict=True)
    )

    assert n_iter < n_iter_alone
    assert along.design.n_products < sum(problem.design.n_products for problem in alone)


def test_unreached_tolerance_is_told_once(make_problem):
    X, y = make_problem(noise=1.0)
    with pytest.warns(
        ConvergenceWarning, match="above tol=1e-12 at 2 of 2 alphas, so the model is not exact"
    ) as record:
        mixed_norm_path(X, y, alphas=[10, 5], maxit=1, tol=1e-12)
    assert len(record) == 1
    assert record[0].filename == __file__


@pytest.mark.parametrize(
    ("params", "error", "match"),
    [
        (dict(alphas=0), ValueError, "alphas must be an int from 1 to 10000"),
        (dict(alphas=[]), ValueError, "alphas must be"),
        (dict(alphas=True), TypeError, "alphas must be"),
        (dict(alphas="many"), TypeError, "alphas must be"),
        (dict(alphas=[[10, 20]]), ValueError, "alphas must be"),
        (dict(alphas=[100, 10]), ValueError, r"\[0, 100\)"),
        (dict(alphas=[-1]), ValueError, r"\[0, 100\)"),
        (dict(alphas=[np.nan]), ValueError, r"\[0, 100\)"),
        (dict(eps=0), ValueError, "eps must be in"),
        (dict(eps=1), ValueError, "eps must be in"),
        (dict(eps="small"), TypeError, "eps must be a number"),
        (dict(alpha=10), TypeError, "unexpected keyword argument .alpha"),
        (dict(warm_start=True), TypeError, "unexpected keyword argument .warm_start"),
        (dict(n_orient=3), ValueError, "n_orient=3 does not divide"),
        (dict(solver="lars"), ValueError, "solver='lars'"),
        (dict(weights=np.ones(3)), ValueError, "weights has shape"),
    ],
)
def test_wrong_parameter_is_refused(make_problem, params, error, match):
    X, y = make_problem(20, 100, n_targets=2)
    with pytest.raises(error, match=match):
        mixed_norm_path(X, y, **params)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_data_that_are_not_finite_are_refused(make_problem, value):
    X, y = make_problem(20, 10, n_targets=2)
    y[0, 0] = value
    with pytest.raises(ValueError, match="y contains"):
        mixed_norm_path(X, y)


def test_defaults_are_those_of_the_estimator():
    own = {"X", "y", "alphas", "eps"}
    parameters = signature(mixed_norm_path).parameters
    defaults = {name: parameters[name].default for name in parameters.keys() - own}
    params = MixedNormEstimator().get_params()
    assert params == {"alpha": 20.0, "warm_start": False} | defaults


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_precision_is_that_of_the_data(make_problem, dtype):
    X, y = make_problem(20, 10, n_targets=2)
    _, coefs, _ = mixed_norm_path(X.astype(dtype), y, alphas=[50, 0])
    assert {coef.dtype for coef in coefs} == {np.dtype(dtype)}


def test_convex_problem_that_misses_the_tolerance_before_the_last_is_told(make_problem):
    """The last problem of the reweighting is easy, the first is not."""
    X, y = make_problem(40, 200, noise=1.0, correlation=0.9)
    params = dict(solver="bcd", tol=1e-6, maxit=5, n_mxne_iter=10)
    with pytest.warns(ConvergenceWarning, match="An earlier iteration of the reweighting"):
        estimator = MixedNormEstimator(20, **params).fit(X, y)
    assert not estimator.converged_
    assert estimator.dual_gap_ <= 1e-6
    with pytest.warns(ConvergenceWarning, match="at 1 of 1 alphas"):
        mixed_norm_path(X, y, alphas=[20], **params)
