"""The command `skmxne`: the sources of a recording, without a line of Python.

Exit codes: 0 all is well, 1 the files or what is in them do not allow for it, or standard output
cannot be written to, 2 the arguments are not valid in themselves, 130 interrupted, 128 plus its
number after another signal.
"""

import argparse
import math
import re
import sys
import warnings
from pathlib import Path

from .. import __version__
from .terminal import (
    check_current_folder,
    end_by_signals,
    explain,
    tell,
    to_line,
    to_readable,
)

_CRITERIA = "ric", "bic", "sure", "gcv", "discrepancy", "cv"
# Types of channels that a rank can be of.
_TYPES = "meg", "mag", "grad", "eeg"
# What is a negative number, or meant as one. No option looks so.
_NEGATIVE = re.compile(r"\s*-(\.?\d|inf|nan)", re.IGNORECASE)
# Sources that are printed; the report has all.
_MOST_ROWS = 20


def main(arguments=None):
    """Run the command."""
    parser = _make_parser()
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        arguments = parser.parse_args(_protect_numbers(arguments))
        arguments.check(arguments)
    except SystemExit as stop:  # of argparse, which has said why
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
    """Write to standard output, and return the exit code; say why, and a note, if it fails."""
    error = tell(sys.stdout, text)
    if error is None:
        return 0
    reason = error.strerror or error
    line = to_line(f"standard output cannot be written to: {reason}. {note}")
    tell(sys.stderr, f"skmxne: error: {line}\n")
    return 1


def _protect_numbers(arguments):
    """Put a space before negative numbers, which argparse then takes for values in any notation.

    Whatever looks so gets one, so that what is read can be without it again.
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
        help="find the sources of an average",
        description="Find the sources of an average and write source estimate (.stc), dipoles, "
        "residual, figures and a report to a folder. Without files, of a simulated recording.",
        epilog="Exit codes: 0 all is well, 1 the files or what is in them do not allow for it, or "
        "standard output cannot be written to, 2 the arguments are not valid in themselves.",
    )
    _add_files(localize.add_argument_group("files, in the formats of MNE"))
    _add_data_options(localize.add_argument_group("data"))
    _add_model_options(localize.add_argument_group("model"))
    _add_debug(localize)
    localize.set_defaults(run=_localize, check=lambda a: _check_localize(localize, a))
    info = commands.add_parser("sys-info", help="tell the versions of what is installed")
    _add_debug(info)
    info.set_defaults(run=_tell_versions, check=lambda _: None)
    return parser


def _add_debug(parser):
    parser.add_argument("--debug", action="store_true", help="show where in the code an error is")


def _add_files(group):
    group.add_argument("--evoked", metavar="FILE", type=_read_text, help="averages (-ave.fif)")
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
        "--output",
        metavar="DIR",
        type=_read_text,
        required=True,
        help="folder to write to, which appears once all is written",
    )
    group.add_argument(
        "--overwrite", action="store_true", help="replace earlier results, nothing else, in it"
    )


def _add_data_options(group):
    group.add_argument(
        "--condition",
        type=_read_name,
        metavar="NAME|NUMBER",
        help="which average of the file, if it has several: its name, or its number counted from 0",
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
        help="start in s, none for the first time (default: auto, 0 or the first time if it is "
        "later)",
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
        "last (default: none 0, or no baseline if the file says that this has been done)",
    )
    baseline.add_argument("--no-baseline", action="store_true", help="subtract none")
    group.add_argument(
        "--rank",
        nargs="+",
        type=_read_name,
        metavar="RANK",
        help="rank of the noise covariance: info, as the recording says (after Maxwell filtering), "
        "full, or types with numbers, such as meg=70 eeg=58 (default: estimated)",
    )


def _add_model_options(group):
    group.add_argument(
        "--loose",
        type=_make_number_type("auto", low=0, high=1),
        default="auto",
        help="0 fixed to 1 free orientation (default: auto, 0.2 on surfaces and 1 in volumes)",
    )
    group.add_argument(
        "--depth",
        type=_make_number_type("none", low=0, high=10),
        default=0.8,
        help="exponent of depth weighting, 0 or none for none (default: %(default)s)",
    )
    group.add_argument(
        "--alpha",
        type=_make_number_type(*_CRITERIA, low=0, high=99.999),
        default="ric",
        metavar="|".join([*_CRITERIA, "NUMBER"]),
        help="how sparse: what chooses it, or a percentage, at 100 of which nothing would be "
        "left (default: %(default)s)",
    )
    group.add_argument(
        "--n-mxne-iter",
        type=_make_number_type(number=int),
        default=10,
        metavar="N",
        help="iterations of reweighting, 1 for none (default: %(default)s)",
    )


def _make_number_type(*words, low=-math.inf, high=math.inf, number=float):
    """Make a function that reads a number between two others, or one of some words in any case."""

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
    files = arguments.evoked, arguments.forward, arguments.noise_cov
    if "" in (*files, arguments.output):
        parser.error("the name of a file or folder is empty")
    if any(files) and not all(files):
        parser.error("--evoked, --forward and --noise-cov go together")
    arguments.output = Path(arguments.output)
    if arguments.condition is not None and not any(files):
        parser.error("--condition is for files, give --evoked, too")
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
    """Return the versions of what is installed."""
    from .versions import collect_versions

    return "".join(f"{name:14} {version}\n" for name, version in collect_versions().items())


def _describe_alpha(model, given):
    """Return the alpha of a model, and what has chosen it."""
    if given not in _CRITERIA:
        return f"{model.alpha:g} %"
    chosen = getattr(model, "path_alpha_", model.alpha_)
    searched = "" if chosen == model.alpha_ else f" and {model.alpha_:.3g} % after its search"
    return f"{chosen:.3g} % by {given}{searched}"


def _localize(arguments):
    """Find the sources of a recording, write them, and return what to tell of them."""
    from .report import describe_data, make_source_table, save_figures, save_report, summarize
    from .result_files import atomic_directory, save_sources

    check_current_folder()
    with atomic_directory(arguments.output, arguments.overwrite) as folder:
        evoked, problem, model, notes = _fit_and_warn(arguments)
        confidence = _judge(problem, model, notes)
        sources = problem.list_sources(model, confidence)
        dipoles = sorted(problem.to_dipoles(model), key=lambda dipole: -abs(dipole.amplitude).max())
        residual = problem.to_residual(model)
        alpha = _describe_alpha(model, arguments.alpha)
        summary = [summarize(problem, model, alpha), *getattr(model, "remarks_", [])]
        title = f"Sources of {evoked.comment!r}"
        settings = _describe(arguments) | describe_data(evoked, problem)
        save_sources(folder, sources, problem.to_source_estimate(model), dipoles, residual)
        save_figures(folder, problem, model, confidence, evoked, residual)
        save_report(folder, title, " ".join(summary), sources, settings, notes)
    lines = summary
    for row in make_source_table(sources[:_MOST_ROWS]) if sources else []:
        lines.append("  ".join(f"{cell:>11}" for cell in row))
    if len(dipoles) > _MOST_ROWS:
        lines.append(f"... and {len(dipoles) - _MOST_ROWS} more, see the report.")
    lines.append(f"Written to {arguments.output}, see {arguments.output / 'report.html'}")
    return "\n".join(lines) + "\n"


def _judge(problem, model, notes):
    """Return the confidence of a model, unless it has too many sources, which is told."""
    try:
        return problem.compute_confidence(model)
    except ValueError as error:
        notes.append(f"No regions and no p-values. {to_line(error)}")
        tell(sys.stderr, f"skmxne: warning: {notes[-1]}\n")
        return None


def _fit_and_warn(arguments):
    """Fit, and tell what warnings there are in the words of this command."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            evoked, problem, model = _fit(arguments)
        finally:
            of_interest = UserWarning | RuntimeWarning  # others are for developers
            caught = [warning for warning in caught if issubclass(warning.category, of_interest)]
            notes = [*dict.fromkeys(to_line(warning.message) for warning in caught)]
            for note in notes:
                tell(sys.stderr, f"skmxne: warning: {note}\n")
    return evoked, problem, model, notes


def _fit(arguments):
    """Make the problem and fit the model."""
    from ..inverse.problem import InverseProblem
    from .recording_files import crop_evoked, prepare_evoked, read_recording

    if arguments.evoked:
        files = arguments.evoked, arguments.forward, arguments.noise_cov
        evoked, forward, noise_cov = read_recording(*files, arguments.condition)
    else:
        from ..datasets import make_recording

        recording = make_recording()
        evoked, forward, noise_cov = recording.evoked, recording.forward, recording.noise_cov
    baseline = "auto"
    if arguments.no_baseline:
        baseline = None
    elif arguments.baseline:
        baseline = [_find_number(value) for value in arguments.baseline]
    whole = prepare_evoked(evoked, baseline=baseline, picks=arguments.picks)
    evoked = crop_evoked(whole, _find_number(arguments.tmin), _find_number(arguments.tmax))
    problem = InverseProblem.from_evoked(
        *(whole, forward, noise_cov),
        loose=arguments.loose,
        depth=_find_number(arguments.depth),
        rank=arguments.rank_to_use,
        tmin=evoked.times[0],
        tmax=evoked.times[-1],
    )
    if arguments.alpha not in _CRITERIA and 0 < arguments.alpha < 1:
        warnings.warn(
            f"--alpha {arguments.alpha:g} is less than one percent. If you meant a share of 1, "
            f"give --alpha {100 * arguments.alpha:g}.",
            UserWarning,
            stacklevel=1,
        )
    model = _make_model(arguments.alpha)
    options = dict(n_orient=problem.n_orient, n_mxne_iter=arguments.n_mxne_iter)
    model.set_params(**options, verbose=True)  # a progress bar, where a person watches
    return evoked.pick(problem.ch_names), problem, model.fit(problem.X, problem.y)


def _find_number(value):
    """Return what `value` means in Python, where "none" is None."""
    return None if value == "none" else value


def _make_model(alpha):
    """Make the model that `--alpha` asks for."""
    from ..linear_model.mixed_norm import MixedNormEstimator
    from ..model_selection.cross_validation import MixedNormCV
    from ..model_selection.information_criterion import MixedNormIC

    if alpha == "cv":
        return MixedNormCV()
    return MixedNormIC(criterion=alpha) if alpha in _CRITERIA else MixedNormEstimator(alpha)


def _describe(arguments):
    """Return what was asked for and the problem does not tell, in words."""
    settings = {
        "picks": " ".join(arguments.picks or ["all"]),
        "rank": " ".join(arguments.rank or ["estimated"]),
    }
    for name in ("evoked", "forward", "noise_cov", "depth", "alpha", "n_mxne_iter"):
        value = getattr(arguments, name)
        value = "simulated recording" if value is None else to_readable(str(value))
        settings[name.replace("_", "-")] = value
    return settings
