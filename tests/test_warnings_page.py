"""The page on warnings has every warning and remark of the package, and no others."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
CALLS = re.compile(r"(warnings\.)?warn|_add_notes|notes\.append")
# Modules that also write other sentences: only the arguments of such calls are warnings there.
WRITERS = ("cli", "plotting", "_html.py")
# Other sentences: summaries, and a warning of scikit-learn that is silenced.
OTHERS = re.compile("<InverseProblem|.*, chosen on a grid|Objective did not converge")


def read_source():
    """Return the beginnings of all warnings and remarks, or of their parts, and of all errors."""
    warnings, errors = set(), set()
    for path in (ROOT / "skmxne").rglob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        is_writer = path.relative_to(ROOT / "skmxne").parts[0] in WRITERS
        for node in ast.walk(tree):
            if is_call(node):
                warnings |= find_texts(node, n_words=2)
            elif isinstance(node, ast.Raise):
                errors |= find_texts(node.exc, n_words=4)
            elif not is_writer and may_have_messages(node, tree):
                warnings |= find_texts(node, n_words=4)
    return warnings, errors


def is_call(node):
    return isinstance(node, ast.Call) and CALLS.fullmatch(ast.unparse(node.func)) is not None


def may_have_messages(node, tree):
    """Return whether code is a constant, or a function whose texts are not for errors."""
    if isinstance(node, ast.FunctionDef):
        parts = list(ast.walk(node))
        return any(map(is_call, parts)) or not any(isinstance(part, ast.Raise) for part in parts)
    return isinstance(node, ast.Assign) and node in tree.body


def find_texts(node, n_words):
    """Find texts in code that have so many words, and return patterns of their beginnings."""
    is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    is_log = isinstance(node, ast.Call) and ast.unparse(node.func).startswith("logger.")
    if node is None or is_docstring or is_log or isinstance(node, ast.Raise):
        return set()
    if isinstance(node, ast.JoinedStr):  # values become zero characters
        parts = (part.value if isinstance(part, ast.Constant) else "\0" for part in node.values)
        return make_patterns("".join(parts), n_words)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return make_patterns(node.value, n_words)
    return set().union(*(find_texts(child, n_words) for child in ast.iter_child_nodes(node)))


def make_patterns(text, n_words):
    """Return a set with a pattern of the first words of a text, empty if it is no message."""
    words = [word for word in text.split() if re.search("[A-Za-z]{2}", word)]
    if len(words) < n_words or OTHERS.match(text):
        return set()
    words = text.split()[:7]
    ends = [k for k, word in enumerate(words) if k > 1 and re.search(r"[a-z][.:]$", word)]
    end = ends[0] if ends else 6
    beginning = " ".join(words[: end + 1]).strip(".,:= \0")
    return {re.escape(beginning).replace("\0", ".*?")}


def read_page():
    """Return the titles of entries, and the quotes of three words or more."""
    page = (ROOT / "docs" / "warnings.rst").read_text("utf-8")
    titles = re.findall(r"^(.+)\n~+$", page, re.MULTILINE)
    quotes = re.findall(r'"([^"]*)"', re.sub("``[^`]*``", "", page))
    texts = [*titles, *(quote for quote in quotes if len(quote.split()) > 2)]
    return [" ".join(text.replace("``", "").split()) for text in texts]


def test_every_warning_is_on_the_page():
    texts, (warnings, _) = read_page(), read_source()
    assert len(warnings) > 40
    lacking = [one for one in warnings if not any(re.search(one, text) for text in texts)]
    assert not lacking, f"docs/warnings.rst lacks what begins like {sorted(lacking)}"


def test_every_entry_is_a_message():
    known = set.union(*read_source())
    unknown = [text for text in read_page() if not any(re.search(one, text) for one in known)]
    assert not unknown, f"skmxne has no warning or error like {unknown}"
