"""Inverse problems of every kind of source space: the outputs, and known dipoles got back."""

import mne
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skmxne import InverseProblem

SCALAR = {
    "surface": mne.SourceEstimate,
    "volume": mne.VolSourceEstimate,
    "discrete": mne.VolSourceEstimate,
    "mixed": mne.MixedSourceEstimate,
}
VECTOR = {
    "surface": mne.VectorSourceEstimate,
    "volume": mne.VolVectorSourceEstimate,
    "discrete": mne.VolVectorSourceEstimate,
    "mixed": mne.MixedVectorSourceEstimate,
}


@pytest.fixture
def make_problem(make_case):
    def make(kind, loose, **options):
        case = make_case(kind)
        evoked = options.pop("evoked", case.evoked)
        return InverseProblem.from_evoked(
            evoked, case.forward, case.noise_cov, loose=loose, **options
        )

    return make


def make_coef(problem, positions):
    """Draw the coefficients of some active positions."""
    rng = np.random.default_rng(0)
    coef = np.zeros((len(problem.times), problem.forward["nsource"], problem.n_orient))
    coef[:, positions] = rng.standard_normal((len(coef), len(positions), problem.n_orient))
    return coef.reshape(len(coef), -1)


def get_locations(forward, stc):
    """Find the locations of the vertices of a source estimate."""
    rr = [s["rr"][v] for s, v in zip(forward["src"], stc.vertices, strict=True)]
    return np.concatenate(rr)


def test_outputs_are_those_of_the_kind(make_problem, model):
    problem = make_problem(*model)
    forward = problem.forward
    src_kind = forward["src"].kind
    positions = np.unique(np.linspace(0, forward["nsource"] - 1, 5).astype(int))
    coef = make_coef(problem, positions)

    stc = problem.to_source_estimate(coef)
    dipoles = problem.to_dipoles(coef)

    assert type(stc) is SCALAR[src_kind]
    assert (stc.subject, stc.tmin, stc.tstep) == ("simulated", -0.1, 0.01)
    assert_allclose(get_locations(forward, stc), forward["source_rr"][positions])
    amplitudes = (coef * problem.source_scale).T.reshape(-1, problem.n_orient, 12)[positions] / 2
    if problem.n_orient == 1:
        assert_allclose(stc.data, amplitudes[:, 0])
    else:
        assert_allclose(stc.data, np.linalg.norm(amplitudes, axis=1))
        vectors = problem.to_source_estimate(coef, pick_ori="vector")
        assert type(vectors) is VECTOR[src_kind]
        assert_allclose(vectors.magnitude().data, stc.data)
        for vertices, expected in zip(vectors.vertices, stc.vertices, strict=True):
            assert_array_equal(vertices, expected)

    assert len(dipoles) == len(positions)
    for dipole, position, row in zip(dipoles, positions, stc.data, strict=True):
        assert_allclose(dipole.amplitude, row)
        assert_allclose(dipole.pos, np.tile(forward["source_rr"][position], (12, 1)))
        assert_allclose(np.linalg.norm(dipole.ori, axis=1), 1)


def test_residual_and_forward_projected_sources_give_back_the_data(make_case, make_problem, model):
    """The sources are put through MNE's own forward projection."""
    case, problem = make_case(model[0]), make_problem(*model)
    coef = make_coef(problem, [0, 2, 3])
    is_fixed = problem.n_orient == 1
    stc = problem.to_source_estimate(coef, pick_ori=None if is_fixed else "vector")

    with mne.use_log_level("ERROR"):
        field = case.project(mne.apply_forward(case.forward, stc, case.info))
    residual = problem.to_residual(coef)

    scale = case.evoked.data.std(axis=1, keepdims=True)
    assert_allclose(
        (residual.data + field.data) / scale, case.evoked.data / scale, rtol=1e-8, atol=1e-8
    )
    whitened = problem.whitener @ residual.data * problem.target_scale
    power = np.sum(whitened**2) / np.sum(problem.y**2)
    assert_allclose(problem.explained_variance(coef), 100 * (1 - power))
    gof = sum(dipole.gof for dipole in problem.to_dipoles(coef))
    left = np.sum(whitened**2, axis=0) / np.sum(problem.y**2, axis=0)
    assert_allclose(gof, 100 * (1 - left))


def test_known_dipoles_are_got_back(make_case, model):
    """Sources along the normals, put through `mne.simulation`, come back where they were."""
    kind, loose = model
    case = make_case(kind)
    forward = case.forward
    positions = np.array([1, forward["nsource"] - 2])
    waveforms = 5e-8 * np.array([np.sin(np.arange(20) / 3), np.cos(np.arange(20) / 2)])
    with mne.use_log_level("ERROR"):
        frames = mne.convert_forward_solution(forward, surf_ori=True)["source_nn"]
    normals = frames[2::3][positions]
    if kind.endswith("volume"):
        normals[1] = [0.48, 0.6, 0.64]  # volumes have no normals: any direction will do
    stops = np.cumsum([space["nuse"] for space in forward["src"]])
    starts = stops - [space["nuse"] for space in forward["src"]]
    vertices = [
        space["vertno"][positions[(positions >= start) & (positions < stop)] - start]
        for space, start, stop in zip(forward["src"], starts, stops, strict=True)
    ]
    vectors = normals[:, :, np.newaxis] * waveforms[:, np.newaxis]
    truth = VECTOR[forward["src"].kind](vectors, vertices, 0.1, 0.01, subject="simulated")
    with mne.use_log_level("ERROR"):
        evoked = mne.simulation.simulate_evoked(forward, truth, case.info, None, nave=np.inf)
    evoked.nave = 5
    problem = InverseProblem.from_evoked(case.project(evoked), forward, case.noise_cov, loose=loose)
    blocks = problem.X.reshape(len(problem.X), -1, problem.n_orient)
    coef = np.zeros((20, blocks.shape[1], problem.n_orient))
    columns = blocks[:, positions].reshape(len(problem.X), -1)
    # Fixed in the surface means that the tangential columns are zero.
    found = np.linalg.lstsq(columns, problem.y)[0].T
    coef[:, positions] = found.reshape(20, 2, problem.n_orient)
    coef = coef.reshape(20, -1)

    stc = problem.to_source_estimate(coef, None if problem.n_orient == 1 else "vector")
    for got, expected in zip(stc.vertices, vertices, strict=True):
        assert_array_equal(got, expected)
    assert_allclose(stc.times, truth.times)
    assert stc.subject == "simulated"
    # The gain of fixed orientation is in single precision.
    close = dict(rtol=0, atol=1e-5 * 5e-8)
    assert_allclose(stc.data, waveforms if problem.n_orient == 1 else vectors, **close)
    for dipole, position, vector in zip(problem.to_dipoles(coef), positions, vectors, strict=True):
        assert_allclose(dipole.pos[0], forward["source_rr"][position])
        assert_allclose((dipole.amplitude * dipole.ori.T), vector, **close)
        assert_allclose(dipole.times, truth.times)
    if forward["src"].kind == "surface" and problem.n_orient == 3:
        normal = problem.to_source_estimate(coef, "normal")
        assert_allclose(normal.data, waveforms, **close)
