"""The noise level: a warning where it must be wrong, a remark where it may be right."""

import re
import warnings

import numpy as np
import pytest

from skmxne import InverseProblem, MixedNormIC

RATIO = r"The residual has (\S+) times the power that the noise level predicts"


def draw_smooth_noise(n_samples, n_targets, seed, smoothness=0.97):
    """Return noise of variance 1 that is correlated across targets, as low-passed recordings."""
    lags = np.abs(np.subtract.outer(np.arange(n_targets), np.arange(n_targets)))
    noise = np.random.default_rng(seed).standard_normal((n_samples, n_targets))
    return noise @ np.linalg.cholesky(smoothness**lags).T


def fit(X, y, criterion="ric"):
    """Return the model, and its warnings but for that of an empty model."""
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        model = MixedNormIC(criterion=criterion).fit(X, y)
    texts = [str(warning.message) for warning in record]
    return model, [text for text in texts if not text.startswith("The model is empty")]


@pytest.mark.parametrize("seed", range(3))
def test_noise_that_drifts_is_a_remark(make_problem, seed):
    X, signal = make_problem(60, 200, n_targets=40, n_active=2, noise=0.0)
    model, told = fit(X, 3 * signal + np.sqrt(2.5) * draw_smooth_noise(60, 40, seed))
    assert told == []
    assert 1.5 < float(re.match(RATIO, model.remarks_[0])[1]) < 4


@pytest.mark.parametrize("criterion", ["ric", "sure", "bic"])
@pytest.mark.parametrize("power", [0.1, 10.0])
def test_level_that_is_wrong_by_a_factor_is_a_warning(make_problem, power, criterion):
    X, signal = make_problem(60, 200, n_targets=40, n_active=2, noise=0.0)
    y = 10 * signal + np.sqrt(power) * draw_smooth_noise(60, 40, 0)
    model, (told,) = fit(X, y, criterion)
    assert power / 2 < float(re.match(RATIO, told)[1]) < 2 * power
    assert "check the noise level" in told.lower()
    assert model.remarks_ == []


def test_right_level_needs_no_words(make_problem):
    X, signal = make_problem(60, 200, n_targets=40, n_active=2, noise=0.0)
    model, told = fit(X, 10 * signal + draw_smooth_noise(60, 40, 0))
    assert (told, model.remarks_) == ([], [])
    assert "Remarks" not in model._repr_html_()


def test_remarks_say_how_many_positions_would_be_left_and_are_in_the_summary(make_problem):
    X, signal = make_problem(60, 200, n_targets=40, n_active=2, noise=0.0)
    for seed in range(20):
        noise = draw_smooth_noise(60, 40, seed)
        model, _ = fit(X, 3 * signal + 2 * noise)
        remarks = " ".join(model.remarks_)
        match = re.search(r"finds only (\d+) instead of (\d+)\.", remarks)
        if match:
            assert int(match[1]) < int(match[2]) == model.n_active_
            assert f"<td>{remarks}</td>" in model._repr_html_()
            return
    pytest.fail("no remark on the number of positions")


@pytest.mark.parametrize("window", [(0.05, 0.15), (0.0, 0.3)])
@pytest.mark.parametrize("loose", [0, 0.2])
def test_good_recordings_do_not_warn(sample_problem, window, loose):
    """With the covariance that belongs to them."""
    ratios = []
    for condition in ("Left Auditory", "Right Auditory"):
        recording = sample_problem(condition, tmin=None, tmax=None)
        problem = InverseProblem.from_evoked(
            *(recording.evoked, recording.forward, recording.noise_cov),
            loose=loose,
            tmin=window[0],
            tmax=window[1],
        )
        model = MixedNormIC(n_orient=problem.n_orient).fit(problem.X, problem.y)
        assert model.n_active_ > 0
        ratios += re.findall(RATIO, " ".join(model.remarks_))
    assert all(1 < float(ratio) < 4 for ratio in ratios)


@pytest.mark.parametrize("factor", [0.1, 10])
def test_wrong_number_of_trials_of_a_recording_is_a_warning(sample_problem, factor):
    recording = sample_problem()
    recording.evoked.nave *= factor
    problem = InverseProblem.from_evoked(
        recording.evoked, recording.forward, recording.noise_cov, loose=0
    )
    with pytest.warns(UserWarning, match=RATIO + r".* the number of trials"):
        MixedNormIC().fit(problem.X, problem.y)
