"""Messages and warnings: levels that fits in several threads ask for, and warnings in our name."""

import inspect
import logging
import os
import warnings
import weakref
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from threading import RLock

import numpy as np

_PACKAGE = str(Path(__file__).parent) + os.sep
# Warnings that a function of ours collects, to give them out in its own words.
_collected = ContextVar("collected", default=None)


def warn(message, category=UserWarning):
    """Warn in the name of the first caller that is not in this package."""
    collected = _collected.get()
    if collected is not None:
        collected.append((message, category))
        return
    frame, stacklevel = inspect.currentframe().f_back, 2
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, stacklevel = frame.f_back, stacklevel + 1
    warnings.warn(message, category, stacklevel=stacklevel)


@contextmanager
def collect_warnings():
    """Collect the warnings of this package in this thread, without a filter of Python's own."""
    collected = []
    token = _collected.set(collected)
    try:
        yield collected
    finally:
        _collected.reset(token)


class _Wish:
    """A level of messages that a fit asks for, as long as it is under way."""

    def __init__(self, level):
        self.level = level


class _SharedLevel:
    """The level of a logger, of which several threads may ask for another one for a while.

    The last to ask counts, and the level of the user comes back when all have ended. What fits
    under way ask for is kept by weak references: Ctrl-C may keep a fit from taking it back, which
    the next one does.
    """

    def __init__(self, name):
        self.logger, self._wishes, self._level_of_user = logging.getLogger(name), [], logging.NOTSET
        self.begin_anew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.begin_anew)

    def begin_anew(self):
        """Begin anew in a child process, which lacks the threads of its parent."""
        self._lock = RLock()

    def of_user(self):
        """Return the level that the user has set."""
        return self._level_of_user if self._wishes else self.logger.level

    @contextmanager
    def at(self, level):
        """Ask for a level."""
        wish = _Wish(level)
        try:
            self.update(wish)
            yield
        finally:
            del wish
            self.update()

    def update(self, wish=None):
        """Set the level of the last wish under way, with a new one if there is, or the user's."""
        # Within `try` are only calls: in Python 3.14 Ctrl-C may come between `with lock:` and its
        # first line, and where a comprehension goes back, which no `finally` sees.
        try:
            self._lock.acquire()
            self._update(wish)
        finally:
            try:  # noqa: SIM105
                self._lock.release()
            except RuntimeError:  # Ctrl-C came while it was waited for
                pass

    def _update(self, wish):
        if wish is not None:
            if not self._wishes:
                self._level_of_user = self.logger.level
            self._wishes.append(weakref.ref(wish))
        alive = [wish for wish in self._wishes if wish() is not None]
        last = alive[-1]() if alive else None
        self.logger.setLevel(self._level_of_user if last is None else last.level)
        self._wishes[:] = alive


_ours, _of_mne = _SharedLevel(__package__), _SharedLevel("mne")


@contextmanager
def verbosity(verbose):
    """Set the level of the package's logger for a while."""
    if verbose is None:
        yield
        return
    with _ours.at(read_level(verbose)):
        yield


def quiet_mne(level=logging.WARNING):
    """Make a context in which MNE reports no progress; who wants to hear even less is heeded."""
    return _of_mne.at(max(level, _of_mne.logger.level))


def find_level(verbose):
    """Return the level that `verbose` stands for: that of MNE's user where it is None."""
    return _of_mne.of_user() if verbose is None else read_level(verbose)


def read_level(verbose):
    """Return the level that `verbose`, which is not None, stands for."""
    level = verbose.upper() if isinstance(verbose, str) else verbose
    if isinstance(verbose, bool | np.bool_):
        level = logging.INFO if verbose else logging.WARNING
    try:
        return logging.Logger(__name__, level).level
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"verbose={verbose!r} is no level: use None, True, False, an int, or one of "
            "'DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL'."
        ) from None
