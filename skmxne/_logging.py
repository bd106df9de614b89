"""Logging levels that fits in several threads share, and warnings that point at the caller."""

import inspect
import logging
import os
import warnings
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from threading import Lock

import numpy as np

_PACKAGE = str(Path(__file__).parent) + os.sep
# Warnings that a function of this package collects, to issue each of them once, or none.
_collected = ContextVar("collected", default=None)


def warn(message, category=UserWarning):
    """Issue a warning that points at the first caller outside of this package."""
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
    """Collect the warnings of this package in this thread, without changing Python's filters."""
    collected = []
    token = _collected.set(collected)
    try:
        yield collected
    finally:
        _collected.reset(token)


class _SharedLevel:
    """The level of a logger, which fits in several threads may set temporarily.

    The last request counts. The level of the user is restored when all fits have ended.
    """

    def __init__(self, name):
        self.logger = logging.getLogger(name)
        self.begin_anew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.begin_anew)

    def begin_anew(self):
        """Reset this object in a child process, which lacks the threads of its parent."""
        self._lock, self._asked, self._level_of_user = Lock(), [], logging.NOTSET

    def of_user(self):
        """Return the level that the user has set."""
        return self._level_of_user if self._asked else self.logger.level

    @contextmanager
    def at(self, level):
        """Set a level temporarily."""
        key = object()
        with self._lock:
            if not self._asked:
                self._level_of_user = self.logger.level
            self._asked.append((key, level))
            self.logger.setLevel(level)
        try:
            yield
        finally:
            with self._lock:
                self._asked = [(other, level) for other, level in self._asked if other is not key]
                self.logger.setLevel(self._asked[-1][1] if self._asked else self._level_of_user)


_ours, _of_mne = _SharedLevel(__package__), _SharedLevel("mne")


@contextmanager
def verbosity(verbose):
    """Set the level of the package's logger temporarily."""
    if verbose is None:
        yield
        return
    with _ours.at(read_level(verbose)):
        yield


def quiet_mne(level=logging.WARNING):
    """Make a context in which MNE reports no progress; a higher level of the user is kept."""
    return _of_mne.at(max(level, _of_mne.logger.level))


def find_level(verbose):
    """Return the level that `verbose` stands for; None is the level that the user set for MNE."""
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
            f"verbose={verbose!r} is not a level: use None, True, False, an int, or one of "
            "'DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL'."
        ) from None
