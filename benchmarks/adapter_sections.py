"""The sections of the report of `bench_adapter.py`: from recordings to sources, next to MNE."""

import gc
import logging
import os
import statistics
import sys
import tracemalloc
import warnings
from functools import partial

import mne
import numpy as np
import sklearn
from measuring import TooSlowError, clock, interleave, time_limit
from mne.inverse_sparse import mixed_norm as mne_mixed_norm
from peers import read_recording
from presenting import format_ratios, make_table
from threadpoolctl import ThreadpoolController
from validation_section import report_validation

from skmxne import InverseProblem, MixedNormIC, mixed_norm

ORIENTATIONS = {"fixed": 0.0, "loose": 0.2}
DEPTH = 0.9


class Prepared(Exception):  # noqa: N818 (it tells of no error)
    """MNE's function is about to whiten the data: the gain is ready."""


def stop_when_prepared(record):
    """Interrupt MNE's function by a filter of its logger; other messages are left out."""
    if record.getMessage().startswith("Whitening data matrix"):
        raise Prepared
    return False


def prepare_mne(recording, loose):
    """Run MNE's function until its gain is ready. What it holds then is freed."""
    logger = logging.getLogger("mne")
    logger.addFilter(stop_when_prepared)
    try:
        mne_mixed_norm(*recording, 50.0, loose=loose, depth=DEPTH, verbose="INFO")
    except Prepared:
        return
    finally:
        logger.removeFilter(stop_when_prepared)
    raise RuntimeError("MNE's function does not say any more when its gain is ready.")


def prepare_skmxne(recording, loose):
    """Make an inverse problem: the gain and, unlike `prepare_mne`, the whitened data, too."""
    InverseProblem.from_evoked(*recording, loose=loose, depth=DEPTH)


def call(function, recording, loose, alpha, n_mxne_iter):
    """Call one of the functions, and return the number of active positions."""
    options = dict(loose=loose, depth=DEPTH, n_mxne_iter=n_mxne_iter, verbose="ERROR")
    return len(function(*recording, alpha, **options).data)


class Bench:
    """The recording, and how it is timed."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.recording = read_recording(
            os.environ["SKMXNE_SAMPLE_DIR"], 483 if arguments.quick else 7783
        )
        self.controller = ThreadpoolController()

    def compare(self, ours, theirs, *args):
        """Time two functions in turn, MNE's also on one thread; return cells of a table."""

        def on_one_thread():
            with self.controller.limit(limits=1, user_api="blas"):
                theirs(*args)

        functions = {"ours": partial(ours, *args), "same": partial(theirs, *args)}
        if self.arguments.threads > 1:
            functions["one"] = on_one_thread
        for function in functions.values():
            function()
        seconds = interleave(self.arguments.repeats, functions)
        medians = {name: statistics.median(values) for name, values in seconds.items()}
        best = min(set(medians) - {"ours"}, key=medians.get)
        ratios = {
            name: [b / a for a, b in zip(seconds["ours"], seconds[name], strict=True)]
            for name in ("same", best)
        }
        return [
            f"{medians['ours']:.3g}",
            *(f"{medians[name]:.3g}" if name in medians else "-" for name in ("same", "one")),
            format_ratios(ratios["same"]),
            format_ratios(ratios[best]),
        ]


HEADER = ["skmxne, s", "MNE, s", "MNE on one thread, s", "ratio", "ratio to MNE at its best"]


def report_preparation(bench):
    """Time the preparation."""
    yield "## Preparation: from evoked, forward and covariance to the whitened gain"
    rows = [
        [name, *bench.compare(prepare_skmxne, prepare_mne, bench.recording, loose)]
        for name, loose in ORIENTATIONS.items()
    ]
    yield from make_table(["orientation", *HEADER], rows)


def report_memory(bench):
    """Measure the memory that the preparation takes."""
    yield "## Memory of the preparation, MiB at its peak"
    rows = []
    for name, loose in ORIENTATIONS.items():
        peaks = [
            measure_peak(partial(function, bench.recording, loose))
            for function in (prepare_skmxne, prepare_mne)
        ]
        n_features = bench.recording.forward["nsource"] * (3 if loose else 1)
        gain = n_features * len(bench.recording.evoked.ch_names) * 8 / 2**20
        row = [*(f"{peak:.0f}" for peak in peaks), f"{peaks[1] / peaks[0]:.2g}", f"{gain:.0f}"]
        rows.append([name, *row])
    yield from make_table(["orientation", "skmxne", "MNE", "ratio", "the gain alone"], rows)
    yield "By tracemalloc, which sees all arrays of NumPy, but not the buffers of BLAS."


def measure_peak(function):
    """Measure the peak of what a function allocates, in MiB."""
    function()
    gc.collect()
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


def report_whole(bench):
    """Time whole calls for given alphas."""
    yield "## Whole call of mixed_norm"
    rows = []
    for name, loose in ORIENTATIONS.items():
        for alpha in (60, 40, 20):
            for n_mxne_iter in (1, 10):
                print(f"  {name}, alpha {alpha}, {n_mxne_iter} iterations", file=sys.stderr)
                args = (bench.recording, loose, alpha, n_mxne_iter)
                active = [call(function, *args) for function in (mixed_norm, mne_mixed_norm)]
                functions = (partial(call, mixed_norm), partial(call, mne_mixed_norm))
                rows.append([name, alpha, n_mxne_iter, *active, *bench.compare(*functions, *args)])
    header = ["orientation", "alpha", "iterations", "active", "active, MNE"]
    yield from make_table([*header, *HEADER], rows)
    yield (
        "Both at the default tol=1e-4, and debiased: ours to the minimum, MNE's for at most 1000 "
        "iterations. With reweighting, MNE stops before amplitudes settle."
    )


def time_sure_of_mne(bench, loose, n_mxne_iter):
    """Time MNE's choice of alpha once on all threads and once on one; return the better.

    Seconds are None, and the number of active positions is "-", where both take too long.
    """
    runs = []
    for limits in [None, 1] if bench.arguments.threads > 1 else [None]:
        with bench.controller.limit(limits=limits, user_api="blas"):
            try:
                with time_limit(bench.arguments.cap):
                    args = (bench.recording, loose, "sure", n_mxne_iter)
                    runs.append(clock(call, mne_mixed_norm, *args))
            except TooSlowError:
                pass
    return min(runs, default=(None, "-"))


def report_criteria(bench):
    """Time the choice of alpha."""
    yield "## Choice of alpha"
    rows = []
    for name, loose in ORIENTATIONS.items():
        for n_mxne_iter in (1, 10):
            print(f"  {name}, choice of alpha, {n_mxne_iter} iterations", file=sys.stderr)
            theirs, active = time_sure_of_mne(bench, loose, n_mxne_iter)
            for criterion in ("sure", "bic"):
                args = (bench.recording, loose, criterion, n_mxne_iter)
                runs = [clock(call, mixed_norm, *args) for _ in range(bench.arguments.repeats)]
                seconds = [one for one, _ in runs]
                row = [
                    name,
                    n_mxne_iter,
                    criterion,
                    runs[0][1],
                    f"{statistics.median(seconds):.3g}",
                ]
                if criterion == "sure":
                    shown = theirs or bench.arguments.cap
                    ratios = format_ratios([shown / one for one in seconds])
                    sign = "" if theirs else "> "
                    row += [active, f"{sign}{shown:.3g}", f"{sign}{ratios}"]
                rows.append(row + ["-"] * (8 - len(row)))
    header = ["orientation", "iterations", "criterion", "active", "skmxne, s"]
    yield from make_table([*header, "active, MNE", "MNE, s", "ratio"], rows)
    yield (
        "MNE's SURE is run once on all threads and once on one: the better is shown. It takes the "
        "noise of the average for that of a single trial. Each has its own grid: MNE's has 15 "
        "alphas from 100 to 10 percent, ours 20 from 99 to 5."
    )


def localize(recording, loose):
    """Find the sources by the default of `MixedNormIC`, from recording to source estimate."""
    problem = InverseProblem.from_evoked(*recording, loose=loose, depth=DEPTH)
    model = MixedNormIC(n_orient=problem.n_orient).fit(problem.X, problem.y)
    return len(problem.to_source_estimate(model).data)


def report_selection(bench):
    """Time the whole way to sources with a chosen alpha."""
    yield "## From a recording to sources: MixedNormIC() and MNE's alpha='sure'"
    rows = []
    for name, loose in ORIENTATIONS.items():
        print(f"  {name}, MixedNormIC and SURE of MNE", file=sys.stderr)
        theirs, active = time_sure_of_mne(bench, loose, 1)
        runs = [clock(localize, bench.recording, loose) for _ in range(bench.arguments.repeats)]
        seconds = [one for one, _ in runs]
        shown = theirs or bench.arguments.cap
        ratios = format_ratios([shown / one for one in seconds])
        median = f"{statistics.median(seconds):.3g}"
        rows.append([name, runs[0][1], median, active, f"{shown:.3g}", ratios])
    header = ["orientation", "active", "skmxne, s", "active, MNE", "MNE, s", "ratio"]
    yield from make_table(header, rows)
    yield "Ours is reweighted 10 times, 20 alphas; MNE's is not, 15 alphas. MNE's is run as above."


REPORTS = {
    "preparation": report_preparation,
    "memory": report_memory,
    "whole": report_whole,
    "criteria": report_criteria,
    "selection": report_selection,
    "validation": report_validation,
}


def print_report(arguments):
    """Measure, and print the report."""
    bench = Bench(arguments)
    print("# mixed_norm of skmxne and of MNE")
    print()
    print(f"- numpy {np.__version__}, scikit-learn {sklearn.__version__}, mne {mne.__version__}")
    print(f"- BLAS threads: {arguments.threads}; rounds: {arguments.repeats}")
    print(f"- recorded, MEG, {bench.recording.forward['nsource']} positions, 61 times, depth 0.9")
    print("- seconds are medians, ratios MNE's over ours: median [least, largest] of all rounds")
    warnings.simplefilter("ignore")
    with mne.use_log_level("ERROR"):
        for section in arguments.sections:
            print()
            for line in REPORTS[section](bench):
                print(line, flush=True)
