"""Compare the speed of solvers on M/EEG problems, at the same duality gap.

``OMP_NUM_THREADS=2 python benchmarks/bench_solvers.py`` prints CSV: the milliseconds of skmxne, and
the time of each peer divided by ours, as median [smallest, largest] over the rounds. It needs
``pip install .[bench]``. If ``SKMXNE_SAMPLE_DIR`` names the folder of the sample data, the problems
are recorded; otherwise they are simulated. ``--quick`` is a test run of one minute.
"""

import argparse
import os
import sys

from equal_gap import Comparison, print_means
from measuring import print_rows
from peers import CONTENDERS, OURS, make_recorded, make_simulated, warm_up
from recorded import read_response


def parse_arguments():
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    peers = [name for name in CONTENDERS if name != OURS]
    add("--peers", nargs="*", choices=peers, default=["mne", "sklearn", "skglm"])
    add("--gaps", type=float, nargs="+", default=[1e-4, 1e-6, 1e-8], help="relative gaps")
    add("--alphas", type=float, nargs="+", default=[60, 40, 20, 10], help="in percent")
    add("--repeats", type=int, default=3, help="rounds, in which contenders take turns (3)")
    add("--cap", type=float, default=120.0, help="seconds that one run of a peer may take (120)")
    add("--quick", action="store_true", help="483 positions, alpha 60, gap 1e-4, one round")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.gaps, arguments.alphas, arguments.repeats = [1e-4], [60], 1
    return arguments


def main():
    """Compare on recorded problems, or on simulated ones of the same size."""
    arguments = parse_arguments()
    n_positions = 483 if arguments.quick else 7783
    if os.environ.get("SKMXNE_SAMPLE_DIR"):
        problems = make_recorded(read_response(n_positions=n_positions))
    else:
        problems = make_simulated(n_positions)
    warm_up([OURS, *arguments.peers])
    comparison = Comparison(arguments.peers, arguments.repeats, arguments.cap)
    named = [({"problem": problem.name}, problem) for problem in problems]
    rows = print_rows(comparison.compare(named, arguments.alphas, arguments.gaps))
    for gap in arguments.gaps:
        print(f"\ngap {gap:g}", file=sys.stderr)
        print_means([row for row in rows if float(row["gap"]) == gap], arguments.peers)


if __name__ == "__main__":
    main()
