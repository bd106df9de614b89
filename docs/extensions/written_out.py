"""Parameters that are "As for" those of another class, written out on the page of each."""

import re
from functools import cache

import numpydoc.docscrape

import skmxne

_SAME = re.compile(r"\s*As for `(\w+)`(?:\.|, (.*\.))$")


def setup(app):
    """Register the handler, before that of numpydoc."""
    app.connect("autodoc-process-docstring", write_out, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def write_out(app, what, name, obj, options, lines):
    """Replace entries such as ``tol, maxit : object``, "As for `MixedNormEstimator`."."""
    written, i = [], 0
    while i < len(lines):
        same = _SAME.match(lines[i + 1]) if i + 1 < len(lines) else None
        owner = getattr(skmxne, same[1], None) if same else None
        if owner is None:
            written.append(lines[i])
            i += 1
            continue
        entries = _read_entries(owner)
        for entry in lines[i].partition(" : ")[0].split(", "):
            kind, description = entries[entry.strip()]
            if same[2]:
                description = [*description[:-1], f"{description[-1]} It is {same[2]}"]
            written += [f"{entry.strip()} : {kind}", *(f"    {line}" for line in description)]
        i += 2
        while i < len(lines) and lines[i].startswith(" "):  # the rest of the sentence
            i += 1
    lines[:] = written


@cache
def _read_entries(owner):
    """Read the parameters and attributes of a class: their type and description by name."""
    doc = numpydoc.docscrape.ClassDoc(owner, config={"show_class_members": False})
    return {
        entry.strip(): (parameter.type, parameter.desc)
        for section in ("Parameters", "Attributes")
        for parameter in doc[section]
        for entry in parameter.name.split(",")
    }
