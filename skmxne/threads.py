"""Threads: BLAS on one, large products cut into fixed chunks for all of them.

The factorizations of the solvers are small, and a multi-threaded BLAS loses far more on them than
it gains. Products with the whole of ``X`` are large: they are cut into chunks that do not depend
on the number of threads, so neither does the result.

Ctrl-C may interrupt any line of Python, and with it the locks and conditions that are written in
Python. What threads tell each other goes through queues, which are not.
"""

import os
from contextlib import ExitStack, contextmanager, nullcontext
from queue import SimpleQueue
from threading import Lock, Thread
from weakref import WeakSet

from threadpoolctl import ThreadpoolController


class _Visit:
    """A stay inside `single_threaded_blas`."""


class _BlasKeeper:
    """Keep BLAS at one thread while anybody is inside, whichever threads come and go.

    Most BLAS libraries have one limit for the process, which must be set for the first to enter and
    restored for the last to leave. A thread of its own does both, since threadpoolctl lets only the
    thread that has set a limit change it. It knows visits by weak references, so that one that an
    exception has kept from saying good-bye is not waited for.
    """

    def __init__(self):
        self.n_threads = 0  # none inside
        self._lock = Lock()
        self._requests = SimpleQueue()
        self._tasks = SimpleQueue()
        self._threads = []
        self._controller = None

    def tell(self, visit, is_inside):
        """Say that a visit begins or ends, and wait until BLAS has as many threads as it should."""
        with self._lock:
            if self._controller is None:
                self._controller = ThreadpoolController().select(user_api="blas")
            self._start(self._keep, 1)
        done = SimpleQueue()
        self._requests.put((visit, is_inside, done))
        del visit
        done.get()

    def limit(self):
        """Limit BLAS from this thread, where that is needed.

        Some libraries have a limit for each thread, and this may be the thread that has control.
        """
        if max(self._count_threads()) > 1:
            return self._controller.limit(limits=1)
        return nullcontext()

    def _count_threads(self):
        return [1, *(library.num_threads for library in self._controller.lib_controllers)]

    def map(self, function, items):
        """Call a function for all items, on as many threads as BLAS had, this one among them."""
        n_helpers = self.n_threads - 1
        with self._lock:
            self._start(self._help, 1 + n_helpers)
        items, done = iter(items), SimpleQueue()
        try:
            for _ in range(n_helpers):
                self._tasks.put((function, items, done))
            for item in items:
                function(item)
        finally:
            # After an exception nothing is left to do for the others.
            for _ in items:
                pass
        errors = [done.get() for _ in range(n_helpers)]
        for error in filter(None, errors):
            raise error

    def _start(self, target, n_threads):
        """Start threads until there are so many."""
        while len(self._threads) < n_threads:
            thread = Thread(target=target, name="skmxne", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _keep(self):
        """Set and restore the limit as visits come and go."""
        visits, limits = WeakSet(), ExitStack()
        while True:
            visit, is_inside, done = self._requests.get()
            (visits.add if is_inside else visits.discard)(visit)
            del visit
            if visits and self.n_threads == 0:
                self.n_threads = max(self._count_threads())
                limits.enter_context(self.limit())
            elif not visits:
                limits.close()
                self.n_threads = 0
            done.put(None)

    def _help(self):
        """Take part in what `map` is asked for."""
        with self.limit():
            while True:
                function, items, done = self._tasks.get()
                error = None
                try:
                    for item in items:
                        function(item)
                except BaseException as raised:
                    error = raised
                done.put(error)
                del function, items, done, error


_keeper = _BlasKeeper()
if hasattr(os, "register_at_fork"):
    # The threads of the parent, and whoever holds its lock, are not there in a child.
    os.register_at_fork(after_in_child=_keeper.__init__)


@contextmanager
def single_threaded_blas():
    """Limit BLAS to one thread; the number allowed before is left to `map_chunks`."""
    visit = _Visit()
    try:
        _keeper.tell(visit, True)
        with _keeper.limit():
            yield
    finally:
        _keeper.tell(visit, False)


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
