"""Levels of messages and warnings, where fits run in several threads."""

import logging
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_all_start_methods, get_context
from threading import Barrier, Event

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import MultiTaskLasso

from skmxne import InverseProblem, MixedNormEstimator, mixed_norm
from skmxne._logging import collect_warnings, quiet_mne, verbosity, warn


@pytest.fixture
def logger():
    """Return the package's logger, at a level that none of the tests sets."""
    logger = logging.getLogger("skmxne")
    before = logger.level
    logger.setLevel(7)
    yield logger
    logger.setLevel(before)


@pytest.mark.parametrize(
    ("verbose", "level"),
    [
        (None, 7),
        (True, logging.INFO),
        (False, logging.WARNING),
        (np.True_, logging.INFO),
        ("debug", logging.DEBUG),
        ("ERROR", logging.ERROR),
        (33, 33),
    ],
)
def test_level_is_set_for_a_while(logger, verbose, level):
    with verbosity(verbose):
        assert logger.level == level
    assert logger.level == 7


def test_level_is_restored_after_an_error(logger):
    with pytest.raises(RuntimeError, match="inside"), verbosity(True):
        raise RuntimeError("inside")
    with pytest.raises(ValueError, match="verbose"), verbosity("LOUD"):
        pass
    assert logger.level == 7


def test_level_comes_back_whichever_of_two_ends_first(logger):
    first, second = verbosity(True), verbosity("DEBUG")
    first.__enter__()
    second.__enter__()
    assert logger.level == logging.DEBUG
    first.__exit__(None, None, None)
    assert logger.level == logging.DEBUG
    second.__exit__(None, None, None)
    assert logger.level == 7


def test_two_that_ask_for_the_same_level_are_told_apart(logger):
    with verbosity(True):
        with verbosity(False):
            with verbosity(True):
                assert logger.level == logging.INFO
            assert logger.level == logging.WARNING
        assert logger.level == logging.INFO
    assert logger.level == 7


def test_level_of_mne_comes_back_whichever_of_two_ends_first():
    logger = logging.getLogger("mne")
    before = logger.level
    first, second = quiet_mne(), quiet_mne(logging.ERROR)
    first.__enter__()
    second.__enter__()
    assert logger.level == logging.ERROR
    first.__exit__(None, None, None)
    assert logger.level == logging.ERROR
    second.__exit__(None, None, None)
    assert logger.level == before


def test_warnings_are_collected_in_one_thread_only():
    """Filters stay as they are, and what other threads have to tell is not silenced."""
    with warnings.catch_warnings(record=True) as shown, ThreadPoolExecutor(1) as executor:
        warnings.simplefilter("always")
        before = list(warnings.filters)
        with collect_warnings() as collected:
            warn("of this", RuntimeWarning)
            executor.submit(warn, "of others").result()
            assert warnings.filters == before
        warn("afterwards")
    assert collected == [("of this", RuntimeWarning)]
    assert [str(each.message) for each in shown] == ["of others", "afterwards"]


@pytest.mark.skipif("fork" not in get_all_start_methods(), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_child_does_not_wait_for_a_thread_of_its_parent(make_problem, monkeypatch):
    """Which has scikit-learn fit, with a lock on the filters of warnings."""
    problem, fit, parent = make_problem(20, 30, n_targets=2), MultiTaskLasso.fit, os.getpid()
    is_in, may_leave = Event(), Event()

    def fit_slowly(*args):
        if os.getpid() == parent:
            is_in.set()
            may_leave.wait(20)
        return fit(*args)

    monkeypatch.setattr(MultiTaskLasso, "fit", fit_slowly)

    def use():
        with verbosity(True):
            MixedNormEstimator(50, solver="cd").fit(*problem)

    with ThreadPoolExecutor(1) as executor:
        executor.submit(use)
        is_in.wait(20)
        child = get_context("fork").Process(target=use)
        child.start()
        child.join(10)
        child.kill()
        may_leave.set()
    assert child.exitcode == 0


def test_fits_of_others_may_warn_while_scikit_learn_must_not(make_problem, monkeypatch):
    """Filters hold for all threads: only scikit-learn's own words are silenced."""
    problem, fit = make_problem(30, 60, n_targets=4, noise=1.0), MultiTaskLasso.fit

    def fit_while_another_warns(*args):
        warnings.warn("The duality gap reached is 1.", ConvergenceWarning, stacklevel=1)
        return fit(*args)

    monkeypatch.setattr(MultiTaskLasso, "fit", fit_while_another_warns)
    with pytest.warns(ConvergenceWarning) as record:
        MixedNormEstimator(5, solver="cd", maxit=1, tol=1e-9).fit(*problem)
    texts = [str(each.message) for each in record]
    assert texts[0] == "The duality gap reached is 1."
    assert not any("Objective did not converge" in text for text in texts)


def test_fits_in_threads_leave_level_and_filters_alone(make_problem, logger):
    problems = [make_problem(30, 60, n_targets=4, noise=1.0, random_state=k) for k in range(8)]

    def fit(k):
        options = dict(solver=("cd", "newton")[k % 2], verbose=(True, "ERROR", None)[k % 3])
        return MixedNormEstimator(5, **options).fit(*problems[k]).coef_

    before = list(warnings.filters)
    alone = [fit(k) for k in range(8)]
    with ThreadPoolExecutor(4) as executor:
        together = list(executor.map(fit, range(8)))
    assert all(map(np.array_equal, alone, together))
    assert warnings.filters == before
    assert logger.level == 7
    with pytest.warns(ConvergenceWarning):
        MixedNormEstimator(5, solver="cd", maxit=1, tol=1e-9).fit(*problems[0])


def test_every_call_of_mixed_norm_warns_for_itself(make_case):
    case, alphas = make_case("surface"), (5, 10, 20, 40)

    def localize(alpha):
        return mixed_norm(
            *(case.evoked, case.forward, case.noise_cov),
            *(alpha, 0),
            solver="cd",
            maxit=1,
            tol=1e-12,
            active_set_size=None,
        ).data

    def warn(run):
        with pytest.warns(ConvergenceWarning) as record:
            results = list(run(localize, alphas))
        assert {each.filename for each in record} == {__file__}
        return results, sorted(str(each.message) for each in record)

    alone, told = warn(map)
    assert len(told) == len(alphas)
    with ThreadPoolExecutor(4) as executor:
        together, told_together = warn(executor.map)
    assert told_together == told
    assert all(map(np.array_equal, alone, together))


def test_calls_of_mixed_norm_run_at_the_same_time(make_case, monkeypatch):
    """None waits until another has ended."""
    case, both = make_case("surface"), Barrier(2, timeout=20)
    from_evoked = InverseProblem.from_evoked

    def meet(*args, **options):
        both.wait()
        return from_evoked(*args, **options)

    monkeypatch.setattr(InverseProblem, "from_evoked", meet)

    def localize(alpha):
        return mixed_norm(case.evoked, case.forward, case.noise_cov, alpha, 0)

    with ThreadPoolExecutor(2) as executor:
        assert [len(stc.data) > 0 for stc in executor.map(localize, [60, 50])] == [True, True]


def test_filters_of_others_hold_while_mixed_norm_runs(make_case, monkeypatch):
    case, seen = make_case("surface"), []
    from_evoked = InverseProblem.from_evoked

    def look(*args, **options):
        seen.append(list(warnings.filters))
        return from_evoked(*args, **options)

    monkeypatch.setattr(InverseProblem, "from_evoked", look)
    mixed_norm(case.evoked, case.forward, case.noise_cov, 60, 0)
    assert seen == [list(warnings.filters)]
