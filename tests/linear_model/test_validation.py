"""Hyperparameters: every bad one is refused by name."""

import logging
from math import inf, nan

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skmxne import MixedNormEstimator
from skmxne.linear_model.validation import check_weights

N_SAMPLES, N_POSITIONS, N_ORIENT, N_TARGETS = 8, 6, 3, 2

REFUSED = {
    "alpha": [-1, -1e-9, 100, 1e3, inf, -inf, nan, "20", None, True, [20], 1j],
    "n_orient": [0, -1, 1.0, nan, "3", None, True],
    "n_mxne_iter": [0, -1, 1.5, "2", None, True],
    "reweighting_scale": [0, -1.0, inf, nan, "1", True, [1.0]],
    "weights_min": [-1.0, nan, inf, "0", None, True],
    "solver": ["Newton", "lbfgs", "", None, 1],
    "maxit": [0, -1, 10.0, inf, nan, "10", None, True],
    "tol": [-1e-9, inf, nan, "1e-4", None, True],
    "active_set_size": [0, -1, 10.0, inf, "10", True],
    "dgap_freq": [0, -1, 1.5, -inf, nan, "10", None, True],
    "debias": [0, 1, "yes", None],
    "time_pca": [0, -1, 1.5, nan, "all", None],
    "fit_intercept": [0, 1, "yes", None],
    "warm_start": [0, 1, "yes", None],
    "verbose": ["LOUD", "", 1.5, [1]],
}
ALLOWED = {
    "alpha": [0, 0.0, 50, np.float32(50), np.int64(50), 99.99],
    "n_orient": [1, 2, np.int64(3), 9],
    "n_mxne_iter": [1, 3, np.int64(2)],
    "reweighting_scale": [None, 1, 0.5, np.float32(2)],
    "weights_min": [0, 0.5, np.float32(1)],
    "solver": ["auto", "newton", "bcd", "prox"],
    "maxit": [100, np.int64(100)],
    "tol": [1e-6, 1e-3, np.float32(1e-3), 0.1],
    "active_set_size": [None, 1, np.int64(10), 10**6],
    "dgap_freq": [1, 10, np.int64(10), inf, np.inf],
    "debias": [True, False, np.True_, np.False_],
    "time_pca": [True, False, np.True_, np.False_, 1, np.int64(2), 100],
    "fit_intercept": [True, False, np.True_],
    "warm_start": [True, False, np.True_],
    "verbose": [None, True, False, "info", "WARNING", 0, logging.ERROR],
}


def flatten(cases):
    return [(name, value) for name, values in cases.items() for value in values]


@pytest.fixture(scope="module")
def data(make_problem):
    return make_problem(N_SAMPLES, N_POSITIONS, n_orient=N_ORIENT, n_targets=N_TARGETS, n_active=2)


@pytest.mark.parametrize(("name", "value"), flatten(REFUSED))
def test_bad_value_is_refused_by_name(data, name, value):
    estimator = MixedNormEstimator(**({"n_orient": N_ORIENT} | {name: value}))
    with pytest.raises((TypeError, ValueError), match=rf"^{name}\b"):
        estimator.fit(*data)
    assert not hasattr(estimator, "coef_")


@pytest.mark.parametrize(("name", "value"), flatten(ALLOWED))
def test_good_value_is_accepted(data, name, value):
    estimator = MixedNormEstimator(**({"n_orient": N_ORIENT} | {name: value}))
    estimator.fit(*data)
    assert estimator.converged_


def test_every_parameter_is_checked():
    names = set(MixedNormEstimator().get_params())
    assert names - set(REFUSED) == {"weights"}
    assert names - set(ALLOWED) == {"weights"}


@pytest.mark.parametrize("value", [np.True_, np.False_])
def test_reduction_to_the_rank_may_be_a_bool_of_numpy(data, value):
    fits = [MixedNormEstimator(n_orient=3, time_pca=v).fit(*data) for v in (value, bool(value))]
    assert_allclose(fits[0].coef_, fits[1].coef_, rtol=1e-12)


@pytest.mark.parametrize("n_orient", [4, 5, 100])
def test_number_of_orientations_that_does_not_divide(data, n_orient):
    with pytest.raises(ValueError, match=rf"n_orient={n_orient} does not divide the 18 features"):
        MixedNormEstimator(n_orient=n_orient).fit(*data)


def test_coordinate_descent_has_no_blocks(data):
    with pytest.raises(ValueError, match=r"solver='cd' handles n_orient=1 only.*'bcd'"):
        MixedNormEstimator(solver="cd", n_orient=N_ORIENT).fit(*data)
    MixedNormEstimator(solver="cd").fit(*data)


def test_unknown_solver_is_told_the_known_ones(data):
    with pytest.raises(
        ValueError, match=r"solver='lars' is unknown: use one of .*'newton', 'prox'"
    ):
        MixedNormEstimator(solver="lars").fit(*data)


@pytest.mark.parametrize("solver", ["newton", "bcd", "prox", "cd"])
def test_gap_need_not_be_looked_at_by_any_solver(data, solver):
    estimator = MixedNormEstimator(alpha=50, solver=solver, dgap_freq=inf).fit(*data)
    assert estimator.converged_
    assert estimator.n_active_ > 0


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(N_POSITIONS * N_ORIENT), r"weights has shape \(18,\), but X has 6 blocks"),
        (np.ones(N_POSITIONS - 1), r"weights has shape \(5,\)"),
        (np.ones((N_POSITIONS, 1)), r"weights has shape \(6, 1\)"),
        (1.0, r"weights has shape \(\)"),
        ([1, 1, 1, 1, 1, -1e-9], "weights must be finite and not negative"),
        ([1, 1, 1, 1, 1, nan], "weights must be finite and not negative"),
        ([1, 1, 1, 1, 1, inf], "weights must be finite and not negative"),
        (np.zeros(N_POSITIONS), "weights are all zero"),
    ],
)
def test_bad_weights_are_refused(data, weights, message):
    with pytest.raises(ValueError, match=message):
        MixedNormEstimator(n_orient=N_ORIENT, weights=weights).fit(*data)


@pytest.mark.parametrize("weights_min", [2.0, 3.0])
def test_smallest_weight_that_leaves_no_position(data, weights_min):
    estimator = MixedNormEstimator(
        n_orient=N_ORIENT, weights=np.full(N_POSITIONS, 2.0), weights_min=weights_min
    )
    with pytest.raises(ValueError, match=rf"weights_min={weights_min:g} leaves nothing"):
        estimator.fit(*data)


def test_weights_become_factors():
    assert check_weights(None, 0.0, 4) is None
    weights = [4.0, 0.0, 1.0, 2.0]
    assert_allclose(check_weights(weights, 0.0, 4), [1.0, 0.0, 0.25, 0.5])
    # Not above 1: left out.
    assert_allclose(check_weights(weights, 1.0, 4), [1.0, 0.0, 0.0, 0.5])
    assert_allclose(check_weights(np.array(weights, dtype=int), 1.5, 4), [1.0, 0.0, 0.0, 0.5])
