"""Independent targets of noise, against the covariance that the noise was drawn with."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import chi2

from skmxne.model_selection.noise import (
    count_independent_targets,
    estimate_covariance,
    summarize_covariance,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def make_covariance():
    return lambda correlation, n=10: correlation ** np.abs(np.subtract.outer(range(n), range(n)))


def count(rows, n_rows):
    return count_independent_targets(rows.T @ rows, n_rows, rows.shape[1])


@pytest.mark.parametrize("n_rows", [5, 12, 60])
@pytest.mark.parametrize("correlation", [0.8, 0.9])
def test_square_of_the_covariance_is_estimated_without_bias(
    rng, make_covariance, n_rows, correlation
):
    covariance = make_covariance(correlation)
    root = np.linalg.cholesky(covariance)
    squares, plain = [], []
    for _ in range(2000):
        rows = rng.standard_normal((n_rows, 10)) @ root.T
        n_independent = count(rows, n_rows)
        assert 1.0 <= n_independent <= 10.0 * (1 + 1e-12)
        if n_independent < 9.999:  # the count has a limit, the square has none
            squares.append((np.sum(rows**2) / n_rows) ** 2 / n_independent)
            plain.append(np.sum((rows.T @ rows / n_rows) ** 2))
    assert len(squares) > 1950
    expected, error = np.sum(covariance**2), np.std(squares) / np.sqrt(len(squares))
    assert abs(np.mean(squares) - expected) < 4 * error
    assert np.mean(plain) - expected > (8 * error if n_rows < 60 else 0.0)


def test_independent_targets_are_all_counted(rng):
    counts = [count(rng.standard_normal((60, 10)), 60) for _ in range(200)]
    assert np.mean(counts) > 9.5


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 2])
def test_noise_that_rows_lack_is_independent(rng, make_covariance, share):
    covariance = make_covariance(0.9)
    rows = rng.standard_normal((5000, 10)) @ np.linalg.cholesky(covariance).T
    gram, variance = share * rows.T @ rows, 3.0
    counted = count_independent_targets(variance * gram, 5000, 10, variance)
    least = chi2.ppf(1e-3, 5000 * summarize_covariance(covariance)[1])
    least /= 5000 * summarize_covariance(covariance)[1]
    share = min(share / least, 1.0)
    expected = summarize_covariance(share * covariance + (1.0 - share) * np.eye(10))[1]
    assert counted == pytest.approx(expected, rel=0.02)


def test_either_gram_counts_the_same(rng):
    rows = rng.standard_normal((8, 5))
    assert count(rows, 8) == pytest.approx(count_independent_targets(rows @ rows.T, 8, 5))


@pytest.mark.parametrize("unit", [1e-100, 1e-15, 1e100])
def test_units_do_not_matter(rng, unit):
    rows = rng.standard_normal((8, 5))
    assert count(unit * rows, 8) == pytest.approx(count(rows, 8))
    estimate = estimate_covariance(unit * rows, 8) / unit / unit
    assert_allclose(estimate, estimate_covariance(rows, 8))


def test_too_few_rows_to_count_leave_all_targets(rng):
    assert count(rng.standard_normal((2, 6)), 2) == 6.0
    assert count(np.zeros((9, 6)), 9) == 6.0
    alike = np.outer(rng.standard_normal(9), np.ones(6))
    assert count(alike, 9) < 2.0


@pytest.mark.parametrize("n_rows", [20, 200])
@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_covariance_is_estimated_with_its_count(rng, make_covariance, n_rows, correlation):
    covariance = make_covariance(correlation, 30)
    root = np.linalg.cholesky(covariance)
    counts, plain = [], []
    for _ in range(100):
        rows = rng.standard_normal((n_rows, 30)) @ root.T
        estimate = estimate_covariance(rows, n_rows)
        assert np.linalg.eigvalsh(estimate)[0] > -1e-12
        trace, n_independent = summarize_covariance(estimate)
        assert trace == pytest.approx(np.sum(rows**2) / n_rows)
        counts.append(n_independent)
        plain.append(summarize_covariance(rows.T @ rows)[1])
    _, expected = summarize_covariance(covariance)
    assert np.median(counts) == pytest.approx(expected, rel=0.1)
    if n_rows == 20 and correlation < 0.9:
        assert np.median(plain) < 0.8 * expected


def test_shrinking_keeps_the_shape_of_the_covariance(rng, make_covariance):
    rows = rng.standard_normal((40, 10)) @ np.linalg.cholesky(make_covariance(0.7)).T
    estimate, plain = estimate_covariance(rows, 40), rows.T @ rows / 40
    off = ~np.eye(10, dtype=bool)
    share = estimate[off] / plain[off]
    assert_allclose(share, share[0])
    assert 0.5 < share[0] < 1.0


def test_covariance_of_few_rows_is_that_of_independent_targets(rng):
    rows = rng.standard_normal((2, 4))
    assert_allclose(estimate_covariance(rows, 2), np.sum(rows**2) / 8 * np.eye(4))
    assert_allclose(estimate_covariance(np.zeros((9, 4)), 9), np.zeros((4, 4)))


@pytest.mark.parametrize("scale", [1e-300, 1e-150, 1.0, 1e150, 1e300])
def test_unit_of_a_covariance_does_not_count(scale):
    trace, n_independent = summarize_covariance(scale * np.diag([1.0, 1.0, 2.0]))
    assert trace == pytest.approx(4.0 * scale)
    assert n_independent == pytest.approx(16 / 6)
