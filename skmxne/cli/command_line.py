"""The command `skmxne`: find the sources of a recording, without Python code.

Exit codes: 0 success, 1 files or data that cannot be used, or standard output that cannot be
written to, 2 invalid arguments, 130 interrupted, 128 plus the number of another signal.
"""

import argparse
import math
import re
import sys
from pathlib import Path

from .. import __version__
from .terminal import check_current_folder, end_by_signals, explain, tell, to_line, to_readable

CHOICES_OF_ALPHA = "ric", "bic", "sure", "gcv", "discrepancy", "cv"
# Types of channels that can have a rank.
_TYPES = "meg", "mag", "grad", "eeg"
# A negative number, or an attempt at one. No option looks like this.
_NEGATIVE = re.compile(r"\s*-(\.?\d|inf|nan)", re.IGNORECASE)


def main(arguments=None):
    """Run the command."""
    parser = _make_parser()
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        arguments = parser.parse_args(_protect_numbers(arguments))
        arguments.check(arguments)
    except SystemExit as stop:  # argparse has printed the reason
        return stop.code
    try:
        with end_by_signals():
            text = arguments.run(arguments)
    except (KeyboardInterrupt, SystemExit) as stop:
        tell(sys.stderr, "skmxne: interrupted, nothing was written.\n")
        return getattr(stop, "code", 130)
    except Exception as error:
        if arguments.debug:
            raise
        tell(sys.stderr, f"skmxne: error: {explain(error)}\n")
        return 1
    output = getattr(arguments, "output", None)
    return _print(text, f"The results are complete, in {output}." if output else "")


def _print(text, note=""):
    """Write to standard output and return the exit code; if it fails, print why, and a note."""
    error = tell(sys.stdout, text)
    if error is None:
        return 0
    reason = error.strerror or error
    line = to_line(f"standard output cannot be written to: {reason}. {note}")
    tell(sys.stderr, f"skmxne: error: {line}\n")
    return 1


def _protect_numbers(arguments):
    """Put a space before negative numbers, so that argparse takes any notation for a value.

    `_read_text` removes it again.
    """
    return [f" {argument}" if _NEGATIVE.match(argument) else argument for argument in arguments]


def _read_text(text):
    """Read an argument as it was given, without the space of `_protect_numbers`."""
    return text[1:] if text[:1] == " " and _NEGATIVE.match(text) else text


def _read_name(text):
    """Read an argument that is compared with names in files."""
    return to_readable(_read_text(text))


def _make_parser():
    """Make the parser of all commands."""
    parser = argparse.ArgumentParser("skmxne", description="Sparse M/EEG source imaging.")
    parser.add_argument("--version", action="version", version=f"skmxne {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    localize = commands.add_parser(
        "localize",
        help="find the sources of averages or epochs",
        description="Find the sources of averages or epochs and write source estimate (.stc), "
        "dipoles, residual, figures and a report to a folder. Without files, a simulated recording "
        "is used.",
        epilog="Exit codes: 0 success, 1 files or data that cannot be used, or standard output "
        "that cannot be written to, 2 invalid arguments.",
    )
    _add_files(localize.add_argument_group("files, in the formats of MNE"))
    _add_data_options(localize.add_argument_group("data"))
    _add_model_options(localize.add_argument_group("model"))
    _add_debug(localize)
    localize.set_defaults(run=_localize, check=lambda a: _check_localize(localize, a))
    info = commands.add_parser("sys-info", help="print the versions of all packages")
    _add_debug(info)
    info.set_defaults(run=_tell_versions, check=lambda _: None)
    return parser


def _add_debug(parser):
    parser.add_argument("--debug", action="store_true", help="show where an error is in the code")


def _add_files(group):
    data = group.add_mutually_exclusive_group()
    data.add_argument("--evoked", metavar="FILE", type=_read_text, help="averages (-ave.fif)")
    data.add_argument(
        "--epochs",
        metavar="FILE",
        type=_read_text,
        help="epochs (-epo.fif) instead of averages: p-values and --alpha cv then use the trials",
    )
    group.add_argument(
        "--forward", metavar="FILE", type=_read_text, help="forward solution (-fwd.fif)"
    )
    group.add_argument(
        "--noise-cov",
        metavar="FILE",
        type=_read_text,
        help="noise covariance of single trials (-cov.fif)",
    )
    group.add_argument(
        "--subjects-dir",
        metavar="DIR",
        type=_read_text,
        help="FreeSurfer's folder of subjects, for labels and MNI coordinates",
    )
    group.add_argument(
        "--output",
        metavar="DIR",
        type=_read_text,
        required=True,
        help="folder to write to; it appears when all results are complete",
    )
    group.add_argument(
        "--overwrite", action="store_true", help="replace the folder if it has only earlier results"
    )


def _add_data_options(group):
    group.add_argument(
        "--condition",
        nargs="+",
        type=_read_name,
        metavar="NAME",
        help="which averages of the file, by name or by number counted from 0: several make one "
        "joint model, with the same positions for all (default: the only one); or event types of "
        "the epochs, averaged together (default: all)",
    )
    group.add_argument(
        "--picks",
        nargs="+",
        type=_read_name,
        metavar="PICK",
        help="types of channels: meg, mag, grad or eeg (default: all)",
    )
    group.add_argument(
        "--tmin",
        type=_make_number_type("auto", "none"),
        default="auto",
        help="start in s, none for the first time (default: auto, 0 or, if it is later, the first "
        "time)",
    )
    group.add_argument(
        "--tmax",
        type=_make_number_type("none"),
        default="none",
        help="end in s (default: %(default)s, the last time)",
    )
    baseline = group.add_mutually_exclusive_group()
    baseline.add_argument(
        "--baseline",
        nargs=2,
        type=_make_number_type("none"),
        metavar=("START", "END"),
        help="period in s whose mean is subtracted; none for START is the first time, for END the "
        "last (default: none 0, or no baseline if the file says that one has been subtracted)",
    )
    baseline.add_argument("--no-baseline", action="store_true", help="do not subtract a baseline")
    group.add_argument(
        "--rank",
        nargs="+",
        type=_read_name,
        metavar="RANK",
        help="rank of the noise covariance: info, as stored in the recording (after Maxwell "
        "filtering), full, or types with numbers, such as meg=70 eeg=58 (default: estimated)",
    )


def _add_model_options(group):
    group.add_argument(
        "--loose",
        type=_make_number_type("auto", low=0, high=1),
        default="auto",
        help="0 fixed to 1 free orientation (default: auto, 0.2 if all is surface, else 1)",
    )
    group.add_argument(
        "--depth",
        type=_make_number_type("none", low=0, high=10),
        default=0.8,
        help="exponent of depth weighting, 0 or none for no weighting (default: %(default)s)",
    )
    group.add_argument(
        "--alpha",
        type=_make_number_type(*CHOICES_OF_ALPHA, low=0, high=99.999),
        default="ric",
        metavar="|".join([*CHOICES_OF_ALPHA, "NUMBER"]),
        help="how sparse: the method that chooses alpha, or a percentage; 100 would give no "
        "source (default: %(default)s)",
    )
    group.add_argument(
        "--n-mxne-iter",
        type=_make_number_type(number=int),
        default=10,
        metavar="N",
        help="maximum number of reweighting iterations, 1 for none (default: %(default)s)",
    )


def _make_number_type(*words, low=-math.inf, high=math.inf, number=float):
    """Make a function that reads a number in a range, or one of some words in any case."""

    def read(text):
        text = _read_text(text)
        if text.lower() in words:
            return text.lower()
        try:
            value = number(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            kind = "a whole number" if number is int else "a number"
            expected = " or ".join([", ".join([kind, *words[:-1]]), *words[-1:]])
            raise argparse.ArgumentTypeError(f"{to_line(text)} is not {expected}")
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} is not between {low:g} and {high:g}")
        return value

    return read


def _read_rank(words):
    """Return a rank as `from_evoked` takes it."""
    if words is None:
        return None
    words = [word.lower() for word in words]
    if len(words) == 1 and words[0] in ("info", "full"):
        return words[0]
    ranks = {}
    for word in words:
        kind, _, number = word.partition("=")
        if kind not in _TYPES or not re.fullmatch("0*[1-9][0-9]*", number):
            raise ValueError(
                f"{word} is not a rank: give info, full, or types ({', '.join(_TYPES)}) with "
                "numbers, such as meg=70 eeg=58"
            )
        if kind in ranks:
            raise ValueError(f"{kind} has two ranks: give one")
        ranks[kind] = int(number)
    return ranks


def _check_localize(parser, arguments):
    """End with a message if options do not fit one another."""
    data = "--epochs" if arguments.epochs is not None else "--evoked"
    files = arguments.epochs or arguments.evoked, arguments.forward, arguments.noise_cov
    names = arguments.evoked, arguments.epochs, *files, arguments.subjects_dir, arguments.output
    if "" in names:
        parser.error("the name of a file or folder is empty")
    options = dict(zip([data, "--forward", "--noise-cov"], files, strict=True))
    missing = [option for option, file in options.items() if not file]
    if any(files) and missing:
        lacking = " and ".join(missing)
        parser.error(f"{data}, --forward and --noise-cov go together: {lacking} missing")
    arguments.output = Path(arguments.output)
    for name, value in [
        ("--condition", arguments.condition),
        ("--subjects-dir", arguments.subjects_dir),
    ]:
        if value is not None and not any(files):
            parser.error(f"{name} needs files: give --evoked or --epochs, too")
    periods = {"--baseline": arguments.baseline, "--tmin, --tmax": (arguments.tmin, arguments.tmax)}
    for name, (start, stop) in {name: period for name, period in periods.items() if period}.items():
        if not isinstance(start, str) and not isinstance(stop, str) and not start <= stop:
            parser.error(f"{name}: {start:zg} is not before {stop:zg}")
    if arguments.n_mxne_iter < 1:
        parser.error("--n-mxne-iter must be at least 1")
    try:
        arguments.rank_to_use = _read_rank(arguments.rank)
    except ValueError as error:
        parser.error(f"--rank: {error}")


def _tell_versions(_):
    """Return the versions of all packages."""
    from .versions import collect_versions

    return "".join(f"{name:14} {version}\n" for name, version in collect_versions().items())


def _localize(arguments):
    """Find the sources of a recording."""
    check_current_folder()
    from .localize import localize

    return localize(arguments)
