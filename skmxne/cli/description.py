"""The results and settings of a run, in words and tables."""

import numpy as np

from ..inspection.confidence import format_p
from ..inverse.inputs import describe_evokeds
from .terminal import to_readable


def summarize(run):
    """Summarize the results in one line."""
    problem, model, conditions = run.problem, run.model, run.conditions
    number = f"{model.n_active_} source{'' if model.n_active_ == 1 else 's'}"
    explained = f", {_say_explained(conditions[0])}" if len(conditions) == 1 else ""
    return (
        f"{len(problem.ch_names)} channels, {len(problem.locations)} positions, "
        f"alpha {describe_alpha(model, run.arguments.alpha)}: {number}{explained}."
    )


def summarize_condition(condition):
    """Say in a line how much of one of several averages is explained."""
    return f"{condition.evoked.comment!r}: {_say_explained(condition)}."


def _say_explained(condition):
    return (
        f"{condition.explained:z.0f} % of the whitened data explained "
        f"(noise: {condition.noise:.0f} %)"
    )


def describe_alpha(model, given):
    """Return the alpha of a model, and how it was chosen."""
    if not isinstance(given, str):
        return f"{model.alpha:g} %"
    chosen = getattr(model, "path_alpha_", model.alpha_)
    searched = "" if chosen == model.alpha_ else f" and {model.alpha_:.3g} % after its search"
    return f"{chosen:.3g} % by {given}{searched}"


def make_source_table(sources, *, has_mni=True):
    """Make a table of sources."""
    first = sources[0] if sources else {}
    has_surfaces = any(source["hemisphere"] for source in sources)
    mni = [f"mni_{axis}_mm" for axis in "xyz" if has_mni and f"mni_{axis}_mm" in first]
    rows = [["source", *["hemisphere"] * has_surfaces, "x (mm)", "y (mm)", "z (mm)"]]
    rows[0] += ["peak (nAm)", "at (ms)", "gof (%)"]
    rows[0] += ["within (mm)", "p"] if "p_value" in first else []
    rows[0] += ["label"] if "label" in first else []
    rows[0] += [f"MNI {name[4]} (mm)" for name in mni]
    for k, source in enumerate(sources, start=1):
        cells = [f"{k}", *[source["hemisphere"]] * has_surfaces]
        cells += [f"{source[f'{axis}_mm']:z.0f}" for axis in "xyz"]
        cells += [f"{source['amplitude_nAm']:z.1f}", f"{source['latency_ms']:z.0f}"]
        cells += [f"{source['gof_percent']:z.0f}"]
        if "p_value" in first:
            cells += [f"{source['radius_mm']:.0f}", format_p(source["p_value"])]
        cells += [source["label"]] if "label" in first else []
        cells += [f"{source[name]:z.0f}" for name in mni]
        rows.append(cells)
    return rows


def make_printed_table(sources):
    """Return the lines of a table of sources, none without sources."""
    rows = make_source_table(sources, has_mni=False) if sources else []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]


def describe_settings(run):
    """Return the options of the command, with the values that were used."""
    arguments, evokeds = run.arguments, [condition.evoked for condition in run.conditions]
    data = "epochs" if arguments.epochs else "evoked"
    default = "all trials" if arguments.epochs else evokeds[0].comment
    settings = {
        data: getattr(arguments, data) or "simulated recording",
        "forward": arguments.forward or "simulated recording",
        "noise-cov": arguments.noise_cov or "simulated recording",
        "condition": join(arguments.condition or [default]),
        "picks": " ".join(arguments.picks or ["all"]),
        "tmin": join(f"{round(evoked.times[0], 6):zg} s" for evoked in evokeds),
        "tmax": join(f"{round(evoked.times[-1], 6):zg} s" for evoked in evokeds),
        "baseline": describe_baseline(evokeds),
        "rank": " ".join(arguments.rank or ["estimated"]),
        "loose": describe_loose(run.problem),
        "depth": str(arguments.depth),
        "alpha": arguments.alpha if isinstance(arguments.alpha, str) else f"{arguments.alpha:g} %",
        "n-mxne-iter": str(arguments.n_mxne_iter),
        "subjects-dir": arguments.subjects_dir or "none",
    }
    return {name: to_readable(value) for name, value in settings.items()}


def describe_data(evokeds, problem):
    """Describe the data, and the positions that explain them."""
    return describe_evokeds(evokeds) | {
        "Rank of the noise": str(len(problem.X)),
        "Positions": str(len(problem.locations)),
        "Orientations": f"{problem.n_orient} per position",
    }


def describe_loose(problem):
    """Return `loose` as text, for surfaces and for volumes."""
    if problem.n_orient == 1:
        return "0"
    tangent, _, normal = problem.source_scale.reshape(-1, 3).T
    return " and ".join(f"{value:g}" for value in np.unique(((tangent / normal) ** 2).round(6)))


def describe_baseline(evokeds):
    """Describe the baseline that was subtracted; files store its times in single precision."""
    return join(
        " to ".join(f"{round(time, 3):zg}" for time in evoked.baseline) + " s"
        if evoked.baseline
        else "none"
        for evoked in evokeds
    )


def join(values):
    """Join the values of all conditions, and write equal ones once."""
    return ", ".join(dict.fromkeys(values))
