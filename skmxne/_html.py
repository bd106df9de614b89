"""HTML tables in notebooks: summaries of fitted models and of problems."""

from html import escape

# The table inherits its colours, so that it is readable on dark pages, too.
_STYLE = """<style>
table.skmxne-table {border-collapse: collapse; color: inherit; margin: 0.5em 0; font-size: 0.9em}
table.skmxne-table caption {caption-side: top; font-weight: bold; text-align: left;
  padding: 0.3em 0.7em; color: inherit}
table.skmxne-table tr {background: none; border-top: 1px solid rgba(128, 128, 128, 0.4)}
table.skmxne-table th, table.skmxne-table td {text-align: left; padding: 0.3em 0.7em;
  vertical-align: top; border: none; max-width: 40em; color: inherit}
table.skmxne-table th {font-weight: normal; opacity: 0.75}
</style>"""


def make_table(caption, rows):
    """Make a table in HTML."""
    lines = (
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>'
        for name, value in rows.items()
    )
    return (
        f'{_STYLE}<table class="skmxne-table"><caption>{escape(caption)}</caption>'
        f"<tbody>{''.join(lines)}</tbody></table>"
    )


class RepresentationMixin:
    """An estimator whose HTML shows a summary of the fit."""

    def _summarize(self):
        """Summarize the fit as a dictionary of names and values, empty before the fit."""
        return {}

    def _append_summary(self, html):
        """Append the summary to scikit-learn's HTML."""
        rows = self._summarize()
        return html + make_table(f"{type(self).__name__}, fitted", rows) if rows else html

    # IPython calls this first. It has HTML only with `set_config(display="diagram")`.
    def _repr_mimebundle_(self, **kwargs):
        bundle = super()._repr_mimebundle_(**kwargs)
        if "text/html" in bundle:
            bundle["text/html"] = self._append_summary(bundle["text/html"])
        return bundle

    @property
    def _repr_html_(self):
        make_html = super()._repr_html_
        return lambda: self._append_summary(make_html())
