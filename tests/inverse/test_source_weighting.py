"""The weighting as a transformer: that of an inverse problem, and what scikit-learn expects."""

import pickle
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.stats import ortho_group
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

from skmxne import InverseProblem, MixedNormCV, MixedNormEstimator, MixedNormIC, SourceWeighting

N_SAMPLES, N_POSITIONS = 12, 10
FOLDS = KFold(3, shuffle=True, random_state=0)
MODELS = {
    "estimator": MixedNormEstimator(40, n_orient=3, n_mxne_iter=3, tol=1e-10),
    "information criterion": MixedNormIC(n_orient=3, alphas=6, eps=0.3, tol=1e-10),
    "cross-validation": MixedNormCV(n_orient=3, alphas=6, eps=0.3, tol=1e-10, cv=FOLDS),
}
GRID = {
    "weighting__depth": [None, 0.8],
    "weighting__loose": [0, 0.3, 1],
    "model__alpha": [40, 70],
}


@pytest.fixture
def X():
    """Return a gain whose positions are more or less deep."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N_SAMPLES, N_POSITIONS, 3))
    return (X * np.geomspace(1, 30, N_POSITIONS)[:, np.newaxis]).reshape(N_SAMPLES, -1)


@pytest.fixture(scope="session")
def make_inverse(make_case):
    """Return a function that makes the inverse problem of a kind of source space."""

    def make(kind="surface", **options):
        case = make_case(kind)
        return InverseProblem.from_evoked(case.evoked, case.forward, case.noise_cov, **options)

    return make


@pytest.fixture(scope="session")
def unweighted(make_inverse):
    return make_inverse(depth=None, loose=1)


@parametrize_with_checks([SourceWeighting(), SourceWeighting(depth=None), SourceWeighting(depth=1)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


# ------------------------------------------------------------------- that of an inverse problem


@pytest.mark.parametrize("depth", [None, 0, 0.5, 0.8, 1])
@pytest.mark.parametrize("loose", [1e-3, 0.2, 1])
@pytest.mark.parametrize("kind", ["surface", "discrete", "surface+discrete"])
def test_weights_are_those_of_the_inverse_problem(make_inverse, kind, depth, loose):
    unweighted = make_inverse(kind, depth=None, loose=1)
    expected = make_inverse(kind, depth=depth, loose=loose)
    weighting = SourceWeighting(depth, loose, n_orient=3)
    close = dict(rtol=1e-10, atol=1e-13)
    assert_allclose(weighting.fit_transform(unweighted.X), expected.X, **close)
    assert_allclose(unweighted.source_scale * weighting.scale_, expected.source_scale, **close)


def fit_weighted(problem, weighting):
    """Return a Pipeline, one in a Pipeline, and a search over Pipelines, that weight columns."""
    pipeline = make_pipeline(weighting, MODELS["estimator"]).fit(problem.X, problem.y)
    nested = make_pipeline(make_pipeline("passthrough", weighting), MODELS["estimator"])
    search = GridSearchCV(nested, {"mixednormestimator__alpha": [60]}, cv=FOLDS)
    return pipeline, nested.fit(problem.X, problem.y), search.fit(problem.X, problem.y)


@pytest.mark.parametrize(
    ("options", "depth", "loose", "what"),
    [
        ({}, 0.8, 0.2, "depth"),
        ({}, 0.8, 1, "depth"),
        ({}, None, 0.2, "orientation"),
        (dict(depth=None), None, 0.2, "orientation"),
        (dict(loose=1), 0.8, 0.2, "depth"),
    ],
)
def test_weighting_twice_is_told(make_inverse, unweighted, options, depth, loose, what):
    problem = make_inverse(**options)
    models = fit_weighted(problem, SourceWeighting(depth, loose, n_orient=3))
    for name in ("to_source_estimate", "to_dipoles", "to_residual", "explained_variance"):
        for model in models:
            with pytest.warns(UserWarning, match=f"by {what}, .* once more") as record:
                getattr(problem, name)(model)
            assert [each.filename for each in record] == [__file__]
            getattr(unweighted, name)(model)
        getattr(problem, name)(models[0][-1])


@pytest.mark.parametrize(
    ("options", "depth", "loose"), [(dict(depth=None), 0.8, 1), (dict(loose=1), None, 0.2)]
)
def test_weights_that_complement_one_another(make_inverse, options, depth, loose):
    """One of depth and orientation by the problem, the other by the Pipeline."""
    problem = make_inverse(**options)
    models = fit_weighted(problem, SourceWeighting(depth, loose, n_orient=3))
    for model in models:
        missed = np.sum((problem.y - model.predict(problem.X)) ** 2)
        percent = 100 * (1 - missed / np.sum(problem.y**2))
        assert problem.explained_variance(model) == pytest.approx(percent, rel=1e-9)  # no warning


@pytest.mark.parametrize("depth", [None, 0.8])
def test_weights_of_volumes(make_inverse, depth):
    unweighted = make_inverse("volume", depth=None)
    expected = make_inverse("volume", depth=depth)
    weighting = SourceWeighting(depth, n_orient=3)
    assert_allclose(weighting.fit_transform(unweighted.X), expected.X, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("depth", [None, 0.5, 1])
def test_weights_of_fixed_orientation(make_inverse, unweighted, depth):
    expected = make_inverse(depth=depth, loose=0)
    fixed = make_inverse(depth=None, loose=0)
    assert_allclose(SourceWeighting(depth).fit_transform(fixed.X), expected.X, rtol=1e-10)
    # MNE has the gain of fixed orientation in single precision.
    X = SourceWeighting(depth, 0, n_orient=3).fit_transform(unweighted.X).reshape(62, 48, 3)
    assert not X[..., :2].any()
    assert_allclose(X[..., 2], expected.X, rtol=1e-4, atol=1e-5 * expected.X.std())


def assert_same_sources(problem, model, expected_problem, expected_model):
    """Check that a model of one problem means what another does of another problem."""
    for pick_ori in (None, "normal", "vector"):
        stc = problem.to_source_estimate(model, pick_ori)
        expected = expected_problem.to_source_estimate(expected_model, pick_ori)
        for vertices, others in zip(stc.vertices, expected.vertices, strict=True):
            assert_array_equal(vertices, others)
        assert_allclose(stc.data, expected.data, rtol=0, atol=1e-6 * np.abs(expected.data).max())
    assert len(stc.data) > 1
    dipoles = problem.to_dipoles(model), expected_problem.to_dipoles(expected_model)
    for dipole, other in zip(*dipoles, strict=True):
        assert_array_equal(dipole.pos, other.pos)
        assert_allclose(dipole.gof, other.gof, rtol=0, atol=1e-4)
    residual, other = (
        p.to_residual(m).data for p, m in [(problem, model), (expected_problem, expected_model)]
    )
    largest = np.abs(other).max(axis=1, keepdims=True)  # T, T / m and V
    assert_allclose(residual / largest, other / largest, rtol=0, atol=1e-6)
    explained = expected_problem.explained_variance(expected_model)
    assert_allclose(problem.explained_variance(model), explained, rtol=1e-6)
    assert 10 < explained < 100


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("loose", [0.2, 1])
@pytest.mark.filterwarnings("ignore:The alpha chosen")
def test_pipeline_has_the_sources_of_the_weighted_problem(make_inverse, unweighted, model, loose):
    direct = make_inverse(depth=0.8, loose=loose)
    expected = clone(model).fit(direct.X, direct.y)
    pipeline = make_pipeline(SourceWeighting(0.8, loose, n_orient=3), clone(model))
    pipeline.fit(unweighted.X, unweighted.y)
    assert_same_sources(unweighted, pipeline, direct, expected)


def test_pipeline_has_the_sources_of_fixed_orientation(make_inverse, unweighted):
    """Dipoles that turn, where they may not, have their signs in the orientation."""
    direct = make_inverse(depth=0.8, loose=0)
    params = dict(tol=1e-10, debias=False)
    expected = MixedNormEstimator(40, **params).fit(direct.X, direct.y)
    assert expected.n_active_ > 1
    pipeline = make_pipeline(
        SourceWeighting(0.8, 0, n_orient=3), MixedNormEstimator(40, n_orient=3, **params)
    ).fit(unweighted.X, unweighted.y)
    stc = unweighted.to_source_estimate(pipeline, "normal")
    other = direct.to_source_estimate(expected)
    for vertices, others in zip(stc.vertices, other.vertices, strict=True):
        assert_array_equal(vertices, others)
    assert_allclose(stc.data, other.data, rtol=0, atol=1e-5 * np.abs(other.data).max())
    dipoles = unweighted.to_dipoles(pipeline), direct.to_dipoles(expected)
    for dipole, one in zip(*dipoles, strict=True):
        assert_allclose(dipole.amplitude, np.abs(one.amplitude), rtol=1e-3, atol=1e-14)
        assert_allclose(dipole.gof, one.gof, rtol=0, atol=1e-2)


# ------------------------------------------------------------------------------------ in a search


def test_search_goes_into_the_problem(make_inverse, unweighted):
    model = MODELS["estimator"]
    pipeline = Pipeline([("weighting", SourceWeighting(n_orient=3)), ("model", model)])
    search = GridSearchCV(pipeline, GRID, cv=FOLDS).fit(unweighted.X, unweighted.y)
    assert np.ptp(search.cv_results_["mean_test_score"]) > 0.01
    best = search.best_params_
    direct = make_inverse(depth=best["weighting__depth"], loose=best["weighting__loose"])
    expected = clone(model).set_params(alpha=best["model__alpha"]).fit(direct.X, direct.y)
    assert_same_sources(unweighted, search, direct, expected)


@pytest.mark.parametrize("loose", [0, 0.3])
def test_folds_are_weighted_by_their_own_rows(unweighted, loose):
    """By the formula, with scikit-learn's folds."""
    X, y = unweighted.X, unweighted.y
    model = MODELS["estimator"]
    pipeline = make_pipeline(SourceWeighting(0.8, loose, n_orient=3), model)
    scores = []
    for train, test in FOLDS.split(X):
        blocks = X[train].reshape(len(train), 48, 3)
        norms = np.linalg.norm(blocks if loose else blocks[..., 2:], axis=(0, 2))
        scale = np.outer(norms**-0.8, np.sqrt([loose, loose, 1])).ravel()
        scale *= np.sqrt(len(train)) / np.linalg.norm(X[train] * scale)
        fitted = clone(model).fit(X[train] * scale, y[train])
        scores.append(fitted.score(X[test] * scale, y[test]))
    assert_allclose(cross_val_score(pipeline, X, y, cv=FOLDS), scores, rtol=1e-6)


@pytest.mark.parametrize("loose", [0, 0.3])
@pytest.mark.parametrize("output", ["default", "pandas"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_coefficients_of_any_pipeline_are_read(unweighted, dtype, output, loose):
    """In single precision, with data frames inside, with named features, with other steps."""
    X, y = unweighted.X.astype(dtype), unweighted.y
    names = [f"feature {k}" for k in range(X.shape[1])]
    halve = FunctionTransformer(lambda X: X / 2, feature_names_out="one-to-one")
    weighting = SourceWeighting(0.8, loose, n_orient=3)
    steps = ("weighting", weighting), ("halve", halve), ("weighting 2", clone(weighting))
    pipeline = Pipeline([*steps, ("model", MixedNormEstimator(40, n_orient=3))])
    pipeline.set_output(transform=output)
    for data in (X, pd.DataFrame(X, columns=names)):
        pipeline.fit(data, y)
        prediction = pipeline.predict(data)
        assert pipeline[-1].coef_.dtype == dtype
        assert pipeline[:-1].transform(data).shape == X.shape
        zero = unweighted.to_residual(np.zeros_like(pipeline[-1].coef_)).data
        field = zero - unweighted.to_residual(pipeline).data
        field = unweighted.whitener @ field * unweighted.target_scale
        assert prediction.any()
        assert_allclose(field, prediction, rtol=0, atol=1e-5 * np.abs(prediction).max())


# ------------------------------------------------------------------------------------ properties


@given(
    seed=st.integers(0, 2**32 - 1),
    depth=st.floats(0, 2),
    loose=st.just(0) | st.floats(1e-9, 1),
)
def test_definition(seed, depth, loose):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((N_SAMPLES, N_POSITIONS, 3)) * rng.uniform(0.1, 10, (N_POSITIONS, 1))
    weighting = SourceWeighting(depth, loose, n_orient=3).fit(X.reshape(N_SAMPLES, -1))
    scale = weighting.scale_.reshape(N_POSITIONS, 3)
    norms = np.linalg.norm(X if loose else X[..., 2:], axis=(0, 2))
    assert_allclose(scale[:, 2] / scale[0, 2], (norms / norms[0]) ** -depth)
    for tangential in scale.T[:2]:
        assert_allclose(tangential, np.sqrt(loose) * scale[:, 2])
    assert np.sum((X * scale) ** 2) == pytest.approx(N_SAMPLES)


@given(factor=st.floats(-30, 30), depth=st.floats(0, 2), loose=st.sampled_from([0, 0.5, 1]))
def test_unit_of_the_gain_does_not_matter(factor, depth, loose):
    X = np.random.default_rng(0).standard_normal((N_SAMPLES, 3 * N_POSITIONS))
    weighting = SourceWeighting(depth, loose, n_orient=3)
    assert_allclose(weighting.fit_transform(10.0**factor * X), weighting.fit_transform(X))


@given(seed=st.integers(0, 2**32 - 1))
def test_rotation_of_free_orientations_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((N_SAMPLES, N_POSITIONS, 3))
    rotations = ortho_group(3, rng).rvs(N_POSITIONS)
    rotated = np.einsum("sgi,gij->sgj", X, rotations)
    weighting = SourceWeighting(n_orient=3)
    expected = weighting.fit(X.reshape(N_SAMPLES, -1)).scale_
    assert_allclose(weighting.fit(rotated.reshape(N_SAMPLES, -1)).scale_, expected)


def test_blocks_of_other_sizes(X):
    """With depth 1 all have the same norm."""
    for n_orient in (1, 2, 5, 6):
        weighted = SourceWeighting(1, n_orient=n_orient).fit_transform(X)
        norms = np.linalg.norm(weighted.reshape(N_SAMPLES, -1, n_orient), axis=(0, 2))
        assert_allclose(norms, norms[0])


@pytest.mark.parametrize("loose", [0, 0.5, 1])
@pytest.mark.parametrize("depth", [None, 0.8, 1])
def test_what_no_sensor_sees_stays_zero(X, depth, loose):
    X[:, :3] = X[:, 8] = 0
    weighting = SourceWeighting(depth, loose, n_orient=3).fit(X)
    weighted = weighting.transform(X)
    assert np.isfinite(weighting.scale_).all()
    assert_allclose(weighting.scale_[2], weighting.scale_[2::3].max())
    assert not weighted[:, :3].any()
    assert_allclose(np.sum(weighted**2), N_SAMPLES)


def test_other_samples_are_scaled_alike(X):
    weighting = SourceWeighting(n_orient=3).fit(X[:8])
    assert_allclose(weighting.transform(X[8:]), X[8:] * weighting.scale_)
    assert_allclose(np.sum(weighting.transform(X[:8]) ** 2), 8)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_precision_is_kept_and_nothing_changed_in_place(X, dtype):
    X = X.astype(dtype)
    before = X.copy()
    X.flags.writeable = False
    for loose in (0, 0.5):
        weighting = SourceWeighting(loose=loose, n_orient=3)
        weighted = weighting.fit_transform(X)
        assert weighted.dtype == dtype
        assert not np.shares_memory(weighted, X)
        double = clone(weighting).fit_transform(before.astype(float))
        assert_allclose(weighted, double, rtol=1e-6)
    assert_array_equal(X, before)


def test_numbers_of_single_precision_may_be_small_or_large(X):
    weighting = SourceWeighting(n_orient=3)
    expected = weighting.fit_transform(X)
    for factor in (1e-36, 1e36):
        weighted = weighting.fit_transform((factor * X).astype(np.float32))
        assert_allclose(weighted, expected, rtol=1e-5)


def test_names_of_features(X):
    names = [f"{axis} {k}" for k in range(N_POSITIONS) for axis in "xyn"]
    frame = pd.DataFrame(X, columns=names)
    weighting = SourceWeighting(n_orient=3).set_output(transform="pandas")
    weighted = weighting.fit_transform(frame)
    assert list(weighted.columns) == list(weighting.get_feature_names_out()) == names
    assert_allclose(weighted, SourceWeighting(n_orient=3).fit_transform(X))


def test_is_pickled(X):
    weighting = SourceWeighting(n_orient=3).fit(X)
    assert_array_equal(pickle.loads(pickle.dumps(weighting)).transform(X), weighting.transform(X))


# -------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("params", "error", "match"),
    [
        (dict(depth=-0.1), ValueError, "depth must be in [0, inf), got -0.1"),
        (dict(depth=np.inf), ValueError, "depth must be in [0, inf), got inf"),
        (dict(depth=np.nan), ValueError, "depth must be in [0, inf), got nan"),
        (dict(depth="0.8"), TypeError, "depth must be a number or None, got '0.8'"),
        (dict(depth={"exp": 0.8}), TypeError, "depth must be a number or None, got {'exp': 0.8}"),
        (dict(depth=True), TypeError, "depth must be a number or None, got True"),
        (dict(depth=1000), ValueError, "depth gives weights that are infinite, NaN or zero"),
        (dict(loose=-0.1), ValueError, "loose must be in [0, 1], got -0.1"),
        (dict(loose=1.1), ValueError, "loose must be in [0, 1], got 1.1"),
        (dict(loose=np.nan), ValueError, "loose must be in [0, 1], got nan"),
        (dict(loose="auto"), TypeError, "loose must be a number, got 'auto'"),
        (dict(loose=None), TypeError, "loose must be a number, got None"),
        (dict(loose=0.2, n_orient=1), ValueError, "loose=0.2 needs n_orient=3"),
        (dict(loose=0, n_orient=2), ValueError, "loose=0 needs n_orient=3"),
        (dict(n_orient=4), ValueError, "n_orient=4 does not divide the 30 features"),
        (dict(n_orient=0), ValueError, "n_orient must be a positive integer, got 0"),
        (dict(n_orient=3.0), TypeError, "n_orient must be a positive integer, got 3.0"),
    ],
)
def test_bad_parameters(X, params, error, match):
    weighting = SourceWeighting(**({"n_orient": 3} | params))
    with pytest.raises(error, match=re.escape(match)):
        weighting.fit(X)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        (np.zeros_like, ValueError, "X has the norm 0"),
        (lambda X: 1e-200 * X, ValueError, "X has the norm 0"),
        (lambda X: 1e200 * X, ValueError, "X has the norm inf"),
        (lambda X: 1e-160 * X, ValueError, "weights that are infinite"),
        (lambda X: np.where(X > 40, np.nan, X), ValueError, "contains NaN"),
        (lambda X: np.where(X > 40, np.inf, X), ValueError, "contains infinity"),
        (lambda X: X[0], ValueError, "Expected 2D array"),
        (lambda X: X[:0], ValueError, "0 sample"),
        (lambda X: X * 1j, ValueError, "Complex data not supported"),
        (sparse.csr_array, TypeError, "[Ss]parse data was passed"),
    ],
)
def test_bad_data(X, change, error, match):
    with pytest.raises(error, match=match):
        SourceWeighting(n_orient=3).fit(change(X))


def test_normals_that_are_zero(X):
    X[:, 2::3] = 0
    SourceWeighting(loose=0.2, n_orient=3).fit(X)
    with pytest.raises(ValueError, match="X, in the columns of normals, has the norm 0"):
        SourceWeighting(loose=0, n_orient=3).fit(X)


def test_bad_data_to_transform(X):
    weighting = SourceWeighting(n_orient=3)
    with pytest.raises(NotFittedError):
        weighting.transform(X)
    with pytest.raises(ValueError, match="X has 27 features, but SourceWeighting is expecting 30"):
        weighting.fit(X).transform(X[:, :27])
