"""Minimisers of quadratic functions with lower bounds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.linalg import LinAlgError

from skmxne.solvers.bounded_quadratic import minimize_quadratic


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 40),
    decades=st.floats(0, 4),
    hessian_unit=st.sampled_from([1e-12, 1.0, 1e9]),
    unit=st.sampled_from([1e-12, 1.0, 1e9]),
)
def test_optimality_conditions_hold(seed, n, decades, hessian_unit, unit):
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((2 * n, n)) * 10.0 ** rng.uniform(-decades, 0.0, n)
    hessian = hessian_unit * root.T @ root
    linear = hessian_unit * unit * root.T @ rng.standard_normal(2 * n)
    lower = unit * rng.standard_normal(n)

    minimizer = minimize_quadratic(hessian, linear, lower, max_pivots=20 * n)

    assert (minimizer >= lower - 1e-12 * np.abs(lower)).all()
    slope = (hessian @ minimizer - linear) / np.sqrt(hessian.diagonal())
    slope /= unit * np.sqrt(hessian_unit)
    rounding = 1e-9 * (1.0 + np.abs(slope).max())
    assert slope.min() >= -rounding
    above = minimizer > lower + 1e-9 * (unit + np.abs(lower))
    assert np.abs(slope[above]).max(initial=0.0) <= rounding


def test_damping_is_relative_to_the_diagonal():
    hessian = np.diag([4.0, 1e-6])
    minimizer = minimize_quadratic(hessian, np.array([4.0, 1e-6]), np.zeros(2), damping=1.0)
    assert_allclose(minimizer, [0.5, 0.5])


def test_hessian_without_a_minimum_is_refused():
    with pytest.raises(LinAlgError):
        minimize_quadratic(np.array([[1.0, 2.0], [2.0, 1.0]]), np.ones(2), np.zeros(2))


def test_minimum_beyond_all_numbers_is_refused():
    hessian = np.diag([1e-320, 1.0])
    with pytest.raises(LinAlgError):
        minimize_quadratic(hessian, np.array([1e100, 1.0]), np.zeros(2))
