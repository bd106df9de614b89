"""The work of `skmxne localize`: find the sources of a recording, write and summarize them."""

import sys
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_array

from .._logging import quiet_mne
from ..inspection.confidence import Confidence
from ..inverse.problem import InverseProblem
from ..linear_model.mixed_norm import MixedNormEstimator
from ..model_selection.cross_validation import MixedNormCV
from ..model_selection.information_criterion import MixedNormIC
from ..plotting.style import find_order
from . import report
from .description import make_printed_table, summarize, summarize_condition
from .methods import describe_methods
from .recording_files import find_window, prepare, read_recording
from .result_files import atomic_directory, save_sources, save_table
from .terminal import tell, to_line

# Largest number of sources printed; the report has all.
_MOST_ROWS = 20
_N_FOLDS = 5


class Condition(NamedTuple):
    """One average, and its sources."""

    evoked: Any  # at the channels and times used
    residual: Any
    stc: Any
    dipoles: list[Any]  # in the order of the sources
    sources: list[dict[str, Any]]
    explained: float  # percent of the whitened data
    noise: float  # percent of the whitened data that noise predicts


class Run(NamedTuple):
    """The arguments and the results of the command."""

    arguments: Any
    src: Any  # the source space
    problem: InverseProblem
    model: Any
    confidence: Confidence | None
    conditions: list[Condition]
    notes: list[str]

    @property
    def remarks(self):
        """The remarks of the model."""
        return list(getattr(self.model, "remarks_", []))


def localize(arguments):
    """Find the sources of a recording, write them, and return the text to print."""
    with atomic_directory(arguments.output, arguments.overwrite) as folder:
        src, problem, model, notes = _fit_and_warn(arguments)
        confidence = _judge(problem, model, notes)
        conditions = _list_conditions(problem, model, confidence, arguments.subjects_dir)
        run = Run(arguments, src, problem, model, confidence, conditions, notes)
        save_table(folder, run)
        for k, condition in enumerate(conditions):
            part = folder if len(conditions) == 1 else folder / f"condition-{k + 1}"
            part.mkdir(exist_ok=True)
            save_sources(part, condition.stc, condition.dipoles, condition.residual)
            _add_notes(notes, report.save_figures(part, run, k))
            if (part / "alpha.png").exists():  # it is of all conditions
                (part / "alpha.png").replace(folder / "alpha.png")
        methods = describe_methods(run)
        (folder / "methods.txt").write_text(methods, "utf-8")
        report.save_report(folder, run, methods)
    return "\n".join(_tell(run)) + "\n"


def _tell(run):
    """Return the lines to print."""
    lines = [summarize(run), *run.remarks]
    for condition in run.conditions:
        if len(run.conditions) > 1:
            lines += ["", summarize_condition(condition)]
        lines += make_printed_table(condition.sources[:_MOST_ROWS])
        if len(condition.sources) > _MOST_ROWS:
            lines.append(f"... and {len(condition.sources) - _MOST_ROWS} more, see the report.")
    output = run.arguments.output
    return [*lines, f"Written to {output}, see {output / 'report.html'}"]


def _list_conditions(problem, model, confidence, subjects_dir):
    """Return the sources of each average."""
    residuals = problem.to_residual(model)
    parts = [
        problem.to_residual(_make_coef(problem)),  # the data themselves
        residuals,
        problem.to_source_estimate(model),
        problem.to_dipoles(model),
        _list_sources(problem, model, confidence, subjects_dir),
        problem.explained_variance(model),
    ]
    if not isinstance(residuals, list):
        parts = [[part] for part in parts]
    stops = np.cumsum([len(evoked.times) for evoked in parts[0]])[:-1]
    # The whitened noise has variance 1.
    noise = [100 * min(1.0, y.size / max(np.sum(y**2), 1.0)) for y in np.split(problem.y, stops, 1)]
    conditions = [Condition(*values) for values in zip(*parts, noise, strict=True)]
    return [
        one._replace(dipoles=[one.dipoles[k] for k in find_order(one.sources)])
        for one in conditions
    ]


def _list_sources(problem, model, confidence, subjects_dir):
    with quiet_mne():  # it logs that it reads labels
        return problem.list_sources(model, confidence, subjects_dir=subjects_dir)


def _make_coef(problem, value=0.0):
    """Make coefficients that are zero except for the first feature."""
    shape = len(problem.times), problem.X.shape[1]
    return csr_array(([value], ([0], [0])), shape=shape)


def _judge(problem, model, notes):
    """Return the confidence of a model; if it has too many sources, add a note instead."""
    try:
        return problem.compute_confidence(model)
    except ValueError as error:
        _add_notes(notes, [f"No regions and no p-values. {to_line(error)}"])
        return None


def _add_notes(notes, messages):
    """Add messages to notes and print them, each only once."""
    for message in messages:
        if message not in notes:
            notes.append(message)
            tell(sys.stderr, f"skmxne: warning: {message}\n")


def _fit_and_warn(arguments):
    """Fit, and print warnings as this command does."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            src, problem, model = _fit(arguments)
        finally:
            of_interest = UserWarning | RuntimeWarning  # others are for developers
            caught = [warning for warning in caught if issubclass(warning.category, of_interest)]
            notes = []
            _add_notes(notes, [to_line(warning.message) for warning in caught])
    return src, problem, model, notes


def _fit(arguments):
    """Make the problem and fit the model; return the source space, too."""
    recordings, forward, noise_cov = read_recording(arguments, _N_FOLDS)
    recordings = prepare(recordings, baseline=_read_baseline(arguments), picks=arguments.picks)
    tmin, tmax = (_find_number(value) for value in (arguments.tmin, arguments.tmax))
    tmin, tmax = find_window(recordings, tmin, tmax)
    options = dict(loose=arguments.loose, depth=_find_number(arguments.depth))
    options |= dict(rank=arguments.rank_to_use, tmin=tmin, tmax=tmax)
    if arguments.epochs:
        problem = InverseProblem.from_epochs(
            *(recordings[0], forward, noise_cov), n_folds=_N_FOLDS, **options
        )
    else:
        evoked = recordings if len(recordings) > 1 else recordings[0]
        problem = InverseProblem.from_evoked(evoked, forward, noise_cov, **options)
    if arguments.subjects_dir is not None:
        _check_anatomy(problem, forward["src"][0].get("subject_his_id"), arguments.subjects_dir)
    if not isinstance(arguments.alpha, str) and 0 < arguments.alpha < 1:
        warnings.warn(
            f"--alpha {arguments.alpha:g} is less than one percent. If you meant a fraction, give "
            f"--alpha {100 * arguments.alpha:g}.",
            UserWarning,
            stacklevel=1,
        )
    return forward["src"], problem, _fit_model(problem, arguments)


def _fit_model(problem, arguments):
    """Fit the model that `--alpha` specifies, and use the trials if there are any."""
    alpha, folds = arguments.alpha, {}
    if alpha == "cv":
        model = MixedNormCV()
        folds = dict(y_folds=problem.y_folds, fold_weights=problem.fold_weights)
    elif isinstance(alpha, str):
        model = MixedNormIC(criterion=alpha)
        if alpha != "ric":  # "ric" estimates this covariance from the residual
            model.set_params(target_covariance=problem.target_covariance)
    else:
        model = MixedNormEstimator(alpha)
    # This shows a progress bar in a terminal.
    model.set_params(n_orient=problem.n_orient, n_mxne_iter=arguments.n_mxne_iter, verbose=True)
    return model.fit(problem.X, problem.y, **folds)


def _read_baseline(arguments):
    if arguments.no_baseline:
        return None
    return [_find_number(value) for value in arguments.baseline] if arguments.baseline else "auto"


def _find_number(value):
    """Return None for "none", else the value."""
    return None if value == "none" else value


def _check_anatomy(problem, subject, subjects_dir):
    """Raise an error, already before the fit, if labels of the source space cannot be read."""
    option = f"--subjects-dir {subjects_dir}"
    advice = "Give FreeSurfer's folder of subjects, or leave --subjects-dir out."
    if not Path(subjects_dir).is_dir():
        raise ValueError(f"{option} is not a folder. {advice}")
    if subject is None:
        raise ValueError(
            "--subjects-dir cannot be used: the file of --forward has no name of a subject. Leave "
            "--subjects-dir out."
        )
    if not Path(subjects_dir, subject).is_dir():
        raise ValueError(
            f"{option} has no folder {subject!r}, the subject of the forward solution. {advice}"
        )
    if find_spec("nibabel") is None:
        raise ValueError(
            "--subjects-dir needs the package nibabel, which reads labels: install it (pip install "
            "nibabel), or leave --subjects-dir out."
        )
    try:
        _list_sources(problem, _make_coef(problem, 1.0), None, subjects_dir)
    except Exception as error:  # of many classes, for damaged or missing files
        raise ValueError(
            f"{option} cannot be used: {to_line(error).rstrip('.')}. {advice}"
        ) from error
