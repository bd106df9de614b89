"""Exact degrees of freedom, against the divergence of the fit by finite differences."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skmxne.degrees_of_freedom import compute_degrees_of_freedom
from skmxne.problem import MixedNormProblem

STEP = 1e-5


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def fit():
    """Return a function that solves at an absolute penalty, to rounding."""

    def fit(X, y, penalty, n_orient=1, reweighting_scale=None, scale=None, time_pca=False):
        problem = MixedNormProblem(
            *(X, y),
            n_orient=n_orient,
            scale=scale,
            time_pca=time_pca,
            reweighting_scale=reweighting_scale,
        )
        solution, _ = problem.solve(
            100 * penalty / problem.alpha_max,
            n_mxne_iter=1 if reweighting_scale is None else 1000,
            tol=1e-15,
        )
        columns = problem.design.columns(solution.positions)
        return columns, solution.coef

    return fit


def differentiate(fit, X, y, *args, **kwargs):
    """Sum up the derivative of every fitted value with respect to its own datum."""
    divergence = 0.0
    for index in np.ndindex(*y.shape):
        ends = []
        for sign in (1, -1):
            moved = y.copy()
            moved[index] += sign * STEP
            columns, coef = fit(X, moved, *args, **kwargs)
            ends.append((columns @ coef)[index])
        divergence += (ends[0] - ends[1]) / (2 * STEP)
    return divergence


@pytest.mark.parametrize("reweighting_scale", [None, 1.0, 0.3])
@pytest.mark.parametrize(
    ("n_samples", "n_orient", "n_targets"), [(15, 1, 1), (15, 1, 4), (12, 3, 3), (5, 2, 8)]
)
def test_divergence_of_the_fit(
    fit, make_problem, n_samples, n_orient, n_targets, reweighting_scale
):
    X, y = make_problem(
        n_samples, 20, n_orient=n_orient, n_targets=n_targets, n_active=2, noise=1.0
    )
    y = y.reshape(n_samples, n_targets)
    penalty = 0.2 * MixedNormProblem(X, y, n_orient=n_orient).alpha_max
    arguments = dict(n_orient=n_orient, reweighting_scale=reweighting_scale)

    columns, coef = fit(X, y, penalty, **arguments)
    dof = compute_degrees_of_freedom(columns, coef, penalty, **arguments)

    assert len(coef) >= 2 * n_orient
    # Central differences are exact to their step squared, and to rounding divided by the step.
    assert_allclose(dof, differentiate(fit, X, y, penalty, **arguments), rtol=1e-6)


def test_weights_count_as_scaled_columns(fit, make_problem):
    X, y = make_problem(12, 15, n_orient=2, n_targets=3, noise=1.0)
    scale = np.linspace(0.3, 1, 15)
    problem = MixedNormProblem(X, y, n_orient=2, scale=scale)
    arguments = dict(n_orient=2, scale=scale)

    columns, coef = fit(X, y, 0.3 * problem.alpha_max, **arguments)
    dof = compute_degrees_of_freedom(columns, coef, 0.3 * problem.alpha_max, n_orient=2)

    expected = differentiate(fit, X, y, 0.3 * problem.alpha_max, **arguments)
    assert_allclose(dof, expected, rtol=1e-6)


@pytest.mark.parametrize("reweighting_scale", [None, 1.0])
def test_reduced_targets_count_in_full(fit, make_problem, reweighting_scale):
    X, y = make_problem(6, 15, n_orient=2, n_targets=20, noise=1.0)
    penalty = 0.3 * MixedNormProblem(X, y, n_orient=2).alpha_max
    arguments = dict(n_orient=2, reweighting_scale=reweighting_scale)

    columns, coef = fit(X, y, penalty, **arguments)
    dof = compute_degrees_of_freedom(columns, coef, penalty, **arguments)
    problem = MixedNormProblem(X, y, n_orient=2, reweighting_scale=reweighting_scale)
    n_mxne_iter = 1 if reweighting_scale is None else 1000
    solution, _ = problem.solve(30, n_mxne_iter=n_mxne_iter, tol=1e-15)
    rss, reduced_dof = problem.compute_rss_and_dof(solution, 30, n_mxne_iter=n_mxne_iter)

    assert solution.coef.shape[1] == 6 < coef.shape[1]
    assert_allclose(reduced_dof, dof, rtol=1e-8)
    assert_allclose(rss, np.sum((y - columns @ coef) ** 2), rtol=1e-8)


def test_no_position_has_none():
    assert compute_degrees_of_freedom(np.empty((5, 0)), np.empty((0, 3)), 1.0) == 0.0


def test_without_penalty_it_is_the_rank_times_the_targets(rng):
    X = rng.standard_normal((10, 4))
    X = np.hstack([X, X[:, :2]])
    assert compute_degrees_of_freedom(X, np.ones((6, 3)), 0.0) == 4 * 3


def test_of_one_block_by_hand(rng):
    """One orthonormal column: the fit shrinks its one coefficient row, dof in closed form."""
    x = np.zeros((4, 1))
    x[0] = 1.0
    y = rng.standard_normal((4, 3))
    norm, penalty = np.linalg.norm(y[0]), 0.5 * np.linalg.norm(y[0])
    coef = y[:1] * (1 - penalty / norm)
    dof = compute_degrees_of_freedom(x, coef, penalty)
    # d/dy of (1 - a / |y|) y: once 1 along y, twice 1 - a / |y| across.
    assert_allclose(dof, 1 + 2 * (1 - penalty / norm), rtol=1e-12)
