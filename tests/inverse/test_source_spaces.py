"""Inverse problems of every kind of source space: the outputs, and known dipoles got back."""

from contextlib import nullcontext

import mne
import numpy as np
import pytest
from mne.forward import is_fixed_orient
from mne.io.constants import FIFF
from mne.transforms import apply_trans
from numpy.testing import assert_allclose, assert_array_equal
from scipy.linalg import block_diag

from skmxne import InverseProblem, MixedNormEstimator, mixed_norm

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


def turn_to_mri(forward):
    """Express a forward solution in MRI coordinates, far from those of the head."""
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    rotation *= np.sign(np.linalg.det(rotation))
    to_head = np.eye(4)
    to_head[:3, :3], to_head[:3, 3] = rotation, [0.01, -0.04, 0.02]
    to_mri = np.linalg.inv(to_head)
    src = forward["src"].copy()
    for space in src:
        space["rr"] = apply_trans(to_mri, space["rr"])
        space["nn"] = apply_trans(to_mri, space["nn"], move=False)
        space["coord_frame"] = FIFF.FIFFV_COORD_MRI
    gain = forward["sol"]["data"].reshape(-1, 3) @ rotation
    sol = forward["sol"] | dict(data=gain.reshape(forward["sol"]["data"].shape))
    turned = mne.Forward(forward)
    turned.update(
        src=src,
        sol=sol,
        _orig_sol=sol["data"],
        source_rr=apply_trans(to_mri, forward["source_rr"]),
        mri_head_t=mne.Transform("mri", "head", to_head),
        coord_frame=FIFF.FIFFV_COORD_MRI,
        info=forward["info"].copy(),
    )
    dict.update(turned["info"], mri_head_t=turned["mri_head_t"])  # which MNE allows files only
    return turned


def test_forward_in_mri_coordinates(make_case, source_model, tmp_path):
    """Results are in head coordinates all the same."""
    kind, loose = source_model
    case = make_case(kind)
    turned = turn_to_mri(case.forward)
    assert_same_results(case, turned, kind, loose)
    if "volume" in kind:  # whose file would need an MRI
        return
    with mne.use_log_level("ERROR"):
        mne.write_forward_solution(tmp_path / "mri-fwd.fif", turned)
        turned = mne.read_forward_solution(tmp_path / "mri-fwd.fif")
    assert_same_results(case, turned, kind, loose)


def assert_same_results(case, forward, kind, loose):
    """Assert that results of a forward solution in MRI coordinates are those of the original."""
    assert forward["coord_frame"] == FIFF.FIFFV_COORD_MRI
    assert np.abs(forward["source_rr"] - case.forward["source_rr"]).max() > 0.02
    problems = [
        InverseProblem.from_evoked(case.evoked, one, case.noise_cov, loose=loose)
        for one in (forward, case.forward)
    ]
    n_orient = problems[0].n_orient
    models = [MixedNormEstimator(40, n_orient=n_orient, tol=1e-10).fit(p.X, p.y) for p in problems]
    tolerance = dict(rtol=1e-3, atol=1e-5)  # files are in single precision
    assert_allclose(*(problem.locations for problem in problems), **tolerance)
    # That for users is in the coordinates of what was given.
    assert problems[0].forward["coord_frame"] == FIFF.FIFFV_COORD_MRI
    assert_array_equal(problems[0].forward["source_rr"], forward["source_rr"])
    dipoles = [p.to_dipoles(m) for p, m in zip(problems, models, strict=True)]
    for dipole, expected in zip(*dipoles, strict=True):
        assert_allclose(dipole.pos, expected.pos, **tolerance)
        moments = [one.ori * one.amplitude[:, np.newaxis] for one in (dipole, expected)]
        assert_allclose(*moments, rtol=1e-3, atol=1e-3 * np.abs(moments[1]).max())
    goodness_of_fit = [sum(dipole.gof for dipole in each) for each in dipoles]
    assert_allclose(*goodness_of_fit, atol=0.01)
    orientations = [None] if n_orient == 1 else [None, "vector"]
    orientations += ["normal"] if n_orient == 3 and kind == "surface" else []
    for pick_ori in orientations:
        stcs = [p.to_source_estimate(m, pick_ori) for p, m in zip(problems, models, strict=True)]
        assert len(stcs[1].data) > 0
        for vertices, expected in zip(*(stc.vertices for stc in stcs), strict=True):
            assert_array_equal(vertices, expected)
        data = [stc.data for stc in stcs]
        assert_allclose(*data, rtol=1e-3, atol=1e-3 * np.abs(data[1]).max())


def spoil(forward, **changes):
    spoilt = mne.Forward(forward)
    spoilt.update(changes)
    return spoilt


@pytest.mark.parametrize(
    ("make_forward", "match"),
    [
        (lambda f: spoil(f, coord_frame=FIFF.FIFFV_COORD_DEVICE), "coord_frame=1.*in head .4. or"),
        (lambda f: spoil(turn_to_mri(f), mri_head_t=None), "in MRI coordinates, but lacks"),
        (
            lambda f: spoil(turn_to_mri(f), mri_head_t=mne.Transform("head", "mri")),
            "in MRI coordinates, but lacks",
        ),
        (lambda f: spoil(f, src=turn_to_mri(f)["src"]), "coord_frame=4.* source space .* has 5"),
    ],
)
def test_coordinates_that_are_not_known_are_refused(make_case, make_forward, match):
    case = make_case("surface")
    with pytest.raises(ValueError, match=f"forward .*{match}"):
        InverseProblem.from_evoked(case.evoked, make_forward(case.forward), case.noise_cov)


@pytest.mark.parametrize(
    ("kind", "loose", "depth", "match"),
    [
        ("surface+volume", {"surface": 0.2, "volume": 1}, 0.8, "surface .* 32 % less .* loose=1"),
        ("surface+volume", {"surface": 0, "volume": 1}, 0.8, "surface .* 42 % less .* loose=1"),
        ("surface+discrete", {"surface": 0.5, "discrete": 0}, 0.8, "discrete .* 29 % .* loose=0.5"),
        ("surface+volume", {"surface": 0.2, "volume": 1}, None, None),
        ("surface+volume", {"surface": 0.8, "volume": 1}, 0.8, None),
        ("surface+volume", 1, 0.8, None),
        ("surface", 0.2, 0.8, None),
    ],
)
def test_looseness_that_favours_a_kind_of_source_space_is_told(
    make_case, kind, loose, depth, match
):
    case = make_case(kind)
    with pytest.warns(RuntimeWarning, match=match) if match else nullcontext() as record:
        InverseProblem.from_evoked(
            case.evoked, case.forward, case.noise_cov, loose=loose, depth=depth
        )
    if match:
        assert [one.filename for one in record] == [__file__]


def test_outputs_are_those_of_the_kind(make_problem, source_model):
    problem = make_problem(*source_model)
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


def test_residual_and_forward_projected_sources_give_back_the_data(
    make_case, make_problem, source_model
):
    """The sources are put through MNE's own forward projection."""
    case, problem = make_case(source_model[0]), make_problem(*source_model)
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


def test_known_dipoles_are_got_back(make_case, source_model):
    """Sources along the normals, put through `mne.simulation`, come back where they were."""
    kind, loose = source_model
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


def empty_right_hemisphere(forward):
    """Return it with all vertices and with those on the left, each of which stands for a patch."""
    left = mne.Label(forward["src"][0]["vertno"], hemi="lh", subject="simulated")
    forwards = forward.copy(), mne.forward.restrict_forward_to_label(forward, left)
    patches = np.random.default_rng(0).choice(forward["src"][0]["np"], (24, 5))
    for one in forwards:
        for space in one["src"]:
            space["pinfo"] = list(patches)
            space["patch_inds"] = np.arange(space["nuse"])
    return forwards


@pytest.mark.parametrize("loose", [0, 0.2, 1])
def test_hemisphere_without_vertices(make_case, loose):
    case = make_case("surface")
    problem, part = (
        InverseProblem.from_evoked(case.evoked, forward, case.noise_cov, loose=loose)
        for forward in empty_right_hemisphere(case.forward)
    )
    n = part.X.shape[1]
    assert n == problem.X.shape[1] / 2
    assert_array_equal(part.forward["sol"]["data"], problem.forward["sol"]["data"][:, :n])
    coef = make_coef(part, [3, 20])
    padded = np.hstack([coef * part.source_scale / problem.source_scale[:n], np.zeros_like(coef)])
    for pick_ori in (None, "normal", "vector") if loose else (None,):
        stc = part.to_source_estimate(coef, pick_ori)
        expected = problem.to_source_estimate(padded, pick_ori)
        assert_array_equal(stc.vertices[0], expected.vertices[0])
        assert len(stc.vertices[1]) == 0
        assert_allclose(stc.data, expected.data)


def test_goodness_of_fit_is_shared_among_overlapping_dipoles(make_problem, source_model):
    """Along each component of the fields used, by the power of what the sources contribute.

    The sources of free orientation are those along the axes of the head, as in MNE.
    """
    problem = make_problem(*source_model)
    positions = np.array([0, 1, 2, 3])
    coef = 0.3 * make_coef(problem, positions)
    # X has columns of zeros where an orientation has no variance: these take no part.
    columns = (positions[:, np.newaxis] * problem.n_orient + np.arange(problem.n_orient)).ravel()
    used = columns[problem.X[:, columns].any(axis=0)]
    gain = problem.X[:, used] / problem.source_scale[used]
    sources = (coef[:, used] * problem.source_scale[used]).T
    if problem.n_orient == 3 and np.ptp(problem.source_scale.reshape(-1, 3), axis=1).max() == 0:
        axes = block_diag(*problem.forward["source_nn"].reshape(-1, 3, 3)[positions])
        gain, sources = gain @ axes, axes.T @ sources
    # The eigenvectors of the Gram matrix of the sensors are components, too.
    values, components = np.linalg.eigh(gain @ gain.T)
    expected = np.zeros((problem.X.shape[1], len(problem.times)))
    for component in components.T[values > 1e-12 * values[-1]]:
        data, model = component @ problem.y, component @ gain @ sources
        power = (component @ gain)[:, np.newaxis] ** 2 * sources**2
        expected[used] += power / power.sum(axis=0) * (data**2 - (data - model) ** 2)
    expected *= 100 / np.sum(problem.y**2, axis=0)
    expected = expected.reshape(-1, problem.n_orient, 12).sum(axis=1)[positions]
    for dipole, one in zip(problem.to_dipoles(coef), expected, strict=True):
        assert_allclose(dipole.gof, one, atol=1e-8 * np.abs(expected).max())


def test_discrete_forward_of_fixed_orientation(make_case, make_problem):
    case, free = make_case("discrete"), make_problem("discrete", 0)
    forward = mne.convert_forward_solution(case.forward, force_fixed=True, verbose="ERROR")
    problem = InverseProblem.from_evoked(case.evoked, forward, case.noise_cov, loose=0)
    assert_allclose(problem.X, free.X, rtol=1e-6)
    coef = make_coef(problem, [1, 2])
    stc, expected = problem.to_source_estimate(coef), free.to_source_estimate(coef)
    assert_array_equal(stc.vertices[0], expected.vertices[0])
    assert_allclose(stc.data, expected.data, rtol=1e-6)
    for dipole, other in zip(problem.to_dipoles(coef), free.to_dipoles(coef), strict=True):
        assert_allclose(dipole.ori, other.ori)
        assert_allclose(dipole.gof, other.gof, rtol=1e-4)


def test_list_of_data_of_different_nave(make_case, make_problem, source_model):
    case = make_case(source_model[0])
    problem = make_problem(*source_model, evoked=case.evokeds)
    coef = make_coef(problem, [0, 3])
    starts = [0, 12]
    for k, (start, evoked) in enumerate(zip(starts, case.evokeds, strict=True)):
        single = make_problem(*source_model, evoked=evoked)
        part = coef[start : start + len(evoked.times)]
        assert_allclose(single.X, problem.X)
        stc, expected = problem.to_source_estimate(coef)[k], single.to_source_estimate(part)
        assert_allclose(stc.data, expected.data)
        assert (stc.tmin, stc.tstep) == (evoked.times[0], 0.01)
        assert_allclose(problem.to_residual(coef)[k].data, single.to_residual(part).data)
        assert_allclose(problem.explained_variance(coef)[k], single.explained_variance(part))


@pytest.mark.parametrize("kind", ["volume", "surface+volume", "discrete"])
def test_weights_of_a_source_estimate(make_problem, kind):
    problem = make_problem(kind, "auto")
    positions = [0, 2, problem.forward["nsource"] - 1]
    coef = make_coef(problem, positions)
    for pick_ori in (None, "vector"):
        weights = problem.weights_from(problem.to_source_estimate(coef, pick_ori))
        assert_array_equal(np.flatnonzero(weights), positions)
    stc = problem.to_source_estimate(coef)
    assert_allclose(weights[positions], stc.data.max(axis=1))


def test_average_reference_before_or_after(make_case):
    """The projector counts, whether it has been applied or not."""
    case = make_case("volume")
    problems = [
        InverseProblem.from_evoked(evoked, case.forward, case.noise_cov)
        for evoked in (case.evoked, case.project(case.unprojected.copy(), apply=False))
    ]
    for problem in problems:
        assert len(problem.X) == 64 - 2
    assert_allclose(problems[0].X, problems[1].X)
    assert_allclose(problems[0].y, problems[1].y, atol=1e-8 * np.abs(problems[0].y).max())


@pytest.mark.parametrize("rank", [None, "info", "full"])
def test_diagonal_covariance(make_case, rank):
    """The whitener of a channel is its own where nothing is projected."""
    case = make_case("volume")
    evoked = case.unprojected.copy().pick("meg")
    problem = InverseProblem.from_evoked(
        evoked, case.forward, case.noise_cov.copy().as_diag(), rank=rank
    )
    variance = np.diag(case.noise_cov.data)[:48]
    assert_allclose(
        problem.whitener @ np.diag(variance) @ problem.whitener.T, np.eye(48), atol=1e-8
    )
    assert_allclose(np.sum(problem.y**2), 4 * np.sum(evoked.data**2 / variance[:, np.newaxis]))


@pytest.fixture
def filtered(sample_problem):
    """Return noise of all MEG sensors, as it is and after a Maxwell filter."""
    case = sample_problem()
    # The sensors, without the projectors that have been applied.
    info = mne.create_info(case.evoked.ch_names, 600.0, case.evoked.get_channel_types())
    for ch, recorded in zip(info["chs"], case.evoked.info["chs"], strict=True):
        ch["loc"][:], ch["coil_type"] = recorded["loc"], recorded["coil_type"]
    info["dev_head_t"] = case.evoked.info["dev_head_t"]
    data = np.random.default_rng(0).standard_normal((len(info.ch_names), 3000)) * 1e-13
    with mne.use_log_level("ERROR"):
        raw = mne.io.RawArray(data, info)
        return case.forward, raw, mne.preprocessing.maxwell_filter(raw, origin=(0.0, 0.0, 0.04))


@pytest.mark.parametrize("rank", [None, "info"])
def test_rank_of_maxwell_filtered_data(filtered, rank):
    forward, _, raw = filtered
    with mne.use_log_level("ERROR"):
        noise_cov = mne.compute_raw_covariance(raw)
        evoked = mne.EvokedArray(raw.get_data()[:, :20], raw.info, nave=1)
        n = mne.compute_rank(noise_cov, rank=rank, info=raw.info)["meg"]
        problem = InverseProblem.from_evoked(evoked, forward, noise_cov, loose=0, rank=rank)
        stc, expected = (
            function(
                *(evoked, forward, noise_cov, 80),
                loose=0,
                rank=rank,
                debias=False,
                tol=1e-8,
                maxit=10_000,
                verbose="ERROR",
            )
            for function in (mixed_norm, mne.inverse_sparse.mixed_norm)
        )
    assert 60 < n < 100
    assert problem.X.shape[0] == problem.y.shape[0] == n
    assert_allclose(np.var(problem.y), 1, rtol=0.2)
    assert_allclose(stc.data, expected.data, atol=1e-3 * np.abs(expected.data).max())


def test_covariance_of_data_without_the_maxwell_filter_is_told(filtered):
    forward, raw, filtered = filtered
    with mne.use_log_level("ERROR"):
        noise_cov = mne.compute_raw_covariance(raw)
        evoked = mne.EvokedArray(filtered.get_data()[:, :20], filtered.info, nave=1)
    match = (
        r"covariance has rank 306 for 'meg', but the data only have rank \d\d .* "
        "set rank to 'info'"
    )
    with pytest.warns(RuntimeWarning, match=match) as record:
        problem = InverseProblem.from_evoked(evoked, forward, noise_cov, loose=0)
    assert [one.filename for one in record] == [__file__]
    assert len(problem.X) == 306
    known = InverseProblem.from_evoked(evoked, forward, noise_cov, loose=0, rank="info")
    told = InverseProblem.from_evoked(
        evoked, forward, noise_cov, loose=0, rank=dict(meg=len(known.X))
    )
    assert len(told.X) == len(known.X) < 100


def test_forward_converted_in_place_later_does_not_matter(make_case):
    case = make_case("surface")
    forward = case.forward.copy()
    problem = InverseProblem.from_evoked(case.evoked, forward, case.noise_cov)
    expected = InverseProblem.from_evoked(case.evoked, case.forward, case.noise_cov)
    mne.convert_forward_solution(forward, force_fixed=True, copy=False, verbose="ERROR")
    coef = make_coef(problem, [1, 5])
    assert_array_equal(problem.to_residual(coef).data, expected.to_residual(coef).data)
    assert_array_equal(problem.forward["sol"]["data"], expected.forward["sol"]["data"])
    assert not is_fixed_orient(problem.forward)


def test_order_of_channels_may_differ_in_a_list(make_case, make_problem):
    first, second = make_case("volume").evokeds
    shuffled = second.copy().reorder_channels(second.ch_names[::-1])
    problem = make_problem("volume", "auto", evoked=[first, shuffled])
    expected = make_problem("volume", "auto", evoked=[first, second])
    assert_array_equal(problem.y, expected.y)
    coef = make_coef(problem, [3])
    for ours, theirs in zip(problem.to_residual(coef), expected.to_residual(coef), strict=True):
        assert_allclose(ours.get_data(theirs.ch_names), theirs.data)
