"""The sections of the report of `bench_solvers.py`, each a function that yields Markdown."""

import importlib
import os
import platform
import statistics
import sys
import warnings
from argparse import Namespace
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from equal_gap import report_figure, report_solvers
from measuring import (
    Tuner,
    clock,
    count_products,
    interleave,
    measure_memory,
    median_of,
    time_command,
    time_product,
)
from peers import CONTENDERS, OURS, make_recorded, make_simulated, read_recording, simulate
from presenting import draw_growth, format_ratios, make_table
from threadpoolctl import threadpool_info

import skmxne


@dataclass
class Bench:
    """All that the sections share."""

    arguments: Namespace
    script: Path
    recording: object
    problems: list
    contenders: list
    tuner: Tuner

    @property
    def peers(self):
        """The contenders that are not ours."""
        return self.contenders[1:]


def print_report(arguments, script):
    """Print all sections that are asked for."""
    bench = make_bench(arguments, script)
    sections = [describe_machine]
    sections += [SECTIONS[name] for name in SECTIONS if name in arguments.sections]
    sections += [report_growth] if arguments.scaling else []
    for section in [*sections, report_warnings]:
        print(f"{section.__name__} ...", file=sys.stderr)
        for line in section(bench):
            print(line, flush=True)
        print()


def make_bench(arguments, script):
    """Read or make the problems, and import all contenders before any is timed."""
    contenders = [OURS, *arguments.peers]
    for name in contenders:
        importlib.import_module(CONTENDERS[name].module)
    folder = os.environ.get("SKMXNE_SAMPLE_DIR")
    n_positions = 483 if arguments.quick else 7783
    recording, problems = None, []
    if "recorded" in arguments.problems and folder:
        recording = read_recording(folder, n_positions)
        problems += make_recorded(recording)
    if "simulated" in arguments.problems or not problems:
        problems += make_simulated(n_positions)
    tuner = Tuner(arguments.cap, arguments.threads, not arguments.same_threads)
    for problem in make_simulated(100):  # compiles, and starts the threads
        for name in contenders:
            if CONTENDERS[name].can_solve(problem):
                tuner.run(CONTENDERS[name], problem, 60.0, 1e-2)
    return Bench(arguments, script, recording, problems, contenders, tuner)


def describe_machine(bench):
    """Say what was measured, with what, and where."""
    arguments = bench.arguments
    yield "# Solver benchmark"
    yield ""
    yield f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {read_cpu()}, {os.cpu_count()} cores"
    yield f"({', '.join(f'{load:.1f}' for load in os.getloadavg())} load), {platform.platform()}."
    yield f"Threads: {arguments.threads}. Medians; repeats, in turn: {arguments.repeats}."
    yield ""
    yield f"Python {platform.python_version()}, skmxne {skmxne.__version__}, " + ", ".join(
        f"{name} {find_version(name)}"
        for name in ("numpy", "scipy", "scikit-learn", "mne", "skglm", "celer", "adelie", "numba")
    )
    libraries = {
        f"{library['prefix']} {library['version']} ({library['num_threads']} threads)"
        for library in threadpool_info()
        if library["user_api"] == "blas"
    }
    yield f"BLAS: {', '.join(sorted(libraries))}."
    if "recorded" in arguments.problems and bench.recording is None:
        yield ""
        yield "SKMXNE_SAMPLE_DIR is not set: there are no recorded problems."
    header = ["problem", "samples", "positions", "orientations", "targets", "one product, s"]
    rows = []
    for problem in bench.problems:
        row = [problem.name, len(problem.X), problem.X.shape[1] // problem.n_orient]
        row += [problem.n_orient, problem.y.shape[1], f"{time_product(problem):.3g}"]
        rows.append(row)
    yield from make_table(header, rows)
    yield "A product is `X.T @ y`, with all threads, the fastest of several."


def read_cpu():
    """Read the name of the processor."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown processor"


def find_version(name):
    """Find the version of a package."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "(not installed)"


def report_first_calls(bench):
    """Time imports and first calls, each contender in a Python of its own."""
    yield "## First call of a process, s"
    arguments = [str(bench.script), "--threads", str(bench.arguments.threads)]
    arguments += ["--quick"] if bench.arguments.quick else []
    rows = []
    for name in bench.contenders:
        output = time_command(*arguments, "--first-call", name)[1]
        import_, first, second = map(float, output.split())
        row = import_, first, second, import_ + first - second
        rows.append([CONTENDERS[name].label, *(f"{seconds:.3g}" for seconds in row)])
    yield from make_table(["", "import", "first call", "second call", "paid once"], rows)
    yield "Fixed orientation, random data. NumPy is there already. All times below are of later"
    yield "calls."


def report_whole_calls(bench):
    """Time `mne.inverse_sparse.mixed_norm` next to what replaces it, from MNE objects to these."""
    yield "## Whole calls, from and to MNE objects"
    if bench.recording is None or "mne" not in bench.peers:
        yield ""
        yield "Left out: needs recorded problems and MNE among the peers."
        return
    from mne.inverse_sparse import mixed_norm

    def call_mne(alpha, loose):
        return mixed_norm(*bench.recording, alpha, loose=loose, depth=0.9, verbose="ERROR")

    def call_skmxne(alpha, loose):
        problem = skmxne.InverseProblem.from_evoked(*bench.recording, loose=loose, depth=0.9)
        model = skmxne.MixedNormEstimator(alpha, n_orient=problem.n_orient)
        return problem.to_source_estimate(model.fit(problem.X, problem.y))

    def call_on_one_thread(function, alpha, loose):
        with bench.tuner.one_thread():
            return function(alpha, loose)

    functions = {"MNE": call_mne, "skmxne": call_skmxne}
    if bench.arguments.threads > 1 and not bench.arguments.same_threads:
        for name in ("MNE", "skmxne"):
            functions[f"{name}, 1 thread"] = partial(call_on_one_thread, functions[name])
    rows = []
    for label, loose in (("fixed", 0.0), ("loose", 0.2)):
        for alpha in bench.arguments.alphas:
            print(f"  {label}, alpha {alpha:g}", file=sys.stderr)
            calls = {name: partial(functions[name], alpha, loose) for name in functions}
            found = [len(calls[name]().data) for name in ("MNE", "skmxne")]  # an untimed call
            seconds = interleave(bench.arguments.repeats, calls)
            rows.append([label, f"{alpha:g}", *found, *compare_calls(seconds)])
    header = ["recorded", "alpha", "active, MNE", "active, skmxne"]
    yield from make_table([*header, *(f"{name}, s" for name in functions), "ratio"], rows)
    yield "`mixed_norm` at its defaults (tol=1e-4, debias=True); `InverseProblem.from_evoked`,"
    yield "`fit` at its (the same), `to_source_estimate`. Both with whitening and depth weighting."
    yield "Ratio: rounds of MNE over those of skmxne, each with the threads that suit it better."


def compare_calls(seconds):
    """Format the medians of whole calls, and the ratio of the faster ways of either side."""
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    ways = ([name for name in seconds if name.startswith(side)] for side in ("MNE", "skmxne"))
    theirs, ours = (seconds[min(names, key=medians.get)] for names in ways)
    ratios = [their / our for their, our in zip(theirs, ours, strict=True)]
    return [*(f"{median:.3g}" for median in medians.values()), format_ratios(ratios)]


def report_memory(bench):
    """Measure the peak of memory."""
    gap = bench.arguments.gaps[0]
    yield f"## Peak memory beyond `X` and `y`, as a multiple of `X` (alpha 20, gap {gap:g})"
    rows = []
    for problem in bench.problems:
        row = [problem.name]
        for name in bench.contenders:
            if not CONTENDERS[name].can_solve(problem):
                row.append("-")
                continue
            run = bench.tuner.find(CONTENDERS[name], problem, 20.0, gap)
            if run.too_slow:
                row.append("too slow")
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                row.append(f"{measure_memory(CONTENDERS[name], problem, 20.0, run.tol):.2f}")
        rows.append([*row, f"{problem.X.nbytes / 2**20:.0f}"])
    labels = [CONTENDERS[name].label for name in bench.contenders]
    yield from make_table(["problem", *labels, "X, MiB"], rows)
    yield "By tracemalloc, which does not see what compiled code allocates for itself (numba, so"
    yield "skglm; BLAS). Copies made before the clock starts do not count: Fortran order, MNE's"
    yield "scaled gain."


def report_reweighting(bench):
    """Time ten reweightings next to none."""
    tol = bench.arguments.gaps[-1]
    yield f"## Ratio of times, `n_mxne_iter=10` over `n_mxne_iter=1` (gap {tol:g})"
    rows = []
    for problem in bench.problems:
        for alpha in bench.arguments.alphas:
            models = {
                n: skmxne.MixedNormEstimator(
                    alpha, n_orient=problem.n_orient, n_mxne_iter=n, tol=tol, debias=False
                )
                for n in (1, 10)
            }
            fits = {n: partial(model.fit, problem.X, problem.y) for n, model in models.items()}
            seconds = interleave(bench.arguments.repeats, fits)
            ratios = [ten / one for one, ten in zip(seconds[1], seconds[10], strict=True)]
            active = [model.n_active_ for model in models.values()]
            rows.append([problem.name, f"{alpha:g}", *active, format_ratios(ratios)])
    yield from make_table(["problem", "alpha", "active, 1", "active, 10", "ratio"], rows)


def report_path(bench):
    """Time a path of 20 alphas."""
    tol, n_alphas = 1e-6, 20
    yield f"## Path of {n_alphas} alphas, 99 to 10 %, gap {tol:g}"
    if not hasattr(skmxne, "mixed_norm_path"):
        yield ""
        yield "Left out: this version has no `mixed_norm_path`."
        return
    rows = []
    for problem in bench.problems:
        options = dict(n_orient=problem.n_orient, tol=tol, debias=False)
        seconds = []
        for _ in range(bench.arguments.repeats):
            elapsed, (alphas, coefs, gaps) = clock(
                skmxne.mixed_norm_path, problem.X, problem.y, alphas=n_alphas, eps=0.1, **options
            )
            seconds.append(elapsed)
        active = len(np.unique(coefs[-1].nonzero()[1] // problem.n_orient))
        n_products = count_products(problem, alphas, tol)
        in_products = n_products * time_product(problem)
        row = [problem.name, f"{statistics.median(seconds):.3g}", f"{in_products:.3g}"]
        rows.append([*row, f"{n_products / n_alphas:.2f}", active, f"{max(gaps):.1e}"])
    header = ["problem", "total, s", "in products, s", "products per alpha", "active at the end"]
    yield from make_table([*header, "largest gap"], rows)


def report_imports(bench):
    """Time imports in a fresh Python."""
    yield "## Import, s beyond a bare Python"
    codes = {
        "`from skmxne import MixedNormEstimator`": "from skmxne import MixedNormEstimator",
        "`import sklearn.linear_model`": "import sklearn.linear_model",
    }
    bare = statistics.median(time_command("-c", "pass")[0] for _ in range(7))
    rows = []
    for label, code in codes.items():
        seconds = statistics.median(time_command("-c", code)[0] for _ in range(7))
        rows.append([label, f"{seconds - bare:.3g}"])
    yield from make_table(["", "median of 7"], rows)


def report_growth(bench):
    """Time one fit as the number of positions, and that of targets, grows."""
    yield "## Growth with size: one fit, alpha 40, gap 1e-6, 300 samples, simulated"
    quick = bench.arguments.quick
    n_positions = 483 if quick else 7783
    sizes = {
        "positions": [1000, 3000] + ([] if quick else [10_000, 30_000, 100_000]),
        "targets": [10, 30, 100] + ([] if quick else [300, 1000, 2000]),
    }
    curves = {}
    for what, values in sizes.items():
        rows = []
        for n_orient in (1, 3):
            curve = curves[what, n_orient] = []
            for value in values:
                print(f"  {value} {what}, orientations: {n_orient}", file=sys.stderr)
                shape = (value, n_orient, 61)
                shape = shape if what == "positions" else (n_positions, n_orient, value)
                seconds, n_active = time_simulated(shape, bench.arguments.repeats)
                curve.append((value, seconds))
                rows.append([n_orient, value, n_active, f"{seconds:.3g}"])
        yield from make_table(["orientations", what, "active", "s"], rows)
        for n_orient in (1, 3):
            log_sizes, log_seconds = np.log(curves[what, n_orient][-3:]).T
            slope = np.polyfit(log_sizes, log_seconds, 1)[0]
            yield f"- orientations {n_orient}: time grows as {what} to the power {slope:.2f}"
            yield f"  (slope over the last {len(log_sizes)} sizes)."
    yield f"\nFigure: {draw_growth(curves, bench.arguments.output)}"


def time_simulated(shape, n_repeats):
    """Time a fit to simulated data, after an untimed one; count its active positions."""
    n_positions, n_orient, n_targets = shape
    X, y = simulate(300, n_positions, n_orient, n_targets)
    model = skmxne.MixedNormEstimator(40, n_orient=n_orient, tol=1e-6, debias=False)
    n_active = model.fit(X, y).n_active_
    return median_of(n_repeats, model.fit, X, y), n_active


def report_warnings(bench):
    """List what the contenders warned of."""
    yield "## Warnings of the contenders"
    yield ""
    for (label, message), tols in bench.tuner.warnings.items():
        yield f"- {label}, {len(tols)} times (tolerances from {max(tols):.0e}): {message}"
    if not bench.tuner.warnings:
        yield "None."


SECTIONS = {
    "first": report_first_calls,
    "solvers": report_solvers,
    "whole": report_whole_calls,
    "memory": report_memory,
    "reweighting": report_reweighting,
    "path": report_path,
    "imports": report_imports,
    "figure": report_figure,
}
