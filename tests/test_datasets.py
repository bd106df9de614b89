"""Simulated problems and the simulated recording."""

import copy
import pickle
import subprocess
import sys

import mne
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import MultiTaskLasso
from sklearn.utils import Bunch

from skmxne.datasets import make_block_sparse_regression, make_recording


@pytest.fixture(scope="module")
def recording():
    return make_recording()


@pytest.fixture(scope="module")
def noise_only():
    return make_recording(amplitude=0.0)


@pytest.fixture(scope="module")
def sphere(recording):
    return mne.make_sphere_model("auto", "auto", recording.evoked.info, verbose=False)


def positions_of(stc, recording):
    """Positions of the vertices in m, left hemisphere first."""
    hemispheres = zip(recording.forward["src"], stc.vertices, strict=True)
    return np.vstack([src["rr"][vertices] for src, vertices in hemispheres])


def distances(a, b):
    return np.linalg.norm(a[:, np.newaxis] - b, axis=2)


def project_to_sensors(recording):
    """The evoked response that the true sources make, with average reference."""
    forward = mne.convert_forward_solution(recording.forward, force_fixed=True, verbose=False)
    evoked = mne.apply_forward(forward, recording.stc, recording.evoked.info, verbose=False)
    evoked.set_eeg_reference(projection=True, verbose=False)
    return evoked.apply_proj(verbose=False).data


def whiten(recording, data):
    """Whitened data, with noise of variance 1 where they are averages of all the trials."""
    whitener, _ = mne.cov.compute_whitener(
        recording.noise_cov, recording.evoked.info, pca=True, verbose=False
    )
    return np.sqrt(recording.evoked.nave) * whitener @ data


@pytest.mark.parametrize("n_orient", [1, 3])
@pytest.mark.parametrize("n_targets", [1, 4])
def test_regression_has_the_shapes_of_scikit_learn(n_orient, n_targets):
    X, y, coef = make_block_sparse_regression(
        20, 30, n_orient=n_orient, n_targets=n_targets, n_active=3, coef=True, random_state=0
    )
    assert X.shape == (20, 30 * n_orient)
    assert y.shape == ((20,) if n_targets == 1 else (20, n_targets))
    assert coef.shape == (*y.shape[1:], 30 * n_orient)


def test_regression_has_whole_blocks_of_coefficients():
    *_, coef = make_block_sparse_regression(n_orient=3, n_active=7, coef=True, random_state=0)
    n_nonzero = np.count_nonzero(coef.reshape(10, 100, 3), axis=(0, 2))
    assert sorted(n_nonzero) == [0] * 93 + [30] * 7


@pytest.mark.parametrize("n_targets", [1, 50])
def test_regression_is_exact_without_noise(n_targets):
    X, y, coef = make_block_sparse_regression(
        n_targets=n_targets, noise=0.0, coef=True, random_state=0
    )
    assert_allclose(y, X @ coef.T)


def test_regression_noise_has_the_standard_deviation_asked_for():
    X, y, coef = make_block_sparse_regression(
        200, n_targets=200, noise=3.0, coef=True, random_state=0
    )
    assert_allclose((y - X @ coef.T).std(), 3.0, rtol=0.02)


@pytest.mark.parametrize("correlation", [-0.5, 0.0, 0.9])
def test_regression_features_are_correlated_with_their_neighbours(correlation):
    X, _ = make_block_sparse_regression(20000, 6, correlation=correlation, random_state=0)
    lags = np.abs(np.subtract.outer(np.arange(6), np.arange(6)))
    assert_allclose(X.T @ X / 20000, np.float64(correlation) ** lags, atol=0.04)


def test_regression_support_is_found():
    X, y, coef = make_block_sparse_regression(correlation=0.3, coef=True, random_state=0)
    found = MultiTaskLasso(alpha=0.1).fit(X, y).coef_
    assert_array_equal(found.any(axis=0), coef.any(axis=0))
    assert_allclose(found, coef, atol=0.3)


def test_regression_is_determined_by_random_state():
    first, again, other, same = (
        make_block_sparse_regression(random_state=state)
        for state in (0, 0, 1, np.random.RandomState(0))
    )
    assert_array_equal(first[0], again[0])
    assert_array_equal(first[1], again[1])
    assert_array_equal(first[1], same[1])
    assert not np.allclose(first[1], other[1])


@pytest.mark.parametrize("name", ["n_samples", "n_positions", "n_orient", "n_targets"])
def test_regression_refuses_bad_sizes(name):
    with pytest.raises(ValueError, match=f"{name} == 0, must be >= 1"):
        make_block_sparse_regression(**{name: 0})
    with pytest.raises(TypeError, match=f"{name} must be an instance of int"):
        make_block_sparse_regression(**{name: 2.5})


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (dict(n_active=101), "n_active == 101, must be <= 100"),
        (dict(n_active=-1), "n_active == -1, must be >= 0"),
        (dict(correlation=1.0), "correlation == 1.0, must be < 1"),
        (dict(correlation=-1.0), "correlation == -1.0, must be > -1"),
        (dict(correlation=np.nan), "correlation == nan, must be finite"),
        (dict(noise=-0.1), "noise == -0.1, must be >= 0"),
        (dict(noise=np.inf), "noise == inf, must be finite"),
    ],
)
def test_regression_refuses_values_out_of_range(parameters, message):
    with pytest.raises(ValueError, match=message):
        make_block_sparse_regression(**parameters)


def test_regression_does_without_mne():
    code = "import sys, skmxne.datasets as d; d.make_block_sparse_regression(); "
    code += "sys.exit('mne' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_recording_has_objects_that_belong_together(recording):
    evoked, stc = recording.evoked, recording.stc
    assert evoked.data.shape == (64, 151)
    assert len(recording.epochs) == evoked.nave == 60
    assert_allclose(evoked.data, recording.epochs.get_data(copy=False).mean(axis=0), atol=1e-12)
    assert recording.forward["sol"]["row_names"] == recording.noise_cov.ch_names == evoked.ch_names
    assert_allclose(stc.times, evoked.times, atol=1e-12)
    assert_allclose(evoked.times[[0, 50, -1]], [-0.2, 0, 0.4], atol=1e-12)
    assert stc.subject == "simulated"
    assert {src["subject_his_id"] for src in recording.forward["src"]} == {"simulated"}


def test_recording_is_in_volts(recording):
    trials = recording.epochs.get_data(copy=False)
    assert 3e-6 < trials.std() < 10e-6
    assert 2e-6 < np.abs(recording.evoked.data).max() < 20e-6


def test_recording_has_average_reference(recording):
    evoked, noise_cov = recording.evoked, recording.noise_cov
    assert evoked.proj
    assert_allclose(evoked.data.mean(axis=0), 0, atol=1e-12)
    assert mne.compute_rank(noise_cov, info=evoked.info, verbose=False) == {"eeg": 63}
    assert [projection["active"] for projection in noise_cov["projs"]] == [True]


def test_recording_baseline_is_corrected(recording):
    baseline = recording.epochs.copy().crop(None, 0).get_data(copy=False)
    assert_allclose(baseline.mean(axis=2), 0, atol=1e-12)


@pytest.mark.usual(autocorrelation=[0.5])
@pytest.mark.parametrize("autocorrelation", [0.0, 0.5])
def test_recording_whitened_baseline_has_variance_1(autocorrelation):
    recording = make_recording(autocorrelation=autocorrelation)
    baseline = whiten(recording, recording.evoked.copy().crop(None, 0).data)
    assert baseline.shape[0] == 63
    assert 0.8 < np.mean(baseline**2) < 1.25


@pytest.mark.usual(autocorrelation=[0.5])
@pytest.mark.parametrize("autocorrelation", [0.0, 0.5])
def test_recording_noise_has_the_autocorrelation_asked_for(autocorrelation):
    recording = make_recording(autocorrelation=autocorrelation, amplitude=0.0)
    response = recording.epochs.copy().crop(0.004).get_data(copy=False)
    product = np.mean(response[..., 1:] * response[..., :-1])
    # Subtracting the mean of a baseline of 51 times adds to the variance that all times share.
    assert_allclose(product / np.mean(response**2), autocorrelation, atol=0.04)


def test_recording_is_noise_plus_projected_sources(recording, noise_only):
    response = recording.evoked.data - noise_only.evoked.data
    assert_allclose(response, project_to_sensors(recording), atol=1e-11)


def test_recording_projected_sources_explain_the_evoked_response(recording):
    residual = recording.evoked.data - project_to_sensors(recording)
    assert 0.8 < np.mean(whiten(recording, residual) ** 2) < 1.25
    # Honest: the response stands out of the noise, but is not many times as large.
    response = whiten(recording, project_to_sensors(recording))
    assert 1.5 < np.sqrt(np.mean(response**2, axis=0)).max() < 10


@pytest.mark.usual(n_sources=[6])
@pytest.mark.parametrize("n_sources", [1, 2, 6])
def test_sources_are_known(n_sources):
    recording = make_recording(n_sources, n_trials=10, amplitude=30e-9, random_state=3)
    stc = recording.stc
    assert stc.data.shape == (n_sources, 151)
    assert [len(vertices) for vertices in stc.vertices] == [(n_sources + 1) // 2, n_sources // 2]
    assert_allclose(np.abs(stc.data).max(axis=1), 30e-9)
    assert_array_equal(stc.data[:, stc.times <= 0], 0)
    assert len(set(np.abs(stc.data).argmax(axis=1))) == n_sources
    positions = positions_of(stc, recording)
    apart = distances(positions, positions)
    assert (apart + np.eye(n_sources) > 0.04).all()


def test_sources_are_2_to_3_cm_below_the_scalp(recording, sphere):
    radius = np.linalg.norm(positions_of(recording.stc, recording) - sphere["r0"], axis=1)
    depth = sphere["layers"][-1]["rad"] - radius
    assert ((depth > 0.02) & (depth < 0.03)).all()


@pytest.mark.parametrize("alpha", [40, 60])
def test_sources_are_found_by_mne(recording, alpha):
    evoked = recording.evoked.copy().crop(0.04, 0.3)
    found = mne.inverse_sparse.mixed_norm(
        evoked, recording.forward, recording.noise_cov, alpha, loose=0.2, depth=0.8, verbose=False
    )
    error = distances(positions_of(recording.stc, recording), positions_of(found, recording))
    assert error.min(axis=1).max() < 0.015
    assert error.min(axis=0).max() < 0.025


def test_cortex_is_two_hemispheres_inside_the_skull(recording, sphere):
    left, right = recording.forward["src"]
    assert left["rr"][:, 0].max() < -0.002
    assert right["rr"][:, 0].min() > 0.002
    for hemisphere in (left, right):
        radius = np.linalg.norm(hemisphere["rr"] - sphere["r0"], axis=1)
        assert radius.max() < sphere["layers"][0]["rad"] - 0.005
        assert radius[hemisphere["vertno"]].min() > 0.03
        assert 2000 < hemisphere["nuse"] == len(hemisphere["vertno"])


def test_cortex_is_closed_and_its_normals_point_outwards(recording):
    for hemisphere in recording.forward["src"]:
        rr, tris = hemisphere["rr"], hemisphere["tris"]
        edges = np.sort(np.vstack([tris[:, [0, 1]], tris[:, [1, 2]], tris[:, [2, 0]]]), axis=1)
        _, n_triangles = np.unique(edges, axis=0, return_counts=True)
        assert set(n_triangles) == {2}
        assert len(rr) - len(n_triangles) + len(tris) == 2

        volume = np.linalg.det(rr[tris]).sum() / 6
        assert 300e-6 < volume < 600e-6
        outwards = np.sum(hemisphere["nn"] * (rr - rr.mean(axis=0)), axis=1) > 0
        assert outwards.mean() > 0.99


def test_cortex_is_folded(recording, sphere):
    for hemisphere in recording.forward["src"]:
        radial = hemisphere["rr"] - sphere["r0"]
        radial /= np.linalg.norm(radial, axis=1, keepdims=True)
        # On the lateral side of a smooth hemisphere all normals would be nearly radial.
        is_lateral = np.abs(hemisphere["rr"][:, 0]) > 0.03
        cosine = np.sum(hemisphere["nn"] * radial, axis=1)[is_lateral]
        assert np.mean(cosine < 0.7) > 0.2
        assert np.mean(cosine > 0.9) > 0.2


def test_forward_is_one_mne_could_have_read(recording, tmp_path):
    forward = recording.forward
    assert forward["src"].kind == "surface"
    assert forward["nsource"] == sum(src["nuse"] for src in forward["src"])
    path = tmp_path / "simulated-fwd.fif"
    mne.write_forward_solution(path, forward, verbose=False)
    read = mne.read_forward_solution(path, verbose=False)
    assert_allclose(read["sol"]["data"], forward["sol"]["data"], rtol=1e-4, atol=1e-2)
    for src_read, src in zip(read["src"], forward["src"], strict=True):
        assert_array_equal(src_read["vertno"], src["vertno"])
        assert_array_equal(src_read["tris"], src["tris"])


def test_forward_converts_to_every_orientation(recording):
    forward = recording.forward
    n_positions = forward["nsource"]
    loose = mne.convert_forward_solution(forward, surf_ori=True, verbose=False)
    fixed = mne.convert_forward_solution(forward, force_fixed=True, verbose=False)
    assert loose["sol"]["data"].shape == (64, 3 * n_positions)
    assert_allclose(loose["sol"]["data"][:, 2::3], fixed["sol"]["data"])
    adjacency = mne.spatial_src_adjacency(forward["src"], verbose=False)
    assert adjacency.shape == (n_positions, n_positions)


def test_recording_is_determined_by_random_state(recording):
    again = make_recording(random_state=np.random.RandomState(0))
    assert_array_equal(again.evoked.data, recording.evoked.data)
    assert_array_equal(again.stc.data, recording.stc.data)
    assert_array_equal(again.noise_cov.data, recording.noise_cov.data)
    other = make_recording(random_state=1)
    assert_array_equal(other.forward["sol"]["data"], recording.forward["sol"]["data"])
    assert np.abs(other.evoked.data - recording.evoked.data).max() > 1e-6
    assert not np.array_equal(other.stc.vertices[0], recording.stc.vertices[0])


@pytest.mark.parametrize(
    "make", [lambda same: same, copy.copy, lambda same: pickle.loads(pickle.dumps(same))]
)
def test_recording_is_a_bunch_that_prints_its_names(recording, make):
    made = make(recording)
    names = ["epochs", "evoked", "forward", "noise_cov", "stc"]
    assert repr(made) == str(made) == f"<Simulated recording: {', '.join(names)}>"
    assert isinstance(made, Bunch)
    assert sorted(made) == names
    assert set(names) <= set(dir(made))
    assert made.stc is made["stc"]
    assert_array_equal(made.stc.data, recording.stc.data)


def test_recording_is_silent(capfd):
    make_recording(1, n_trials=10)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        (dict(n_sources=0), ValueError, "n_sources == 0, must be >= 1"),
        (dict(n_sources=7), ValueError, "n_sources == 7, must be <= 6"),
        (dict(n_sources=2.0), TypeError, "n_sources must be an instance of int"),
        (dict(n_trials=9), ValueError, "n_trials == 9, must be >= 10"),
        (dict(amplitude=-1e-9), ValueError, "amplitude == -1e-09, must be >= 0"),
        (dict(amplitude=np.nan), ValueError, "amplitude == nan, must be finite"),
        (dict(amplitude="large"), TypeError, "amplitude must be an instance of"),
        (dict(autocorrelation=1.0), ValueError, "autocorrelation == 1.0, must be < 1"),
        (dict(autocorrelation=-0.1), ValueError, "autocorrelation == -0.1, must be >= 0"),
        (dict(random_state="seed"), ValueError, "cannot be used to seed"),
    ],
)
def test_recording_refuses_bad_parameters(parameters, error, message):
    with pytest.raises(error, match=message):
        make_recording(**parameters)
