"""How fast fits are on arrays of many shapes, next to peers at the same certified gap.

``python benchmarks/bench_arrays.py`` writes ``docs/bench_arrays.csv`` in a quarter of an hour, and
prints the means. It needs ``pip install .[bench]`` and, as adelie asks for an older NumPy than it
needs, ``pip install --no-deps adelie``. ``--quick`` shows in a minute that all of it runs.
"""

import argparse
import csv
import os
import statistics
import sys
import warnings
from pathlib import Path

# Taguchi's array L18: each level of a factor meets each level of every other one equally often.
SHAPES = (
    # correlation, samples, features, targets, features of a block, true blocks
    (0.0, 50, 1_000, 1, 1, 5),
    (0.0, 50, 10_000, 10, 4, 20),
    (0.0, 50, 100_000, 100, 10, 50),
    (0.0, 200, 1_000, 1, 4, 20),
    (0.0, 200, 10_000, 10, 10, 50),
    (0.0, 200, 100_000, 100, 1, 5),
    (0.0, 1000, 1_000, 10, 1, 50),
    (0.0, 1000, 10_000, 100, 4, 5),
    (0.0, 1000, 100_000, 1, 10, 20),
    (0.9, 50, 1_000, 100, 10, 20),
    (0.9, 50, 10_000, 1, 1, 50),
    (0.9, 50, 100_000, 10, 4, 5),
    (0.9, 200, 1_000, 10, 10, 5),
    (0.9, 200, 10_000, 100, 1, 20),
    (0.9, 200, 100_000, 1, 4, 50),
    (0.9, 1000, 1_000, 100, 4, 50),
    (0.9, 1000, 10_000, 1, 10, 5),
    (0.9, 1000, 100_000, 10, 1, 20),
)
# In percent: few active blocks, and many.
ALPHAS = (50.0, 10.0)
GAP = 1e-6
PEERS = ("sklearn", "skglm", "celer", "adelie")
SHAPE_COLUMNS = ("samples", "features", "targets", "block", "correlation", "alpha", "active")


def parse_arguments():
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--repeats", type=int, default=3, help="rounds, in which contenders take turns (3)")
    add("--threads", type=int, default=2, help="threads of BLAS and numba (2)")
    add(
        "--peers",
        nargs="*",
        choices=(*PEERS, "adelie-zero", "mne"),
        default=PEERS,
        help="whom to compare with",
    )
    add("--cap", type=float, default=10.0, help="seconds that one run of a peer may take (10)")
    add("--shapes", type=int, nargs="+", help="which shapes, counted from 0 (all)")
    add("--quick", action="store_true", help="the smallest shapes, one repeat, no file")
    add("--output", type=Path, help="the file to write (docs/bench_arrays.csv)")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.repeats, arguments.shapes = 1, [0, 3, 9]
    elif arguments.output is None:
        arguments.output = Path("docs/bench_arrays.csv")
    arguments.shapes = arguments.shapes or range(len(SHAPES))
    return arguments


def make_problem(correlation, n_samples, n_features, n_targets, n_orient, n_active):
    """Draw a regression of this shape, whose ``X`` is in Fortran order."""
    import numpy as np
    from peers import Problem

    from skmxne.datasets import make_block_sparse_regression

    X, y = make_block_sparse_regression(
        n_samples,
        n_features // n_orient,
        n_orient=n_orient,
        n_targets=n_targets,
        n_active=n_active,
        correlation=correlation,
        noise=1.0,
        random_state=0,
    )
    name = f"{n_samples} x {n_features} x {n_targets}, blocks of {n_orient}, {correlation:g}"
    return Problem(name, np.asfortranarray(X), y.reshape(n_samples, n_targets), n_orient)


def measure(arguments):
    """Yield a row of the table for each shape and alpha."""
    from measuring import Tuner
    from peers import CONTENDERS, OURS

    tuner = Tuner(arguments.cap, arguments.threads)
    names = [OURS, *arguments.peers]
    for shape in [(0.5, 40, 200, 1, 1, 3), (0.5, 40, 200, 3, 1, 3), (0.5, 40, 200, 1, 2, 3)]:
        problem = make_problem(*shape)  # compiles, and starts the threads
        for name in names:
            if CONTENDERS[name].can_solve(problem):
                CONTENDERS[name].solve(problem, 60.0, 1e-2)
    for index in arguments.shapes:
        problem = make_problem(*SHAPES[index])
        for alpha in ALPHAS:
            cell = tuner.measure(names, problem, alpha, GAP, arguments.repeats)
            row = make_row(cell, SHAPES[index][0], arguments)
            print(*row.values(), sep="\t", file=sys.stderr, flush=True)
            yield row


def make_row(cell, correlation, arguments):
    """Make the row of a cell: our milliseconds, and the ratio of each peer with its range."""
    from equal_gap import find_ratios, is_too_slow
    from peers import CONTENDERS, OURS
    from presenting import format_ratios

    n_samples, n_features = cell.problem.X.shape
    values = n_samples, n_features, cell.problem.y.shape[1], cell.problem.n_orient
    values += correlation, f"{cell.alpha:g}", cell.runs[OURS].n_active
    row = dict(zip(SHAPE_COLUMNS, values, strict=True))
    row["skmxne, ms"] = f"{1e3 * statistics.median(cell.seconds[OURS]):.3g}"
    for name in arguments.peers:
        entry = ""
        if name in cell.runs:
            ratios = find_ratios(arguments.cap, cell, name)
            bound = "> " if is_too_slow(cell, name) else ""
            entry = bound + format_ratios(ratios) if ratios else f"gap {cell.runs[name].gap:.1e}"
        row[CONTENDERS[name].label] = entry
    return row


def read_ratio(entry):
    """Read the ratio of an entry of the table; None where there is none."""
    words = entry.removeprefix("> ").split()
    return float(words[0]) if words and words[0] != "gap" else None


def print_means(rows):
    """Print the geometric means of the ratios, and how often skmxne is the slower one."""
    labels = [label for label in rows[0] if label not in (*SHAPE_COLUMNS, "skmxne, ms")]
    found = {label: [read_ratio(row[label]) for row in rows] for label in labels}
    found["the fastest of them"] = [
        min((ratio for ratio in ratios if ratio is not None), default=None)
        for ratios in zip(*found.values(), strict=True)
    ]
    for label, ratios in found.items():
        ratios = [ratio for ratio in ratios if ratio is not None]
        if ratios:
            n_slower = sum(ratio < 1 for ratio in ratios)
            print(
                f"{label}: {statistics.geometric_mean(ratios):.3g} times as long as skmxne over "
                f"{len(ratios)} of {len(rows)}; skmxne is slower {n_slower} times, at most "
                f"{1 / min(ratios):.2g} times"
            )


def write_table(path, rows):
    """Write the rows that there are."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def main():
    """Fix the number of threads before NumPy is imported, then measure."""
    arguments = parse_arguments()
    for library in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
        os.environ[f"{library}_NUM_THREADS"] = str(arguments.threads)
    warnings.simplefilter("ignore")
    rows = []
    for row in measure(arguments):
        rows.append(row)
        if arguments.output:
            write_table(arguments.output, rows)
    print_means(rows)


if __name__ == "__main__":
    main()
