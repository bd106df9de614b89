"""Compare the speed of fits to arrays of many shapes with peers, at the same duality gap.

``OMP_NUM_THREADS=2 python benchmarks/bench_arrays.py --output docs/bench_arrays.csv`` takes a
quarter of an hour, writes a table, and prints the means. It needs ``pip install .[bench]`` and
``pip install --no-deps adelie``: adelie requires an older NumPy, but works with newer ones.
``--quick`` is a test run of one minute.
"""

import argparse
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from equal_gap import Comparison, print_means
from measuring import print_rows
from peers import OURS, Problem, warm_up

from skmxne.datasets import make_block_sparse_regression

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
PEERS = ["sklearn", "skglm", "celer", "adelie"]


def parse_arguments():
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--peers", nargs="*", choices=[*PEERS, "adelie-zero", "mne"], default=PEERS)
    add("--repeats", type=int, default=3, help="rounds, in which contenders take turns (3)")
    add("--cap", type=float, default=10.0, help="seconds that one run of a peer may take (10)")
    add("--quick", action="store_true", help="three of the small shapes, one round")
    add("--output", type=Path, help="the file to write (standard output)")
    return parser.parse_args()


def make_problem(correlation, n_samples, n_features, n_targets, n_orient, n_active):
    """Draw a regression; return the first columns of its row, and the problem."""
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
    labels = {
        "samples": n_samples,
        "features": n_features,
        "targets": n_targets,
        "block": n_orient,
        "correlation": correlation,
    }
    problem = Problem("arrays", np.asfortranarray(X), y.reshape(n_samples, n_targets), n_orient)
    return labels, problem


def main():
    """Compare the solvers on all shapes."""
    arguments = parse_arguments()
    shapes = [SHAPES[k] for k in (0, 3, 9)] if arguments.quick else SHAPES
    n_repeats = 1 if arguments.quick else arguments.repeats
    warm_up([OURS, *arguments.peers])
    comparison = Comparison(arguments.peers, n_repeats, arguments.cap)
    problems = (make_problem(*shape) for shape in shapes)
    with arguments.output.open("w") if arguments.output else nullcontext(sys.stdout) as file:
        rows = print_rows(comparison.compare(problems, ALPHAS, [GAP]), file)
    print_means(rows, arguments.peers)


if __name__ == "__main__":
    main()
