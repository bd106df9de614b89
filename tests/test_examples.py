"""The examples: each runs alone, as a script, and one as the notebook that the site offers."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import skmxne
from skmxne import datasets

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted(ROOT.glob("examples/**/plot_*.py"))


def run(command, folder, backend):
    """Run a command in a folder, with a backend of matplotlib, and return what it has printed."""
    environment = os.environ | {"MPLBACKEND": backend}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.thorough
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs_alone_without_a_warning(tmp_path, path):
    output = run([sys.executable, "-W", "error", path], tmp_path, "Agg")
    assert output  # every story tells what it has found


@pytest.mark.thorough
def test_example_runs_as_a_notebook(tmp_path):
    scripts = Path(sysconfig.get_path("scripts"))
    shutil.copy(ROOT / "examples" / "plot_quickstart.py", tmp_path)

    inline = "module://matplotlib_inline.backend_inline"
    run([scripts / "sphinx_gallery_py2jupyter", "plot_quickstart.py"], tmp_path, "Agg")
    run([scripts / "jupyter-execute", "plot_quickstart.ipynb", "--inplace"], tmp_path, inline)

    cells = json.loads((tmp_path / "plot_quickstart.ipynb").read_text("utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    texts = ["".join(output["text"]) for output in outputs if output["output_type"] == "stream"]
    assert any("alpha = " in text for text in texts)
    assert any("image/png" in output.get("data", {}) for output in outputs)


def test_every_example_has_its_place_in_the_gallery():
    order = (ROOT / "docs" / "extensions" / "gallery_order.py").read_text("utf-8")
    assert sorted(re.findall(r"plot_\w+\.py", order)) == sorted(path.name for path in EXAMPLES)


@pytest.mark.parametrize("name", [*skmxne.__all__, *datasets.__all__])
def test_every_public_name_is_in_the_reference(name):
    reference = (ROOT / "docs" / "api.rst").read_text("utf-8")
    assert re.search(rf"^   {name}$", reference, re.MULTILINE)
