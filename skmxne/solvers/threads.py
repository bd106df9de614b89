"""Threads: BLAS on one, large products cut into fixed chunks for all of them.

The factorizations of the solvers are small, and a multi-threaded BLAS loses far more on them than
it gains. Products with the whole of ``X`` are large: they are cut into chunks that do not depend
on the number of threads, so neither does the result.
"""

import os
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, nullcontext
from functools import cache
from threading import Lock, local

from threadpoolctl import ThreadpoolController


class _SharedLimit:
    """The limit of BLAS to one thread: the first fit to begin sets it, the last to end lifts it.

    A thread of its own does both, since threadpoolctl lets only the thread that has set a limit
    lift it.
    """

    def __init__(self):
        self.lock = Lock()
        self.n_fits = 0
        self.n_threads = 1  # of BLAS, without the limit
        self.limit = None
        self.keeper = ThreadPoolExecutor(1, "skmxne-blas")
        self.executor = ThreadPoolExecutor(os.cpu_count(), "skmxne")
        self.is_helper = local()

    def begin(self):
        """Begin a fit."""
        with self.lock:
            if self.n_fits == 0:
                if self.limit is None:
                    self.n_threads = _count_threads()
                self.keeper.submit(self._set).result()
            self.n_fits += 1

    def end(self):
        """End a fit."""
        with self.lock:
            self.n_fits -= 1
            if self.n_fits == 0:
                self.keeper.submit(self._lift).result()

    def _set(self):
        if self.limit is None:
            self.limit = ExitStack()
            self.limit.enter_context(_limit_this_thread())

    def _lift(self):
        self.limit.close()
        self.limit, self.n_threads = None, 1

    def map(self, function, items):
        """Call a function for all items, on as many threads as BLAS had, this one among them."""
        items = iter(items)

        def help_out():
            self.is_helper.value = True
            with _limit_this_thread():
                for item in items:
                    function(item)

        helpers = [self.executor.submit(help_out) for _ in range(self.n_threads - 1)]
        try:
            for item in items:
                function(item)
        finally:
            for _ in items:  # after an error nothing is left to do for the helpers
                pass
            busy = [helper for helper in helpers if not helper.cancel()]
            wait(busy)
        for helper in busy:
            helper.result()  # raises what went wrong there


@cache
def _find_blas():
    return ThreadpoolController().select(user_api="blas")


def _count_threads():
    numbers = (library.num_threads for library in _find_blas().lib_controllers)
    return max(filter(None, numbers), default=1)


def _limit_this_thread():
    """Limit BLAS, of all threads or of this one only: that is up to the library."""
    return _find_blas().limit(limits=1) if _count_threads() > 1 else nullcontext()


_shared = _SharedLimit()
if hasattr(os, "register_at_fork"):  # a child has none of the threads of its parent
    os.register_at_fork(after_in_child=_shared.__init__)


@contextmanager
def single_threaded_blas():
    """Limit BLAS to one thread; the number allowed before is left to `map_chunks`."""
    _shared.begin()
    try:
        with _limit_this_thread():
            yield
    finally:
        _shared.end()


def map_chunks(function, n_items, chunk_size):
    """Call ``function(slice)`` for consecutive chunks of ``range(n_items)``, on all threads.

    To be called inside `single_threaded_blas`; outside of it the chunks come one after the other.
    """
    chunks = [slice(i, min(i + chunk_size, n_items)) for i in range(0, n_items, chunk_size)]
    is_helper = getattr(_shared.is_helper, "value", False)
    if is_helper or min(_shared.n_threads, len(chunks)) <= 1:
        for chunk in chunks:
            function(chunk)
    else:
        _shared.map(function, chunks)
