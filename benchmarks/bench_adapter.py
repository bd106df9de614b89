"""How fast `skmxne.mixed_norm` and its preparation are, next to `mne.inverse_sparse.mixed_norm`.

``OMP_NUM_THREADS=2 python benchmarks/bench_adapter.py`` prints CSV. It needs the folder of the
recorded data in ``SKMXNE_SAMPLE_DIR``. Both functions get the same objects and have the same
``tol``; MNE's runs on all threads of BLAS or on one, whichever is faster. Ratios are MNE's time
over ours, as median [least, largest] of the rounds. ``--quick`` shows in a minute that it runs.
"""

import argparse
import gc
import logging
import os
import statistics
import sys
import tracemalloc
import warnings
from functools import partial

import mne
from measuring import Ratios, TooSlowError, clock, print_rows, take_turns, time_limit
from mne.inverse_sparse import mixed_norm as mne_mixed_norm
from peers import read_recording
from threadpoolctl import threadpool_limits

from skmxne import InverseProblem, MixedNormIC, mixed_norm

ORIENTATIONS = {"fixed": 0.0, "loose": 0.2}
DEPTH = 0.9


class GainReadyError(Exception):
    """MNE's function is about to whiten the data: the gain is ready."""


def stop_when_gain_is_ready(record):
    """Interrupt MNE's function, by a filter of its logger; drop other messages."""
    if record.getMessage().startswith("Whitening data matrix"):
        raise GainReadyError
    return False


def prepare_mne(recording, loose):
    """Run MNE's function until its gain is ready."""
    logger = logging.getLogger("mne")
    logger.addFilter(stop_when_gain_is_ready)
    try:
        mne_mixed_norm(*recording, 50.0, loose=loose, depth=DEPTH, verbose="INFO")
    except GainReadyError:
        return
    finally:
        logger.removeFilter(stop_when_gain_is_ready)
    raise RuntimeError("MNE's function no longer logs when its gain is ready.")


def prepare_skmxne(recording, loose):
    """Make an inverse problem: the gain and, unlike `prepare_mne`, the whitened data, too."""
    InverseProblem.from_evoked(*recording, loose=loose, depth=DEPTH)


def call(function, recording, loose, alpha, n_mxne_iter):
    """Call one of the functions, and return the number of active positions."""
    options = dict(loose=loose, depth=DEPTH, n_mxne_iter=n_mxne_iter, verbose="ERROR")
    return len(function(*recording, alpha, **options).data)


def localize(recording, loose):
    """Find sources by the default of `MixedNormIC`, and return their number."""
    problem = InverseProblem.from_evoked(*recording, loose=loose, depth=DEPTH)
    model = MixedNormIC(n_orient=problem.n_orient).fit(problem.X, problem.y)
    return len(problem.to_source_estimate(model).data)


def on_one_thread(function):
    """Call a function with one thread of BLAS."""
    with threadpool_limits(limits=1, user_api="blas"):
        return function()


def compare(ours, theirs, arguments):
    """Time two functions in turn: the last columns of a row."""
    counts = [ours(), theirs()]
    calls = {"ours": ours, "all": theirs, "one": partial(on_one_thread, theirs)}
    seconds = take_turns(calls, arguments.repeats)
    best = min(seconds["all"], seconds["one"], key=statistics.median)
    return make_columns(counts, seconds["ours"], best)


def compare_with_slow(ours, theirs, arguments):
    """Time ours in rounds, and MNE's choice of alpha, which takes minutes, once."""
    runs = [clock(ours) for _ in range(arguments.repeats)]
    found, best = "", arguments.cap
    for call_theirs in (theirs, partial(on_one_thread, theirs)):
        try:
            with time_limit(best):
                best, found = clock(call_theirs)
        except TooSlowError:
            pass
    seconds = [one for one, _ in runs]
    return make_columns([runs[0][1], found], seconds, best if found == "" else [best] * len(runs))


def make_columns(counts, ours, theirs):
    """Make the last columns of a row; a time limit in place of theirs gives a bound."""
    return {
        "active": counts[0],
        "active, MNE": counts[1],
        "skmxne, s": f"{statistics.median(ours):.3g}",
        "MNE, s": f"{theirs if isinstance(theirs, float) else statistics.median(theirs):.3g}",
        "ratio": Ratios.of(theirs, ours),
    }


def compare_all(recording, arguments):
    """Yield a row for each comparison and orientation."""
    for orientation, loose in ORIENTATIONS.items():
        args = (recording, loose)

        def setting(what, alpha="", iterations="", orientation=orientation):
            print(what, orientation, alpha, iterations, file=sys.stderr)
            return dict(what=what, orientation=orientation, alpha=alpha, iterations=iterations)

        prepare = partial(prepare_skmxne, *args), partial(prepare_mne, *args)
        yield setting("preparation") | compare(*prepare, arguments)
        for alpha in (60, 40, 20):
            for n_mxne_iter in (1, 10):
                calls = (
                    partial(call, function, *args, alpha, n_mxne_iter)
                    for function in (mixed_norm, mne_mixed_norm)
                )
                yield setting("call", alpha, n_mxne_iter) | compare(*calls, arguments)
        for n_mxne_iter in (1, 10):
            calls = (
                partial(call, function, *args, "sure", n_mxne_iter)
                for function in (mixed_norm, mne_mixed_norm)
            )
            columns = compare_with_slow(*calls, arguments)
            yield setting("call", "sure", n_mxne_iter) | columns
        theirs = partial(call, mne_mixed_norm, *args, "sure", 1)
        columns = compare_with_slow(partial(localize, *args), theirs, arguments)
        yield setting("MixedNormIC() / MNE's sure") | columns


def measure_peak(function, *args):
    """Measure the peak of the memory that a function allocates, in MiB (NumPy's arrays)."""
    function(*args)
    gc.collect()
    tracemalloc.start()
    try:
        function(*args)
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


def main():
    """Compare times, then memory."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--repeats", type=int, default=5, help="rounds, in which both take turns (5)")
    add("--cap", type=float, default=200.0, help="seconds that MNE's choice may take (200)")
    add("--quick", action="store_true", help="483 positions instead of 7783, one round")
    arguments = parser.parse_args()
    if "SKMXNE_SAMPLE_DIR" not in os.environ:
        sys.exit("Set SKMXNE_SAMPLE_DIR to the folder of the recorded data.")
    if arguments.quick:
        arguments.repeats, arguments.cap = 1, 5.0
    warnings.simplefilter("ignore")
    mne.set_log_level("ERROR")
    recording = read_recording(os.environ["SKMXNE_SAMPLE_DIR"], 483 if arguments.quick else 7783)
    print_rows(compare_all(recording, arguments))
    print("\nPeak memory of the preparation")
    for orientation, loose in ORIENTATIONS.items():
        ours, theirs = (measure_peak(f, recording, loose) for f in (prepare_skmxne, prepare_mne))
        print(f"{orientation}: {ours:.0f} MiB, MNE {theirs:.0f} MiB, ratio {theirs / ours:.2g}")


if __name__ == "__main__":
    main()
