"""Figures and a report of what a model has found."""

from html import escape

import mne
import numpy as np
from matplotlib.figure import Figure

from .._logging import quiet_mne
from ..inspection.confidence import format_p
from ..inverse.inputs import describe_evokeds
from ..plotting.selection import SelectionDisplay
from ..plotting.sources import SourceDisplay
from .versions import collect_versions

_TABLE_NOTE = (
    "The strongest first. Head coordinates: x to the right, y to the front, z up. Fit: what the "
    "source explains of the power of the whitened data at the time of its peak."
)
_CONFIDENCE_NOTE = (
    "Within: the largest distance from the source to where else it could be (its region, of level "
    "95 %, drawn in its colour). p: the probability that the best of all positions explains as "
    "much, in noise alone, as the source adds to the stronger ones."
)


def summarize(problem, model, alpha):
    """Say in a line what was found."""
    # The whitened noise has variance 1.
    noise = min(1.0, problem.y.size / max((problem.y**2).sum(), 1.0))
    return (
        f"{len(problem.ch_names)} channels, {len(problem.locations)} positions, alpha {alpha}: "
        f"{model.n_active_} source{'' if model.n_active_ == 1 else 's'}, "
        f"{problem.explained_variance(model):z.0f} % of the whitened data explained "
        f"(all but noise: {100 * (1 - noise):.0f} %)."
    )


def describe_data(evoked, problem):
    """Describe the data that were used."""
    loose = np.zeros(1)
    if problem.n_orient == 3:
        tangent, _, normal = problem.source_scale.reshape(-1, 3).T
        loose = np.unique(((tangent / normal) ** 2).round(6))  # of surfaces, and of volumes
    return describe_evokeds([evoked]) | {
        "Baseline subtracted": _describe_baseline(evoked.baseline),
        "Rank of the noise": str(len(problem.X)),
        "Positions": str(len(problem.locations)),
        "Orientations": f"{problem.n_orient} per position",
        "Loose": " and ".join(f"{value:g}" for value in loose),
    }


def _describe_baseline(baseline):
    """Write a baseline, whose times files hold in single precision."""
    if baseline is None:
        return "none"
    return " to ".join(f"{round(time, 3):zg}" for time in baseline) + " s"


def make_source_table(sources):
    """Make a table of sources."""
    rows = [["source", "x (mm)", "y (mm)", "z (mm)", "peak (nAm)", "at (ms)", "fit (%)"]]
    is_judged = bool(sources) and "p_value" in sources[0]
    rows[0] += ["within (mm)", "p"] if is_judged else []
    for k, source in enumerate(sources, start=1):
        cells = [f"{k}", *(f"{source[f'{axis}_mm']:z.0f}" for axis in "xyz")]
        cells += [f"{source['amplitude_nAm']:z.1f}", f"{source['latency_ms']:z.0f}"]
        cells += [f"{source['gof_percent']:z.0f}"]
        if is_judged:
            cells += [f"{source['radius_mm']:.0f}", format_p(source["p_value"])]
        rows.append(cells)
    return rows


def save_figures(folder, problem, model, confidence, evoked, residual):
    """Draw the sources, the residual, and what alpha was chosen by if it was."""
    sources = Figure((10, 9), layout="constrained")
    SourceDisplay.from_estimator(model, problem, confidence=confidence, fig=sources)
    figures = {"sources": sources, "residual": _plot_residual(evoked, residual)}
    if hasattr(model, "alphas_"):
        figures["alpha"] = Figure((6.4, 5.2), layout="constrained")
        axes = figures["alpha"].subplots(2, sharex=True, height_ratios=[2, 1])
        SelectionDisplay.from_estimator(model, ax=axes)
        axes[0].set_xlabel("")
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=120)


def save_report(folder, title, summary, sources, settings, warnings):
    """Write `report.html`, which needs no other file."""
    with quiet_mne():
        report = mne.Report(title=title)
        table = _make_html_table(make_source_table(sources), align="end")
        notes = "".join(f"<p><strong>Warning:</strong> {escape(note)}</p>" for note in warnings)
        found = ""
        if sources:
            note = _CONFIDENCE_NOTE if "p_value" in sources[0] else ""
            found = f"{table}<p>{_TABLE_NOTE} {note}</p>"
        report.add_html(f"<p>{escape(summary)}</p>{notes}{found}", "Sources", tags=("sources",))
        report.add_image(folder / "sources.png", "Overview", tags=("sources",))
        if (folder / "alpha.png").exists():
            report.add_image(folder / "alpha.png", "Choice of alpha", tags=("model",))
        report.add_image(folder / "residual.png", "Data and residual", tags=("data",))
        for name, values in {"Settings": settings, "Versions": collect_versions()}.items():
            table = _make_html_table([["name", "value"], *map(list, values.items())])
            report.add_html(table, name, tags=("model",))
        report.save(folder / "report.html", open_browser=False)


def _make_html_table(rows, align="start"):
    """Write a table, whose first row is titles, as HTML."""
    tags = ["th", *["td"] * (len(rows) - 1)]
    lines = (
        "".join(f'<{tag} class="px-3">{escape(cell)}</{tag}>' for cell in row)
        for tag, row in zip(tags, rows, strict=True)
    )
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<table class="table table-sm text-{align}" style="width: auto">{body}</table>'


def _plot_residual(evoked, residual):
    """Draw data and residual of every type of channel on the same scale."""
    types = list(dict.fromkeys(evoked.get_channel_types()))
    figure = Figure((10, 2.6 * len(types)), layout="constrained")
    is_point, start = len(evoked.times) == 1, 1e3 * evoked.times[0]
    xlim = (start - 1, start + 1) if is_point else "tight"
    axes = figure.subplots(len(types), 2, sharex=True, sharey="row", squeeze=False)
    for column, name, data in [(0, "data", evoked), (1, "residual", residual)]:
        for ax, kind in zip(axes[:, column], types, strict=True):
            style = dict(show=False, time_unit="ms", spatial_colors=False, xlim=xlim)
            data.plot(picks=kind, axes=ax, **style)
            for line in ax.lines:
                line.set(linewidth=0.5, marker="." if is_point else "")
            for text in ax.texts:  # the number of trials
                text.remove()
            ax.set_title(f"{ax.get_title()}: {name}")
            ax.label_outer()
    return figure
