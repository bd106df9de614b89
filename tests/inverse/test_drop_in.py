"""`skmxne.mixed_norm` next to `mne.inverse_sparse.mixed_norm`, parameter by parameter.

``pytest tests/inverse/test_drop_in.py -k parity -m "" -n 0 -s --all-kinds`` prints the table of
parity, with a row for every value of every parameter and a column for every kind of source space
and orientation.
"""

import inspect
import logging
import pickle
import re
import warnings
from concurrent.futures import ThreadPoolExecutor

import mne
import numpy as np
import pytest
from mne.inverse_sparse import mixed_norm as mne_mixed_norm
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Bunch

import skmxne
from skmxne import InverseProblem, MixedNormIC, mixed_norm
from skmxne.inverse import drop_in

# The largest difference allowed, relative to the largest amplitude, where gaps are below 1e-10.
CLOSE = 1e-5
# Positions of a surface and of another source space may be so near to each other that the same gap
# leaves more open between them: up to 2e-5 was measured.
CLOSE_BETWEEN_SPACES = 1e-4
# What both functions are called with, unless a row says otherwise.
COMMON = dict(alpha=30, debias=False, tol=1e-10, maxit=20_000, verbose="ERROR")
# The first word is the parameter. Strings for evoked, noise_cov and weights are made into objects.
ROWS = {
    "evoked": dict(),
    "evoked: list of two, other times and nave": dict(evoked="list"),
    "evoked: list of one": dict(evoked="list of one"),
    "evoked: MEG only": dict(evoked="meg"),
    "evoked: EEG only": dict(evoked="eeg"),
    "evoked: bads": dict(evoked="bads"),
    "evoked: other order of channels": dict(evoked="other order"),
    "evoked: projectors not applied": dict(evoked="not applied"),
    "forward: surface orientation": dict(forward="surface"),
    "forward: fixed orientation": dict(forward="fixed"),
    "forward: single precision": dict(forward="float32"),
    "forward: restricted to a label": dict(forward="label"),
    "noise_cov: diagonal": dict(noise_cov="diagonal"),
    "noise_cov: bads": dict(noise_cov="bads"),
    "alpha=10": dict(alpha=10),
    "alpha=80": dict(alpha=80),
    "alpha=0": dict(alpha=0),
    "alpha='sure'": dict(alpha="sure"),
    "alpha='sure', n_mxne_iter=5": dict(alpha="sure", n_mxne_iter=5),
    "alpha='bic'": dict(alpha="bic"),
    "alpha='bic', n_mxne_iter=5": dict(alpha="bic", n_mxne_iter=5),
    "depth=None": dict(depth=None),
    "depth=0.3": dict(depth=0.3),
    "depth: exp": dict(depth=dict(exp=1.0)),
    "depth: limit": dict(depth=dict(limit=2.0)),
    "depth: limit_depth_chs=True": dict(depth=dict(limit_depth_chs=True)),
    "depth: limit_depth_chs=True, limit": dict(depth=dict(limit_depth_chs=True, limit=2.0)),
    "depth: limit_depth_chs=False": dict(depth=dict(limit_depth_chs=False)),
    "depth: limit_depth_chs=False, limit": dict(depth=dict(limit_depth_chs=False, limit=2.0)),
    "depth: limit_depth_chs='whiten'": dict(depth=dict(limit_depth_chs="whiten")),
    "depth: combine_xyz='fro'": dict(depth=dict(combine_xyz="fro")),
    "depth: combine_xyz='spectral'": dict(depth=dict(combine_xyz="spectral")),
    "depth: combine_xyz=False": dict(depth=dict(combine_xyz=False)),
    "depth: allow_fixed_depth=True": dict(depth=dict(allow_fixed_depth=True)),
    "depth: allow_fixed_depth=False": dict(depth=dict(allow_fixed_depth=False)),
    "maxit=3000": dict(maxit=3000),
    "tol=1e-9": dict(tol=1e-9),
    "active_set_size=1": dict(active_set_size=1, solver="bcd"),
    "active_set_size=None": dict(active_set_size=None, solver="bcd"),
    "debias": dict(debias=True),
    "time_pca=True": dict(time_pca=True),
    "time_pca=False": dict(time_pca=False),
    "time_pca=3": dict(time_pca=3),
    "weights: array": dict(weights="array"),
    "weights: source estimate": dict(weights="stc"),
    "weights_min": dict(weights="array", weights_min=0.5),
    "weights_min: of a source estimate": dict(weights="stc", weights_min=2e-9),
    "solver='auto'": dict(solver="auto"),
    "solver='bcd'": dict(solver="bcd"),
    "solver='cd'": dict(solver="cd"),
    "solver='prox'": dict(solver="prox"),
    "n_mxne_iter=2": dict(n_mxne_iter=2),
    "n_mxne_iter=10": dict(n_mxne_iter=10),
    "n_mxne_iter=10, weights, time_pca=3": dict(n_mxne_iter=10, weights="array", time_pca=3),
    "n_mxne_iter=10, list": dict(n_mxne_iter=10, evoked="list"),
    "dgap_freq=1": dict(dgap_freq=1, solver="bcd"),
    "dgap_freq=inf": dict(dgap_freq=np.inf, solver="bcd", maxit=1000),
    "rank=None": dict(rank=None),
    "rank='info'": dict(rank="info"),
    "rank='full'": dict(rank="full", evoked="unprojected"),
    "rank: dict": dict(rank=dict(meg=40, eeg=12)),
    "rank: dict without effect": dict(rank=dict(mag=10, grad=20)),
    "pick_ori=None": dict(pick_ori=None),
    "pick_ori='normal'": dict(pick_ori="normal"),
    "pick_ori='vector'": dict(pick_ori="vector"),
    "return_residual": dict(return_residual=True),
    "return_residual: list": dict(return_residual=True, evoked="list"),
    "return_as_dipoles": dict(return_as_dipoles=True),
    "return_as_dipoles: list": dict(return_as_dipoles=True, evoked="list"),
    "return_as_dipoles, return_residual": dict(return_residual=True, return_as_dipoles=True),
    "verbose": dict(verbose="WARNING"),
    "sure_alpha_grid": dict(alpha="sure", sure_alpha_grid=[80, 20, 50, 5]),
    "rng": dict(alpha="sure", rng=3),
    "random_state": dict(alpha="sure", random_state=3),
}
# What takes a second or more, and of many rows on one thing all but some, are thorough.
THOROUGH = {
    *("alpha=10", "alpha='sure', n_mxne_iter=5", "alpha='bic', n_mxne_iter=5", "depth=0.3"),
    *("active_set_size=1", "n_mxne_iter=10, list", "dgap_freq=inf", "rng", "random_state"),
    *("evoked: list of one", "evoked: MEG only", "evoked: EEG only", "noise_cov: diagonal"),
    *("maxit=3000", "tol=1e-9", "time_pca=True", "time_pca=False", "solver='auto'", "verbose"),
    *("rank=None", "rank='info'", "pick_ori=None", "forward: single precision", "dgap_freq=1"),
    *("depth: allow_fixed_depth=True", "depth: limit_depth_chs='whiten'", "n_mxne_iter=2"),
    *("depth: limit_depth_chs=True, limit", "depth: limit_depth_chs=False, limit"),
    *("depth: combine_xyz='fro'", "return_residual", "return_as_dipoles", "alpha='bic'"),
    *("return_residual: list", "return_as_dipoles: list", "evoked: projectors not applied"),
}
# The columns that are run each time: the others with --all-kinds.
USUAL = ["surface, fixed", "surface, loose"]
# Where blocks have columns of zeros MNE's solver hardly gets anywhere: only rows that it finishes.
FINISHED = {
    "mixed, fixed surface": (
        *("evoked", "alpha=80", "alpha=0", "alpha='sure'", "alpha='bic'"),
        *("pick_ori='vector'", "return_as_dipoles, return_residual"),
    )
}

# Noise and numbers of trials are as suits each test, and so is looseness.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The whitened data before time 0"),
    pytest.mark.filterwarnings("ignore:loose=.* less gain"),
]


# Rows that make sense for some columns only.
SUITS = {
    "forward: fixed orientation": lambda kind, loose: loose == 0,
    "forward: restricted to a label": lambda kind, loose: kind == "surface",
}


def is_refused(options, kind, loose):
    """Say whether both functions raise an error."""
    pick_ori = options.get("pick_ori")
    return pick_ori is not None and (loose == 0 or (pick_ori == "normal" and kind != "surface"))


# ------------------------------------------------------------------------------------ the table


@pytest.fixture(scope="module")
def table(request):
    """Collect the differences of all rows, and print them at the end."""
    rows = {}
    yield rows
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    print("\n\n| largest difference | " + " | ".join(columns) + " |")
    print("| --- |" + " ---: |" * len(columns))
    for name, row in rows.items():
        print(f"| {name} | " + " | ".join(row.get(column, "-") for column in columns) + " |")


@pytest.mark.filterwarnings("ignore:(The alpha chosen|The residual has)")
@pytest.mark.usual(row=ROWS.keys() - THOROUGH)
@pytest.mark.parametrize("row", ROWS)
def test_parity(make_case, models, table, request, row):
    columns = list(models) if request.config.getoption("--all-kinds") else USUAL
    for column in columns:
        if row not in FINISHED.get(column, ROWS):
            continue
        kind, loose = models[column]
        if row in SUITS and not SUITS[row](kind, loose):
            continue
        options = COMMON | dict(loose=loose) | ROWS[row]
        if is_refused(options, kind, loose):
            table.setdefault(row, {})[column] = "refused"
            for function in (mixed_norm, mne_mixed_norm):
                with pytest.raises(ValueError, match="pick_ori"):
                    call(function, make_case(kind), options)
            continue
        difference = measure_difference(make_case(kind), options)
        table.setdefault(row, {})[column] = f"{difference:.0e}"
        is_mixed = kind.startswith("surface+")
        assert difference < (CLOSE_BETWEEN_SPACES if is_mixed else CLOSE), column


def test_parity_has_a_row_for_every_parameter():
    """What the table has as columns is the parameter loose."""
    assert ROWS.keys() > THOROUGH
    names = {row.split(",")[0].split(":")[0].split("=")[0] for row in ROWS}
    assert names | {"loose"} == set(inspect.signature(mixed_norm).parameters)


def call(function, case, options):
    """Call one of the functions with what the strings in the options stand for."""
    makers = dict(
        evoked=make_evoked, forward=make_forward, noise_cov=make_noise_cov, weights=make_weights
    )
    objects = dict(evoked=case.evoked, forward=case.forward, noise_cov=case.noise_cov)
    made = {
        name: makers[name](case, value) if name in makers and isinstance(value, str) else value
        for name, value in options.items()
    }
    return function(**objects | made)


def make_evoked(case, what):
    evoked = case.evoked.copy()
    if what == "list":
        return case.evokeds
    if what == "list of one":
        return [evoked]
    if what == "bads":
        evoked.info["bads"] = ["MEG 0031", "MEG 0052", evoked.ch_names[-1]]
        return evoked
    if what == "other order":
        return evoked.reorder_channels(list(np.random.default_rng(0).permutation(evoked.ch_names)))
    if what == "not applied":
        return case.project(case.unprojected.copy(), apply=False)
    if what == "unprojected":
        return case.unprojected.copy().pick("meg")
    return evoked.pick(what)


def make_forward(case, what):
    if what == "label":
        label = mne.Label(case.forward["src"][0]["vertno"][5:], hemi="lh", subject="simulated")
        return mne.forward.restrict_forward_to_label(case.forward, label)
    if what == "float32":
        forward = mne.Forward(case.forward)
        forward["sol"] = forward["sol"] | {"data": forward["sol"]["data"].astype(np.float32)}
        forward["_orig_sol"] = forward["_orig_sol"].astype(np.float32)
        return forward
    options = {what == "fixed": dict(force_fixed=True), what == "surface": dict(surf_ori=True)}
    return mne.convert_forward_solution(case.forward, verbose="ERROR", **options[True])


def make_noise_cov(case, what):
    if what == "diagonal":
        return case.noise_cov.copy().as_diag()
    noise_cov = case.noise_cov.copy()
    noise_cov["bads"] = ["MEG 0041", "MEG 0003"]
    return noise_cov


def make_weights(case, what):
    """Draw weights; a few of the array are negative, of the source estimate zero."""
    weights = np.random.default_rng(1).uniform(-0.1, 1, case.forward["nsource"])
    if what == "array":
        return weights
    data = np.outer(np.maximum(weights, 0), [1e-9, -5e-9])
    classes = {"surface": mne.SourceEstimate, "mixed": mne.MixedSourceEstimate}
    kind = classes.get(case.forward["src"].kind, mne.VolSourceEstimate)
    vertices = [space["vertno"] for space in case.forward["src"]]
    return kind(data, vertices, 0, 1, subject="simulated")


def measure_difference(case, options):
    """Measure how far `mixed_norm` is from what it should give."""
    if options.get("solver") == "cd" and options["loose"] != 0:
        with pytest.warns(RuntimeWarning, match="solver='cd' needs fixed orientation"):
            ours = call(mixed_norm, case, options | dict(verbose="WARNING"))
        options = options | dict(solver="bcd")  # what MNE takes instead
    else:
        ours = call(mixed_norm, case, options)
    if options["alpha"] in (0, "sure", "bic"):
        return compare(ours, follow_definition(case, options))
    if options.get("debias"):
        return measure_debiasing(case, options)
    # What MNE's code no longer has: another algorithm for the same minimum, and projections.
    theirs = dict(options)
    if options.get("solver") == "prox":
        theirs["solver"] = "bcd"
    if options.get("pick_ori") == "normal":
        theirs["pick_ori"] = "vector"
    theirs = call(mne_mixed_norm, case, theirs)
    if options.get("pick_ori") == "normal":
        theirs = theirs.project("normal", case.forward["src"])[0]
    return compare(ours, theirs)


FUNCTIONS = (mixed_norm, mne_mixed_norm)


def measure_debiasing(case, options):
    """Measure by how much the residual is larger than MNE's, whose minimum is not exact.

    That the same positions are active, and that none gets smaller, is asserted.
    """
    options = options | dict(return_residual=True)
    (ours, residual), (theirs, mne_residual) = (call(f, case, options) for f in FUNCTIONS)
    biased, _ = call(mixed_norm, case, options | dict(debias=False))
    for vertices, expected, others in zip(
        ours.vertices, theirs.vertices, biased.vertices, strict=True
    ):
        assert_array_equal(vertices, expected)
        assert_array_equal(vertices, others)
    factors = np.linalg.norm(ours.data, axis=1) / np.linalg.norm(biased.data, axis=1)
    assert factors.min() > 1 - 1e-12
    assert factors.max() > 1.01
    assert_allclose(ours.data, biased.data * factors[:, np.newaxis])
    problem = InverseProblem.from_evoked(
        case.evoked, case.forward, case.noise_cov, loose=options["loose"]
    )
    norm, mne_norm = (
        np.linalg.norm(problem.whitener @ one.data) for one in (residual, mne_residual)
    )
    return max(norm / mne_norm - 1, 0)


def follow_definition(case, options):
    """Make the least-squares fit of least norm, or the model that a criterion chooses."""
    problem = InverseProblem.from_evoked(
        case.evoked, case.forward, case.noise_cov, loose=options["loose"]
    )
    if options["alpha"] == 0:
        return problem.to_source_estimate(np.linalg.lstsq(problem.X, problem.y)[0].T)
    model = MixedNormIC(
        criterion=options["alpha"],
        n_mxne_iter=options.get("n_mxne_iter", 1),
        alphas=options.get("sure_alpha_grid", 20),
        n_orient=problem.n_orient,
        debias=False,
        tol=1e-10,
    )
    return problem.to_source_estimate(model.fit(problem.X, problem.y))


def compare(ours, theirs):
    """Measure the largest difference of two results, relative to the largest value.

    That classes, positions, times and units agree is asserted.
    """
    assert type(ours) is type(theirs)
    if isinstance(theirs, list | tuple):
        assert len(ours) == len(theirs)
        return max(map(compare, ours, theirs))
    assert_allclose(ours.times, theirs.times, rtol=1e-12, atol=1e-12)
    if isinstance(theirs, mne.Dipole):
        assert_array_equal(ours.pos, theirs.pos)
        moments = [dipole.ori * dipole.amplitude[:, np.newaxis] for dipole in (ours, theirs)]
        gof = np.abs(ours.gof - theirs.gof).max() / 100
        return max(gof, np.abs(moments[0] - moments[1]).max() / np.abs(moments[1]).max())
    if isinstance(theirs, mne.Evoked):
        assert (ours.ch_names, ours.nave) == (theirs.ch_names, theirs.nave)
        assert str(ours.info["projs"]) == str(theirs.info["projs"])
        scale = np.abs(theirs.data).max(axis=1, keepdims=True)
        return np.abs((ours.data - theirs.data) / scale).max()
    assert ours.subject == theirs.subject == "simulated"
    for vertices, expected in zip(ours.vertices, theirs.vertices, strict=True):
        assert_array_equal(vertices, expected)
    return np.abs(ours.data - theirs.data).max() / np.abs(theirs.data).max()


# --------------------------------------------------------------------- defects of MNE's function


@pytest.fixture
def surface(make_case):
    return make_case("surface")


@pytest.fixture
def weak(make_case):
    """Return a case whose sources are not much above the noise, so that alpha matters."""
    return make_case("surface", 1.5e-9)


def change(case, **changes):
    return Bunch(**{**case, **changes})


def run(case, alpha, function=mixed_norm, **options):
    options = dict(loose=0, debias=False) | options
    return function(case.evoked, case.forward, case.noise_cov, alpha, **options)


def set_nave(case, nave):
    evoked = case.evoked.copy()
    evoked.nave = nave
    return change(case, evoked=evoked)


def choose(case, criterion="sure", **params):
    """Return the alpha that a criterion chooses, and the sources of the model there."""
    problem = InverseProblem.from_evoked(case.evoked, case.forward, case.noise_cov, loose=0)
    params = dict(n_mxne_iter=1, debias=False) | params
    model = MixedNormIC(criterion=criterion, **params).fit(problem.X, problem.y)
    return model.alpha_, problem.to_source_estimate(model)


@pytest.mark.filterwarnings("ignore:The residual has")
@pytest.mark.parametrize("criterion", ["sure", "bic"])
def test_averages_of_more_trials_have_less_noise(weak, criterion):
    """MNE's SURE takes the noise of an average for that of one trial, and finds too little."""
    few, many = (run(set_nave(weak, nave), criterion) for nave in (2, 8))
    assert len(many.data) > len(few.data) > 0


@pytest.mark.usual(n_mxne_iter=[2], debias=[True])
@pytest.mark.parametrize("criterion", ["ric", "sure", "bic"])
@pytest.mark.parametrize("n_mxne_iter", [1, 2, 5])
@pytest.mark.parametrize("debias", [False, True])
@pytest.mark.filterwarnings("ignore:alpha=99 is", "ignore:The model is empty", "ignore:No model of")
def test_model_chosen_is_that_of_the_estimator(weak, criterion, n_mxne_iter, debias):
    """Its scale of reweighting included. MNE's SURE returns the model of one iteration for two."""
    options = dict(n_mxne_iter=n_mxne_iter, debias=debias, tol=1e-12)
    alpha, expected = choose(weak, criterion, **options)
    stc = run(weak, criterion, **options)
    assert_allclose(stc.data, expected.data, atol=1e-6 * np.abs(expected.data).max(initial=0))
    for vertices, others in zip(stc.vertices, expected.vertices, strict=True):
        assert_array_equal(vertices, others)
    if n_mxne_iter > 1 and criterion != "ric":
        assert len(run(weak, alpha).data) > len(expected.data)


def test_criterion_costs_one_warm_path(weak, monkeypatch):
    """MNE's SURE solves for every alpha from zero, and twice."""
    from skmxne.solvers.design import BlockDesign

    calls = []
    correlate = BlockDesign.correlate

    def count(self, *args, **kwargs):
        calls.append(1)
        return correlate(self, *args, **kwargs)

    monkeypatch.setattr(BlockDesign, "correlate", count)
    run(weak, "sure")
    assert len(calls) < 4 * 20


def test_criterion_keeps_sparse_models(recording):
    """MNE's SURE holds all positions and times for every alpha, more than once."""
    import tracemalloc

    evoked = recording.evoked.copy().crop(0, 0.3)
    dense = 20 * recording.forward["nsource"] * len(evoked.times) * 8
    tracemalloc.start()
    mixed_norm(evoked, recording.forward, recording.noise_cov, "sure", loose=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < dense / 2


def test_edge_of_the_grid_is_warned_of(surface):
    """MNE says nothing where its grid ends."""
    many = set_nave(surface, 10_000)
    match = "noise level predicts. .* Or the grid ends too early: try smaller alphas"
    with pytest.warns(UserWarning, match=match):
        run(many, "sure")


def test_alpha_chosen_is_logged(weak, caplog):
    with caplog.at_level("INFO", logger="skmxne.inverse.drop_in"):
        run(weak, "sure")
    assert f"Alpha chosen by sure: {choose(weak)[0]:.3g}" in caplog.messages


def test_reweighting_goes_on_until_nothing_changes(surface):
    """MNE stops when amplitudes change by less than tol times the power of the data."""
    options = dict(n_mxne_iter=100, maxit=10_000)
    exact = run(surface, 30, tol=1e-12, **options)
    ours = compare(run(surface, 30, tol=1e-5, **options), exact)
    theirs = run(surface, 30, mne_mixed_norm, tol=1e-5, verbose="ERROR", **options)
    assert ours < 1e-3
    assert compare(theirs, exact) > 10 * ours


def test_solvers_of_others_need_nothing_private(surface):
    """MNE's recipe for them imports private functions."""
    from sklearn.linear_model import MultiTaskLasso

    problem = InverseProblem.from_evoked(
        surface.evoked, surface.forward, surface.noise_cov, loose=0
    )
    penalty = 0.3 * np.linalg.norm(problem.X.T @ problem.y, axis=1).max()
    lasso = MultiTaskLasso(penalty / len(problem.X), fit_intercept=False, tol=1e-8, max_iter=10_000)
    stc = problem.to_source_estimate(lasso.fit(problem.X, problem.y))
    assert compare(stc, run(surface, 30, tol=1e-8)) < CLOSE


# ------------------------------------------------------------------------------- the rest of it


def test_signature_is_that_of_mne():
    ours = inspect.signature(mixed_norm).parameters
    theirs = inspect.signature(mne_mixed_norm).parameters
    # What MNE takes where no alpha is given keeps too many positions.
    assert ours["alpha"].default is inspect.Parameter.empty
    assert all(ours[name].default == theirs[name].default for name in theirs if name != "alpha")
    # MNE before 1.13 has random_state before verbose.
    shared = list(ours)[: list(ours).index("verbose")]
    assert list(theirs)[: len(shared)] == shared
    if "rng" in theirs:
        assert list(ours) == list(theirs)
        assert [one.kind for one in ours.values()] == [one.kind for one in theirs.values()]
    assert skmxne.mixed_norm is mixed_norm


def test_arguments_by_their_place_are_those_of_mne(surface):
    defaults = [p.default for p in inspect.signature(mne_mixed_norm).parameters.values()]
    places = ["auto", 0.8, *defaults[6:20], "auto"]
    assert len(places) == 17  # with three objects and alpha, 21 arguments
    options = dict(debias=True, loose="auto")
    objects = surface.evoked, surface.forward, surface.noise_cov
    stc = mixed_norm(*objects, 50, *places)
    assert compare(stc, run(surface, 50, **options)) == 0.0


def test_objects_are_not_modified(make_case, models):
    for kind, loose in models.values():
        case = make_case(kind)
        objects = (case.evokeds, case.forward, case.noise_cov)
        before = pickle.dumps(objects)
        options = dict(loose=loose, rank=dict(meg=40), depth=dict(limit=2.0))
        given = pickle.dumps(options)
        mixed_norm(*objects, 30, n_mxne_iter=2, return_residual=True, **options)
        assert pickle.dumps(options) == given
        assert pickle.dumps(objects) == before


def test_known_dipoles_are_found(make_case, source_model):
    """Without noise, the two positions nearest to the sensors, along their normals."""
    kind, loose = source_model
    case = make_case(kind)
    forward = case.forward
    distance = np.linalg.norm(forward["source_rr"] - [0, 0, 0.04], axis=1)
    positions = np.sort(np.argsort(distance)[-2:])
    frames = mne.convert_forward_solution(forward, surf_ori=True, verbose="ERROR")["source_nn"]
    waveforms = 5e-8 * np.array([np.sin(np.arange(20) / 3), np.cos(np.arange(20) / 2)])
    moments = frames[2::3][positions][:, :, np.newaxis] * waveforms[:, np.newaxis]
    gain = forward["sol"]["data"].reshape(64, -1, 3)[:, positions]
    field = np.einsum("cpo,pot->ct", gain, moments)
    evoked = case.project(mne.EvokedArray(field, case.info.copy(), tmin=0.1, nave=5))

    dipoles = mixed_norm(
        *(evoked, forward, case.noise_cov, 5),
        loose=loose,
        n_mxne_iter=20,
        return_as_dipoles=True,
    )

    large = [dipole for dipole in dipoles if abs(dipole.amplitude).max() > 1e-9]
    assert len(large) == 2
    for dipole, position, moment in zip(large, positions, moments, strict=True):
        assert_allclose(dipole.pos, np.tile(forward["source_rr"][position], (20, 1)))
        found = dipole.ori.T * dipole.amplitude
        assert_allclose(found, moment, atol=0.1 * 5e-8)
        assert_allclose(dipole.times, evoked.times)


def test_forward_solution_is_not_copied_whole(recording):
    """Its source spaces and its gain are larger than all that is made of a few channels."""
    import tracemalloc

    evoked = recording.evoked.copy().pick(recording.evoked.ch_names[:20])
    gain = recording.forward["sol"]["data"]
    tracemalloc.start()
    with pytest.warns(RuntimeWarning, match="44 not in the data"):
        mixed_norm(evoked, recording.forward, recording.noise_cov, 60, loose=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    coef = gain.shape[1] * len(evoked.times) * 8
    assert peak < 2.5 * 20 / 64 * gain.shape[1] * 64 * 8 + 3 * coef


def test_parity_on_recorded_data(sample_problem, table):
    """MEG and EEG with projectors, fixed and loose, on the small cortex."""
    case = sample_problem(picks=["meg", "eeg"])
    for loose, n_mxne_iter in [(0, 1), (0.2, 1), (0.2, 5)]:
        options = dict(loose=loose, n_mxne_iter=n_mxne_iter, depth=0.9, alpha=50)
        ours, theirs = (
            call(function, case, COMMON | options | dict(return_residual=True))
            for function in FUNCTIONS
        )
        difference = max(
            np.abs(ours[0].data - theirs[0].data).max() / np.abs(theirs[0].data).max(),
            compare(ours[1], theirs[1]),
        )
        column = f"surface, {'loose' if loose else 'fixed'}"
        row = f"recorded, n_mxne_iter={n_mxne_iter}"
        table.setdefault(row, {})[column] = f"{difference:.0e}"
        assert difference < CLOSE


DRAWN = np.random.default_rng(2).uniform(0.1, 1, 48)


@pytest.mark.parametrize(
    ("options", "meant"),
    [
        (dict(debias=1), dict(debias=True)),
        (dict(debias=0), dict(debias=False)),
        (dict(time_pca=0), dict(time_pca=False)),
        (dict(dgap_freq=10.0, solver="bcd"), dict(dgap_freq=10, solver="bcd")),
        (dict(weights=DRAWN[:, np.newaxis]), dict(weights=DRAWN)),
        (dict(weights=DRAWN.tolist()), dict(weights=DRAWN)),
        (dict(weights=DRAWN, weights_min=-1), dict(weights=DRAWN)),
    ],
)
def test_what_mne_takes_is_taken(surface, options, meant):
    stc, expected = (run(surface, **dict(alpha=50) | one) for one in (options, meant))
    assert_array_equal(stc.data, expected.data)
    theirs = run(surface, function=mne_mixed_norm, verbose="ERROR", **dict(alpha=50) | options)
    for vertices, others in zip(stc.vertices, theirs.vertices, strict=True):
        assert_array_equal(vertices, others)


def test_grid_of_mne_is_taken(weak):
    """It starts at 100 percent, where no position is active."""
    grid = np.geomspace(100, 10, num=15)
    stc, expected = (run(weak, "sure", sure_alpha_grid=one) for one in (grid, list(grid[1:])))
    assert_array_equal(stc.data, expected.data)


def spy(monkeypatch, name):
    """Note what an estimator of the module is made with."""
    calls = []
    kind = getattr(drop_in, name)

    def make(*args, **kwargs):
        model = kind(*args, **kwargs)
        calls.append(model.get_params())
        return model

    monkeypatch.setattr(drop_in, name, make)
    return calls


@pytest.mark.filterwarnings("ignore:The alpha chosen")
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("MixedNormEstimator", dict(alpha=70)),
        ("MixedNormIC", dict(alpha="sure", sure_alpha_grid=[40, 90, 100])),
    ],
)
def test_every_parameter_is_handed_on(surface, monkeypatch, name, options):
    calls = spy(monkeypatch, name)
    given = dict(maxit=1234, tol=1e-5, active_set_size=3, dgap_freq=7, debias=False, time_pca=4)
    given |= dict(n_mxne_iter=2, solver="bcd", weights=DRAWN, weights_min=0.2)
    run(surface, loose=0.2, **options | given)
    (params,) = calls
    defaults = getattr(skmxne, name)().get_params()
    expected = defaults | given | dict(n_orient=3)
    if name == "MixedNormIC":
        expected |= dict(criterion="sure", alphas=[90, 40])
    else:
        expected |= dict(alpha=70)
        assert params.pop("reweighting_scale") > 0
        del expected["reweighting_scale"]
    assert params.keys() == expected.keys()
    for key, value in expected.items():
        assert_array_equal(params[key], value, err_msg=key)
    assert all(np.any(defaults[key] != value) for key, value in given.items())


@pytest.mark.usual(n_mxne_iter=[1])
@pytest.mark.parametrize("criterion", ["sure", "bic"])
@pytest.mark.parametrize("n_mxne_iter", [1, 5])
def test_criterion_of_data_of_different_nave(make_case, criterion, n_mxne_iter):
    """They make one model, in which the noise of all has variance 1."""
    case = make_case("surface", 1.5e-9)
    stcs = mixed_norm(
        *(case.evokeds, case.forward, case.noise_cov, criterion),
        loose=0,
        n_mxne_iter=n_mxne_iter,
    )
    problem = InverseProblem.from_evoked(case.evokeds, case.forward, case.noise_cov, loose=0)
    model = MixedNormIC(criterion=criterion, n_mxne_iter=n_mxne_iter)
    expected = problem.to_source_estimate(model.fit(problem.X, problem.y))
    assert compare(stcs, expected) < 1e-10


@pytest.mark.filterwarnings("ignore:The residual has")
def test_warnings_point_at_the_line_and_its_arguments(surface, weak):
    def check(match, case, alpha, **options):
        with warnings.catch_warnings(record=True) as record:
            warnings.filterwarnings("always", message=".*" + match)
            run(case, alpha, **options)
        assert [one.filename for one in record] == [__file__]
        assert [re.search(r"\balpha_|\beps\b", str(one.message)) for one in record] == [None]

    low = [0.9 * choose(weak)[0], 0.8 * choose(weak)[0]]
    match = "is the largest of the grid"
    check(match, weak, "sure", sure_alpha_grid=low)
    check("ends too early: try smaller alphas", set_nave(surface, 10_000), "sure")
    check("nothing in X correlates with y", zero(surface), 50)
    check("maxit=2", surface, 10, maxit=2, tol=1e-10, solver="bcd")
    check("solver='cd'", surface, 50, solver="cd", loose=0.2)
    few = change(surface, evoked=surface.evoked.copy().pick("meg").drop_channels(["MEG 0031"]))
    check("Channels left out: 1 not in the data", few, 50)
    noise = surface.evoked.copy()
    noise.data *= 1e-3
    # The coarse first solution is small, and reweighted to nothing.
    options = dict(sure_alpha_grid=[99.999, 50], n_mxne_iter=10, solver="bcd", tol=0.99)
    check("see the other warning", change(surface, evoked=noise), "bic", **options)


@pytest.mark.parametrize("category", [UserWarning, RuntimeWarning])
def test_warnings_may_be_errors_or_ignored(surface, category):
    """By the categories of scikit-learn, and by those of MNE."""
    for case, options, match in [
        (zero(surface), {}, "The model is empty"),
        (surface, dict(maxit=2, tol=1e-10, solver="bcd"), "maxit=2"),
    ]:
        with pytest.raises(category, match=match):
            run(case, 10, **options)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", category)
            run(case, 10, **options)


@pytest.mark.parametrize("verbose", ["ERROR", "error", logging.CRITICAL, 35, None])
def test_level_above_warnings_leaves_them_out(surface, verbose):
    """As in MNE, whose own level counts where none is given."""
    with mne.use_log_level("ERROR" if verbose is None else "INFO"):
        run(zero(surface), 50, verbose=verbose)
        run(surface, 10, maxit=2, tol=1e-10, solver="bcd", verbose=verbose)
        for quiet_enough in ("WARNING", False, True):
            with pytest.warns(RuntimeWarning, match="The model is empty"):
                run(zero(surface), 50, verbose=quiet_enough)


def test_level_is_that_of_the_call_and_not_of_other_threads(surface):
    def be_quiet(_):
        run(zero(surface), 50, verbose="ERROR")

    def be_loud(_):
        run(surface, 10, maxit=2, tol=1e-10, solver="bcd", verbose=True)

    with warnings.catch_warnings(record=True) as record, ThreadPoolExecutor(2) as executor:
        warnings.simplefilter("always")
        list(executor.map(lambda task: task(0), [be_quiet, be_loud] * 10))
    assert len(record) == 10
    assert all("maxit=2" in str(warning.message) for warning in record)


def test_ranks_that_mne_ignores_are_told(surface):
    expected = run(surface, 50)
    for rank, match in [
        (dict(mag=10, grad=20), "'grad' and 'mag', without effect: .*Give it as 'meg'"),
        (dict(mag=10, eeg=15), "'mag', without effect"),
    ]:
        with pytest.warns(RuntimeWarning, match=f"rank has {match}.*As in MNE, .* is ignored"):
            assert compare(run(surface, 50, rank=rank), expected) < 1e-10


def test_maxit_is_taken(surface):
    for solver in ("bcd", "prox"):
        with pytest.warns(ConvergenceWarning, match="maxit=2"):
            run(surface, 10, maxit=2, tol=1e-10, solver=solver)


def test_verbose_is_taken(surface, caplog):
    logger = logging.getLogger("skmxne")
    level = logger.level
    run(surface, 50, verbose=True)
    assert any("Explained variance" in message for message in caplog.messages)
    caplog.clear()
    run(surface, 50, verbose="ERROR")
    assert caplog.messages == []
    assert logger.level == level


def test_nothing_is_printed(surface, capsys):
    run(surface, 50, verbose=True, return_residual=True, loose=0.2, pick_ori="normal")
    assert capsys.readouterr() == ("", "")


def test_no_active_position(surface):
    with pytest.warns(UserWarning, match="The model is empty"):
        stc, residual = run(zero(surface), 50, return_residual=True)
    assert stc.shape == (0, 12)
    assert not residual.data.any()


def zero(case):
    evoked = case.evoked.copy()
    evoked.data[:] = 0
    return change(case, evoked=evoked)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        (
            dict(alpha="aic"),
            ValueError,
            "alpha must be a percentage, 'sure', 'bic' or 'ric', got 'aic'",
        ),
        (dict(alpha=100), ValueError, r"alpha must be in \[0, 100\)"),
        (dict(alpha=-1), ValueError, r"alpha must be in \[0, 100\)"),
        (dict(alpha=None), TypeError, "alpha must be a percentage, 'sure', 'bic' or 'ric', got No"),
        (dict(alpha=True), TypeError, "alpha must be a percentage, 'sure', 'bic' or 'ric', got Tr"),
        (dict(alpha=[20]), TypeError, r"alpha must be a percentage, .* got \[20\]"),
        (dict(alpha="sure", sure_alpha_grid="fine"), TypeError, "sure_alpha_grid must be 'auto'"),
        (dict(alpha="sure", sure_alpha_grid=[50, 101]), ValueError, "sure_alpha_grid must be"),
        (dict(alpha="sure", sure_alpha_grid=[100]), ValueError, "sure_alpha_grid must be 'auto'"),
        (dict(alpha="sure", sure_alpha_grid=20), TypeError, "sure_alpha_grid must be 'auto' or an"),
        (dict(evoked=[]), ValueError, "evoked is an empty list. Pass at least one"),
        (dict(evoked="raw"), TypeError, "evoked must be .* got RawArray. .*average"),
        (dict(evoked="other channels"), ValueError, "evoked must be a list .*same channels"),
        (dict(forward=None), TypeError, "forward must be .* got NoneType. Read one"),
        (dict(forward="without source space"), ValueError, "forward has no source space.*again"),
        (dict(forward="fixed", pick_ori="vector"), ValueError, "pick_ori='vector'.*pick_ori=None"),
        (dict(forward="fixed", loose=0.2), ValueError, "forward has fixed orient.*Pass loose=0"),
        (dict(noise_cov="other channels"), ValueError, "noise_cov have no good.*rename"),
        (dict(noise_cov="cov.fif"), TypeError, "noise_cov must be .*Read one"),
        (dict(weights=np.ones(47)), ValueError, r"weights has shape \(47,\), but forward has 48"),
        (dict(weights=np.ones((48, 2))), ValueError, r"weights has shape \(48, 2\), but forward"),
        (dict(weights=["a"] * 48), TypeError, "weights must be real numbers"),
        (dict(weights=-np.ones(48)), ValueError, "weights are all zero"),
        (dict(weights="of other vertices"), ValueError, "weights has vertices that are not"),
        (dict(weights="of other subject"), ValueError, "weights is of subject 'other'.*Morph"),
        (dict(weights=np.ones(48), weights_min=2), ValueError, "weights_min=2 leaves nothing"),
        (dict(loose=2), ValueError, "loose must be 'auto' or a number from 0 to 1"),
        (dict(depth="deep"), ValueError, "depth must be None or an exponent"),
        (dict(depth=dict(limit=-1)), ValueError, "depth must have a limit that is None or posit"),
        (dict(depth=dict(limit_depth_chs="x")), ValueError, "depth must have limit_depth_chs in"),
        (dict(solver="newtonian"), ValueError, "solver='newtonian' is unknown: use one of"),
        (dict(n_mxne_iter=0), ValueError, "n_mxne_iter must be a positive integer"),
        (dict(n_mxne_iter=2, time_pca="x"), TypeError, "time_pca must be a positive integer"),
        (dict(dgap_freq=0), ValueError, "dgap_freq must be a positive integer, or inf"),
        (dict(active_set_size=0), ValueError, "active_set_size must be"),
        (dict(debias=2), TypeError, "debias must be True or False"),
        (dict(dgap_freq=2.5), TypeError, "dgap_freq must be a positive integer, or inf"),
        (dict(time_pca=-1), ValueError, "time_pca must be a positive integer"),
        (dict(weights=np.ones(48), weights_min=None), TypeError, "weights_min must be a number"),
        (dict(pick_ori="tangential"), ValueError, "pick_ori must be None, 'normal' or 'vector'"),
        (dict(loose=0, pick_ori="normal"), ValueError, "pick_ori='normal' needs loose or free"),
        (dict(verbose="loud"), ValueError, "verbose='loud' is not a level"),
    ],
)
def test_bad_arguments(surface, options, error, match):
    case = surface
    options = dict(options)
    makers = dict(evoked=make_bad_evoked, forward=make_bad_forward, noise_cov=make_bad_noise_cov)
    for name, make in makers.items():
        if isinstance(options.get(name), str):
            options[name] = make(case, options[name])
    if isinstance(options.get("weights"), str):
        options["weights"] = make_bad_weights(case, options["weights"])
    options = dict(alpha=50, loose=0 if options.get("pick_ori") == "vector" else 0.2) | options
    objects = dict(evoked=case.evoked, forward=case.forward, noise_cov=case.noise_cov)
    with pytest.raises(error, match=match):
        mixed_norm(**objects | options)


@pytest.mark.parametrize(
    "options",
    [
        dict(alpha=150),
        dict(alpha="aic"),
        dict(alpha="sure", sure_alpha_grid=20),
        dict(solver="x"),
        dict(tol=-1),
        dict(weights=np.ones(5)),
        dict(pick_ori="x"),
        dict(verbose="x"),
    ],
)
def test_what_costs_nothing_is_checked_first(surface, options, monkeypatch):
    monkeypatch.setattr(drop_in, "InverseProblem", None)
    with pytest.raises(ValueError if "sure_alpha_grid" not in options else TypeError):
        run(surface, **dict(alpha=30) | options)


def make_bad_evoked(case, what):
    if what == "raw":
        return mne.io.RawArray(case.evoked.data, case.info.copy(), verbose="ERROR")
    return [case.evoked, case.evoked.copy().pick("meg")]


def make_bad_forward(case, what):
    if what == "fixed":
        return mne.convert_forward_solution(case.forward, force_fixed=True, verbose="ERROR")
    forward = mne.Forward(case.forward)
    del forward["src"]
    return forward


def make_bad_noise_cov(case, what):
    if what != "other channels":
        return what
    names = [f"{name}!" for name in case.noise_cov.ch_names]
    return mne.Covariance(case.noise_cov.data, names, [], [], 1000)


def make_bad_weights(case, what):
    vertices = [space["vertno"] for space in case.forward["src"]]
    if what == "of other vertices":
        vertices = [each + 1 for each in vertices]
    subject = "other" if what == "of other subject" else "simulated"
    return mne.SourceEstimate(np.ones((48, 2)), vertices, 0, 1, subject=subject)


@pytest.mark.parametrize("kind", ["volume", "discrete", "surface+volume"])
def test_normal_needs_a_surface(make_case, kind):
    case = make_case(kind)
    with pytest.raises(ValueError, match="pick_ori='normal' needs the normals of a surface"):
        run(case, 50, loose="auto", pick_ori="normal")


@pytest.mark.parametrize("loose", [0, 0.2, {"surface": 0.2, "volume": 0.5}])
def test_volumes_are_free(make_case, loose):
    with pytest.raises(ValueError, match=r"loose must be 1 in volumes.*loose='auto'"):
        run(make_case("surface+volume"), 50, loose=loose)
