"""Threads: BLAS uses one, and large products are split into fixed chunks for all of them.

The factorizations of the solvers are small, and much slower with a multi-threaded BLAS. Products
with the whole of ``X`` are large: they are split into chunks that do not depend on the number of
threads, so the result does not depend on it, either.
"""

import os
from contextlib import contextmanager
from functools import cache
from threading import Lock, Thread, local

from threadpoolctl import ThreadpoolController

# Number of multiplications that takes longer than starting a thread.
_CHUNK_WORK = 2**19


class _SharedLimit:
    """The limit of BLAS to one thread: the first fit to begin sets it, the last to end lifts it."""

    def __init__(self):
        self.lock = Lock()
        self.n_fits = 0
        self.n_threads = 1  # of BLAS, without the limit
        self.limit = None
        self.is_helper = local()

    def begin(self):
        """Begin a fit."""
        with self.lock:
            if self.limit is None:
                self.n_threads = _count_threads()
                _, of_process = _find_blas()
                self.limit = of_process.limit(limits=1)
                _free_limit()
            self.n_fits += 1

    def end(self):
        """End a fit."""
        with self.lock:
            self.n_fits = max(self.n_fits - 1, 0)
            if self.n_fits == 0 and self.limit is not None:  # None in a child forked during a fit
                self.limit.restore_original_limits()
                _free_limit()
                self.limit, self.n_threads = None, 1

    def map(self, function, items):
        """Call a function for all items, on as many threads as BLAS had, including this one."""
        items, errors = iter(items), []

        def help_out():
            self.is_helper.value = True
            try:
                with _limit_this_thread():
                    for item in items:
                        function(item)
            except BaseException as error:
                errors.append(error)

        helpers = [Thread(target=help_out, daemon=True) for _ in range(self.n_threads - 1)]
        started = []
        try:
            for helper in helpers:
                try:
                    helper.start()
                except RuntimeError:  # the system has no more threads, or Python is about to exit
                    break
                started.append(helper)
            for item in items:
                function(item)
        finally:
            for _ in items:  # after an error, take the remaining items away from the helpers
                pass
            for helper in started:
                helper.join()
        if errors:
            raise errors[0]


@cache
def _find_blas():
    """Return controllers of the BLAS libraries with a limit per thread, and of the others."""
    libraries = ThreadpoolController().select(user_api="blas")
    per_thread = [
        library.filepath
        for library in libraries.lib_controllers
        if getattr(library, "threading_layer", None) == "openmp"
    ]
    others = [library.filepath for library in libraries.lib_controllers]
    others = [path for path in others if path not in per_thread]
    return libraries.select(filepath=per_thread), libraries.select(filepath=others)


def _count_threads():
    libraries = [library for part in _find_blas() for library in part.lib_controllers]
    return max(filter(None, (library.num_threads for library in libraries)), default=1)


def _free_limit():
    """Let other threads set the limit, too: since threadpoolctl 3.8, the end of a context does."""
    _, of_process = _find_blas()
    with of_process.limit():
        pass


def _limit_this_thread():
    """Make a context with one thread for the BLAS libraries that have a limit per thread."""
    per_thread, _ = _find_blas()
    return per_thread.limit(limits=1)


_shared = _SharedLimit()
if hasattr(os, "register_at_fork"):  # a child has none of the threads of its parent
    os.register_at_fork(after_in_child=_shared.__init__)


@contextmanager
def single_threaded_blas():
    """Limit BLAS to one thread; `map_chunks` uses the number of threads allowed before."""
    _shared.begin()
    try:
        with _limit_this_thread():
            yield
    finally:
        _shared.end()


def map_chunks(function, n_items, chunk_size, work=None):
    """Call ``function(slice)`` for consecutive chunks of ``range(n_items)``, on all threads.

    `work` is the number of multiplications per item: chunks become large enough to be worth a
    thread. Call this inside `single_threaded_blas`; outside, the chunks run one after the other.
    """
    if work is not None:
        chunk_size = max(chunk_size, _CHUNK_WORK // max(work, 1))
    chunks = [slice(i, min(i + chunk_size, n_items)) for i in range(0, n_items, chunk_size)]
    is_helper = getattr(_shared.is_helper, "value", False)
    if is_helper or min(_shared.n_threads, len(chunks)) <= 1:
        for chunk in chunks:
            function(chunk)
    else:
        _shared.map(function, chunks)
