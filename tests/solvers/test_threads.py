"""One BLAS thread for the solvers, as many as before for everybody else."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from multiprocessing import get_all_start_methods, get_context
from threading import Barrier, Event

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from skmxne.solvers import threads
from skmxne.solvers.threads import _BlasKeeper, _Visit, map_chunks, single_threaded_blas


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


def test_blas_gets_its_threads_back_after_an_error(n_threads):
    with pytest.raises(RuntimeError, match="inside"), single_threaded_blas():
        raise RuntimeError("inside")
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

    monkeypatch.setattr(threads, "_keeper", _BlasKeeper())
    monkeypatch.setattr(threading.Thread, "start", fail)
    visits = np.zeros(8, dtype=int)

    def visit(chunk):
        visits[chunk] += 1

    with single_threaded_blas():
        map_chunks(visit, 8, 1)
    assert (visits == 1).all()
    assert count_blas_threads() == {n_threads}


def test_error_of_a_library_is_told(monkeypatch, n_threads):
    keeper = _BlasKeeper()
    monkeypatch.setattr(threads, "_keeper", keeper)
    monkeypatch.setattr(keeper, "_count_threads", lambda: 1 / 0)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), single_threaded_blas():
            pass
    monkeypatch.undo()
    assert count_blas_threads() == {n_threads}


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


@pytest.mark.skipif("fork" not in get_all_start_methods(), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("of_visit", [True, False])
def test_child_gets_the_threads_of_blas_back_unless_it_works_for_a_visit(n_threads, of_visit):
    context = get_context("fork")
    queue, is_in, may_leave = context.SimpleQueue(), Event(), Event()

    def visit():
        with single_threaded_blas():
            is_in.set()
            may_leave.wait(20)

    def count():
        counted = [count_blas_threads()]
        with single_threaded_blas():
            counted.append(count_blas_threads())
        queue.put([*counted, count_blas_threads()])

    with ThreadPoolExecutor(1) as executor:
        executor.submit(visit)
        is_in.wait(20)
        child = context.Process(target=count)
        with single_threaded_blas() if of_visit else nullcontext():
            child.start()
        child.join(20)
        child.kill()
        may_leave.set()
    assert child.exitcode == 0
    expected = 1 if of_visit else n_threads
    assert queue.get() == [{expected}, {1}, {expected}]
    assert count_blas_threads() == {n_threads}


def test_visit_that_never_left_is_forgotten(monkeypatch, n_threads):
    """As after an exception (Ctrl-C) in the first line of what should have left."""
    keeper = _BlasKeeper()
    monkeypatch.setattr(threads, "_keeper", keeper)
    keeper.tell(_Visit(), True)
    with single_threaded_blas():
        assert count_blas_threads() == {1}
    assert count_blas_threads() == {n_threads}


# Interrupted at random times. Prints how often, the numbers of BLAS threads in the end, and the
# level of messages.
INTERRUPTED = """
import logging, random, signal, sys, time
from threading import Thread
import numpy, scipy.linalg
from threadpoolctl import threadpool_info
from skmxne._logging import collect_warnings, verbosity
from skmxne.solvers.threads import map_chunks, single_threaded_blas

def use_threads():
    with single_threaded_blas():
        map_chunks(lambda chunk: None, 10, 1)

# That of Python has a lock that Ctrl-C can leave locked.
logging.Logger.setLevel = lambda logger, level: setattr(logger, "level", level)

def use_messages():
    with verbosity(True), collect_warnings():
        pass

use = {"threads": use_threads, "messages": use_messages}[sys.argv[1]]
if sys.argv[2] == "later":
    use()
signal.signal(signal.SIGALRM, signal.default_int_handler)
n_interrupts, deadline = 0, time.monotonic() + 2.0
while n_interrupts < 500 and time.monotonic() < deadline:
    try:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, 1e-3))
        while True:
            use()
    except KeyboardInterrupt:
        n_interrupts += 1
signal.setitimer(signal.ITIMER_REAL, 0)
use()
other = Thread(target=use, daemon=True)
other.start()
other.join(10)
numbers = {lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"}
print(n_interrupts, int(other.is_alive()), logging.getLogger("skmxne").level, *numbers)
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers")
@pytest.mark.parametrize("since", ["first", "later"])
@pytest.mark.parametrize("what", ["threads", "messages"])
def test_all_is_as_before_after_interrupts_at_any_time(n_threads, what, since):
    """Ctrl-C wherever it comes: while BLAS is limited, given back, or in use; in locks.

    In a process of its own, since whoever traces this one (coverage) can be interrupted, too.
    """
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {name: value for name, value in os.environ.items() if "COV" not in name}
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, what, since],
        env=environment | dict.fromkeys(names, str(n_threads)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    n_interrupts, is_other_stuck, level, number = map(int, done.stdout.split())
    assert n_interrupts > 20
    assert not is_other_stuck
    assert level == 0
    assert number == n_threads
