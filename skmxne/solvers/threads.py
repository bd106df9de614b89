"""Threads: BLAS on one, large products cut into fixed chunks for all of them.

The factorizations of the solvers are small, and a multi-threaded BLAS loses far more on them than
it gains. Products with the whole of ``X`` are large: they are cut into chunks that do not depend
on the number of threads, so neither does the result.

Ctrl-C may interrupt any line of Python, and with it the locks and conditions that are written in
Python; from 3.14 on, even what is between `with lock:` and its first line. What threads tell each
other goes through queues, and what only one may do is decided by a step that is not divided.
"""

import os
from contextlib import ExitStack, contextmanager, nullcontext
from queue import SimpleQueue
from threading import Thread, local
from weakref import WeakSet, ref

from threadpoolctl import ThreadpoolController


class _Visit:
    """A stay inside `single_threaded_blas`."""


class _Here(local):
    """The visit of the thread that looks, by a reference that does not keep it."""

    visit = staticmethod(lambda: None)


class _Worker:
    """A thread that works for ever, however often it is started.

    Ctrl-C during `Thread.start` leaves open whether there is a thread, and other threads may start
    it at the same time: of all that come, the first works and the others leave.
    """

    def __init__(self, target):
        self._target = target
        self._places = [None]

    def start(self):
        """Return whether the thread has come, or will."""
        if self._places:
            try:
                Thread(target=self._run, name="skmxne", daemon=True).start()
            except RuntimeError:  # the system has no more threads, or Python is about to end
                return not self._places
        return True

    def _run(self):
        try:
            self._places.pop()
        except IndexError:
            return
        self._target()


class _BlasKeeper:
    """Keep BLAS at one thread while anybody is inside, whichever threads come and go.

    Most BLAS libraries have one limit for the process, which must be set for the first to enter and
    restored for the last to leave. A thread of its own does both, since threadpoolctl lets only the
    thread that has set a limit change it. It knows visits by weak references, so that one that an
    exception has kept from saying good-bye is not waited for.
    """

    def __init__(self):
        self.n_threads = 0  # that BLAS had before, while anybody is inside
        self._requests, self._worker = SimpleQueue(), _Worker(self._keep)
        self._tasks, self._helpers = SimpleQueue(), {}
        self._in_helper = local()
        self._controller = None
        self.here = _Here()

    def begin_anew(self):
        """Begin anew in a child process, without the threads of the parent.

        Where a visit of another thread is under way, nobody would give BLAS its threads back. A
        child of a visit works for it, next to others.
        """
        n_threads, controller, visit = self.n_threads, self._controller, self.here.visit()
        self.__init__()
        if n_threads > 1 and visit is None:
            controller.limit(limits=n_threads)
            with controller.limit():  # threadpoolctl 3.8 frees others to set limits at its end
                pass

    def tell(self, visit, is_inside):
        """Say that a visit begins or ends, and wait until BLAS has as many threads as it should.

        Where no thread can be started, nothing is limited, and all goes on in one thread.
        """
        if self._controller is None:
            self._controller = ThreadpoolController().select(user_api="blas")
        if not self._worker.start():
            return
        done = SimpleQueue()
        self._requests.put((visit, is_inside, done))
        del visit
        error = done.get()
        if error is not None:
            raise error

    def limit(self):
        """Limit BLAS from this thread, where that is needed.

        Some libraries have a limit for each thread, and this may be the thread that has control.
        """
        if self._count_threads() > 1:
            return self._controller.limit(limits=1)
        return nullcontext()

    def map(self, function, items):
        """Call a function for all items, on as many threads as BLAS had, this one among them."""
        n_helpers = 0
        if not getattr(self._in_helper, "value", False):
            n_helpers = self._start_helpers(self.n_threads - 1)
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

    def _start_helpers(self, n_most):
        """Start helpers, and return how many there are."""
        for k in range(n_most):
            if not self._helpers.setdefault(k, _Worker(self._help)).start():
                return k
        return n_most

    def _count_threads(self):
        numbers = (library.num_threads for library in self._controller.lib_controllers)
        return max(filter(None, numbers), default=1)

    def _keep(self):
        """Set and restore the limit as visits come and go."""
        visits, limits = WeakSet(), ExitStack()
        while True:
            visit, is_inside, done = self._requests.get()
            (visits.add if is_inside else visits.discard)(visit)
            del visit
            error = None
            try:
                if visits and self.n_threads == 0:
                    self.n_threads = self._count_threads()
                    limits.enter_context(self.limit())
                elif not visits:
                    self.n_threads = 0
                    limits.close()
            except BaseException as raised:
                error = raised
            done.put(error)
            del error

    def _help(self):
        """Take part in what `map` is asked for."""
        self._in_helper.value = True
        while True:
            function, items, done = self._tasks.get()
            error = None
            try:
                # Only while there is something to do, since then whoever asked is inside.
                for item in items:
                    with self.limit():
                        function(item)
            except BaseException as raised:
                error = raised
            done.put(error)
            del function, items, done, error


_keeper = _BlasKeeper()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keeper.begin_anew)


@contextmanager
def single_threaded_blas():
    """Limit BLAS to one thread; the number allowed before is left to `map_chunks`."""
    visit, outer = _Visit(), _keeper.here.visit
    try:
        _keeper.here.visit = ref(visit)
        _keeper.tell(visit, True)
        with _keeper.limit():
            yield
    finally:
        _keeper.here.visit = outer
        _keeper.tell(visit, False)


def map_chunks(function, n_items, chunk_size):
    """Call ``function(slice)`` for consecutive chunks of ``range(n_items)``, on all threads.

    To be called inside `single_threaded_blas`; outside of it the chunks come one after the other.
    """
    chunks = [slice(i, min(i + chunk_size, n_items)) for i in range(0, n_items, chunk_size)]
    if min(_keeper.n_threads, len(chunks)) > 1:
        _keeper.map(function, chunks)
    else:
        for chunk in chunks:
            function(chunk)
