"""The estimator: what it computes, and what scikit-learn expects of it."""

import pickle
import re
import tracemalloc
import warnings
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.stats import ortho_group
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import Lasso, MultiTaskLasso
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from skmxne import InverseProblem, MixedNormEstimator

SIZES = dict(n_samples=25, n_positions=30, n_targets=6, n_active=3, noise=0.5)
# Sums of a few hundred terms of the size of ||y||^2.
ROUNDING = 1e-14

n_orients = pytest.mark.parametrize("n_orient", [1, 3])


@pytest.fixture(scope="module")
def make_data(make_problem):
    """Return a function that makes X and y."""
    return lambda n_orient=1, **sizes: make_problem(n_orient=n_orient, **(SIZES | sizes))


def penalised(estimator):
    """Return the coefficients before debiasing, shape (n_features, n_targets)."""
    coef = np.atleast_2d(estimator.coef_)
    return (coef / np.repeat(estimator.debias_scale_, estimator.n_orient)).T


def same_fit(are_as_close, X, y, first, second):
    """Return whether two fits to the same penalty differ by no more than their gaps allow."""
    coefs, gaps = (penalised(first), penalised(second)), (first.dual_gap_, second.dual_gap_)
    return are_as_close(X, y.reshape(len(y), -1), coefs, gaps)


# What scikit-learn checks


@parametrize_with_checks(
    [MixedNormEstimator(), MixedNormEstimator(n_mxne_iter=3, fit_intercept=True)]
)
def test_scikit_learn_checks(estimator, check):
    with warnings.catch_warnings():
        # Their data are random: some leave nothing to find.
        warnings.filterwarnings("ignore", message="The model is empty")
        warnings.filterwarnings("ignore", message="A constant explains")
        check(estimator)


@pytest.mark.thorough
@parametrize_with_checks(
    [
        MixedNormEstimator(solver="bcd"),
        MixedNormEstimator(solver="cd"),
        MixedNormEstimator(solver="prox"),
        MixedNormEstimator(time_pca=False),
        MixedNormEstimator(active_set_size=None, warm_start=True),
    ]
)
def test_scikit_learn_checks_of_other_parameters(estimator, check):
    test_scikit_learn_checks(estimator, check)


# Optimality


@n_orients
@pytest.mark.parametrize("solver", ["newton", "bcd", "prox"])
@pytest.mark.parametrize("debias", [True, False])
def test_penalised_solution_is_optimal(judge, make_data, n_orient, solver, debias):
    X, y = make_data(n_orient)
    params = dict(n_orient=n_orient, solver=solver, debias=debias, tol=1e-8)
    estimator = MixedNormEstimator(**params).fit(X, y)
    verdict = judge(X, y, penalised(estimator), estimator.penalty_, n_orient)
    assert estimator.dual_gap_ <= 1e-8
    assert verdict.gain <= estimator.dual_gap_ + ROUNDING
    assert estimator.dual_gap_ <= verdict.gap + ROUNDING
    assert estimator.objective_[-1] == pytest.approx(verdict.primal * np.vdot(y, y), rel=1e-10)


@pytest.mark.parametrize("alpha", [2, 20, 60])
def test_blocks_of_one_are_the_multi_task_lasso(are_as_close, make_data, alpha):
    X, y = make_data()
    estimator = MixedNormEstimator(alpha, debias=False, tol=1e-12).fit(X, y)
    lasso = MultiTaskLasso(
        estimator.penalty_ / len(X), fit_intercept=False, tol=1e-12, max_iter=100_000
    ).fit(X, y)
    assert are_as_close(X, y, (estimator.coef_.T, lasso.coef_.T), (1e-12, 1e-12))
    assert_array_equal(estimator.active_set_, lasso.coef_.any(axis=0))


@pytest.mark.parametrize("alpha", [2, 20, 60])
def test_one_target_is_the_lasso(are_as_close, make_data, alpha):
    X, y = make_data(n_targets=1)
    estimator = MixedNormEstimator(alpha, debias=False, tol=1e-12).fit(X, y)
    lasso = Lasso(
        estimator.penalty_ / len(X), fit_intercept=False, tol=1e-12, max_iter=100_000
    ).fit(X, y)
    assert are_as_close(X, y, (estimator.coef_, lasso.coef_), (1e-12, 1e-12))
    assert_array_equal(estimator.active_set_, lasso.coef_ != 0.0)


@n_orients
def test_one_position_is_active_just_below_100_percent(make_data, n_orient):
    X, y = make_data(n_orient)
    estimator = MixedNormEstimator(99.999, n_orient=n_orient, tol=1e-12).fit(X, y)
    assert estimator.n_active_ == 1


@pytest.mark.parametrize("solver", ["newton", "bcd", "cd", "prox"])
@pytest.mark.parametrize("alpha", [99, 99.999, 99.9999999])
@pytest.mark.filterwarnings("ignore:The model is empty")
def test_alpha_close_to_100_percent_is_no_error(make_data, alpha, solver):
    """The gap of zero is below the tolerance: it may be the solution."""
    estimator = MixedNormEstimator(alpha, solver=solver).fit(*make_data())
    assert estimator.n_active_ <= 1
    assert estimator.dual_gap_ <= estimator.tol


# Invariance


@given(seed=st.integers(0, 2**32 - 1), alpha=st.floats(5, 90))
def test_rotation_within_blocks_rotates_the_coefficients(are_as_close, make_data, seed, alpha):
    X, y = make_data(3)
    rotations = ortho_group(3, seed).rvs(SIZES["n_positions"])
    rotated_X = np.einsum("sgi,gij->sgj", X.reshape(len(X), -1, 3), rotations).reshape(X.shape)
    estimator = MixedNormEstimator(alpha, n_orient=3, tol=1e-10)
    plain = clone(estimator).fit(X, y)

    rotated = estimator.fit(rotated_X, y)

    assert rotated.alpha_max_ == pytest.approx(plain.alpha_max_, rel=1e-12)
    blocks = rotated.coef_.reshape(len(rotated.coef_), -1, 3)
    rotated.coef_ = np.einsum("tgj,gij->tgi", blocks, rotations).reshape(plain.coef_.shape)
    assert same_fit(are_as_close, X, y, rotated, plain)


@given(
    seed=st.integers(0, 2**32 - 1), alpha=st.floats(5, 90), time_pca=st.sampled_from([True, False])
)
def test_rotation_in_time_rotates_the_coefficients(are_as_close, make_data, seed, alpha, time_pca):
    X, y = make_data(3)
    rotation = ortho_group(SIZES["n_targets"], seed).rvs()
    estimator = MixedNormEstimator(alpha, n_orient=3, tol=1e-10, time_pca=time_pca)
    plain = clone(estimator).fit(X, y)

    rotated = estimator.fit(X, y @ rotation)

    assert rotated.alpha_max_ == pytest.approx(plain.alpha_max_, rel=1e-12)
    rotated.coef_ = rotation @ rotated.coef_
    assert same_fit(are_as_close, X, y, rotated, plain)


@given(
    X_scale=st.floats(-12, 12),
    y_scale=st.floats(-12, 12),
    alpha=st.sampled_from([0, 10, 50]),
)
def test_scaling_the_data_scales_the_solution(are_as_close, make_data, X_scale, y_scale, alpha):
    X_scale, y_scale = 10.0**X_scale, 10.0**y_scale
    X, y = make_data(3)
    estimator = MixedNormEstimator(alpha, n_orient=3, tol=1e-10)
    plain = clone(estimator).fit(X, y)

    scaled = estimator.fit(X_scale * X, y_scale * y)

    assert scaled.alpha_max_ == pytest.approx(X_scale * y_scale * plain.alpha_max_, rel=1e-10)
    scaled.coef_ *= X_scale / y_scale
    assert same_fit(are_as_close, X, y, scaled, plain)


@n_orients
def test_order_of_positions_does_not_matter(are_as_close, make_data, n_orient):
    X, y = make_data(n_orient)
    order = np.random.default_rng(0).permutation(SIZES["n_positions"])
    index = (order[:, None] * n_orient + np.arange(n_orient)).ravel()
    estimator = MixedNormEstimator(n_orient=n_orient, tol=1e-10)
    plain = clone(estimator).fit(X, y)
    shuffled = estimator.fit(X[:, index], y)
    coef = np.empty_like(plain.coef_)
    coef[:, index] = penalised(shuffled).T
    gaps = plain.dual_gap_, shuffled.dual_gap_
    assert are_as_close(X, y, (coef.T, penalised(plain)), gaps)


# No regularization


@pytest.mark.parametrize("n_samples", [10, 90, 150])
@pytest.mark.parametrize("rank", [None, 7])
def test_alpha_zero_is_the_least_norm_solution(make_data, n_samples, rank):
    X, y = make_data(3, n_samples=n_samples)
    if rank is not None:
        left, singular_values, right = np.linalg.svd(X, full_matrices=False)
        X = left[:, :rank] * singular_values[:rank] @ right[:rank]
    estimator = MixedNormEstimator(0, n_orient=3).fit(X, y)
    expected = (np.linalg.pinv(X, rcond=1e-12) @ y).T
    # Square and random, X has a condition number of a few hundred.
    assert_allclose(estimator.coef_, expected, rtol=1e-8, atol=1e-10 * np.abs(expected).max())
    assert estimator.dual_gap_ <= ROUNDING
    assert estimator.penalty_ == 0.0
    assert estimator.converged_
    assert estimator.n_active_ == SIZES["n_positions"]
    assert_array_equal(estimator.debias_scale_, 1.0)


def test_alpha_zero_keeps_to_the_positions_with_weight(make_data):
    X, y = make_data(3, n_samples=12)
    weights = np.linspace(0.0, 2.0, SIZES["n_positions"])
    estimator = MixedNormEstimator(0, n_orient=3, weights=weights).fit(X, y)
    scale = np.repeat(weights / 2.0, 3)
    expected = scale * (np.linalg.pinv(X * scale) @ y).T
    assert_allclose(estimator.coef_, expected, rtol=1e-8, atol=1e-10)
    assert_array_equal(estimator.active_set_, scale > 0.0)


# Nothing to find


NOTHING = {
    "y is zero": lambda X, y: (X, 0.0 * y),
    "X is zero": lambda X, y: (0.0 * X, y),
    "X and y do not correlate": lambda X, y: (
        X * (np.arange(len(X)) % 2)[:, None],
        y * (np.arange(len(y)) % 2 == 0)[:, None],
    ),
}


@pytest.mark.parametrize("nothing", NOTHING)
@pytest.mark.parametrize("alpha", [0, 20])
@pytest.mark.parametrize("n_mxne_iter", [1, 3])
@pytest.mark.parametrize("debias", [True, False])
def test_nothing_to_find(make_data, nothing, alpha, n_mxne_iter, debias):
    X, y = NOTHING[nothing](*make_data(3))
    estimator = MixedNormEstimator(alpha, n_orient=3, n_mxne_iter=n_mxne_iter, debias=debias)
    with pytest.warns(UserWarning, match="The model is empty.*nothing in X correlates"):
        estimator.fit(X, y)
    assert_array_equal(estimator.coef_, np.zeros((y.shape[1], X.shape[1])))
    assert_array_equal(estimator.debias_scale_, 1.0)
    assert_array_equal(estimator.predict(X), np.zeros_like(y))
    assert not estimator.active_set_.any()
    # Zero is the minimum, exactly.
    assert estimator.dual_gap_ == 0.0
    assert estimator.converged_
    assert estimator.alpha_max_ == 0.0
    assert estimator.objective_[-1] == pytest.approx(0.5 * np.vdot(y, y))
    assert estimator.n_iter_ >= 1


@pytest.mark.parametrize("solver", ["newton", "bcd", "cd", "prox"])
def test_warm_start_at_nothing(make_data, solver):
    X, y = make_data()
    estimator = MixedNormEstimator(solver=solver, warm_start=True)
    with pytest.warns(UserWarning, match="The model is empty"):
        estimator.fit(X, 0.0 * y)
    assert estimator.fit(X, y).n_active_ > 0


# Weights of positions and samples


@n_orients
@pytest.mark.parametrize("weights_min", [0.0, 1.0])
def test_weights_scale_the_columns(are_as_close, make_data, n_orient, weights_min):
    X, y = make_data(n_orient)
    weights = np.random.default_rng(0).uniform(0.5, 4.0, SIZES["n_positions"])
    weights[::3] = 0.0
    scale = np.repeat(np.where(weights > weights_min, weights / weights.max(), 0.0), n_orient)
    params = dict(alpha=10, n_orient=n_orient, tol=1e-10)

    weighted = MixedNormEstimator(**params, weights=weights, weights_min=weights_min).fit(X, y)

    by_hand = MixedNormEstimator(**params).fit(X * scale, y)
    assert weighted.alpha_max_ == pytest.approx(by_hand.alpha_max_, rel=1e-12)
    assert_array_equal(weighted.active_set_, by_hand.active_set_)
    coefs = penalised(weighted), penalised(by_hand) * scale[:, None]
    assert are_as_close(X, y, coefs, (weighted.dual_gap_, by_hand.dual_gap_))
    assert_allclose(weighted.debias_scale_, by_hand.debias_scale_, rtol=1e-4)
    assert not weighted.coef_[:, scale == 0.0].any()
    assert weighted.n_active_ > 1


def test_only_the_ratios_of_weights_matter(make_data):
    X, y = make_data(3)
    weights = np.random.default_rng(0).uniform(0.5, 4.0, SIZES["n_positions"])
    fits = [
        MixedNormEstimator(n_orient=3, weights=factor * weights, weights_min=factor).fit(X, y)
        for factor in (1.0, 8.0)
    ]
    assert_array_equal(fits[0].coef_, fits[1].coef_)


@n_orients
@pytest.mark.parametrize("alpha", [0, 20])
def test_sample_weights_repeat_samples(are_as_close, make_data, n_orient, alpha):
    X, y = make_data(n_orient)
    repeats = np.random.default_rng(0).integers(0, 4, len(X))
    assert 0 in repeats
    estimator = MixedNormEstimator(alpha, n_orient=n_orient, tol=1e-10)
    X_repeated, y_repeated = X.repeat(repeats, axis=0), y.repeat(repeats, axis=0)
    expected = clone(estimator).fit(X_repeated, y_repeated)

    weighted = estimator.fit(X, y, sample_weight=repeats)

    assert weighted.alpha_max_ == pytest.approx(expected.alpha_max_, rel=1e-12)
    assert same_fit(are_as_close, X_repeated, y_repeated, weighted, expected)


def test_samples_of_no_weight_may_be_anything(are_as_close, make_data):
    X, y = make_data()
    weight = np.r_[np.zeros(3), np.ones(len(X) - 3)]
    dropped = MixedNormEstimator(tol=1e-10).fit(X[3:], y[3:])
    X, y = X.copy(), y.copy()
    X[:3], y[:3] = 1e6, -1e6
    weighted = MixedNormEstimator(tol=1e-10).fit(X, y, sample_weight=weight)
    assert same_fit(are_as_close, X[3:], y[3:], weighted, dropped)


@pytest.mark.parametrize("weight", [4.0, 4, np.float32(4)])
def test_number_as_sample_weight_stands_for_all(are_as_close, make_data, weight):
    X, y = make_data()
    plain = MixedNormEstimator(tol=1e-10).fit(X, y)
    weighted = MixedNormEstimator(tol=1e-10).fit(X, y, sample_weight=weight)
    assert weighted.alpha_max_ == pytest.approx(4.0 * plain.alpha_max_, rel=1e-12)
    assert same_fit(are_as_close, X, y, weighted, plain)


# Kinds of data


@n_orients
@pytest.mark.parametrize("alpha", [0, 20])
@pytest.mark.parametrize("sample_weight", [None, 2.0])
def test_single_precision_stays_single(make_data, n_orient, alpha, sample_weight):
    X, y = (array.astype(np.float32) for array in make_data(n_orient))
    before = X.copy(), y.copy()
    estimator = MixedNormEstimator(alpha, n_orient=n_orient).fit(X, y, sample_weight)
    double = MixedNormEstimator(alpha, n_orient=n_orient)
    double.fit(X.astype(float), y.astype(float), sample_weight)
    assert estimator.coef_.dtype == np.float32
    assert estimator.predict(X).dtype == np.float32
    # With weights, X is rounded to single precision once more.
    assert_allclose(estimator.coef_, double.coef_, rtol=1e-3, atol=1e-5)
    assert isinstance(estimator.dual_gap_, float)
    assert_array_equal(X, before[0])
    assert_array_equal(y, before[1])


def test_single_precision_is_not_converted_as_a_whole():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((100, 100_000), dtype=np.float32)
    y = X[:, :1] + rng.standard_normal((100, 1), dtype=np.float32)
    MixedNormEstimator(80).fit(X, y)
    tracemalloc.start()
    try:
        estimator = MixedNormEstimator(80).fit(X, y)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert estimator.n_active_ > 0
    assert peak < X.nbytes


LAYOUTS = {
    "Fortran": np.asfortranarray,
    "every other": lambda a: np.repeat(np.repeat(a, 2, axis=0), 2, axis=1)[::2, ::2],
    "backwards": lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
    "list": lambda a: a.tolist(),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout_of_the_data_does_not_matter(make_data, layout):
    X, y = make_data(3)
    expected = MixedNormEstimator(n_orient=3, tol=1e-13).fit(X, y)
    estimator = clone(expected).fit(LAYOUTS[layout](X), LAYOUTS[layout](y))
    # Rounding may lead another way to the solution: coefficients agree to the root of the gap.
    assert_allclose(estimator.coef_, expected.coef_, atol=1e-6 * np.abs(expected.coef_).max())


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("alpha", [0, 20])
def test_data_are_not_changed(make_data, order, alpha):
    X, y = (array.copy(order) for array in make_data(3))
    weights, sample_weight = np.linspace(0, 1, SIZES["n_positions"]), np.linspace(0, 1, len(X))
    arrays = X, y, weights, sample_weight
    before = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    MixedNormEstimator(alpha, n_orient=3, weights=weights, n_mxne_iter=3).fit(X, y, sample_weight)
    for array, copy in zip(arrays, before, strict=True):
        assert_array_equal(array, copy)


@n_orients
def test_one_target_has_the_shape_it_comes_in(make_data, n_orient):
    X, y = make_data(n_orient, n_targets=1)
    estimator = MixedNormEstimator(n_orient=n_orient)
    flat, column = clone(estimator).fit(X, y), estimator.fit(X, y[:, None])
    assert flat.coef_.shape == (X.shape[1],)
    assert flat.predict(X).shape == (len(X),)
    assert column.coef_.shape == (1, X.shape[1])
    assert column.predict(X).shape == (len(X), 1)
    assert_array_equal(flat.coef_, column.coef_[0])


def test_data_frames(make_data):
    X, y = make_data()
    names = [f"position {g}" for g in range(X.shape[1])]
    frame = pd.DataFrame(X, columns=names)
    estimator = MixedNormEstimator().fit(frame, pd.DataFrame(y))
    assert_array_equal(estimator.feature_names_in_, names)
    assert_allclose(estimator.coef_, MixedNormEstimator().fit(X, y).coef_, rtol=1e-9, atol=1e-12)
    assert_allclose(estimator.predict(frame), X @ estimator.coef_.T, rtol=1e-12, atol=1e-12)
    with pytest.raises(ValueError, match="feature names"):
        estimator.predict(frame.rename(columns={"position 0": "elsewhere"}))


def test_integers_are_numbers(make_data):
    X, y = (np.round(10 * array).astype(int) for array in make_data())
    expected = MixedNormEstimator().fit(X.astype(float), y.astype(float))
    assert_array_equal(MixedNormEstimator().fit(X, y).coef_, expected.coef_)


# Attributes and predictions


@pytest.mark.parametrize("n_mxne_iter", [1, 3])
@n_orients
def test_attributes(make_data, n_orient, n_mxne_iter):
    X, y = make_data(n_orient)
    estimator = MixedNormEstimator(n_orient=n_orient, n_mxne_iter=n_mxne_iter)
    assert estimator.fit(X, y) is estimator
    n_features = X.shape[1]
    fitted = {name: value for name, value in vars(estimator).items() if name.endswith("_")}
    assert {name: type(value) for name, value in fitted.items()} == {
        "coef_": np.ndarray,
        "debias_scale_": np.ndarray,
        "intercept_": float,
        "penalty_": float,
        "alpha_max_": float,
        "active_set_": np.ndarray,
        "n_active_": int,
        "explained_variance_": float,
        "dual_gap_": float,
        "objective_": list,
        "n_iter_": int,
        "converged_": bool,
        "n_features_in_": int,
    }
    assert estimator.coef_.shape == (y.shape[1], n_features)
    assert estimator.debias_scale_.shape == (SIZES["n_positions"],)
    assert estimator.debias_scale_.min() >= 1.0
    assert estimator.active_set_.shape == (n_features,)
    assert estimator.active_set_.dtype == bool
    blocks = estimator.coef_.reshape(y.shape[1], -1, n_orient).any(axis=(0, 2))
    assert_array_equal(estimator.active_set_, np.repeat(blocks, n_orient))
    assert estimator.n_active_ == blocks.sum() > 0
    assert_array_equal(estimator.debias_scale_[~blocks], 1.0)
    assert estimator.n_features_in_ == n_features
    assert estimator.intercept_ == 0.0
    assert {type(value) for value in estimator.objective_} == {float}
    assert estimator.n_iter_ >= len(estimator.objective_)
    largest = np.linalg.norm((X.T @ y).reshape(SIZES["n_positions"], -1), axis=1).max()
    assert estimator.alpha_max_ == pytest.approx(largest, rel=1e-12)
    assert estimator.penalty_ == pytest.approx(0.2 * largest, rel=1e-12)
    assert estimator.dual_gap_ <= estimator.tol
    assert estimator.converged_


@pytest.mark.parametrize("n_mxne_iter", [2, 4])
def test_reweighting_has_one_objective_for_each_problem(make_data, n_mxne_iter):
    estimator = MixedNormEstimator(n_mxne_iter=n_mxne_iter, tol=1e-12).fit(*make_data())
    assert len(estimator.objective_) == n_mxne_iter


def test_predictions_and_score(make_data):
    X, y = make_data(3)
    estimator = MixedNormEstimator(n_orient=3).fit(X[:20], y[:20])
    assert_allclose(estimator.predict(X), X @ estimator.coef_.T, rtol=1e-12, atol=1e-12)
    assert estimator.score(X[20:], y[20:]) == r2_score(y[20:], estimator.predict(X[20:]))


def test_parameters_are_keywords_but_alpha():
    assert MixedNormEstimator(30).alpha == 30
    with pytest.raises(TypeError, match="positional"):
        MixedNormEstimator(30, 3)


def test_clone_and_pickle(make_data):
    X, y = make_data(3)
    estimator = MixedNormEstimator(30, n_orient=3, weights=np.ones(30), dgap_freq=np.inf)
    estimator.fit(X, y)
    unfitted = clone(estimator)
    assert not hasattr(unfitted, "coef_")
    assert {**unfitted.get_params(), "weights": 0} == {**estimator.get_params(), "weights": 0}
    loaded = pickle.loads(pickle.dumps(estimator))
    assert_array_equal(loaded.predict(X), estimator.predict(X))
    assert_array_equal(unfitted.fit(X, y).coef_, estimator.coef_)


# Warm starts


@n_orients
@pytest.mark.parametrize("params", [{}, {"time_pca": False}, {"weights": np.arange(30.0)}])
def test_second_fit_of_a_warm_start_takes_one_iteration(are_as_close, make_data, n_orient, params):
    X, y = make_data(n_orient)
    estimator = MixedNormEstimator(n_orient=n_orient, warm_start=True, **params).fit(X, y)
    cold = pickle.loads(pickle.dumps(estimator))
    estimator.fit(X, y)
    assert estimator.n_iter_ == 1 < cold.n_iter_
    assert same_fit(are_as_close, X, y, estimator, cold)


@n_orients
@pytest.mark.parametrize("alpha", [5, 0, 60])
def test_warm_start_with_another_alpha(are_as_close, make_data, n_orient, alpha):
    X, y = make_data(n_orient)
    warm = MixedNormEstimator(20, n_orient=n_orient, warm_start=True, tol=1e-10).fit(X, y)
    for value in (alpha, 30):
        warm.set_params(alpha=value).fit(X, y)
        cold = clone(warm).fit(X, y)
        assert warm.alpha_max_ == cold.alpha_max_
        assert same_fit(are_as_close, X, y, warm, cold)


def test_warm_start_leaves_the_old_coefficients_alone(make_data):
    X, y = make_data()
    estimator = MixedNormEstimator(solver="cd", warm_start=True, debias=False).fit(X, y)
    old, copy = estimator.coef_, estimator.coef_.copy()
    estimator.set_params(alpha=5).fit(X, y)
    assert_array_equal(old, copy)


@pytest.mark.parametrize(
    ("n_features", "n_targets", "n_orient"), [(60, 6, 3), (90, 2, 3), (90, 6, 1), (90, None, 3)]
)
def test_warm_start_of_another_shape_is_a_cold_one(make_data, n_features, n_targets, n_orient):
    X, y = make_data(3)
    warm = MixedNormEstimator(n_orient=3, warm_start=True).fit(X, y)
    X, y = X[:, :n_features], y[:, 0] if n_targets is None else y[:, :n_targets]
    warm.set_params(n_orient=n_orient).fit(X, y)
    assert_array_equal(warm.coef_, clone(warm).fit(X, y).coef_)


def test_no_warm_start_unless_asked(make_data):
    X, y = make_data()
    estimator = MixedNormEstimator().fit(X, y)
    first = estimator.coef_, estimator.n_iter_
    estimator.fit(X, y)
    assert_array_equal(estimator.coef_, first[0])
    assert estimator.n_iter_ == first[1] > 1


# In a search


def test_grid_search_over_alpha(make_data):
    X, y = make_data(3)
    grid = {"alpha": [80, 40, 20, 10]}
    search = GridSearchCV(MixedNormEstimator(n_orient=3), grid, cv=3).fit(X, y)
    assert search.best_params_["alpha"] in grid["alpha"][1:]
    expected = MixedNormEstimator(search.best_params_["alpha"], n_orient=3).fit(X, y)
    assert_array_equal(search.best_estimator_.coef_, expected.coef_)


@pytest.mark.thorough
def test_grid_search_over_a_pipeline_in_two_processes(make_data):
    X, y = make_data(3)
    pipeline = make_pipeline(MaxAbsScaler(), MixedNormEstimator(n_orient=3))
    grid = {"mixednormestimator__alpha": [40, 20]}
    searches = [GridSearchCV(pipeline, grid, cv=2, n_jobs=n).fit(X, y) for n in (1, 2)]
    scores = [search.cv_results_["mean_test_score"] for search in searches]
    assert_allclose(scores[0], scores[1], rtol=1e-12)


# Threads


def test_fits_at_the_same_time_are_those_alone(make_problem):
    problems = [make_problem(30, 1300, n_targets=4, random_state=seed) for seed in range(6)]

    def fit(problem):
        return MixedNormEstimator(10, n_mxne_iter=2).fit(*problem).coef_

    alone = [fit(problem) for problem in problems]
    with ThreadPoolExecutor(2) as executor:
        together = list(executor.map(fit, problems))
    for first, second in zip(alone, together, strict=True):
        assert_allclose(second, first, rtol=1e-10, atol=1e-13)


# Messages


@pytest.mark.parametrize("solver", ["newton", "bcd", "cd", "prox"])
def test_iterations_that_run_out_are_told(judge, make_data, solver):
    X, y = make_data()
    estimator = MixedNormEstimator(2, solver=solver, maxit=1, tol=1e-9)
    message = (
        r"duality gap, (\S+) of the power of y, is above tol=1e-09, so the model is not exact: "
        "increase maxit=1"
    )
    with pytest.warns(ConvergenceWarning, match=message) as record:
        estimator.fit(X, y)
    told = float(re.search(message, str(record[0].message))[1])
    assert told == pytest.approx(estimator.dual_gap_, rel=0.06)
    assert not estimator.converged_
    assert estimator.n_iter_ == 1
    # It is a solution all the same, and the gap says how good it is.
    best = MixedNormEstimator(2, tol=1e-12).fit(X, y)
    primals = [judge(X, y, penalised(fit), fit.penalty_).primal for fit in (estimator, best)]
    assert primals[0] - primals[1] <= estimator.dual_gap_ + ROUNDING
    assert record[0].filename == __file__


def test_gap_that_rounding_does_not_allow_is_told(make_data):
    X, y = make_data()
    with pytest.warns(ConvergenceWarning, match="it no longer gets smaller, increase tol"):
        estimator = MixedNormEstimator(2, tol=1e-20).fit(X, y)
    assert estimator.n_iter_ < estimator.maxit
    assert estimator.dual_gap_ < 1e-13


def test_messages_are_logged_and_nothing_is_printed(make_data, caplog, capfd):
    X, y = make_data()
    MixedNormEstimator(verbose=None).fit(X, y)
    MixedNormEstimator(verbose=False).fit(X, y)
    assert caplog.records == []
    estimator = MixedNormEstimator(verbose=True, n_mxne_iter=2).fit(X, y)
    messages = [record.getMessage() for record in caplog.records]
    assert {record.name.partition(".")[0] for record in caplog.records} == {"skmxne"}
    assert messages[0].startswith("outer iteration 1:")
    assert messages[-1].startswith("reweighting 1:")
    assert f"active blocks {estimator.n_active_}" in messages[-1]
    assert tuple(capfd.readouterr()) == ("", "")


# What is refused


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["X", "y"])
def test_data_that_are_not_finite(make_data, name, bad):
    data = dict(zip("Xy", make_data(), strict=True))
    data[name] = data[name].copy()
    data[name][3, 4] = bad
    with pytest.raises(ValueError, match=f"Input {name} contains (NaN|infinity)"):
        MixedNormEstimator().fit(**data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, y: (X[:-1], y), "inconsistent numbers of samples"),
        (lambda X, y: (X[0], y), "Expected 2D array"),
        (lambda X, y: (X[:, :, None], y), r"X with dim 3|dim 3"),
        (lambda X, y: (X, y[:, :, None]), "dim 3"),
        (lambda X, y: (X[:0], y[:0]), r"0 sample\(s\)"),
        (lambda X, y: (X[:, :0], y), r"0 feature\(s\)"),
        (lambda X, y: (X, None), "requires y to be passed"),
        (lambda X, y: (sparse.csr_array(X), y), "Sparse data was passed for X"),
        (lambda X, y: (X, sparse.csr_array(y)), "(?i)sparse"),
        (lambda X, y: (X + 0j, y), "Complex data not supported"),
        (lambda X, y: (X, y + 0j), "Complex data not supported"),
        (lambda X, y: (np.full(X.shape, "a"), y), "could not convert string"),
    ],
)
def test_bad_data(make_data, change, message):
    X, y = change(*make_data())
    with pytest.raises((TypeError, ValueError), match=message):
        MixedNormEstimator().fit(X, y)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.ones(24), r"sample_weight has shape \(24,\), but X has 25 samples"),
        (np.ones((25, 1)), r"sample_weight has shape \(25, 1\)"),
        (np.r_[np.ones(24), -1e-9], "sample_weight must not be negative"),
        (np.zeros(25), "sample_weight must not be negative, and not all zero"),
        (0.0, "sample_weight must not be negative, and not all zero"),
        (-1.0, "sample_weight must not be negative"),
        (np.r_[np.ones(24), np.nan], "sample_weight contains NaN"),
        (np.r_[np.ones(24), np.inf], "sample_weight contains infinity"),
        (np.nan, "sample_weight contains NaN"),
    ],
)
def test_bad_sample_weights(make_data, weight, message):
    with pytest.raises(ValueError, match=message):
        MixedNormEstimator().fit(*make_data(), sample_weight=weight)


def test_prediction_needs_a_fit(make_data):
    with pytest.raises(NotFittedError, match="MixedNormEstimator"):
        MixedNormEstimator().predict(make_data()[0])


def test_prediction_needs_the_same_features(make_data):
    X, y = make_data()
    estimator = MixedNormEstimator().fit(X, y)
    with pytest.raises(ValueError, match=r"X has 29 features, but .* is expecting 30"):
        estimator.predict(X[:, 1:])
    with pytest.raises(ValueError, match="Input X contains NaN"):
        estimator.predict(np.full_like(X, np.nan))


@pytest.mark.parametrize("unit", [1e-30, 1e-24, 1e20, 1e30])
def test_single_precision_of_any_magnitude(make_data, unit):
    X, y = make_data()
    X = X.astype(np.float32)
    expected = MixedNormEstimator(10, tol=1e-8).fit(X, y)
    scaled = MixedNormEstimator(10, tol=1e-8).fit(X * np.float32(unit), y)
    assert scaled.converged_
    assert_array_equal(scaled.active_set_, expected.active_set_)
    assert_allclose(unit * scaled.coef_, expected.coef_, rtol=1e-3, atol=1e-5)


def test_no_active_set_costs_no_gram_matrix():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((50, 4000)), rng.standard_normal((50, 3))
    tracemalloc.start()
    MixedNormEstimator(50, active_set_size=None).fit(X, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * X.nbytes


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"n_mxne_iter": 5},
        {"debias": False, "alpha": 60},
        {"time_pca": 2},
        {"time_pca": False, "weights": np.arange(100.0)},
        {"alpha": 0},
    ],
    ids=str,
)
@pytest.mark.parametrize("is_weighted", [False, True], ids=["unweighted", "weighted"])
def test_explained_variance_is_that_of_the_data_fitted_to(make_problem, params, is_weighted):
    X, y = make_problem(n_orient=3, noise=1.0)
    weight = np.linspace(0.5, 2, len(X)) if is_weighted else None
    model = MixedNormEstimator(n_orient=3).set_params(**params).fit(X, y, weight)
    left, power = (
        np.average(np.sum(array**2, axis=1), weights=weight) for array in (y - model.predict(X), y)
    )
    assert model.explained_variance_ == pytest.approx(100 * (1 - left / power), abs=1e-8)


def test_explained_variance_is_that_of_the_inverse_problem(make_case):
    case = make_case("surface")
    problem = InverseProblem.from_evoked(case.evoked, case.forward, case.noise_cov)
    model = MixedNormEstimator(n_orient=3).fit(problem.X, problem.y)
    expected = problem.explained_variance(model)
    assert 10 < expected < 100
    assert model.explained_variance_ == pytest.approx(expected)


def test_coefficients_of_an_earlier_fit_do_not_predict_other_features(make_data):
    X, y = make_data()
    estimator = MixedNormEstimator().fit(X, y)
    with pytest.raises(ValueError, match="y contains NaN"):
        estimator.fit(X[:, : X.shape[1] // 2], np.nan * y)
    for part in (X, X[:, : X.shape[1] // 2]):
        with pytest.raises(ValueError, match=r"X has \d+ features"):
            estimator.predict(part)


NUMBERS = [
    (dict(alpha=np.float16(20)), dict(alpha=20.0)),
    (dict(alpha=np.longdouble(20)), dict(alpha=20.0)),
    (dict(tol=np.float16(0.5)), dict(tol=0.5)),
    (dict(maxit=np.uint8(255), active_set_size=np.int8(100)), dict(maxit=255, active_set_size=100)),
    (dict(n_orient=np.int8(3)), dict(n_orient=3)),
    (
        dict(reweighting_scale=Fraction(1, 3), n_mxne_iter=np.int8(5)),
        dict(reweighting_scale=1 / 3, n_mxne_iter=5),
    ),
    (
        dict(weights=np.ones(150), weights_min=np.float16(0.5)),
        dict(weights=np.ones(150), weights_min=0.5),
    ),
]


@pytest.mark.parametrize(("given", "meant"), NUMBERS)
@pytest.mark.parametrize("solver", ["newton", "bcd", "prox"])
def test_numbers_of_any_precision(make_problem, given, meant, solver):
    n_orient = int(meant.get("n_orient", 1))
    X, y = make_problem(20, 150, n_orient=n_orient, noise=1.0)
    y *= 1e4
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        expected = MixedNormEstimator(solver=solver, **meant).fit(X, y)
        estimator = MixedNormEstimator(solver=solver, **given).fit(X, y)
    assert_array_equal(estimator.coef_, expected.coef_)
    assert type(estimator.penalty_) is float


def test_least_squares_that_rounding_spoils_is_told():
    rng = np.random.default_rng(1361)
    X = rng.standard_normal((8, 8)) * np.geomspace(0.1, 10, 8)[:, None]
    X *= 10.0 ** rng.uniform(-6, 6, (8, 1))
    with pytest.warns(ConvergenceWarning, match="it no longer gets smaller"):
        estimator = MixedNormEstimator(alpha=0).fit(X, rng.standard_normal((8, 2)))
    assert not estimator.converged_
    assert estimator.dual_gap_ > estimator.tol


@pytest.mark.parametrize("name", ["X", "y"])
@pytest.mark.parametrize("n_targets", [1, 4])
def test_solver_of_a_user_cannot_change_the_data(make_problem, name, n_targets):
    X, y = make_problem(20, 30, n_targets=n_targets, noise=1.0)
    kept = X.copy(), y.copy()

    def solve(problem, coef, **options):
        data = getattr(problem, name)
        data *= 2.0

    for size in (1, None):
        with pytest.raises(ValueError, match="read-only"):
            MixedNormEstimator(solver=solve, active_set_size=size).fit(X, y)
    assert_array_equal(X, kept[0])
    assert_array_equal(y, kept[1])


def test_columns_of_zeros_that_weights_leave(make_data):
    X, y = make_data()
    X = np.hstack([X, np.zeros((len(X), 2))])
    weights = np.r_[np.zeros(X.shape[1] - 2), 1.0, 1.0]
    with pytest.warns(UserWarning, match="The model is empty"):
        estimator = MixedNormEstimator(weights=weights).fit(X, y)
    assert estimator.n_active_ == 0


@pytest.mark.parametrize("solver", ["newton", "bcd", "cd", "prox"])
def test_start_that_is_worse_than_zero_is_not_taken(make_problem, solver):
    X, y = make_problem(30, 30, n_targets=6, n_active=3, noise=1.0)
    estimator = MixedNormEstimator(solver=solver, warm_start=True).fit(X, y)
    estimator.set_params(weights=np.r_[np.full(15, 1e-6), np.ones(15)]).fit(X, y)
    assert estimator.converged_
    estimator.fit(X, 1e-9 * y)
    assert estimator.converged_
