"""Problems at the limits of arithmetic: a certificate, or a warning with the gap reached.

Never is anything infinite or NaN, and no other warning comes from inside.
"""

import re
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from skmxne import (
    MixedNormCV,
    MixedNormEstimator,
    MixedNormIC,
    compute_certificate,
    mixed_norm_path,
    verify,
)
from skmxne.datasets import make_block_sparse_regression
from skmxne.model_selection.criteria import CRITERIA

N_SAMPLES, N_POSITIONS, N_ORIENT, N_TARGETS = 25, 30, 3, 6
ALPHAS = (1e-3, 1.0, 20.0, 90.0)
SOLVERS = {
    "newton": {},
    "newton, no active set": dict(active_set_size=None),
    "newton, to a small gap": dict(tol=1e-9),
    "bcd": dict(solver="bcd"),
    "prox": dict(solver="prox"),
    "cd": dict(solver="cd", n_orient=1),
    "reweighted": dict(n_mxne_iter=10),
}


def make(**changes):
    sizes = dict(n_samples=N_SAMPLES, n_positions=N_POSITIONS, n_orient=N_ORIENT)
    sizes |= dict(n_targets=N_TARGETS, n_active=3, noise=0.5, random_state=0)
    return make_block_sparse_regression(**(sizes | changes))


X, Y = make()
TALL, Y_TALL = make(n_samples=120)


def set_condition(X, number):
    left, values, right = np.linalg.svd(X, full_matrices=False)
    return (left * np.geomspace(1.0, 1.0 / number, len(values))) @ right


def set_columns(X, columns, values):
    X = X.copy()
    X[:, columns] = values
    return X


AMPLITUDES = {
    f"{name} times {size:g}": (size**x_power * X, size**y_power * Y)
    for size in (1e-15, 1e-6, 1e9)
    for name, x_power, y_power in [("X", 1, 0), ("y", 0, 1), ("both", 1, 1), ("X / y", 1, -1)]
}
CONDITIONS = {
    f"{name} {number:g}, {len(gain)} samples": (change(gain, number), y)
    for number in (1e6, 1e12)
    for gain, y in ((X, Y), (TALL, Y_TALL))
    for name, change in {
        "condition number": set_condition,
        "columns over": lambda X, n: X * np.geomspace(1, 1 / n, X.shape[1]),
        "rows over": lambda X, n: X * np.geomspace(1, 1 / n, len(X))[:, None],
    }.items()
}
SHAPES = {
    "every position twice": (np.hstack([X, X]), Y),
    "every position twice, with the other sign": (np.hstack([X, -X]), Y),
    "every position twice, but for rounding": (np.hstack([X, (1 + 1e-14) * X]), Y),
    "every position ten times": (np.tile(X, 10), Y),
    "one position thirty times": (np.tile(X[:, :3], 30), Y),
    "positions of zeros": (set_columns(X, slice(9, 60), 0.0), Y),
    "zeros within positions": (set_columns(X, slice(None, None, 3), 0.0), Y),
    "orientations alike": (set_columns(X, slice(1, None, 3), X[:, ::3]), Y),
    "one sensor": (X[:1], Y[:1]),
    "two sensors": (X[:2], Y[:2]),
    "one time": (X, Y[:, :1]),
    "one target of one dimension": (X, Y[:, 0]),
    "one position": (X[:, :3], Y),
    "one of everything": (X[:1, :3], Y[:1, :1]),
    "more times than anything": (X, np.tile(Y, 50)),
    "times of rank one": (X, Y[:, :1] * np.ones(N_TARGETS)),
    "times over twelve orders": (X, Y * np.geomspace(1, 1e-12, N_TARGETS)),
    "one value of 1e9": (X, np.where(np.arange(Y.size).reshape(Y.shape) == 7, 1e9, Y)),
    "a fit without residual": (X, X[:, :3] @ Y[:3]),
    "integers": ((10 * X).astype(int), (10 * Y).astype(int)),
}
# Of these, the cases that are not only thorough.
FEW = [
    *("both times 1e-15", "X / y times 1e+09", "condition number 1e+12, 25 samples"),
    *("columns over 1e+12, 120 samples", "every position twice, but for rounding"),
    *("orientations alike", "one of everything", "one value of 1e9", "a fit without residual"),
]
WEIGHTS = {
    "falling": np.geomspace(1, 1e-12, N_POSITIONS),
    "rising": np.geomspace(1e-12, 1, N_POSITIONS),
    "one of them large": np.r_[1.0, np.full(N_POSITIONS - 1, 1e-12)],
    "one of them tiny": np.r_[1e-300, np.ones(N_POSITIONS - 1)],
}


def check(X, y, **params):
    """Fit, and check the certificate, or the warning."""
    params = dict(n_orient=N_ORIENT) | params
    estimator = MixedNormEstimator(**params)
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("error")
        warnings.simplefilter("always", ConvergenceWarning)
        warnings.filterwarnings("ignore", "The model is empty")
        estimator.fit(X, y)
    assert np.isfinite(estimator.coef_).all()
    assert np.isfinite(estimator.objective_).all()
    assert np.isfinite(estimator.debias_scale_).all()
    assert 0.0 <= estimator.dual_gap_ < np.inf
    assert bool(record) != estimator.converged_
    if record and estimator.dual_gap_ > estimator.tol:
        assert f"The duality gap, {estimator.dual_gap_:.1e} of" in str(record[0].message)
    return estimator, recompute(estimator, X, y)


def recompute(model, X, y):
    """Return the certificate of a model, whose objective has to be what the solver says it is."""
    certificate = verify(model, X, y)
    assert not np.isnan(certificate[:3]).any()
    share = 1e-4 if X.dtype == np.float32 else 1e-7
    power = np.sum(np.square(y, dtype=float))
    assert abs(certificate.objective - model.objective_[-1]) <= share * power
    return certificate


def assert_certified(estimator, certificate, slack=1.0):
    """Assert that what is said to be converged is, by the computation of its own."""
    # A solver may have seen a better dual point than its last.
    assert not estimator.converged_ or certificate.holds(2 * estimator.tol + slack * 1e-14)


@pytest.mark.usual(kind=FEW, solver=["newton", "reweighted"])
@pytest.mark.usual(kind=["one of everything", "orientations alike"])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("kind", AMPLITUDES | CONDITIONS | SHAPES)
def test_converged_with_a_certificate_or_told(kind, solver):
    X, y = (AMPLITUDES | CONDITIONS | SHAPES)[kind]
    params = SOLVERS[solver]
    for alpha in ALPHAS:
        estimator, certificate = check(X, y, alpha=alpha, **params)
        # Reweighting is at its fixed point or not: the certificate is that of the next problem.
        if "n_mxne_iter" not in params:
            assert_certified(estimator, certificate)
        if alpha >= 1.0 and solver.startswith("newton"):
            assert estimator.converged_
            assert certificate.holds(2 * estimator.tol)


@pytest.mark.usual(kind=["falling"])
@pytest.mark.usual(name=["newton"])
@pytest.mark.parametrize("name", ["newton", "bcd", "prox", "reweighted"])
@pytest.mark.parametrize("kind", WEIGHTS)
def test_weights_over_twelve_orders(kind, name):
    for alpha in ALPHAS:
        params = SOLVERS[name] | dict(weights=WEIGHTS[kind], alpha=alpha)
        estimator, certificate = check(X, Y, **params)
        if name != "reweighted":
            assert_certified(estimator, certificate)


@pytest.mark.usual(alpha=[0, 1e-298, 1e-6, 100 - 1e-13], n_mxne_iter=[1])
@pytest.mark.parametrize("alpha", [0, 1e-298, 1e-40, 1e-12, 1e-6, 99.0, 99.9999999, 100 - 1e-13])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("gain", "y"), [(X, Y), (TALL, Y_TALL)])
@pytest.mark.parametrize("n_mxne_iter", [1, 10])
def test_alpha_at_both_ends(gain, y, dtype, alpha, n_mxne_iter):
    estimator, certificate = check(gain.astype(dtype), y, alpha=alpha, n_mxne_iter=n_mxne_iter)
    if n_mxne_iter == 1:  # a first step of reweighting may remove the only position
        if alpha > 99.0:  # zero is as good as the tolerance asks for
            assert estimator.n_active_ <= 1
        else:
            assert estimator.n_active_ == 1 if alpha == 99.0 else estimator.n_active_ > 1
    if n_mxne_iter == 1 or alpha == 0:
        assert_certified(estimator, certificate)
    if alpha == 0:
        assert certificate.holds(1e-12)


@pytest.mark.usual(kind=FEW)
@pytest.mark.parametrize("kind", AMPLITUDES | CONDITIONS | SHAPES)
def test_single_precision(kind):
    """Coefficients are rounded, of which certificates with a small penalty see the gap."""
    X, y = (AMPLITUDES | CONDITIONS | SHAPES)[kind]
    X = X.astype(np.float32)
    for alpha in ALPHAS:
        estimator, certificate = check(X, y, alpha=alpha)
        assert estimator.coef_.dtype == np.float32
        if alpha >= 1.0:
            assert_certified(estimator, certificate, slack=1e8)
        # The objective is that of the coefficients in double precision all the same.
        if estimator.converged_:
            power = np.sum(np.square(y, dtype=float))
            excess = certificate.objective - estimator.objective_[-1]
            assert excess <= (estimator.tol + 1e-6) * power


@pytest.mark.parametrize(
    ("X_unit", "y_unit", "word"), [(1e-30, 1e12, "large"), (1e30, 1e-20, "small")]
)
@pytest.mark.parametrize(
    "fit",
    [
        lambda X, y: MixedNormEstimator(n_orient=N_ORIENT).fit(X, y),
        lambda X, y: mixed_norm_path(X, y, n_orient=N_ORIENT, alphas=3),
        lambda X, y: MixedNormCV(n_orient=N_ORIENT, alphas=[60, 40, 20]).fit(X, y),
        lambda X, y: MixedNormIC(n_orient=N_ORIENT, noise_variance=None).fit(X, y),
    ],
    ids=["estimator", "path", "cv", "ic"],
)
def test_coefficients_that_single_precision_cannot_hold_are_refused(fit, X_unit, y_unit, word):
    X, y = make()
    with pytest.raises(ValueError, match=f"coefficients are too {word} for float32: scale X or y"):
        fit((X * X_unit).astype(np.float32), y * y_unit)


# Paths and choices

SELECTED = {kind: (*data, {}) for kind, data in (AMPLITUDES | CONDITIONS | SHAPES).items()}
SELECTED |= {f"weights {kind}": (X, Y, dict(weights=w)) for kind, w in WEIGHTS.items()}
MODES = {
    "convex": (1, np.float64),
    "convex, single precision": (1, np.float32),
    "reweighted": (3, np.float64),
}
# Certificates see the rounding of coefficients.
ROUNDING = {np.float64: 0.0, np.float32: 1e-5}


def count_missed(record):
    """Return how many solutions a warning tells of."""
    messages = [str(w.message) for w in record if issubclass(w.category, ConvergenceWarning)]
    found = [re.search(r"above tol=\S+ at (\d+) of", each) for each in messages]
    return sum(int(each[1]) for each in found if each)


@pytest.mark.usual(kind=[*FEW, "weights falling"], dtype=[np.float64])
@pytest.mark.parametrize(("n_mxne_iter", "dtype"), MODES.values(), ids=MODES)
@pytest.mark.parametrize("kind", SELECTED)
def test_path_is_certified_or_told(kind, n_mxne_iter, dtype):
    gain, y, params = SELECTED[kind]
    gain = gain.astype(dtype)
    params = params | dict(n_orient=N_ORIENT, n_mxne_iter=n_mxne_iter, debias=False)
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("error")
        warnings.simplefilter("always", ConvergenceWarning)
        alphas, coefs, gaps = mixed_norm_path(gain, y, alphas=[99, 60, 20, 1], **params)
    assert np.isfinite([coef.sum() for coef in coefs]).all()
    assert ((gaps >= 0.0) & np.isfinite(gaps)).all()
    assert count_missed(record) >= np.count_nonzero(gaps > 1e-4)
    alpha_max = MixedNormEstimator(60, **(params | dict(n_mxne_iter=1))).fit(gain, y).alpha_max_
    for alpha, coef, gap in zip(alphas, coefs, gaps, strict=True):
        if n_mxne_iter == 1 and gap <= 1e-4:
            options = dict(n_orient=N_ORIENT, weights=params.get("weights"))
            certificate = compute_certificate(gain, y, coef, alpha / 100 * alpha_max, **options)
            assert certificate.holds(2e-4 + ROUNDING[dtype])


def check_choice(model, X, y, dtype):
    """Fit, and check the model that is chosen."""
    X = X.astype(dtype)
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("error", RuntimeWarning)
        warnings.simplefilter("always", UserWarning)
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(X, y)
    assert np.isfinite(model.coef_).all()
    assert np.isfinite(model.objective_).all()
    assert 0.0 <= model.dual_gap_ < np.inf
    assert model.converged_ or count_missed(record)
    certificate = recompute(model, X, y)
    if model.n_mxne_iter == 1 and model.converged_:
        assert certificate.holds(2 * model.tol + ROUNDING[dtype])


@pytest.mark.usual(kind=FEW, criterion=["ric"])
@pytest.mark.usual(kind=["one of everything", "weights falling"])
@pytest.mark.parametrize(("n_mxne_iter", "dtype"), [(1, np.float64), (3, np.float32)])
@pytest.mark.parametrize("criterion", ["ric", *CRITERIA])
@pytest.mark.parametrize("kind", SELECTED)
def test_criteria_choose_a_model(kind, criterion, n_mxne_iter, dtype):
    gain, y, params = SELECTED[kind]
    model = MixedNormIC(criterion=criterion, n_orient=N_ORIENT, alphas=6, n_mxne_iter=n_mxne_iter)
    model.set_params(**params)
    if (criterion, n_mxne_iter) == ("ric", 1) and len(gain) < N_ORIENT:
        # No position leaves data to tell the noise from.
        with pytest.raises(ValueError, match="cannot tell signal from noise"):
            model.fit(gain, y)
        return
    check_choice(model, gain, y, dtype)
    assert not np.isnan(model.criterion_).any()
    assert (model.degrees_of_freedom_ >= -1e-9 * model.criterion_.size).all()
    assert (model.residual_sum_of_squares_ >= 0).all()


@pytest.mark.usual(kind=[*FEW, "weights falling"], n_mxne_iter=[1], dtype=[np.float64])
@pytest.mark.parametrize(("n_mxne_iter", "dtype"), MODES.values(), ids=MODES)
@pytest.mark.parametrize("kind", [kind for kind, (X, *_) in SELECTED.items() if len(X) > 2])
def test_folds_choose_a_model(kind, n_mxne_iter, dtype):
    gain, y, params = SELECTED[kind]
    model = MixedNormCV(n_orient=N_ORIENT, alphas=4, cv=3, n_mxne_iter=n_mxne_iter)
    check_choice(model.set_params(**params), gain, y, dtype)
    assert np.isfinite(model.mse_path_).all()


@pytest.mark.usual(dtype=[np.float32])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_hundred_thousand_positions(dtype):
    X, y = make(n_samples=20, n_positions=100_000, n_orient=1, random_state=1)
    X = X.astype(dtype)
    for params in (dict(alpha=20), dict(alpha=90), dict(alpha=20, n_mxne_iter=5)):
        estimator, certificate = check(X, y, n_orient=1, **params)
        assert estimator.converged_
        if "n_mxne_iter" not in params:
            assert certificate.holds(1e-4)
    penalised = MixedNormEstimator(20, debias=False).fit(X, y)
    _, coefs, _ = mixed_norm_path(X, y, alphas=[60, 20], debias=False)
    for coef in (penalised.coef_, coefs[-1]):
        assert compute_certificate(X, y, coef, penalised.penalty_).holds(1e-4)
    for model in (MixedNormIC(alphas=4), MixedNormCV(alphas=4, cv=3)):
        check_choice(model.set_params(n_mxne_iter=1), X, y, dtype)
