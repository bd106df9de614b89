"""Measure times: a clock, rounds in which functions take turns, a time limit, and ratios."""

import csv
import gc
import signal
import statistics
import sys
import time
from contextlib import contextmanager


class TooSlowError(Exception):
    """A run took longer than its time limit."""


@contextmanager
def time_limit(seconds):
    """Raise `TooSlowError` after ``seconds``; compiled code is interrupted when it returns."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def stop(*_):
        raise TooSlowError

    previous = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def clock(function, *args):
    """Call a function without garbage collection; return the seconds and the result."""
    gc.collect()
    gc.disable()
    try:
        start = time.perf_counter()
        result = function(*args)
        return time.perf_counter() - start, result
    finally:
        gc.enable()


def take_turns(functions, n_repeats):
    """Time functions in rounds, each in a rotated order; return lists of seconds by name."""
    names = list(functions)
    seconds = {name: [] for name in names}
    for repeat in range(n_repeats):
        shift = repeat % len(names)
        for name in names[shift:] + names[:shift]:
            seconds[name].append(clock(functions[name])[0])
    return seconds


class Ratios(tuple):
    """Time of a peer divided by ours, one ratio per round; printed as median [smallest, largest].

    If ``is_bound`` is True, the peer was stopped, and the ratios are lower bounds.
    """

    is_bound = False

    @classmethod
    def of(cls, theirs, ours):
        """Divide the seconds of each round. If ``theirs`` is the time limit, ratios are bounds."""
        if isinstance(theirs, float):
            ratios = cls(theirs / our for our in ours)
            ratios.is_bound = True
            return ratios
        return cls(their / our for their, our in zip(theirs, ours, strict=True))

    def __str__(self):
        bound = "> " if self.is_bound else ""
        return f"{bound}{statistics.median(self):.3g} [{min(self):.3g}, {max(self):.3g}]"


def print_rows(rows, file=sys.stdout):
    """Write each row (a dict) as CSV as soon as it comes; return all rows as a list."""
    done = []
    for row in rows:
        writer = csv.DictWriter(file, row, lineterminator="\n")
        if not done:
            writer.writeheader()
        writer.writerow(row)
        file.flush()
        done.append(row)
    return done
