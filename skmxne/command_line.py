"""The command `skmxne`: the sources of a recording, without a line of Python.

Exit codes: 0 all is well, 1 the files or what is in them do not allow for it, 2 the arguments are
not valid in themselves, 130 interrupted, 128 plus its number after another signal.
"""

import argparse
import sys
import warnings
from pathlib import Path

from . import __version__
from .terminal import advise, end_by_signals, tell, to_line

_CRITERIA = "ric", "bic", "sure", "gcv", "discrepancy", "cv"
# Sources that are printed; the report has all.
_MOST_ROWS = 20


def main(arguments=None):
    """Run the command.

    Parameters
    ----------
    arguments : list of str, default=None
        The arguments. None: those of the process.

    Returns
    -------
    code : int
        The exit code.
    """
    parser = _make_parser()
    try:
        arguments = parser.parse_args(arguments)
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
        kind = "" if isinstance(error, ValueError | OSError) else f"{type(error).__name__}: "
        tell(sys.stderr, f"skmxne: error: {kind}{to_line(error)}\n")
        return 1
    tell(sys.stdout, text)
    return 0


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
        epilog="Exit codes: 0 all is well, 1 the files or what is in them do not allow for it, "
        "2 the arguments are not valid in themselves.",
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
    group.add_argument("--evoked", metavar="FILE", help="averaged data (-ave.fif)")
    group.add_argument("--forward", metavar="FILE", help="forward solution (-fwd.fif)")
    group.add_argument(
        "--noise-cov", metavar="FILE", help="noise covariance of single trials (-cov.fif)"
    )
    group.add_argument(
        "--output",
        metavar="DIR",
        required=True,
        help="folder to write to, which appears once all is written",
    )
    group.add_argument(
        "--overwrite", action="store_true", help="replace earlier results, nothing else, in it"
    )


def _add_data_options(group):
    group.add_argument("--condition", help="which average of the file, if it has several")
    group.add_argument(
        "--picks",
        nargs="+",
        metavar="PICK",
        help="types of channels: meg, mag, grad or eeg (default: all)",
    )
    group.add_argument(
        "--tmin", type=float, help="start in s (default: 0, or the first time if it is later)"
    )
    group.add_argument("--tmax", type=float, help="end in s (default: the last time)")
    baseline = group.add_mutually_exclusive_group()
    baseline.add_argument(
        "--baseline",
        nargs=2,
        type=float,
        metavar=("START", "END"),
        help="period in s whose mean is subtracted (default: up to 0, or none if the file says "
        "that this has been done)",
    )
    baseline.add_argument("--no-baseline", action="store_true", help="subtract none")


def _add_model_options(group):
    group.add_argument(
        "--loose",
        type=_make_number_type(0, 1, "auto"),
        default="auto",
        help="0 fixed to 1 free orientation (default: auto, 0.2 on surfaces and 1 in volumes)",
    )
    group.add_argument(
        "--depth",
        type=_make_number_type(0, 10),
        default=0.8,
        help="exponent of depth weighting, 0 for none (default: %(default)s)",
    )
    group.add_argument(
        "--alpha",
        type=_make_number_type(0, 99.999, *_CRITERIA),
        default="ric",
        metavar="|".join([*_CRITERIA, "NUMBER"]),
        help="how sparse: what chooses it, or a percentage, at 100 of which nothing would be "
        "left (default: %(default)s)",
    )
    group.add_argument(
        "--n-mxne-iter",
        type=int,
        default=10,
        metavar="N",
        help="iterations of reweighting, 1 for none (default: %(default)s)",
    )


def _make_number_type(low, high, *words):
    """Make a function that reads a number between two others, or one of some words."""

    def read(text):
        if text in words:
            return text
        value = float(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} is not between {low:g} and {high:g}")
        return value

    read.__name__ = " or ".join(["number", *words])  # what argparse calls it
    return read


def _check_localize(parser, arguments):
    """End with a message if options do not fit one another."""
    files = arguments.evoked, arguments.forward, arguments.noise_cov
    if "" in (*files, arguments.output):
        parser.error("the name of a file or folder is empty")
    if any(files) and not all(files):
        parser.error("--evoked, --forward and --noise-cov go together")
    arguments.output = Path(arguments.output)
    if arguments.condition and not any(files):
        parser.error("--condition is for files, give --evoked, too")
    periods = {"--baseline": arguments.baseline, "--tmin, --tmax": (arguments.tmin, arguments.tmax)}
    for name, (start, stop) in {name: each for name, each in periods.items() if each}.items():
        if None not in (start, stop) and not start <= stop:
            parser.error(f"{name}: {start:g} is not before {stop:g}")
    if arguments.n_mxne_iter < 1:
        parser.error("--n-mxne-iter must be at least 1")


def _tell_versions(_):
    """Return the versions of what is installed."""
    from .versions import collect_versions

    return "".join(f"{name:14} {version}\n" for name, version in collect_versions().items())


def _localize(arguments):
    """Find the sources of a recording, write them, and return what to tell of them."""
    from .report import describe_data, make_source_table, save_figures, save_report, summarize
    from .result_files import save_sources, write_whole

    with write_whole(arguments.output, arguments.overwrite) as folder:
        evoked, problem, model, notes = _fit_and_warn(arguments)
        dipoles = sorted(problem.to_dipoles(model), key=lambda each: -abs(each.amplitude).max())
        residual = problem.to_residual(model)
        is_chosen = arguments.alpha in _CRITERIA
        alpha = f"{model.alpha_:.3g} % by {arguments.alpha}" if is_chosen else f"{model.alpha:g} %"
        summary = summarize(problem, model, alpha)
        title = f"Sources of {evoked.comment!r}"
        settings = _describe(arguments) | describe_data(evoked, problem)
        save_sources(folder, problem.to_source_estimate(model), dipoles, residual)
        save_figures(folder, problem, model, evoked, residual)
        save_report(folder, title, summary, dipoles, settings, notes)
    lines = [summary]
    for row in make_source_table(dipoles[:_MOST_ROWS]) if dipoles else []:
        lines.append("  ".join(f"{cell:>11}" for cell in row))
    if len(dipoles) > _MOST_ROWS:
        lines.append(f"... and {len(dipoles) - _MOST_ROWS} more, see the report.")
    lines.append(f"Written to {arguments.output}, see {arguments.output / 'report.html'}")
    return "\n".join(lines) + "\n"


def _fit_and_warn(arguments):
    """Fit, and tell what warnings there are in the words of this command."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            evoked, problem, model = _fit(arguments)
        finally:
            of_interest = UserWarning | RuntimeWarning  # others are for developers
            caught = [each for each in caught if issubclass(each.category, of_interest)]
            notes = [*dict.fromkeys(to_line(each.message) for each in caught)]
            notes = list(map(advise, notes))
            for note in notes:
                tell(sys.stderr, f"skmxne: warning: {note}\n")
    return evoked, problem, model, notes


def _fit(arguments):
    """Make the problem and fit the model."""
    from .inverse_problem import InverseProblem
    from .mne_inputs import warn_if_noise_differs
    from .recording_files import crop_evoked, prepare_evoked, read_recording

    if arguments.evoked:
        files = arguments.evoked, arguments.forward, arguments.noise_cov
        evoked, forward, noise_cov = read_recording(*files, arguments.condition)
    else:
        from .datasets import make_recording

        recording = make_recording()
        evoked, forward, noise_cov = recording.evoked, recording.forward, recording.noise_cov
    baseline = None if arguments.no_baseline else arguments.baseline or "auto"
    whole = prepare_evoked(evoked, baseline=baseline, picks=arguments.picks)
    evoked = crop_evoked(whole, arguments.tmin, arguments.tmax)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The whitened data before")  # that were kept
        problem = InverseProblem.from_evoked(
            evoked, forward, noise_cov, loose=arguments.loose, depth=arguments.depth
        )
    whole.pick(problem.ch_names)
    whitened = problem.whitener @ whole.data * problem.target_scale[0]
    warn_if_noise_differs(whitened, [whole], problem.whitener)
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


def _make_model(alpha):
    """Make the model that `--alpha` asks for."""
    from .estimator import MixedNormEstimator
    from .model_selection import MixedNormCV, MixedNormIC

    if alpha == "cv":
        return MixedNormCV()
    return MixedNormIC(criterion=alpha) if alpha in _CRITERIA else MixedNormEstimator(alpha)


def _describe(arguments):
    """Return what was asked for and the problem does not tell, in words."""
    settings = {"picks": " ".join(arguments.picks or ["all"])}
    for name in ("evoked", "forward", "noise_cov", "depth", "alpha", "n_mxne_iter"):
        value = getattr(arguments, name)
        settings[name.replace("_", "-")] = "simulated recording" if value is None else str(value)
    return settings
