"""The parts of the risk inflation criterion, against least squares and simulated noise."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skmxne.design import BlockDesign
from skmxne.risk_inflation import (
    compute_largest_power,
    compute_threshold,
    count_independent_targets,
    fit_support,
)

EPS = np.finfo(float).eps


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize(("n_samples", "n_columns"), [(12, 5), (5, 5), (5, 12), (12, 1), (12, 0)])
def test_support_is_fitted_by_least_squares(rng, n_samples, n_columns):
    X, y = rng.standard_normal((n_samples, n_columns)), rng.standard_normal((n_samples, 3))
    fit = fit_support(X, y, EPS)
    residual = y - X @ np.linalg.lstsq(X, y, rcond=None)[0]
    assert fit.rank == min(X.shape)
    assert fit.rss == pytest.approx(np.sum(residual**2), abs=1e-12)
    assert_allclose(fit.gram, residual.T @ residual, atol=1e-12)


@pytest.mark.parametrize("eps", [EPS, np.finfo(np.float32).eps])
def test_rank_is_that_in_the_precision_of_the_columns(rng, eps):
    X = rng.standard_normal((12, 3))
    y = rng.standard_normal((12, 2))
    for share, rank in [(0.1, 3), (100, 4)]:
        # The pivot of the last column is its distance to the others.
        distance = share * 12 * eps * np.linalg.norm(X, axis=0).max()
        basis = np.linalg.qr(X, mode="complete")[0]
        columns = np.column_stack([X, X[:, 0] + distance * basis[:, -1]])
        assert fit_support(columns, y, eps).rank == rank
    assert fit_support(np.zeros((12, 2)), y, eps).rank == 0


@pytest.mark.parametrize("n_orient", [1, 3])
@pytest.mark.parametrize("scaled", [False, True])
def test_largest_power_is_that_of_the_best_single_position(rng, n_orient, scaled):
    X, y = rng.standard_normal((12, 7 * n_orient)), rng.standard_normal((12, 3))
    X[:, :n_orient] = X[:, :1]  # a block of rank one
    scale = np.arange(1.0, 8.0) if scaled else None
    positions = np.array([0, 2, 3, 6])
    powers = []
    for g in positions:
        block = X[:, g * n_orient : (g + 1) * n_orient]
        fit = block @ np.linalg.lstsq(block, y, rcond=None)[0]
        powers.append(np.sum(fit**2))
    found = compute_largest_power(BlockDesign(X, n_orient, scale), y, positions)
    # Whatever the columns are multiplied by.
    assert found == pytest.approx(max(powers))
    assert compute_largest_power(BlockDesign(X, n_orient), y, positions[:0]) == 0.0


@pytest.mark.parametrize("n_samples", [4, 12, 60])
@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_independent_targets_are_counted_without_bias(rng, n_samples, correlation):
    """Of the ratio, both the trace and that of the square are what they are in the mean."""
    n_targets, n_columns = 10, 1
    covariance = correlation ** np.abs(np.subtract.outer(np.arange(10), np.arange(10)))
    root = np.linalg.cholesky(covariance)
    traces, squares = [], []
    for _ in range(2000):
        X = rng.standard_normal((n_samples, n_columns))
        fit = fit_support(X, rng.standard_normal((n_samples, n_targets)) @ root.T, EPS)
        n_left = n_samples - fit.rank
        trace = np.trace(fit.gram)
        count = count_independent_targets(fit, n_samples, n_targets)
        assert 1.0 <= count <= n_targets * (1 + 1e-12)
        traces.append(trace / n_left)
        square = np.vdot(fit.gram, fit.gram) - trace**2 / n_left
        square *= 1.0 / ((n_left - 1) * (n_left + 2))
        squares.append(square)
        # The count is of these two, but for its limits.
        if square >= 1.001 * (trace / n_left) ** 2 / n_targets:
            assert count == pytest.approx((trace / n_left) ** 2 / square)
        else:
            assert count == pytest.approx(n_targets, rel=2e-3)
    error = np.std(squares) / np.sqrt(len(squares))
    assert abs(np.mean(squares) - np.sum(covariance**2)) < 4 * error
    assert np.mean(traces) == pytest.approx(n_targets, rel=0.05)


def test_too_few_samples_to_count_leave_all_targets(rng):
    y = rng.standard_normal((4, 6))
    fit = fit_support(rng.standard_normal((4, 2)), y, EPS)
    assert count_independent_targets(fit, 4, 6) == 6.0
    assert count_independent_targets(fit_support(np.eye(4)[:, :1], 0 * y, EPS), 4, 6) == 6.0
    alike = np.outer(rng.standard_normal(4), np.ones(6))
    assert count_independent_targets(fit_support(np.eye(4)[:, :1], alike, EPS), 4, 6) < 2.0


@pytest.mark.parametrize("n_orient", [1, 3])
@pytest.mark.parametrize("n_independent", [3, 30])
def test_noise_rarely_explains_more_than_the_threshold(rng, n_orient, n_independent):
    n_positions, variance = 300, 2.5
    threshold = compute_threshold(n_positions, n_orient, variance * n_independent, n_independent)
    chi2 = rng.chisquare(n_orient * n_independent, (2000, n_positions)) * variance
    largest = chi2.max(axis=1)
    assert np.mean(largest > threshold) < 0.01
    # It is not much more than is needed, either.
    assert threshold < 2.0 * np.median(largest)
    expected = (np.sqrt(n_orient * n_independent) + np.sqrt(2 * np.log(n_positions))) ** 2
    assert threshold == pytest.approx(variance * expected)


def test_one_position_has_no_competition():
    assert compute_threshold(1, 2, 12.0, 6.0) == pytest.approx(24.0)
