"""The parts of the risk inflation criterion, against least squares and simulated noise."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skmxne.model_selection.risk_inflation import (
    compute_largest_power,
    compute_threshold,
    fit_columns,
)
from skmxne.solvers.design import BlockDesign

EPS = np.finfo(float).eps


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize(
    ("n_samples", "n_columns"), [(12, 5), (5, 5), (5, 12), (12, 1), (12, 0), (2, 1)]
)
def test_support_is_fitted_by_least_squares(rng, n_samples, n_columns):
    X, y = rng.standard_normal((n_samples, n_columns)), rng.standard_normal((n_samples, 3))
    residual, rank = fit_columns(X, y, EPS)
    assert rank == min(X.shape)
    assert_allclose(residual, y - X @ np.linalg.lstsq(X, y, rcond=None)[0], atol=1e-12)


@pytest.mark.parametrize("eps", [EPS, np.finfo(np.float32).eps])
def test_rank_is_that_in_the_precision_of_the_columns(rng, eps):
    X = rng.standard_normal((12, 3))
    y = rng.standard_normal((12, 2))
    for share, rank in [(0.1, 3), (100, 4)]:
        # The pivot of the last column is its distance to the others.
        distance = share * 12 * eps * np.linalg.norm(X, axis=0).max()
        basis = np.linalg.qr(X, mode="complete")[0]
        columns = np.column_stack([X, X[:, 0] + distance * basis[:, -1]])
        assert fit_columns(columns, y, eps)[1] == rank
    assert fit_columns(np.zeros((12, 2)), y, eps)[1] == 0


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
