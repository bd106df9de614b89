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


# Source spaces, and how loose they are: all that MNE allows for.
MODELS = {
    "surface, fixed": ("surface", 0),
    "surface, loose": ("surface", 0.2),
    "surface, free": ("surface", 1),
    "volume": ("volume", "auto"),
    "two volumes": ("volume+volume", "auto"),
    "mixed": ("surface+volume", "auto"),
    "mixed, loose surface": ("surface+volume", {"surface": 0.3, "volume": 1}),
    "mixed, fixed surface": ("surface+volume", {"surface": 0, "volume": 1}),
    "surface and discrete": ("surface+discrete", {"surface": 0.2, "discrete": 0.5}),
    "surface and discrete, fixed": ("surface+discrete", 0),
    "discrete": ("discrete", "auto"),
    "discrete, loose": ("discrete", 0.4),
    "discrete, fixed": ("discrete", 0),
}


def pytest_addoption(parser):
    """Add the option that makes the whole of the parity table."""
    parser.addoption("--all-kinds", action="store_true", help="parity for every source space")


def pytest_generate_tests(metafunc):
    """Run a test that asks for a `source_model` with every kind of source space and orientation."""
    if "source_model" in metafunc.fixturenames:
        # Some looseness favours a kind of source space, of which tests/test_source_spaces.py warns.
        known = pytest.mark.filterwarnings("ignore:loose=.* less gain")
        models = [pytest.param(model, marks=known, id=name) for name, model in MODELS.items()]
        metafunc.parametrize("source_model", models)


# Pages whose examples take long.
THOROUGH_PAGES = ("docs/guide_selection.rst",)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark what reads recorded data, and what is not usual, before `-m` selects."""
    for item in items:
        if "sample_dir" in getattr(item, "fixturenames", ()):
            item.add_marker("sample")
        if item.nodeid.startswith(THOROUGH_PAGES):
            item.add_marker("thorough")
        usual = [mark.kwargs for mark in item.iter_markers("usual")]
        if usual and not any(is_one_of(item.callspec.params, values) for values in usual):
            item.add_marker("thorough")


def is_one_of(params, usual):
    """Tell whether all parameters of a test that are named here have one of these values."""
    return all(params[name] in values for name, values in usual.items())


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


def make_sensor_info(eeg_info):
    """Put a magnetometer and two planar gradiometers 3 cm above every fourth electrode."""
    import mne
    from mne.io.constants import FIFF

    electrodes = eeg_info["chs"][::4]
    # As a Vectorview has them: a magnetometer, and two gradiometers that MNE takes for a pair.
    names = [f"MEG {k:03d}{kind}" for k in range(16) for kind in (1, 2, 3)]
    eeg_names = [ch["ch_name"] for ch in electrodes]
    info = mne.create_info([*names, *eeg_names], 100.0, ["mag", "grad", "grad"] * 16 + ["eeg"] * 16)
    montage = {ch["ch_name"]: ch["loc"][:3] for ch in electrodes}
    info.set_montage(mne.channels.make_dig_montage(montage, coord_frame="head"))
    info["dev_head_t"] = mne.Transform("meg", "head")
    for k, coil in enumerate(info["chs"][:48]):
        location = electrodes[k // 3]["loc"][:3]
        radial = location / np.linalg.norm(location)
        ex, ey = np.linalg.svd(radial[np.newaxis])[2][1:]
        if k % 3 == 2:
            ex, ey = ey, -ex
        coil["loc"][:] = np.concatenate([location + 0.03 * radial, ex, ey, radial])
        planar = k % 3 > 0
        coil["coil_type"] = (
            FIFF.FIFFV_COIL_VV_PLANAR_T1 if planar else FIFF.FIFFV_COIL_POINT_MAGNETOMETER
        )
    return info


def make_source_space(kind, cortex, center):
    """Make a small source space: 48 positions of the cortex, a grid, three dipoles, or a mixture.

    In the grid some points are outside of the head, so that vertices are not consecutive.
    """
    import mne

    spaces = []
    sphere = dict(sphere=(*center, 0.07), sphere_units="m", mindist=0, verbose="ERROR")

    def make_volume():
        # A second grid has other points: where two positions are one, which is active is open.
        src = mne.setup_volume_source_space(pos=30.0 if not spaces else 37.0, **sphere)
        src[0]["type"] = "vol"  # MNE calls a grid discrete if there is no MRI
        return src

    # Normals of any length and direction are normalised.
    rr = center + np.array(
        [[0.03, 0.04, 0.03], [-0.05, 0, 0.04], [0, -0.05, 0.03], [0, 0.02, 0.06]]
    )
    parts = {
        "surface": lambda: mne.forward.restrict_forward_to_stc(cortex, pick_some(cortex))["src"],
        "volume": make_volume,
        "discrete": lambda: mne.setup_volume_source_space(
            pos=dict(rr=rr, nn=[[1, 0, 0], [0, 2, 1], [1, 1, 0], [0, -1, 1]]), verbose="ERROR"
        ),
    }
    for part in kind.split("+"):
        spaces.append(parts[part]())
    src = spaces[0]
    for space in spaces[1:]:
        src = src + space
    for space in src:
        space["subject_his_id"] = "simulated"
    return src


def pick_some(forward):
    """Pick 48 vertices of a cortex."""
    import mne

    vertices = [space["vertno"][:2880:120] for space in forward["src"]]
    return mne.SourceEstimate(np.zeros((48, 1)), vertices, 0, 1, subject="simulated")


@pytest.fixture(scope="session")
def models():
    """Return all kinds of source space and orientation by name."""
    return MODELS


@pytest.fixture(scope="session")
def make_case(recording):
    """Return a function that simulates two averages for a kind of source space.

    Kinds: "surface", "volume" or "discrete", or several with a plus. 16 magnetometers, 32
    gradiometers and 16 electrodes, with a projector of the magnetometers and the average
    reference. Four positions are active, in different directions; `amplitude` is in A m.
    """
    import mne

    info = make_sensor_info(recording.evoked.info)
    sphere = mne.make_sphere_model("auto", "auto", info, verbose="ERROR")

    @cache
    def make(kind, amplitude=5e-9):
        rng = np.random.default_rng(0)
        src = make_source_space(kind, recording.forward, sphere["r0"])
        with mne.use_log_level("ERROR"):
            forward = mne.make_forward_solution(info, trans=None, src=src, bem=sphere, mindist=0)
        scale = np.array([30e-15, 1e-12, 1e-12] * 16 + [1e-6] * 16)
        mixing = np.eye(64) + rng.standard_normal((64, 64)) / 16
        mixing *= scale[:, np.newaxis] * (scale == scale[:, np.newaxis])
        noise_cov = mne.Covariance(mixing @ mixing.T, info.ch_names, [], [], 1000)
        active = np.linspace(0, forward["nsource"] - 1, 4).astype(int)
        evokeds = []
        for nave, tmin, n_times in [(4, -0.1, 12), (9, 0.05, 8)]:
            sources = np.zeros((forward["nsource"], 3, n_times))
            sources[active] = amplitude * rng.standard_normal((4, 3, n_times))
            data = forward["sol"]["data"] @ sources.reshape(-1, n_times)
            data += mixing @ rng.standard_normal(data.shape) / np.sqrt(nave)
            evokeds.append(mne.EvokedArray(data, info.copy(), tmin=tmin, nave=nave))
        projected = [project(evoked.copy()) for evoked in evokeds]
        return Bunch(
            unprojected=evokeds[0],
            evokeds=projected,
            evoked=projected[0],
            forward=forward,
            noise_cov=noise_cov,
            info=info,
            project=project,
        )

    return make


def project(evoked, apply=True):
    """Add, and apply, a projector of the magnetometers and the average reference."""
    import mne

    names = evoked.ch_names[:48:3]
    vector = np.linspace(0.5, 1, 16)[np.newaxis]
    data = dict(
        data=vector / np.linalg.norm(vector), col_names=names, row_names=None, nrow=1, ncol=16
    )
    evoked.add_proj(mne.Projection(data=data, desc="external field"), verbose="ERROR")
    evoked.set_eeg_reference(projection=True, verbose="ERROR")
    return evoked.apply_proj(verbose="ERROR") if apply else evoked


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
