"""An intercept: the model of centred data, and nothing else."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.linalg import helmert
from sklearn.linear_model import MultiTaskLasso
from sklearn.model_selection import GridSearchCV, KFold

from skmxne import (
    MixedNormCV,
    MixedNormEstimator,
    MixedNormIC,
    compute_certificate,
    compute_confidence,
    mixed_norm_path,
    verify,
)
from skmxne.datasets import make_block_sparse_regression
from skmxne.model_selection.criteria import CRITERIA

TIGHT = dict(tol=1e-12)


@pytest.fixture(scope="module")
def data():
    """Return data whose columns and targets are far from zero."""
    X, y = make_block_sparse_regression(40, 30, n_orient=2, n_active=3, noise=0.5, random_state=0)
    rng = np.random.default_rng(0)
    return X + 3 * rng.standard_normal(60), y + 20 * rng.standard_normal(10)


def center(values, weight=None):
    return values - np.average(values, axis=0, weights=weight)


@pytest.mark.parametrize("options", [{}, {"n_mxne_iter": 4}, {"time_pca": 2}, {"debias": False}])
@pytest.mark.parametrize("alpha", [0, 30])
@pytest.mark.parametrize("is_weighted", [False, True])
def test_model_is_that_of_centred_data(data, options, alpha, is_weighted):
    X, y = data
    weight = np.random.default_rng(1).uniform(0, 2, len(X)) if is_weighted else None
    if is_weighted:
        weight[[0, 1, 7]] = 0
    model = MixedNormEstimator(alpha, n_orient=2, fit_intercept=True, **TIGHT, **options)
    model.fit(X, y, sample_weight=weight)
    centred = MixedNormEstimator(alpha, n_orient=2, **TIGHT, **options)
    centred.fit(center(X, weight), center(y, weight), sample_weight=weight)
    assert_allclose(model.coef_, centred.coef_, atol=1e-6 * np.abs(centred.coef_).max())
    assert_allclose(model.alpha_max_, centred.alpha_max_)
    assert_allclose(model.explained_variance_, centred.explained_variance_)
    assert_allclose(model.debias_scale_, centred.debias_scale_, rtol=1e-5)
    means = (np.average(values, axis=0, weights=weight) for values in (X, y))
    X_mean, y_mean = means
    assert_allclose(model.intercept_, y_mean - model.coef_ @ X_mean)
    assert_allclose(model.predict(X), X @ model.coef_.T + model.intercept_)


def test_model_is_that_of_scikit_learn(data):
    X, y = data
    model = MixedNormEstimator(20, fit_intercept=True, debias=False, **TIGHT).fit(X, y)
    lasso = MultiTaskLasso(model.penalty_ / len(X), tol=1e-10, max_iter=100_000).fit(X, y)
    assert_allclose(model.coef_, lasso.coef_, atol=1e-6)
    assert_allclose(model.intercept_, lasso.intercept_, rtol=1e-6)
    assert_allclose(model.score(X, y), lasso.score(X, y), rtol=1e-8)


@pytest.mark.parametrize(
    "model",
    [
        MixedNormEstimator(30, n_orient=2, **TIGHT),
        MixedNormCV(n_orient=2, alphas=5, **TIGHT),
        MixedNormIC(n_orient=2, alphas=8, noise_variance=0.25, **TIGHT),
        MixedNormIC(criterion="bic", n_orient=2, alphas=8, noise_variance=0.25, **TIGHT),
    ],
    ids=["estimator", "cv", "ric", "bic"],
)
@pytest.mark.parametrize("target", [slice(None), 0])
@pytest.mark.filterwarnings("ignore:(The alpha chosen|The residual has)")
def test_constants_change_the_intercept_only(data, model, target):
    X, y = data
    y = y[:, target]
    model.set_params(fit_intercept=True).fit(X, y)
    coef, intercept, prediction = model.coef_, model.intercept_, model.predict(X)
    assert np.ndim(intercept) == y.ndim - 1
    model.fit(X + 7, y - 5)
    assert_allclose(model.coef_, coef, atol=1e-6 * np.abs(coef).max())
    assert_allclose(model.predict(X + 7), prediction - 5, rtol=1e-6)


@pytest.mark.parametrize("criterion", ["ric", *CRITERIA])
@pytest.mark.filterwarnings("ignore:(The alpha chosen|The residual has|A criterion)")
def test_criteria_are_those_of_the_rows_left(data, criterion):
    X, y = data
    options = dict(criterion=criterion, n_orient=2, alphas=8, noise_variance=0.25, n_mxne_iter=3)
    model = MixedNormIC(fit_intercept=True, **options, **TIGHT).fit(X, y)
    contrasts = helmert(len(X))
    expected = MixedNormIC(**options, **TIGHT).fit(contrasts @ X, contrasts @ y)
    assert model.n_active_ > 0
    for name in ("criterion_", "degrees_of_freedom_", "residual_sum_of_squares_", "alpha_"):
        assert_allclose(getattr(model, name), getattr(expected, name), rtol=1e-6)
    assert_array_equal(model.active_set_, expected.active_set_)


@pytest.mark.filterwarnings("ignore:The alpha chosen")
def test_folds_have_means_of_their_own(data):
    X, y = data
    cv = KFold(4, shuffle=True, random_state=1)
    model = MixedNormCV(n_orient=2, alphas=[60, 30, 10], cv=cv, fit_intercept=True, **TIGHT)
    model.fit(X, y)
    estimator = MixedNormEstimator(n_orient=2, fit_intercept=True, **TIGHT)
    search = GridSearchCV(
        estimator, {"alpha": [60, 30, 10]}, cv=cv, scoring="neg_mean_squared_error"
    ).fit(X, y)
    assert search.best_params_["alpha"] == model.alpha_
    folds = [search.cv_results_[f"split{k}_test_score"] for k in range(4)]
    assert_allclose(model.mse_path_, -np.transpose(folds), rtol=1e-5)


@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize("n_mxne_iter", [1, 8])
def test_certificate_knows_of_the_intercept(data, is_weighted, n_mxne_iter):
    X, y = data
    weight = np.random.default_rng(1).uniform(0, 2, len(X)) if is_weighted else None
    options = dict(n_orient=2, n_mxne_iter=n_mxne_iter, tol=1e-8)
    model = MixedNormEstimator(40, fit_intercept=True, **options)
    model.fit(X, y, sample_weight=weight)
    assert verify(model, X, y, weight).holds(tol=1e-6)
    assert not verify(model.set_params(fit_intercept=False), X, y, weight).holds(tol=1e-3)
    model.set_params(fit_intercept=True, n_mxne_iter=1, debias=False)
    model.fit(X, y, sample_weight=weight)
    certificate = compute_certificate(
        *(X, y, model.coef_, model.penalty_),
        n_orient=2,
        sample_weight=weight,
        fit_intercept=True,
    )
    assert certificate.holds(tol=1e-6)
    residual = (y - X @ model.coef_.T - model.intercept_) * np.sqrt(
        1 if weight is None else weight[:, np.newaxis]
    )
    norms = np.linalg.norm(model.coef_.reshape(10, -1, 2), axis=(0, 2))
    objective = 0.5 * np.sum(residual**2) + model.penalty_ * norms.sum()
    assert_allclose(certificate.objective, objective)


def test_path_has_the_models_of_the_estimator(data):
    X, y = data
    options = dict(n_orient=2, fit_intercept=True, **TIGHT)
    alphas, coefs, _ = mixed_norm_path(X, y, alphas=[60, 20], **options)
    for alpha, coef in zip(alphas, coefs, strict=True):
        model = MixedNormEstimator(alpha, **options).fit(X, y)
        assert_allclose(coef.toarray(), model.coef_, atol=1e-6)


def test_confidence_is_that_of_the_rows_left(data):
    X, y = data
    model = MixedNormIC(n_orient=2, noise_variance=0.25, fit_intercept=True).fit(X, y)
    confidence = compute_confidence(model, X, y, n_draws=20)
    contrasts = helmert(len(X))
    expected = compute_confidence(model.coef_, contrasts @ X, contrasts @ y, n_orient=2, n_draws=20)
    assert len(confidence.positions) == model.n_active_ > 0
    assert_allclose(confidence.p_values, expected.p_values, rtol=1e-3)
    assert_array_equal(confidence.regions, expected.regions)
    of_coef = compute_confidence(model.coef_, X, y, n_orient=2, n_draws=20, fit_intercept=True)
    assert_allclose(of_coef.p_values, confidence.p_values)


@pytest.mark.parametrize("has_draws", [False, True])
def test_confidence_of_weak_sources_is_that_of_the_rows_left(data, has_draws):
    X, y = data
    rng = np.random.default_rng(2)
    y = X[:, :2] @ rng.standard_normal((2, 10)) + 20 * rng.standard_normal((len(X), 10)) + 30
    noise = 20 * rng.standard_normal((25, *y.shape)) if has_draws else None
    model = MixedNormEstimator(70, n_orient=2, fit_intercept=True).fit(X, y)
    confidence = compute_confidence(model, X, y, noise=noise)
    contrasts = helmert(len(X))
    noise = noise if noise is None else contrasts @ noise
    expected = compute_confidence(
        model.coef_, contrasts @ X, contrasts @ y, n_orient=2, noise=noise
    )
    assert np.any((confidence.p_values > 1e-3) & (confidence.p_values < 0.9))
    assert_allclose(confidence.p_values, expected.p_values, rtol=1e-6)


def test_confidence_of_other_models_with_an_intercept(data):
    X, y = data
    lasso = MultiTaskLasso(20).fit(X, y)
    confidence = compute_confidence(lasso, X, y, n_draws=20)
    del lasso.fit_intercept
    assert_allclose(compute_confidence(lasso, X, y, n_draws=20).p_values, confidence.p_values)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_precision_is_kept(data, dtype):
    X, y = (values.astype(dtype) for values in data)
    model = MixedNormEstimator(30, n_orient=2, fit_intercept=True).fit(X, y)
    assert model.coef_.dtype == model.intercept_.dtype == model.predict(X).dtype == dtype
    single = MixedNormEstimator(30, n_orient=2, fit_intercept=True).fit(X, y[:, 0])
    assert isinstance(single.intercept_, float)
    assert single.predict(X).dtype == dtype


def test_columns_and_targets_that_are_constant(data):
    X, y = data
    constant = X.copy()
    constant[:, :10] = 1e8 / 3
    model = MixedNormEstimator(1, n_orient=2, fit_intercept=True).fit(constant, y)
    assert not model.coef_[:, :10].any()
    with pytest.warns(UserWarning, match="The model is empty"):
        model.fit(X, np.full((len(X), 2), 0.1))
    assert_allclose(model.intercept_, 0.1)
    assert_allclose(model.predict(X), 0.1)


def test_many_samples_of_a_constant_leave_nothing():
    X = np.random.default_rng(0).standard_normal((1000, 4))
    model = MixedNormEstimator(20, fit_intercept=True)
    with pytest.warns(UserWarning, match="The model is empty"):
        model.fit(X, np.full((1000, 2), 0.1))
    assert verify(model, X, np.full((1000, 2), 0.1)).kkt_residual == 0


def test_samples_without_weight_are_left_out(data):
    X, y = data
    weight = np.ones(len(X))
    weight[3] = 0
    outlier = np.full_like(y, 0.1)
    outlier[3] = 5
    model = MixedNormEstimator(20, fit_intercept=True)
    with pytest.warns(UserWarning, match="The model is empty"):
        model.fit(X, outlier, sample_weight=weight)
    assert_allclose(model.intercept_, 0.1)


@pytest.mark.parametrize(("mean", "deviation"), [(1e6, 1), (1e4, 0.01)])
def test_single_precision_keeps_what_it_can_hold(mean, deviation):
    z = np.random.default_rng(0).standard_normal((200, 3))
    X = (mean + deviation * z).astype(np.float32)
    y = X[:, 0].astype(float)
    model = MixedNormEstimator(5, fit_intercept=True).fit(X, y)
    assert_allclose(model.coef_, [1, 0, 0], atol=0.02)
    assert verify(model, X, y).holds(tol=1e-3)


def test_wide_ranges(data):
    X, y = data
    for largest in (1e160, 1e308 / np.abs(y[:, 0]).max()):
        with pytest.raises(ValueError, match=r"Input y .* squares are too large"):
            MixedNormEstimator(5, fit_intercept=True).fit(X, y * [largest, *np.ones(9)])
    single = X.astype(np.float32)
    single[:, 0] *= np.float32(1e25)
    models = [MixedNormEstimator(5, fit_intercept=yes) for yes in (True, False)]
    for model in models:
        model.fit(single - single.mean(axis=0), y - y.mean(axis=0))
    assert_allclose(models[0].coef_, models[1].coef_, rtol=1e-2, atol=1e-3)
    weight = np.ones(len(X))
    weight[3] = 0
    for value, match in ((np.inf, "infinity"), (np.nan, "NaN")):
        X = data[0].copy()
        X[3, 2] = value
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for yes in (True, False):
                with pytest.raises(ValueError, match=f"Input X contains {match}"):
                    MixedNormEstimator(5, fit_intercept=yes).fit(X, y)
                with pytest.raises(ValueError, match=r"Input X contains (infinity|NaN)"):
                    MixedNormEstimator(5, fit_intercept=yes).fit(X, y, sample_weight=weight)


@pytest.mark.parametrize("scoring", ["neg_mean_squared_error", "r2"])
@pytest.mark.filterwarnings("ignore:The alpha chosen")
def test_scores_of_measurements_have_the_intercept(scoring):
    X, y = make_block_sparse_regression(noise=0.5, random_state=0)
    y = y + 20
    deviations = np.random.default_rng(0).standard_normal((4, *y.shape))
    folds = y + deviations - deviations.mean(axis=0)
    model = MixedNormCV(alphas=[60, 30, 10], scoring=scoring, fit_intercept=True)
    model.fit(X, y, y_folds=folds)
    assert model.alpha_ == 10
    if scoring == "r2":
        assert np.all((model.score_path_ > 0) & (model.score_path_ < 1))
    else:
        assert_allclose(model.score_path_, -model.mse_path_)


@pytest.mark.parametrize("n_samples", [40, 20_000])
def test_small_variation_around_large_means_is_data(n_samples):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_samples, 4)).astype(np.float32)
    y = X[:, 0] + 0.1 * rng.standard_normal(n_samples)
    centred = MixedNormEstimator(20, fit_intercept=True).fit(X, y)
    shifted = MixedNormEstimator(20, fit_intercept=True).fit(X + np.float32(100), y + 100)
    assert_allclose(shifted.coef_, centred.coef_, atol=1e-3)
    assert centred.coef_[0] > 0.9


def test_one_sample_is_refused(data):
    X, y = data
    for model in (MixedNormEstimator(fit_intercept=True), MixedNormIC(fit_intercept=True)):
        with pytest.raises(ValueError, match="n_samples = 1, but an intercept needs at least 2"):
            model.fit(X[:1], y[:1])


@pytest.mark.parametrize("fit_intercept", ["yes", 1, None])
def test_fit_intercept_is_true_or_false(data, fit_intercept):
    with pytest.raises(TypeError, match="fit_intercept must be True or False"):
        MixedNormEstimator(fit_intercept=fit_intercept).fit(*data)
    if fit_intercept is not None:
        with pytest.raises(TypeError, match="fit_intercept must be True or False"):
            compute_confidence(np.zeros((10, 60)), *data, fit_intercept=fit_intercept)


@pytest.mark.parametrize(
    "fit",
    [
        MixedNormEstimator(30).fit,
        MixedNormCV(alphas=[60, 30]).fit,
        MixedNormIC(alphas=[60, 30], noise_variance=400).fit,
        lambda X, y: mixed_norm_path(X, y, alphas=[60, 30]),
    ],
    ids=["estimator", "cv", "ic", "path"],
)
@pytest.mark.filterwarnings(
    "ignore:(The alpha chosen|The residual has|The model is empty|The empty)"
)
def test_constant_without_intercept_is_told(data, fit):
    X, y = data
    match = "A constant explains more than half of the power of y, .* fit_intercept=True"
    with pytest.warns(UserWarning, match=match) as record:
        fit(X, y)
    assert [warning.filename for warning in record if "constant" in str(warning.message)] == [
        __file__
    ]


@pytest.mark.parametrize(
    "case",
    ["intercept", "constant column", "few samples", "centred", "zero", "little", "not weighted"],
)
def test_nothing_is_told_where_there_is_nothing_to_do(data, case):
    X, y = data
    model, weight = MixedNormEstimator(30, fit_intercept=case == "intercept"), None
    if case == "constant column":
        X = np.column_stack([X, np.full(len(X), 2.0)])
    elif case == "few samples":
        X, y = X[:8], y[:8]
    elif case == "centred":
        X, y = center(X), center(y)
    elif case == "zero":
        y = 0 * y
    elif case == "little":  # two fifths
        y = center(y)
        y += np.sqrt(2 / 3) * y.std()
    elif case == "not weighted":
        X, y = np.vstack([X, X]), np.vstack([center(y), y])
        weight = np.repeat([1.0, 0.0], len(data[0]))
        y[-1] = 1e200
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        model.fit(X, y, sample_weight=weight)
    assert not [one for one in record if "constant explains" in str(one.message)]


def test_three_fifths_are_told_though_a_column_is_zero(data):
    X, y = data
    X, y = np.column_stack([X, np.zeros(len(X))]), center(y)
    with pytest.warns(UserWarning, match="A constant explains more than half"):
        MixedNormEstimator(30).fit(X, y + np.sqrt(3 / 2) * y.std())
