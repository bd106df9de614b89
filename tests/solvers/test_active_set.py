"""The active set: a solution for all positions, and its certificate."""

import re
from inspect import signature
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from skmxne import MixedNormEstimator
from skmxne.solvers import SOLVERS, solve_block_problem
from skmxne.solvers.active_set import Solution, _ActiveSet, _DualBound, solve_mixed_norm
from skmxne.solvers.design import BlockDesign, Correlation
from skmxne.solvers.objective import compute_dual_step

SIZES = dict(n_samples=25, n_positions=60, n_targets=5, noise=0.5)
# Sums of a few hundred terms of the size of ||y||^2.
ROUNDING = 1e-14
TOL = {"newton": 1e-10, "bcd": 1e-8, "cd": 1e-8, "prox": 1e-8}

solvers_and_orients = pytest.mark.parametrize(
    ("solver", "n_orient"),
    [
        (solver, n_orient)
        for solver in TOL
        for n_orient in (1, 3)
        if solver != "cd" or n_orient == 1
    ],
)


class Case:
    """A problem over all positions, and what is asked of its solutions."""

    def __init__(self, X, y, n_orient=1, share=0.2, scale=None):
        self.y, self.n_orient = y, n_orient
        self.design = BlockDesign(X, n_orient, scale)
        # Written out: the design is what is tested.
        self.X = X if scale is None else X * np.repeat(scale, n_orient)
        blocks = (self.X.T @ y).reshape(-1, n_orient * y.shape[1])
        self.penalty = share * np.linalg.norm(blocks, axis=1).max()

    def solve(self, solver="newton", start=None, **options):
        if start is None:
            start = Solution.empty(self.y, Correlation.measure(self.design, self.y))
        options = {"tol": TOL.get(solver)} | options
        return solve_mixed_norm(self.design, self.y, self.penalty, start, solver=solver, **options)

    def expand(self, solution):
        """Return the coefficients of all features."""
        coef = np.zeros((self.design.n_positions, self.n_orient, self.y.shape[1]))
        coef[solution.positions] = solution.coef.reshape(-1, *coef.shape[1:])
        return coef.reshape(-1, self.y.shape[1])

    def judge(self, judge, solution):
        return judge(self.X, self.y, self.expand(solution), self.penalty, self.n_orient)


@pytest.fixture
def make_case(make_problem):
    """Return a function that makes a case."""

    def make(n_orient=1, share=0.2, scale=None, **sizes):
        X, y = make_problem(n_orient=n_orient, **(SIZES | sizes))
        return Case(X, y.reshape(len(y), -1), n_orient, share, scale)

    return make


def test_model_without_positions_is_an_answer():
    """Where the data are zero, or alpha is 100."""
    solution = Solution.empty(np.zeros((5, 3)))
    assert solution.positions.shape == (0,)
    assert solution.positions.dtype.kind == "i"
    assert solution.coef.shape == (0, 3)
    assert (solution.dual_gap, solution.n_iter, solution.converged) == (0.0, 0, True)


@solvers_and_orients
@pytest.mark.parametrize("active_set_size", [1, 10, None])
@pytest.mark.parametrize("share", [0.5, 0.1])
def test_solution_is_certified_with_any_active_set(
    judge, are_as_close, make_case, solver, n_orient, active_set_size, share
):
    case = make_case(n_orient, share)

    solution = case.solve(solver, active_set_size=active_set_size)

    verdict = case.judge(judge, solution)
    assert solution.converged
    assert 0.0 <= solution.dual_gap <= TOL[solver]
    # The gap is that of the best multiple of the residual.
    assert solution.dual_gap <= verdict.gap + ROUNDING
    assert verdict.gain <= solution.dual_gap + ROUNDING
    power = np.vdot(case.y, case.y)
    assert solution.objective[-1] == pytest.approx(power * verdict.primal, rel=1e-12)
    reference = case.solve(tol=1e-13)
    assert verdict.primal - case.judge(judge, reference).primal <= solution.dual_gap + ROUNDING
    coefs = case.expand(solution), case.expand(reference)
    assert are_as_close(case.X, case.y, coefs, (solution.dual_gap, reference.dual_gap))


@solvers_and_orients
def test_objective_never_rises(make_case, solver, n_orient):
    case = make_case(n_orient, share=0.03)
    solution = case.solve(solver, active_set_size=1)
    assert len(solution.objective) > 3
    assert max(np.diff(solution.objective)) <= ROUNDING * np.vdot(case.y, case.y)


def read_gaps(caplog):
    """Return the gaps that were logged."""
    pattern = re.compile(r"relative duality gap (\S+),")
    return [float(pattern.search(record.getMessage())[1]) for record in caplog.records]


@solvers_and_orients
def test_gap_never_rises(caplog, make_case, solver, n_orient):
    case = make_case(n_orient, share=0.03)
    with caplog.at_level("INFO", logger="skmxne"):
        solution = case.solve(solver, active_set_size=1)
    gaps = read_gaps(caplog)
    assert len(gaps) == len(solution.objective) > 3
    assert gaps[-1] == pytest.approx(solution.dual_gap, rel=0.1)
    assert max(np.diff(gaps)) <= ROUNDING


@pytest.mark.parametrize("solver", TOL)
def test_slow_start_is_not_taken_for_the_end(solver):
    """The first positions of many alike hardly change the gap."""
    case = Case(np.eye(40), np.ones((40, 2)))
    solution = case.solve(solver, active_set_size=1)
    assert solution.converged
    assert len(solution.positions) == 40


@pytest.mark.parametrize(("excess", "is_taken"), [(-1e-3, True), (1e-3, False), (0.6, False)])
def test_start_is_taken_where_it_is_better_than_zero(make_case, excess, is_taken):
    case = make_case()
    direction, power = case.solve().coef, np.sum(case.y**2)
    positions = case.solve().positions
    fields = case.X[:, positions] @ direction
    norms = case.penalty * np.linalg.norm(direction, axis=1).sum()
    # Of the step s: 1/2 ||y - s f||^2 + s n = (1 + excess) / 2 ||y||^2, at its larger root.
    slope = np.vdot(case.y, fields) - norms
    step = (slope + np.sqrt(slope**2 + excess * power * np.sum(fields**2))) / np.sum(fields**2)
    starts = []

    def solve(problem, coef, **options):
        starts.append(coef)
        return SOLVERS["newton"](problem, coef, **options)

    solution = case.solve(solve, Solution(positions, step * direction), tol=1e-8)
    assert solution.converged
    assert starts[0].any() == is_taken


@pytest.mark.parametrize("function", [solve_mixed_norm, solve_block_problem])
def test_defaults_are_those_of_the_estimator(function):
    defaults = {
        name: parameter.default
        for name, parameter in signature(function).parameters.items()
        if parameter.default is not parameter.empty
    }
    assert defaults
    assert defaults.items() <= MixedNormEstimator().get_params().items()


# By `size` at first, then by as many as there are, or twice as many while these are fewer columns
# than samples, and by at least twice as many every time.
@pytest.mark.parametrize(
    ("n_samples", "size", "n_before", "n_joining"),
    [
        (25, 3, 0, 3),
        (25, 3, 1, 8),
        (25, 3, 3, 24),
        (4, 3, 1, 6),
        (4, 1, 1, 4),
        (3, 1, 1, 4),
        (5, 1, 1, 8),
    ],
)
def test_worst_positions_join(make_case, n_samples, size, n_before, n_joining):
    case = make_case(n_samples=n_samples)
    start = Solution(np.array([7, 3, 50, 20]), np.ones((4, case.y.shape[1])))
    growing = _ActiveSet(case.design, case.y, case.penalty, start)
    norms = case.penalty * np.random.default_rng(0).uniform(0.5, 3.0, SIZES["n_positions"])
    candidates = np.arange(SIZES["n_positions"]) % 5 > 0
    certificate = SimpleNamespace(correlation=SimpleNamespace(norms=norms), candidates=candidates)

    growing.grow(certificate, size, n_before)

    could = np.setdiff1d(np.flatnonzero(candidates & (norms > case.penalty)), start.positions)
    worst = could[np.argsort(norms[could])[::-1][:n_joining]]
    assert_array_equal(growing.positions, np.append(start.positions, worst))
    assert_array_equal(growing.problem.X, case.X[:, growing.positions])
    assert_array_equal(growing.coef[:4], start.coef)
    assert growing.coef.shape == (4 + n_joining, case.y.shape[1])
    assert not growing.coef[4:].any()


def test_no_position_joins_that_does_not_violate_optimality(make_case):
    case = make_case()
    growing = _ActiveSet(case.design, case.y, case.penalty, Solution.empty(case.y))
    norms = case.penalty * np.linspace(0.0, 2.0, SIZES["n_positions"])
    everywhere = np.ones(SIZES["n_positions"], dtype=bool)
    certificate = SimpleNamespace(correlation=SimpleNamespace(norms=norms), candidates=everywhere)
    growing.grow(certificate, SIZES["n_positions"], 0)
    assert_array_equal(np.sort(growing.positions), np.flatnonzero(norms > case.penalty))


def test_all_positions_join_without_active_set(make_case):
    case = make_case(scale=np.arange(SIZES["n_positions"]) % 4 / 3)
    growing = _ActiveSet(case.design, case.y, case.penalty, Solution.empty(case.y))
    norms = np.zeros(SIZES["n_positions"])
    certificate = SimpleNamespace(correlation=SimpleNamespace(norms=norms), candidates=norms > 0)
    growing.grow(certificate, None, 0)
    assert_array_equal(growing.positions, np.flatnonzero(case.X.any(axis=0)))


@pytest.mark.parametrize(
    ("busy", "n_outer", "converged"), [((), 10, False), ((10,), 20, False), ((10, 20), 20, True)]
)
def test_ten_iterations_without_progress_are_too_many(make_case, busy, n_outer, converged):
    n_calls = 0

    def solve_at_times(problem, coef, **options):
        nonlocal n_calls
        n_calls += 1
        if n_calls not in busy:
            return coef, 0
        return SOLVERS["newton"](problem, coef, tol=0.0, maxit=2 if n_calls == 10 else 100)

    solution = make_case().solve(solve_at_times, tol=1e-8, active_set_size=None)
    assert solution.converged == converged
    assert len(solution.objective) == n_outer
    if not busy:
        assert solution.n_iter == n_outer


def test_gap_that_equals_the_tolerance_is_an_end(make_case):
    def solve_nothing(problem, coef, **options):
        return coef, 1

    gap = make_case().solve(solve_nothing, tol=1e-8).dual_gap
    solution = make_case().solve(solve_nothing, tol=gap)
    assert solution.converged
    assert len(solution.objective) == 1


def test_start_at_the_solution_is_not_solved_further_than_asked(make_case):
    given = []

    def solve(problem, coef, *, tol, **options):
        given.append(tol)
        return coef, 1

    case = make_case()
    assert case.solve(solve, case.solve(tol=1e-12), tol=1e-6).converged
    assert given == [pytest.approx(0.3e-6)]


def test_solver_gets_the_iterations_that_are_left(make_case):
    given = []

    def solve(problem, coef, *, maxit, **options):
        given.append(maxit)
        return SOLVERS["bcd"](problem, coef, maxit=maxit, **options)[0], 7

    solution = make_case(share=0.03).solve(solve, tol=1e-8, maxit=20, active_set_size=1)
    assert given == [20, 13, 6]
    assert solution.n_iter == 21


@pytest.mark.parametrize("n_orient", [1, 3])
@pytest.mark.parametrize("tol", [1e-2, 1e-4, 1e-6, 1e-8])
@pytest.mark.parametrize("scale", [1.0, 1e-9])
def test_screening_leaves_what_may_be_active(make_case, n_orient, tol, scale):
    case = make_case(n_orient, n_positions=200)
    case = Case(case.X, scale * case.y, n_orient, share=0.3)
    positions = _ActiveSet(case.design, case.y, case.penalty, case.solve(tol=tol))
    certificate = _DualBound(case.design, case.y, case.penalty)
    certificate.update(positions, positions.correlate())

    residual = case.y - case.X @ case.expand(case.solve(tol=tol))
    norms = np.linalg.norm((case.X.T @ residual).reshape(200, -1), axis=1)
    theta = compute_dual_step(case.y, residual, norms.max(), case.penalty) * norms
    radius = np.sqrt(2.0 * certificate.gap * np.vdot(case.y, case.y))
    widths = np.linalg.norm(case.X.reshape(len(case.y), 200, -1), axis=(0, 2))
    assert_array_equal(certificate.candidates, theta + widths * radius >= case.penalty)
    assert certificate.candidates[case.solve(tol=1e-13).positions].all()


@solvers_and_orients
def test_positions_are_sorted_and_none_is_zero(make_case, solver, n_orient):
    case = make_case(n_orient, share=0.1)
    solution = case.solve(solver, active_set_size=2)
    assert len(solution.positions) > 3
    assert (np.diff(solution.positions) > 0).all()
    blocks = solution.coef.reshape(len(solution.positions), -1)
    assert blocks.any(axis=1).all()


@pytest.mark.parametrize("n_orient", [1, 3])
def test_one_position_is_active_just_below_the_largest_correlation(make_case, n_orient):
    # The gap of zero is (1 - share)^2 / 2 of ||y||^2 at most, and of that order.
    solution = make_case(n_orient, share=1 - 1e-5).solve(tol=1e-13)
    assert len(solution.positions) == 1
    assert solution.converged


@solvers_and_orients
@pytest.mark.parametrize("active_set_size", [10, None])
def test_none_is_active_above_the_largest_correlation(make_case, solver, n_orient, active_set_size):
    case = make_case(n_orient, share=1 + 1e-9)
    solution = case.solve(solver, active_set_size=active_set_size)
    assert len(solution.positions) == 0
    assert solution.coef.shape == (0, case.y.shape[1])
    assert solution.n_iter == 1
    assert solution.converged
    assert solution.dual_gap <= ROUNDING


@solvers_and_orients
@pytest.mark.parametrize("active_set_size", [10, None])
def test_start_at_the_solution_takes_one_iteration(make_case, solver, n_orient, active_set_size):
    case = make_case(n_orient)
    first = case.solve(solver, tol=TOL[solver] / 100)
    start = Solution(first.positions, first.coef)
    before = first.coef.copy()

    second = case.solve(solver, start, active_set_size=active_set_size, dgap_freq=1)

    assert len(second.objective) == 1
    assert second.converged
    assert_array_equal(second.positions, first.positions)
    assert_array_equal(first.coef, before)


@solvers_and_orients
@pytest.mark.parametrize("active_set_size", [10, None])
@pytest.mark.parametrize("share", [0.1, 0.4])
def test_start_at_another_solution_leads_to_the_same(
    are_as_close, make_case, solver, n_orient, active_set_size, share
):
    case = make_case(n_orient)
    start = make_case(n_orient, share).solve()
    before = start.coef.copy()
    warm = case.solve(solver, start, active_set_size=active_set_size)
    cold = case.solve(solver)
    assert warm.converged
    coefs = case.expand(warm), case.expand(cold)
    assert are_as_close(case.X, case.y, coefs, (warm.dual_gap, cold.dual_gap))
    assert_array_equal(start.coef, before)


@solvers_and_orients
def test_start_without_positions_or_correlation_will_do(make_case, solver, n_orient):
    case = make_case(n_orient)
    solution = case.solve(solver, Solution.empty(case.y))
    assert_array_equal(solution.positions, case.solve(solver).positions)
    assert solution.converged


@solvers_and_orients
@pytest.mark.parametrize("maxit", [1, 3])
def test_gap_is_valid_where_the_iterations_run_out(judge, make_case, solver, n_orient, maxit):
    case = make_case(n_orient, share=0.02)
    solution = case.solve(solver, maxit=maxit)
    best = case.judge(judge, case.solve(tol=1e-13)).primal
    assert not solution.converged
    assert solution.n_iter <= maxit
    assert case.judge(judge, solution).primal - best <= solution.dual_gap + ROUNDING
    assert TOL[solver] < solution.dual_gap <= case.judge(judge, solution).gap + ROUNDING


@pytest.mark.parametrize("solver", ["newton", "bcd", "prox"])
@pytest.mark.parametrize("active_set_size", [10, None])
def test_positions_of_scale_zero_are_left_out(judge, make_case, solver, active_set_size):
    scale = np.random.default_rng(0).uniform(0.5, 1.0, SIZES["n_positions"])
    scale[::2] = 0.0
    case = make_case(n_orient=3, scale=scale)
    solution = case.solve(solver, active_set_size=active_set_size)
    assert len(solution.positions) > 0
    assert (solution.positions % 2 == 1).all()
    assert case.judge(judge, solution).gain <= solution.dual_gap + ROUNDING


@pytest.mark.parametrize("n_targets", [1, 40])
def test_one_target_and_more_targets_than_samples(judge, make_case, n_targets):
    case = make_case(n_orient=3, n_targets=n_targets)
    solution = case.solve()
    assert solution.converged
    assert case.judge(judge, solution).gain <= solution.dual_gap + ROUNDING


def test_correlation_bounds_that_of_the_residual(make_case):
    case = make_case(n_orient=3)
    solution = case.solve()
    residual = case.y - case.X @ case.expand(solution)
    norms = np.linalg.norm((case.X.T @ residual).reshape(SIZES["n_positions"], -1), axis=1)
    assert (solution.correlation.bounds(case.design) >= norms * (1 - 1e-12)).all()


def test_loose_tolerance_is_enough():
    """Zero has a gap of half of ||y||^2 at most."""
    rng = np.random.default_rng(0)
    case = Case(rng.standard_normal((10, 20)), rng.standard_normal((10, 2)))
    solution = case.solve(tol=1.0)
    assert solution.converged
    assert solution.dual_gap <= 1.0


def test_iterations_are_logged(caplog, make_case):
    with caplog.at_level("INFO", logger="skmxne"):
        solution = make_case().solve()
    messages = [record.getMessage() for record in caplog.records]
    for number, (message, objective) in enumerate(
        zip(messages, solution.objective, strict=True), start=1
    ):
        expected = f"outer iteration {number}: objective {objective:g}, relative duality gap "
        assert message.startswith(expected)
    assert f"active blocks {len(solution.positions)}" in messages[-1]


@pytest.mark.parametrize("n_orient", [1, 3])
def test_screened_positions_cost_no_products(judge, make_case, n_orient):
    case = make_case(n_orient, share=0.5, n_positions=400, n_targets=1)

    solution = case.solve(tol=1e-12)

    # One product for the start and one for each iteration, but for the last.
    assert case.design.n_products < 1 + len(solution.objective)
    # The gap over all positions, screened or not.
    assert case.judge(judge, solution).gap <= 1e-12 + ROUNDING


# Where the systems of Newton's method are ill-conditioned, their solutions need to be refined.
@example(0, (6, 2, 2), 4, 4.0, 0, 0.001, 1)
@example(1, (6, 16, 1), 3, 3.0, 0, 2.0**-9, 1)
@example(0, (2, 6, 1), 2, 3.0, 0, 2.0**-6, 1)
@example(0, (13, 13, 2), 4, 3.0, 0, 0.001, 1)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 20), st.integers(1, 30), st.integers(1, 25)),
    n_orient=st.integers(1, 4),
    decades=st.floats(0, 8),
    n_duplicates=st.integers(0, 5),
    share=st.floats(1e-3, 1.1),
    active_set_size=st.sampled_from([1, 3, 10, None]),
)
def test_newton_is_certified_whatever_the_problem(
    judge, seed, shape, n_orient, decades, n_duplicates, share, active_set_size
):
    rng = np.random.default_rng(seed)
    n_samples, n_positions, n_targets = shape
    X = rng.standard_normal((n_samples, n_positions * n_orient))
    left, values, right = np.linalg.svd(X, full_matrices=False)
    X = left * 10.0 ** (-decades * np.linspace(0.0, 1.0, len(values))) @ right
    blocks = X.reshape(n_samples, n_positions, n_orient)
    blocks[:, :n_duplicates] = blocks[:, -1:]
    case = Case(X, rng.standard_normal((n_samples, n_targets)), n_orient, share)

    solution = case.solve(active_set_size=active_set_size)

    verdict = case.judge(judge, solution)
    # Correlations of the size of the penalty are sums of terms that may be much larger.
    rounding = ROUNDING / share
    assert solution.converged
    assert solution.dual_gap <= min(TOL["newton"], verdict.gap + rounding)
    assert verdict.gain <= solution.dual_gap + rounding
    assert max(np.diff(solution.objective), default=0.0) <= ROUNDING * np.vdot(case.y, case.y)
