"""Properties of inverse problems, criteria and paths, at data drawn at random."""

import warnings

import mne
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.linalg import block_diag
from scipy.stats import ortho_group
from sklearn.exceptions import ConvergenceWarning

from skmxne import InverseProblem, MixedNormCV, MixedNormEstimator, MixedNormIC, mixed_norm_path
from skmxne.datasets import make_block_sparse_regression
from skmxne.model_selection.criteria import CRITERIA

seeds = st.integers(0, 2**32 - 1)
LOOSE = st.sampled_from([0, 0.2, 1])
DEPTH = st.sampled_from([None, 0.8])

# Inverse problems


@pytest.fixture(scope="module")
def case(make_case):
    return make_case("surface")


def prepare(evoked, forward, noise_cov, **options):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Channels left out|Projection vector")
        return InverseProblem.from_evoked(evoked, forward, noise_cov, **options)


def assert_same_problem(problem, expected, rtol=1e-7):
    """Assert that all solutions are the same, whatever the basis of the whitened rows is."""
    correlation, other = problem.X.T @ problem.y, expected.X.T @ expected.y
    assert len(problem.X) == len(expected.X)
    assert_allclose(correlation, other, atol=rtol * np.abs(other).max())
    assert_allclose(np.linalg.norm(problem.y), np.linalg.norm(expected.y), rtol=rtol)
    gram, other = problem.X[:, :30].T @ problem.X, expected.X[:, :30].T @ expected.X
    assert_allclose(gram, other, atol=rtol * np.abs(other).max())
    assert_allclose(problem.source_scale, expected.source_scale, rtol=rtol)


def pick_forward(forward, names):
    return mne.pick_channels_forward(forward, names, ordered=True, copy=True, verbose="ERROR")


def pick_noise(noise_cov, names):
    return mne.pick_channels_cov(noise_cov, names, ordered=True)


def draw_channels(rng, case):
    """Draw channels that remain, at least three quarters, in random order."""
    names = np.array(case.info.ch_names)
    return list(rng.permutation(names)[: rng.integers(48, 65)])


@settings(max_examples=15)
@given(seed=seeds, loose=LOOSE, depth=DEPTH)
def test_channels_count_by_name(case, seed, loose, depth):
    """Bad in the data or the covariance, missing in one of all, in any order, whatever bads say."""
    rng = np.random.default_rng(seed)
    names = draw_channels(rng, case)
    others = [name for name in case.info.ch_names if name not in names]
    evoked, noise_cov, forward = case.evoked.copy(), case.noise_cov.copy(), case.forward
    where = rng.integers(0, 4, len(others))
    evoked.info["bads"] = [name for name, k in zip(others, where, strict=True) if k == 0]
    evoked.data[[evoked.ch_names.index(name) for name in evoked.info["bads"]]] = np.nan
    noise_cov["bads"] = [name for name, k in zip(others, where, strict=True) if k == 1]
    left = set(case.info.ch_names)
    in_cov = left - {name for name, k in zip(others, where, strict=True) if k == 2}
    in_forward = left - {name for name, k in zip(others, where, strict=True) if k == 3}
    bads = noise_cov["bads"]
    noise_cov = pick_noise(noise_cov, list(rng.permutation(sorted(in_cov))))
    noise_cov["bads"] = bads
    forward = pick_forward(forward, list(rng.permutation(sorted(in_forward))))
    evoked.reorder_channels(list(rng.permutation(case.info.ch_names)))

    problem = prepare(evoked, forward, noise_cov, loose=loose, depth=depth)
    assert set(problem.ch_names) == set(names)
    expected = prepare(
        *(case.evoked.copy().pick(sorted(names)), case.forward, case.noise_cov),
        loose=loose,
        depth=depth,
    )
    assert_same_problem(problem, expected)
    model = MixedNormEstimator(60, n_orient=problem.n_orient, tol=1e-10)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The model is empty")
        stc = problem.to_source_estimate(model.fit(problem.X, problem.y))
        other = expected.to_source_estimate(model.fit(expected.X, expected.y))
    for vertices, true in zip(stc.vertices, other.vertices, strict=True):
        assert_array_equal(vertices, true)
    assert_allclose(stc.data, other.data, rtol=1e-4, atol=1e-4 * np.abs(other.data).max(initial=0))


@settings(max_examples=15)
@given(seed=seeds, n_vectors=st.integers(1, 4), loose=LOOSE)
def test_projectors_take_their_directions_away_applied_or_not(case, seed, n_vectors, loose):
    rng = np.random.default_rng(seed)
    kinds = {"magnetometers": range(0, 48, 3), "electrodes": range(48, 64)}
    names = np.array(case.info.ch_names)[list(kinds[rng.choice(list(kinds))])]
    vectors = np.linalg.qr(rng.standard_normal((len(names), n_vectors)))[0].T
    data = dict(data=vectors, col_names=list(names), row_names=None)
    projector = mne.Projection(data=data | dict(nrow=n_vectors, ncol=len(names)), desc="random")
    evoked = case.evoked.copy()
    with mne.use_log_level("ERROR"):
        evoked.add_proj(projector)
        applied = evoked.copy().apply_proj()
    problem = prepare(evoked, case.forward, case.noise_cov, loose=loose)
    assert_same_problem(
        prepare(applied, case.forward, case.noise_cov, loose=loose), problem, rtol=1e-6
    )
    plain = prepare(case.evoked, case.forward, case.noise_cov, loose=loose)
    assert len(problem.X) == len(plain.X) - n_vectors
    # What has a projected direction only is not seen.
    field = evoked.copy()
    rows = [field.ch_names.index(name) for name in names]
    field.data[rows] += 1e3 * np.abs(field.data[rows]).max() * vectors[0][:, np.newaxis]
    assert_same_problem(prepare(field, case.forward, case.noise_cov, loose=loose), problem, 1e-6)


@settings(max_examples=15)
@given(seed=seeds, n_meg=st.integers(2, 47), n_eeg=st.integers(2, 15), loose=LOOSE)
def test_rank_is_that_of_the_noise_as_computed_or_told(case, seed, n_meg, n_eeg, loose):
    """As many virtual sensors, with white noise."""
    rng = np.random.default_rng(seed)
    evoked, noise_cov = case.evoked, case.noise_cov.copy()
    scale = np.array([30e-15, 1e-12, 1e-12] * 16 + [1e-6] * 16)
    external = np.zeros(48)
    external[::3] = evoked.info["projs"][0]["data"]["data"][0]
    bases = []
    # The noise has nothing of what the projectors take away.
    for projected, rank in ((external, n_meg), (np.ones(16), n_eeg)):
        vectors = np.column_stack([projected, rng.standard_normal((len(projected), rank))])
        bases.append(np.linalg.qr(vectors)[0][:, 1:])
    mixing = scale[:, np.newaxis] * block_diag(*bases)
    noise_cov["data"] = mixing @ mixing.T
    problem = prepare(evoked, case.forward, noise_cov, loose=loose)
    assert len(problem.X) == len(problem.y) == n_meg + n_eeg
    told = prepare(evoked, case.forward, noise_cov, loose=loose, rank=dict(meg=n_meg, eeg=n_eeg))
    assert_same_problem(told, problem)
    names = [noise_cov.ch_names.index(name) for name in problem.ch_names]
    white = problem.whitener @ noise_cov.data[np.ix_(names, names)] @ problem.whitener.T
    assert_allclose(white, np.eye(len(problem.X)), atol=1e-6)


@settings(max_examples=15)
@given(exponent=st.floats(-6, 6), gain=st.floats(-6, 6), loose=LOOSE, depth=DEPTH)
def test_units_do_not_matter(case, exponent, gain, loose, depth):
    """Of the data, with those of the noise; the unit of the gain is that of the amplitudes."""
    evoked, noise_cov, forward = case.evoked.copy(), case.noise_cov.copy(), case.forward.copy()
    evoked.data *= 10.0**exponent
    noise_cov["data"] = noise_cov.data * 10.0 ** (2 * exponent)
    forward["sol"]["data"] = forward["sol"]["data"] * 10.0 ** (exponent + gain)
    problem = prepare(evoked, forward, noise_cov, loose=loose, depth=depth)
    expected = prepare(case.evoked, case.forward, case.noise_cov, loose=loose, depth=depth)
    coef = np.zeros((len(problem.times), problem.X.shape[1]))
    coef[:, :6] = 1.0
    # The scale of X is a convention, its product with that of the sources is not.
    ratio = np.linalg.norm(problem.X) / np.linalg.norm(expected.X)
    correlation, other = problem.X.T @ problem.y / ratio, expected.X.T @ expected.y
    assert_allclose(correlation, other, atol=1e-6 * np.abs(other).max())
    assert np.linalg.norm(problem.y) == pytest.approx(np.linalg.norm(expected.y), rel=1e-6)
    stc, other = problem.to_source_estimate(coef / ratio), expected.to_source_estimate(coef)
    assert_allclose(10.0**gain * stc.data, other.data, rtol=1e-6)


@settings(max_examples=15)
@given(seed=seeds, kind=st.sampled_from(["surface", "volume", "surface+discrete"]), depth=DEPTH)
def test_sources_and_residual_are_those_of_the_coefficients(make_case, seed, kind, depth):
    """Of any, dense or sparse in space."""
    rng = np.random.default_rng(seed)
    case = make_case(kind)
    problem = prepare(case.evoked, case.forward, case.noise_cov, depth=depth)
    n_positions = len(problem.locations)
    coef = np.zeros((len(problem.times), n_positions, problem.n_orient))
    active = np.sort(rng.permutation(n_positions)[: rng.integers(1, n_positions + 1)])
    coef[:, active] = rng.standard_normal((len(problem.times), len(active), problem.n_orient))
    coef = coef.reshape(len(coef), -1)
    residual = problem.to_residual(coef)
    left = problem.y - problem.X @ coef.T
    whitened = problem.whitener @ residual.copy().pick(problem.ch_names).data * problem.target_scale
    assert_allclose(whitened, left, atol=1e-6 * np.abs(left).max())
    explained = 100 * (1 - np.sum(left**2) / np.sum(problem.y**2))
    assert problem.explained_variance(coef) == pytest.approx(explained, rel=1e-6, abs=1e-6)
    stc = problem.to_source_estimate(coef)
    assert len(stc.data) == len(active)
    vectors = (coef * problem.source_scale).reshape(len(coef), n_positions, -1)[:, active]
    expected = np.linalg.norm(vectors, axis=2).T / problem.target_scale
    assert_allclose(stc.data, expected, rtol=1e-6, atol=1e-20)


# Criteria and paths


def draw_problem(seed, n_orient):
    return make_block_sparse_regression(
        *(24, 20),
        n_orient=n_orient,
        n_targets=5,
        n_active=3,
        noise=1.0,
        random_state=seed % 2**31,
    )


def judge(X, y, criterion, n_orient, **params):
    model = MixedNormIC(criterion=criterion, n_orient=n_orient, alphas=5, eps=0.2, tol=1e-12)
    model.set_params(n_mxne_iter=2, **params)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("error", ConvergenceWarning)
        return model.fit(X, y)


@given(
    seed=seeds,
    criterion=st.sampled_from(["ric", *CRITERIA]),
    n_orient=st.sampled_from([1, 2, 3]),
    noise_variance=st.sampled_from([1.0, 0.3, None]),
)
def test_criterion_is_that_of_the_same_problem_in_other_coordinates(
    seed, criterion, n_orient, noise_variance
):
    """Rows rotated, positions in another order, targets rotated, all in other units."""
    X, y = draw_problem(seed, n_orient)
    rng = np.random.default_rng(seed)
    rows, targets = ortho_group(len(X), rng).rvs(), ortho_group(y.shape[1], rng).rvs()
    order = rng.permutation(X.shape[1] // n_orient)
    unit = 10.0 ** rng.uniform(-3, 3)
    other_X = (
        10.0 ** rng.uniform(-3, 3)
        * rows
        @ X.reshape(len(X), -1, n_orient)[:, order].reshape(X.shape)
    )
    other_y = unit * rows @ y @ targets
    model = judge(X, y, criterion, n_orient, noise_variance=noise_variance)
    variance = None if noise_variance is None else noise_variance * unit**2
    other = judge(other_X, other_y, criterion, n_orient, noise_variance=variance)
    power = np.sum(y**2)
    # Values are in units of y, but for those of GCV, a mean error, too.
    assert_allclose(other.criterion_ / unit**2, model.criterion_, atol=1e-8 * power)
    assert_allclose(other.degrees_of_freedom_, model.degrees_of_freedom_, atol=1e-5)
    assert_array_equal(other.n_active_path_, model.n_active_path_)
    close = np.abs(model.criterion_ - model.criterion_.min()) < 1e-3 * power
    if criterion != "discrepancy" and close.sum() == 1:
        assert other.alpha_ == model.alpha_


@given(seed=seeds, n_orient=st.sampled_from([1, 3]), n_mxne_iter=st.sampled_from([1, 3]))
def test_path_is_made_of_single_fits(seed, n_orient, n_mxne_iter):
    X, y = draw_problem(seed, n_orient)
    params = dict(n_orient=n_orient, n_mxne_iter=n_mxne_iter, tol=1e-12)
    alphas, coefs, gaps = mixed_norm_path(X, y, alphas=[70, 40, 20], **params)
    assert (gaps <= 1e-12).all()
    for alpha, coef in zip(alphas, coefs, strict=True):
        model = MixedNormEstimator(alpha, **params)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The model is empty")
            expected = model.fit(X, y).coef_
        assert_allclose(coef.toarray(), expected, atol=1e-6 * np.abs(expected).max(initial=1e-12))


@settings(max_examples=15)
@given(seed=seeds, n_orient=st.sampled_from([1, 3]))
def test_weights_of_integers_are_repeated_rows(seed, n_orient):
    """In folds, too, if copies of a row are in the same."""
    X, y = draw_problem(seed, n_orient)
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 4, len(X))
    rows = np.repeat(np.arange(len(X)), counts)
    fold = np.arange(len(X)) % 3
    cv = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(3)]
    repeated = [tuple(np.flatnonzero(np.isin(rows, part)) for part in split) for split in cv]
    params = dict(n_orient=n_orient, alphas=4, eps=0.2, tol=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("error", ConvergenceWarning)
        weighted = MixedNormCV(cv=cv, **params).fit(X, y, sample_weight=counts)
        expected = MixedNormCV(cv=repeated, **params).fit(X[rows], y[rows])
    # Of two alphas with one active position each, debiased to the same, either may be the best.
    errors = expected.mse_path_.mean(axis=1)
    assert errors[weighted.alphas_ == weighted.alpha_] == pytest.approx(errors.min(), rel=1e-9)
    assert_allclose(weighted.mse_path_, expected.mse_path_, rtol=1e-7)
