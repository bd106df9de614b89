"""Signals that end the command, and messages to its terminal."""

import errno
import os
import re
import signal
from contextlib import contextmanager
from pathlib import Path
from threading import current_thread, main_thread

# Errors if the reader of the output, a pipe or the terminal, has gone.
_GONE = errno.EPIPE, errno.EIO
# How Python represents bytes that are not valid in the encoding of the system.
_BYTES = re.compile("[\udc80-\udcff]+")
# Signals that a scheduler, or the end of a session, sends to end a process.
_SIGNALS = ("SIGTERM", "SIGHUP")


@contextmanager
def end_by_signals():
    """Let signals raise SystemExit, as Ctrl-C raises KeyboardInterrupt, to remove temporary files.

    The exit code is 128 plus the number of the signal, as in shells. Signals that are already
    ignored or handled do not change.
    """

    def end(number, _):
        raise SystemExit(128 + number)

    numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
    if current_thread() is not main_thread():
        numbers = []
    changed = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    for number in changed:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, signal.SIG_DFL)


def tell(stream, text):
    """Write to a terminal, which may have gone, and may not have all characters."""
    if stream is None:  # closed by the parent process
        return None
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")
    try:
        stream.write(to_readable(text))
        stream.flush()
    except OSError as error:
        # At exit, Python would try to write the rest again: discard it.
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), stream.fileno())
        return None if error.errno in _GONE or isinstance(error, BrokenPipeError) else error
    return None


def to_readable(text):
    """Replace what cannot be written, such as the name of a file in another encoding."""

    def decode(match):
        return match[0].encode("ascii", "surrogateescape").decode("utf-8", "backslashreplace")

    return _BYTES.sub(decode, text).encode("utf-8", "backslashreplace").decode("utf-8")


def to_line(message):
    """Write a message in one line."""
    return to_readable(" ".join(str(message).split()))


def explain(error):
    """Describe an error in one line."""
    if isinstance(error, OSError) and error.strerror:
        where = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        return to_line(f"{where}{error.strerror}.")
    kind = "" if isinstance(error, ValueError | OSError) else f"{type(error).__name__}: "
    return to_line(f"{kind}{error}")


def check_current_folder():
    """Raise an error if the current folder has been deleted, or cannot be reached."""
    try:
        Path.cwd()
    except FileNotFoundError as error:
        raise FileNotFoundError(
            "The current folder no longer exists. Change to another (cd) and try again."
        ) from error
    except OSError as error:
        raise OSError(
            f"The current folder cannot be reached: {error.strerror}. Change to another (cd) and "
            "try again."
        ) from error
