"""Fixtures that make or read the problems which the tests solve.

They are shared by all tests of a session: copy what you change.
"""

import os
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from sklearn.utils import Bunch

from skmxne.datasets import make_block_sparse_regression, make_recording

# Before anything imports matplotlib: figures are drawn in memory.
os.environ["MPLBACKEND"] = "Agg"

# No deadline, as first calls of BLAS and LAPACK are slow. In CI the same examples every time.
settings.register_profile("skmxne", deadline=None, max_examples=30, derandomize="CI" in os.environ)
settings.load_profile("skmxne")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark what reads recorded data, before `-m` selects."""
    for item in items:
        if "sample_dir" in getattr(item, "fixturenames", ()):
            item.add_marker("sample")


@pytest.fixture(scope="session")
def make_problem():
    """Return a function that simulates `X, y`, the same at every call unless told otherwise."""
    return partial(make_block_sparse_regression, random_state=0)


@pytest.fixture(scope="session")
def judge():
    """Return a function that judges coefficients, with no code of the package."""

    def judge(X, y, coef, penalty, n_orient=1):
        """Return the objective, a duality gap and a possible gain, in units of ||y||^2.

        `coef` is (n_features, n_targets). A proximal step on block g lowers the objective by at
        least L_g / 2 ||step||^2: this `gain` is zero for all blocks if and only if the optimality
        conditions hold, and never above the duality gap.
        """
        power = np.sum(y**2)
        residual = y - X @ coef
        primal = 0.5 * np.sum(residual**2)
        gain = dual_norm = 0.0
        for g in range(0, len(coef), n_orient):
            columns, block = X[:, g : g + n_orient], coef[g : g + n_orient]
            correlation = columns.T @ residual
            primal += penalty * np.linalg.norm(block)
            dual_norm = max(dual_norm, np.linalg.norm(correlation))
            lipschitz = np.linalg.norm(columns, 2) ** 2
            if lipschitz == 0.0:
                gain = max(gain, penalty * np.linalg.norm(block))
                continue
            moved = lipschitz * block + correlation
            moved *= max(0.0, 1.0 - penalty / max(np.linalg.norm(moved), penalty))
            gain = max(gain, np.sum((moved - lipschitz * block) ** 2) / (2.0 * lipschitz))
        theta = residual * min(1.0, penalty / dual_norm) if dual_norm else residual
        dual = 0.5 * np.sum(y**2) - 0.5 * np.sum((y - theta) ** 2)
        return Bunch(primal=primal / power, gap=(primal - dual) / power, gain=gain / power)

    return judge


@pytest.fixture(scope="session")
def are_as_close():
    """Return a function that compares the fields of two solutions to what their gaps allow.

    The data term is strongly convex in X W, which is unique at the minimum: a relative duality gap
    bounds ||X (W - W_best)||^2 / 2, relative to ||y||^2.
    """

    def are_as_close(X, y, coefs, gaps):
        distance = np.linalg.norm(X @ (coefs[0] - coefs[1])) / np.linalg.norm(y)
        # Rounding of the gaps, which are differences of numbers of the size of ||y||^2.
        return distance <= sum(np.sqrt(2.0 * (gap + 1e-15)) for gap in gaps)

    return are_as_close


@pytest.fixture(scope="session")
def recording():
    """Return a simulated recording: evoked, epochs, forward, noise_cov and the true stc."""
    return make_recording()


@pytest.fixture(scope="session")
def sample_dir():
    """Return the folder of the recorded data, or skip the test."""
    folder = os.environ.get("SKMXNE_SAMPLE_DIR")
    if not folder:
        pytest.skip("needs recorded data: set SKMXNE_SAMPLE_DIR to its folder")
    return Path(folder)


@pytest.fixture(scope="session")
def sample_problem(sample_dir):
    """Return a function that reads the recorded auditory response and its head model."""
    import mne

    read_forward = cache(mne.read_forward_solution)
    noise_cov = mne.read_cov(sample_dir / "sample-cov.fif")

    def read(condition="Left Auditory", *, n_positions=483, tmin=0.05, tmax=0.15, picks="meg"):
        evoked = mne.read_evokeds(
            sample_dir / "sample-auditory-ave.fif", condition=condition, baseline=(None, 0)
        )
        return Bunch(
            evoked=evoked.crop(tmin, tmax).pick(picks),
            forward=read_forward(sample_dir / f"sample-cortex-{n_positions}-fwd.fif"),
            noise_cov=noise_cov,
        )

    return read
