"""Fixtures that write recordings and run the command on them."""

from pathlib import Path

import matplotlib.pyplot as plt
import mne
import numpy as np
import pytest
from sklearn.utils import Bunch

from skmxne.cli import report
from skmxne.cli.command_line import main


@pytest.fixture(scope="module")
def write_files(make_case, tmp_path_factory):
    """Return a function that writes a recording, and returns the paths of its files."""

    def write(kind="surface", **changes):
        case = make_case(kind, amplitude=20e-9)
        folder = tmp_path_factory.mktemp("recording")
        evokeds = [evoked.copy() for evoked in case.evokeds]
        evokeds[0].comment, evokeds[1].comment = "early", "late"
        objects = dict(evoked=evokeds, forward=case.forward, noise_cov=case.noise_cov) | changes
        files = Bunch(
            evoked=folder / "my-ave.fif",
            forward=folder / "my-fwd.fif",
            noise_cov=folder / "my-cov.fif",
        )
        with mne.use_log_level("ERROR"):
            mne.write_evokeds(files.evoked, objects["evoked"])
            mne.write_forward_solution(files.forward, objects["forward"])
            mne.write_cov(files.noise_cov, objects["noise_cov"])
        return files

    return write


@pytest.fixture(scope="module")
def files(write_files):
    return write_files()


@pytest.fixture
def localize(files, tmp_path, capsys):
    """Return a function that runs the command, and returns its exit code and what it wrote."""
    output = tmp_path / "results"

    def localize(*options, output=output, **replaced):
        paths = {"condition": "early", "no_baseline": True} | files | replaced
        arguments = ["localize", "--output", str(output)]
        for name, value in paths.items():
            if value not in (None, False):
                option = f"--{name.replace('_', '-')}"
                arguments += [option] if value is True else [option, str(value)]
        code = main([*arguments, *options])
        out, err = capsys.readouterr()
        return Bunch(code=code, out=out, err=err, output=Path(output))

    return localize


@pytest.fixture
def figures():
    """Have the command draw its figures."""


@pytest.fixture(autouse=True)
def _blank_figures(request, monkeypatch):
    """Have the command save blank figures, which is quicker, where none are asked for."""

    def save_figures(folder, run, k):
        assert run.conditions[k]
        for name in ["sources", "residual"] + ["alpha"] * hasattr(run.model, "alphas_"):
            plt.imsave(folder / f"{name}.png", np.zeros((2, 2)))
        return []

    if "figures" not in request.fixturenames:
        monkeypatch.setattr(report, "save_figures", save_figures)
