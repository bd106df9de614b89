"""Figures and a report of the results of a run."""

import warnings
from html import escape

import mne
from matplotlib.figure import Figure

from .._logging import quiet_mne
from ..plotting.fields import FieldDisplay
from ..plotting.selection import SelectionDisplay
from ..plotting.sources import SourceDisplay
from .description import (
    describe_data,
    describe_settings,
    make_source_table,
    summarize,
    summarize_condition,
)
from .terminal import to_line
from .three_dimensions import write_lines
from .versions import collect_versions

_TABLE_NOTE = (
    "The strongest source is first. Head coordinates: x to the right, y to the front, z up. Gof: "
    "the goodness of fit, in percent of the power of the whitened data at the peak of the source."
)
_CONFIDENCE_NOTE = (
    "Within: the largest distance between the source and the positions of its region, where it "
    "could be (level 95 %, drawn in its colour). p: the probability that, in noise alone, the best "
    "of all positions explains as much as the source adds to the stronger ones."
)
_NO_ANATOMY_NOTE = (
    "Labels and MNI coordinates need FreeSurfer's folder of subjects: give it with --subjects-dir."
)
_NO_MNI_NOTE = (
    "There are no MNI coordinates: the folder of the subject has no mri/transforms/talairach.xfm."
)
_CAPTIONS = {
    "sources": "Dots are sources, numbered as in the table (white: p above 0.05). The region in "
    "the same colour shows where the source could be. The cortex is smoothed to show its sulci "
    "(dark). With loose or free orientation, amplitudes are norms. Noise: as the noise covariance "
    "and the number of trials predict.",
    "fields": "At the peak of each source: the data, the field of all sources, the field of this "
    "source alone, and the residual. Each pair of gradiometers is drawn as its root mean square. "
    "The percentage that all sources explain refers to the whitened data of all sensors.",
    "residual": "Each line is a channel, in the colour of its place on the head.",
}
# Sources whose fields are drawn.
_MOST_FIELDS = 5
# Wide tables and lines of code scroll; narrow screens have no table of contents.
_CSS = """
.wide { overflow-x: auto; }
.wide td { white-space: nowrap; }
.navbar-brand { white-space: normal; }
@media (max-width: 700px) {
  #toc { display: none; }
  #content { width: 100%; margin-left: 0; }
  .wide table { font-size: 0.75em; }
  .wide td, .wide th { padding: 0.2em 0.3em !important; }
}
"""


def save_figures(folder, run, k):
    """Draw sources, fields and residual of an average and, if there is one, the choice of alpha.

    Return notes on figures that could not be drawn.
    """
    notes = []
    with quiet_mne(), warnings.catch_warnings(action="ignore"):
        for name, draw in _list_figures(run, k).items():
            try:
                draw().savefig(folder / f"{name}.png", dpi=120)
            except Exception as error:  # of MNE, if sensors have no positions or no pairs
                if not name.startswith("fields"):
                    raise
                notes.append(f"No figure {name}: {to_line(error)}")
    return notes


def _list_figures(run, k):
    """Return functions that draw the figures of an average, by name."""
    condition, model, problem = run.conditions[k], run.model, run.problem
    display = dict(condition=k)
    figures = {
        "sources": lambda: (
            SourceDisplay.from_estimator(
                *(model, problem), confidence=run.confidence, fig=_make_figure(10, 10), **display
            ).figure_
        )
    }
    width = max(4.5, 2 + 1.8 * min(model.n_active_, _MOST_FIELDS))
    for kind in condition.residual.get_channel_types(unique=True):
        figures[f"fields-{kind}"] = lambda kind=kind: (
            FieldDisplay.from_estimator(
                *(model, problem),
                ch_type=kind,
                n_labelled=_MOST_FIELDS,
                fig=_make_figure(width, 7.7),
                **display,
            ).figure_
        )
    figures["residual"] = lambda: _plot_residual(condition.evoked, condition.residual)
    if k == 0 and hasattr(model, "alphas_"):  # the same for all
        figures["alpha"] = lambda: _plot_selection(model)
    return figures


def _plot_selection(model):
    """Draw the choice of alpha."""
    figure = _make_figure(6.4, 5.2)
    axes = figure.subplots(2, sharex=True, height_ratios=[2, 1])
    SelectionDisplay.from_estimator(model, ax=axes)
    axes[0].set_xlabel("")
    return figure


def _make_figure(width, height):
    return Figure((width, height), layout="constrained")


def save_report(folder, run, methods):
    """Write `report.html`, which needs no other file."""
    conditions = run.conditions
    names = ", ".join(repr(condition.evoked.comment) for condition in conditions)
    with quiet_mne():
        report = mne.Report(title=f"Sources of {names}")
        report.add_custom_css(_CSS)
        notes = "".join(f"<p><strong>Warning:</strong> {escape(note)}</p>" for note in run.notes)
        found = _make_paragraphs(" ".join([summarize(run), *run.remarks])) + notes
        if len(conditions) == 1:
            found += _make_source_html(run, conditions[0])
        report.add_html(found, "Sources", tags=("sources",))
        for k, condition in enumerate(conditions, start=1):
            part, name = folder, ""
            if len(conditions) > 1:
                part, name = folder / f"condition-{k}", f"{condition.evoked.comment or k}: "
                html = _make_paragraphs(summarize_condition(condition))
                html += _make_source_html(run, condition)
                report.add_html(html, f"{name}sources", tags=("sources",))
            images = {"sources": "Overview"}
            for kind in condition.residual.get_channel_types(unique=True):
                if (part / f"fields-{kind}.png").exists():
                    images[f"fields-{kind}"] = f"Fields at the peaks ({kind})"
            images["residual"] = "Data and residual"
            for image, title in images.items():
                title = name + title.lower() if name else title
                tag = "sources" if image == "sources" else "data"
                caption = _CAPTIONS[image.partition("-")[0]]
                report.add_image(part / f"{image}.png", title, caption=caption, tags=(tag,))
        _add_model(report, folder, run, methods)
        report.save(folder / "report.html", open_browser=False)


def _add_model(report, folder, run, methods):
    """Add what is the same for all conditions."""
    if (folder / "alpha.png").exists():
        report.add_image(folder / "alpha.png", "Choice of alpha", tags=("model",))
    report.add_html(_make_paragraphs(methods), "Methods, for a paper", tags=("model",))
    lines = write_lines(run)
    if lines:
        intro = "<p>Copy to Python. Surfaces need PyVista, volumes need nilearn:</p>"
        code = f'<div class="wide"><pre>{escape(lines)}</pre></div>'
        report.add_html(intro + code, "In three dimensions", tags=("sources",))
    data = describe_data([condition.evoked for condition in run.conditions], run.problem)
    tables = {"Settings": describe_settings(run), "Data": data, "Versions": collect_versions()}
    for name, values in tables.items():
        table = _make_html_table([["name", "value"], *map(list, values.items())])
        report.add_html(table, name, tags=("model",))


def _make_source_html(run, condition):
    """Write the table of the sources of an average, and explain its columns."""
    sources = condition.sources
    if not sources:
        return ""
    notes = [_TABLE_NOTE]
    if "p_value" in sources[0]:
        notes.append(_CONFIDENCE_NOTE)
    if run.arguments.subjects_dir is None and run.arguments.forward is not None:
        notes.append(_NO_ANATOMY_NOTE)
    if "label" in sources[0] and "mni_x_mm" not in sources[0]:
        notes.append(_NO_MNI_NOTE)
    table = _make_html_table(make_source_table(sources), align="end")
    return table + _make_paragraphs(" ".join(notes))


def _make_paragraphs(text):
    """Write each line as a paragraph of HTML."""
    return "".join(f"<p>{escape(line)}</p>" for line in text.splitlines() if line)


def _make_html_table(rows, align="start"):
    """Write a table, whose first row is titles, as HTML."""
    tags = ["th", *["td"] * (len(rows) - 1)]
    lines = (
        "".join(f'<{tag} class="px-2">{escape(cell)}</{tag}>' for cell in row)
        for tag, row in zip(tags, rows, strict=True)
    )
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    table = f'<table class="table table-sm text-{align}" style="width: auto">{body}</table>'
    return f'<div class="wide">{table}</div>'


def _plot_residual(evoked, residual):
    """Draw data and residual of every type of channel on the same scale."""
    types = evoked.get_channel_types(unique=True)
    figure = _make_figure(10, 2.6 * len(types))
    is_point, start = len(evoked.times) == 1, 1e3 * evoked.times[0]
    xlim = (start - 1, start + 1) if is_point else "tight"
    axes = figure.subplots(len(types), 2, sharex=True, sharey="row", squeeze=False)
    for column, name, data in [(0, "data", evoked), (1, "residual", residual)]:
        for ax, kind in zip(axes[:, column], types, strict=True):
            # Each channel in the colour of its place on the head.
            style = dict(show=False, time_unit="ms", spatial_colors=True, xlim=xlim)
            data.plot(picks=kind, axes=ax, **style)
            for line in ax.lines:
                line.set(linewidth=0.7, marker="." if is_point else "")
            for text in ax.texts:  # the number of trials
                text.remove()
            ax.set_title(f"{ax.get_title()}: {name}")
            ax.label_outer()
    return figure
