"""Exact degrees of freedom, against the divergence of the fit by finite differences."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skmxne.linear_model.fit_problem import MixedNormProblem
from skmxne.linear_model.options import FitOptions
from skmxne.model_selection import degrees_of_freedom
from skmxne.model_selection.criteria import CRITERIA, Fits, compute_rss_and_dof
from skmxne.model_selection.degrees_of_freedom import _Linearized, compute_degrees_of_freedom

STEP = 1e-5
# Central differences are exact to their step squared, and to rounding divided by the step.
RTOL = 2e-6


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def fit(X, y, penalty, *, n_mxne_iter=1, target_covariance=None, **kwargs):
    """Solve at an absolute penalty, to rounding. Return the fit and what gives its dof."""
    options = FitOptions(n_mxne_iter=n_mxne_iter, tol=1e-15, **kwargs)
    problem = MixedNormProblem(X, y, options)
    alpha = 100 * penalty / problem.alpha_max
    solution, _ = problem.solve(alpha)
    active, coef = problem.to_coef(solution)

    def judge():
        return compute_rss_and_dof(problem, alpha, solution, target_covariance=target_covariance)[
            :2
        ]

    return X[:, active] @ coef.T, judge


def solve(X, y, penalty, **kwargs):
    """Return the fit and its degrees of freedom."""
    fitted, judge = fit(X, y, penalty, **kwargs)
    rss, dof = judge()
    # A relative gap of 1e-12 bounds the fields by the root of twice that.
    bound = 2 * np.sqrt(2e-12) * np.sum(y**2)
    assert rss == pytest.approx(np.sum((y - fitted) ** 2), abs=bound)
    return fitted, dof


def differentiate(X, y, penalty, target_covariance=None, **kwargs):
    """Sum up the derivatives of every fitted value, each with the covariance of its datum."""
    covariance = np.eye(y.shape[1]) if target_covariance is None else target_covariance
    divergence = 0.0
    for sample, target in np.ndindex(*y.shape):
        ends = []
        for sign in (1, -1):
            moved = y.copy()
            moved[sample, target] += sign * STEP
            ends.append(fit(X, moved, penalty, **kwargs)[0][sample])
        divergence += covariance[target] @ (ends[0] - ends[1]) / (2 * STEP)
    return divergence


def count_active(X, y, penalty, **kwargs):
    problem = MixedNormProblem(X, y, FitOptions(**kwargs))
    return len(problem.solve(100 * penalty / problem.alpha_max)[0].positions)


def get_penalty(X, y, share=0.2, **kwargs):
    return share * MixedNormProblem(X, y, FitOptions(**kwargs)).alpha_max


@pytest.fixture
def make_data(make_problem):
    """Return a function that makes X and a two-dimensional y."""

    def make(n_samples=12, n_positions=20, **kwargs):
        X, y = make_problem(n_samples, n_positions, n_active=2, noise=1.0, **kwargs)
        return X, y.reshape(n_samples, -1)

    return make


@pytest.mark.usual(n_mxne_iter=[1])
@pytest.mark.usual(n_mxne_iter=[5], n_samples=[12])
@pytest.mark.parametrize("n_mxne_iter", [1, 2, 5, 100])
@pytest.mark.parametrize(
    ("n_samples", "n_orient", "n_targets"), [(15, 1, 1), (15, 1, 4), (12, 3, 3), (5, 2, 8)]
)
def test_divergence_of_the_fit(make_data, n_samples, n_orient, n_targets, n_mxne_iter):
    X, y = make_data(n_samples, n_orient=n_orient, n_targets=n_targets)
    penalty = get_penalty(X, y, n_orient=n_orient)
    arguments = dict(n_orient=n_orient, n_mxne_iter=n_mxne_iter, reweighting_scale=1.5)
    _, dof = solve(X, y, penalty, **arguments)
    assert count_active(X, y, penalty, n_orient=n_orient) >= 2
    assert_allclose(dof, differentiate(X, y, penalty, **arguments), rtol=RTOL)


def duplicate(X, n_orient):
    return np.hstack([X, X])


def duplicate_some_scaled(X, n_orient):
    return np.hstack([X, 0.9 * X[:, : 6 * n_orient], -X[:, : 3 * n_orient]])


def lower_rank(X, n_orient):
    left, singular_values, right = np.linalg.svd(X, full_matrices=False)
    return left[:, :3] * singular_values[:3] @ right[:3]


def lower_rank_and_duplicate(X, n_orient):
    return duplicate(lower_rank(X, n_orient), n_orient)


# Where the coefficients are not unique, nor are the weights they make, but at a fixed point.
@pytest.mark.usual(n_mxne_iter=[1], n_orient=[2])
@pytest.mark.parametrize("n_mxne_iter", [1, 100])
@pytest.mark.parametrize(("n_orient", "n_targets"), [(1, 1), (1, 4), (2, 3)])
@pytest.mark.parametrize(
    "change", [duplicate, duplicate_some_scaled, lower_rank, lower_rank_and_duplicate]
)
def test_linearly_dependent_columns(make_data, change, n_orient, n_targets, n_mxne_iter):
    X, y = make_data(10, 12, n_orient=n_orient, n_targets=n_targets)
    X = change(X, n_orient)
    penalty = get_penalty(X, y, n_orient=n_orient)
    arguments = dict(n_orient=n_orient, n_mxne_iter=n_mxne_iter, reweighting_scale=1.5)
    _, dof = solve(X, y, penalty, **arguments)
    assert_allclose(dof, differentiate(X, y, penalty, **arguments), rtol=RTOL)


@pytest.mark.parametrize("n_orient", [1, 2])
def test_columns_that_occur_twice_count_once(make_data, n_orient):
    """Both of each pair are active, which makes the system singular."""
    X, y = make_data(10, 12, n_orient=n_orient, n_targets=4)
    penalty = get_penalty(X, y, n_orient=n_orient)
    twice = np.hstack([X, X])
    n_active = count_active(X, y, penalty, n_orient=n_orient)
    assert count_active(twice, y, penalty, n_orient=n_orient) == 2 * n_active
    expected = solve(X, y, penalty, n_orient=n_orient)[1]
    assert_allclose(solve(twice, y, penalty, n_orient=n_orient)[1], expected, rtol=1e-7)


@pytest.mark.parametrize("n_mxne_iter", [1, 3])
def test_more_active_features_than_samples(make_data, n_mxne_iter):
    X, y = make_data(5, 30, n_orient=3, n_targets=4)
    penalty = get_penalty(X, y, 0.05, n_orient=3)
    arguments = dict(n_orient=3, n_mxne_iter=n_mxne_iter, reweighting_scale=1.5)
    assert 3 * count_active(X, y, penalty, n_orient=3) > 5
    _, dof = solve(X, y, penalty, **arguments)
    assert_allclose(dof, differentiate(X, y, penalty, **arguments), rtol=RTOL)


@pytest.mark.parametrize("n_mxne_iter", [1, 3])
def test_weights_count_as_scaled_columns(make_data, n_mxne_iter):
    X, y = make_data(n_positions=15, n_orient=2, n_targets=3)
    arguments = dict(n_orient=2, scale=np.linspace(0.3, 1, 15))
    penalty = get_penalty(X, y, 0.3, **arguments)
    arguments |= dict(n_mxne_iter=n_mxne_iter, reweighting_scale=1.5)
    _, dof = solve(X, y, penalty, **arguments)
    assert_allclose(dof, differentiate(X, y, penalty, **arguments), rtol=RTOL)


@pytest.mark.usual(n_mxne_iter=[1], time_pca=[True])
@pytest.mark.usual(n_targets=[4], time_pca=[True])
@pytest.mark.parametrize("n_mxne_iter", [1, 3])
@pytest.mark.parametrize("time_pca", [True, False])
@pytest.mark.parametrize("n_targets", [4, 10])
def test_noise_that_is_correlated_across_targets(make_data, rng, n_targets, time_pca, n_mxne_iter):
    """With more targets than samples, these are reduced to their rank."""
    X, y = make_data(5, 15, n_orient=2, n_targets=n_targets)
    factor = rng.standard_normal((n_targets, 3))
    arguments = dict(
        n_orient=2,
        n_mxne_iter=n_mxne_iter,
        reweighting_scale=1.5,
        time_pca=time_pca,
        target_covariance=factor @ factor.T,
    )
    penalty = get_penalty(X, y, 0.3, n_orient=2)
    _, dof = solve(X, y, penalty, **arguments)
    assert_allclose(dof, differentiate(X, y, penalty, **arguments), rtol=RTOL)
    white = solve(X, y, penalty, **arguments | dict(target_covariance=None))[1]
    assert abs(dof - white) > 0.1 * white
    same = solve(X, y, penalty, **arguments | dict(target_covariance=np.eye(n_targets)))[1]
    assert same == pytest.approx(white, rel=1e-12)


@pytest.mark.parametrize("n_mxne_iter", [1, 3])
def test_reduced_targets_count_in_full(make_data, n_mxne_iter):
    X, y = make_data(6, 15, n_orient=2, n_targets=20)
    arguments = dict(n_orient=2, n_mxne_iter=n_mxne_iter, reweighting_scale=1.5)
    penalty = get_penalty(X, y, 0.3, n_orient=2)
    full, reduced = (solve(X, y, penalty, **arguments, time_pca=pca)[1] for pca in (False, True))
    assert reduced == pytest.approx(full, rel=1e-8)


@pytest.mark.parametrize("covariance", [False, True])
def test_basis_of_limited_rank_counts_as_given(make_data, rng, covariance):
    X, y = make_data(n_orient=2, n_targets=6)
    factor = rng.standard_normal((6, 6))
    covariance = factor @ factor.T if covariance else np.eye(6)
    options = FitOptions(n_orient=2, tol=1e-12)
    limited = MixedNormProblem(X, y, replace(options, time_pca=2))
    basis = np.linalg.svd(y)[2][:2]
    given = MixedNormProblem(X, y @ basis.T, replace(options, time_pca=False))
    expected, result = (
        compute_rss_and_dof(problem, 30, problem.solve(30)[0], target_covariance=cov)[:2]
        for problem, cov in ((given, basis @ covariance @ basis.T), (limited, covariance))
    )
    assert result[1] == pytest.approx(expected[1], rel=1e-8)
    left_out = np.sum((y - y @ basis.T @ basis) ** 2)
    assert result[0] == pytest.approx(expected[0] + left_out, rel=1e-8)


@pytest.mark.usual(n_mxne_iter=[1], correlation=[0.8])
@pytest.mark.parametrize("n_mxne_iter", [1, 3])
@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_it_is_the_covariance_of_fit_and_noise(make_data, rng, n_mxne_iter, correlation):
    """By Stein's lemma, in the mean over draws of the noise."""
    X, mean = make_data(8, 12, n_orient=2, n_targets=3)
    covariance = correlation ** np.abs(np.subtract.outer(np.arange(3), np.arange(3)))
    root = np.linalg.cholesky(covariance)
    penalty = get_penalty(X, mean, 0.3, n_orient=2)
    arguments = dict(
        n_orient=2,
        n_mxne_iter=n_mxne_iter,
        reweighting_scale=1.5,
        target_covariance=covariance,
    )
    products, dofs = [], []
    for _ in range(150):
        noise = rng.standard_normal(mean.shape) @ root.T
        # The noise and its negative are as likely: their mean varies less.
        ends = [solve(X, mean + sign * noise, penalty, **arguments) for sign in (1, -1)]
        products.append(np.vdot(noise, ends[0][0] - ends[1][0]) / 2)
        dofs.append((ends[0][1] + ends[1][1]) / 2)
    standard_error = np.std(np.subtract(products, dofs)) / np.sqrt(len(dofs))
    assert abs(np.mean(products) - np.mean(dofs)) < 3 * standard_error
    assert standard_error < 0.06 * np.mean(dofs)


@pytest.mark.usual(n_mxne_iter=[1, 2])
@pytest.mark.parametrize("n_mxne_iter", [1, 2, 10])
@pytest.mark.parametrize("solver", ["newton", "bcd"])
def test_tolerance_of_the_fit_does_not_matter(make_problem, n_mxne_iter, solver):
    """What a rough fit leaves of vanishing positions would make their derivatives explode."""
    X, y = make_problem(40, 60, n_targets=5, noise=1.0, correlation=0.8)
    judged = []
    for tol in (1e-4, 1e-13):
        options = FitOptions(n_mxne_iter=n_mxne_iter, tol=tol, solver=solver)
        problem = MixedNormProblem(X, y, options)
        for alpha in (50, 20, 10):
            judged.append(compute_rss_and_dof(problem, alpha, problem.solve(alpha)[0])[:2])
    assert_allclose(judged[:3], judged[3:], rtol=1e-3)


@pytest.mark.parametrize(("n_samples", "n_rows"), [(5, 5), (6, 6), (40, 6)])
def test_no_more_rows_than_columns_are_worked_with(monkeypatch, rng, n_samples, n_rows):
    """Samples may be many, and do not count by themselves."""
    seen = []

    class Seen(_Linearized):
        def __init__(self, X, *args):
            seen.append(X)
            super().__init__(X, *args)

    monkeypatch.setattr(degrees_of_freedom, "_Linearized", Seen)
    X, coef = rng.standard_normal((n_samples, 6)), rng.standard_normal((6, 2))
    compute_degrees_of_freedom(X, [coef], [np.ones(6)])
    assert seen[0].shape == (n_rows, 6)
    assert (seen[0] is X) == (n_rows == n_samples)
    assert_allclose(seen[0].T @ seen[0], X.T @ X, atol=1e-12 * n_samples)


def test_no_position_has_none():
    empty = np.empty((0, 3))
    assert compute_degrees_of_freedom(np.empty((5, 0)), [empty], [np.empty(0)]) == 0.0


def test_no_position_that_is_left_has_none(rng):
    coefs, penalties = [np.ones((2, 3)), np.zeros((2, 3))], [np.ones(2), np.ones(2)]
    assert compute_degrees_of_freedom(rng.standard_normal((5, 2)), coefs, penalties) == 0.0


def test_without_penalty_it_is_the_rank_times_the_targets(rng):
    X = rng.standard_normal((10, 4))
    X = np.hstack([X, X[:, :2]])
    assert compute_degrees_of_freedom(X, [np.ones((6, 3))], [np.zeros(6)]) == 4 * 3


def test_of_one_block_by_hand(rng):
    """One orthonormal column: the fit shrinks its one coefficient row, dof in closed form."""
    x = np.zeros((4, 1))
    x[0] = 1.0
    y = rng.standard_normal((4, 3))
    norm, penalty = np.linalg.norm(y[0]), 0.5 * np.linalg.norm(y[0])
    coef = y[:1] * (1 - penalty / norm)
    dof = compute_degrees_of_freedom(x, [coef], [np.array([penalty])])
    # d/dy of (1 - a / |y|) y: once 1 along y, twice 1 - a / |y| across.
    assert_allclose(dof, 1 + 2 * (1 - penalty / norm), rtol=1e-12)


def test_fixed_point_of_the_reweighting_by_hand():
    """One orthonormal column and one target: (1 - k a sqrt(u) / (4 w^1.5))^-1."""
    x, penalty, scale, coef = np.eye(4, 1), 0.5, 1.5, 2.0
    weighted = np.array([penalty * np.sqrt(scale / coef) / 2])
    n_problems = 60
    dof = compute_degrees_of_freedom(
        x, [np.full((1, 1), coef)] * n_problems, [weighted] * n_problems
    )
    assert_allclose(dof, 1 / (1 - penalty * np.sqrt(scale) / (4 * coef**1.5)), rtol=1e-12)


def test_gcv_is_infinite_where_no_data_are_left():
    rss, dof = np.array([5.0, 1.0, 0.0]), np.array([2.0, 10.0, 11.0])
    values = CRITERIA["gcv"](Fits(rss, dof, 1.0, 10))
    assert_allclose(values, [10 * 5 / 8**2, np.inf, np.inf])
