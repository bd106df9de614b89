"""No regularization: the least-squares fit of least norm."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skmxne.solvers.design import BlockDesign
from skmxne.solvers.least_squares import solve_least_squares

# n_samples, n_positions * 3, rank of X
SHAPES = {"tall": (20, 6, 6), "wide": (6, 21, 6), "deficient": (20, 12, 4), "square": (9, 9, 9)}


def draw(shape):
    n_samples, n_features, rank = SHAPES[shape]
    rng = np.random.default_rng(0)
    left, right = rng.standard_normal((n_samples, rank)), rng.standard_normal((rank, n_features))
    return left @ right, rng.standard_normal((n_samples, 4))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e9])
def test_solution_is_that_of_the_pseudoinverse(shape, scale):
    X, y = draw(shape)
    X = scale * X
    solution = solve_least_squares(BlockDesign(X, 3), y)
    expected = np.linalg.pinv(X, rcond=1e-10) @ y
    assert_allclose(solution.coef, expected, rtol=1e-8, atol=1e-10 * np.abs(expected).max())
    assert_array_equal(solution.positions, np.arange(X.shape[1] // 3))
    residual = y - X @ expected
    objective = 0.5 * np.vdot(residual, residual)
    assert solution.objective == [pytest.approx(objective, rel=1e-12, abs=1e-20)]
    assert 0.0 <= solution.dual_gap <= 1e-20
    assert solution.converged
    assert solution.n_iter == 1


def test_positions_without_coefficients_are_not_active():
    X, y = draw("tall")
    X[:, 3:] = 0.0
    solution = solve_least_squares(BlockDesign(X, 3), y)
    assert_array_equal(solution.positions, [0])
    assert solution.coef.shape == (3, 4)


def test_norm_is_least_in_terms_of_the_scaled_columns():
    X, y = draw("wide")
    scale = np.linspace(0.0, 1.0, 7)
    solution = solve_least_squares(BlockDesign(X, 3, scale), y)
    expected = np.linalg.pinv(X * np.repeat(scale, 3)) @ y
    assert_array_equal(solution.positions, np.arange(1, 7))
    assert_allclose(solution.coef, expected[3:], rtol=1e-8, atol=1e-10)


def test_rank_is_that_of_single_precision():
    """Rounding of single precision is not taken for a small singular value."""
    rng = np.random.default_rng(0)
    X = (rng.standard_normal((40, 7)) @ rng.standard_normal((7, 60))).astype(np.float32)
    y = rng.standard_normal((40, 2))
    solution = solve_least_squares(BlockDesign(X), y)
    expected = np.linalg.pinv(X.astype(float), rcond=1e-5) @ y
    assert np.linalg.norm(solution.coef - expected) < 1e-3 * np.linalg.norm(expected)
