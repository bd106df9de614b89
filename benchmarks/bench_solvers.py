"""How fast the solver is, next to MNE, scikit-learn and skglm at the same certified gap.

``python benchmarks/bench_solvers.py > report.md`` prints Markdown and saves figures. It needs
``pip install .[bench]``; the recorded problems need the folder of the sample data in
``SKMXNE_SAMPLE_DIR`` (without, the problems are simulated). What is timed of each contender is
said in `peers.py`, how in `measuring.py`. ``--quick`` shows in a minute that all of it runs.
"""

import argparse
import os
from pathlib import Path

SECTIONS = ("first", "solvers", "whole", "memory", "reweighting", "path", "imports", "figure")


def parse_arguments():
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--repeats", type=int, help="rounds, in which contenders take turns (3)")
    add("--threads", type=int, default=2, help="threads of BLAS and numba (2)")
    add("--gaps", type=float, nargs="+", help="relative duality gaps (1e-4 1e-6 1e-8)")
    add("--alphas", type=float, nargs="+", help="in percent (60 40 20 10)")
    peers = ["mne", "sklearn", "skglm"]
    others = "celer", "adelie", "adelie-zero"  # adelie: pip install --no-deps adelie
    add("--peers", nargs="*", choices=[*peers, *others], default=peers, help="whom to compare with")
    kinds = ("recorded", "simulated")
    add("--problems", nargs="+", choices=kinds, default=kinds, help="which problems (both)")
    add("--sections", nargs="*", choices=SECTIONS, default=SECTIONS, help="what to measure (all)")
    add("--scaling", action="store_true", help="also measure how time grows with size")
    add("--output", type=Path, default=Path("bench-output"), help="folder of the figures")
    add("--cap", type=float, default=120.0, help="seconds that one run of a peer may take (120)")
    add(
        "--same-threads",
        action="store_true",
        help="run peers on all BLAS threads, also where they are faster on one",
    )
    add("--quick", action="store_true", help="small problems, few settings, one repeat")
    add("--first-call", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.repeats = arguments.repeats or (1 if arguments.quick else 3)
    arguments.gaps = arguments.gaps or ([1e-4] if arguments.quick else [1e-4, 1e-6, 1e-8])
    arguments.alphas = arguments.alphas or ([60.0, 20.0] if arguments.quick else [60, 40, 20, 10])
    return arguments


def main():
    """Fix the number of threads before NumPy is imported, then measure."""
    arguments = parse_arguments()
    for library in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
        os.environ[f"{library}_NUM_THREADS"] = str(arguments.threads)
    if arguments.first_call:
        from measuring import time_first_calls

        print(*time_first_calls(arguments.first_call, 483 if arguments.quick else 7783))
        return
    from sections import print_report

    print_report(arguments, Path(__file__))


if __name__ == "__main__":
    main()
