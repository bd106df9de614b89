"""How fast `skmxne.mixed_norm` and its preparation are, next to `mne.inverse_sparse.mixed_norm`.

``python benchmarks/bench_adapter.py > report.md`` prints Markdown. It needs the folder of the
recorded data in ``SKMXNE_SAMPLE_DIR``. Both functions get the same objects and the same number of
BLAS threads; MNE's is timed on one thread, too, where it may be faster. ``--quick`` shows in a
minute that all of it runs.
"""

import argparse
import os
import sys

SECTIONS = ("preparation", "memory", "whole", "criteria", "selection", "validation")


def parse_arguments():
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--repeats", type=int, help="rounds, in which both take turns (5)")
    add("--threads", type=int, default=2, help="threads of BLAS (2)")
    add("--sections", nargs="*", choices=SECTIONS, default=SECTIONS, help="what to measure (all)")
    add(
        "--cap", type=float, default=200.0, help="seconds that MNE's choice of alpha may take (200)"
    )
    add("--quick", action="store_true", help="483 positions instead of 7783, one repeat")
    arguments = parser.parse_args()
    arguments.repeats = arguments.repeats or (1 if arguments.quick else 5)
    if "SKMXNE_SAMPLE_DIR" not in os.environ:
        sys.exit("Set SKMXNE_SAMPLE_DIR to the folder of the recorded data.")
    return arguments


def main():
    """Fix the number of threads before NumPy is imported, then measure."""
    arguments = parse_arguments()
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{library}_NUM_THREADS"] = str(arguments.threads)
    from adapter_sections import print_report

    print_report(arguments)


if __name__ == "__main__":
    main()
