"""Formulas as MathML, which browsers show by themselves: nothing is loaded from elsewhere."""

import re

from docutils import nodes
from latex2mathml.converter import convert


def setup(app):
    """Register the renderer."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def visit_inline(translator, node):
    """Write a formula in a line."""
    translator.body.append(convert(node.astext(), display="inline"))
    raise nodes.SkipNode


def visit_block(translator, node):
    """Write a formula of its own, which scrolls where it is too wide."""
    # latex2mathml sets limits beside "min" and "max", and beside sums between delimiters.
    latex = re.sub(r"\\(min|max|sum)_", r"\\\1\\limits_", node.astext())
    formula = convert(latex, display="block")
    number = f'<span class="number">({node["number"]})</span>' if node["number"] else ""
    start = translator.starttag(node, "div", CLASS="formula")
    translator.body.append(f"{start}{formula}{number}</div>\n")
    raise nodes.SkipNode
