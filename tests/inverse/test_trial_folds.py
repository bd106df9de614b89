"""Folds of trials: which trials they average, and the problems made of them."""

import pickle
import tracemalloc

import mne
import numpy as np
import pytest
from mne.utils import check_version
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.model_selection import GridSearchCV, GroupKFold

from skmxne import InverseProblem, MixedNormCV, MixedNormEstimator
from skmxne.datasets import make_recording
from skmxne.inverse.trial_folds import average_folds

N_TRIALS, N_TIMES = 23, 11
LOADED = {"array": None, "loaded": True, "from the recording": False}


def mark_trials(conditions):
    """Make epochs in which every trial has a time of its own at which it is not zero."""
    n_trials = len(conditions)
    events = np.column_stack([np.arange(n_trials), np.zeros(n_trials, int), conditions])
    data = np.eye(n_trials)[:, np.newaxis]
    return mne.EpochsArray(data, mne.create_info(1, 100.0, "eeg"), events, verbose="ERROR")


def draw_conditions(n_trials):
    codes = [7, 2, 30, 4, 5, 6][: len(n_trials)]
    return np.random.default_rng(0).permutation(np.repeat(codes, n_trials))


def count_in_folds(conditions, n_folds):
    """Return the trials of each condition in each fold, after checking the averages."""
    average, folds = average_folds(mark_trials(conditions), n_folds)
    data = np.array([fold.data[0] for fold in folds])
    sizes = np.array([fold.nave for fold in folds])
    assert_array_equal((data > 0).sum(axis=0), 1)  # every trial is in one fold
    assert_array_equal((data > 0).sum(axis=1), sizes)
    assert_allclose(data.sum(axis=1), 1)
    assert_allclose(average.data[0], 1 / len(conditions))
    assert average.nave == len(conditions)
    assert np.ptp(sizes) <= 1
    return np.array([(data[:, conditions == c] > 0).sum(axis=1) for c in np.unique(conditions)])


@pytest.mark.parametrize("n_folds", [2, 5, 13])
def test_trials_of_one_condition_are_shared_out_at_random(n_folds):
    count_in_folds(np.ones(13, int), n_folds)
    _, folds = average_folds(mark_trials(np.ones(13, int)), 2)
    members = np.flatnonzero(folds[0].data[0])
    assert len(set(np.diff(members))) > 1
    _, again = average_folds(mark_trials(np.ones(13, int)), 2)
    assert_array_equal(np.flatnonzero(again[0].data[0]), members)


@pytest.mark.parametrize("n_trials", [[20, 15], [31, 7, 12], [5, 6]])
def test_folds_are_balanced_over_conditions(n_trials):
    counts = count_in_folds(draw_conditions(n_trials), 5)
    assert np.ptp(counts, axis=1).max() <= 1


@pytest.mark.parametrize("n_trials", [[20, 3], [2, 14, 1], [3, 2, 1], [1] * 6])
def test_conditions_of_few_trials_are_in_some_folds(n_trials):
    """Without a warning of scikit-learn."""
    counts = count_in_folds(draw_conditions(n_trials), 5)
    assert_array_equal(np.sort(counts.sum(axis=1)), np.sort(n_trials))


@pytest.fixture(scope="module")
def case(make_case):
    return make_case("surface")


@pytest.fixture(scope="module")
def recorded(case):
    """Return trials of two conditions in a recording, and the parameters of their epochs.

    The last trial is too large. An EOG channel is not to be used.
    """
    rng = np.random.default_rng(0)
    waves = 5e-9 * np.sin(np.arange(N_TIMES) + np.arange(2)[:, np.newaxis])
    field = case.forward["sol"]["data"][:, [20, 100]] @ waves
    mixing = np.linalg.cholesky(case.noise_cov.data)
    data = mixing @ rng.standard_normal((64, 20 * (N_TRIALS + 2)))
    onsets = 20 * np.arange(1, N_TRIALS + 2)
    for onset in onsets:
        data[:, onset : onset + N_TIMES] += field
    data[-1, onsets[-1] + 5] += 1e-3
    with mne.use_log_level("ERROR"):
        raw = case.project(mne.io.RawArray(data, case.info.copy()), apply=False)
        eog = mne.io.RawArray(1e-3 * np.sin(data[:1]), mne.create_info(["EOG"], 100.0, "eog"))
        raw.add_channels([eog], force_update_info=True)
    events = np.column_stack([onsets, 0 * onsets, rng.permutation(np.arange(len(onsets)) % 3 // 2)])
    return raw, dict(
        events=events,
        event_id={"left": 0, "right": 1},
        tmin=0,
        tmax=0.1,
        baseline=None,
        reject=dict(eeg=5e-4),
    )


@pytest.fixture(params=LOADED.values(), ids=LOADED)
def epochs(recorded, request):
    return make_epochs(recorded, request.param)


def make_epochs(recorded, preload=None, **changes):
    """Make epochs in memory or not, or (None) of an array."""
    raw, params = recorded
    with mne.use_log_level("ERROR"):
        epochs = mne.Epochs(raw, **(params | changes), preload=preload is not False)
        if preload is None:
            epochs = mne.EpochsArray(
                epochs.get_data(), epochs.info, epochs.events, event_id=epochs.event_id
            )
    return epochs


def from_epochs(case, epochs, **options):
    return InverseProblem.from_epochs(epochs, case.forward, case.noise_cov, **options)


def from_average(case, epochs, **options):
    average = epochs.copy().load_data().average()
    return InverseProblem.from_evoked(average, case.forward, case.noise_cov, **options)


@pytest.mark.parametrize("options", [{}, dict(loose=0, depth=None, rank=dict(meg=40, eeg=9))])
def test_problem_is_that_of_the_average(case, epochs, options):
    problem = from_epochs(case, epochs, **options)
    expected = from_average(case, epochs, **options)
    assert_array_equal(problem.X, expected.X)
    assert_array_equal(problem.y, expected.y)
    assert_array_equal(problem.target_scale, np.full(N_TIMES, np.sqrt(N_TRIALS)))
    assert_array_equal(problem.times, expected.times)
    assert problem.ch_names == expected.ch_names == case.info.ch_names
    assert repr(problem) == repr(expected)
    assert expected.y_folds is expected.fold_weights is None
    model = MixedNormEstimator(50, n_orient=problem.n_orient).fit(problem.X, problem.y)
    assert_array_equal(
        problem.to_source_estimate(model).data, expected.to_source_estimate(model).data
    )
    residual, its = problem.to_residual(model), expected.to_residual(model)
    assert_array_equal(residual.data, its.data)
    assert (residual.nave, residual.comment) == (its.nave, its.comment)


def test_folds_are_whitened_averages_of_their_trials(case, epochs):
    problem = from_epochs(case, epochs, n_folds=4)
    data = epochs.copy().load_data().get_data(picks=problem.ch_names)
    mean = np.einsum("k,kst->st", problem.fold_weights, problem.y_folds)
    assert_allclose(mean, problem.y, atol=1e-10 * np.abs(problem.y).max())
    assert_allclose(np.sort(problem.fold_weights * N_TRIALS), [5, 6, 6, 6])
    # The trials of a fold are those whose average it is: least squares tells.
    trials = (np.sqrt(N_TRIALS) * problem.whitener @ data).reshape(N_TRIALS, -1)
    shares = np.linalg.lstsq(trials.T, problem.y_folds.reshape(4, -1).T)[0].T
    members = shares > 0.1
    assert_array_equal(members.sum(axis=0), 1)
    assert_allclose(shares, members / members.sum(axis=1, keepdims=True), atol=1e-8)
    conditions = epochs.copy().load_data().events[:, 2]
    for condition in (0, 1):
        assert np.ptp(members[:, conditions == condition].sum(axis=1)) <= 1


def test_epochs_are_not_modified(case, recorded):
    epochs = make_epochs(recorded)
    before = pickle.dumps(epochs)
    from_epochs(case, epochs)
    assert pickle.dumps(epochs) == before
    epochs = make_epochs(recorded, preload=False)
    assert len(epochs.events) == N_TRIALS + 1
    before = repr(epochs), epochs.drop_log, epochs.events.copy()
    from_epochs(case, epochs)
    assert (repr(epochs), epochs.drop_log) == before[:2]
    assert_array_equal(epochs.events, before[2])
    assert not epochs.preload


def test_bad_epochs_may_have_been_dropped(case, recorded):
    dropped = make_epochs(recorded, preload=False)
    dropped.drop_bad()
    expected = from_epochs(case, make_epochs(recorded, preload=False))
    assert_array_equal(from_epochs(case, dropped).y_folds, expected.y_folds)


# Before, MNE itself copies all trials to select some.
IN_MEMORY = pytest.param(
    None, marks=pytest.mark.skipif(not check_version("mne", "1.13"), reason="needs MNE 1.13")
)


@pytest.mark.parametrize("preload", [IN_MEMORY, False])
def test_epochs_are_not_copied_as_a_whole(recorded, preload):
    raw, params = recorded
    n_times = 2000
    raw = mne.io.RawArray(np.zeros((65, 25 * n_times)), raw.info, verbose="ERROR")
    events = params["events"] * [n_times // 20, 1, 1]
    epochs = make_epochs((raw, params), preload, events=events, tmax=(n_times - 1) / 100)
    average_folds(epochs, 8)
    tracemalloc.start()
    average_folds(epochs, 8)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    average = 65 * n_times * 8
    # The averages, and a fold; or a few trials while they are read.
    assert peak < (9 + 8) * average < (N_TRIALS + 1) * average


def test_bad_channels_are_left_out(case, recorded):
    epochs = make_epochs(recorded).copy()
    epochs.info["bads"] = ["MEG 0031"]
    epochs.get_data(copy=False)[:, epochs.ch_names.index("MEG 0031")] = np.nan
    problem = from_epochs(case, epochs)
    assert problem.ch_names == [name for name in case.info.ch_names if name != "MEG 0031"]
    assert np.isfinite(problem.y_folds).all()


# ---------------------------------------------------------------------------- stacked rows


@pytest.fixture(scope="module", params=[0, 0.2], ids=["fixed", "loose"])
def problem(case, recorded, request):
    return from_epochs(case, make_epochs(recorded), loose=request.param)


def test_rows_of_folds_are_scaled_and_stacked(problem):
    X, y, groups = problem.to_folds()
    rank, n_features = problem.X.shape
    assert X.shape == (5 * rank, n_features)
    assert y.shape == (5 * rank, N_TIMES)
    assert groups.dtype.kind == "i"
    assert_array_equal(groups, np.arange(5).repeat(rank))
    for k, share in enumerate(problem.fold_weights):
        assert_allclose(X[groups == k], np.sqrt(share) * problem.X)
        assert_allclose(y[groups == k], np.sqrt(share) * problem.y_folds[k])
    gram = problem.X.T @ problem.X
    assert_allclose(X.T @ X, gram, atol=1e-12 * gram.max())
    correlation = problem.X.T @ problem.y
    assert_allclose(X.T @ y, correlation, atol=1e-12 * np.abs(correlation).max())


@pytest.mark.parametrize("n_mxne_iter", [1, 5])
def test_model_of_all_rows_is_that_of_the_average(problem, n_mxne_iter):
    X, y, _ = problem.to_folds()
    model = MixedNormEstimator(30, n_orient=problem.n_orient, n_mxne_iter=n_mxne_iter, tol=1e-12)
    stacked = model.fit(X, y).coef_
    n_active, alpha_max = model.n_active_, model.alpha_max_
    average = model.fit(problem.X, problem.y).coef_
    assert 0 < n_active == model.n_active_
    assert alpha_max == pytest.approx(model.alpha_max_)
    assert_allclose(stacked, average, atol=1e-5 * np.abs(average).max())


def test_noise_of_all_rows_has_variance_1(case):
    """Whatever the number of trials in a fold."""
    rng = np.random.default_rng(0)
    noise = np.linalg.cholesky(case.noise_cov.data) @ rng.standard_normal((11, 64, 500))
    with mne.use_log_level("ERROR"):
        epochs = case.project(mne.EpochsArray(noise, case.info.copy()))
    _, y, groups = from_epochs(case, epochs, n_folds=4).to_folds()
    assert_allclose([y[groups == k].var() for k in range(4)], 1, rtol=0.03)


def test_search_over_trials_and_cross_validation_make_the_same_choice(problem):
    X, y, groups = problem.to_folds()
    alphas = [80, 60, 40, 30, 20, 10]
    params = dict(n_orient=problem.n_orient, tol=1e-10)
    search = GridSearchCV(
        MixedNormEstimator(**params),
        {"alpha": alphas},
        cv=GroupKFold(5),
        scoring="neg_mean_squared_error",
    ).fit(X, y, groups=groups)
    model = MixedNormCV(alphas=alphas, **params)
    model.fit(problem.X, problem.y, y_folds=problem.y_folds, fold_weights=problem.fold_weights)
    assert model.alpha_ == search.best_params_["alpha"]
    errors = search.cv_results_["mean_test_score"]
    assert_allclose(model.mse_path_.mean(axis=1), -errors, rtol=1e-5)
    stc, expected = map(problem.to_source_estimate, (search, model))
    assert len(stc.data) > 0
    assert_array_equal(np.concatenate(stc.vertices), np.concatenate(expected.vertices))
    assert_allclose(stc.data, expected.data, rtol=1e-3, atol=1e-4 * stc.data.max())


def test_sources_of_a_simulated_recording_are_found(recording):
    problem = InverseProblem.from_epochs(
        recording.epochs.copy().crop(0.05, 0.3), recording.forward, recording.noise_cov, loose=0
    )
    model = MixedNormCV(n_mxne_iter=10)
    model.fit(problem.X, problem.y, y_folds=problem.y_folds, fold_weights=problem.fold_weights)
    found = problem.to_source_estimate(model)
    for vertices, true in zip(found.vertices, recording.stc.vertices, strict=True):
        assert_array_equal(vertices, true)
    # Noise has variance 1.
    assert model.mse_path_.mean(axis=1).min() == pytest.approx(1.0, abs=0.15)


# -------------------------------------------------------------------------------- bad input


def spoil(epochs, value):
    epochs = epochs.copy()
    epochs.get_data(copy=False)[3, 2, 1] = value
    epochs.get_data(copy=False)[4, 2, 1] = -value
    return epochs


@pytest.mark.parametrize(
    ("change", "options", "error", "match"),
    [
        (lambda e: [e, e], {}, TypeError, "epochs must be an inst.*got list. Join.*concatenate_ep"),
        (lambda e: e.average(), {}, TypeError, "got EvokedArray.*for averages use .*from_evoked"),
        (lambda e: e.get_data(), {}, TypeError, "epochs must be an instance of mne.*, got ndarr"),
        (lambda e: e[:4], {}, ValueError, "epochs has 4 good trials, fewer than n_folds=5. Lower"),
        (lambda e: e, dict(n_folds=24), ValueError, "epochs has 23 good trials, fewer than n_fol"),
        (lambda e: e, dict(n_folds=1), ValueError, "n_folds must be at least 2, got 1"),
        (lambda e: e, dict(n_folds=2.0), TypeError, "n_folds must be an integer, got 2.0"),
        (lambda e: e, dict(n_folds=True), TypeError, "n_folds must be an integer, got True"),
        (lambda e: spoil(e, np.nan), {}, ValueError, "epochs has infinite or NaN data in MEG 0003"),
        (lambda e: spoil(e, np.inf), {}, ValueError, "epochs has infinite or NaN data in MEG 0003"),
        (
            lambda e: e.copy().pick("eog"),
            {},
            ValueError,
            "epochs has no MEG or EEG channel, only 1 e",
        ),
        (lambda e: e, dict(loose=2), ValueError, "loose must be 'auto' or a number from 0 to 1"),
    ],
)
def test_what_makes_no_folds_is_refused(case, recorded, change, options, error, match):
    with pytest.raises(error, match=match):
        from_epochs(case, change(make_epochs(recorded)), **options)


def test_channels_left_out_are_named(case, recorded):
    epochs = make_epochs(recorded).pick(case.info.ch_names[1:])
    with pytest.warns(RuntimeWarning, match=r"left out: 1 not in the data \(MEG 0001\)") as record:
        from_epochs(case, epochs)
    assert [warning.filename for warning in record] == [__file__]


def test_average_has_no_folds(case):
    problem = InverseProblem.from_evoked(case.evoked, case.forward, case.noise_cov)
    with pytest.raises(ValueError, match=r"no folds: make the problem with .*\.from_epochs"):
        problem.to_folds()


def test_trials_tell_the_covariance_of_the_noise_across_times(case):
    recording = make_recording(autocorrelation=0.8)
    epochs = recording.epochs.copy().crop(0.1, 0.3)
    problem = from_epochs(recording, epochs)
    noise = epochs.get_data()
    noise = problem.whitener @ (noise - noise.mean(axis=0))
    expected = np.einsum("eit,eis->ts", noise, noise) / (len(noise) - 1) / len(problem.X)
    covariance = problem.target_covariance
    assert_allclose(covariance, covariance.T)
    assert np.trace(covariance) == pytest.approx(np.trace(expected), rel=0.1)
    # Differences of five averages tell less than those of 60 trials, but the same in the mean.
    assert np.linalg.norm(covariance - expected) < 0.25 * np.linalg.norm(expected)
    assert from_average(recording, epochs).target_covariance is None


def test_says_one_line(case, recorded, caplog):
    with caplog.at_level("INFO", logger="skmxne"):
        problem = from_epochs(case, make_epochs(recorded))
    assert caplog.messages == [repr(problem)]
