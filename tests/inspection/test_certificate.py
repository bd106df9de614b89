"""What certificates say, against a computation in loops and against what is known."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import Lasso, MultiTaskLasso, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skmxne import (
    MixedNormCV,
    MixedNormEstimator,
    MixedNormIC,
    SourceWeighting,
    compute_certificate,
    mixed_norm_path,
    verify,
)

SIZES = dict(n_samples=25, n_positions=30, n_targets=6, n_active=3, noise=0.5)
ROUNDING = 1e-14


@pytest.fixture(scope="module")
def make_data(make_problem):
    """Return a function that makes X and y."""
    return lambda n_orient=1, **sizes: make_problem(n_orient=n_orient, **(SIZES | sizes))


# Coefficients of any origin


@given(
    seed=st.integers(0, 2**32 - 1),
    n_orient=st.integers(1, 3),
    size=st.just(0.0) | st.floats(1e-6, 2),
    share=st.floats(0.01, 2),
)
def test_certificate_is_what_loops_make_of_the_formulas(judge, seed, n_orient, size, share):
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((8, 5 * n_orient)), rng.standard_normal((8, 3))
    blocks = rng.standard_normal((5, n_orient, 3)) * rng.integers(0, 2, (5, 1, 1))
    coef = size * blocks.reshape(-1, 3)
    correlation = X.T @ (y - X @ coef)
    split = range(n_orient, 5 * n_orient, n_orient)
    penalty = share * max(np.linalg.norm(block) for block in np.split(X.T @ y, split))

    certificate = compute_certificate(X, y, coef.T, penalty, n_orient=n_orient)

    expected = judge(X, y, coef, penalty, n_orient)
    assert certificate.objective == pytest.approx(expected.primal * np.vdot(y, y))
    # That of the loops does not take the best dual point.
    assert expected.gain - ROUNDING <= certificate.dual_gap <= expected.gap * (1 + 1e-12) + ROUNDING
    violations = [
        np.linalg.norm(c - penalty * w / np.linalg.norm(w))
        if w.any()
        else max(np.linalg.norm(c) - penalty, 0.0)
        for c, w in zip(np.split(correlation, split), np.split(coef, split), strict=True)
    ]
    assert certificate.kkt_residual == pytest.approx(
        max(violations) / penalty, rel=1e-12, abs=ROUNDING
    )


@pytest.mark.parametrize("n_targets", [1, 6])
def test_lasso_of_scikit_learn_is_certified(make_data, n_targets):
    X, y = make_data(n_targets=n_targets)
    model = (Lasso if n_targets == 1 else MultiTaskLasso)(0.1, fit_intercept=False, tol=1e-10)
    model.fit(X, y)
    certificate = compute_certificate(X, y, model.coef_, 0.1 * len(X))
    assert certificate.holds(1e-10)
    assert certificate.kkt_residual < 1e-3
    assert not compute_certificate(X, y, 1.01 * model.coef_, 0.1 * len(X)).holds(1e-6)
    assert not compute_certificate(X, y, model.coef_, 0.11 * len(X)).holds(1e-6)


def test_sparse_coefficients_of_a_path_are_certified(make_data):
    X, y = make_data(3)
    alphas, coefs, gaps = mixed_norm_path(X, y, n_orient=3, tol=1e-8, debias=False, alphas=5)
    largest = MixedNormEstimator(n_orient=3).fit(X, y).alpha_max_
    assert gaps.max() <= 1e-8
    for alpha, coef in zip(alphas, coefs, strict=True):
        certificate = compute_certificate(X, y, coef, alpha / 100 * largest, n_orient=3)
        assert certificate.holds(1e-8)
        assert sparse.issparse(coef)


def test_gap_of_zero_is_known(make_data):
    X, y = make_data()
    largest = np.linalg.norm(X.T @ y, axis=1).max()
    zero = np.zeros((6, 30))
    assert compute_certificate(X, y, zero, largest).dual_gap <= ROUNDING
    for share in (0.5, 0.9):
        certificate = compute_certificate(X, y, zero, share * largest)
        # The dual point is y times the share.
        assert certificate.dual_gap == pytest.approx(0.5 * (1 - share) ** 2)
        assert certificate.kkt_residual == pytest.approx(1 / share - 1)


def test_coefficients_where_weights_leave_positions_out_are_infinitely_bad(make_data):
    X, y = make_data()
    estimator = MixedNormEstimator(debias=False).fit(X, y)
    weights = 1.0 - estimator.active_set_
    certificate = compute_certificate(X, y, estimator.coef_, 1.0, weights=weights)
    assert certificate.dual_gap == certificate.objective == np.inf


def test_data_that_are_zero(make_data):
    X, y = make_data()
    estimator = MixedNormEstimator()
    with pytest.warns(UserWarning, match="The model is empty"):
        estimator.fit(X, 0 * y)
    assert verify(estimator, X, 0 * y)[:3] == (0.0, 0.0, 0.0)
    assert verify(MixedNormEstimator().fit(X, y), X, 0 * y).dual_gap == np.inf


# Fitted models

FITTED = [
    {},
    dict(n_orient=3),
    dict(n_orient=3, debias=False),
    dict(n_orient=3, weights=np.linspace(0, 1, 30), weights_min=0.2),
    dict(n_orient=3, time_pca=2),
    dict(time_pca=False, solver="cd"),
    dict(alpha=0.0, n_orient=3),
    dict(alpha=99.9),
    dict(n_mxne_iter=50, n_orient=3),
    dict(n_mxne_iter=50, n_orient=3, reweighting_scale=0.3, time_pca=2),
    dict(n_mxne_iter=50, weights=np.linspace(0, 1, 30)),
]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("params", FITTED)
def test_fit_is_verified(make_data, params, weighted, dtype):
    X, y = make_data(params.get("n_orient", 1))
    X = X.astype(dtype)
    weight = np.linspace(0, 2, 25) if weighted else None
    estimator = MixedNormEstimator(**(dict(alpha=20.0, tol=1e-6) | params))
    estimator.fit(X, y, sample_weight=weight)

    certificate = verify(estimator, X, y, sample_weight=weight)

    # The last step to the fixed point may change the gap, too.
    assert certificate.holds(1e-6 if "n_mxne_iter" not in params else 2e-6)
    assert certificate.kkt_residual < 0.01
    assert certificate.penalty == pytest.approx(estimator.penalty_, rel=1e-6)
    assert certificate.objective == pytest.approx(estimator.objective_[-1], rel=1e-6, abs=1e-9)


def make_odd_problem(rng):
    """Make a problem such as nobody would choose: few samples, columns alike, any alpha and tol."""
    n_orient, n_positions, n_samples = rng.integers(1, [4, 120, 60])
    X = rng.standard_normal((n_samples, n_positions * n_orient))
    kinds = [
        X,
        X.cumsum(axis=1),
        X[:, rng.integers(0, X.shape[1], X.shape[1])],
        X * 10.0 ** rng.uniform(-3, 3, X.shape[1]),
        rng.standard_normal((n_samples, 2)) @ rng.standard_normal((2, X.shape[1])) + 1e-3 * X,
        X + 5,
    ]
    X = kinds[rng.integers(6)]
    coef = rng.standard_normal((X.shape[1], rng.integers(1, 20)))
    coef *= np.repeat(rng.random((n_positions, 1)) < 5 / n_positions, n_orient, axis=0)
    y = X @ coef
    y += rng.choice([1e-3, 0.3, 3]) * X.std() * rng.standard_normal(y.shape)
    params = dict(alpha=10 ** rng.uniform(-3, 2), tol=10.0 ** -rng.integers(2, 11))
    params |= dict(n_orient=n_orient, solver=rng.choice(["newton", "bcd", "prox"]))
    params |= dict(active_set_size=[1, 2, 10, None][rng.integers(4)])
    return X, y, params | dict(dgap_freq=rng.choice([1, 10]))


# In the first few, an earlier iteration has a better dual point than the last one.
@pytest.mark.usual(seed=[43, 588, 646, 652, 1290, 1414, *range(2020, 2030)])
@pytest.mark.parametrize("seed", [43, 588, 646, 652, 1290, 1414, *range(2010, 2030)])
@pytest.mark.filterwarnings("ignore:A constant explains")
def test_fit_that_converged_is_verified_however_odd_the_problem(seed):
    X, y, params = make_odd_problem(np.random.default_rng(seed))
    estimator = MixedNormEstimator(**params)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator.fit(X, y)
    assert estimator.converged_ == (estimator.dual_gap_ <= estimator.tol)
    if estimator.converged_:
        assert verify(estimator, X, y).holds(estimator.tol)


def test_what_is_wrong_is_not_verified(make_data):
    X, y = make_data(3)
    estimator = MixedNormEstimator(20, n_orient=3, tol=1e-6).fit(X, y)
    assert verify(estimator, X, y).holds(1e-6)
    assert not verify(estimator, X[:, ::-1], y).holds(1e-2)
    assert not verify(estimator, X, 1.1 * y).holds()
    assert not verify(estimator, X, y, sample_weight=np.arange(25)).holds()
    estimator.alpha = 22
    assert not verify(estimator, X, y).holds()
    estimator.alpha = 20
    strongest = np.argmax(np.abs(estimator.coef_).max(axis=0))
    estimator.coef_[:, strongest] *= 1.1
    assert not verify(estimator, X, y).holds()


def test_reweighting_that_ended_early_is_no_fixed_point(make_data):
    X, y = make_data(3)
    gaps = [
        verify(MixedNormEstimator(n_orient=3, n_mxne_iter=n, tol=1e-8).fit(X, y), X, y).dual_gap
        for n in (2, 4, 50)
    ]
    assert gaps[0] > gaps[1] > 1e-8
    assert gaps[2] < 2e-8


def test_iterations_that_run_out_leave_the_gap_that_is_told(make_data):
    X, y = make_data()
    estimator = MixedNormEstimator(2, solver="bcd", maxit=1, tol=1e-9)
    with pytest.warns(ConvergenceWarning):
        estimator.fit(X, y)
    certificate = verify(estimator, X, y)
    assert not certificate.holds(1e-9)
    assert certificate.dual_gap <= estimator.dual_gap_ * (1 + 1e-9)


def test_selectors_pipelines_and_searches_are_verified(make_data):
    X, y = make_data(3)
    pipeline = make_pipeline(SourceWeighting(n_orient=3), MixedNormEstimator(n_orient=3))
    search = GridSearchCV(pipeline, {"sourceweighting__depth": [0, 0.8]}, cv=3)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The alpha chosen|The residual has")
        for model in (
            MixedNormCV(n_orient=3, cv=3, alphas=5),
            MixedNormIC(n_orient=3, n_mxne_iter=1, alphas=5),
            pipeline,
            search,
        ):
            assert verify(model.fit(X, y), X, y).holds()


def test_inputs_are_not_changed(make_data):
    X, y = make_data(3)
    weight = np.linspace(0, 2, 25)
    estimator = MixedNormEstimator(n_orient=3, weights=np.ones(30)).fit(X, y, weight)
    arrays = X, y, weight, estimator.coef_
    copies = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    try:
        verify(estimator, *arrays[:3])
    finally:
        for array in arrays:
            array.flags.writeable = True
    assert all(map(np.array_equal, arrays, copies))


# What is refused


@pytest.mark.parametrize(
    ("estimator", "error", "match"),
    [
        (MixedNormEstimator(), NotFittedError, "not fitted"),
        (MixedNormEstimator, TypeError, "estimator must be a fitted MixedNormEstimator"),
        (GridSearchCV(MixedNormEstimator(), {}), NotFittedError, "not fitted"),
        (make_pipeline(SourceWeighting(), MixedNormEstimator()), NotFittedError, "not fitted"),
        (Ridge().fit(np.eye(3), np.eye(3)), TypeError, "got Ridge. For other models pass coef_"),
        (np.zeros((6, 30)), TypeError, "got ndarray. For other models pass coef_ to compute_"),
    ],
)
def test_other_models_are_refused(make_data, estimator, error, match):
    with pytest.raises(error, match=match):
        verify(estimator, *make_data())


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        (dict(coef=np.zeros((30, 6))), ValueError, r"coef has shape \(30, 6\), but .* \(6, 30\)"),
        (dict(coef=np.zeros(30)), ValueError, r"coef has shape \(30,\)"),
        (dict(coef=np.full((6, 30), np.nan)), ValueError, "coef is infinite or NaN"),
        (dict(coef="lasso"), TypeError, "coef must be real numbers"),
        (dict(coef=None), TypeError, "coef must be real numbers"),
        (dict(penalty=-1.0), ValueError, "penalty must be in"),
        (dict(penalty=None), TypeError, "penalty must be a number"),
        (dict(penalty=np.nan), ValueError, "penalty must be in"),
        (dict(n_orient=7), ValueError, "n_orient=7 does not divide"),
        (dict(weights=np.ones(3)), ValueError, "weights has shape"),
        (dict(weights_min=-1), ValueError, "weights_min must be"),
        (dict(reweighting_scale=0), ValueError, "reweighting_scale must be"),
        (dict(sample_weight=np.ones(3)), ValueError, "sample_weight has shape"),
        (dict(X=np.full((25, 30), np.inf)), ValueError, "Input X contains infinity"),
        (dict(y=np.full((25, 6), np.nan)), ValueError, "Input y contains NaN"),
    ],
)
def test_bad_arguments_are_refused_by_name(make_data, change, error, match):
    X, y = make_data()
    with pytest.raises(error, match=match):
        compute_certificate(**(dict(X=X, y=y, coef=np.zeros((6, 30)), penalty=1.0) | change))


# Numbers that cannot be judged, and models that are made of others


@pytest.mark.parametrize("n_samples", [10, 40])
def test_gap_without_penalty_is_what_columns_explain_of_the_residual(make_data, n_samples):
    X, y = make_data(n_samples=n_samples)
    for coef in (np.zeros((6, 30)), np.ones((6, 30))):
        residual = y - X @ coef.T
        explained = X @ np.linalg.lstsq(X, residual, rcond=None)[0]
        certificate = compute_certificate(X, y, coef, 0.0)
        expected = 0.5 * np.sum(explained**2) / np.sum(y**2)
        assert certificate.dual_gap == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("unit", [1e-170, 1e200])
@pytest.mark.parametrize("name", ["X", "y"])
def test_squares_out_of_range_are_refused(make_data, name, unit):
    data = dict(zip("Xy", make_data(), strict=True))
    data[name] = unit * data[name]
    with pytest.raises(ValueError, match=f"Input {name} contains values whose squares are too"):
        compute_certificate(coef=np.zeros((6, 30)), penalty=unit, **data)


def test_pipelines_of_any_depth_are_verified(make_data):
    X, y = make_data()
    model = MixedNormEstimator()
    weighting = SourceWeighting()
    for pipeline in (
        make_pipeline(model),
        make_pipeline(make_pipeline(weighting, model)),
        make_pipeline("passthrough", make_pipeline(weighting), None, model),
        GridSearchCV(make_pipeline(model), {"mixednormestimator__alpha": [20]}, cv=2),
    ):
        assert verify(pipeline.fit(X, y), X, y).holds()


@pytest.mark.parametrize("n_mxne_iter", [1, 5])
@pytest.mark.filterwarnings("ignore:The model is empty")
def test_data_of_zeros_are_verified(make_data, n_mxne_iter):
    X, y = make_data()
    model = MixedNormEstimator(n_mxne_iter=n_mxne_iter)
    for data in ((X, 0 * y), (0 * X, y)):
        assert verify(model.fit(*data), *data).holds(0.0)


def test_other_parameters_than_those_of_the_fit_are_told(make_data):
    X, y = make_data(n_orient=3)
    model = MixedNormEstimator(n_orient=3).fit(X, y).set_params(n_orient=1)
    with pytest.raises(ValueError, match="estimator has n_orient=1, but was fitted with another"):
        verify(model, X, y)
