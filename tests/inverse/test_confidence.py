"""How sure an inverse problem is: regions, p-values, detectability and stability of sources."""

import pickle

import mne
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.linear_model import MultiTaskLasso
from sklearn.model_selection import GridSearchCV, GroupKFold

from skmxne import InverseProblem, MixedNormEstimator, MixedNormIC, compute_confidence
from skmxne.datasets import make_recording
from skmxne.inverse.trial_folds import draw_signs


@pytest.fixture(scope="module")
def case():
    """Return a recording of two sources, with a part of the positions."""
    recording = make_recording(n_sources=2, n_trials=30)
    vertices = [space["vertno"][::6] for space in recording.forward["src"]]
    vertices = [
        np.union1d(v, truth) for v, truth in zip(vertices, recording.stc.vertices, strict=True)
    ]
    some = mne.SourceEstimate(np.zeros((sum(map(len, vertices)), 1)), vertices, 0, 1, "simulated")
    recording.forward = mne.forward.restrict_forward_to_stc(recording.forward, some)
    recording.evoked.crop(0.05, 0.35)
    return recording


def from_evoked(case, **options):
    return InverseProblem.from_evoked(case.evoked, case.forward, case.noise_cov, **options)


def from_epochs(case, **options):
    return InverseProblem.from_epochs(
        case.epochs, case.forward, case.noise_cov, tmin=0.05, tmax=0.35, **options
    )


def find_truth(case, problem):
    """Return the positions of the true sources."""
    of_spaces = [
        np.isin(space["vertno"], vertices)
        for space, vertices in zip(problem.forward["src"], case.stc.vertices, strict=True)
    ]
    return np.flatnonzero(np.concatenate(of_spaces))


def mark(problem, positions):
    coef = np.zeros((len(problem.times), len(problem.locations), problem.n_orient))
    coef[:, positions] = 1.0
    return coef.reshape(len(coef), -1)


def test_true_sources_are_sure(case):
    problem = from_evoked(case)
    model = MixedNormIC(n_orient=3).fit(problem.X, problem.y)
    confidence = problem.compute_confidence(model)
    truth = find_truth(case, problem)
    assert len(confidence.positions) == 2
    assert (confidence.p_values < 0.001).all()
    gaps = problem.locations[truth][:, np.newaxis] - problem.locations[confidence.positions]
    nearest = np.linalg.norm(gaps, axis=2).argmin(axis=1)
    assert sorted(nearest) == [0, 1]
    assert confidence.regions[nearest, truth].all()
    away = problem.locations - problem.locations[confidence.positions[0]]
    assert np.linalg.norm(away[confidence.regions[0]], axis=1).max() < 0.05


@pytest.mark.parametrize("loose", [0, 0.2, 1])
@pytest.mark.parametrize("depth", [None, 0.8])
def test_orientation_is_free_whatever_that_of_the_problem(case, loose, depth):
    problem = from_evoked(case, loose=loose, depth=depth)
    truth = find_truth(case, problem)
    confidence = problem.compute_confidence(mark(problem, truth))
    free = from_evoked(case, loose=1, depth=None)
    expected = compute_confidence(mark(free, truth), free.X, free.y, n_orient=3)
    assert_array_equal(confidence.regions, expected.regions)
    assert_allclose(confidence.powers, expected.powers)
    assert_allclose(confidence.p_values, expected.p_values, rtol=1e-3, atol=1e-12)


def test_forward_of_fixed_orientation(case):
    problem = from_evoked(case, loose=0)
    fixed = mne.convert_forward_solution(case.forward, surf_ori=True, force_fixed=True)
    fixed = InverseProblem.from_evoked(case.evoked, fixed, case.noise_cov, loose=0)
    truth = find_truth(case, problem)
    confidence = fixed.compute_confidence(mark(fixed, truth))
    expected = compute_confidence(mark(fixed, truth), fixed.X, fixed.y)
    assert_array_equal(confidence.regions, expected.regions)
    assert confidence.regions.sum() < problem.compute_confidence(mark(problem, truth)).regions.sum()


@pytest.mark.usual(source_model=[("surface", 0.2), ("volume+volume", "auto")])
def test_every_source_space(make_case, source_model):
    kind, loose = source_model
    case = make_case(kind, amplitude=20e-9)
    problem = from_evoked(case, loose=loose)
    positions = np.linspace(0, len(problem.locations) - 1, 4).astype(int)
    confidence = problem.compute_confidence(mark(problem, positions), n_draws=20)
    regions = problem.to_regions(confidence)
    starts = np.cumsum([0] + [space["nuse"] for space in case.forward["src"]])
    for region, stc in zip(confidence.regions, regions, strict=True):
        assert_array_equal(stc.data, np.ones((region.sum(), 1)))
        for k, (space, vertices) in enumerate(zip(case.forward["src"], stc.vertices, strict=True)):
            of_space = region[starts[k] : starts[k + 1]]
            assert_array_equal(vertices, space["vertno"][of_space])
    for stc, other in zip(regions, problem.to_regions(mark(problem, positions)), strict=True):
        assert_array_equal(stc.data, other.data)
    weakest = problem.to_detectability()
    assert weakest.data.shape == (len(problem.locations), 1)
    assert (weakest.data > 0).all()
    assert type(weakest) is type(problem.to_source_estimate(mark(problem, positions)))


def test_no_source(case):
    problem = from_evoked(case)
    confidence = problem.compute_confidence(mark(problem, []))
    assert confidence.regions.shape == (0, len(problem.locations))
    assert problem.to_regions(confidence) == []


# ----------------------------------------------------------------------------------- trials


@pytest.mark.parametrize("n_groups", [2, 5, 40])
def test_random_signs_cancel_what_trials_share(n_groups):
    weights = np.random.default_rng(0).integers(1, 4, n_groups).astype(float)
    weights /= weights.sum()
    factors = draw_signs(weights, 50, 0)
    assert factors.shape == (50, n_groups)
    assert_allclose(factors.sum(axis=1), 0, atol=1e-12)
    # Averages of groups have noise of variance 1 / weight, where that of all trials has 1.
    assert_allclose(np.sum(factors**2 / weights, axis=1), 1)


def test_groups_are_averages_of_all_trials(case):
    problem = from_epochs(case)
    assert len(problem.y_groups) == 30
    assert problem.y_groups.dtype == np.float32
    mean = np.tensordot(problem.group_weights, problem.y_groups, axes=1)
    assert_allclose(mean, problem.y, atol=1e-4)
    many = make_recording(n_sources=1, n_trials=90)
    problem = InverseProblem.from_epochs(many.epochs, many.forward, many.noise_cov)
    assert len(problem.y_groups) == 40
    assert_allclose(np.unique(np.round(problem.group_weights * 90)), [2, 3])
    mean = np.tensordot(problem.group_weights, problem.y_groups, axes=1)
    assert_allclose(mean, problem.y, atol=1e-4)


def test_noise_is_that_of_the_trials(case):
    """If it is stronger than the covariance tells, weak sources are less sure."""
    problem = from_epochs(case)
    truth = find_truth(case, problem)
    confidence = problem.compute_confidence(mark(problem, truth))
    average = from_evoked(case)
    assert_allclose(confidence.powers, average.compute_confidence(mark(average, truth)).powers)
    assert (confidence.p_values < 0.001).all()
    problem.y_folds = problem.y + 10 * (problem.y_folds - problem.y)
    problem.y_groups = (problem.y + 10 * (problem.y_groups - problem.y)).astype(np.float32)
    noisy = problem.compute_confidence(mark(problem, truth))
    assert noisy.p_values.max() > 0.2
    assert (noisy.regions >= confidence.regions).all()
    assert noisy.regions.sum() > confidence.regions.sum()
    draws = problem.compute_confidence(mark(problem, truth), n_draws=0)
    assert np.isnan(draws.p_values).all()


def test_stability(case):
    problem = from_epochs(case, loose=0)
    model = MixedNormEstimator(60).fit(problem.X, problem.y)
    stability = problem.compute_stability(model)
    assert stability.shape == (model.n_active_,)
    assert stability.max() == 1.0
    rest = [
        (problem.y - w * fold) / np.sqrt(1 - w)
        for fold, w in zip(problem.y_folds, problem.fold_weights, strict=True)
    ]
    found = [MixedNormEstimator(60).fit(problem.X, y).active_set_ for y in rest]
    # Nearer than any two positions are.
    exact = problem.compute_stability(model, radius=1e-6)
    assert_allclose(exact, np.mean(found, axis=0)[model.active_set_])
    assert (exact <= stability).all()


def test_stability_of_searches(case):
    """They are fitted to as many rows as the search: a penalty per sample stays what it was."""
    problem = from_epochs(case, loose=0)
    X, y, groups = problem.to_folds()
    lasso = MultiTaskLasso(fit_intercept=False, tol=1e-3)
    largest = np.linalg.norm(X.T @ y, axis=1).max() / len(X)
    # scikit-learn 1.6 cannot find the method `score` of MultiTaskLasso.
    search = GridSearchCV(lasso, {"alpha": [0.7 * largest]}, cv=GroupKFold(5), scoring="r2")
    search.fit(X, y, groups=groups)
    exact = problem.compute_stability(search, radius=1e-6)
    fits = [clone(search.best_estimator_).fit(X[groups != k], y[groups != k]) for k in range(5)]
    active = search.best_estimator_.coef_.any(axis=0)
    assert_allclose(exact, np.mean([fit.coef_.any(axis=0)[active] for fit in fits], axis=0))


@pytest.mark.parametrize("n_trials", [3, 5, 12])
def test_few_trials(case, n_trials):
    """Too few for random signs: normal noise, as the trials show it."""
    epochs = case.epochs[:n_trials]
    problem = InverseProblem.from_epochs(
        epochs, case.forward, case.noise_cov, tmin=0.05, tmax=0.35, n_folds=min(n_trials, 5)
    )
    rng = np.random.default_rng(0)
    problem.y_folds = rng.standard_normal(problem.y_folds.shape)
    problem.y_folds /= np.sqrt(problem.fold_weights)[:, np.newaxis, np.newaxis]
    problem.y = np.tensordot(problem.fold_weights, problem.y_folds, axes=1)
    problem.y_groups = rng.standard_normal(problem.y_groups.shape).astype(np.float32)
    problem.y_groups /= np.sqrt(problem.group_weights, dtype=np.float32)[:, np.newaxis, np.newaxis]
    confidence = problem.compute_confidence(mark(problem, [3, 200]), n_draws=100)
    assert confidence.p_values.min() > 0.01
    truth = find_truth(case, problem)
    problem = InverseProblem.from_epochs(
        epochs, case.forward, case.noise_cov, tmin=0.05, tmax=0.35, n_folds=min(n_trials, 5)
    )
    assert problem.compute_confidence(mark(problem, truth)).p_values.min() < 0.05


# ---------------------------------------------------------------------------- detectability


def test_detectability_follows_trials_and_loses_with_depth(case):
    problem = from_evoked(case, loose=0)
    weakest = problem.to_detectability()
    evoked = case.evoked.copy()
    evoked.nave *= 4
    evoked.data /= 2  # as strong over its noise
    more = InverseProblem.from_evoked(evoked, case.forward, case.noise_cov, loose=0)
    assert_allclose(more.to_detectability().data, weakest.data / 2)
    assert (problem.to_detectability(power=0.99).data > weakest.data).all()
    norms = np.linalg.norm(problem.X / problem.source_scale, axis=0)
    assert_allclose(np.ptp(np.log(weakest.data[:, 0] * norms)), 0, atol=1e-6)
    # A problem of three orientations looks at the normals, but has more noise to beat.
    ratio = from_evoked(case, loose=0.2).to_detectability().data / weakest.data
    assert_allclose(ratio, ratio[0, 0])
    assert 1 < ratio[0, 0] < 2


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore:The model is empty", "ignore:The alpha chosen")
def test_sources_are_found_as_often_as_detectability_tells(case):
    problem = from_evoked(case, loose=0)
    rng = np.random.default_rng(0)
    course = np.sin(np.linspace(0, 3, len(problem.times)))
    positions = rng.choice(len(problem.locations), 16)
    found = {}
    for factor in (0.75, 1.0, 1.35):
        problem.y = np.outer(problem.X[:, 0], course)  # whose time course it takes
        weakest = problem.to_detectability().data[:, 0]
        hits = []
        for position in positions:
            amplitude = factor * weakest[position] / problem.source_scale[position]
            y = np.outer(problem.X[:, position], amplitude * course * problem.target_scale)
            y += rng.standard_normal(y.shape)
            active = np.flatnonzero(MixedNormIC(alphas=8).fit(problem.X, y).active_set_)
            gaps = problem.locations[active] - problem.locations[position]
            hits.append(np.linalg.norm(gaps, axis=1).min(initial=1.0) < 0.03)
        found[factor] = np.mean(hits)
    assert found[0.75] < 0.75
    assert 0.6 < found[1.0] < 0.97
    assert found[1.35] > 0.85


def test_detectability_of_a_model_has_its_time_course_and_noise(case):
    problem = from_evoked(case, loose=0)
    model = MixedNormIC().fit(problem.X, problem.y)
    of_model, of_data = problem.to_detectability(model), problem.to_detectability()
    ratio = of_model.data / of_data.data
    assert_allclose(ratio, ratio[0, 0])
    assert 0.5 < ratio[0, 0] < 2
    assert_array_equal(problem.to_detectability(mark(problem, [])).data, of_data.data)


# ------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        (dict(level=1.0), ValueError, "level must be in"),
        (dict(n_draws=3), ValueError, "at least 20"),
        (dict(model_error=-0.1), ValueError, "model_error must be in"),
    ],
)
def test_bad_parameters(case, options, error, match):
    for problem in (from_evoked(case), from_epochs(case)):
        with pytest.raises(error, match=match):
            problem.compute_confidence(mark(problem, [3]), **options)


def test_models_that_do_not_fit(case):
    problem = from_evoked(case, loose=0)
    with pytest.raises(ValueError, match="coefficients of shape"):
        problem.compute_confidence(np.zeros((3, 4)))
    with pytest.raises(ValueError, match=r"of 3 targets \(times\), but y has 77"):
        problem.compute_confidence(np.zeros((3, len(problem.locations))))
    with pytest.raises(ValueError, match=r"21 sources. With 3 features each.*larger alpha"):
        problem.compute_confidence(mark(problem, np.arange(21)))
    with pytest.raises(ValueError, match="no trials to leave out"):
        problem.compute_stability(MixedNormEstimator().fit(problem.X, problem.y))
    epochs = from_epochs(case, loose=0)
    with pytest.raises(TypeError, match="an estimator that can be fitted, got ndarray"):
        epochs.compute_stability(mark(epochs, [3]))
    for power in (0, 1):
        with pytest.raises(ValueError, match="power must be in"):
            problem.to_detectability(power=power)
    zero = case.evoked.copy()
    zero.data[:] = 0
    zero = InverseProblem.from_evoked(zero, case.forward, case.noise_cov)
    with pytest.raises(ValueError, match="The data are zero"):
        zero.to_detectability()
    assert len(zero.compute_confidence(mark(zero, [])).positions) == 0


def test_confidence_of_another_problem_or_model(case):
    problem = from_evoked(case, loose=0)
    confidence = problem.compute_confidence(mark(problem, [3]), n_draws=0)
    with pytest.raises(ValueError, match="has other sources than the model"):
        problem.to_data_frame(mark(problem, [4]), confidence=confidence)
    with pytest.raises(TypeError, match="what compute_confidence returns, got tuple"):
        problem.to_data_frame(mark(problem, [3]), confidence=(1, 2))
    X, y = np.random.default_rng(0).standard_normal((2, 20, 20))
    other = compute_confidence(np.eye(20)[[3]].repeat(20, 0), X, y, n_draws=0)
    with pytest.raises(ValueError, match="confidence has 20 positions"):
        problem.to_regions(other)


def test_problem_with_confidence_can_be_pickled(case):
    problem = from_epochs(case, loose=0)
    confidence = problem.compute_confidence(mark(problem, [3]))
    again = pickle.loads(pickle.dumps(problem)).compute_confidence(mark(problem, [3]))
    assert_array_equal(again.p_values, confidence.p_values)


@pytest.mark.parametrize("condition", ["Left Auditory", "Right Auditory"])
def test_auditory_cortex_is_sure(sample_problem, condition):
    """Of recorded averages of 3 and 6 trials: a source in the temporal lobe that is no noise."""
    recorded = sample_problem(condition)
    problem = InverseProblem.from_evoked(recorded.evoked, recorded.forward, recorded.noise_cov)
    model = MixedNormIC(n_orient=3).fit(problem.X, problem.y)
    confidence = problem.compute_confidence(model)
    table = problem.to_data_frame(model, confidence=confidence)
    surest = table.loc[table.p_value.idxmin()]
    assert surest.p_value < 0.01
    assert surest.hemisphere == "lh"
    assert -70 < surest.x_mm < -40
    assert surest.radius_mm < 60
    region = problem.locations[confidence.regions[confidence.p_values.argmin()]]
    assert np.linalg.norm(region - [-0.063, 0.005, 0.061], axis=1).min() < 0.015
