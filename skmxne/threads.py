"""Threads: BLAS on one, large products cut into fixed chunks for all of them.

The factorizations of the solvers are small, and a multi-threaded BLAS loses far more on them than
it gains. Products with the whole of ``X`` are large: they are cut into chunks that do not depend
on the number of threads, so neither does the result.
"""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from threadpoolctl import ThreadpoolController


class _BlasKeeper:
    """Keep BLAS at one thread while anybody is inside, whichever threads come and go.

    Most BLAS libraries have one limit for the process, which the first to enter must set and the
    last to leave must restore. A thread of its own does both, since threadpoolctl lets only the
    thread that has set a limit change it.
    """

    def __init__(self):
        self.n_threads = 1
        self._lock = threading.Lock()
        self._n_inside = 0
        self._controller = None
        self._executor = None

    def enter(self):
        with self._lock:
            if self._controller is None:
                self._controller = ThreadpoolController().select(user_api="blas")
            if self._n_inside == 0:
                libraries = self._controller.lib_controllers
                self.n_threads = max((lib.num_threads for lib in libraries), default=1)
                self._limited, self._left = threading.Event(), threading.Event()
                self._thread = threading.Thread(target=self._keep, daemon=True)
                self._thread.start()
                self._limited.wait()
            self._n_inside += 1

    def leave(self):
        with self._lock:
            self._n_inside -= 1
            if self._n_inside == 0:
                if self._executor is not None:
                    self._executor.shutdown()
                    self._executor = None
                self._left.set()
                self._thread.join()
                self.n_threads = 1

    def limit(self):
        """Limit the libraries that have a limit for each thread, in this thread."""
        return self._controller.limit(limits=1)

    def map(self, function, items):
        """Call a function for all items, on as many threads as BLAS had."""
        with self._lock:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(self.n_threads, initializer=self.limit)
        list(self._executor.map(function, items))

    def _keep(self):
        try:
            with self.limit():
                self._limited.set()
                self._left.wait()
        finally:
            self._limited.set()


_keeper = _BlasKeeper()
if hasattr(os, "register_at_fork"):
    # The threads of the parent, and whoever holds its lock, are not there in a child.
    os.register_at_fork(after_in_child=_keeper.__init__)


@contextmanager
def single_threaded_blas():
    """Limit BLAS to one thread; the number allowed before is left to `map_chunks`."""
    _keeper.enter()
    try:
        with _keeper.limit():
            yield
    finally:
        _keeper.leave()


def map_chunks(function, n_items, chunk_size):
    """Call ``function(slice)`` for consecutive chunks of ``range(n_items)``, on all threads.

    To be called inside `single_threaded_blas`; outside of it the chunks come one after the other.

    Parameters
    ----------
    function : callable
        Takes a slice; writes its result itself.
    n_items : int
        Number of items to cut.
    chunk_size : int
        Items in a chunk.
    """
    chunks = [slice(i, min(i + chunk_size, n_items)) for i in range(0, n_items, chunk_size)]
    if min(_keeper.n_threads, len(chunks)) > 1:
        _keeper.map(function, chunks)
    else:
        for chunk in chunks:
            function(chunk)
