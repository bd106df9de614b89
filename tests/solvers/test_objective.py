"""Block norms, the objective and its dual."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from skmxne.solvers.objective import (
    compute_block_norms,
    compute_columns,
    compute_dual,
    compute_dual_step,
    compute_primal,
    prox_l21,
)

N_SAMPLES, N_POSITIONS, N_TARGETS = 8, 5, 3

n_orients = pytest.mark.parametrize("n_orient", [1, 2, 3])


def draw(seed, n_orient):
    """Draw X, y and some coefficients."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((N_SAMPLES, N_POSITIONS * n_orient))
    y = rng.standard_normal((N_SAMPLES, N_TARGETS))
    return X, y, rng.standard_normal((N_POSITIONS * n_orient, N_TARGETS))


@n_orients
@given(seed=st.integers(0, 10**6), threshold=st.floats(0.1, 5.0))
def test_proximal_operator_is_a_minimum(n_orient, seed, threshold):
    """What is taken away has the length of the threshold, along the block, or is all of it."""
    _, _, coef = draw(seed, n_orient)
    shrunk = prox_l21(coef, threshold, n_orient)
    for block, new in zip(
        coef.reshape(N_POSITIONS, -1), shrunk.reshape(N_POSITIONS, -1), strict=True
    ):
        norm = np.linalg.norm(new)
        if norm > 0.0:
            assert_allclose(block - new, threshold * new / norm, rtol=1e-9, atol=1e-12)
        else:
            assert np.linalg.norm(block) <= threshold * (1 + 1e-12)


def norms_of(coef, n_orient):
    return [np.linalg.norm(coef[g : g + n_orient]) for g in range(0, len(coef), n_orient)]


@n_orients
def test_block_norms_are_those_of_a_loop(n_orient):
    _, _, coef = draw(0, n_orient)
    assert_allclose(compute_block_norms(coef, n_orient), norms_of(coef, n_orient), rtol=1e-14)


def test_block_norms_of_no_block_are_none():
    assert compute_block_norms(np.empty((0, 4)), 3).shape == (0,)


@n_orients
def test_columns_are_those_of_the_positions_in_their_order(n_orient):
    blocks = np.arange(N_POSITIONS * n_orient).reshape(N_POSITIONS, n_orient)
    positions = np.array([3, 0, 4])
    columns = compute_columns(positions, n_orient)
    assert_array_equal(columns, blocks[positions].ravel())
    assert columns.dtype.kind == "i"


def test_primal_is_the_objective_written_out():
    X, y, coef = draw(0, 2)
    residual = y - X @ coef
    expected = 0.5 * np.sum(residual**2) + 0.7 * sum(norms_of(coef, 2))
    primal = compute_primal(residual, compute_block_norms(coef, 2), 0.7)
    assert primal == pytest.approx(expected, rel=1e-14)


@given(
    seed=st.integers(0, 2**32 - 1),
    n_orient=st.integers(1, 3),
    penalty=st.floats(1e-6, 1e3),
    sizes=st.tuples(st.floats(0, 10), st.floats(0, 10)),
    slack=st.floats(1, 10),
)
def test_dual_of_any_residual_is_below_the_objective_of_any_coefficients(
    seed, n_orient, penalty, sizes, slack
):
    X, y, direction = draw(seed, n_orient)
    _, _, other = draw(seed + 1, n_orient)
    residual = y - X @ (sizes[0] * direction)
    dual_norm = slack * max(norms_of(X.T @ residual, n_orient))
    coef = sizes[1] * other

    dual = compute_dual(y, residual, dual_norm, penalty)

    primal = compute_primal(y - X @ coef, np.array(norms_of(coef, n_orient)), penalty)
    assert dual <= primal * (1 + 1e-12)


@pytest.mark.parametrize(
    "size", [0.3, 3.0]
)  # of the fit: from three times it, the way to y is back
@pytest.mark.parametrize("penalty", [0.3, 3.0, 300.0])
def test_dual_is_the_best_of_the_feasible_multiples_of_the_residual(penalty, size):
    X, y, _ = draw(0, 1)
    residual = y - size * X @ np.linalg.lstsq(X, y, rcond=0.1)[0]
    dual_norm = max(norms_of(X.T @ residual, 1))

    steps = np.linspace(-1, 1, 20001) * penalty / dual_norm
    # 1/2 ||y||^2 - 1/2 ||y - s residual||^2
    values = [s * np.vdot(residual, y) - 0.5 * s**2 * np.vdot(residual, residual) for s in steps]

    # The distance to the next step is all that the grid can miss.
    missed = 0.5 * (steps[1] - steps[0]) ** 2 * np.vdot(residual, residual)
    dual = compute_dual(y, residual, dual_norm, penalty)
    assert max(values) <= dual * (1 + 1e-12)
    assert dual <= max(values) + max(missed, 1e-12)


@n_orients
def test_gap_closes_at_the_solution_of_one_orthonormal_block(n_orient):
    X, y, _ = draw(0, n_orient)
    X = np.linalg.qr(X[:, :n_orient])[0]
    penalty = 0.4 * np.linalg.norm(X.T @ y)
    # X^T X = I: the least-squares solution, shortened by the penalty.
    coef = X.T @ y * (1 - penalty / np.linalg.norm(X.T @ y))
    residual = y - X @ coef

    primal = compute_primal(residual, compute_block_norms(coef, n_orient), penalty)
    dual = compute_dual(y, residual, np.linalg.norm(X.T @ residual), penalty)

    assert dual == pytest.approx(primal, rel=1e-13)


def test_gap_closes_at_zero_where_the_penalty_is_at_its_maximum():
    X, y, _ = draw(0, 1)
    dual_norm = max(norms_of(X.T @ y, 1))
    assert compute_dual(y, y, dual_norm, dual_norm) == pytest.approx(0.5 * np.vdot(y, y))


def test_dual_of_a_perfect_fit_is_zero():
    y = np.ones((N_SAMPLES, N_TARGETS))
    assert compute_dual(y, np.zeros_like(y), 0.0, 1.0) == 0.0
    assert compute_dual_step(y, np.zeros_like(y), 0.0, 1.0) == 0.0


def test_dual_of_a_residual_that_no_column_explains_is_not_limited():
    y = np.ones((N_SAMPLES, N_TARGETS))
    assert compute_dual(y, y, 0.0, 1e-9) == pytest.approx(0.5 * np.vdot(y, y))
