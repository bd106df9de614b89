"""What fits in several threads share: the level of messages, and the filters of warnings."""

import logging
import os
import warnings
import weakref
from contextlib import contextmanager
from threading import RLock, get_ident

import numpy as np

_logger = logging.getLogger(__package__)
# What fits under way ask for, by weak references: Ctrl-C may keep a fit from taking it back, which
# the next one does.
_wishes = []
_level_of_user = logging.NOTSET
# Acquired within `try`, which has only calls in it: in Python 3.14 Ctrl-C may come between
# `with lock:` and its first line, and where a comprehension goes back, which no `finally` sees.
_level_lock, _filter_lock = RLock(), RLock()


def _renew():
    """Begin anew in a child process, which lacks the threads of its parent."""
    global _level_lock, _filter_lock
    _level_lock, _filter_lock = RLock(), RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


class _Wish:
    """A level of messages that a fit asks for, as long as it is under way."""

    def __init__(self, level):
        self.level = level


@contextmanager
def verbosity(verbose):
    """Set the level of the package's logger for a while.

    Of several at the same time the last to begin counts, and the level of the user comes back when
    all have ended.
    """
    if verbose is None:
        yield
        return
    wish = _Wish(read_level(verbose))
    try:
        _set_level(wish)
        yield
    finally:
        del wish
        _set_level()


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


def _set_level(wish=None):
    """Set the level of the last wish under way, with a new one if there is, or that of the user."""
    try:
        _level_lock.acquire()
        _update_level(wish)
    finally:
        try:  # noqa: SIM105
            _level_lock.release()
        except RuntimeError:  # Ctrl-C came while it was waited for
            pass


def _update_level(wish):
    global _level_of_user
    if wish is not None:
        if not _wishes:
            _level_of_user = _logger.level
        _wishes.append(weakref.ref(wish))
    alive = [wish for wish in _wishes if wish() is not None]
    last = alive[-1]() if alive else None
    _logger.setLevel(_level_of_user if last is None else last.level)
    _wishes[:] = alive


@contextmanager
def catch_warnings():
    """Save and restore filters as `warnings.catch_warnings` does, in one thread at a time.

    They are those of the whole process: of two at the same time, one would bring back those of the
    other.
    """
    try:
        _filter_lock.acquire()
        with warnings.catch_warnings():
            yield
    finally:
        try:  # noqa: SIM105
            _filter_lock.release()
        except RuntimeError:  # Ctrl-C came while it was waited for
            pass


@contextmanager
def record_warnings(record):
    """Record all warnings of this thread, whatever the filters are, and show those of others."""
    thread = get_ident()
    with catch_warnings():
        show = warnings.showwarning

        def keep_or_show(message, category, *where, **options):
            if get_ident() == thread:
                record.append((str(message), category))
            else:
                show(message, category, *where, **options)

        warnings.showwarning = keep_or_show
        for category in (UserWarning, RuntimeWarning):
            warnings.simplefilter("always", category)
        yield
