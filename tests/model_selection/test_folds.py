"""Folds of measurements of the same samples, against the same data with all rows stacked."""

import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, GroupKFold, LeaveOneGroupOut
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler
from sklearn.utils import Bunch

from skmxne import MixedNormCV, MixedNormEstimator

ALPHAS = [80.0, 60.0, 40.0, 30.0, 20.0, 12.0]
N_TRIALS = np.array([5, 2, 3, 4])  # Not the same in all folds.

# What so few data choose is not asked here.
pytestmark = pytest.mark.filterwarnings("ignore:The alpha chosen")

n_orients = pytest.mark.parametrize("n_orient", [1, 3])


@pytest.fixture(scope="module")
def make_measurements(make_problem):
    """Return a function that simulates averages of trials, with their rows stacked, too."""

    def make(n_orient=1, n_targets=6, noise=1.0, n_trials=N_TRIALS):
        X, signal = make_problem(
            25, 40, n_orient=n_orient, n_targets=n_targets, n_active=3, noise=0.0
        )
        rng = np.random.default_rng(0)
        shares = n_trials / n_trials.sum()
        noise = noise * rng.standard_normal((len(shares), *signal.shape))
        y_folds = signal + (noise.T / np.sqrt(shares)).T
        roots = np.sqrt(shares)
        return Bunch(
            X=X,
            y=np.tensordot(shares, y_folds, axes=1),
            folds=dict(y_folds=y_folds, fold_weights=n_trials),
            rows=np.vstack([root * X for root in roots]),
            targets=np.concatenate([r * y for r, y in zip(roots, y_folds, strict=True)]),
            groups=np.arange(len(shares)).repeat(len(X)),
        )

    return make


@pytest.mark.usual(n_orient=[3])
@n_orients
@pytest.mark.parametrize(
    ("params", "scoring"),
    [
        ({}, None),
        ({"n_mxne_iter": 4}, None),
        ({"n_mxne_iter": 4, "reweighting_scale": 0.7, "debias": False}, "r2"),
        ({"time_pca": False}, "neg_mean_absolute_error"),
    ],
)
def test_choice_is_that_of_a_grid_search_over_stacked_rows(
    make_measurements, n_orient, params, scoring
):
    data = make_measurements(n_orient)
    params = params | dict(n_orient=n_orient, tol=1e-10)
    search = GridSearchCV(
        MixedNormEstimator(**params),
        {"alpha": ALPHAS},
        cv=GroupKFold(len(N_TRIALS)),
        scoring=scoring or "neg_mean_squared_error",
    ).fit(data.rows, data.targets, groups=data.groups)

    model = MixedNormCV(alphas=ALPHAS, scoring=scoring, **params)
    model.fit(data.X, data.y, **data.folds)

    results = search.cv_results_
    expected = np.transpose([results[f"split{k}_test_score"] for k in range(len(N_TRIALS))])
    scores = -model.mse_path_ if scoring is None else model.score_path_
    # The order of the folds is the splitter's.
    assert_allclose(np.sort(scores), np.sort(expected), rtol=1e-5)
    assert model.alpha_ == search.best_params_["alpha"]
    assert ALPHAS[0] > model.alpha_ > ALPHAS[-1]
    best = search.best_estimator_.coef_
    assert_allclose(model.coef_, best, rtol=1e-4, atol=1e-5 * np.abs(best).max())


@pytest.mark.usual(weighted=[True], n_targets=[6])
@pytest.mark.parametrize("scoring", [None, "neg_mean_absolute_error"])
@pytest.mark.parametrize("n_targets", [1, 6])
@pytest.mark.parametrize("weighted", [False, True])
def test_paths_are_those_of_stacked_rows(make_measurements, scoring, n_targets, weighted):
    data = make_measurements(n_targets=n_targets)
    assert data.y.ndim == (1 if n_targets == 1 else 2)
    weight = stacked_weight = None
    if weighted:
        weight = np.linspace(0.1, 2.0, len(data.X))
        weight[3] = 0.0
        stacked_weight = np.tile(weight, len(N_TRIALS))
    model = MixedNormCV(scoring=scoring, tol=1e-10, eps=0.2, alphas=8)
    expected = clone(model).set_params(cv=LeaveOneGroupOut())
    expected.fit(data.rows, data.targets, data.groups, stacked_weight)
    model.fit(data.X, data.y, sample_weight=weight, **data.folds)
    assert_allclose(model.mse_path_, expected.mse_path_, rtol=1e-5)
    if scoring:
        assert_allclose(model.score_path_, expected.score_path_, rtol=1e-5)
    assert model.alpha_ == expected.alpha_
    assert_allclose(model.penalty_, expected.penalty_)
    assert_allclose(model.coef_, expected.coef_, atol=1e-4 * np.abs(model.coef_).max())


def test_errors_are_on_the_scale_of_the_noise_of_y():
    """Whatever the sizes of the folds: least squares adds to the noise what it makes of that."""
    rng = np.random.default_rng(0)
    n_samples, n_features, variance = 25, 3, 4.0
    n_trials = np.array([1, 4, 20, 25])
    shares = n_trials / n_trials.sum()
    X = rng.standard_normal((n_samples, n_features))
    noise = rng.standard_normal((4, n_samples, 2000)) * np.sqrt(variance)
    y_folds = X @ rng.standard_normal((n_features, 2000)) + (noise.T / np.sqrt(shares)).T
    y = np.tensordot(shares, y_folds, axes=1)
    model = MixedNormCV(alphas=[0.0]).fit(X, y, y_folds=y_folds, fold_weights=n_trials)
    expected = variance * (1 + n_features / n_samples * shares / (1 - shares))
    assert_allclose(model.mse_path_[0], expected, rtol=0.02)


def test_model_is_the_estimator_at_the_alpha_chosen(make_measurements):
    data = make_measurements(3)
    model = MixedNormCV(n_orient=3, n_mxne_iter=4).fit(data.X, data.y, **data.folds)
    expected = MixedNormEstimator(model.alpha_, n_orient=3, n_mxne_iter=4).fit(data.X, data.y)
    assert_array_equal(model.coef_, expected.coef_)
    assert model.mse_path_.shape == (20, len(N_TRIALS))


def test_folds_have_the_same_weight_unless_told_otherwise(make_measurements):
    data = make_measurements(n_trials=np.full(3, 7))
    y_folds = data.folds["y_folds"]
    equal = MixedNormCV().fit(data.X, data.y, y_folds=y_folds)
    told = MixedNormCV().fit(data.X, data.y, **data.folds)
    assert_array_equal(equal.mse_path_, told.mse_path_)
    shares = MixedNormCV().fit(data.X, data.y, y_folds=y_folds.tolist(), fold_weights=[1 / 3] * 3)
    assert_allclose(shares.mse_path_, told.mse_path_)


def test_number_of_jobs_and_the_rule_of_one_standard_error(make_measurements):
    data = make_measurements()
    best = MixedNormCV(alphas=ALPHAS).fit(data.X, data.y, **data.folds)
    model = MixedNormCV(alphas=ALPHAS, one_standard_error=True, n_jobs=2)
    model.fit(data.X, data.y, **data.folds)
    assert_array_equal(model.mse_path_, best.mse_path_)
    means = best.mse_path_.mean(axis=1)
    error = np.std(best.mse_path_[means.argmin()], ddof=1) / np.sqrt(len(N_TRIALS))
    within = [a for a, m in zip(ALPHAS, means, strict=True) if m <= means.min() + error]
    assert model.alpha_ == max(within) > best.alpha_


def test_data_are_not_changed(make_measurements):
    data = make_measurements()
    arrays = data.X, data.y, data.folds["y_folds"], data.folds["fold_weights"]
    before = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    MixedNormCV(scoring="r2").fit(data.X, data.y, **data.folds)
    for array, copy in zip(arrays, before, strict=True):
        assert_array_equal(array, copy)


@pytest.mark.usual(dtype=[np.float32])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_x_is_not_copied(dtype):
    """But for what a fit takes: of double precision, a copy in single precision."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((100, 100_000)).astype(dtype)
    y_folds = X[:, :2].sum(axis=1).astype(float) + 4 * rng.standard_normal((5, 100))
    data = dict(y=y_folds.mean(axis=0), y_folds=y_folds)
    model = MixedNormCV(alphas=[80, 60, 40]).fit(X, **data)
    tracemalloc.start()
    model.fit(X, **data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert model.n_active_ > 0
    assert peak < (0.4 if dtype == np.float32 else 0.75) * X.nbytes


def test_folds_pass_through_a_pipeline(make_measurements):
    data = make_measurements()
    expected = MixedNormCV().fit(data.X / np.abs(data.X).max(axis=0), data.y, **data.folds)
    by_name = {f"mixednormcv__{name}": value for name, value in data.folds.items()}
    pipeline = make_pipeline(MaxAbsScaler(), MixedNormCV()).fit(data.X, data.y, **by_name)
    assert_allclose(pipeline[-1].mse_path_, expected.mse_path_, rtol=1e-10)
    with config_context(enable_metadata_routing=True):
        model = MixedNormCV().set_fit_request(y_folds=True, fold_weights=True)
        pipeline = make_pipeline(MaxAbsScaler(), model).fit(data.X, data.y, **data.folds)
    assert_allclose(pipeline[-1].mse_path_, expected.mse_path_, rtol=1e-10)


@pytest.mark.parametrize(
    ("cv", "change", "match"),
    [
        (5, {}, "cv and groups must be None with y_folds"),
        (None, {"groups": np.arange(25)}, "cv and groups must be None with y_folds"),
        (None, {"y_folds": None}, "fold_weights are the weights of y_folds: pass both"),
        (None, {"y_folds": np.ones((4, 25, 5))}, r"shape \(4, 25, 5\), but y has \(25, 6\)"),
        (None, {"y_folds": np.ones((4, 25))}, r"y_folds has shape \(4, 25\), but y has"),
        (None, {"y_folds": np.ones((1, 25, 6))}, "give at least two folds, each of the shape of y"),
        (None, {"y_folds": np.full((4, 25, 6), np.nan)}, "Input y_folds contains NaN"),
        (None, {"fold_weights": np.ones(3)}, "one positive number for each of the 4 y_folds"),
        (None, {"fold_weights": np.ones((4, 1))}, "fold_weights must be one positive number"),
        (None, {"fold_weights": [1, 2, 0, 1]}, "fold_weights must be one positive number"),
        (None, {"fold_weights": [1, 2, np.inf, 1]}, "Input fold_weights contains infinity"),
        (None, {"fold_weights": None}, "y must be the mean of y_folds with fold_weights, but"),
        (None, {"fold_weights": N_TRIALS[::-1]}, r"y must be the mean .*InverseProblem\.from_ep"),
    ],
)
def test_what_does_not_fit_is_refused(make_measurements, cv, change, match):
    data = make_measurements()
    with pytest.raises(ValueError, match=match):
        MixedNormCV(cv=cv).fit(data.X, data.y, **(data.folds | change))


def test_rounding_to_single_precision_is_no_other_mean(make_measurements):
    data = make_measurements()
    folds = data.folds | dict(y_folds=data.folds["y_folds"].astype(np.float32))
    model = MixedNormCV(alphas=ALPHAS).fit(data.X, data.y.astype(np.float32), **folds)
    expected = MixedNormCV(alphas=ALPHAS).fit(data.X, data.y, **data.folds)
    assert model.alpha_ == expected.alpha_
    assert_allclose(model.mse_path_, expected.mse_path_, rtol=1e-3)
