"""Malformed arrays and objects for every public function: a clear error, and nothing else.

Each kind of input has to raise a TypeError, a ValueError or a NotFittedError that names the
argument.
What modules refuse in detail is in the tests of these modules.
"""

import pickle
import re
from pathlib import Path

import mne
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.model_selection import GroupKFold
from sklearn.utils import Bunch

import skmxne
from skmxne import (
    FieldDisplay,
    InverseProblem,
    MixedNormCV,
    MixedNormEstimator,
    MixedNormIC,
    PathDisplay,
    SelectionDisplay,
    SourceDisplay,
    SourceWeighting,
    compute_certificate,
    compute_confidence,
    datasets,
    mixed_norm,
    mixed_norm_path,
    verify,
)
from skmxne.datasets import make_block_sparse_regression, make_recording

# How errors of NumPy and Python begin that look at numbers without knowing what they are for.
INTERNAL = (
    "operands could not be broadcast|shapes .* not aligned|setting an array element|ufunc|"
    "index .* out of bounds|boolean index|cannot reshape|object of type|unsupported operand|"
    "'.*' object has no|The truth value|could not convert|float\\(\\) argument"
)


@pytest.fixture(scope="module")
def case(make_problem, recording):
    """Return arrays and objects that are good, of 25 samples, 30 features and 6 targets."""
    X, y = make_problem(25, 30, n_targets=6, n_active=3, noise=0.5)
    vertices = [space["vertno"][:2880:120] for space in recording.forward["src"]]
    stc = mne.SourceEstimate(np.ones((48, 2)), vertices, 0, 1, subject="simulated")
    forward = mne.forward.restrict_forward_to_stc(recording.forward, stc)
    evoked = recording.evoked.copy().crop(0, 0.1)
    problem = InverseProblem.from_evoked(evoked, forward, recording.noise_cov, loose=0)
    problem.shape = problem.y.shape[1], problem.X.shape[1]
    return Bunch(
        X=X,
        y=y,
        fitted=MixedNormEstimator().fit(X, y),
        evoked=evoked,
        epochs=recording.epochs,
        forward=forward,
        noise_cov=recording.noise_cov,
        stc=stc,
        problem=problem,
        coef=np.zeros((problem.y.shape[1], problem.X.shape[1])),
    )


def change(array, value, index=(0, 0)):
    array = array.copy()
    array[index] = value
    return array


# X and y, for whoever takes both

ARRAYS = {
    "NaN in X": (lambda c: (change(c.X, np.nan), c.y), "X"),
    "infinity in X": (lambda c: (change(c.X, -np.inf), c.y), "X"),
    "NaN in y": (lambda c: (c.X, change(c.y, np.nan)), "y"),
    "infinity in y": (lambda c: (c.X, change(c.y, np.inf)), "y"),
    "X of one dimension": (lambda c: (c.X[0], c.y), "X"),
    "X of three dimensions": (lambda c: (c.X[:, :, None], c.y), "X"),
    "y of three dimensions": (lambda c: (c.X, c.y[:, :, None]), "y"),
    "y of no dimension": (lambda c: (c.X, 1.0), "y"),
    "no samples": (lambda c: (c.X[:0], c.y[:0]), "X"),
    "no features": (lambda c: (c.X[:, :0], c.y), "X"),
    "no targets": (lambda c: (c.X, c.y[:, :0]), "y"),
    "no X": (lambda c: (None, c.y), "X"),
    "no y": (lambda c: (c.X, None), "y"),
    "text for X": (lambda c: ("gain.npy", c.y), "X"),
    "words in X": (lambda c: (np.full(c.X.shape, "a"), c.y), "X"),
    "words in y": (lambda c: (c.X, np.full(c.y.shape, "a")), "y"),
    "objects in y": (lambda c: (c.X, np.full(c.y.shape, None)), "y"),
    "words in a table": (lambda c: (pd.DataFrame(c.X).assign(a="b"), c.y), "X"),
    "missing values in a table": (lambda c: (pd.DataFrame(change(c.X, np.nan)), c.y), "X"),
    "dates in X": (lambda c: (c.X.astype("datetime64[s]"), c.y), "X"),
    "named fields in X": (lambda c: (np.zeros(25, dtype=[("a", float)]), c.y), "X"),
    "masked values in X": (lambda c: (np.ma.masked_greater(c.X, 1), c.y), "X"),
    "masked values in y": (lambda c: (c.X, np.ma.masked_greater(c.y, 1)), "y"),
    "complex X": (lambda c: (c.X + 0j, c.y), "X"),
    "complex y": (lambda c: (c.X, c.y + 0j), "y"),
    "sparse X": (lambda c: (sparse.csr_array(c.X), c.y), "X"),
    "sparse y": (lambda c: (c.X, sparse.csr_array(c.y)), "y"),
    "ragged X": (lambda c: ([[1, 2], [3]], [1, 2]), "X"),
    "a dict for X": (lambda c: ({"gain": c.X}, c.y), "X"),
    "a sample too few": (lambda c: (c.X[:-1], c.y), "X and y"),
    "y transposed": (lambda c: (c.X, c.y.T), r"y should be .* transpose"),
    "X transposed": (lambda c: (c.X.T, c.y), r"X and y .*X should be .* transpose"),
    "X too large": (lambda c: (1e200 * c.X, c.y), "X"),
    "y too large": (lambda c: (c.X, 1e200 * c.y), "y"),
    "X too small": (lambda c: (1e-200 * c.X, c.y), "X"),
    "y too small": (lambda c: (c.X, 1e-200 * c.y), "y"),
    "an Evoked for X": (lambda c: (c.evoked, c.y), r"X must .*InverseProblem\.from_evoked"),
    "a Forward for X": (lambda c: (c.forward, c.y), r"X must .*InverseProblem\.from_evoked"),
    "Epochs for X": (lambda c: (c.epochs, c.y), r"X must .*InverseProblem\.from_evoked"),
    "an InverseProblem for X": (lambda c: (c.problem, c.y), r"X must .*problem\.X"),
    "an Evoked for y": (lambda c: (c.X, c.evoked), r"y must .*InverseProblem\.from_evoked"),
}
TAKE_ARRAYS = {
    "MixedNormEstimator": lambda X, y: MixedNormEstimator().fit(X, y),
    "MixedNormCV": lambda X, y: MixedNormCV(cv=3).fit(X, y),
    "MixedNormIC": lambda X, y: MixedNormIC().fit(X, y),
    "mixed_norm_path": mixed_norm_path,
    "PathDisplay": lambda X, y: PathDisplay.from_estimator(MixedNormEstimator(), X, y),
}


def check(call, argument):
    """Check that a call raises a documented error that names the argument."""
    with pytest.raises((TypeError, ValueError)) as raised:  # NotFittedError is a ValueError
        call()
    message = str(raised.value)
    assert re.search(rf"\b({argument})", message), message
    assert not re.match(INTERNAL, message), message


@pytest.mark.parametrize("function", TAKE_ARRAYS)
@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays_that_are_malformed(case, kind, function):
    make, argument = ARRAYS[kind]
    X, y = make(case)
    check(lambda: TAKE_ARRAYS[function](X, y), argument)


# Whether numbers are of any use, a certificate tells.
@pytest.mark.parametrize("kind", [kind for kind in ARRAYS if "too " not in kind])
def test_certificates_of_arrays_that_are_malformed(case, kind):
    make, argument = ARRAYS[kind]
    X, y = make(case)
    check(lambda: verify(case.fitted, X, y), argument)
    check(lambda: compute_certificate(X, y, case.fitted.coef_, 1.0), argument)
    check(lambda: compute_confidence(case.fitted, X, y), argument)


@pytest.mark.parametrize("kind", [kind for kind, (_, name) in ARRAYS.items() if name[0] == "X"])
def test_features_that_are_malformed(case, kind):
    X = ARRAYS[kind][0](case)[0]
    argument = "X"
    if kind not in ("X transposed", "X too small", "X too large", "a sample too few"):
        check(lambda: SourceWeighting().fit(X), argument)
    if kind not in ("X too small", "X too large", "a sample too few"):
        check(lambda: case.fitted.predict(X), argument)
        check(lambda: SourceWeighting().fit(case.X).transform(X), argument)


# Parameters, for whoever has them

PARAMETERS = {
    "alphas": [[100, 50], [-1], [np.nan], [], [[1, 2]], [1, "a"], [1 + 0j], "20", None, 0, 10**9],
    "eps": [0, 1, np.nan, "0.1"],
    "n_orient": [0, 7, 1.0, None],
    "n_mxne_iter": [0, 1.5, "10"],
    "reweighting_scale": [0, -1.0, np.inf, "auto"],
    "weights": [np.ones(3), -np.ones(30), np.zeros(30), [None] * 30, "a", [[1], [1, 2]], {}, 1.0],
    "weights_min": [-1, np.nan, "a"],
    "solver": ["lars", None, ["cd"]],
    "maxit": [0, 1e3, "many"],
    "tol": [-1, np.nan, "small"],
    "active_set_size": [0, 2.5, "all"],
    "dgap_freq": [0, 2.5, "often"],
    "debias": [1, "yes", None],
    "time_pca": [0, 2.5, "all"],
    "verbose": ["LOUD", 1.5, [1]],
}
ALPHA = ["sure", "bic", "ric", "20%", None, [20], True, 20 + 0j, -1, 100, 150, np.nan]
OF_IC = {
    "criterion": ["aic", ["bic"], np.ones(2), None],
    "noise_variance": [0, -1, np.nan, np.ones(6), "1"],
    "target_covariance": [np.eye(3), "a", -np.eye(6), np.tri(6), np.full((6, 6), np.nan), 1.0],
    "model_error": [-1, 1, None, "a"],
}
OF_CV = {
    "cv": [
        *(0, 1, 2.5, 100, "5", [], object(), [(np.arange(5),)], [([], [1])], [([1], [])]),
        [(np.arange(5), np.arange(100, 110))],
    ],
    "scoring": [
        *("best", 3, ["r2"], lambda X, y: 1.0, lambda *_: "a", lambda *_: [1.0], lambda *_: np.nan),
    ],
    "one_standard_error": [1, "yes"],
    "n_jobs": [0, 1.5, "all"],
}


def flatten(table):
    return [(name, value) for name, values in table.items() for value in values]


@pytest.mark.parametrize(("name", "value"), flatten(PARAMETERS))
def test_parameters_that_are_wrong(case, name, value):
    data, params = (case.X, case.y), {name: value}
    check(lambda: mixed_norm_path(*data, **params), name)
    check(lambda: MixedNormIC(**params).fit(*data), name)
    check(lambda: MixedNormCV(cv=3, **params).fit(*data), name)
    if name not in ("alphas", "eps"):
        check(lambda: MixedNormEstimator(**params).fit(*data), name)


@pytest.mark.parametrize("alpha", ALPHA)
def test_alpha_that_is_no_percentage(case, alpha):
    pointer = ".*MixedNormIC" if isinstance(alpha, str) else ""
    check(lambda: MixedNormEstimator(alpha).fit(case.X, case.y), f"alpha{pointer}")


def test_alphas_above_the_range_are_told_why(case):
    check(lambda: mixed_norm_path(case.X, case.y, alphas=[100, 50]), "alphas.*model is empty")


@pytest.mark.parametrize("alphas", [[], [[1, 2]], np.empty((0, 3))])
def test_alphas_of_another_shape_are_a_wrong_value(case, alphas):
    for fit in (MixedNormCV(alphas=alphas).fit, MixedNormIC(alphas=alphas).fit):
        with pytest.raises(ValueError, match=r"alphas must be .* shape \(n_alphas,\), got shape"):
            fit(case.X, case.y)


@pytest.mark.parametrize(("name", "value"), flatten(OF_IC))
def test_parameters_of_criteria_that_are_wrong(case, name, value):
    check(lambda: MixedNormIC(**{name: value}).fit(case.X, case.y), name)


@pytest.mark.parametrize(("name", "value"), flatten(OF_CV))
def test_parameters_of_folds_that_are_wrong(case, name, value):
    check(lambda: MixedNormCV(**({"cv": 3} | {name: value})).fit(case.X, case.y), name)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("depth", "a"),
        ("depth", -1),
        ("depth", np.inf),
        ("depth", [0.8]),
        ("depth", 1000),
        ("loose", 2),
        ("loose", 0.5),
        ("loose", "auto"),
        ("loose", None),
        ("n_orient", 0),
        ("n_orient", 7),
    ],
)
def test_parameters_of_weighting_that_are_wrong(case, name, value):
    check(lambda: SourceWeighting(**{name: value}).fit(case.X), name)


def test_what_is_not_fitted(case):
    for call in (
        lambda: MixedNormEstimator().predict(case.X),
        lambda: SourceWeighting().transform(case.X),
        lambda: verify(MixedNormCV(), case.X, case.y),
        lambda: case.problem.to_dipoles(MixedNormIC()),
        lambda: SelectionDisplay.from_estimator(MixedNormIC()),
        lambda: PathDisplay.from_estimator(MixedNormCV(), case.X, case.y),
    ):
        check(call, ".*not fitted")


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    "weight",
    [
        *(np.ones(3), np.ones((25, 1)), -np.ones(25), np.zeros(25), np.full(25, np.nan)),
        *(np.full(25, 1e300), np.full(25, 1e-300), np.ones(25) + 0j, [None] * 25, "balanced", {}),
    ],
)
def test_sample_weights_that_are_wrong(case, weight, dtype):
    X = case.X.astype(dtype)
    check(lambda: MixedNormEstimator().fit(X, case.y, sample_weight=weight), "sample_weight")
    check(lambda: MixedNormCV(cv=3).fit(X, case.y, sample_weight=weight), "sample_weight")


def test_sample_weights_that_take_the_data_out_of_range(case):
    X = 1e30 * case.X.astype(np.float32)
    check(
        lambda: MixedNormEstimator().fit(X, case.y, sample_weight=np.full(25, 1e30)),
        ".*weighted by sample_weight",
    )


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        (lambda y: dict(y_folds=np.stack([y, y])[:, :3]), "y_folds"),
        (lambda y: dict(y_folds=y[None]), "y_folds"),
        (lambda y: dict(y_folds="a"), "y_folds"),
        (lambda y: dict(y_folds=np.stack([y, y]) * np.nan), "y_folds"),
        (lambda y: dict(y_folds=np.stack([y, y]) * 1.1), "y_folds|y must"),
        (lambda y: dict(y_folds=1.0), "y_folds"),
        (lambda y: dict(y_folds=np.stack([y, y]), fold_weights=[1]), "fold_weights"),
        (lambda y: dict(y_folds=np.stack([y, y]), fold_weights=[1, -1]), "fold_weights"),
        (lambda y: dict(y_folds=np.stack([y, y]), fold_weights="ab"), "fold_weights"),
        (lambda y: dict(fold_weights=[1, 1]), "fold_weights"),
        (lambda y: dict(groups=[1, 2]), "groups"),
    ],
)
def test_folds_that_are_wrong(case, options, argument):
    check(lambda: MixedNormCV().fit(case.X, case.y, **options(case.y)), argument)


@pytest.mark.parametrize(("groups", "argument"), [(None, "cv.*groups"), ([1] * 25, "cv.*groups")])
def test_groups_that_are_wrong(case, groups, argument):
    model = MixedNormCV(cv=GroupKFold(3))
    check(lambda: model.fit(case.X, case.y, groups=groups), argument)


# Objects of MNE


def edit(thing, function):
    """Change a deep copy."""
    thing = pickle.loads(pickle.dumps(thing))
    function(thing)
    return thing


def replace(forward, **items):
    """Copy a forward solution, with other items."""
    forward = mne.Forward(forward)
    forward.update(items)
    return forward


def replace_sol(forward, **items):
    return replace(forward, sol=forward["sol"] | items)


def lacking(forward, key):
    forward = mne.Forward(forward)
    del forward[key]
    return forward


def edit_cov(cov, data):
    return edit(cov, lambda copy: copy.update(data=data))


EVOKED = {
    "nothing": lambda e: None,
    "an empty list": lambda e: [],
    "an array": lambda e: e.data,
    "a Raw": lambda e: mne.io.RawArray(e.data, e.info, verbose="ERROR"),
    "a path": lambda e: "evoked-ave.fif",
    "the class": lambda e: type(e),
    "a list in a list": lambda e: [e, [e]],
    "a list with nothing": lambda e: [e, None],
    "a dict": lambda e: {"left": e},
    "NaN": lambda e: edit(e, lambda o: o.data.__setitem__((0, 0), np.nan)),
    "infinity": lambda e: edit(e, lambda o: o.data.__setitem__((0, 0), np.inf)),
    "too large": lambda e: edit(e, lambda o: o.data.__imul__(1e300)),
    "complex data": lambda e: edit(e, lambda o: setattr(o, "data", o.data + 1j)),
    "channels too few": lambda e: edit(e, lambda o: setattr(o, "data", o.data[:10])),
    "times too few": lambda e: edit(e, lambda o: setattr(o, "data", o.data[:, :0])),
    "no trials": lambda e: edit(e, lambda o: setattr(o, "nave", 0)),
    "text for nave": lambda e: edit(e, lambda o: setattr(o, "nave", "many")),
    "all bad": lambda e: edit(e, lambda o: o.info.__setitem__("bads", o.ch_names)),
    "one channel": lambda e: e.copy().pick(e.ch_names[:1]),
    "other names": lambda e: edit(e, lambda o: o.rename_channels(lambda name: name + "!")),
}
FORWARD = {
    "nothing": lambda f: None,
    "a dict": lambda f: dict(f),
    "a path": lambda f: "fwd.fif",
    "an array": lambda f: f["sol"]["data"],
    "a source space": lambda f: f["src"],
    "a list": lambda f: [f, f],
    "empty": lambda f: mne.Forward(),
    "no source space": lambda f: lacking(f, "src"),
    "no gain": lambda f: lacking(f, "sol"),
    "no info": lambda f: lacking(f, "info"),
    "NaN": lambda f: replace_sol(f, data=f["sol"]["data"] * np.nan),
    "zero": lambda f: replace_sol(f, data=f["sol"]["data"] * 0),
    "complex": lambda f: replace_sol(f, data=f["sol"]["data"] + 1j),
    "words": lambda f: replace_sol(f, data=f["sol"]["data"].astype(str)),
    "columns too few": lambda f: replace_sol(f, data=f["sol"]["data"][:, :-3]),
    "rows too few": lambda f: replace_sol(f, data=f["sol"]["data"][:-3]),
    "positions too few": lambda f: replace(f, source_rr=f["source_rr"][:3]),
    "other names": lambda f: replace_sol(f, row_names=["A"] * 64),
    "of other size": lambda f: replace(f, nsource=3),
}
NOISE_COV = {
    "nothing": lambda c: None,
    "a dict": lambda c: dict(c),
    "a path": lambda c: "cov.fif",
    "an array": lambda c: c.data,
    "a list": lambda c: [c],
    "zero": lambda c: edit_cov(c, c.data * 0),
    "NaN": lambda c: edit_cov(c, c.data * np.nan),
    "negative": lambda c: edit_cov(c, -c.data),
    "indefinite": lambda c: edit_cov(c, c.data - np.trace(c.data) / 64 * np.eye(64)),
    "not symmetric": lambda c: edit_cov(c, np.tril(c.data)),
    "complex": lambda c: edit_cov(c, c.data + 1j),
    "of other size": lambda c: edit_cov(c, c.data[:5, :5]),
    "infinite in one place": lambda c: edit_cov(
        c, np.where(np.arange(c.data.size).reshape(c.data.shape) == 3, np.inf, c.data)
    ),
    "all bad": lambda c: edit(c, lambda o: o.update(bads=o.ch_names)),
    "other names": lambda c: edit(c, lambda o: o.update(names=[f"{n}!" for n in o.ch_names])),
    "one channel": lambda c: mne.Covariance(c.data[:1, :1], c.ch_names[:1], [], [], 10),
}


@pytest.mark.filterwarnings("ignore:Channels left out")
@pytest.mark.filterwarnings("ignore:Projection vector")
@pytest.mark.filterwarnings("ignore:(invalid value|overflow) encountered")
@pytest.mark.parametrize(
    ("argument", "kind"),
    [
        (argument, kind)
        for argument, kinds in dict(evoked=EVOKED, forward=FORWARD, noise_cov=NOISE_COV).items()
        for kind in kinds
    ],
)
def test_objects_of_mne_that_are_malformed(case, argument, kind):
    objects = {name: case[name] for name in ("evoked", "forward", "noise_cov")}
    makers = dict(evoked=EVOKED, forward=FORWARD, noise_cov=NOISE_COV)
    objects[argument] = makers[argument][kind](objects[argument])
    for loose in (0, 0.2):
        check(lambda loose=loose: InverseProblem.from_evoked(**objects, loose=loose), argument)
    check(lambda: mixed_norm(**objects, alpha=50), argument)
    if argument != "evoked":
        objects.pop("evoked")
        check(lambda: InverseProblem.from_epochs(case.epochs, **objects), argument)


@pytest.mark.parametrize(
    ("name", "value"),
    flatten(
        {
            "loose": [-1, 2, "fixed", None, True, [0.2], {"volume": 1}],
            "depth": [-1, "deep", [1], True, {"exponent": 1}, {"exp": True}],
            "rank": [
                *("all", 10, [3], True, {"eeg": 100}, {"eeg": 0}, {"eeg": -2}, {"eeg": 2.5}),
                *({"eeg": "a"}, {"eeg": True}, {"foo": 3}),
            ],
        }
    ),
)
def test_options_that_are_wrong(case, name, value):
    objects = case.evoked, case.forward, case.noise_cov
    check(lambda: InverseProblem.from_evoked(*objects, **{name: value}), name)
    check(lambda: mixed_norm(*objects, 50, **{name: value}), name)


@pytest.mark.parametrize(
    ("make", "options", "argument"),
    [
        (lambda e: None, {}, "epochs"),
        (lambda e: e.average(), {}, "epochs"),
        (lambda e: e.get_data(copy=False), {}, "epochs"),
        (lambda e: [e], {}, "epochs"),
        (lambda e: e[:0], {}, "epochs"),
        (lambda e: "epo.fif", {}, "epochs"),
        (lambda e: e, dict(n_folds=1), "n_folds"),
        (lambda e: e, dict(n_folds=2.5), "n_folds"),
        (lambda e: e, dict(n_folds="5"), "n_folds"),
        (lambda e: e, dict(n_folds=None), "n_folds"),
        (lambda e: e, dict(n_folds=1000), "n_folds"),
    ],
)
def test_epochs_that_are_malformed(case, make, options, argument):
    objects = make(case.epochs), case.forward, case.noise_cov
    check(lambda: InverseProblem.from_epochs(*objects, **options), argument)


COEFFICIENTS = {
    "nothing": lambda c: None,
    "text": lambda c: "lasso",
    "a number": lambda c: 1.0,
    "a dict": lambda c: {},
    "a source estimate": lambda c: c.stc,
    "of other data": lambda c: c.fitted,
    "of other size": lambda c: np.zeros((3, 3)),
    "sparse, of other size": lambda c: sparse.csr_array((3, 3)),
    "transposed": lambda c: c.coef.T,
    "of three dimensions": lambda c: c.coef[None],
    "NaN": lambda c: change(c.coef, np.nan),
    "infinity": lambda c: change(c.coef, np.inf),
    "complex": lambda c: c.coef + 1j,
    "objects": lambda c: np.full(c.coef.shape, None),
    "words": lambda c: np.full(c.coef.shape, "a"),
    "ragged": lambda c: [[1], [1, 2]],
}


@pytest.mark.parametrize("method", ["to_source_estimate", "to_dipoles", "to_residual"])
@pytest.mark.parametrize("kind", COEFFICIENTS)
def test_coefficients_that_are_malformed(case, kind, method):
    estimator = COEFFICIENTS[kind](case)
    check(lambda: getattr(case.problem, method)(estimator), "estimator")
    check(lambda: case.problem.explained_variance(estimator), "estimator")


@pytest.mark.parametrize("pick_ori", ["tangential", 1, True, ["normal"], np.ones(2), "normal"])
def test_orientations_that_are_wrong(case, pick_ori):
    check(lambda: case.problem.to_source_estimate(case.coef, pick_ori=pick_ori), "pick_ori")
    objects = case.evoked, case.forward, case.noise_cov
    check(lambda: mixed_norm(*objects, 50, loose=0, pick_ori=pick_ori), "pick_ori")


def make_stc(case, data=None, *, shift=0, subject="simulated"):
    vertices = [each + shift for each in case.stc.vertices]
    data = case.stc.data if data is None else data
    return mne.SourceEstimate(data, vertices, 0, 1, subject=subject)


@pytest.mark.parametrize(
    "make",
    [
        lambda c: np.ones(5),
        lambda c: "stc-lh.stc",
        lambda c: [c.stc],
        lambda c: make_stc(c, shift=1),
        lambda c: make_stc(c, subject="other"),
        lambda c: make_stc(c, np.full((48, 2), np.nan)),
        lambda c: make_stc(c, np.full((48, 2), np.inf)),
        lambda c: mne.VolSourceEstimate(np.ones((3, 2)), [np.arange(3)], 0, 1),
    ],
)
def test_source_estimates_that_are_malformed(case, make):
    stc = make(case)
    check(lambda: case.problem.weights_from(stc), "stc")
    objects = case.evoked, case.forward, case.noise_cov
    check(lambda: mixed_norm(*objects, 50, weights=stc), "weights")


def test_folds_of_an_average(case):
    check(case.problem.to_folds, ".*from_epochs")
    check(lambda: InverseProblem(case.evoked, case.forward), ".*from_evoked")


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        (dict(alpha="aic"), "alpha"),
        (dict(alpha=[50]), "alpha"),
        (dict(alpha=100), "alpha"),
        (dict(alpha=None), "alpha"),
        (dict(alpha=np.array("sure")), "alpha"),
        (dict(alpha="sure", sure_alpha_grid=[]), "sure_alpha_grid"),
        (dict(alpha="sure", sure_alpha_grid=None), "sure_alpha_grid"),
        (dict(alpha="sure", sure_alpha_grid=["a"]), "sure_alpha_grid"),
        (dict(weights=np.ones(3)), "weights"),
        (dict(weights=[[1], [1, 2]]), "weights"),
        (dict(maxit=0), "maxit"),
        (dict(tol="a"), "tol"),
        (dict(solver=3), "solver"),
        (dict(verbose=[1]), "verbose"),
        (dict(return_residual="no"), "return_residual"),
        (dict(return_as_dipoles=None), "return_as_dipoles"),
        (dict(debias="no"), "debias"),
        (dict(time_pca=2.5), "time_pca"),
        (dict(active_set_size=0), "active_set_size"),
        (dict(dgap_freq=0), "dgap_freq"),
        (dict(n_mxne_iter=0), "n_mxne_iter"),
        (dict(weights_min="a"), "weights_min"),
    ],
)
def test_arguments_of_the_function_that_are_wrong(case, options, argument):
    objects = case.evoked, case.forward, case.noise_cov
    check(lambda: mixed_norm(*objects, **({"alpha": 50} | options)), argument)


# What only looks like numbers


def mask(array):
    return np.ma.masked_equal(array, np.ravel(array)[0])


def make_times(array):
    return np.asarray(array).astype("m8[s]")


@pytest.mark.parametrize("spoil", [mask, make_times, lambda a: list(make_times(a))])
@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda c, f: MixedNormEstimator(weights=f(np.arange(1, 31))).fit(c.X, c.y), "weights"),
        (lambda c, f: MixedNormEstimator().fit(c.X, c.y, f(np.arange(1, 26))), "sample_weight"),
        (lambda c, f: mixed_norm_path(c.X, c.y, alphas=f([10, 20])), "alphas"),
        (
            lambda c, f: MixedNormIC(target_covariance=f(np.diag(np.arange(1, 7)))).fit(c.X, c.y),
            "target_covariance",
        ),
        (lambda c, f: MixedNormCV().fit(c.X, c.y, y_folds=f(np.stack([c.y, c.y]))), "y_folds"),
        (
            lambda c, f: MixedNormCV().fit(
                c.X, c.y, y_folds=np.stack([c.y, c.y]), fold_weights=f([1, 2])
            ),
            "fold_weights",
        ),
        (lambda c, f: compute_certificate(c.X, c.y, f(c.fitted.coef_), 1.0), "coef"),
        (lambda c, f: c.problem.explained_variance(f(np.ones(c.problem.shape))), "estimator"),
    ],
)
def test_numbers_that_are_masked_or_times(case, call, argument, spoil):
    check(lambda: call(case, spoil), argument)


def test_tables_of_dates(case):
    table = pd.DataFrame(dict.fromkeys("ab", pd.date_range("2020", periods=25)))
    check(lambda: MixedNormEstimator().fit(table, case.y), "X")
    check(lambda: MixedNormEstimator().fit(case.X, table), "y")


@pytest.mark.parametrize("value", [10**400, -(10**400)])
@pytest.mark.parametrize("name", ["alpha", "tol", "weights_min", "reweighting_scale"])
def test_integers_beyond_all_numbers(case, name, value):
    check(lambda: MixedNormEstimator(**{name: value}).fit(case.X, case.y), name)


# Displays and datasets


def draw_sources(case, display=SourceDisplay, **options):
    coef = np.ones((case.problem.y.shape[1], case.problem.X.shape[1]))
    return display.from_estimator(coef, case.problem, **options)


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda c, ic: SelectionDisplay.from_estimator(c.fitted), "estimator"),
        (lambda c, ic: SelectionDisplay.from_estimator(None), "estimator"),
        (lambda c, ic: SelectionDisplay.from_estimator(ic, ax=3), "ax"),
        (lambda c, ic: SelectionDisplay.from_estimator(ic, ax="a"), "ax"),
        (lambda c, ic: SelectionDisplay.from_estimator(ic, ax=[]), "ax"),
        (lambda c, ic: SelectionDisplay.from_estimator(ic, line_kw=3), "line_kw"),
        (lambda c, ic: SelectionDisplay.from_estimator(ic, folds="yes"), "folds"),
        (lambda c, ic: SelectionDisplay.from_estimator(ic, line_kw={"colour": 1}), "line_kw"),
        (lambda c, ic: PathDisplay.from_estimator(None, c.X, c.y), "estimator"),
        (lambda c, ic: PathDisplay.from_estimator(MixedNormIC, c.X, c.y), "estimator"),
        (lambda c, ic: PathDisplay.from_estimator(ic, c.X, c.y, alphas=[100]), "alphas"),
        (lambda c, ic: PathDisplay.from_estimator(ic, c.X, c.y, alphas=3, eps=7), "eps"),
        (lambda c, ic: PathDisplay.from_estimator(ic, c.X, c.y, position_names=["a"]), "position_"),
        (lambda c, ic: PathDisplay.from_estimator(ic, c.X, c.y, position_names=3), "position_na"),
        (
            lambda c, ic: PathDisplay.from_estimator(ic, c.X, c.y, position_names=["a", ["b"]]),
            "position_names",
        ),
        (lambda c, ic: PathDisplay.from_estimator(ic, c.X, c.y, n_labelled="a"), "n_labelled"),
        (lambda c, ic: PathDisplay.from_estimator(ic, c.X, c.y, n_labelled=-1), "n_labelled"),
        (lambda c, ic: PathDisplay.from_estimator(ic, c.X, c.y, ax="a"), "ax"),
        (lambda c, ic: SourceDisplay.from_estimator(None, c.problem), "estimator"),
        (lambda c, ic: SourceDisplay.from_estimator(ic, c.problem), "estimator"),
        (lambda c, ic: SourceDisplay.from_estimator(ic, c.X), "problem"),
        (lambda c, ic: FieldDisplay.from_estimator(None, c.problem), "estimator"),
        (lambda c, ic: FieldDisplay.from_estimator(ic, c.X), "problem"),
        (lambda c, ic: draw_sources(c, FieldDisplay, ch_type="a"), "ch_type"),
        (lambda c, ic: draw_sources(c, FieldDisplay, condition=2), "condition"),
        (lambda c, ic: draw_sources(c, FieldDisplay, fig="a"), "fig"),
        (lambda c, ic: draw_sources(c, FieldDisplay, n_labelled=-1), "n_lab"),
        (lambda c, ic: draw_sources(c, condition="a"), "condition"),
        (lambda c, ic: draw_sources(c, condition=1), "condition"),
        (lambda c, ic: draw_sources(c, condition=None), "condition"),
        (lambda c, ic: draw_sources(c, n_labelled="a"), "n_labelled"),
        (lambda c, ic: draw_sources(c, n_labelled=-1), "n_labelled"),
        (lambda c, ic: draw_sources(c, fig="a"), "fig"),
    ],
)
@pytest.mark.filterwarnings("ignore:(The alpha chosen|The residual has)")
def test_displays_of_something_else(case, call, argument):
    import matplotlib.pyplot as plt

    model = MixedNormIC(alphas=4, n_mxne_iter=1).fit(case.X, case.y)
    try:
        check(lambda: call(case, model), argument)
    finally:
        plt.close("all")


@pytest.mark.parametrize(
    ("make", "name", "value"),
    [
        *(
            (make_block_sparse_regression, name, value)
            for name, value in flatten(
                {
                    "n_samples": [0, 2.5, None, True],
                    "n_positions": [0, "a"],
                    "n_orient": [-1, 1.0],
                    "n_targets": [0, None],
                    "n_active": [1000, -1],
                    "correlation": [2, np.nan, "a"],
                    "noise": [-1, np.inf],
                }
            )
        ),
        *(
            (make_recording, name, value)
            for name, value in flatten(
                {
                    "n_sources": [0, 9, 1.5],
                    "n_trials": [1, True],
                    "amplitude": ["a", np.nan],
                    "autocorrelation": [1, -0.1],
                }
            )
        ),
    ],
)
def test_simulations_that_are_impossible(make, name, value):
    check(lambda: make(**{name: value}), name)


def test_every_public_function_is_tried():
    source = Path(__file__).read_text("utf-8")
    for name in [*skmxne.__all__, *datasets.__all__]:
        assert len(re.findall(rf"\b{name}\b", source)) > 1, name  # beside its import


def test_more_than_two_hundred_kinds_are_tried():
    """As docs/reliability.rst says."""
    kinds = [*ARRAYS, *EVOKED, *FORWARD, *NOISE_COV, *COEFFICIENTS]
    assert len(kinds) + len(flatten(PARAMETERS | OF_IC | OF_CV)) > 200


def test_nothing_of_it_loads_mne_for_arrays():
    """An object of MNE is known by its class, without MNE."""
    import subprocess
    import sys

    code = (
        "import sys, types; from skmxne import MixedNormEstimator\n"
        "Evoked = type('Evoked', (), {'__module__': 'mne.evoked'})\n"
        "try: MixedNormEstimator().fit(Evoked(), [1])\n"
        "except TypeError as error: print('from_evoked' in str(error), 'mne' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.split() == ["True", "False"], result.stderr
