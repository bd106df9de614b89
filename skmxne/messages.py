"""What fits in several threads share: the level of messages, and the filters of warnings."""

import logging
import os
import warnings
from contextlib import contextmanager
from threading import RLock

import numpy as np

_logger = logging.getLogger(__package__)
# The level of the user, and the levels that fits under way have asked for.
_levels = []
_level_lock, _filter_lock = RLock(), RLock()


def _renew():
    """Begin anew in a child process, which lacks the threads of its parent."""
    global _level_lock, _filter_lock
    _level_lock, _filter_lock = RLock(), RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


@contextmanager
def verbosity(verbose):
    """Set the level of the package's logger for a while.

    Of several at the same time the last to begin counts, and the level of the user comes back when
    all have ended.

    Parameters
    ----------
    verbose : None, bool, str or int
        As in MNE: True is "INFO", False "WARNING", None leaves the level as it is.

    Raises
    ------
    TypeError, ValueError
        If the level does not exist.
    """
    if verbose is None:
        yield
        return
    entry = [_read_level(verbose)]
    with _level_lock:
        before = _logger.level
        try:
            _logger.setLevel(entry[0])
        except (TypeError, ValueError) as error:
            raise type(error)(
                f"verbose={verbose!r} is no level: use None, True, False, an int, or one of "
                "'DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL'."
            ) from None
        if not _levels:
            _levels.append([before])
        _levels.append(entry)
    try:
        yield
    finally:
        with _level_lock:
            # By identity: others may have asked for the same.
            _levels[:] = [one for one in _levels if one is not entry]
            _logger.setLevel(_levels[-1][0])
            if len(_levels) == 1:
                _levels.clear()


def _read_level(verbose):
    if isinstance(verbose, bool | np.bool_):
        return "INFO" if verbose else "WARNING"
    return verbose.upper() if isinstance(verbose, str) else verbose


@contextmanager
def catch_warnings(**options):
    """Catch warnings as `warnings.catch_warnings` does, in one thread at a time.

    That saves and restores filters of the whole process: of two at the same time, one would bring
    back those of the other.

    Parameters
    ----------
    **options : dict
        Options of `warnings.catch_warnings`.
    """
    with _filter_lock, warnings.catch_warnings(**options) as record:
        yield record
