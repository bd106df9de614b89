"""One BLAS thread for the solvers, as many as before for everybody else."""

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_all_start_methods, get_context
from threading import Barrier

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from skmxne.solvers.threads import map_chunks, single_threaded_blas


def count_blas_threads():
    return {lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"}


def run_in_thread(function):
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(function).result()


def set_blas_threads(n_threads):
    threadpool_limits(n_threads, user_api="blas")
    # As of threadpoolctl 3.8 only the thread that set the number first may change that of OpenBLAS,
    # until it leaves a context.
    with threadpool_limits():
        pass
    assert count_blas_threads() == {n_threads}


@pytest.fixture(params=[1, 2])
def n_threads(request):
    """Let BLAS have this many threads."""
    (before,) = count_blas_threads()
    set_blas_threads(request.param)
    yield request.param
    set_blas_threads(before)


def test_blas_has_one_thread_inside_and_its_own_number_afterwards(n_threads):
    with single_threaded_blas():
        assert count_blas_threads() == {1}
        with single_threaded_blas():
            assert count_blas_threads() == {1}
        assert count_blas_threads() == {1}
    assert count_blas_threads() == {n_threads}


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_blas_gets_its_threads_back_after_an_error(n_threads, error):
    with pytest.raises(error), single_threaded_blas():
        raise error
    assert count_blas_threads() == {n_threads}


def test_blas_gets_its_threads_back_when_the_last_of_two_leaves(n_threads):
    both_inside, first_left = Barrier(2, timeout=10), Barrier(2, timeout=10)

    def enter(leaves_first):
        with single_threaded_blas():
            both_inside.wait()
            if not leaves_first:
                first_left.wait()
                inside = count_blas_threads()
        if leaves_first:
            inside = count_blas_threads()
            first_left.wait()
        return inside

    with ThreadPoolExecutor(2) as executor:
        assert list(executor.map(enter, [True, False])) == [{1}, {1}]
    assert count_blas_threads() == {n_threads}


def test_blas_has_one_thread_inside_whichever_thread_was_inside_before(n_threads):
    def count_inside():
        with single_threaded_blas():
            return count_blas_threads()

    assert count_inside() == {1}
    assert run_in_thread(count_inside) == {1}
    assert count_inside() == {1}
    assert count_blas_threads() == {n_threads}


def test_limit_of_a_user_is_restored(n_threads):
    """A thread that has set a limit keeps control of it, as of threadpoolctl 3.8."""
    limits = threadpool_limits(2, user_api="blas")
    try:
        with single_threaded_blas():
            assert count_blas_threads() == {1}
        assert count_blas_threads() == {2}
    finally:
        limits.restore_original_limits()
    assert count_blas_threads() == {n_threads}


@pytest.mark.parametrize("n_items", [0, 1, 6, 7])
def test_chunks_cover_every_item_once(n_threads, n_items):
    visits = np.zeros(n_items, dtype=int)

    def visit(chunk):
        assert chunk.stop - chunk.start <= 3
        visits[chunk] += 1

    with single_threaded_blas():
        map_chunks(visit, n_items, 3)
    assert (visits == 1).all()


def test_error_in_a_chunk_is_raised(n_threads):
    def fail(chunk):
        raise RuntimeError("chunk")

    with single_threaded_blas(), pytest.raises(RuntimeError, match="chunk"):
        map_chunks(fail, 10, 3)


def test_error_in_a_helper_is_raised(n_threads):
    here = threading.get_ident()

    def fail_elsewhere(chunk):
        if threading.get_ident() != here:
            raise RuntimeError("helper")
        time.sleep(0.01)

    with single_threaded_blas():
        if n_threads == 1:
            map_chunks(fail_elsewhere, 10, 1)
        else:
            with pytest.raises(RuntimeError, match="helper"):
                map_chunks(fail_elsewhere, 10, 1)


def test_chunks_in_chunks(n_threads):
    visits = np.zeros((8, 8), dtype=int)

    def visit_row(rows):
        def visit(columns):
            visits[rows, columns] += 1

        map_chunks(visit, 8, 1)

    with single_threaded_blas():
        map_chunks(visit_row, 8, 1)
    assert (visits == 1).all()


def test_without_threads_all_is_done_in_one(monkeypatch, n_threads):
    """As where the system has no more threads, or Python is about to end."""

    def fail(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    visits = np.zeros(8, dtype=int)

    def visit(chunk):
        visits[chunk] += 1

    with single_threaded_blas():
        map_chunks(visit, 8, 1)
    assert (visits == 1).all()
    assert count_blas_threads() == {n_threads}


# Fits in a thread that goes on after the main thread has ended, and at the end of Python.
LATE = """
import atexit, threading, time
import numpy as np
from skmxne import MixedNormEstimator

X = np.random.default_rng(0).standard_normal((20, 2000))

def fit(wait=0.0):
    time.sleep(wait)
    print(MixedNormEstimator(50).fit(X, X[:, :3]).n_active_)

threading.Thread(target=fit, args=[0.5]).start()
atexit.register(fit)
"""


def test_fits_when_python_is_about_to_end():
    done = subprocess.run(
        [sys.executable, "-c", LATE], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    assert done.stdout.split() == ["2", "2"]


def use_threads():
    with single_threaded_blas():
        map_chunks(lambda chunk: None, 10, 1)


@pytest.mark.skipif("fork" not in get_all_start_methods(), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_child_does_not_wait_for_the_threads_of_its_parent(n_threads):
    with single_threaded_blas():
        map_chunks(lambda chunk: None, 10, 1)
        child = get_context("fork").Process(target=use_threads)
        child.start()
        child.join(20)
        child.kill()
    assert child.exitcode == 0
