"""Data made ready for a path: reduced targets, weights, the penalty in percent."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skmxne.linear_model.fit_problem import MixedNormProblem
from skmxne.linear_model.options import FitOptions

SIZES = dict(n_samples=20, n_positions=40, n_targets=8, noise=0.5)

n_orients = pytest.mark.parametrize("n_orient", [1, 3])


@pytest.fixture
def make_data(make_problem):
    """Return a function that makes X and a two-dimensional y, of a given rank if asked."""

    def make(n_orient=1, rank=None, **sizes):
        X, y = make_problem(n_orient=n_orient, **(SIZES | sizes))
        y = y.reshape(len(y), -1)
        return X, y if rank is None else truncate(y, rank)

    return make


def truncate(y, rank):
    """Return the best approximation of this rank."""
    left, singular_values, right = np.linalg.svd(y, full_matrices=False)
    return left[:, :rank] * singular_values[:rank] @ right[:rank]


def draw_scale(n_positions=SIZES["n_positions"]):
    scale = np.random.default_rng(0).uniform(0.3, 1.0, n_positions)
    scale[::4] = 0.0
    return scale


def exact(**options):
    """Return options of fits to a small gap."""
    return FitOptions(tol=1e-12, **options)


def solve(problem, alpha=30.0):
    """Return the solution, and the coefficients of all features."""
    solution, _ = problem.solve(alpha)
    active, some = problem.to_coef(solution)
    coef = np.zeros((problem.n_targets, problem.design.X.shape[1]))
    coef[:, active] = some
    return solution, coef


def largest_correlation(X, y, n_orient, scale=None):
    products = X.T @ y
    if scale is not None:
        products *= np.repeat(scale, n_orient)[:, None]
    return np.linalg.norm(products.reshape(-1, n_orient * y.shape[1]), axis=1).max()


@n_orients
@pytest.mark.parametrize("time_pca", [True, False])
@pytest.mark.parametrize("scale", [None, draw_scale()], ids=["unscaled", "scaled"])
def test_alpha_max_is_the_largest_correlation(make_data, n_orient, time_pca, scale):
    X, y = make_data(n_orient)
    problem = MixedNormProblem(X, y, exact(n_orient=n_orient, scale=scale, time_pca=time_pca))
    expected = largest_correlation(X, y, n_orient, scale)
    assert problem.alpha_max == pytest.approx(expected, rel=1e-12)
    assert problem.compute_penalty(25) == pytest.approx(expected / 4, rel=1e-12)


@pytest.mark.parametrize(
    ("sizes", "rank"),
    [
        (dict(), 8),
        (dict(n_targets=50), 20),
        (dict(rank=3), 3),
        (dict(n_targets=50, rank=2), 2),
        (dict(n_targets=1), 1),
    ],
)
@n_orients
def test_reduction_to_the_rank_is_exact(are_as_close, make_data, sizes, rank, n_orient):
    X, y = make_data(n_orient, **sizes)
    reduced = MixedNormProblem(X, y, exact(n_orient=n_orient))
    full = MixedNormProblem(X, y, exact(n_orient=n_orient, time_pca=False))
    assert reduced.y.shape == (len(y), rank)
    assert full.y.shape == y.shape
    assert reduced.alpha_max == pytest.approx(full.alpha_max, rel=1e-12)

    (solution, coef), (expected_solution, expected) = solve(reduced), solve(full)

    assert_array_equal(solution.positions, expected_solution.positions)
    assert coef.shape == (y.shape[1], X.shape[1])
    gaps = solution.dual_gap, expected_solution.dual_gap
    assert are_as_close(X, y, (coef.T, expected.T), gaps)
    assert solution.objective[-1] == pytest.approx(expected_solution.objective[-1], rel=1e-11)


@n_orients
@pytest.mark.parametrize("limit", [1, 3])
def test_limited_rank_fits_the_best_approximation_of_that_rank(
    are_as_close, make_data, n_orient, limit
):
    X, y = make_data(n_orient)
    limited = MixedNormProblem(X, y, exact(n_orient=n_orient, time_pca=limit))
    of_limited = MixedNormProblem(X, truncate(y, limit), exact(n_orient=n_orient, time_pca=False))
    assert limited.y.shape == (len(y), limit)
    assert limited.alpha_max == pytest.approx(of_limited.alpha_max, rel=1e-12)
    (solution, coef), (expected_solution, expected) = solve(limited), solve(of_limited)
    gaps = solution.dual_gap, expected_solution.dual_gap
    assert are_as_close(X, y, (coef.T, expected.T), gaps)
    assert np.linalg.matrix_rank(coef) <= limit


@pytest.mark.parametrize("limit", [8, 100])
def test_limit_above_the_rank_changes_nothing(make_data, limit):
    X, y = make_data()
    assert_array_equal(
        solve(MixedNormProblem(X, y, exact(time_pca=limit)))[1],
        solve(MixedNormProblem(X, y, exact()))[1],
    )


def test_reduced_targets_are_in_the_order_of_their_energy(make_data):
    problem = MixedNormProblem(*make_data(), exact())
    assert (np.diff(np.linalg.norm(problem.y, axis=0)) <= 0).all()


@n_orients
@pytest.mark.parametrize("scale", [None, draw_scale()], ids=["unscaled", "scaled"])
@pytest.mark.parametrize("time_pca", [True, False])
def test_coefficients_can_be_read_back(make_data, n_orient, scale, time_pca):
    X, y = make_data(n_orient, n_targets=30)
    problem = MixedNormProblem(X, y, exact(n_orient=n_orient, scale=scale, time_pca=time_pca))
    solution, coef = solve(problem)
    again = problem.from_coef(coef)
    assert len(solution.positions) > 1
    assert_array_equal(again.positions, solution.positions)
    assert_allclose(again.coef, solution.coef, rtol=1e-10, atol=1e-12)


def test_coefficients_of_positions_left_out_are_not_read(make_data):
    X, y = make_data(3)
    scale = draw_scale()
    problem = MixedNormProblem(X, y, exact(n_orient=3, scale=scale))
    start = problem.from_coef(np.ones((y.shape[1], X.shape[1])))
    assert_array_equal(start.positions, np.flatnonzero(scale))


@n_orients
def test_coefficients_are_those_of_the_unscaled_columns(judge, make_data, n_orient):
    X, y = make_data(n_orient)
    scale = draw_scale()
    problem = MixedNormProblem(X, y, exact(n_orient=n_orient, scale=scale))
    solution, coef = solve(problem)
    factors = np.repeat(scale, n_orient)
    assert not coef[:, factors == 0.0].any()
    unscaled = np.divide(coef, factors, out=np.zeros_like(coef), where=factors > 0.0).T
    verdict = judge(X * factors, y, unscaled, problem.compute_penalty(30.0), n_orient)
    assert verdict.gain <= solution.dual_gap + 1e-14


@n_orients
@pytest.mark.parametrize("n_mxne_iter", [1, 3])
def test_start_at_the_solution_of_another_alpha(are_as_close, make_data, n_orient, n_mxne_iter):
    X, y = make_data(n_orient)
    options = exact(n_orient=n_orient, n_mxne_iter=n_mxne_iter)
    problem = MixedNormProblem(X, y, options)
    _, start = problem.solve(60.0)
    warm, warm_first = problem.solve(30.0, start)
    cold, cold_first = problem.solve(30.0)
    coefs, gaps = [], []
    for solution in (warm_first, cold_first):
        coef = np.zeros((SIZES["n_positions"], n_orient, problem.y.shape[1]))
        coef[solution.positions] = solution.coef.reshape(-1, *coef.shape[1:])
        coefs.append(coef.reshape(X.shape[1], -1))
        gaps.append(solution.dual_gap)
    assert are_as_close(X, problem.y, coefs, gaps)
    assert_array_equal(warm.positions, cold.positions)


@n_orients
def test_factors_are_those_of_the_scaled_columns(make_data, n_orient):
    X, y = make_data(n_orient)
    scale = draw_scale()
    scaled = MixedNormProblem(X, y, exact(n_orient=n_orient, scale=scale))
    by_hand = MixedNormProblem(X * np.repeat(scale, n_orient), y, exact(n_orient=n_orient))
    factors, expected = (problem.debias(30.0, solve(problem)[0]) for problem in (scaled, by_hand))
    assert_allclose(factors, expected, rtol=1e-5)
    assert factors.max() > 1.0


def test_data_that_no_column_explains():
    X, y = np.eye(6)[:, :4], np.zeros((6, 2))
    y[4:] = 1.0
    problem = MixedNormProblem(X, y, exact(n_orient=2))
    assert problem.alpha_max == 0.0
    solution, coef = solve(problem)
    assert not coef.any()
    assert solution.converged
    assert solution.dual_gap == 0.0
    assert solution.objective == [pytest.approx(0.5 * np.vdot(y, y))]


def test_data_are_not_changed(make_data):
    X, y = make_data(3)
    before = X.copy(), y.copy()
    for array in (X, y):
        array.flags.writeable = False
    solve(MixedNormProblem(X, y, exact(n_orient=3, scale=draw_scale())))
    assert_array_equal(X, before[0])
    assert_array_equal(y, before[1])


@pytest.mark.parametrize(
    ("X_unit", "y_unit", "message"),
    [
        (1.0, 1e160, "y contains values whose squares are too large"),
        (1.0, 1e-165, "y contains values whose squares are too small"),
        (1e-165, 1.0, "X contains values whose squares are too small"),
        (1e150, 1e150, "X and y together are too large"),
        (1e75, 1e75, None),
        (1e-75, 1e-75, None),
    ],
)
def test_magnitudes_out_of_range_are_told(make_problem, X_unit, y_unit, message):
    X, y = make_problem(20, 30)
    expected = MixedNormProblem(X, y, exact()).alpha_max
    if message is None:
        assert MixedNormProblem(X_unit * X, y_unit * y, exact()).alpha_max == pytest.approx(
            X_unit * y_unit * expected
        )
        return
    with pytest.raises(ValueError, match=message):
        MixedNormProblem(X_unit * X, y_unit * y, exact())
