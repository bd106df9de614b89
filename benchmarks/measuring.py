"""How it is measured: clocks, the search for tolerances of equal gap, memory, products."""

import gc
import importlib
import signal
import statistics
import subprocess
import sys
import time
import tracemalloc
import warnings
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

import numpy as np
from peers import CONTENDERS, OURS, certify, count_positions
from threadpoolctl import ThreadpoolController

# Factor by which a tolerance is tightened until the certificate is there, and how often at most.
STEP = 3.0
MAX_STEPS = 24
# Rounding that a certificate may have.
ROUNDING = 1 + 1e-6


class TooSlowError(Exception):
    """A run took longer than it may."""


@contextmanager
def time_limit(seconds):
    """Raise `TooSlowError` in what takes longer, as soon as it is back in Python code."""
    if seconds is None or not hasattr(signal, "SIGALRM"):
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


def clock(function, *args, **kwargs):
    """Call a function with the garbage collector off; return the seconds and the result."""
    gc.collect()
    gc.disable()
    try:
        start = time.perf_counter()
        result = function(*args, **kwargs)
        return time.perf_counter() - start, result
    finally:
        gc.enable()


def interleave(n_repeats, functions):
    """Time functions in turn, another one first in every round: seconds by name, one per round."""
    names = list(functions)
    seconds = {name: [] for name in names}
    for repeat in range(n_repeats):
        shift = repeat % len(names)
        for name in names[shift:] + names[:shift]:
            seconds[name].append(clock(functions[name])[0])
    return seconds


def median_of(n_repeats, function, *args):
    """Time a function a few times: the median in seconds."""
    return statistics.median(clock(function, *args)[0] for _ in range(n_repeats))


@dataclass
class Run:
    """One call of a contender: its setting, and what came of it."""

    tol: float
    one_thread: bool
    seconds: float
    gap: float = np.inf
    n_active: int = 0
    too_slow: bool = False
    threads_chosen: bool = False


@dataclass
class Cell:
    """One problem, alpha and gap: a run of each contender that reaches the gap, timed again."""

    problem: object
    alpha: float
    gap: float
    runs: dict
    seconds: dict
    n_products: float = 0.0
    in_products: float = 0.0


@dataclass
class Tuner:
    """Runs contenders, and finds the loosest tolerance with which each reaches a gap."""

    cap: float
    n_threads: int
    best_threads: bool = True
    warnings: dict = field(default_factory=dict)
    searches: dict = field(default_factory=dict)

    def __post_init__(self):
        self.controller = ThreadpoolController()

    def one_thread(self):
        """Return a context in which BLAS has one thread."""
        return self.controller.limit(limits=1, user_api="blas")

    def run(self, contender, problem, alpha, tol, one_thread=False):
        """Run a contender once, and certify what it finds."""
        limit = self.one_thread() if one_thread else nullcontext()
        run = Run(tol, one_thread, self.cap)
        with warnings.catch_warnings(record=True) as caught, limit:
            warnings.simplefilter("always")
            try:
                with time_limit(None if contender.name == OURS else self.cap):
                    run.seconds, fit = clock(contender.solve, problem, alpha, tol)
            except TooSlowError:
                run.too_slow = True
        if contender.name != OURS:  # compiled code may be late to stop, or catch the error
            run.too_slow |= run.seconds > self.cap
        for message in {f"{w.category.__name__}: {w.message}" for w in caught}:
            self.warnings.setdefault((contender.label, message.split("\n")[0]), []).append(tol)
        if not run.too_slow:
            run.gap = certify(problem, alpha, fit)
            run.n_active = count_positions(problem, fit)
        return run

    def find(self, contender, problem, alpha, gap):
        """Tighten the tolerance until the gap is certified, or the time is up.

        Peers have the choice of one BLAS thread or all, whichever is faster: ours limits BLAS by
        itself, and they should not lose for want of that.
        """
        runs = self.searches.setdefault((contender.name, problem.name, alpha), {})
        one_thread = self.best_threads and contender.name != OURS and self.n_threads > 1
        start, spent = contender.loosest or gap, 0.0
        for step in range(MAX_STEPS):
            tol = start * STEP**-step
            if tol not in runs:
                runs[tol] = self.run(contender, problem, alpha, tol, one_thread)
                spent += runs[tol].seconds
            if runs[tol].gap <= gap * ROUNDING or runs[tol].too_slow or spent > 3 * self.cap:
                break
        run = runs[tol]
        if one_thread and not run.threads_chosen:
            run.threads_chosen = True
            threaded = self.run(contender, problem, alpha, tol)
            if threaded.seconds < run.seconds and threaded.gap <= max(gap, run.gap):
                threaded.threads_chosen = True
                runs[tol] = run = threaded
        return run

    def measure(self, contenders, problem, alpha, gap, n_repeats):
        """Time all contenders in turn at the same certified gap."""
        names = [name for name in contenders if CONTENDERS[name].can_solve(problem)]
        cell = Cell(problem, alpha, gap, {}, {name: [] for name in names})
        for name in names:
            cell.runs[name] = self.find(CONTENDERS[name], problem, alpha, gap)
        good = [name for name in names if cell.runs[name].gap <= gap * ROUNDING]
        for repeat in range(n_repeats):
            shift = repeat % max(len(good), 1)
            for name in good[shift:] + good[:shift]:
                found = cell.runs[name]
                run = self.run(CONTENDERS[name], problem, alpha, found.tol, found.one_thread)
                cell.seconds[name].append(run.seconds)
                if not run.too_slow:
                    found.gap = max(found.gap, run.gap)
        return cell


def count_products(problem, alphas, tol):
    """Count the products with all of ``X`` that a warm-started path of ours makes."""
    from skmxne.linear_model.fit_problem import MixedNormProblem
    from skmxne.linear_model.options import FitOptions

    options = FitOptions(n_orient=problem.n_orient, tol=tol)
    mixed_norm_problem = MixedNormProblem(problem.X, problem.y, options)
    for _ in mixed_norm_problem.solve_path(alphas):
        pass
    return mixed_norm_problem.design.n_products


def time_product(problem):
    """Time one product ``X.T @ y`` with all threads: the fastest of several, either way round."""
    X, y = problem.X, problem.y
    rows = np.ascontiguousarray(y.T)
    ways = (lambda: X.T @ y), (lambda: rows @ X)
    return min(clock(way)[0] for way in ways for _ in range(10))


def measure_memory(contender, problem, alpha, tol):
    """Measure the peak of what a contender allocates, as a multiple of the size of ``X``."""
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        contender.solve(problem, alpha, tol)
        return (tracemalloc.get_traced_memory()[1] - before) / problem.X.nbytes
    finally:
        tracemalloc.stop()


def time_first_calls(name, n_positions):
    """Time the import of a contender, its first call and its second, in this process."""
    from peers import Problem

    rng = np.random.default_rng(0)
    X = np.asfortranarray(rng.standard_normal((302, n_positions)))
    y = X[:, :5] @ rng.standard_normal((5, 61)) + rng.standard_normal((302, 61))
    problem = Problem("first call", X, y, 1)
    problem.scaled_X  # noqa: B018 (prepared here, so that it is not timed)
    contender = CONTENDERS[name]
    seconds = [clock(importlib.import_module, contender.module)[0]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        seconds += [clock(contender.solve, problem, 20.0, 1e-4)[0] for _ in range(2)]
    return seconds


def time_command(*arguments):
    """Run a fresh Python with these arguments; return the seconds and what it printed."""
    command = [sys.executable, *arguments]
    seconds, done = clock(subprocess.run, command, check=True, capture_output=True, text=True)
    return seconds, done.stdout
