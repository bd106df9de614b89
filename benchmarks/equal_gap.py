"""Time solvers at the same certified duality gap."""

import statistics
import sys
import warnings
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

import numpy as np
from measuring import Ratios, TooSlowError, clock, take_turns, time_limit
from peers import CONTENDERS, OURS, certify, count_positions
from threadpoolctl import ThreadpoolController

# A tolerance is divided by this until the gap is certified, and how often at most.
STEP = 3.0
MAX_STEPS = 24
# Rounding of a certificate.
ROUNDING = 1 + 1e-6


@dataclass
class Run:
    """One call of a contender. If it was stopped at the time limit, its time is infinite."""

    tol: float
    one_thread: bool
    seconds: float = np.inf
    gap: float = np.inf
    n_active: int = 0


@dataclass
class Comparison:
    """Compares the times of our solver and of its peers on the same problems.

    Parameters
    ----------
    peers : list of str
        Keys of `CONTENDERS`.
    n_repeats : int
        Number of rounds, in which contenders take turns.
    cap : float
        Time limit for one run of a peer, in seconds.
    """

    peers: list
    n_repeats: int
    cap: float

    def __post_init__(self):
        self.blas = ThreadpoolController()

    def compare(self, problems, alphas, gaps):
        """Yield a row for each problem, alpha and gap: our milliseconds, ratios of the peers.

        Each of ``problems`` is a pair: the first columns of its rows, as a dict, and a `Problem`.
        """
        warnings.simplefilter("ignore")
        for labels, problem in problems:
            for alpha in alphas:
                searches = {name: {} for name in [OURS, *self.peers]}
                for gap in gaps:
                    setting = labels | {"alpha": f"{alpha:g}", "gap": f"{gap:g}"}
                    print(*setting.values(), file=sys.stderr)
                    yield setting | self.measure(problem, alpha, gap, searches)

    def measure(self, problem, alpha, gap, searches):
        """Time all contenders that reach the gap."""
        found = {
            name: self.find(CONTENDERS[name], problem, alpha, gap, runs)
            for name, runs in searches.items()
            if CONTENDERS[name].can_solve(problem)
        }
        good = {name: run for name, run in found.items() if run.gap <= gap * ROUNDING}
        calls = {name: partial(self.call, name, problem, alpha, run) for name, run in good.items()}
        seconds = take_turns(calls, self.n_repeats)
        row = {"active": found[OURS].n_active}
        row["skmxne, ms"] = f"{1e3 * statistics.median(seconds[OURS]):.3g}"
        for name in self.peers:
            entry = ""
            if name in good:
                entry = Ratios.of(seconds[name], seconds[OURS])
            elif name in found and found[name].seconds == np.inf:
                entry = Ratios.of(self.cap, seconds[OURS])
            elif name in found:
                entry = f"gap {found[name].gap:.1e}"
            row[CONTENDERS[name].label] = entry
        return row

    def find(self, contender, problem, alpha, gap, runs):
        """Find the loosest tolerance that reaches the gap, and the faster number of threads.

        Our solver sets its number of BLAS threads itself. To be fair, peers get one thread or all,
        whichever is faster. ``runs`` has the runs made so far, by tolerance.
        """
        is_peer = contender.name != OURS
        start, spent = contender.loosest or gap, 0.0
        for tol in start * STEP ** -np.arange(float(MAX_STEPS)):
            if tol not in runs:
                runs[tol] = self.run(contender, problem, alpha, tol, one_thread=is_peer)
                spent += runs[tol].seconds
            if runs[tol].gap <= gap * ROUNDING or spent > 3 * self.cap:
                break
        best = runs[tol]
        if is_peer:
            threaded = self.run(contender, problem, alpha, tol, one_thread=False)
            if threaded.seconds < best.seconds and threaded.gap <= max(gap, best.gap):
                best = threaded
        return best

    def run(self, contender, problem, alpha, tol, one_thread):
        """Run a contender once, and compute the duality gap of its coefficients."""
        run = Run(tol, one_thread)
        is_peer = contender.name != OURS
        try:
            with time_limit(self.cap) if is_peer else nullcontext():
                seconds, fit = clock(self.call, contender.name, problem, alpha, run)
        except TooSlowError:
            return run
        if is_peer and seconds > self.cap:  # compiled code stops late, or catches the error
            return run
        run.seconds = seconds
        run.gap = certify(problem, alpha, fit)
        run.n_active = count_positions(problem, fit)
        return run

    def call(self, name, problem, alpha, run):
        """Call a contender with the tolerance and the number of threads of a run."""
        with self.blas.limit(limits=1, user_api="blas") if run.one_thread else nullcontext():
            return CONTENDERS[name].solve(problem, alpha, run.tol)


def is_ratio(entry):
    """Return whether an entry of a row has ratios."""
    return isinstance(entry, Ratios)


def print_means(rows, peers):
    """Print the geometric means of the ratios, and on how many rows skmxne is slower."""
    labels = [CONTENDERS[name].label for name in peers]
    entries = {label: [row[label] for row in rows] for label in labels}
    entries["the fastest of them"] = [
        min(filter(is_ratio, column), key=statistics.median, default="")
        for column in zip(*entries.values(), strict=True)
    ]
    for label, column in entries.items():
        ratios = list(filter(is_ratio, column))
        if ratios:
            medians = [statistics.median(entry) for entry in ratios]
            bound = "> " if any(entry.is_bound for entry in ratios) else ""
            n_slower = sum(median < 1 for median in medians)
            most = f" by at most {1 / min(medians):.2g} times" if n_slower else ""
            print(
                f"{label}: {bound}{statistics.geometric_mean(medians):.3g} times as long as skmxne "
                f"over {len(ratios)} of {len(rows)}; skmxne is slower on {n_slower}{most}",
                file=sys.stderr,
            )
