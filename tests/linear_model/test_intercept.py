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
        weight[[0, 7]] = 0
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


@pytest.mark.parametrize("criterion", ["ric", "bic", "sure", "gcv", "discrepancy"])
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
    with pytest.warns(UserWarning, match="No position is active"):
        model.fit(X, np.full((len(X), 2), 0.1))
    assert_allclose(model.intercept_, 0.1)
    assert_allclose(model.predict(X), 0.1)


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
@pytest.mark.filterwarnings("ignore:(The alpha chosen|The residual has|No position|The empty)")
def test_constant_without_intercept_is_told(data, fit):
    X, y = data
    share = len(y) * np.sum(y.mean(axis=0) ** 2) / np.sum(y**2)
    assert share > 0.9
    match = f"A constant explains {100 * share:.0f} % of the power of y, .* fit_intercept=True"
    with pytest.warns(UserWarning, match=match) as record:
        fit(X, y)
    assert [warning.filename for warning in record if "constant" in str(warning.message)] == [
        __file__
    ]


@pytest.mark.parametrize("case", ["intercept", "constant column", "few samples", "centred", "zero"])
def test_nothing_is_told_where_there_is_nothing_to_do(data, case):
    X, y = data
    model = MixedNormEstimator(30, fit_intercept=case == "intercept")
    if case == "constant column":
        X = np.column_stack([X, np.full(len(X), 2.0)])
    elif case == "few samples":
        X, y = X[:8], y[:8]
    elif case == "centred":
        X, y = center(X), center(y)
    elif case == "zero":
        y = 0 * y
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        model.fit(X, y)
    assert not [one for one in record if "constant explains" in str(one.message)]
