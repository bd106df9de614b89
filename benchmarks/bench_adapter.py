"""Compare the speed of `skmxne.mixed_norm` and its preparation with that of MNE's `mixed_norm`.

``OMP_NUM_THREADS=2 python benchmarks/bench_adapter.py`` prints CSV. ``SKMXNE_SAMPLE_DIR`` must name
the folder of the recorded data. Both functions get the same objects and the same ``tol``. MNE's
function uses all threads of BLAS or one, whichever is faster. Ratios are MNE's time divided by
ours: median [smallest, largest] over the rounds. ``--quick`` is a test run of one minute.

MNE's "sure" assumes that the noise of the average is that of a single trial, and has a grid of 15
alphas. Ours uses the number of trials, and has 20 alphas. `MixedNormIC` reweights 10 times, MNE's
default does not reweight.
"""

import argparse
import gc
import logging
import statistics
import sys
import tracemalloc
import warnings
from functools import partial

import mne
from measuring import Ratios, TooSlowError, clock, print_rows, take_turns, time_limit
from mne.inverse_sparse import mixed_norm as mne_mixed_norm
from recorded import read_response
from threadpoolctl import ThreadpoolController

from skmxne import InverseProblem, MixedNormIC, mixed_norm

ORIENTATIONS = {"fixed": 0.0, "loose": 0.2}
DEPTH = 0.9
BLAS = ThreadpoolController()


class GainReadyError(Exception):
    """MNE's function is about to whiten the data: the gain is ready."""


def stop_when_gain_is_ready(record):
    """Filter MNE's log: stop its function before it whitens the data, and drop all messages."""
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
    """Make an inverse problem. Unlike `prepare_mne`, this also whitens the data."""
    InverseProblem.from_evoked(*recording, loose=loose, depth=DEPTH)


def call(function, recording, loose, alpha, n_mxne_iter):
    """Call one of the functions, and return the number of active positions."""
    options = dict(loose=loose, depth=DEPTH, n_mxne_iter=n_mxne_iter, verbose="ERROR")
    return len(function(*recording, alpha, **options).data)


def localize(recording, loose):
    """Find sources by `MixedNormIC` with default parameters, and return their number."""
    problem = InverseProblem.from_evoked(*recording, loose=loose, depth=DEPTH)
    model = MixedNormIC(n_orient=problem.n_orient).fit(problem.X, problem.y)
    return len(problem.to_source_estimate(model).data)


def on_one_thread(function):
    """Call a function with one BLAS thread."""
    with BLAS.limit(limits=1, user_api="blas"):
        return function()


def compare(ours, theirs, arguments):
    """Time two functions in turn, and return the last columns of a row."""
    counts = ours(), theirs()
    calls = {"ours": ours, "all": theirs, "one": partial(on_one_thread, theirs)}
    seconds = take_turns(calls, arguments.repeats)
    best = min(seconds["all"], seconds["one"], key=statistics.median)
    return make_columns((counts[0], seconds["ours"]), (counts[1], best))


def time_rounds(function, arguments):
    """Return the result of a function, and its seconds in each round."""
    runs = [clock(function) for _ in range(arguments.repeats)]
    return runs[0][1], [seconds for seconds, _ in runs]


def time_slow(function, arguments):
    """Time MNE's choice of alpha once on all threads and once on one thread.

    Return its result and its seconds, repeated for each round. If both runs exceed the time limit,
    return the limit instead of the seconds.
    """
    found, best = "", arguments.cap
    for one in (function, partial(on_one_thread, function)):
        try:
            with time_limit(best):
                best, found = clock(one)
        except TooSlowError:
            pass
    return found, best if found == "" else [best] * arguments.repeats


def make_columns(ours, theirs):
    """Return the last columns of a row. `ours` and `theirs` are pairs: result and seconds."""
    seconds, bound = theirs[1], ""
    if isinstance(seconds, float):
        seconds, bound = [seconds], "> "
    return {
        "active": ours[0],
        "active, MNE": theirs[0],
        "skmxne, s": f"{statistics.median(ours[1]):.3g}",
        "MNE, s": f"{bound}{statistics.median(seconds):.3g}",
        "ratio": Ratios.of(theirs[1], ours[1]),
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
                functions = (partial(call, one) for one in (mixed_norm, mne_mixed_norm))
                calls = (partial(one, *args, alpha, n_mxne_iter) for one in functions)
                yield setting("call", alpha, n_mxne_iter) | compare(*calls, arguments)
        of_mne = {}
        for n_mxne_iter in (1, 10):
            row = setting("call", "sure", n_mxne_iter)
            choice = *args, "sure", n_mxne_iter
            of_mne[n_mxne_iter] = time_slow(partial(call, mne_mixed_norm, *choice), arguments)
            ours = time_rounds(partial(call, mixed_norm, *choice), arguments)
            yield row | make_columns(ours, of_mne[n_mxne_iter])
        ours = time_rounds(partial(localize, *args), arguments)
        yield setting("MixedNormIC() / MNE's sure") | make_columns(ours, of_mne[1])


def measure_peak(function, *args):
    """Return the peak memory that a function allocates (NumPy arrays), in MiB."""
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
    if arguments.quick:
        arguments.repeats, arguments.cap = 1, 5.0
    warnings.simplefilter("ignore")
    mne.set_log_level("ERROR")
    recording = read_response(n_positions=483 if arguments.quick else 7783)
    print_rows(compare_all(recording, arguments))
    print("Peak memory of the preparation", file=sys.stderr)
    for orientation, loose in ORIENTATIONS.items():
        ours, theirs = (measure_peak(f, recording, loose) for f in (prepare_skmxne, prepare_mne))
        peaks = f"{ours:.0f} MiB, MNE {theirs:.0f} MiB, ratio {theirs / ours:.2g}"
        print(f"{orientation}: {peaks}", file=sys.stderr)


if __name__ == "__main__":
    main()
