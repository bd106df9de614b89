import logging
import pickle
import re
import warnings
from contextlib import nullcontext

import mne
import numpy as np
import pytest
from mne.forward import is_fixed_orient, restrict_forward_to_stc
from mne.inverse_sparse import mixed_norm
from mne.io.constants import FIFF
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.linalg import block_diag
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import MultiTaskLasso, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler
from sklearn.utils import Bunch

from skmxne import InverseProblem, MixedNormEstimator
from skmxne.datasets import make_recording

N_SENSORS, N_TIMES = 16, 12
# How warnings call the arguments.
WORDS = {
    "evoked": "the data",
    "forward": "the forward solution",
    "noise_cov": "the noise covariance",
}
ORIENTATIONS = {"fixed": 0, "loose": 0.2, "free": 1.0}


def make_info(eeg_info):
    """Take every fourth electrode, and put a magnetometer 3 cm above each."""
    electrodes = eeg_info["chs"][::4]
    eeg_names = [ch["ch_name"] for ch in electrodes]
    meg_names = [f"MEG {k:03d}" for k in range(N_SENSORS)]
    types = ["mag"] * N_SENSORS + ["eeg"] * N_SENSORS + ["eog"]
    info = mne.create_info([*meg_names, *eeg_names, "EOG"], 100.0, types)
    montage = {ch["ch_name"]: ch["loc"][:3] for ch in electrodes}
    info.set_montage(mne.channels.make_dig_montage(montage, coord_frame="head"))
    info["dev_head_t"] = mne.Transform("meg", "head")
    for coil, electrode in zip(info["chs"], electrodes, strict=False):
        location = electrode["loc"][:3]
        radial = location / np.linalg.norm(location)
        tangential = np.linalg.svd(radial[np.newaxis])[2][1:]
        coil["loc"][:] = np.concatenate([location + 0.03 * radial, *tangential, radial])
        coil["coil_type"] = FIFF.FIFFV_COIL_POINT_MAGNETOMETER
    return info


def make_projector(ch_names, vector):
    data = dict(
        data=vector[np.newaxis] / np.linalg.norm(vector),
        col_names=ch_names,
        row_names=None,
        nrow=1,
        ncol=len(ch_names),
    )
    return mne.Projection(data=data, desc="external field")


@pytest.fixture(scope="module")
def small(recording):
    """Return a small problem with all there is to get wrong.

    16 magnetometers and 16 electrodes, 48 positions, two averages of which the first is `evoked`,
    and one projector for each type of channels.
    """
    rng = np.random.default_rng(0)
    vertices = [space["vertno"][:2880:120] for space in recording.forward["src"]]
    some = mne.SourceEstimate(np.zeros((48, 1)), vertices, 0, 1, subject="simulated")
    info = make_info(recording.evoked.info)
    with mne.use_log_level("WARNING"):
        forward = mne.make_forward_solution(
            info,
            trans=None,
            src=restrict_forward_to_stc(recording.forward, some)["src"],
            bem=mne.make_sphere_model("auto", "auto", info),
        )
    # MNE whitens MEG and EEG apart: here their noise is independent.
    mixing = np.eye(N_SENSORS) + rng.standard_normal((2, N_SENSORS, N_SENSORS)) / 4
    mixing = block_diag(20e-15 * mixing[0], 1e-6 * mixing[1])
    names = info.ch_names[: 2 * N_SENSORS]
    case = Bunch(
        info=info,
        projector=make_projector(names[:N_SENSORS], rng.uniform(0.5, 1, N_SENSORS)),
        forward=forward,
        noise_cov=mne.Covariance(mixing @ mixing.T, names, [], [], 1000),
    )
    case.evokeds = []
    for nave, tmin in [(4, -0.1), (9, 0.05)]:
        sources = np.zeros((3 * forward["nsource"], N_TIMES))
        sources[[16, 17, 60]] = 2e-8 * rng.standard_normal((3, N_TIMES))
        field = forward["sol"]["data"] @ sources
        field += mixing @ rng.standard_normal(field.shape) / np.sqrt(nave)
        case.evokeds.append(make_evoked(case, field, nave=nave, tmin=tmin))
    case.evoked = case.evokeds[0]
    return case


def make_evoked(case, field, *, apply_proj=True, **options):
    """Make an average of a field at all sensors, with the projectors of the small problem."""
    with mne.use_log_level("WARNING"):
        data = np.vstack([field, np.zeros(field.shape[1])])
        evoked = mne.EvokedArray(data, case.info.copy(), **options)
        evoked.add_proj(case.projector).set_eeg_reference(projection=True)
        if apply_proj:
            evoked.apply_proj()
    evoked.data[-1] = np.nan  # the EOG is not to be used
    return evoked


def change(case, **changes):
    return Bunch(**{**case, **changes})


def from_evoked(case, **options):
    return InverseProblem.from_evoked(case.evoked, case.forward, case.noise_cov, **options)


@pytest.fixture(scope="module", params=ORIENTATIONS.values(), ids=ORIENTATIONS)
def problem(small, request):
    return from_evoked(small, loose=request.param)


def get_active(problem, stc):
    """Find the positions of the vertices of a source estimate."""
    used = [
        np.isin(s["vertno"], v) for s, v in zip(problem.forward["src"], stc.vertices, strict=True)
    ]
    return np.flatnonzero(np.concatenate(used))


def make_coef(problem, positions=(3, 40), seed=0):
    """Draw the coefficients of some active positions."""
    coef = np.zeros((len(problem.times), problem.forward["nsource"], problem.n_orient))
    shape = (len(coef), len(positions), problem.n_orient)
    coef[:, positions] = np.random.default_rng(seed).standard_normal(shape)
    return coef.reshape(len(coef), -1)


def make_field(problem, coef):
    """Compute the field of sources by the definition of the coefficients."""
    amplitudes = coef.T * problem.source_scale[:, np.newaxis] / problem.target_scale
    return problem.forward["sol"]["data"] @ amplitudes


# ---------------------------------------------------------------------------- the gain and data


def test_gain_is_whitened_and_scaled(problem):
    n_features = 48 * (1 if problem.n_orient == 1 else 3)
    assert problem.X.shape == (30, n_features)  # 32 channels less 2 projectors
    assert problem.X.dtype == problem.y.dtype == np.float64
    assert problem.X.flags.c_contiguous
    assert problem.y.flags.c_contiguous
    gain = problem.forward["sol"]["data"]
    assert_allclose(problem.X, problem.whitener @ gain * problem.source_scale, rtol=1e-10)
    assert_allclose(np.sum(problem.X**2), len(problem.X))


def test_noise_is_white(small, problem):
    noise_cov = small.noise_cov.data
    whitener = problem.whitener
    assert problem.ch_names == small.noise_cov.ch_names
    assert_allclose(whitener @ noise_cov @ whitener.T, np.eye(30), atol=1e-8)


def test_data_are_whitened_for_one_trial(small, problem):
    data = small.evoked.get_data(problem.ch_names)
    assert_allclose(problem.y, 2 * problem.whitener @ data)  # nave = 4
    assert_array_equal(problem.times, small.evoked.times)
    assert_array_equal(problem.target_scale, np.full(N_TIMES, 2))


def test_forward_has_the_orientation_asked_for(small):
    fixed, loose, free = (from_evoked(small, loose=loose) for loose in (0, 0.2, 1))
    assert is_fixed_orient(fixed.forward)
    for problem in (loose, free):
        assert problem.forward["surf_ori"]
        assert not is_fixed_orient(problem.forward)
        assert_allclose(problem.forward["source_nn"][2::3], fixed.forward["source_nn"])
    # Depth weighting by orientation is that of the axes given.
    depth = dict(combine_xyz=False)
    assert from_evoked(small, loose=0.2, depth=depth).forward["surf_ori"]
    assert not from_evoked(small, loose=1, depth=depth).forward["surf_ori"]
    assert [fixed.n_orient, loose.n_orient, free.n_orient] == [1, 3, 3]
    assert loose.forward.ch_names == loose.ch_names


def test_defaults(small):
    depth = dict(
        exp=0.8, limit=None, limit_depth_chs="whiten", combine_xyz="fro", allow_fixed_depth=True
    )
    default = from_evoked(small)
    for options in [dict(loose=0.2), dict(loose={"surface": 0.2}), dict(depth=depth)]:
        assert_array_equal(default.X, from_evoked(small, **options).X)
    assert_array_equal(from_evoked(small, depth=None).X, from_evoked(small, depth=0).X)


@pytest.mark.parametrize("rank", [None, dict(mag=10, eeg=12)])
@pytest.mark.parametrize("loose", ORIENTATIONS.values(), ids=ORIENTATIONS)
def test_depth_weighting_evens_out_columns(small, loose, rank):
    """Without a limit, an exponent of 1 gives every position the same norm."""
    problem = from_evoked(small, loose=loose, depth=1, rank=rank)
    unweighted = problem.X.reshape(len(problem.X), 48, -1)
    if problem.n_orient == 3:
        unweighted = unweighted / np.sqrt([loose, loose, 1])
    norms = np.linalg.norm(unweighted, axis=(0, 2))
    assert_allclose(norms, norms[0])


def test_fixed_orientation_with_depth_of_free(small):
    """The weights are those of whole positions, those of the normal component by default."""
    depth = dict(exp=1, allow_fixed_depth=False)
    problem = from_evoked(small, loose=0, depth=depth)
    free = from_evoked(small, loose=1, depth=1)
    ratio = problem.source_scale / free.source_scale[::3]
    assert_allclose(ratio, ratio[0])
    other = from_evoked(small, loose=0, depth=1)
    ratio = problem.source_scale / other.source_scale
    assert np.ptp(ratio) > 0.1 * ratio.mean()

    forward = mne.convert_forward_solution(small.forward, surf_ori=True)
    by_component = dict(exp=1, allow_fixed_depth=False, combine_xyz=False)
    problem = from_evoked(change(small, forward=forward), loose=0, depth=by_component)
    assert_allclose(problem.source_scale, other.source_scale, rtol=1e-5)


def test_rank_is_taken(small):
    problem = from_evoked(small, rank=dict(mag=10, eeg=12))
    assert problem.X.shape[0] == problem.y.shape[0] == len(problem.whitener) == 22


@pytest.mark.parametrize(
    ("rank", "match"),
    [
        (dict(meg=10), "rank has 'meg', without effect: .* all magnetometers. Give it as 'mag'"),
        (dict(meg=10, mag=10), "rank has 'meg', without effect"),
    ],
)
def test_rank_without_effect_is_refused(small, rank, match):
    with pytest.raises(ValueError, match=match):
        from_evoked(small, rank=rank)


def test_rank_of_channels_that_are_not_there_may_be_given(small):
    problem = from_evoked(
        change(small, evoked=small.evoked.copy().pick("eeg")), rank=dict(meg=60, eeg=12)
    )
    assert len(problem.X) == 12


@pytest.mark.filterwarnings("ignore:The largest eigenvalue")
def test_rank_above_that_of_the_noise_is_told(small):
    match = "The rank given for 'eeg', 16, is higher than that of the noise covariance, 15: "
    with pytest.warns(RuntimeWarning, match=match) as record:
        from_evoked(small, rank=dict(eeg=16))
    assert record[0].filename == __file__


def test_rank_of_all_meg_channels_counts(make_case):
    case = make_case("surface")
    for rank, match in [
        (dict(mag=10, grad=20), r"'grad' and 'mag', without effect.*Give it as 'meg'"),
        (dict(meg=30, grad=20), "'grad', without effect"),
    ]:
        with pytest.raises(ValueError, match=match):
            from_evoked(case, rank=rank)
    assert len(from_evoked(case, rank=dict(meg=30, eeg=12)).X) == 42


@pytest.mark.parametrize(("picks", "rank"), [("mag", 15), ("eeg", 15)])
def test_one_type_of_channels(small, picks, rank):
    problem = from_evoked(change(small, evoked=small.evoked.copy().pick(picks)))
    assert len(problem.ch_names) == 16
    assert len(problem.X) == rank


def test_order_of_channels_does_not_matter(small):
    names = small.evoked.ch_names
    shuffled = list(np.random.default_rng(0).permutation(names[:-1]))
    forward = mne.pick_channels_forward(small.forward, names[:-1][::-1], ordered=True)
    noise_cov = mne.pick_channels_cov(small.noise_cov, names[3:-1] + names[:3], ordered=True)
    evoked = small.evoked.copy().reorder_channels([*shuffled, "EOG"])

    problem = InverseProblem.from_evoked(evoked, forward, noise_cov)

    assert problem.ch_names == shuffled
    expected = from_evoked(small)
    assert_allclose(problem.X.T @ problem.X, expected.X.T @ expected.X, atol=1e-10)
    assert_allclose(problem.X.T @ problem.y, expected.X.T @ expected.y, atol=1e-8)
    coef = make_coef(problem)
    assert_allclose(
        problem.to_residual(coef).get_data(expected.ch_names),
        expected.to_residual(coef).data,
        rtol=1e-10,
    )


def test_bad_channels_are_left_out_silently(small):
    evoked, noise_cov = small.evoked.copy(), small.noise_cov.copy()
    evoked.info["bads"] = ["MEG 003", "EOG"]
    evoked.data[3] = np.nan
    noise_cov["bads"] = [evoked.ch_names[20]]
    problem = InverseProblem.from_evoked(evoked, small.forward, noise_cov)
    left_out = set(small.evoked.ch_names) - set(problem.ch_names)
    assert left_out == {"MEG 003", evoked.ch_names[20], "EOG"}


def test_inputs_are_neither_modified_nor_copied_whole(small):
    before = pickle.dumps(small)
    for forward in (small.forward, mne.convert_forward_solution(small.forward, surf_ori=True)):
        converted = pickle.dumps(forward)
        for loose in ORIENTATIONS.values():
            problem = from_evoked(change(small, forward=forward), loose=loose)
            assert problem.forward["src"] is forward["src"]
            coef = make_coef(problem)
            for method in (problem.to_source_estimate, problem.to_dipoles, problem.to_residual):
                method(coef)
            if loose:
                problem.to_source_estimate(coef, pick_ori="normal")
        assert pickle.dumps(forward) == converted
        rank = dict(mag=10)
        from_evoked(small, rank=rank)
        assert rank == dict(mag=10)
    assert pickle.dumps(small) == before


def test_data_that_are_too_large_for_the_noise(small):
    evoked = small.evoked.copy()
    evoked.data *= 1e170
    with pytest.raises(ValueError, match="evoked has values that are too large for noise_cov"):
        from_evoked(change(small, evoked=evoked))


def test_says_one_line(small, caplog, capsys):
    with caplog.at_level("INFO", logger="skmxne"), mne.use_log_level("INFO"):
        problem = from_evoked(small, loose=1)
        coef = make_coef(problem)
        problem.to_source_estimate(coef, pick_ori="normal")
        problem.to_residual(coef)
        problem.to_dipoles(coef)
    assert caplog.messages == [repr(problem)]
    assert capsys.readouterr() == ("", "")


def test_data_changed_later_do_not_matter(small):
    evoked = small.evoked.copy()
    problem = from_evoked(change(small, evoked=evoked))
    evoked.data[:] = 0
    assert problem.to_residual(np.zeros((N_TIMES, 144))).data.any()


def test_repr(problem):
    assert repr(problem).startswith("<InverseProblem: 32 channels, rank 30, 48 positions x ")
    orientations = "1 orientation," if problem.n_orient == 1 else "3 orientations,"
    assert orientations in repr(problem)


# ---------------------------------------------------------------------------------- against MNE


def check_parity(case, loose, *, alpha, depth):
    """Solve with MNE, check that this solves our problem, and compare what is made of it."""

    def solve(**outputs):
        return mixed_norm(
            case.evoked,
            case.forward,
            case.noise_cov,
            alpha,
            loose=loose,
            depth=depth,
            debias=False,
            tol=1e-9,
            maxit=10000,
            verbose="ERROR",
            **outputs,
        )

    problem = from_evoked(case, loose=loose, depth=depth)
    stc, residual = solve(return_residual=True)
    vectors = solve(pick_ori="vector") if loose else stc
    positions = get_active(problem, stc)
    assert 0 < len(positions) < problem.forward["nsource"]
    directions = problem.forward["source_nn"].reshape(-1, problem.n_orient, 3)[positions]
    sources = (
        np.einsum("poc,pct->pot", directions, vectors.data) if loose else stc.data[:, np.newaxis]
    )
    scale = problem.source_scale.reshape(-1, problem.n_orient, 1)
    sources = sources / scale[positions]
    coef = np.zeros((len(scale), problem.n_orient, len(problem.times)))
    coef[positions] = sources * problem.target_scale
    coef = coef.reshape(-1, len(problem.times)).T

    check_optimality(problem, positions, sources, alpha)
    ours = problem.to_source_estimate(coef)
    assert isinstance(ours, mne.SourceEstimate)
    assert_same_stc(ours, stc)
    if loose:
        assert_same_stc(problem.to_source_estimate(coef, pick_ori="vector"), vectors)
    our_residual = problem.to_residual(coef)
    assert our_residual.ch_names == residual.ch_names
    assert_array_equal(our_residual.times, residual.times)
    assert_allclose(our_residual.data, residual.data, rtol=1e-8, atol=1e-10 * residual.data.std())
    assert_same_dipoles(problem.to_dipoles(coef), solve(return_as_dipoles=True))


def check_optimality(problem, positions, sources, alpha):
    """Check the condition of the minimum, with MNE's data, which leave nave out.

    X_g^T (y - X W) is penalty * W_g / ||W_g|| for active blocks, not longer than the penalty for
    the others.
    """
    X = problem.X.reshape(len(problem.X), -1, problem.n_orient)
    y = problem.y / problem.target_scale
    penalty = alpha / 100 * np.linalg.norm(np.einsum("sgo,st->got", X, y), axis=(1, 2)).max()
    residual = y - np.einsum("sgo,got->st", X[:, positions], sources)
    gradient = np.einsum("sgo,st->got", X, residual) / penalty
    expected = sources / np.linalg.norm(sources, axis=(1, 2), keepdims=True)
    assert_allclose(gradient[positions], expected, atol=1e-3)
    assert np.linalg.norm(gradient, axis=(1, 2)).max() < 1 + 1e-3


def assert_same_stc(ours, theirs):
    assert type(ours) is type(theirs)
    assert ours.subject == theirs.subject is not None
    assert (ours.tmin, ours.tstep) == (theirs.tmin, theirs.tstep)
    for vertices, expected in zip(ours.vertices, theirs.vertices, strict=True):
        assert_array_equal(vertices, expected)
    assert_allclose(ours.data, theirs.data, rtol=1e-10, atol=1e-10 * abs(theirs.data).max())


def assert_same_dipoles(ours, theirs):
    assert len(ours) == len(theirs)
    for dipole, expected in zip(ours, theirs, strict=True):
        assert_allclose(dipole.times, expected.times, atol=1e-12)
        assert_array_equal(dipole.pos, expected.pos)
        amplitude = abs(expected.amplitude).max()
        assert_allclose(dipole.amplitude, expected.amplitude, rtol=1e-10, atol=1e-10 * amplitude)
        assert_allclose(dipole.ori, expected.ori, atol=1e-8)
        assert_allclose(dipole.gof, expected.gof, atol=1e-7)


@pytest.mark.usual(loose=[0, 0.2])
@pytest.mark.parametrize("loose", ORIENTATIONS.values(), ids=ORIENTATIONS)
@pytest.mark.parametrize("depth", [0.9, None, dict(limit=3.0, combine_xyz="spectral")])
def test_parity_with_mne(small, loose, depth):
    check_parity(small, loose, alpha=30, depth=depth)


def test_parity_with_mne_of_free_orientations_weighted_one_by_one(small):
    check_parity(small, 1, alpha=30, depth=dict(combine_xyz=False))


def test_parity_with_mne_when_projectors_are_not_applied(small):
    data = np.random.default_rng(1).standard_normal((2 * N_SENSORS, N_TIMES))
    field = data * np.repeat([1e-13, 1e-6], N_SENSORS)[:, np.newaxis]
    evoked = make_evoked(small, field, apply_proj=False)
    check_parity(change(small, evoked=evoked), 0.2, alpha=70, depth=0.8)


@pytest.mark.usual(picks=["meg"], loose=[0])
@pytest.mark.usual(picks=["eeg"], loose=[0.2])
@pytest.mark.parametrize("loose", ORIENTATIONS.values(), ids=ORIENTATIONS)
@pytest.mark.parametrize("picks", ["meg", "eeg", ["meg", "eeg"]], ids=["meg", "eeg", "both"])
def test_parity_with_mne_on_recorded_data(sample_problem, picks, loose):
    check_parity(sample_problem(picks=picks), loose, alpha=50, depth=0.9)


# ------------------------------------------------------------------------------------- outputs


@pytest.mark.parametrize("surf_ori", [False, True])
@pytest.mark.parametrize("loose", ORIENTATIONS.values(), ids=ORIENTATIONS)
def test_known_dipole_is_recovered(small, loose, surf_ori):
    """Least squares at its position give back what was put through the forward solution."""
    position = 40
    forward = mne.convert_forward_solution(small.forward, surf_ori=surf_ori)
    fixed = mne.convert_forward_solution(small.forward, force_fixed=True)
    normal = fixed["source_nn"][position]
    waveform = 3e-8 * np.sin(np.arange(N_TIMES) + 0.5)
    field = fixed["sol"]["data"][:, [position]] * waveform
    evoked = make_evoked(small, field, nave=7)
    problem = from_evoked(change(small, evoked=evoked, forward=forward), loose=loose)
    coef = np.zeros((N_TIMES, 48, problem.n_orient))
    X = problem.X.reshape(30, 48, problem.n_orient)[:, position]
    coef[:, position] = np.linalg.lstsq(X, problem.y)[0].T
    coef = coef.reshape(N_TIMES, -1)

    stc = problem.to_source_estimate(coef)
    assert_array_equal(get_active(problem, stc), [position])
    assert stc.subject == "simulated"
    close = dict(rtol=1e-4, atol=1e-12)  # the gain of fixed orientation is in single precision
    if loose == 0:
        assert_allclose(stc.data[0], waveform, **close)
    else:
        assert_allclose(stc.data[0], abs(waveform), **close)
        vectors = problem.to_source_estimate(coef, pick_ori="vector")
        assert_allclose(vectors.data[0], normal[:, np.newaxis] * waveform, **close)
        normals = problem.to_source_estimate(coef, pick_ori="normal")
        assert_allclose(normals.data[0], waveform, **close)

    (dipole,) = problem.to_dipoles(coef)
    assert_allclose(dipole.pos, np.tile(forward["source_rr"][position], (N_TIMES, 1)))
    assert_allclose(np.linalg.norm(dipole.ori, axis=1), 1)
    assert_allclose(
        dipole.ori * dipole.amplitude[:, np.newaxis], np.outer(waveform, normal), **close
    )
    assert_allclose(dipole.gof, 100)
    assert_allclose(dipole.times, evoked.times)
    assert_allclose(problem.explained_variance(coef), 100)
    scale = abs(problem.to_residual(np.zeros_like(coef)).data).max(axis=1, keepdims=True)
    assert_allclose(problem.to_residual(coef).data / scale, 0, atol=1e-4)


def test_residual_and_field_add_up_to_data(small, problem):
    coef = make_coef(problem)
    residual = problem.to_residual(coef)
    field = make_evoked(small, make_field(problem, coef)).pick(problem.ch_names)
    data = small.evoked.copy().pick(problem.ch_names)
    assert_allclose(residual.data + field.data, data.data, rtol=1e-9, atol=1e-9 * field.data.std())
    assert isinstance(residual, mne.Evoked)
    assert residual.nave == small.evoked.nave
    assert_array_equal(residual.times, small.evoked.times)


def test_explained_variance(problem):
    coef = make_coef(problem)
    residual = problem.y - problem.X @ coef.T
    expected = 100 * (1 - np.sum(residual**2) / np.sum(problem.y**2))
    assert_allclose(problem.explained_variance(coef), expected)
    assert isinstance(problem.explained_variance(coef), float)


def test_goodness_of_fit_adds_up(problem):
    coef = make_coef(problem, positions=(3, 10, 30, 40)) * 0.1
    residual = problem.y - problem.X @ coef.T
    expected = 100 * (1 - np.sum(residual**2, axis=0) / np.sum(problem.y**2, axis=0))
    assert_allclose(sum(dipole.gof for dipole in problem.to_dipoles(coef)), expected)


def test_normals_are_those_of_mne(small):
    """Patch statistics turn the normals; MNE projects vectors on them."""
    forward = small.forward.copy()
    rng = np.random.default_rng(0)
    for space in forward["src"]:
        space["pinfo"] = [rng.choice(space["np"], 5) for _ in range(space["nuse"])]
        space["patch_inds"] = np.arange(space["nuse"])
    for loose in (0.2, 1):
        problem = from_evoked(change(small, forward=forward), loose=loose)
        coef = make_coef(problem)
        normal = problem.to_source_estimate(coef, pick_ori="normal")
        vectors = problem.to_source_estimate(coef, pick_ori="vector")
        expected = vectors.project("normal", forward["src"])[0]
        assert_allclose(normal.data, expected.data, rtol=1e-10, atol=1e-10 * normal.data.std())


def test_no_active_position(problem):
    coef = np.zeros((N_TIMES, problem.X.shape[1]))
    for pick_ori in (None,) if problem.n_orient == 1 else (None, "normal", "vector"):
        stc = problem.to_source_estimate(coef, pick_ori=pick_ori)
        assert [len(vertices) for vertices in stc.vertices] == [0, 0]
        assert stc.shape == ((0, 3, N_TIMES) if pick_ori == "vector" else (0, N_TIMES))
    assert problem.to_dipoles(coef) == []
    assert problem.explained_variance(coef) == 0
    assert_allclose(problem.whitener @ problem.to_residual(coef).data * 2, problem.y)


def test_data_that_are_zero(small):
    evoked = make_evoked(small, np.zeros((2 * N_SENSORS, N_TIMES)))
    problem = from_evoked(change(small, evoked=evoked))
    coef = make_coef(problem)
    assert problem.explained_variance(coef) == 0
    assert not problem.to_dipoles(coef)[0].gof.any()


def test_dipole_without_amplitude_has_no_orientation(small):
    problem = from_evoked(small)
    coef = make_coef(problem)
    coef[0] = 0
    dipoles = problem.to_dipoles(coef)
    assert len(dipoles) == 2
    for dipole in dipoles:
        assert not dipole.ori[0].any()
        assert_allclose(np.linalg.norm(dipole.ori[1:], axis=1), 1)


def test_list_of_data(small):
    evokeds = [small.evokeds[0], small.evokeds[1].copy().crop(0.05, 0.1)]
    problem = from_evoked(change(small, evoked=evokeds))
    one, two = (from_evoked(change(small, evoked=evoked)) for evoked in evokeds)
    assert_allclose(problem.y, np.hstack([one.y, two.y]))
    assert_array_equal(problem.X, one.X)
    assert_array_equal(problem.times, np.concatenate([one.times, two.times]))
    assert_array_equal(problem.target_scale, [2] * 12 + [3] * 6)

    coef = make_coef(problem)
    singles = [(one, coef[:12]), (two, coef[12:])]
    assert_allclose(
        problem.explained_variance(coef), [single.explained_variance(c) for single, c in singles]
    )
    for stc, residual, dipoles, (single, coef_) in zip(
        problem.to_source_estimate(coef),
        problem.to_residual(coef),
        problem.to_dipoles(coef),
        singles,
        strict=True,
    ):
        assert_same_stc(stc, single.to_source_estimate(coef_))
        assert_allclose(residual.data, single.to_residual(coef_).data)
        assert_same_dipoles(dipoles, single.to_dipoles(coef_))


def test_list_of_one_gives_lists(small):
    problem = from_evoked(change(small, evoked=[small.evoked]))
    coef = make_coef(problem)
    for method in (problem.to_source_estimate, problem.to_residual, problem.explained_variance):
        assert len(method(coef)) == 1
    (dipoles,) = problem.to_dipoles(coef)
    assert len(dipoles) == 2


# -------------------------------------------------------------------------------------- weights


def make_stc(problem, positions, data):
    """Put rows of data at positions of the source space."""
    left, right = (space["vertno"] for space in problem.forward["src"])
    positions = np.asarray(positions)
    vertices = [left[positions[positions < 24]], right[positions[positions >= 24] - 24]]
    kind = mne.SourceEstimate if np.ndim(data) == 2 else mne.VectorSourceEstimate
    return kind(np.asarray(data, float), vertices, 0, 1, subject="simulated")


def test_weights_are_peaks(problem):
    data = np.random.default_rng(0).standard_normal((48, 5))
    assert_array_equal(
        problem.weights_from(make_stc(problem, range(48), data)), abs(data).max(axis=1)
    )


def test_weights_of_few_vertices(problem):
    weights = problem.weights_from(make_stc(problem, [5, 30, 47], [[1, -7], [2, 3], [0, -0.5]]))
    assert weights.shape == (48,)
    assert_array_equal(np.flatnonzero(weights), [5, 30, 47])
    assert_array_equal(weights[[5, 30, 47]], [7, 3, 0.5])


def test_weights_of_vectors(problem):
    vectors = [[[3, 0], [4, 1], [0, 0]], [[0, -2], [0, 1], [1, 2]]]
    weights = problem.weights_from(make_stc(problem, [0, 24], vectors))
    assert_array_equal(weights[[0, 24]], [5, 3])


def test_weights_of_own_source_estimate(problem):
    coef = make_coef(problem)
    stc = problem.to_source_estimate(coef)
    assert_array_equal(problem.weights_from(stc)[[3, 40]], abs(stc.data).max(axis=1))


@pytest.mark.parametrize(
    ("change_stc", "error", "match"),
    [
        (lambda stc: stc.data, TypeError, "stc must be a source estimate of MNE, got ndarray"),
        (lambda stc: move_vertex(stc), ValueError, "stc has vertices that are not in"),
        (
            lambda stc: mne.VolSourceEstimate(stc.data, stc.vertices, 0, 1),
            ValueError,
            "stc is a VolSourceEstimate, .* a surface source space. Pass a SourceEstimate",
        ),
        (
            lambda stc: mne.SourceEstimate(stc.data[:, :0], stc.vertices, 0, 1),
            ValueError,
            "stc has no times",
        ),
        (lambda stc: set_subject(stc, "other"), ValueError, "stc is of subject 'other'"),
    ],
)
def test_weights_of_something_else(small, change_stc, error, match):
    problem = from_evoked(small)
    stc = make_stc(problem, [5], [[1]])
    with pytest.raises(error, match=match):
        problem.weights_from(change_stc(stc))


def test_weights_without_subject(small):
    problem = from_evoked(small)
    stc = set_subject(make_stc(problem, [5], [[1]]), None)
    assert problem.weights_from(stc)[5] == 1


def move_vertex(stc):
    return mne.SourceEstimate(stc.data, [stc.lh_vertno + 1, stc.rh_vertno], 0, 1)


def set_subject(stc, subject):
    return mne.SourceEstimate(stc.data, stc.vertices, 0, 1, subject=subject)


# -------------------------------------------------------------------------------- coefficients


def assert_reads_as(problem, estimator, coef):
    """Check that an estimator gives the same sources as coefficients."""
    stc, expected = problem.to_source_estimate(estimator), problem.to_source_estimate(coef)
    assert_array_equal(get_active(problem, stc), get_active(problem, expected))
    assert_allclose(stc.data, expected.data, rtol=1e-10)


def fit(problem, *steps):
    return make_pipeline(*steps, Ridge(fit_intercept=False)).fit(problem.X, problem.y)


def test_coefficients_of_estimator(problem):
    X, y = problem.X, problem.y
    lasso = MultiTaskLasso(alpha=0.5, fit_intercept=False, tol=0.1).fit(X, y)
    assert 0 < np.count_nonzero(lasso.coef_.any(axis=0)) < X.shape[1]
    assert_reads_as(problem, lasso, lasso.coef_)
    assert_reads_as(problem, sparse.csr_array(lasso.coef_), lasso.coef_)
    assert_reads_as(problem, lasso.coef_.tolist(), lasso.coef_)


def test_model_of_other_blocks_is_refused(problem):
    """Blocks of another size would be tied together, or split, without a sign of it."""
    model = MixedNormEstimator(alpha=50, n_orient=problem.n_orient).fit(problem.X, problem.y)
    problem.to_source_estimate(model)
    other = 4 - problem.n_orient
    search = GridSearchCV(MixedNormEstimator(n_orient=other), {"alpha": [50]}, cv=2)
    for estimator in (clone(model).set_params(n_orient=other), search):
        estimator.fit(problem.X, problem.y)
        with pytest.raises(
            ValueError, match=rf"the problem has blocks of n_orient={problem.n_orient}\."
        ):
            problem.to_source_estimate(estimator)


def test_constructor_points_to_the_class_methods(small):
    with pytest.raises(TypeError, match=r"InverseProblem\.from_evoked"):
        InverseProblem(small.evoked, small.forward)


def test_coefficients_of_search(problem):
    grid = {"alpha": [1, 10]}
    search = GridSearchCV(Ridge(fit_intercept=False), grid, cv=2).fit(problem.X, problem.y)
    assert_reads_as(problem, search, search.best_estimator_.coef_)
    assert_reads_as(problem, make_pipeline(None, search), search.best_estimator_.coef_)


@pytest.mark.parametrize(
    "step", [StandardScaler(with_mean=False), FunctionTransformer(np.negative), "passthrough"]
)
def test_pipeline_that_scales_columns(problem, step):
    pipeline = fit(problem, step, clone(step) if step != "passthrough" else step)
    prediction = pipeline.predict(problem.X)
    field = problem.whitener @ make_residual_of_zero(problem, pipeline)
    assert_allclose(field, prediction, rtol=1e-8, atol=1e-8)
    search = GridSearchCV(pipeline, {"ridge__alpha": [1.0]}, cv=2).fit(problem.X, problem.y)
    assert_reads_as(problem, search, pipeline[-1].coef_ * get_scale(pipeline, problem))


def get_scale(pipeline, problem):
    return pipeline[:-1].transform(np.ones((1, problem.X.shape[1])))[0]


def make_residual_of_zero(problem, estimator):
    """Return what an estimator predicts at the channels, for the average times sqrt(nave)."""
    zero = problem.to_residual(np.zeros((N_TIMES, problem.X.shape[1])))
    return 2 * (zero.data - problem.to_residual(estimator).data)


def test_coefficients_of_one_target(small):
    evoked = small.evoked.copy().crop(0, 0)
    problem = from_evoked(change(small, evoked=evoked), loose=0)
    ridge = Ridge(fit_intercept=False).fit(problem.X, problem.y.ravel())
    assert ridge.coef_.shape == (48,)
    assert_reads_as(problem, ridge, ridge.coef_[np.newaxis])


def test_block_with_one_component_is_active(small):
    problem = from_evoked(small)
    coef = np.zeros((N_TIMES, 144))
    coef[:, 3 * 7 + 1] = 1
    vectors = problem.to_source_estimate(coef, pick_ori="vector")
    assert_array_equal(get_active(problem, vectors), [7])
    assert_allclose(
        vectors.data[0, :, 0], problem.forward["source_nn"][22] * problem.source_scale[22] / 2
    )


@pytest.mark.parametrize(
    ("make_estimator", "error", "match"),
    [
        (lambda p: np.zeros((12, 143)), ValueError, r"\(12, 143\).*= \(12, 144\)"),
        (lambda p: np.zeros((144, 12)), ValueError, r"\(144, 12\).*= \(12, 144\).*transpose"),
        (lambda p: np.zeros(144), ValueError, r"\(144,\).*= \(12, 144\)"),
        (lambda p: Ridge(fit_intercept=False).fit(p.X[:, 1:], p.y), ValueError, r"\(12, 143\)"),
        (lambda p: np.full((12, 144), np.nan), ValueError, "infinite or NaN"),
        (lambda p: Ridge(), NotFittedError, "not fitted"),
        (lambda p: GridSearchCV(Ridge(), {}), NotFittedError, "not fitted"),
        (lambda p: make_pipeline(PCA(), Ridge()), NotFittedError, "not fitted"),
        (lambda p: Ridge().fit(p.X, p.y), ValueError, "estimator has an intercept.*fit_intercept"),
        (lambda p: KNeighborsRegressor().fit(p.X, p.y), TypeError, "neither coef_ nor best_est"),
        (lambda p: "lasso", TypeError, "estimator must be a fitted model with coef_.*got str"),
        (lambda p: None, TypeError, "estimator must be a fitted model with coef_.*got NoneType"),
        (lambda p: fit(p, StandardScaler()), ValueError, "a step that does more than scale"),
        (lambda p: fit(p, MinMaxScaler()), ValueError, "a step that does more than scale"),
        (lambda p: fit(p, FunctionTransformer(np.abs)), ValueError, "does more than scale"),
        (lambda p: fit(p, PCA(5)), ValueError, "a step that does more than scale"),
    ],
)
def test_estimator_that_does_not_fit(small, make_estimator, error, match):
    problem = from_evoked(small)
    with pytest.raises(error, match=match):
        problem.to_source_estimate(make_estimator(problem))


@pytest.mark.parametrize("pick_ori", ["normal", "vector"])
def test_pick_ori_of_fixed_orientation(small, pick_ori):
    problem = from_evoked(small, loose=0)
    with pytest.raises(ValueError, match=f"pick_ori='{pick_ori}'.*loose > 0, or pass pick_ori=Non"):
        problem.to_source_estimate(make_coef(problem), pick_ori=pick_ori)


def test_pick_ori_that_does_not_exist(small):
    problem = from_evoked(small)
    with pytest.raises(ValueError, match="pick_ori must be None, 'normal' or 'vector', got 'tang"):
        problem.to_source_estimate(make_coef(problem), pick_ori="tangential")


# --------------------------------------------------------------------------------- bad input


@pytest.fixture(scope="module")
def without(small):
    """Return the small problem where one object lacks some channels."""

    def drop(where, names):
        kept = [name for name in small.info.ch_names[:-1] if name not in names]
        if where == "forward":
            return change(small, forward=mne.pick_channels_forward(small.forward, kept))
        if where == "noise_cov":
            return change(small, noise_cov=mne.pick_channels_cov(small.noise_cov, kept))
        return change(small, evoked=small.evoked.copy().pick(kept))

    return drop


@pytest.mark.parametrize("where", ["evoked", "forward", "noise_cov"])
def test_channels_left_out_are_named(small, without, where):
    names = ["MEG 001", small.info.ch_names[20]]
    with pytest.warns(RuntimeWarning) as record:
        problem = from_evoked(without(where, names), loose=0)
    assert [str(one.message) for one in record] == [
        f"Channels left out: 2 not in {WORDS[where]} ({', '.join(names)}). Only shared "
        "channels are used."
    ]
    assert record[0].filename == __file__
    assert len(problem.ch_names) == 30


@pytest.mark.parametrize("where", ["forward", "noise_cov"])
def test_whole_type_left_out_is_one_short_warning(small, without, where):
    with pytest.warns(RuntimeWarning) as record:
        problem = from_evoked(without(where, small.info.ch_names[N_SENSORS:]))
    (warning,) = record
    assert f"16 not in {WORDS[where]} (Fp1, " in str(warning.message)
    assert len(str(warning.message)) < 130
    assert problem.ch_names == small.info.ch_names[:N_SENSORS]


def test_channels_that_are_bad_or_of_a_type_not_measured_are_no_reason_to_warn(small, without):
    case = without("evoked", ["MEG 001", *small.info.ch_names[N_SENSORS:]])
    case.noise_cov = case.noise_cov.copy()
    case.noise_cov["bads"] = ["MEG 001"]
    assert len(from_evoked(case).ch_names) == N_SENSORS - 1


def make_unreferenced(small):
    data = np.zeros((2 * N_SENSORS + 1, N_TIMES))
    return mne.EvokedArray(data, small.info.copy())


def refer_to_first(small):
    with mne.use_log_level("WARNING"):
        return make_unreferenced(small).set_eeg_reference([small.info.ch_names[N_SENSORS]])


@pytest.mark.parametrize("make_evoked", [make_unreferenced, refer_to_first])
def test_eeg_needs_average_reference(small, make_evoked):
    evoked = make_evoked(small)
    message = r"evoked needs an average reference.*evoked.set_eeg_reference\(projection=True\)"
    with pytest.raises(ValueError, match=message):
        from_evoked(change(small, evoked=evoked))
    # The reference of channels that are not used does not matter.
    problem = from_evoked(change(small, evoked=evoked.copy().pick("mag")))
    assert len(problem.X) == N_SENSORS
    # What the message says helps.
    with mne.use_log_level("WARNING"):
        evoked.set_eeg_reference(projection=True).apply_proj()
    assert len(from_evoked(change(small, evoked=evoked)).X) == 2 * N_SENSORS - 1


def test_custom_reference_under_the_average_is_refused(small):
    """As in MNE."""
    with mne.use_log_level("WARNING"):
        evoked = refer_to_first(small).add_proj(small.evoked.info["projs"][1])
    with pytest.raises(ValueError, match="evoked needs an average reference"):
        from_evoked(change(small, evoked=evoked))


def test_compensation_must_agree(small):
    forward = small.forward.copy()
    for ch in forward["info"]["chs"][:N_SENSORS]:
        ch["coil_type"] = int(ch["coil_type"]) + (3 << 16)
    with pytest.raises(ValueError, match="evoked has compensation grade 0, forward 3"):
        from_evoked(change(small, forward=forward))
    problem = from_evoked(change(small, forward=forward, evoked=small.evoked.copy().pick("eeg")))
    assert len(problem.X) == N_SENSORS - 1


def set_value(evoked, value):
    evoked = evoked.copy()
    evoked.data[2, 3] = value
    return evoked


def set_bads(evoked):
    evoked = evoked.copy()
    evoked.info["bads"] = evoked.ch_names[:-1]
    return evoked


def make_intracranial(evoked):
    types = ["seeg"] * 30 + ["ecog"] * 20 + ["hbo"] * 4
    info = mne.create_info([f"{kind} {k}" for k, kind in enumerate(types)], 100.0, types)
    return mne.EvokedArray(np.ones((len(types), 5)), info)


def set_nave(evoked, nave):
    evoked = evoked.copy()
    evoked.nave = nave
    return evoked


def set_kind(evoked):
    evoked = evoked.copy()
    evoked.kind = "standard_error"
    return evoked


def rename(evoked):
    # A copy would share the names in its projectors with the original.
    return pickle.loads(pickle.dumps(evoked)).rename_channels(lambda name: name + "!")


@pytest.mark.parametrize(
    ("make_evoked", "error", "match"),
    [
        (lambda e: e.data, TypeError, "evoked must be an instance of mne.Evoked.*got ndarray"),
        (lambda e: mne.io.RawArray(e.data, e.info, verbose="ERROR"), TypeError, "got RawArray"),
        (lambda e: None, TypeError, "evoked must be an instance of mne.Evoked.*got NoneType"),
        (lambda e: [], ValueError, "evoked is an empty list"),
        (lambda e: [e, e.data], TypeError, "got ndarray"),
        (lambda e: set_value(e, np.nan), ValueError, "evoked has infinite or NaN data in MEG 002"),
        (lambda e: set_value(e, -np.inf), ValueError, "evoked has infinite or NaN data in MEG 00"),
        (lambda e: set_nave(e, 0), ValueError, "evoked has nave=0. Set it to the number"),
        (lambda e: set_nave(e, np.inf), ValueError, "evoked has nave=inf. Set it to the number"),
        (lambda e: set_nave(e, np.nan), ValueError, "evoked has nave=nan. Set it to the number"),
        (lambda e: set_nave(e, None), ValueError, "evoked has nave=None. Set it to the number"),
        (set_kind, ValueError, "evoked has kind='standard_error'. Pass an average"),
        (set_bads, ValueError, "evoked has no MEG or EEG channel left"),
        (
            lambda e: e.copy().pick("eog"),
            ValueError,
            "evoked has no MEG or EEG channel, only 1 eog",
        ),
        (make_intracranial, ValueError, "only 30 seeg, 20 ecog, 4 hbo. .*set_channel_types"),
        (rename, ValueError, "no good MEG or EEG channel in common.*'MEG 000!', 'MEG 000' and"),
        (lambda e: [e, e.copy().pick("mag")], ValueError, "same channels.*lack.*Pick the same"),
        (lambda e: [e, rename(e)], ValueError, "same channels"),
    ],
)
def test_bad_evoked(small, make_evoked, error, match):
    with pytest.raises(error, match=match):
        from_evoked(change(small, evoked=make_evoked(small.evoked)))


def turn(degrees):
    """Turn about the z axis through the origin, which a transform has no other sign of."""
    angle = np.deg2rad(degrees)
    rotation = np.eye(4)
    rotation[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return rotation


@pytest.mark.filterwarnings("ignore:The whitened data before time 0")
@pytest.mark.parametrize(
    ("degrees", "shift", "millimetres"),
    [(0, 0, 0), (0, 4e-3, 0), (0, 6e-3, 6), (1, 0, 0), (15, 0, 33), (15, -4e-3, 33), (180, 0, 246)],
)
def test_head_elsewhere_is_told(small, degrees, shift, millimetres):
    """By how far sensors have moved, whether the head was shifted or turned."""
    forward, moved = small.forward.copy(), small.evoked.copy()
    forward["info"]["dev_head_t"] = small.evoked.info["dev_head_t"]
    place = turn(degrees)
    place[2, 3] = shift
    moved.info["dev_head_t"] = mne.Transform("meg", "head", place)
    locations = np.array([ch["loc"][:3] for ch in moved.info["chs"][:N_SENSORS]])
    distance = np.linalg.norm(locations @ place[:3, :3].T + place[:3, 3] - locations, axis=1)
    match = rf"MEG sensors are up to {1e3 * distance.max():.0f} mm from .*dev_head_t"
    told = pytest.warns(RuntimeWarning, match=match) if millimetres else nullcontext()
    with told as record:
        from_evoked(change(small, evoked=[small.evoked, moved], forward=forward))
    if millimetres:
        assert 1e3 * distance.max() == pytest.approx(millimetres, abs=1)
        assert [each.filename for each in record] == [__file__]


@pytest.mark.filterwarnings("ignore:The whitened data before time 0")
@pytest.mark.parametrize("location", [[0, 0, 0.004], [0, 0, 0.02], None, np.nan])
def test_electrode_elsewhere_is_told(small, location):
    moved = small.evoked.copy()
    place = moved.info["chs"][N_SENSORS + 3]["loc"]
    place[:3] = 0.0 if location is None else place[:3] + location  # zero or NaN: not known
    told = nullcontext()
    if location == [0, 0, 0.02]:
        told = pytest.warns(RuntimeWarning, match=r"electrodes are up to 20 mm .*montage")
    with told:
        from_evoked(change(small, evoked=moved))


@pytest.mark.filterwarnings("ignore:The whitened data before time 0")
def test_data_with_other_projectors(small):
    field = np.zeros((2 * N_SENSORS, N_TIMES))
    other = change(small, projector=make_projector(small.info.ch_names[:16], np.arange(16.0)))
    for evokeds in (
        [small.evoked, make_evoked(other, field)],
        [small.evoked, make_unreferenced(small)],
    ):
        with pytest.raises(ValueError, match=r"same projectors.*evoked\.add_proj"):
            from_evoked(change(small, evoked=evokeds))
    # Files hold projectors in single precision; the order and the signs do not matter.
    rounded = pickle.loads(pickle.dumps(small.evoked))
    rounded.info["projs"].reverse()
    for proj in rounded.info["projs"]:
        proj["data"]["data"] = -proj["data"]["data"].astype(np.float32).astype(float)
    problem = from_evoked(change(small, evoked=[small.evoked, rounded]))
    assert problem.y.shape == (30, 2 * N_TIMES)
    applied_later = make_evoked(small, field, apply_proj=False)
    problem = from_evoked(change(small, evoked=[small.evoked, applied_later]))
    assert problem.y.shape == (30, 2 * N_TIMES)


def replace(mapping, **items):
    """Copy a forward solution, with other items."""
    forward = mne.Forward(mapping)
    forward.update(items)
    return forward


def keep_one_hemisphere(forward):
    src = mne.SourceSpaces([forward["src"][0]])
    return replace(forward, src=src, nsource=src[0]["nuse"])


def change_source_space(forward):
    other = mne.setup_volume_source_space(
        pos=dict(rr=np.eye(3) / 20, nn=np.eye(3)), verbose="ERROR"
    )
    return replace(forward, src=other)


@pytest.mark.parametrize(
    ("make_forward", "error", "match"),
    [
        (dict, TypeError, "forward must be an instance of mne.Forward, got dict"),
        (lambda f: "fwd.fif", TypeError, "forward must be an instance of mne.Forward, got str"),
        (lambda f: replace(f, src=[]), ValueError, "forward has no source space"),
        (change_source_space, ValueError, "forward has 48 positions, but 3 vertices"),
        (keep_one_hemisphere, ValueError, r"forward .*\['surf'\].*both\. .*restrict_forward_to_l"),
        (
            lambda f: replace(f, sol=f["sol"] | {"data": f["sol"]["data"] * np.nan}),
            ValueError,
            "forward has a gain that is infinite, NaN or zero",
        ),
        (
            lambda f: replace(f, sol=f["sol"] | {"data": f["sol"]["data"] * 0}),
            ValueError,
            "forward has a gain that is infinite, NaN or zero",
        ),
    ],
)
def test_bad_forward(small, make_forward, error, match):
    with pytest.raises(error, match=match):
        from_evoked(change(small, forward=make_forward(small.forward)), loose=1)


@pytest.mark.parametrize("loose", ["auto", 0.2, 1])
def test_fixed_forward_cannot_be_freed(small, loose):
    forward = mne.convert_forward_solution(small.forward, force_fixed=True)
    with pytest.raises(ValueError, match=r"forward has fixed orientation.*Pass loose=0"):
        from_evoked(change(small, forward=forward), loose=loose)
    assert_array_equal(
        from_evoked(change(small, forward=forward), loose=0).X, from_evoked(small, loose=0).X
    )
    depth = dict(allow_fixed_depth=False)
    with pytest.raises(ValueError, match=r"fixed orientation.*allow_fixed_depth=False"):
        from_evoked(change(small, forward=forward), loose=0, depth=depth)


@pytest.mark.parametrize("noise_cov", [None, np.eye(32), "cov.fif"])
def test_bad_noise_cov(small, noise_cov):
    match = f"noise_cov must be an instance of mne.Covariance, got {type(noise_cov).__name__}"
    with pytest.raises(TypeError, match=match):
        from_evoked(change(small, noise_cov=noise_cov))


@pytest.mark.parametrize(("value", "match"), [(0, "rank 0"), (np.nan, "infinite or NaN")])
def test_noise_cov_without_information(small, value, match):
    noise_cov = small.noise_cov.copy()
    noise_cov["data"] = np.full((32, 32), float(value))
    with pytest.raises(ValueError, match=f"noise_cov .*{match}"):
        from_evoked(change(small, noise_cov=noise_cov))


def test_covariance_of_channels_not_used_does_not_matter(small):
    expected = from_evoked(change(small, evoked=small.evoked.copy().pick("mag")))
    for noise_cov in (small.noise_cov.copy(), small.noise_cov.copy().as_diag()):
        noise_cov["data"] = noise_cov.data.copy()
        noise_cov["data"][-1] = np.nan
        noise_cov["bads"] = noise_cov.ch_names[-1:]
        case = change(small, noise_cov=noise_cov)
        assert noise_cov.ch_names[-1] not in from_evoked(case).ch_names
        noise_cov["bads"] = []
        with pytest.raises(ValueError, match="noise_cov is infinite or NaN"):
            from_evoked(case)
        problem = from_evoked(change(case, evoked=small.evoked.copy().pick("mag")))
        assert problem.X.shape == expected.X.shape


@pytest.mark.parametrize("level", ["DEBUG", "ERROR", "CRITICAL"])
def test_progress_of_mne_is_not_reported(small, level, monkeypatch):
    """Who wants to hear less than warnings hears no more."""
    levels = []
    compute_whitener = mne.cov.compute_whitener

    def spy(*args, **kwargs):
        levels.append(logging.getLevelName(logging.getLogger("mne").level))
        return compute_whitener(*args, **kwargs)

    monkeypatch.setattr(mne.cov, "compute_whitener", spy)
    with mne.use_log_level(level):
        from_evoked(small)
    assert levels == ["WARNING" if level == "DEBUG" else level]


@pytest.mark.parametrize("value", [False, np.False_])
def test_false_of_numpy_is_false(small, value):
    depth = dict(limit=1.5, limit_depth_chs=value, combine_xyz=value)
    expected = dict(limit=1.5, limit_depth_chs=False, combine_xyz=False)
    assert_array_equal(from_evoked(small, depth=depth).X, from_evoked(small, depth=expected).X)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (dict(loose=-0.1), "loose must be 'auto' or a number from 0 to 1, got -0.1"),
        (dict(loose=1.1), "loose must be 'auto' or a number from 0 to 1, got 1.1"),
        (dict(loose=np.nan), "loose must be 'auto' or a number from 0 to 1, got nan"),
        (dict(loose="fixed"), "loose must be 'auto' or a number from 0 to 1, got 'fixed'"),
        (dict(loose=None), "loose must be 'auto' or a number from 0 to 1, got None"),
        (dict(loose={"surface": 2}), "loose must be 'auto' or a number from 0 to 1, got 2"),
        (dict(loose={"volume": 1}), r"loose, if a dict.*\['surface'\], got \['volume'\]"),
        (dict(depth=-0.5), "depth must be None or an exponent, at least 0.*got -0.5"),
        (dict(depth=np.inf), "depth must be None or an exponent.*got inf"),
        (dict(depth=1000), "depth gives weights that are infinite, NaN or zero"),
        (dict(depth="0.8"), "depth must be None or an exponent.*got '0.8'"),
        (dict(depth={"exp": -1}), "depth must be None or an exponent.*got -1"),
        (dict(depth={"exponent": 1}), r"depth must have keys among.*got \['exponent'\]"),
        (dict(depth={"limit_depth_chs": "all"}), "limit_depth_chs"),
        (dict(depth={"combine_xyz": "max"}), "depth must have combine_xyz in"),
        (dict(depth={"combine_xyz": 0}), r"depth must have combine_xyz in .*False\), got 0"),
        (dict(depth={"combine_xyz": np.ones(2)}), "depth must have combine_xyz in"),
        (dict(depth={"limit_depth_chs": 1}), "depth must have limit_depth_chs in .*, got 1"),
        (dict(depth={"limit_depth_chs": ["whiten"]}), "depth must have limit_depth_chs in"),
        (dict(depth={1: 0.2, "x": 1}), r"depth must have keys among .*got \[1, 'x'\]"),
        (dict(loose={"surface": 0.2, 1: 1}), r"loose, if a dict.*got \[1, 'surface'\]"),
        (dict(loose=np.ones(2)), "loose must be 'auto' or a number from 0 to 1"),
    ],
)
def test_bad_options(small, options, match):
    with pytest.raises(ValueError, match=match):
        from_evoked(small, **options)


# --------------------------------------------------------------------------- the times to explain


@pytest.mark.parametrize(("tmin", "tmax"), [(0.05, 0.2), (None, 0.1), (0.1, None), (0.12, 0.12)])
def test_times_to_explain(recording, tmin, tmax):
    problem = from_evoked(recording, loose=0, tmin=tmin, tmax=tmax)
    cropped = change(recording, evoked=recording.evoked.copy().crop(tmin, tmax))
    expected = from_evoked(cropped, loose=0)
    # Products of other widths may be rounded differently.
    assert_allclose(problem.y, expected.y, rtol=0, atol=1e-12 * np.abs(expected.y).max())
    assert_array_equal(problem.X, expected.X)
    assert_array_equal(problem.times, expected.times)
    model = MixedNormEstimator(50).fit(problem.X, problem.y)
    assert_array_equal(problem.to_residual(model).times, expected.times)
    epochs = InverseProblem.from_epochs(
        *(recording.epochs, recording.forward, recording.noise_cov),
        loose=0,
        tmin=tmin,
        tmax=tmax,
    )
    assert epochs.y_folds.shape == (5, *expected.y.shape)


def test_times_before_those_to_explain_are_looked_at(recording):
    wrong = change(recording, evoked=set_nave(recording.evoked, 600))
    with pytest.warns(RuntimeWarning, match="before time 0 have 9"):
        from_evoked(wrong, tmin=0.05, tmax=0.1)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        (dict(tmin=0.2, tmax=0.1), ValueError, "tmin=0.2 to tmax=0.1 is not a period of evoked"),
        (
            dict(tmin=-9),
            ValueError,
            "tmin=-9 to tmax=None is not a period of evoked, whose times are",
        ),
        (dict(tmax=9), ValueError, "is not a period of evoked"),
        (dict(tmin=np.nan), ValueError, "is not a period of evoked"),
        (dict(tmin="0"), TypeError, "tmin must be a time in s, or None, got '0'"),
        (dict(tmax=True), TypeError, "tmax must be a time in s"),
    ],
)
def test_bad_times(recording, options, error, match):
    with pytest.raises(error, match=match):
        from_evoked(recording, **options)


# --------------------------------------------------------------------------- the level of noise


def test_baseline_that_contradicts_the_noise_is_told():
    recording = make_recording()

    def make_problem_of(evoked):
        return InverseProblem.from_evoked(evoked, recording.forward, recording.noise_cov)

    make_problem_of(recording.evoked)
    wrong = set_nave(recording.evoked, 600)
    match = r"data before time 0 have 9\.\d times the power that the noise covariance and"
    with pytest.warns(RuntimeWarning, match=match) as record:
        make_problem_of(wrong)
    assert [warning.filename for warning in record] == [__file__]
    wrong.comment = "wrong"
    with pytest.warns(RuntimeWarning, match="data of 'wrong' before time 0") as record:
        make_problem_of([recording.evoked, wrong])
    assert len(record) == 1
    make_problem_of(wrong.copy().crop(-0.02, None))  # too short to tell
    make_problem_of(wrong.copy().crop(0, None))
    quiet = recording.noise_cov.copy()
    quiet["data"] = 0.25 * quiet.data
    with pytest.warns(RuntimeWarning, match="data before time 0 have 3.9 times"):
        InverseProblem.from_epochs(recording.epochs, recording.forward, quiet)


def spoil_channel(recording, name, spoil):
    """Change the data of one channel in what has been recorded, before the reference."""
    data = recording.evoked.data.copy()
    k = recording.evoked.ch_names.index(name)
    data[k] = spoil(data[k])
    evoked = recording.evoked.copy()
    evoked.data[:] = data - data.mean(axis=0)
    return evoked


@pytest.mark.parametrize(
    "spoil",
    [
        lambda row: 3 * row,
        lambda row: row + 2e-6 * np.random.default_rng(0).standard_normal(len(row)),
    ],
    ids=["wrong unit", "noisy"],
)
def test_channel_unlike_the_others_is_named(recording, spoil):
    evoked = spoil_channel(recording, "F5", spoil)
    objects = change(recording, evoked=evoked)
    match = r"before time 0 have far more power in F5 \((\d+) times\).* than in most channels"
    with pytest.warns(RuntimeWarning, match=match) as record:
        from_evoked(objects, loose=0)
    assert [warning.filename for warning in record] == [__file__]
    assert int(re.search(match, str(record[0].message))[1]) > 8
    evoked.info["bads"] = ["F5"]
    from_evoked(objects, loose=0)


@pytest.mark.parametrize("places", [["evoked"], ["noise_cov"], ["evoked", "noise_cov"]])
@pytest.mark.filterwarnings("ignore:The whitened data before time 0")
def test_flat_channel_is_named(recording, places):
    evoked, noise_cov = recording.evoked.copy(), recording.noise_cov.copy()
    others = np.arange(64) != 5
    name = evoked.ch_names[5]
    if "evoked" in places:
        evoked.data[5] = 1e-6  # constant
    if "noise_cov" in places:
        noise_cov["data"] = noise_cov.data * others * others[:, np.newaxis]
    parts = ", ".join(f"{name} in {WORDS[place]}" for place in places)
    match = f"Channels are flat: {parts}. They make"
    with pytest.warns(RuntimeWarning, match=match) as record:
        from_evoked(change(recording, evoked=evoked, noise_cov=noise_cov), loose=0)
    assert {warning.filename for warning in record} == {__file__}
    evoked.info["bads"] = [name]
    from_evoked(change(recording, evoked=evoked, noise_cov=noise_cov), loose=0)


@pytest.mark.filterwarnings("ignore:The whitened data before time 0 have far more power")
@pytest.mark.parametrize("tmin", [-0.2, 0.05])
def test_channel_flat_before_the_reference_is_named(recording, tmin):
    """The average reference leaves it the mean of the others, with and without a baseline."""
    data = recording.epochs.get_data(copy=True)
    data[:, 5] = 0.0
    epochs = mne.EpochsArray(data, recording.epochs.info, tmin=-0.2, verbose="ERROR").crop(tmin)
    match = f"Channels are flat: {epochs.ch_names[5]} in the data"
    with pytest.warns(RuntimeWarning, match=match) as record:
        InverseProblem.from_epochs(epochs, recording.forward, recording.noise_cov, loose=0)
    assert {warning.filename for warning in record} == {__file__}


@pytest.mark.parametrize(("share", "is_told"), [(0, True), (0.01, True), (0.3, False), (1, False)])
@pytest.mark.filterwarnings("ignore:The whitened data before time 0 have far more power")
def test_nearly_flat_channel_is_named(recording, share, is_told):
    evoked = recording.evoked.copy().crop(0.05, 0.35)
    evoked.data[5] *= share
    told = pytest.warns(RuntimeWarning, match=f"flat: {evoked.ch_names[5]} in the data. They make")
    with told if is_told else nullcontext():
        from_evoked(change(recording, evoked=evoked), loose=0)


@pytest.mark.filterwarnings("ignore:The whitened data before time 0")
def test_more_than_half_of_all_channels_are_flat(recording):
    evoked = recording.evoked.copy()
    evoked.data[:40] = 0.0
    names = ", ".join(evoked.ch_names[:8])
    with pytest.warns(RuntimeWarning, match=f"Channels are flat: {names}, ... in the data"):
        from_evoked(change(recording, evoked=evoked), loose=0)


@pytest.mark.parametrize("condition", ["Left Auditory", "Right Auditory"])
@pytest.mark.parametrize("name", ["MEG 0241", "MEG 1321", "MEG 0131"])
def test_recorded_channel_flat_before_the_projectors_is_named(sample_problem, condition, name):
    case = sample_problem(condition)
    evoked = case.evoked
    evoked.data[evoked.ch_names.index(name)] = 0.0
    for projector in evoked.info["projs"]:
        projector["active"] = False
    evoked.apply_proj(verbose="ERROR")
    with pytest.warns(RuntimeWarning, match=f"Channels are flat: {name} in the data. They make"):
        from_evoked(case)


@pytest.mark.parametrize("picks", ["meg", "grad", "eeg"])
def test_baseline_that_is_not_corrected_is_no_bad_channel(sample_dir, sample_problem, picks):
    case = sample_problem(picks=picks)
    (case.evoked, _) = mne.read_evokeds(sample_dir / "sample-auditory-ave.fif", verbose="ERROR")
    case.evoked.pick(picks)
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        from_evoked(case)
    assert [str(one.message) for one in record if "channels" in str(one.message)] == []
    if picks != "eeg":
        assert "baseline has to be corrected" in str(record[0].message)


def test_covariance_that_is_right_on_average_only_is_told(recording):
    """In one direction it has a thirteenth of the noise, and a little more in all others."""
    values, vectors = np.linalg.eigh(recording.noise_cov.data)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((64, 64)))[0]
    shares = np.full(64, 63 / 51)
    shares[0] = 1 / 13
    noise_cov = recording.noise_cov.copy()
    noise_cov["data"] = root @ (basis * shares) @ basis.T @ root
    match = r"before time 0 have on average the power .*, but 11 times as much in one component"
    with pytest.warns(RuntimeWarning, match=match) as record:
        from_evoked(change(recording, noise_cov=noise_cov), loose=0)
    assert [warning.filename for warning in record] == [__file__]


@pytest.mark.usual(autocorrelation=[0.98], seed=[0])
@pytest.mark.parametrize("autocorrelation", [0, 0.9, 0.98])
@pytest.mark.parametrize("seed", range(3))
def test_good_recordings_are_not_doubted(autocorrelation, seed):
    recording = make_recording(autocorrelation=autocorrelation, random_state=seed)
    from_evoked(recording, loose=0, depth=None)


@pytest.mark.parametrize("condition", ["Left Auditory", "Right Auditory"])
@pytest.mark.parametrize("picks", ["meg", "mag", "grad", "eeg"])
def test_recorded_data_are_not_doubted(sample_problem, condition, picks):
    from_evoked(sample_problem(condition, tmin=None, tmax=None, picks=picks))


# ------------------------------------------------------------------------- fields and locations


@pytest.mark.parametrize("kind", ["surface", "volume", "surface+volume"])
def test_fields_and_residual_are_the_data(make_case, kind):
    case = make_case(kind)
    problem = InverseProblem.from_evoked(case.evoked, case.forward, case.noise_cov)
    model = MixedNormEstimator(60, n_orient=3).fit(problem.X, problem.y)
    fields, residual = problem.to_fields(model), problem.to_residual(model)
    assert len(fields) == len(problem.to_dipoles(model)) == model.n_active_ > 0
    total = sum(field.data for field in fields) + residual.data
    data = case.evoked.copy().pick(problem.ch_names).data
    assert_allclose(total, data, atol=1e-9 * np.abs(data).max())
    for position, field in zip(np.flatnonzero(active_positions(model)), fields, strict=True):
        alone = np.zeros_like(model.coef_)
        columns = slice(3 * position, 3 * position + 3)
        alone[:, columns] = model.coef_[:, columns]
        rest = problem.to_residual(alone).data
        assert_allclose(field.data, data - rest, atol=1e-9 * np.abs(data).max())


def active_positions(model):
    return model.active_set_.reshape(-1, model.n_orient).any(axis=1)


def test_fields_of_several_data(make_case):
    case = make_case("surface")
    problem = InverseProblem.from_evoked(case.evokeds, case.forward, case.noise_cov, loose=0)
    model = MixedNormEstimator(60).fit(problem.X, problem.y)
    fields = problem.to_fields(model)
    assert [len(some) for some in fields] == [model.n_active_] * len(case.evokeds)
    assert [some[0].comment for some in fields] == [evoked.comment for evoked in case.evokeds]


@pytest.mark.parametrize("kind", ["surface", "volume", "surface+volume"])
def test_locations_of_models_and_source_estimates(make_case, kind):
    case = make_case(kind)
    problem = InverseProblem.from_evoked(case.evoked, case.forward, case.noise_cov)
    model = MixedNormEstimator(60, n_orient=3).fit(problem.X, problem.y)
    locations = problem.find_locations(model)
    assert_allclose(locations, [dipole.pos[0] for dipole in problem.to_dipoles(model)])
    assert_array_equal(problem.find_locations(problem.to_source_estimate(model)), locations)
    vector = problem.to_source_estimate(model, "vector")
    assert_array_equal(problem.find_locations(vector), locations)
    other = problem.to_source_estimate(model)
    other.subject = "someone"
    with pytest.raises(ValueError, match="model is of subject 'someone'"):
        problem.find_locations(other)
