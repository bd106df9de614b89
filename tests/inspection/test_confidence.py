"""How sure: regions and p-values by their definitions, and what they hold in noise."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.stats import binom, chi2, ncx2
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler

from skmxne import MixedNormEstimator, compute_confidence
from skmxne.datasets import make_block_sparse_regression
from skmxne.inspection.confidence import compute_detectable_power
from skmxne.model_selection.noise import estimate_covariance


def make_data(
    n_samples=40, n_positions=60, n_orient=1, n_targets=5, active=(7,), size=3.0, seed=0, alike=0.0
):
    """Draw columns, the data of some blocks in noise of variance 1, and coefficients there.

    Neighbours have columns `alike`.
    """
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_samples, n_positions, n_orient))
    for k in range(1, n_positions):
        X[:, k] = alike * X[:, k - 1] + np.sqrt(1 - alike**2) * X[:, k]
    X = X.reshape(n_samples, -1)
    coef = np.zeros((n_targets, n_positions, n_orient))
    coef[:, list(active)] = size * rng.standard_normal((n_targets, len(active), n_orient))
    coef = coef.reshape(n_targets, -1)
    return X, X @ coef.T + rng.standard_normal((n_samples, n_targets)), coef


def mark(positions, n_targets, n_positions, n_orient=1):
    """Return coefficients of 1 at some positions."""
    coef = np.zeros((n_targets, n_positions, n_orient))
    coef[:, list(positions)] = 1.0
    return coef.reshape(n_targets, -1)


def project(X, n_orient, given, y):
    """Return, for every block, the part of `y` that it explains given others, in a basis."""
    columns = X.reshape(len(X), -1, n_orient)
    basis = np.linalg.qr(columns[:, given].reshape(len(X), -1))[0]
    parts = []
    for k in range(columns.shape[1]):
        own = columns[:, k] - basis @ (basis.T @ columns[:, k])
        parts.append(np.linalg.qr(own)[0].T @ y)
    return np.array(parts)


# ------------------------------------------------------------------------------------ regions


@pytest.mark.parametrize("n_orient", [1, 3])
@pytest.mark.parametrize("model_error", [0.0, 0.1])
def test_region_of_one_source_by_its_definition(n_orient, model_error):
    X, y, coef = make_data(n_orient=n_orient, n_targets=1, size=0.7, alike=0.95)
    confidence = compute_confidence(coef, X, y, n_orient=n_orient, model_error=model_error)
    parts = project(X, n_orient, [], y)
    powers = np.sum(parts**2, axis=(1, 2))
    variance = (np.sum(y**2) - powers[7]) / (40 - n_orient)
    least = (1 - model_error) * powers[7] - chi2.ppf(0.95, 3) * variance
    expected = powers >= least
    assert 1 < expected.sum() < 60
    assert_array_equal(confidence.regions, [expected])
    assert_allclose(confidence.powers, powers[7])


def test_region_is_along_the_strongest_time_course_given_the_other_source():
    X, y, coef = make_data(n_orient=3, active=(7, 30), n_targets=6, size=2.0, alike=0.9)
    confidence = compute_confidence(coef, X, y, n_orient=3, model_error=0.3)
    assert (confidence.p_values < 0.001).all()
    alone = np.sum(project(X, 3, [], y) ** 2, axis=(1, 2))[[7, 30]]
    columns = np.hstack([X[:, 21:24], X[:, 90:93]])
    residual = y - columns @ np.linalg.lstsq(columns, y)[0]
    covariance = estimate_covariance(residual, 40 - 6)
    for k, (position, other) in enumerate([(7, 30), (30, 7)]):
        parts = project(X, 3, [other], y)
        given = np.sum(parts[position] ** 2)
        assert_allclose(confidence.powers[k], alone[k] if alone[k] == alone.max() else given)
        course = np.linalg.svd(parts[position])[2][0]
        powers = np.sum((parts @ course) ** 2, axis=1)
        variance = course @ covariance @ course
        allowed = 0.3 * max(confidence.powers[k], powers[position])
        expected = powers >= powers[position] - chi2.ppf(0.95, 3) * variance - allowed
        expected[other] = False
        assert 1 < expected.sum() < 60
        assert_array_equal(confidence.regions[k], expected)


def test_regions_grow_with_level_allowance_and_noise():
    X, y, coef = make_data(n_orient=3, active=(7, 30), size=0.8, alike=0.95)

    def count(y=y, **options):
        return compute_confidence(coef, X, y, n_orient=3, n_draws=0, **options).regions

    sizes = [count(level=level) for level in (0.5, 0.95, 0.9999)]
    assert (sizes[0] <= sizes[1]).all()
    assert (sizes[1] <= sizes[2]).all()
    assert sizes[2].sum() > sizes[0].sum()
    more = count(model_error=0.5)
    assert (more >= sizes[1]).all()
    assert more.sum() > sizes[1].sum()
    rng = np.random.default_rng(1)
    assert count(y + 3 * rng.standard_normal(y.shape)).sum() > sizes[1].sum()


def test_regions_hold_the_truth():
    """Of a source at a random position, found at the position that explains most."""
    rng = np.random.default_rng(0)
    # Smooth columns: neighbours are alike.
    places = np.linspace(0, 1, 80)
    X = np.exp(-(((np.linspace(0, 1, 30)[:, np.newaxis] - places) / 0.15) ** 2))
    covered = []
    for _ in range(200):
        truth = rng.integers(80)
        course = rng.standard_normal(4)
        y = np.outer(X[:, truth], course) + 0.5 * rng.standard_normal((30, 4))
        powers = np.sum((X.T @ y) ** 2, axis=1) / np.sum(X**2, axis=0)
        coef = mark([np.argmax(powers)], 4, 80)
        region = compute_confidence(coef, X, y, n_draws=0, model_error=0.0).regions[0]
        covered.append(region[truth])
    assert np.mean(covered) >= 0.93
    assert np.mean(covered) < 1.0 or region.sum() < 40


# ----------------------------------------------------------------------------------- p-values


@pytest.mark.parametrize(("n_targets", "size"), [(1, 0.25), (6, 0.12), (50, 0.07)])
def test_p_value_is_that_of_the_maximum_over_positions(n_targets, size):
    rng = np.random.default_rng(0)
    X, y, coef = make_data(n_orient=2, n_targets=n_targets, size=size, seed=3)
    noise = rng.standard_normal((2000, 40, n_targets))
    confidence = compute_confidence(coef, X, y, n_orient=2, noise=noise)
    columns = X.reshape(40, 60, 2)
    bases = np.array([np.linalg.qr(columns[:, k])[0].T for k in range(60)])
    maxima = [np.sum((bases @ draw) ** 2, axis=(1, 2)).max() for draw in noise]
    expected = np.mean(maxima >= confidence.powers[0])
    assert 0.005 < expected < 0.995
    error = np.sqrt(expected * (1 - expected) / 2000)
    assert_allclose(confidence.p_values, expected, atol=4 * error + 0.02)


@pytest.mark.parametrize("n_sources", [1, 3])
@pytest.mark.parametrize("is_smooth", [False, True])
def test_level_in_noise_alone(n_sources, is_smooth):
    """However many sources are found, each where most is explained given those before."""
    rng = np.random.default_rng(n_sources)
    X = rng.standard_normal((60, 100))
    mixing = np.eye(12)
    if is_smooth:
        mixing = np.exp(-((np.subtract.outer(range(12), range(12)) / 3) ** 2))
    n_low = 0
    for _ in range(100):
        y = rng.standard_normal((60, 12)) @ mixing
        found = []
        for _ in range(n_sources):
            powers = np.sum(project(X, 1, found, y) ** 2, axis=(1, 2))
            powers[found] = 0.0
            found.append(int(np.argmax(powers)))
        confidence = compute_confidence(mark(found, 12, 100), X, y, n_draws=60)
        n_low += confidence.p_values.min() <= 0.05
    assert n_low <= binom.ppf(0.999, 100, 0.05)


def test_strong_sources_have_low_p_values_and_none_is_below_a_stronger_one():
    X, y, _ = make_data(active=(7, 30), size=2.0)
    confidence = compute_confidence(mark([7, 20, 30], 5, 60), X, y)
    assert_array_equal(confidence.positions, [7, 20, 30])
    assert (confidence.p_values[[0, 2]] < 0.001).all()
    assert confidence.p_values[1] > 0.1
    order = np.argsort(-confidence.powers)
    assert (np.diff(confidence.p_values[order]) >= 0).all()


def test_what_errors_of_a_strong_field_explain_is_no_source():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 40))
    X[:, 1] = X[:, 0] + 0.8 * X[:, 1]  # a field like the first
    course = rng.standard_normal(8)
    field = X[:, 0] + 0.1 * X[:, 1]  # that is not quite as the model has it
    y = 20 * np.outer(field, course) + rng.standard_normal((60, 8))
    coef = mark([0, 1], 8, 40)
    assert compute_confidence(coef, X, y, model_error=0.0).p_values.max() < 0.001
    confidence = compute_confidence(coef, X, y)
    assert_allclose(confidence.p_values.min(), 0.0, atol=1e-3)
    assert confidence.p_values.max() > 0.2
    # With a time course of its own it is one.
    y += 20 * np.outer(0.1 * X[:, 1], rng.standard_normal(8))
    assert compute_confidence(coef, X, y).p_values.max() < 0.001


def test_a_source_that_may_be_an_error_has_the_region_of_the_other():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 40))
    X[:, 1] = X[:, 0] + 0.3 * X[:, 1]
    X[:, 2] = X[:, 0] + 0.1 * X[:, 2]
    y = 20 * np.outer(X[:, 0] + 0.1 * X[:, 1], rng.standard_normal(8))
    y += rng.standard_normal(y.shape)
    confidence = compute_confidence(mark([0, 1], 8, 40), X, y)
    assert confidence.p_values[0] < 0.001 < 0.2 < confidence.p_values[1]
    assert confidence.regions[1, [0, 1, 2]].all()


def test_data_without_noise():
    X, _, coef = make_data(active=(7, 30))
    confidence = compute_confidence(coef, X, X @ coef.T, model_error=0.0)
    assert_allclose(confidence.p_values, 0, atol=1e-6)
    assert_array_equal(confidence.regions.sum(axis=1), 1)
    assert_array_equal(np.argmax(confidence.regions, axis=1), [7, 30])


def test_two_sources_at_the_same_place():
    X, y, _ = make_data()
    X[:, 30] = X[:, 7]
    confidence = compute_confidence(mark([7, 30], 5, 60), X, y)
    assert_allclose(np.sort(confidence.p_values), [0, 1], atol=1e-3)
    assert_allclose(confidence.powers.min(), 0, atol=1e-9)
    assert confidence.regions[:, [7, 30]].any(axis=0).all()


def test_columns_of_zeros_and_dependent_columns():
    X, y, coef = make_data(n_orient=2)
    X[:, 6:10] = 0.0
    X[:, 21] = 2 * X[:, 20]
    confidence = compute_confidence(coef, X, y, n_orient=2)
    assert confidence.p_values[0] < 0.001
    assert not confidence.regions[0, [3, 4]].any()
    # A source where there is no column explains nothing.
    confidence = compute_confidence(mark([4, 7], 5, 60, 2), X, y, n_orient=2)
    assert_allclose(confidence.p_values, [1, 0], atol=1e-3)
    confidence = compute_confidence(mark([3, 4], 5, 60, 2), X, y, n_orient=2)
    assert_allclose(confidence.p_values, 1)
    assert_allclose(confidence.powers, 0)


# --------------------------------------------------------------------------------- invariance


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_units_do_not_matter(scale):
    X, y, coef = make_data(n_orient=3, active=(7, 30), size=0.5)
    expected = compute_confidence(coef, X, y, n_orient=3)
    confidence = compute_confidence(coef, X / scale, y * scale, n_orient=3)
    assert_array_equal(confidence.regions, expected.regions)
    assert_allclose(confidence.p_values, expected.p_values, rtol=1e-3, atol=1e-12)


@pytest.mark.parametrize("n_targets", [5, 90])
def test_rotated_targets_do_not_matter(n_targets):
    """Also of more targets than samples."""
    X, y, coef = make_data(active=(7, 30), n_targets=n_targets, size=0.4)
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((n_targets, n_targets)))[0]
    noise = np.random.default_rng(2).standard_normal((50, 40, n_targets))
    for options in [{}, dict(noise=noise)]:
        expected = compute_confidence(coef, X, y, **options)
        turned = {name: value @ turn for name, value in options.items()}
        confidence = compute_confidence(coef, X, y @ turn, **turned)
        assert_array_equal(confidence.regions, expected.regions)
        assert_allclose(confidence.p_values, expected.p_values, rtol=0.02, atol=1e-9)


def test_only_which_blocks_are_active_matters():
    X, y, coef = make_data(active=(7, 30))
    expected = compute_confidence(coef, X, y)
    for other in [3 * coef, sparse.csr_array(coef)]:
        confidence = compute_confidence(other, X, y)
        assert_array_equal(confidence.regions, expected.regions)
        assert_array_equal(confidence.p_values, expected.p_values)
    target = compute_confidence(coef[0], X, y[:, 0])
    assert_array_equal(target.positions, [7, 30])


def test_estimators_and_pipelines():
    X, y, _ = make_data(n_orient=3, active=(7, 30))
    model = MixedNormEstimator(50, n_orient=3).fit(X, y)
    expected = compute_confidence(model, X, y)
    assert_array_equal(expected.positions, [7, 30])
    scaled = make_pipeline(MaxAbsScaler(), MixedNormEstimator(50, n_orient=3)).fit(X, y)
    confidence = compute_confidence(scaled, X, y)
    assert_array_equal(confidence.positions, [7, 30])
    assert_array_equal(confidence.regions, expected.regions)


def test_result_is_a_plain_object():
    X, y, coef = make_data(active=(7, 30))
    confidence = compute_confidence(coef, X, y, level=0.9)
    again = pickle.loads(pickle.dumps(confidence))
    for name in ("positions", "p_values", "regions", "powers"):
        assert_array_equal(getattr(again, name), getattr(confidence, name))
    assert again.level == 0.9
    assert repr(confidence).startswith("<Confidence: 2 sources, level 0.9; 7: p < 0.001, ")
    assert_array_equal(compute_confidence(coef, X, y).p_values, confidence.p_values)
    assert np.isnan(compute_confidence(coef, X, y, n_draws=0).p_values).all()


def test_model_of_zeros():
    X, y, coef = make_data()
    confidence = compute_confidence(0 * coef, X, y)
    assert confidence.positions.shape == confidence.p_values.shape == (0,)
    assert confidence.regions.shape == (0, 60)


# ---------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        (dict(level=0), ValueError, "level must be in"),
        (dict(level=1), ValueError, "level must be in"),
        (dict(level="high"), TypeError, "level must be a number"),
        (dict(n_draws=5), ValueError, "at least 20, or 0 for no p-values, got 5"),
        (dict(n_draws=-1), ValueError, "at least 20"),
        (dict(n_draws=50.0), TypeError, "n_draws must be an integer"),
        (dict(model_error=1), ValueError, "model_error must be in"),
        (dict(n_orient=7), ValueError, "does not divide the 60 features"),
        (dict(random_state="x"), ValueError, "cannot be used to seed"),
        (dict(noise=np.zeros((50, 40, 4))), ValueError, r"shape \(n_draws, 40, 5\)"),
        (dict(noise=np.zeros((3, 40, 5))), ValueError, "at least 20 draws, got 3"),
        (dict(noise=np.full((30, 40, 5), np.nan)), ValueError, "noise is infinite or NaN"),
    ],
)
def test_bad_parameters(options, error, match):
    X, y, coef = make_data()
    with pytest.raises(error, match=match):
        compute_confidence(coef, X, y, **options)


def test_models_that_do_not_fit_the_data():
    X, y, coef = make_data()
    with pytest.raises(ValueError, match="coefficients of shape"):
        compute_confidence(coef[:, :-1], X, y)
    with pytest.raises(NotFittedError):
        compute_confidence(MixedNormEstimator(), X, y)
    with pytest.raises(ValueError, match=r"explain any data of 40 samples.*larger alpha"):
        compute_confidence(mark(range(40), 5, 60), X, y)
    with pytest.raises(ValueError, match="NaN"):
        compute_confidence(coef, X * np.nan, y)


# ------------------------------------------------------------------------------ detectability


@pytest.mark.parametrize("power", [0.2, 0.5, 0.8, 0.95])
@pytest.mark.parametrize(("n_orient", "n_targets"), [(1, 1), (1, 61), (3, 61)])
def test_detectable_power_in_white_noise(power, n_orient, n_targets):
    """As the noncentral chi-squared has it, by mean and variance."""
    course = np.linspace(1, 2, n_targets)
    needed = compute_detectable_power(5000, n_orient, np.eye(n_targets), course, power)
    threshold = (np.sqrt(n_orient * n_targets) + np.sqrt(2 * np.log(5000))) ** 2
    # The mean and the variance are right; one target has the most skewed distribution.
    assert_allclose(ncx2.sf(threshold, n_orient * n_targets, needed), power, atol=0.05)


def test_detectable_power_in_correlated_noise():
    rng = np.random.default_rng(0)
    mixing = np.exp(-((np.subtract.outer(range(20), range(20)) / 3) ** 2))
    covariance = mixing.T @ mixing
    course = np.sin(np.arange(20) / 3)
    needed = compute_detectable_power(1000, 1, covariance, course, 0.8)
    noise = rng.standard_normal((20_000, 20)) @ mixing
    explained = np.sum((np.sqrt(needed) * course / np.linalg.norm(course) + noise) ** 2, axis=1)
    trace, square = np.trace(covariance), np.vdot(covariance, covariance)
    n = trace**2 / square
    threshold = trace / n * (np.sqrt(n) + np.sqrt(2 * np.log(1000))) ** 2
    assert_allclose(np.mean(explained > threshold), 0.8, atol=0.03)


# --------------------------------------------------------- many sources, few rows, many targets


def test_powers_of_dependent_columns_are_those_of_least_squares():
    """As of a sphere model, where a block of three columns has rank 2."""
    X, y, _ = make_data(n_samples=20, n_orient=3, active=(3, 9))
    X[:, 2::3] = X[:, 0::3] + X[:, 1::3]
    confidence = compute_confidence(mark([3, 9], 5, 60, 3), X, y, n_orient=3)
    total = 0.0
    for columns in ([3], [9]), ([9], [3]):
        blocks = X.reshape(20, 60, 3)
        first = blocks[:, columns[0]].reshape(20, -1)
        both = blocks[:, columns[0] + columns[1]].reshape(20, -1)
        explained = [np.sum((a @ np.linalg.pinv(a) @ y) ** 2) for a in (first, both)]
        if explained[0] > total:
            total, expected = explained[0], [explained[0], explained[1] - explained[0]]
    assert_allclose(np.sort(confidence.powers), np.sort(expected))


@pytest.mark.parametrize(
    ("n_samples", "n_targets"),
    [(40, 10), (40, 200), (60, 3), pytest.param(40, 600, marks=pytest.mark.thorough)],
)
def test_p_values_of_noise_are_spread(n_samples, n_targets):
    """The strongest position of noise is neither rare nor common, also with many targets."""
    rng = np.random.default_rng(0)
    p_values = []
    for _ in range(60):
        X, y = rng.standard_normal((n_samples, 60)), rng.standard_normal((n_samples, n_targets))
        best = np.argmax(np.sum((X.T @ y) ** 2, axis=1) / np.sum(X**2, axis=0))
        coef = mark([best], n_targets, 60)
        p_values.append(compute_confidence(coef, X, y, n_draws=40).p_values[0])
    assert np.sum(np.array(p_values) <= 0.05) <= binom.ppf(0.999, 60, 0.05)
    assert 0.3 < np.median(p_values) < 0.85


@pytest.mark.parametrize(("n_targets", "n_sources"), [(1, 2), (4, 5), (30, 8)])
def test_many_sources_of_few_samples_get_surer_as_noise_gets_weaker(n_targets, n_sources):
    X, y, coef = make_block_sparse_regression(
        *(63, 500),
        n_orient=3,
        n_targets=n_targets,
        n_active=n_sources,
        noise=0.0,
        coef=True,
        random_state=0,
    )
    noise = np.random.default_rng(0).standard_normal((63, n_targets))
    y = y.reshape(63, -1)
    found = [
        compute_confidence(coef, X, y + level * noise, n_orient=3, n_draws=60).p_values.max()
        for level in (8.0, 1.0, 0.2, 0.01)
    ]
    assert found[0] > 0.05
    assert (np.diff(found) <= 1e-9).all()
    assert found[2] < 0.05
    assert found[3] < 0.001


def test_noise_that_is_given_counts_in_full_with_many_targets():
    """A source that explains no more than noise is not given for the region of another."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30, 60)), rng.standard_normal((30, 300))
    y += 20 * np.outer(X[:, 7], rng.standard_normal(300))
    noise = rng.standard_normal((50, 30, 300))
    confidence = compute_confidence(mark([7, 20], 300, 60), X, y, noise=noise)
    assert_allclose(confidence.p_values[0], 0, atol=1e-5)
    assert confidence.p_values[1] > 0.05


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("scale", [1e-30, 1e-24, 1e19])
def test_extreme_units(scale):
    X, y, _ = make_data(size=0.5)
    coef = mark([7, 20], 5, 60)
    X[:, 40] = X[:, 7]
    for some in (coef, mark([7, 40], 5, 60)):
        expected = compute_confidence(some, X, y)
        confidence = compute_confidence(some, X, y * scale)
        assert_allclose(confidence.p_values, expected.p_values, rtol=1e-3)


def test_draws_at_random():
    X, y, _ = make_data()
    coef = mark([7, 20], 5, 60)
    p_values = [compute_confidence(coef, X, y, random_state=None).p_values[1] for _ in range(2)]
    assert p_values[0] != p_values[1]
    assert_allclose(*p_values, atol=0.1)
