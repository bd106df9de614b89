"""The terminal that the command runs in: signals that end it, and messages in its own words."""

import os
import re
import signal
from contextlib import contextmanager
from pathlib import Path
from threading import current_thread, main_thread

# What warnings advise the users of estimators, words that only these know, and what to do here.
_ADVICE = re.compile("(With an InverseProblem|Check noise_variance).*")
_OTHERS = re.compile("noise_variance|nave|alphas|eps=")
_WORDS = (
    "Check --noise-cov, and the number of trials in the file of --evoked; --alpha cv needs no "
    "level of the noise, --alpha NUMBER no grid."
)
# How a scheduler, or the end of a session, ends a process.
_SIGNALS = ("SIGTERM", "SIGHUP")


@contextmanager
def end_by_signals():
    """Let signals raise SystemExit, as Ctrl-C raises KeyboardInterrupt, so that no rest remains.

    The exit code is 128 plus the number of the signal, as shells have it. Signals that whoever
    started the process ignores or handles are left alone.
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
    """Write to a terminal, which may be gone, and may not have all characters.

    Parameters
    ----------
    stream : text file or None
        `sys.stdout` or `sys.stderr`.
    text : str
        What to write.
    """
    if stream is None:  # closed by whoever started the process
        return
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")
    try:
        stream.write(text)
        stream.flush()
    except OSError:
        # Nobody reads it. Nor what Python would try to write once more at its end.
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), stream.fileno())


def to_line(message):
    """Write a message in one line.

    Parameters
    ----------
    message : object
        An exception, a warning or a text.

    Returns
    -------
    line : str
        Its text.
    """
    return " ".join(str(message).split())


def advise(note):
    """Tell what to do in terms of the command.

    Parameters
    ----------
    note : str
        The text of a warning.

    Returns
    -------
    note : str
        The same without words that are for users of the estimators.
    """
    note, n_told = _ADVICE.subn(_WORDS, note)
    return f"{note} {_WORDS}" if _OTHERS.search(note) and not n_told else note
