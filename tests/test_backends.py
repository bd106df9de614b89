"""Fits in other threads, processes and machines: the same results, the features sent once."""

import os
import re
import subprocess
import sys
from functools import partial
from operator import attrgetter
from pathlib import Path
from textwrap import dedent

import dask
import numpy as np
import pytest
from dask.distributed import Client, LocalCluster
from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky import get_reusable_executor
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold

from skmxne import MixedNormCV, MixedNormEstimator

ROOT = Path(__file__).parents[1]
ALPHAS = [80.0, 60.0, 40.0, 20.0, 10.0]
MODELS = {
    "MixedNormCV": MixedNormCV(n_orient=3, alphas=ALPHAS),
    "GridSearchCV": GridSearchCV(
        MixedNormEstimator(n_orient=3),
        {"alpha": ALPHAS},
        cv=KFold(5, shuffle=True, random_state=0),
        scoring="neg_mean_squared_error",
    ),
}

# Multiprocessing forks where it can; a child does nothing but fit.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
models = pytest.mark.parametrize(
    "model",
    [
        pytest.param(MODELS["MixedNormCV"], id="MixedNormCV"),
        pytest.param(MODELS["GridSearchCV"], id="GridSearchCV", marks=pytest.mark.thorough),
    ],
)


@pytest.fixture(scope="module")
def data(make_problem):
    """Return X, of about a megabyte, and y."""
    return make_problem(60, 700, n_orient=3, n_active=3, n_targets=5, noise=1.0)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """Return a client of a Dask cluster, two processes of this machine."""
    # Every two seconds Dask would drop copies that no running task needs, and send them again.
    keep = {"distributed.scheduler.active-memory-manager.start": False}
    with (
        dask.config.set(keep),
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address=":0",
            local_directory=tmp_path_factory.mktemp("dask"),
        ) as cluster,
        Client(cluster, timeout=120) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def run_on(request):
    """Return a context in which joblib works with a backend, on two workers."""

    def run_on(backend):
        if backend == "dask":
            request.getfixturevalue("client")
            return parallel_config(backend="dask")
        # Arrays of more than a kilobyte reach other processes as files.
        memory = {} if backend == "threading" else {"max_nbytes": 1000}
        return parallel_config(backend=backend, n_jobs=2, **memory)

    yield run_on
    get_reusable_executor().shutdown()


@pytest.fixture
def count_received(client):
    """Return a function that tells the bytes each worker has received since it was last called.

    They are counted where they leave the sockets, so that nothing is missed, whoever sends it.
    """

    # Functions in functions go to the workers by value: they cannot import this file.
    def start():
        from tornado.iostream import IOStream

        read = IOStream.read_from_fd

        def read_and_count(stream, buffer):
            n_bytes = read(stream, buffer)
            IOStream.n_received += n_bytes or 0
            return n_bytes

        IOStream.n_received, IOStream.read_from_fd, IOStream.read_before = 0, read_and_count, read

    def count():
        from tornado.iostream import IOStream

        n_received, IOStream.n_received = IOStream.n_received, 0
        return n_received

    def stop():
        from tornado.iostream import IOStream

        IOStream.read_from_fd = IOStream.read_before

    client.run(start)
    yield lambda: np.array(list(client.run(count).values()))
    client.run(stop)


def assert_same_fit(model, expected):
    """Compare what was chosen, and by which scores."""
    if isinstance(model, GridSearchCV):
        assert model.best_params_ == expected.best_params_
        # Scored by scikit-learn, with as many threads of BLAS as there are.
        for key in ("mean_test_score", "std_test_score"):
            assert_allclose(model.cv_results_[key], expected.cv_results_[key], rtol=1e-10)
        model, expected = model.best_estimator_, expected.best_estimator_
    else:
        assert model.alpha_ == expected.alpha_
        assert_array_equal(model.mse_path_, expected.mse_path_)
    assert_array_equal(model.coef_, expected.coef_)


@pytest.mark.parametrize("backend", ["multiprocessing", "loky"])
def test_processes_share_read_only_memory(data, run_on, backend):
    """What the next test needs to be one of memory that cannot be written to."""
    with run_on(backend):
        (seen,) = Parallel()([delayed(attrgetter("mode", "flags.writeable"))(data[0])])
    assert seen == ("r", False)


@pytest.mark.usual(memory=["in memory"])
@pytest.mark.parametrize("memory", ["in memory", "on disk"])
@models
@pytest.mark.parametrize("backend", ["threading", "multiprocessing", "loky", "dask"])
def test_result_is_that_of_one_process(data, tmp_path, run_on, backend, model, memory):
    X, y = data
    expected = clone(model).fit(X, y)
    if memory == "on disk":
        np.save(tmp_path / "X.npy", X)
        X = np.load(tmp_path / "X.npy", mmap_mode="r")
    with run_on(backend):
        fitted = clone(model).fit(X, y)
    assert_same_fit(fitted, expected)


@pytest.mark.filterwarnings("ignore:The alpha chosen")
@pytest.mark.parametrize("backend", ["loky", "dask"])
def test_folds_are_fitted_in_other_processes(data, run_on, backend):
    """Though threads would do, and are taken where nothing is asked for."""
    model = MixedNormCV(n_orient=3, alphas=ALPHAS, scoring=lambda *_: os.getpid())
    assert_array_equal(clone(model).fit(*data).score_path_, os.getpid())
    with run_on(backend):
        model.fit(*data)
    assert os.getpid() not in model.score_path_


@models
def test_features_are_sent_once_to_a_worker(data, run_on, count_received, model):
    X, y = data
    count_received()
    with run_on("dask"):
        clone(model).fit(X, y)
    n_received = count_received() / X.nbytes
    assert 1.0 < n_received.max() < 1.5


def test_sending_with_every_task_is_counted(data, run_on, count_received):
    """What the test before this one would see if the features hid in something else."""
    X, _ = data
    count_received()
    with run_on("dask"):
        Parallel()(delayed(partial(np.max, X, axis=k))() for k in (0, 1) * 3)
    assert count_received().sum() > 5 * X.nbytes


@pytest.mark.thorough
def test_folds_of_many_subjects(make_problem, run_on):
    """Tasks that have tasks of their own do not wait for each other."""

    def fit(k):
        X, y = make_problem(n_orient=3, n_active=3, noise=1.0, random_state=k)
        return MixedNormCV(n_orient=3, alphas=ALPHAS).fit(X, y)

    with run_on("dask"):
        fitted = Parallel()(delayed(fit)(k) for k in range(4))
    for k, model in enumerate(fitted):
        assert_same_fit(model, fit(k))


def test_error_in_a_fold_is_raised(data, run_on):
    weight = np.r_[np.zeros(12), np.ones(48)]
    model = MixedNormCV(n_orient=3, cv=KFold(5))
    with run_on("dask"), pytest.raises(ValueError, match="sample_weight is zero throughout a fold"):
        model.fit(*data, sample_weight=weight)


@pytest.mark.usual(n_threads=[2])
@pytest.mark.parametrize("backend", ["loky", "dask"])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_blas_of_a_worker_has_one_thread_while_it_solves(run_on, backend, n_threads):
    def count_threads():
        import scipy.linalg  # noqa: F401  (so that its BLAS is there)
        from threadpoolctl import threadpool_info, threadpool_limits

        from skmxne.solvers.threads import single_threaded_blas

        def count():
            return {lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"}

        with threadpool_limits(n_threads, user_api="blas"):
            before = count()
            with single_threaded_blas():
                inside = count()
            return before, inside, count()

    with run_on(backend):
        for before, inside, after in Parallel()(delayed(count_threads)() for _ in range(4)):
            assert (before, inside, after) == ({n_threads}, {1}, {n_threads})


def test_code_of_the_docs_on_more_than_one_machine(data, client):
    X, y = data
    page = (ROOT / "docs" / "from_sklearn.rst").read_text("utf-8")
    section = page.partition("On more than one machine\n")[2]
    code = dedent(re.search(r".. code-block:: python\n(.*?)\nThe address", section, re.DOTALL)[1])
    address = "tcp://scheduler:8786"
    assert address in code
    names = {"MixedNormCV": MixedNormCV, "X": X, "y": y}
    exec(code.replace(address, client.scheduler.address), names)
    assert_same_fit(names["model"], MixedNormCV(n_orient=3).fit(X, y))


@pytest.mark.thorough
def test_example_of_many_subjects(tmp_path):
    script = ROOT / "examples" / "recordings" / "plot_many_subjects.py"
    done = subprocess.run(
        [sys.executable, "-W", "error", script, "--output", tmp_path],
        env=os.environ | {"MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()[1:-1]]
    assert [row[0] for row in rows] == list("012345")
    for _, _, _, n_true, n_found, *distances, _ in rows:
        assert n_found == n_true == str(len(distances))
        assert max(int(distance.strip(",")) for distance in distances) < 10
    assert (tmp_path / "subjects.png").stat().st_size > 0
