"""Newton's method on the variances: what a step is made of, against the formulas written out."""

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.linalg import LinAlgError

from skmxne.solvers import BlockProblem, newton
from skmxne.solvers.newton import (
    _compute_gap,
    _compute_hessian,
    _count_refinements,
    _evaluate,
    _factorize,
    _find_entering,
    _search,
    _step,
    _take_gram,
    solve_newton,
)

N_TARGETS = 3
# Samples, positions and how many of them have a variance: a system in the samples, one in the
# support by the Gram matrix of all columns, and one in the support by those that it needs.
SHAPES = {"samples": (4, 12, 9), "support": (30, 12, 5), "few of many": (10, 60, 3)}

shapes_and_orients = pytest.mark.parametrize(
    ("shape", "n_orient"), [(shape, n_orient) for shape in SHAPES.values() for n_orient in (1, 3)]
)


def make_point(shape, n_orient, precision=1.0, penalty=2.0):
    """Return a problem and a point of it, at variances of which some are zero."""
    n_samples, n_positions, n_support = shape
    rng = np.random.default_rng(0)
    X = np.asfortranarray(rng.standard_normal((n_samples, n_positions * n_orient)))
    problem = BlockProblem(X, rng.standard_normal((n_samples, N_TARGETS)), penalty, n_orient)
    variances = np.zeros(n_positions)
    variances[rng.permutation(n_positions)[:n_support]] = rng.uniform(0.01, 0.1, n_support)
    return problem, _evaluate(problem, variances, precision)


def write_out(problem, variances):
    """Return S, S^-1 y and C."""
    scaled = problem.X * np.repeat(variances, problem.n_orient)
    system = problem.penalty * np.eye(len(problem.y)) + scaled @ problem.X.T
    whitened = np.linalg.solve(system, problem.y)
    return system, whitened, problem.X.T @ whitened


def sum_over_blocks(matrix, n_orient):
    edges = np.arange(0, len(matrix), n_orient)
    return np.add.reduceat(np.add.reduceat(matrix, edges, axis=0), edges, axis=1)


@shapes_and_orients
@pytest.mark.parametrize("precision", [1.0, 0.0])  # without and with refinement
def test_function_and_its_gradient(shape, n_orient, precision):
    problem, point = make_point(shape, n_orient, precision)
    _, whitened, correlation = write_out(problem, point.variances)

    value = np.vdot(problem.y, whitened) + point.variances.sum()
    assert point.value == pytest.approx(value, rel=1e-12)
    assert_allclose(point.residual, problem.penalty * whitened, rtol=1e-10, atol=1e-12)
    assert_allclose(point.correlation, correlation, rtol=1e-10, atol=1e-12)
    blocks = correlation.reshape(problem.n_positions, -1)
    assert_allclose(point.norms, np.linalg.norm(blocks, axis=1), rtol=1e-10)
    coef = point.coef(n_orient)
    assert_allclose(point.residual, problem.y - problem.X @ coef, rtol=1e-10, atol=1e-12)
    assert point.in_samples == (shape == SHAPES["samples"])
    # That of all columns, where these are not many more than samples.
    assert ("gram" in vars(problem)) == (shape == SHAPES["support"])
    assert_array_equal(point.support, np.flatnonzero(point.variances))
    assert_array_equal(np.repeat(point.variances > 0, n_orient), coef.any(axis=1))
    for problem.penalty in (0.1, 1.0, 10.0):  # where the residual is to be scaled, and where not
        point = _evaluate(problem, point.variances, precision)
        gap = problem.dual_gap(point.coef(n_orient))
        assert _compute_gap(problem, point) == pytest.approx(gap, rel=1e-9)


@shapes_and_orients
@pytest.mark.parametrize("n_entering", [0, 2])
def test_hessian(monkeypatch, shape, n_orient, n_entering):
    monkeypatch.setattr(newton, "_CHUNK", 2)
    problem, point = make_point(shape, n_orient)
    moving = np.append(point.support, np.flatnonzero(point.variances == 0.0)[:n_entering])

    hessian = _compute_hessian(problem, point, moving)

    system, _, correlation = write_out(problem, point.variances)
    products = problem.X.T @ np.linalg.solve(system, problem.X) * (correlation @ correlation.T)
    expected = 2.0 * sum_over_blocks(products, n_orient)[np.ix_(moving, moving)]
    assert_allclose(hessian, expected, rtol=1e-9, atol=1e-12)


def test_hessian_without_support():
    problem, point = make_point((10, 20, 0), 2)
    moving = np.array([3, 5])
    products = problem.X.T @ problem.X / problem.penalty * (point.correlation @ point.correlation.T)
    expected = 2.0 * sum_over_blocks(products, 2)[np.ix_(moving, moving)]
    assert_allclose(_compute_hessian(problem, point, moving), expected, rtol=1e-12)


@pytest.mark.parametrize(("n_positions", "is_made"), [(40, True), (41, False), (45, False)])
def test_gram_matrix_of_all_columns_is_not_made_of_many(n_positions, is_made):
    """Of more than four times as many as there are samples."""
    problem, _ = make_point((10, n_positions, 3), 1)
    assert ("gram" in vars(problem)) == is_made
    assert (_take_gram(problem, np.arange(n_positions)) is problem.gram) == is_made


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_variance_without_influence_is_set_to_zero(shape):
    problem, point = make_point(shape, 1)
    kept, dropped = point.support[:2]
    influence = problem.penalty / problem.squared_norms
    variances = point.variances.copy()
    variances[kept] = 2e-11 * influence[kept]
    variances[dropped] = 0.5e-11 * influence[dropped]
    support = _evaluate(problem, variances, 1.0).support
    assert_array_equal(support, np.setdiff1d(point.support, [dropped]))


def test_positions_that_enter_are_the_worst():
    _, point = make_point((8, 60, 12), 1, penalty=0.1)
    entering = _find_entering(point)
    could = np.flatnonzero((point.variances == 0.0) & (point.norms > 1.0))
    assert len(could) > len(entering) == 12
    assert_array_equal(np.sort(point.norms[could])[::-1][:12], point.norms[entering])
    _, point = make_point((8, 60, 0), 1, penalty=0.1)
    assert len(_find_entering(point)) == 10
    _, point = make_point((8, 60, 50), 1, penalty=5.0)
    could = np.flatnonzero((point.variances == 0.0) & (point.norms > 1.0))
    assert 0 < len(could) < 10
    assert_array_equal(np.sort(_find_entering(point)), could)


@pytest.mark.parametrize("scale", [0.1, 10.0])
def test_solution_is_refined_where_rounding_would_be_in_the_gap(scale):
    problem, point = make_point((8, 20, 5), 2, penalty=1e-3)
    problem = BlockProblem(scale * problem.X, problem.y, problem.penalty, 2)
    squared_norms = [np.sum(problem.X[:, g : g + 2] ** 2) for g in range(0, 40, 2)]
    system = 1.0 + np.dot(point.variances, squared_norms) / problem.penalty
    size = np.sqrt(max(squared_norms)) * np.linalg.norm(problem.y) / problem.penalty
    missed = np.finfo(float).eps * system * size
    assert _count_refinements(problem, point.variances, missed * (1 + 1e-9)) == 0
    assert _count_refinements(problem, point.variances, missed * (1 - 1e-9)) == 2


@pytest.mark.parametrize("n_samples", [4, 30])  # a system in the samples, and in the support
def test_refinement_makes_coefficients_more_exact(n_samples):
    """With ``W_g = v_g C_g``, where C is to be that of the residual of W."""
    missed = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((n_samples, 1)) + 0.01 * rng.standard_normal((n_samples, 12))
        y = rng.standard_normal((n_samples, N_TARGETS))
        problem = BlockProblem(np.asfortranarray(X), y, 1e-7)
        points = [_evaluate(problem, np.full(12, 0.1), precision) for precision in (np.inf, 0.0)]
        correlations = [X.T @ (y - X @ point.coef(1)) for point in points]
        missed.append(
            [
                np.linalg.norm(correlation - 1e-7 * point.correlation)
                for correlation, point in zip(correlations, points, strict=True)
            ]
        )
    rough, refined = np.mean(missed, axis=0)
    assert refined < 0.5 * rough


N_STEPS = 30


def run(monkeypatch, values, gaps, tol=0.0):
    """Run the loop with points of these values and gaps; return which is best, and the steps."""
    problem, _ = make_point((8, 20, 5), 1)
    points = [
        SimpleNamespace(value=value, gap=gap, coef=lambda _, number=number: number)
        for number, (value, gap) in enumerate(np.broadcast(values, gaps))
    ]
    following = iter(points)

    def step(problem, point, damping):
        # The relative gap.
        share = point.gap * problem.power / (problem.penalty * point.value / 2)
        assert damping == pytest.approx(max(0.1 * share, 1e-12), rel=1e-9, abs=0.0)
        return next(following)

    def evaluate(problem, variances, precision):
        assert precision == pytest.approx(0.01 * tol, rel=1e-9, abs=0.0)
        return next(following)

    monkeypatch.setattr(newton, "_evaluate", evaluate)
    monkeypatch.setattr(newton, "_compute_gap", lambda problem, point: point.gap)
    monkeypatch.setattr(newton, "_step", step)
    return solve_newton(problem, np.zeros((20, N_TARGETS)), tol=tol, maxit=N_STEPS)


FALLING = np.geomspace(1.0, 1e-3, N_STEPS + 1)


@pytest.mark.parametrize(
    ("values", "gaps", "best", "n_steps"),
    [
        (np.ones(N_STEPS + 1), 1.0, 0, 5),
        (1.0 - 1e-15 * np.arange(N_STEPS + 1), 1.0, 0, 5),
        (FALLING, 1.0, 0, N_STEPS),
        (1.0, FALLING, N_STEPS, N_STEPS),
        (1.0, 0.95 ** np.arange(N_STEPS + 1), 5, 5),
        (np.repeat(FALLING, 5)[: N_STEPS + 1], 1.0, 0, N_STEPS),
        (np.repeat(FALLING, 6)[: N_STEPS + 1], 1.0, 0, 5),
        (1.0, np.repeat(FALLING, 5)[: N_STEPS + 1], N_STEPS, N_STEPS),
        (1.0, np.where(np.arange(N_STEPS + 1) == 2, 0.5, 1.0), 2, 7),
        (1.0, 1e-20 * np.ones(N_STEPS + 1), 0, 5),
        (np.where(np.arange(N_STEPS + 1) == 0, 0.2, 0.1), 1.0, 0, 6),
    ],
)
def test_five_steps_without_progress_are_too_many(monkeypatch, values, gaps, best, n_steps):
    assert run(monkeypatch, values, gaps) == (best, n_steps)


def test_loop_ends_where_the_gap_is_small_enough(monkeypatch):
    assert run(monkeypatch, FALLING, FALLING, tol=FALLING[7]) == (7, 7)


@shapes_and_orients
@pytest.mark.parametrize("fraction", [0.2, 0.9])
def test_step_without_a_model_decreases_the_function(monkeypatch, shape, n_orient, fraction):
    """The penalty is such that some positions should enter, or some should leave."""
    problem, point = make_point(shape, n_orient)
    problem.penalty = fraction * problem.penalty * point.norms.max()
    point = _evaluate(problem, point.variances, 1.0)

    def fail(*args, **kwargs):
        raise LinAlgError

    monkeypatch.setattr(newton, "minimize_quadratic", fail)
    for _ in range(30):
        following = _step(problem, point, damping=0.0)
        assert following.value < point.value
        expected = point.variances * point.norms
        entering = _find_entering(point)
        if len(entering):
            # Halfway to the starts of those that enter, each at a share of what it gets alone.
            starts = (point.norms - 1.0) * problem.penalty / problem.squared_norms / len(entering)
            expected += point.variances
            expected[entering] = starts[entering]
            expected *= 0.5
        expected[expected * problem.squared_norms <= 1e-11 * problem.penalty] = 0.0
        assert_allclose(following.variances, expected, rtol=1e-12)
        point = following


def test_gradient_is_followed_where_the_first_direction_leads_up(monkeypatch):
    problem, point = make_point(SHAPES["support"], 1)
    asked = []

    def lead_up_first(hessian, linear, lower, damping):
        asked.append(linear)
        return -1e-9 * linear if len(asked) == 1 else 1e-6 * linear

    monkeypatch.setattr(newton, "minimize_quadratic", lead_up_first)
    evaluated = []
    monkeypatch.setattr(newton, "_evaluate", lambda *args: evaluated.append(1) or _evaluate(*args))
    following = _step(problem, point, damping=0.0)
    assert len(asked) == 2
    assert len(evaluated) == 1  # nothing is tried upwards
    assert_allclose(np.sort(following.variances - point.variances)[-1], 1e-6 * asked[1].max())
    norms = point.norms[np.append(point.support, _find_entering(point))]
    assert_allclose(asked[0], 2.0 * norms**2 * (norms - 1.0))
    assert_allclose(asked[1], norms**2 - 1.0)


def test_factor_exists_where_the_shift_is_lost():
    columns = np.random.default_rng(0).standard_normal((6, 2))
    matrix = columns @ columns.T
    factor = np.tril(_factorize(matrix.copy(), 1e-300))
    assert_allclose(factor @ factor.T, matrix, rtol=1e-12)
    overwritten = matrix.copy()
    factor = _factorize(overwritten, 0.5)
    assert np.shares_memory(factor, overwritten)
    factor = np.tril(factor)
    assert_allclose(factor @ factor.T, matrix + 0.5 * np.eye(6), rtol=1e-12)
    assert _factorize(np.empty((0, 0)), 0.5).shape == (0, 0)


def search(monkeypatch, problem, point, moving, direction, slope):
    """Return what was accepted, the steps tried, and how the function changed in each."""
    tried = []

    def record(*args):
        tried.append(_evaluate(*args))
        return tried[-1]

    monkeypatch.setattr(newton, "_evaluate", record)
    accepted = _search(problem, point, moving, direction, slope)
    steps = [np.max(each.variances - point.variances) / direction.max() for each in tried]
    return accepted, np.array(steps), np.array([each.value - point.value for each in tried])


@pytest.mark.parametrize("n_moving", [1, 5])
@pytest.mark.parametrize("length", [0.1, 1.0, 3.0, 10.0, 100.0, 1e6])
def test_step_is_shortened_to_the_minimum_of_a_parabola(monkeypatch, n_moving, length):
    problem, point = make_point((8, 30, 5), 1, penalty=1.0)
    moving = np.flatnonzero(point.norms > 1.0)
    moving = moving[np.argsort(point.norms[moving])][:n_moving]
    direction = length * (point.norms[moving] - 1.0)
    slope = (1.0 - point.norms[moving] ** 2) @ direction

    accepted, steps, changes = search(monkeypatch, problem, point, moving, direction, slope)

    assert steps[0] == pytest.approx(1.0)
    for step, change, following in zip(steps, changes, steps[1:], strict=False):
        parabola = -slope * step**2 / (2 * (change - slope * step))
        assert following == pytest.approx(np.clip(parabola, 0.1 * step, 0.5 * step), rel=1e-6)
    is_enough = changes <= 1e-4 * steps * slope
    assert not is_enough[:-1].any()
    assert (accepted is not None) == is_enough[-1]
    assert len(steps) == 4 or accepted is not None


def test_step_stops_at_zero(monkeypatch):
    problem, point = make_point((8, 30, 5), 1, penalty=100.0)
    direction = -2.0 * point.variances[point.support]
    slope = (1.0 - point.norms[point.support] ** 2) @ direction
    accepted, steps, _ = search(monkeypatch, problem, point, point.support, direction, slope)
    assert len(steps) == 1
    assert not accepted.variances.any()
