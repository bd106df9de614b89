"""Iterative reweighting: a local minimum of the non-convex objective."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skmxne import MixedNormEstimator
from skmxne.solvers.active_set import Solution, solve_mixed_norm
from skmxne.solvers.design import BlockDesign, Correlation
from skmxne.solvers.reweighting import solve_reweighted

SIZES = dict(n_samples=25, n_positions=40, n_targets=5, noise=0.5)
SHARE = 0.2
AMPLITUDE = 0.5

n_orients = pytest.mark.parametrize("n_orient", [1, 3])


@pytest.fixture
def make_case(make_problem):
    """Return a function that makes X, y and a penalty."""

    def make(n_orient):
        X, y = make_problem(n_orient=n_orient, **SIZES)
        largest = np.linalg.norm((X.T @ y).reshape(SIZES["n_positions"], -1), axis=1).max()
        return X, y, SHARE * largest

    return make


def solve(case, n_orient, n_mxne_iter, **options):
    X, y, penalty = case
    design = BlockDesign(X, n_orient)
    return solve_reweighted(
        design,
        y,
        penalty,
        Solution.empty(y, Correlation.measure(design, y)),
        n_mxne_iter=n_mxne_iter,
        **({"reweighting_scale": AMPLITUDE, "tol": 1e-12} | options),
    )


def columns_of(X, positions, n_orient):
    return X.reshape(len(X), -1, n_orient)[:, positions].reshape(len(X), -1)


def norms_of(coef, n_orient):
    return np.linalg.norm(coef.reshape(-1, n_orient * coef.shape[1]), axis=1)


@n_orients
def test_one_iteration_is_the_convex_problem(make_case, n_orient):
    X, y, penalty = case = make_case(n_orient)
    design = BlockDesign(X, n_orient)
    start = Solution.empty(y, Correlation.measure(design, y))
    convex = solve_mixed_norm(design, y, penalty, start, tol=1e-12)
    solution, first = solve(case, n_orient, 1)
    for each in (solution, first):
        assert_array_equal(each.positions, convex.positions)
        assert_array_equal(each.coef, convex.coef)
        assert each.dual_gap == convex.dual_gap


@n_orients
@pytest.mark.parametrize("solver", ["newton", "bcd", "prox"])
def test_objective_with_the_square_root_never_rises(make_case, n_orient, solver):
    X, y, penalty = case = make_case(n_orient)
    tol = 1e-12 if solver == "newton" else 1e-8
    solution, _ = solve(case, n_orient, 10, solver=solver, tol=tol)

    assert len(solution.objective) > 3
    # Each convex problem bounds the objective from above and is solved up to its gap.
    assert max(np.diff(solution.objective)) <= tol * np.vdot(y, y)
    residual = y - columns_of(X, solution.positions, n_orient) @ solution.coef
    roots = np.sqrt(AMPLITUDE * norms_of(solution.coef, n_orient))
    expected = 0.5 * np.vdot(residual, residual) + penalty * roots.sum()
    assert solution.objective[-1] == pytest.approx(expected, rel=1e-12)


@n_orients
@pytest.mark.parametrize("solver", ["newton", "bcd"])
def test_it_stops_at_a_stationary_point(make_case, n_orient, solver):
    """X_g^T R = penalty * gradient of sqrt(u ||W_g||) = penalty sqrt(u) / (2 ||W_g||^1.5) W_g."""
    X, y, penalty = case = make_case(n_orient)
    solution, _ = solve(case, n_orient, 200, solver=solver)

    columns = columns_of(X, solution.positions, n_orient)
    correlation = columns.T @ (y - columns @ solution.coef)
    norms = np.repeat(norms_of(solution.coef, n_orient), n_orient)[:, None]
    gradient = penalty * np.sqrt(AMPLITUDE) / (2.0 * norms**1.5) * solution.coef
    assert 0 < len(solution.positions) < SIZES["n_positions"]
    assert len(solution.objective) < 200
    # A gap of 1e-12 ||y||^2 leaves an error of sqrt(2e-12) ||y|| in the residual.
    allowed = np.sqrt(2e-12) * np.linalg.norm(y) * np.linalg.norm(columns, axis=0).max()
    assert np.abs(correlation - gradient).max() <= allowed


@n_orients
def test_supports_are_nested(make_case, n_orient):
    case = make_case(n_orient)
    supports = [set(solve(case, n_orient, n)[0].positions) for n in range(1, 7)]
    assert all(later <= earlier for earlier, later in pairwise(supports))
    assert len(supports[-1]) < len(supports[0])


def test_first_solution_is_where_the_next_penalty_may_start(make_case):
    case = make_case(1)
    solution, first = solve(case, 1, 5)
    convex, _ = solve(case, 1, 1)
    assert_array_equal(first.coef, convex.coef)
    # That of the first would not be that of the coefficients.
    assert solution.correlation is None
    assert solution.n_iter > first.n_iter


def test_unfinished_convex_problems_are_told(make_case):
    solution, _ = solve(make_case(1), 1, 3, maxit=1)
    assert not solution.converged
    assert solution.dual_gap > 1e-12


def test_first_convex_problem_unfinished_is_told_at_the_end(make_case):
    case = make_case(1)
    fits = [solve(case, 1, 10, solver="bcd", tol=1e-6, maxit=maxit) for maxit in range(5, 40, 5)]
    unfinished = [last for last, first in fits if not first.converged and last.dual_gap <= 1e-6]
    assert len(unfinished) > 0
    assert not any(solution.converged for solution in unfinished)


@n_orients
def test_amplitude_so_large_that_nothing_is_left(make_case, n_orient):
    case = make_case(n_orient)
    solution, first = solve(case, n_orient, 5, reweighting_scale=1e6)
    y = case[1]
    assert len(first.positions) > 0
    assert len(solution.positions) == 0
    assert solution.coef.shape == (0, y.shape[1])
    assert solution.objective[-1] == pytest.approx(0.5 * np.vdot(y, y))


@n_orients
def test_estimator_says_that_nothing_is_left(make_case, n_orient):
    X, y, _ = make_case(n_orient)
    estimator = MixedNormEstimator(n_orient=n_orient, n_mxne_iter=5, reweighting_scale=1e6)
    with pytest.warns(UserWarning, match="The model is empty"):
        estimator.fit(X, y)
    assert_array_equal(estimator.coef_, np.zeros((y.shape[1], X.shape[1])))
    assert_array_equal(estimator.debias_scale_, np.ones(SIZES["n_positions"]))


@n_orients
def test_one_reweighting_by_hand(are_as_close, make_case, n_orient):
    X, y, _ = make_case(n_orient)

    def fit(X, alpha, **params):
        params = dict(n_orient=n_orient, debias=False, tol=1e-12) | params
        return MixedNormEstimator(alpha, **params).fit(X, y)

    first = fit(X, 100 * SHARE)
    norms = norms_of(first.coef_.T, n_orient)
    weights = np.repeat(2.0 * np.sqrt(norms / AMPLITUDE), n_orient)
    # The penalty stays what it was: alpha is relative to that of the weighted columns.
    alpha_max = np.linalg.norm((weights * (y.T @ X)).T.reshape(len(norms), -1), axis=1).max()
    second = fit(X * weights, 100 * first.penalty_ / alpha_max)

    reweighted = fit(X, 100 * SHARE, n_mxne_iter=2, reweighting_scale=AMPLITUDE)

    gaps = second.dual_gap_, reweighted.dual_gap_
    assert are_as_close(X, y, (reweighted.coef_.T, (second.coef_ * weights).T), gaps)
    assert_array_equal(reweighted.active_set_, second.active_set_)
    assert 0 < reweighted.n_active_ < first.n_active_
    assert reweighted.penalty_ == first.penalty_


@n_orients
def test_default_amplitude(are_as_close, make_case, n_orient):
    X, y, penalty = make_case(n_orient)
    largest = max(np.linalg.norm(block, 2) for block in np.split(X, SIZES["n_positions"], axis=1))
    params = dict(alpha=100 * SHARE, n_orient=n_orient, n_mxne_iter=5, tol=1e-12, debias=False)
    default = MixedNormEstimator(**params).fit(X, y)
    amplitude = penalty / SHARE / largest**2
    given = MixedNormEstimator(**params, reweighting_scale=amplitude).fit(X, y)
    assert_allclose(default.coef_, given.coef_, rtol=1e-6, atol=1e-9)
    assert default.n_active_ > 0


@pytest.mark.parametrize(
    ("X_scale", "y_scale"), [(1e-9, 1.0), (1e6, 1.0), (1.0, 1e-12), (3.0, 7.0)]
)
def test_scaling_the_data_scales_the_solution(are_as_close, make_case, X_scale, y_scale):
    X, y, _ = make_case(3)
    estimator = MixedNormEstimator(n_orient=3, n_mxne_iter=5, tol=1e-12, debias=False)
    plain = estimator.fit(X, y).coef_
    gap = estimator.dual_gap_
    scaled = estimator.fit(X_scale * X, y_scale * y).coef_ * (X_scale / y_scale)
    # Reweighting passes differences on: a few times what the gaps of one problem allow.
    assert are_as_close(X, y, (scaled.T, plain.T), 4 * [max(gap, estimator.dual_gap_, 1e-12)])
    assert_array_equal(scaled.any(axis=0), plain.any(axis=0))


def test_an_amplitude_given_does_not_scale(make_case):
    X, y, _ = make_case(1)
    estimator = MixedNormEstimator(n_mxne_iter=5, reweighting_scale=AMPLITUDE, debias=False)
    plain = estimator.fit(X, y).n_active_
    assert estimator.fit(X, 10.0 * y).n_active_ != plain
