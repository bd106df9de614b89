"""Progress of fits: what callbacks are told, and who sees a bar."""

import logging
import pickle
import subprocess
import sys
from importlib.util import find_spec

import pytest
from joblib import Parallel, delayed, parallel_config
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline

from skmxne import MixedNormCV, MixedNormEstimator, MixedNormIC, SourceWeighting
from skmxne import _progress as progress

ALPHAS = [80.0, 60.0, 40.0]
SELECTORS = {
    "MixedNormIC": (MixedNormIC(criterion="gcv", alphas=ALPHAS, n_mxne_iter=1), "alpha", 3),
    "MixedNormCV": (MixedNormCV(alphas=ALPHAS, cv=KFold(4)), "fold", 4),
}
selectors = pytest.mark.parametrize(
    ("model", "name", "n_tasks"), SELECTORS.values(), ids=list(SELECTORS)
)
callbacks = pytest.mark.skipif(
    find_spec("sklearn.callback") is None, reason="callbacks need scikit-learn 1.9"
)
# The grids are so coarse that the choice is at an edge.
pytestmark = pytest.mark.filterwarnings("ignore:The alpha chosen")


class Listener:
    """A callback that writes down what it is told."""

    max_propagation_depth = None

    def __init__(self):
        self.events = []

    def setup(self, estimator, context):
        self.events.append(("setup", context.task_name))

    def on_fit_task_begin(self, estimator, context):
        self.events.append(("begin", context.task_name))

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        predicts = fitted_estimator is not None and hasattr(fitted_estimator, "coef_")
        self.events.append(("end", context.task_name, predicts))

    def teardown(self, estimator, context):
        self.events.append(("teardown", context.task_name))


@pytest.fixture
def listener():
    return Listener()


@pytest.fixture
def bars(monkeypatch):
    """Pretend that somebody watches, and return the bars of tqdm that are made."""
    made = []

    class Bar:
        def __init__(self, **options):
            self.options, self.count, self.is_closed = options, 0, False
            made.append(self)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.is_closed = True

        def update(self):
            self.count += 1

    for module in "tqdm", "tqdm.auto":
        monkeypatch.setattr(f"{module}.tqdm", Bar)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    return made


def expect(name, n_tasks):
    """Return the events of a fit."""
    tasks = [("begin", name), ("end", name, False)] * n_tasks
    return [("setup", "fit"), ("begin", "fit"), *tasks, ("end", "fit", True), ("teardown", "fit")]


@callbacks
@selectors
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_callbacks_hear_of_every_task(make_problem, listener, model, name, n_tasks, n_jobs):
    model = clone(model)
    if "n_jobs" in model.get_params():
        model.set_params(n_jobs=n_jobs)
    model.set_callbacks(listener).fit(*make_problem(noise=1.0))
    assert listener.events == expect(name, n_tasks)


@callbacks
def test_callbacks_hear_of_a_fit_without_tasks(make_problem, listener):
    MixedNormEstimator().set_callbacks(listener).fit(*make_problem())
    assert listener.events == expect("", 0)


@callbacks
def test_callbacks_of_a_search_and_a_pipeline_reach_the_model(make_problem, listener):
    """A scikit-learn that cannot hand them on warns."""
    pipeline = make_pipeline(SourceWeighting(), SELECTORS["MixedNormIC"][0])
    search = GridSearchCV(pipeline, {"sourceweighting__depth": [0, 0.8]}, cv=KFold(2))
    search.set_callbacks(listener).fit(*make_problem(noise=1.0))
    n_fits = 5
    assert listener.events.count(("end", "alpha", False)) == n_fits * len(ALPHAS)
    assert listener.events.count(("setup", "fit")) == 1


@callbacks
def test_callbacks_are_told_of_the_end_of_a_fit_that_fails(make_problem, listener):
    X, y = make_problem()
    model = MixedNormCV(scoring=lambda *_: float("nan")).set_callbacks(listener)
    with pytest.raises(ValueError, match="not finite"):
        model.fit(X, y)
    assert listener.events[-1] == ("teardown", "fit")
    pickle.dumps(model.set_params(scoring=None))


@callbacks
def test_a_fit_leaves_nothing_of_its_report_behind(make_problem, listener):
    data = make_problem(noise=1.0)
    for model, _, _ in SELECTORS.values():
        silent, told = clone(model).fit(*data), clone(model).set_callbacks(listener).fit(*data)
        assert_array_equal(told.coef_, silent.coef_)
        assert set(vars(told)) - set(vars(silent)) == set(vars(clone(told))) - set(vars(silent))


@pytest.mark.parametrize("verbose", [True, "INFO", "debug", 20, None])
@selectors
def test_bar_counts_tasks_where_asked_for(
    make_problem, bars, caplog, model, name, n_tasks, verbose
):
    if verbose is None:
        caplog.set_level(logging.INFO, logger="skmxne")
    clone(model).set_params(verbose=verbose).fit(*make_problem(noise=1.0))
    (bar,) = bars
    assert bar.count == bar.options["total"] == n_tasks
    assert bar.options["unit"] == name
    assert bar.is_closed


@pytest.mark.parametrize("verbose", [None, False, "warning", 30])
@selectors
def test_no_bar_where_nobody_asks(make_problem, bars, model, name, n_tasks, verbose):
    clone(model).set_params(verbose=verbose).fit(*make_problem(noise=1.0))
    assert not bars


@selectors
def test_no_bar_where_nobody_watches(make_problem, bars, monkeypatch, model, name, n_tasks):
    model = clone(model).set_params(verbose=True)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    model.fit(*make_problem(noise=1.0))
    monkeypatch.setattr(sys, "stderr", None)  # as without a console
    model.fit(*make_problem(noise=1.0))
    assert not bars


def test_bar_in_a_notebook(make_problem, bars, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    monkeypatch.setitem(sys.modules, "ipykernel", pytest)
    clone(SELECTORS["MixedNormIC"][0]).set_params(verbose=True).fit(*make_problem(noise=1.0))
    assert len(bars) == 1


def test_bar_in_a_notebook_without_widgets_gives_no_warning():
    code = """
import sys
sys.modules["ipywidgets"] = None
import ipykernel.zmqshell
from skmxne import MixedNormIC
from skmxne.datasets import make_block_sparse_regression
X, y = make_block_sparse_regression(noise=1, random_state=0)
MixedNormIC(verbose=True).fit(X, y)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert "MixedNormIC: " in done.stderr
    assert "TqdmWarning" not in done.stderr


def test_no_bar_in_a_worker(make_problem, bars, monkeypatch, caplog):
    caplog.set_level(logging.INFO, logger="skmxne")  # for all threads
    model = SELECTORS["MixedNormIC"][0]
    data = make_problem(noise=1.0)
    with parallel_config(backend="threading", n_jobs=2):
        Parallel()(delayed(clone(model).fit)(*data) for _ in range(2))
    monkeypatch.setattr(progress, "parent_process", lambda: "another process")
    clone(model).fit(*data)
    assert not bars


def test_bar_is_closed_where_a_fit_fails(make_problem, bars):
    X, y = make_problem(noise=1.0)
    model = MixedNormCV(scoring=lambda *_: 1 / 0, verbose=True, cv=KFold(3))
    with pytest.raises(ZeroDivisionError):
        model.fit(X, y)
    (bar,) = bars
    assert bar.is_closed
    assert bar.count == 0


@pytest.mark.thorough
def test_fits_without_callbacks(make_problem):
    """They are there or not: the choice is the same."""
    code = """
import sys, sklearn.model_selection, sklearn.pipeline
sys.modules["sklearn.callback"] = None
sys.modules["ipykernel"] = sys  # so that a bar is asked for
from skmxne import MixedNormCV, MixedNormIC
from skmxne.datasets import make_block_sparse_regression
X, y = make_block_sparse_regression(noise=1, random_state=0)
for model in MixedNormCV(verbose=True), MixedNormIC(verbose=True):
    assert not hasattr(model, "set_callbacks")
    print(model.fit(X, y).alpha_)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    X, y = make_problem(noise=1)
    expected = [model.fit(X, y).alpha_ for model in (MixedNormCV(), MixedNormIC())]
    assert [float(line) for line in done.stdout.split()] == expected
