"""The shape of the code: layers, sizes, nothing private of other packages, a light import."""

import ast
import os
import shutil
import subprocess
import sys
import sysconfig
from configparser import ConfigParser
from pathlib import Path

import pytest

import skmxne

ROOT = Path(__file__).parents[1]
MODULES = sorted(ROOT.glob("skmxne/**/*.py"))
CONTRACTS = ConfigParser()
CONTRACTS.read(ROOT / "setup.cfg")
SOURCES = [
    path
    for folder in ("skmxne", "tests", "examples", "benchmarks", "docs/extensions", "docs/figures")
    for path in sorted(ROOT.glob(f"{folder}/**/*.py"))
]


def relative(path):
    return str(path.relative_to(ROOT))


def lint_imports(folder):
    return subprocess.run(
        [Path(sysconfig.get_path("scripts"), "lint-imports"), "--no-cache"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder), "COLUMNS": "200"},
        capture_output=True,
        text=True,
    )


def test_import_contracts_hold():
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("contract", "module", "code"),
    [
        ("mne", "solvers/objective.py", "import mne"),
        ("mne", "linear_model/mixed_norm.py", "def late():\n    from mne.io import Raw"),
        ("scikit-learn", "solvers/bcd.py", "from sklearn.base import BaseEstimator"),
        ("scikit-learn", "solvers/active_set.py", "def late():\n    import sklearn.utils"),
        ("datasets", "linear_model/path.py", "from skmxne.datasets import make_recording"),
        ("certificate", "inspection/certificate.py", "from ..solvers import BlockProblem"),
        ("layers", "solvers/objective.py", "from skmxne import linear_model"),
        ("layers", "linear_model/path.py", "from skmxne.model_selection import noise"),
        ("layers", "datasets.py", "import skmxne.solvers"),
        ("layers", "helpers.py", ""),
        ("solvers", "solvers/bcd.py", "from .active_set import anything"),
    ],
)
def test_import_contracts_can_break(tmp_path, contract, module, code):
    shutil.copy(ROOT / "setup.cfg", tmp_path)
    shutil.copytree(ROOT / "skmxne", tmp_path / "skmxne")
    with (tmp_path / "skmxne" / module).open("a") as file:
        file.write(f"\n{code}\n")

    result = lint_imports(tmp_path)

    assert result.returncode == 1
    assert CONTRACTS[f"importlinter:contract:{contract}"]["name"] + " BROKEN" in result.stdout


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_modules_are_short(path):
    n_lines = path.read_text("utf-8").count("\n")
    assert n_lines <= 600


def count_lines(function):
    """Count the lines from `def` to the end, without the docstring."""
    first = function.body[0]
    docstring = first.end_lineno - first.lineno + 1 if ast.get_docstring(function) else 0
    return function.end_lineno - function.lineno + 1 - docstring


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_functions_are_short(path):
    functions = (
        node
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    assert {f.name: n for f in functions if (n := count_lines(f)) > 50} == {}


def is_private(name):
    """Tell whether a name begins like a private one, which `os._exit` is not."""
    return name != "_exit" and any(
        part.startswith("_") and not part.endswith("__") for part in name.split(".")
    )


def find_imports(tree):
    """Yield what is imported of other packages: the name it gets, and its full name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            prefix = ""
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            prefix = f"{node.module}."
        else:
            continue
        for alias in node.names:
            full_name = prefix + alias.name
            if full_name.partition(".")[0] != "skmxne":
                yield alias.asname or alias.name.partition(".")[0], full_name


def find_private_uses(code):
    """Find what is imported, or taken from an import, that another package keeps private."""
    tree = ast.parse(code)
    imports = list(find_imports(tree))
    names = {name for name, _ in imports}
    attributes = (
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and is_private(node.attr)
    )
    return [full_name for _, full_name in imports if is_private(full_name)] + [
        attribute for attribute in attributes if attribute.partition(".")[0] in names
    ]


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_uses_no_private_parts_of_other_packages(path):
    assert find_private_uses(path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import sklearn._loss, sklearn.base", ["sklearn._loss"]),
        ("from sklearn.linear_model import _cd_fast", ["sklearn.linear_model._cd_fast"]),
        ("from mne.inverse_sparse._x import y", ["mne.inverse_sparse._x.y"]),
        ("def f():\n    import mne as m\n    m.cov._check(m)", ["m.cov._check"]),
        ("from mne import Evoked\nEvoked._data", ["Evoked._data"]),
        ("from __future__ import annotations\nimport numpy as np\nnp.__version__", []),
        ("from skmxne import _MODULES\nfrom ._sibling import x\nself._x", []),
    ],
)
def test_finds_private_uses(code, found):
    assert find_private_uses(code) == found


def loaded_by(code):
    """Return the top-level modules that a fresh Python has loaded after running code."""
    command = f"{code}; import sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    result = subprocess.run(
        [sys.executable, "-c", command], capture_output=True, text=True, check=True
    )
    return set(result.stdout.split())


def test_import_is_light():
    heavy = {"mne", "matplotlib", "pandas", "numpy", "scipy", "sklearn"}
    assert loaded_by("import skmxne").isdisjoint(heavy)


def test_estimators_and_figures_are_free_of_mne_and_matplotlib():
    names = "MixedNormEstimator, MixedNormCV, SourceWeighting, SelectionDisplay, SourceDisplay"
    loaded = loaded_by(f"from skmxne import {names}")
    assert loaded.isdisjoint({"mne", "matplotlib"})


@pytest.mark.parametrize("name", skmxne.__all__)
def test_public_name_resolves(name):
    assert getattr(skmxne, name).__name__ == name
    assert name in dir(skmxne)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'MixedNorm'"):
        skmxne.MixedNorm  # noqa: B018
