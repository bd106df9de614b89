"""The solvers of the convex problem, on ordinary problems and on hard ones."""

import inspect
import pickle
import warnings
from functools import cache

import numpy as np
import pytest
from mne.utils import check_version
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from skmxne import MixedNormEstimator
from skmxne.solvers import SOLVERS, BlockProblem, bcd, prox_l21, solve_block_problem
from skmxne.solvers.active_set import solve_mixed_norm
from skmxne.solvers.bcd import solve_bcd
from skmxne.solvers.fista import solve_fista

N_SAMPLES, N_POSITIONS, N_TARGETS = 15, 12, 4
# Sums of a few hundred terms of the size of ||y||^2.
ROUNDING = 1e-14
TOL = {"newton": 1e-10, "bcd": 1e-8, "cd": 1e-8, "prox": 1e-8}


def duplicate(X, n_orient):
    half = N_POSITIONS // 2 * n_orient
    return np.hstack([X[:, :half], X[:, :half]])


def zero(X, n_orient):
    """Set the columns of some positions to zero, one of those that made y among them."""
    kept = np.isin(np.arange(N_POSITIONS), [0, 1, N_POSITIONS - 1], invert=True)
    return X * np.repeat(kept, n_orient)


def spread_singular_values(X, n_orient):
    left, _, right = np.linalg.svd(X, full_matrices=False)
    return left * np.geomspace(1.0, 1e-8, left.shape[1]) @ right


def spread_norms(X, n_orient):
    return X * np.repeat(np.geomspace(1.0, 1e-8, N_POSITIONS), n_orient)


HARD = {
    "singular values from 1 to 1e-8": spread_singular_values,
    "columns from 1 to 1e-8": spread_norms,
    "nearly parallel columns": lambda X, n_orient: X[:, :1] + 1e-8 * X,
}
# What becomes of X.
CASES = HARD | {
    "ordinary": lambda X, n_orient: X,
    "one target": lambda X, n_orient: X,
    "more targets than samples": lambda X, n_orient: X,
    "no noise": lambda X, n_orient: X,
    "one sample": lambda X, n_orient: X[:1],
    "fewer features than samples": lambda X, n_orient: X[:, : 4 * n_orient],
    "duplicated columns": duplicate,
    "zero columns": zero,
    "tiny X": lambda X, n_orient: 1e-15 * X,
    "huge X": lambda X, n_orient: 1e9 * X,
    "tiny y": lambda X, n_orient: X,
    "huge y": lambda X, n_orient: X,
}
N_TARGETS_OF = {"one target": 1, "more targets than samples": 2 * N_SAMPLES}
Y_SCALE_OF = {"tiny y": 1e-15, "huge y": 1e9}

solvers_and_orients = pytest.mark.parametrize(
    ("solver", "n_orient"),
    [
        (solver, n_orient)
        for solver in TOL
        for n_orient in (1, 2, 3)
        if solver != "cd" or n_orient == 1
    ],
)


@cache
def make_case(case, n_orient):
    """Return X and y."""
    rng = np.random.default_rng(0)
    n_targets = N_TARGETS_OF.get(case, N_TARGETS)
    X = rng.standard_normal((N_SAMPLES, N_POSITIONS * n_orient))
    coef = np.zeros((N_POSITIONS * n_orient, n_targets))
    coef[n_orient : 4 * n_orient] = rng.standard_normal((3 * n_orient, n_targets))
    noise = 0.0 if case == "no noise" else 0.1
    y = X @ coef + noise * rng.standard_normal((N_SAMPLES, n_targets))
    X = np.asfortranarray(CASES[case](X, n_orient))
    return X, Y_SCALE_OF.get(case, 1.0) * y[: len(X)]


def make_block_problem(case, n_orient, share):
    """Return a problem whose penalty is a share of the one from which on nothing is active."""
    X, y = make_case(case, n_orient)
    products = (X.T @ y).reshape(-1, n_orient * y.shape[1])
    return BlockProblem(X, y, share * np.linalg.norm(products, axis=1).max(), n_orient)


def zeros_for(problem):
    return np.zeros((problem.X.shape[1], problem.y.shape[1]))


def solve(solver, problem, tol, *, start=None, maxit=5000, dgap_freq=10):
    """Solve to a duality gap relative to ||y||^2."""
    start = zeros_for(problem) if start is None else start
    return SOLVERS[solver](problem, start, tol=tol, maxit=maxit, dgap_freq=dgap_freq)


@cache
def find_reference(case, n_orient, share):
    return solve("newton", make_block_problem(case, n_orient, share), 1e-13)[0]


def judge_with(judge, problem, coef):
    return judge(problem.X, problem.y, coef, problem.penalty, problem.n_orient)


def gap_of(problem, coef):
    return problem.dual_gap(coef)


@pytest.mark.parametrize(
    "function", [solve_mixed_norm, solve_block_problem, solve_bcd, solve_fista]
)
def test_defaults_are_those_of_the_estimator(function):
    parameters = inspect.signature(function).parameters.values()
    defaults = {each.name: each.default for each in parameters if each.default is not each.empty}
    assert defaults
    assert defaults.items() <= MixedNormEstimator().get_params().items()


@solvers_and_orients
@pytest.mark.parametrize("case", CASES)
def test_solution_is_optimal_and_the_same_for_all_solvers(
    judge, are_as_close, case, solver, n_orient
):
    problem = make_block_problem(case, n_orient, share=0.1)
    reference = find_reference(case, n_orient, share=0.1)

    coef, n_iter = solve(solver, problem, TOL[solver])

    gap = gap_of(problem, coef)
    verdict = judge_with(judge, problem, coef)
    assert gap <= TOL[solver]
    assert gap <= verdict.gap + ROUNDING
    assert verdict.gain <= gap + ROUNDING
    assert verdict.primal - judge_with(judge, problem, reference).primal <= gap + ROUNDING
    gaps = gap, gap_of(problem, reference)
    assert are_as_close(problem.X, problem.y, (coef, reference), gaps)
    assert 0 <= n_iter <= 5000


@pytest.mark.parametrize("n_orient", [1, 2, 3])
@pytest.mark.parametrize("share", [0.5, 0.01, 1e-3])
@pytest.mark.parametrize("case", HARD)
def test_newton_reaches_every_gap_on_hard_problems(judge, case, n_orient, share):
    problem = make_block_problem(case, n_orient, share)
    coef, n_iter = solve("newton", problem, TOL["newton"])
    assert judge_with(judge, problem, coef).gain <= TOL["newton"]
    assert gap_of(problem, coef) <= TOL["newton"]
    assert n_iter <= 100


@solvers_and_orients
@pytest.mark.parametrize("maxit", [1, 2, 5])
def test_gap_bounds_what_an_unfinished_solution_misses(judge, solver, n_orient, maxit):
    problem = make_block_problem("ordinary", n_orient, share=0.1)
    coef, n_iter = solve(solver, problem, 0.0, maxit=maxit)
    best = judge_with(judge, problem, find_reference("ordinary", n_orient, share=0.1)).primal
    verdict = judge_with(judge, problem, coef)
    gap = gap_of(problem, coef)
    assert verdict.primal - best <= gap + ROUNDING
    assert gap <= verdict.gap + ROUNDING
    assert n_iter <= maxit


@pytest.mark.parametrize("solver", ["bcd", "cd"])
def test_coordinate_descent_never_raises_the_objective(judge, solver):
    problem = make_block_problem("ordinary", 1, share=0.02)
    values = [
        judge_with(judge, problem, solve(solver, problem, 0.0, maxit=maxit)[0]).primal
        for maxit in range(1, 20)
    ]
    assert max(np.diff(values)) <= ROUNDING
    assert values[-1] < values[0]


@pytest.mark.parametrize(("n_orient", "most"), [(1, 5.0), (3, 5.5)])
def test_newton_takes_few_steps(n_orient, most):
    """On average, to a gap of 1e-10: what a step is worth shows in their number."""
    cases = ["ordinary", "one target", "more targets than samples", "no noise"]
    problems = [
        make_block_problem(case, n_orient, share) for case in cases for share in (0.5, 0.1, 0.02)
    ]
    assert np.mean([solve("newton", problem, 1e-10)[1] for problem in problems]) < most


@pytest.mark.parametrize("n_orient", [1, 3])
def test_newton_never_raises_the_gap(n_orient):
    problem = make_block_problem("ordinary", n_orient, share=0.02)
    gaps = [gap_of(problem, solve("newton", problem, 0.0, maxit=n)[0]) for n in range(1, 20)]
    assert max(np.diff(gaps)) <= ROUNDING
    assert gaps[-1] < gaps[0]


@pytest.mark.parametrize("n_orient", [1, 3])
@pytest.mark.parametrize("share", [0.5, 0.1, 0.02])
@pytest.mark.parametrize("case", ["ordinary", "one target", "more targets than samples"])
def test_newton_converges_quadratically(case, n_orient, share):
    problem = make_block_problem(case, n_orient, share)
    gaps = [gap_of(problem, solve("newton", problem, 0.0, maxit=n)[0]) for n in range(8)]
    assert gaps[5] < 1e-4
    near = int(np.argmax(np.less(gaps, 1e-4)))
    assert gaps[near + 2] < 1e-10


def iterate_by_fista(problem, n_iter):
    """Return the last iterate, and how often the momentum was restarted."""
    step = 1.0 / (1.0001 * np.linalg.norm(problem.X, 2) ** 2)
    coef = ahead = zeros_for(problem)
    momentum, n_restarts = 1.0, 0
    for _ in range(n_iter):
        before = coef
        coef = ahead - step * problem.X.T @ (problem.X @ ahead - problem.y)
        norms = np.maximum(problem.block_norms(coef), step * problem.penalty)
        coef *= np.repeat(1.0 - step * problem.penalty / norms, problem.n_orient)[:, np.newaxis]
        if np.vdot(ahead - coef, coef - before) > 0.0:
            momentum, n_restarts = 1.0, n_restarts + 1
        following = (1.0 + np.sqrt(1.0 + 4.0 * momentum**2)) / 2.0
        ahead = coef + (momentum - 1.0) / following * (coef - before)
        momentum = following
    return coef, n_restarts


@pytest.mark.parametrize("n_orient", [1, 3])
@pytest.mark.parametrize("case", ["ordinary", "tiny y", "fewer features than samples"])
def test_prox_is_fista_with_restarts(case, n_orient):
    problem = make_block_problem(case, n_orient, share=0.1)
    for maxit in (1, 2, 3, 4, 10, 45):
        expected, n_restarts = iterate_by_fista(problem, maxit)
        coef, n_iter = solve("prox", problem, 0.0, maxit=maxit, dgap_freq=np.inf)
        assert n_iter == maxit
        assert_allclose(coef, expected, rtol=1e-8, atol=1e-12 * np.abs(expected).max())
    assert n_restarts > 0


def iterate_by_blocks(problem, n_iter):
    """Return all iterates of block coordinate descent from zero."""
    iterates = [zeros_for(problem)]
    for _ in range(n_iter):
        coef = iterates[-1].copy()
        for g in range(problem.n_positions):
            block = slice(g * problem.n_orient, (g + 1) * problem.n_orient)
            columns = problem.X[:, block]
            lipschitz = np.linalg.norm(columns, 2) ** 2
            coef[block] += columns.T @ (problem.y - problem.X @ coef) / lipschitz
            norm = max(np.linalg.norm(coef[block]), problem.penalty / lipschitz)
            coef[block] *= 1.0 - problem.penalty / lipschitz / norm
        iterates.append(coef)
    return iterates


@pytest.mark.parametrize(
    ("n_orient", "n_before", "helps"), [(1, 0, False), (3, 0, False), (1, 5, True), (3, 30, True)]
)
@pytest.mark.parametrize("case", ["ordinary", "tiny y"])
def test_coordinate_descent_combines_five_cycles(judge, case, n_orient, n_before, helps):
    """It takes the combination if this has the lower objective."""
    problem = make_block_problem(case, n_orient, share=0.1)
    iterates = iterate_by_blocks(problem, n_before + 5)[n_before:]
    # The weights of sum 1 that make the sum of the steps smallest.
    steps = np.diff(np.reshape(iterates, (6, -1)), axis=0)
    others = np.linalg.lstsq((steps[:-1] - steps[-1]).T, -steps[-1], rcond=None)[0]
    combined = np.tensordot(np.append(others, 1.0 - others.sum()), iterates[1:], axes=1)
    primals = [judge_with(judge, problem, coef).primal for coef in (combined, iterates[5])]
    assert (primals[0] < primals[1]) == helps
    expected = [*iterates[1:5], combined if helps else iterates[5]]
    for maxit, following in enumerate(expected, start=1):
        coef, n_iter = solve("bcd", problem, 0.0, start=iterates[0], maxit=maxit)
        assert n_iter == maxit
        assert_allclose(coef, following, rtol=1e-7, atol=1e-8 * np.abs(coef).max())


@solvers_and_orients
def test_coefficients_of_zero_columns_become_zero(solver, n_orient):
    if solver == "cd" and not check_version("sklearn", "1.8"):
        pytest.skip("scikit-learn's solver keeps them before 1.8")
    problem = make_block_problem("zero columns", n_orient, share=0.1)
    coef, _ = solve(solver, problem, TOL[solver], start=np.ones_like(zeros_for(problem)))
    is_zero = ~problem.X.any(axis=0)
    assert is_zero.sum() == 3 * n_orient
    assert not coef[is_zero].any()
    assert coef.any()


@pytest.mark.parametrize("solver", ["bcd", "prox"])
def test_zero_that_stays_is_an_end(solver):
    problem = make_block_problem("ordinary", 3, share=1.1)
    coef, n_iter = solve(solver, problem, 0.0, dgap_freq=np.inf)
    assert not coef.any()
    assert n_iter == 1


@pytest.mark.parametrize(("solver", "share"), [("prox", 0.5), ("prox", 0.02), ("bcd", 0.02)])
def test_acceleration_saves_iterations(monkeypatch, solver, share):
    problem = make_block_problem("ordinary", 3, share)
    options = dict(maxit=10000, dgap_freq=1)
    _, n_iter = solve(solver, problem, 1e-8, **options)
    if solver == "bcd":
        monkeypatch.setattr(bcd, "_N_COMBINED", np.inf)
        _, n_plain = solve(solver, problem, 1e-8, **options)
    else:
        _, n_plain = solve_by_steps(problem, zeros_for(problem), tol=1e-8, **options)
    assert n_iter < 0.5 * n_plain


@solvers_and_orients
@pytest.mark.parametrize("scale", [0.1, 10.0])
def test_any_start_leads_to_the_same_solution(judge, are_as_close, solver, n_orient, scale):
    problem = make_block_problem("ordinary", n_orient, share=0.1)
    rng = np.random.default_rng(0)
    start = scale * rng.standard_normal(zeros_for(problem).shape)
    before = start.copy()

    coef, _ = solve(solver, problem, TOL[solver], start=start)

    gap = gap_of(problem, coef)
    assert gap <= TOL[solver]
    assert judge_with(judge, problem, coef).gain <= gap + ROUNDING
    reference = find_reference("ordinary", n_orient, share=0.1)
    gaps = gap, gap_of(problem, reference)
    assert are_as_close(problem.X, problem.y, (coef, reference), gaps)
    assert_array_equal(start, before)


@solvers_and_orients
def test_start_at_the_solution_is_kept(are_as_close, solver, n_orient):
    problem = make_block_problem("ordinary", n_orient, share=0.1)
    reference = find_reference("ordinary", n_orient, share=0.1)
    coef, n_iter = solve(solver, problem, TOL[solver], start=reference, dgap_freq=1)
    gaps = gap_of(problem, coef), gap_of(problem, reference)
    assert gaps[0] <= TOL[solver]
    assert are_as_close(problem.X, problem.y, (coef, reference), gaps)
    # scikit-learn looks at the gap after every tenth cycle, or when little changes.
    assert n_iter <= (10 if solver == "cd" else 1)


@solvers_and_orients
def test_nothing_is_active_above_the_largest_correlation(solver, n_orient):
    problem = make_block_problem("ordinary", n_orient, share=1.0 + 1e-12)
    coef, _ = solve(solver, problem, TOL[solver])
    assert_array_equal(coef, zeros_for(problem))


@pytest.mark.parametrize("solver", ["bcd", "prox"])
def test_gap_need_not_be_looked_at(solver):
    problem = make_block_problem("ordinary", 1, share=0.5)
    coef, n_iter = solve(solver, problem, 1e-8, dgap_freq=np.inf)
    # Until nothing changes any more.
    assert gap_of(problem, coef) <= ROUNDING
    assert n_iter < 5000


@pytest.mark.parametrize("solver", ["bcd", "prox"])
def test_frequency_of_the_gap_is_that_asked_for(solver):
    problem = make_block_problem("ordinary", 3, share=0.1)
    assert solve(solver, problem, 1e-3, dgap_freq=7)[1] % 7 == 0


def test_gap_that_equals_the_tolerance_is_an_end():
    problem = make_block_problem("ordinary", 3, share=0.1)
    gap = problem.dual_gap(solve("prox", problem, 0.0, maxit=20)[0])
    options = dict(tol=gap, maxit=100, dgap_freq=10)
    assert SOLVERS["prox"](problem, zeros_for(problem), **options)[1] == 20


def test_columns_of_zero_rows_are_not_read():
    X, y = make_case("ordinary", 1)
    X = X.copy()
    X[:, 2:] = np.nan
    coef = zeros_for(BlockProblem(X, y, 1.0))
    coef[:2] = 1.0
    assert_allclose(BlockProblem(X, y, 1.0).predict(coef), X[:, :2] @ coef[:2])


@pytest.mark.parametrize(("n_orient", "is_needed"), [(1, True), (3, False)])
def test_prox_multiplies_columns_only_where_they_are_few(n_orient, is_needed):
    problem = make_block_problem("ordinary", n_orient, share=0.1)
    assert (problem.X.shape[1] < N_SAMPLES) == is_needed
    solve("prox", problem, 1e-8)
    assert ("gram" in vars(problem)) == is_needed


@pytest.mark.parametrize("n_orient", [1, 3])
@pytest.mark.parametrize("gram_is_known", [True, False])
def test_problem_is_extended_and_restricted(n_orient, gram_is_known):
    X, y = make_case("ordinary", n_orient)
    n_first = 5 * n_orient
    problem = BlockProblem(np.asfortranarray(X[:, :n_first]), y, 1.0, n_orient)
    if gram_is_known:
        assert_allclose(problem.gram, X[:, :n_first].T @ X[:, :n_first], rtol=1e-12, atol=1e-12)
    kept = np.arange(N_POSITIONS) % 3 > 0

    extended = problem.extend(X[:, n_first:])
    restricted = extended.restrict(kept)

    assert_array_equal(extended.X, X)
    assert_array_equal(restricted.X, X[:, np.repeat(kept, n_orient)])
    assert (extended.n_positions, restricted.n_positions) == (N_POSITIONS, kept.sum())
    for each in (extended, restricted):
        # What is known is kept, and what is not is not computed unasked.
        assert ("gram" in vars(each)) == gram_is_known
        assert_allclose(each.gram, each.X.T @ each.X, rtol=1e-12, atol=1e-12)
        assert_allclose(each.Xty, each.X.T @ y, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n_orient", [1, 3])
def test_quantities_of_a_problem_are_those_of_the_matrices(n_orient):
    problem = make_block_problem("ordinary", n_orient, share=0.1)
    blocks = [problem.X[:, g : g + n_orient] for g in range(0, problem.X.shape[1], n_orient)]
    assert_allclose(problem.lipschitz, [np.linalg.norm(block, 2) ** 2 for block in blocks])
    assert_allclose(problem.squared_norms, [np.sum(block**2) for block in blocks])
    assert BlockProblem(problem.X, problem.y, 1.0).n_orient == 1
    sparse, dense = zeros_for(problem), np.ones_like(zeros_for(problem))
    sparse[0] = sparse[-1] = 1.0
    for coef in (sparse, dense):
        assert_allclose(problem.predict(coef), problem.X @ coef, rtol=1e-12, atol=1e-12)
        residual = problem.y - problem.X @ coef
        assert problem.dual_gap(coef, residual) == pytest.approx(problem.dual_gap(coef))


def test_newton_does_not_stall_where_its_hessian_is_singular(make_problem):
    """One target: the Hessian of hundreds of positions has at most the rank of the samples."""
    X, y = make_problem(60, 600, n_targets=1, correlation=0.95, noise=1.0, n_active=20)
    estimator = MixedNormEstimator(0.5, solver="newton", tol=1e-8).fit(X, y)
    assert estimator.converged_
    # 22 with damping, 307 without.
    assert estimator.n_iter_ < 50


def solve_by_steps(problem, coef, *, tol, maxit, dgap_freq):
    """Solve by proximal gradient descent, as a user may write it; the start is written over."""
    step = 1.0 / np.linalg.norm(problem.X, 2) ** 2
    for n_iter in range(1, maxit + 1):
        coef += step * problem.X.T @ (problem.y - problem.X @ coef)
        coef[:] = prox_l21(coef, step * problem.penalty, problem.n_orient)
        if n_iter % dgap_freq == 0 and problem.dual_gap(coef) <= tol:
            break
    return coef, n_iter


@pytest.mark.parametrize("n_orient", [1, 3])
@pytest.mark.parametrize("n_mxne_iter", [1, 5])
def test_solver_of_a_user_is_as_good_as_the_others(make_problem, n_orient, n_mxne_iter):
    X, y = make_problem(n_orient=n_orient)
    params = dict(alpha=30, n_orient=n_orient, n_mxne_iter=n_mxne_iter, tol=1e-10)
    estimator = MixedNormEstimator(solver=solve_by_steps, **params)

    estimator = pickle.loads(pickle.dumps(clone(estimator).fit(X, y)))

    ours = MixedNormEstimator(**params).fit(X, y)
    assert estimator.converged_
    assert estimator.dual_gap_ <= 1e-10
    assert_array_equal(estimator.active_set_, ours.active_set_)
    assert_allclose(estimator.coef_, ours.coef_, atol=1e-4 * np.abs(ours.coef_).max())
    assert estimator.n_iter_ > ours.n_iter_


def test_solver_of_a_user_is_not_believed(make_problem):
    def solve_nothing(problem, coef, *, tol, maxit, dgap_freq):
        return coef + 1e-3, 1

    with pytest.warns(ConvergenceWarning, match="The duality gap"):
        estimator = MixedNormEstimator(solver=solve_nothing).fit(*make_problem())
    assert not estimator.converged_
    assert estimator.dual_gap_ > estimator.tol


def test_solver_of_a_user_may_count_as_it_likes(make_problem):
    def solve(*args, **kwargs):
        return SOLVERS["newton"](*args, **kwargs)[0], np.int64(0)

    assert MixedNormEstimator(solver=solve).fit(*make_problem()).converged_


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda coef: (coef.T, 1),
            r"the same shape as its input, \(10, 7\), .* of shape \(7, 10\)",
        ),
        (lambda coef: (np.append(coef, coef, axis=0), 1), r"float64 of shape \(20, 7\), and 1"),
        (lambda coef: (coef * np.nan, 1), "must return finite coefficients"),
        (lambda coef: (coef + 0j, 1), r"it returned complex128 of shape \(10, 7\)"),
        (lambda coef: (coef, 1.5), "it returned tuple"),
        (lambda coef: (coef, -1), "and -1"),
        (lambda coef: (coef, None), "it returned tuple"),
        (lambda coef: (coef, 1, 0.0), "it returned tuple"),
        (lambda coef: coef, "it returned ndarray"),
        (lambda coef: None, "it returned NoneType"),
    ],
)
def test_solver_of_a_user_is_told_what_to_return(make_problem, spoil, message):
    def solve(problem, coef, *, tol, maxit, dgap_freq):
        return spoil(np.ones_like(coef))

    with pytest.raises(ValueError, match=message):
        MixedNormEstimator(solver=solve, time_pca=False).fit(*make_problem(n_targets=7))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (dict(penalty=0.0), "penalty must be positive and finite, got 0.0"),
        (dict(penalty=-1.0), "penalty must be positive and finite, got -1.0"),
        (dict(penalty=np.inf), "penalty must be positive and finite, got inf"),
        (dict(penalty=np.nan), "penalty must be positive and finite, got nan"),
        (dict(solver="lars"), "solver='lars' is unknown"),
        (dict(solver="cd", n_orient=2), "solver='cd' handles n_orient=1 only"),
        (dict(maxit=0), "maxit must be a positive integer, got 0"),
        (dict(coef=np.zeros((40, 7))), r"coef has shape \(40, 7\), but"),
        (dict(coef=np.zeros((3, 2))), r"coef has shape \(3, 2\), but the problem needs \(30, 7\)"),
    ],
)
def test_block_problem_that_makes_no_sense(make_problem, options, match):
    X, y = make_problem(20, 30, n_targets=7)
    options = dict(penalty=1.0, n_orient=1, coef=np.zeros((30, 7)), tol=1e-6) | options
    sizes = options.pop("penalty"), options.pop("n_orient")
    with pytest.raises(ValueError, match=match):
        solve_block_problem(BlockProblem(X, y, *sizes), options.pop("coef"), **options)


@pytest.mark.parametrize("solver", ["newton", "bcd", "cd", "prox"])
def test_block_problem_takes_numbers_of_all_kinds(make_problem, solver):
    X, y = make_problem(20, 30, n_targets=7)
    start = np.zeros((30, 7), dtype=int)
    problem = BlockProblem(X.astype(np.float32), y.astype(np.float32), 5.0)
    coef, _ = solve_block_problem(problem, start, tol=1e-8, solver=solver)
    assert problem.dual_gap(coef) <= 1e-8
    problem = BlockProblem(0 * X, y, 5.0)
    coef, n_iter = solve_block_problem(problem, start, tol=1e-8, solver=solver)
    assert not coef.any()
    if solver in ("bcd", "prox"):  # the others have their own count
        assert n_iter == 1


@pytest.mark.parametrize(
    ("solver", "n_orient"), [("newton", 2), ("bcd", 2), ("prox", 2), ("cd", 1)]
)
def test_block_problem_may_have_one_iteration(make_problem, solver, n_orient):
    X, y = make_problem(20, 30, n_orient=n_orient)
    problem = BlockProblem(np.asfortranarray(X), y, 5.0, n_orient)
    start = np.zeros((X.shape[1], y.shape[1]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        coef, n_iter = solve_block_problem(problem, start, tol=0.0, solver=solver, maxit=1)
    assert n_iter == 1
    assert coef.any()


@pytest.mark.parametrize("name", ["X", "y"])
def test_solver_of_a_user_cannot_write_to_the_data(make_problem, name):
    def solve(problem, coef, **options):
        getattr(problem, name)[:] = 0.0

    X, y = make_problem(20, 30)
    with pytest.raises(ValueError, match="read-only"):
        solve_block_problem(
            BlockProblem(X, y, 5.0), np.zeros((30, y.shape[1])), tol=1, solver=solve
        )
    assert X.flags.writeable
    assert y.flags.writeable
