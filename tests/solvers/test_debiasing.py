"""Debiasing factors: the exact minimiser of the residual over factors of at least one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.linalg import LinAlgError
from scipy.optimize import lsq_linear, nnls

from skmxne import MixedNormEstimator
from skmxne.solvers import debiasing
from skmxne.solvers.debiasing import compute_debiasing

N_SAMPLES, N_ACTIVE, N_TARGETS = 12, 6, 4


def draw(n_orient=1, *, shrinkage=0.5, seed=0):
    """Draw X, y and shrunken coefficients."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((N_SAMPLES, N_ACTIVE * n_orient))
    coef = rng.standard_normal((N_ACTIVE * n_orient, N_TARGETS))
    y = X @ coef + 0.5 * rng.standard_normal((N_SAMPLES, N_TARGETS))
    return X, y, shrinkage * coef


def fields_of(X, coef, n_orient):
    """Return what each position makes of y, one column each."""
    blocks = range(0, len(coef), n_orient)
    fields = [(X[:, g : g + n_orient] @ coef[g : g + n_orient]).ravel() for g in blocks]
    return np.stack(fields, axis=1)


def miss(X, y, coef, factors, n_orient):
    return np.linalg.norm(y.ravel() - fields_of(X, coef, n_orient) @ factors)


@pytest.mark.parametrize("n_orient", [1, 2, 3])
@pytest.mark.parametrize("shrinkage", [0.1, 0.7, 1.3])
def test_factors_are_those_of_bounded_least_squares(n_orient, shrinkage):
    X, y, coef = draw(n_orient, shrinkage=shrinkage)
    fields = fields_of(X, coef, n_orient)
    expected = lsq_linear(fields, y.ravel(), bounds=(1.0, np.inf), method="bvls", tol=1e-14).x
    # The columns of `fields` are far from dependent: the minimiser is well conditioned.
    assert_allclose(compute_debiasing(X, y, coef, n_orient), expected, rtol=1e-9)


@given(
    seed=st.integers(0, 2**32 - 1),
    n_orient=st.integers(1, 3),
    shrinkage=st.floats(0.01, 2.0),
    scale=st.sampled_from([1e-12, 1.0, 1e9]),
)
def test_factors_are_optimal(seed, n_orient, shrinkage, scale):
    X, y, coef = draw(n_orient, shrinkage=shrinkage, seed=seed)
    y, coef = scale * y, scale * coef

    factors = compute_debiasing(X, y, coef, n_orient)

    assert (factors >= 1.0).all()
    fields = fields_of(X, coef, n_orient)
    residual = y.ravel() - fields @ factors
    slopes = fields.T @ residual / np.linalg.norm(fields, axis=0) / np.linalg.norm(y)
    # At the bound no gain upwards, above it none at all.
    assert slopes.max() <= 1e-10
    assert np.abs(slopes[factors > 1.0]).max(initial=0.0) <= 1e-10
    assert np.linalg.norm(residual) <= miss(X, y, coef, np.ones(N_ACTIVE), n_orient) * (1 + 1e-12)


@pytest.mark.parametrize(("shrinkage", "above_one"), [(0.2, True), (5.0, False)])
def test_one_position(shrinkage, above_one):
    X, y, coef = (array[..., :3] for array in draw())
    X, coef = X[:, :3], shrinkage * coef[:3]
    field = X @ coef
    y = X @ np.abs(coef / shrinkage) if above_one else 0.5 * field
    expected = max(1.0, np.vdot(field, y) / np.vdot(field, field))
    assert_allclose(compute_debiasing(X, y, coef, 3), [expected], rtol=1e-12)
    assert (expected > 1.0) == above_one


@pytest.mark.parametrize("n_orient", [1, 3])
def test_no_position(n_orient):
    _, y, _ = draw()
    factors = compute_debiasing(np.empty((N_SAMPLES, 0)), y, np.empty((0, N_TARGETS)), n_orient)
    assert_array_equal(factors, np.ones(0))


@pytest.mark.parametrize("n_orient", [1, 3])
def test_duplicated_positions_share_the_work(n_orient):
    """The minimiser is not unique, the minimum is."""
    X, y, coef = draw(n_orient, shrinkage=0.3)
    single = compute_debiasing(X, y, coef, n_orient)
    X, coef = np.hstack([X, X]), 0.5 * np.vstack([coef, coef])
    double = compute_debiasing(X, y, coef, n_orient)
    assert (double >= 1.0).all()
    assert_allclose(0.5 * (double[:N_ACTIVE] + double[N_ACTIVE:]), single, rtol=1e-9)


def test_amplitudes_of_a_noiseless_source_are_found_again():
    X, _, coef = draw(3)
    factors = compute_debiasing(X, X @ coef, coef / 4.0, 3)
    assert_allclose(factors, 4.0, rtol=1e-9)


@pytest.mark.parametrize("n_mxne_iter", [1, 5])
def test_estimator_fits_the_data_better_with_it(make_problem, n_mxne_iter):
    X, y = make_problem(n_orient=3)
    params = dict(n_orient=3, n_mxne_iter=n_mxne_iter)
    plain = MixedNormEstimator(debias=False, **params).fit(X, y)
    debiased = MixedNormEstimator(**params).fit(X, y)
    assert debiased.score(X, y) > plain.score(X, y)
    assert_allclose(debiased.coef_, plain.coef_ * np.repeat(debiased.debias_scale_, 3), rtol=1e-12)
    assert_array_equal(plain.debias_scale_, 1.0)
    assert debiased.debias_scale_.max() > 1.0


@pytest.mark.parametrize("difference", [0.0, 1e-12, 1e-9, 1e-6, 1e-3])
@pytest.mark.parametrize("n_active", [4, 40])
def test_factors_are_optimal_for_nearly_parallel_fields(difference, n_active):
    """Neighbouring positions: as the minimiser is not well defined, the minimum is what counts."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, 1)) + difference * rng.standard_normal((50, n_active))
    coef = rng.standard_normal((1, 3)) + 0.1 * difference * rng.standard_normal((n_active, 3))
    y = 2.0 * X @ coef + 0.1 * rng.standard_normal((50, 3))
    factors = compute_debiasing(X, y, coef)
    assert (factors >= 1.0).all()
    fields = fields_of(X, coef, 1)
    slopes = fields.T @ (y.ravel() - fields @ factors)
    slopes /= np.linalg.norm(fields, axis=0) * np.linalg.norm(y)
    assert slopes.max() <= 1e-10
    assert np.abs(slopes[factors > 1.0]).max() <= 1e-10


def test_fields_that_are_parallel_but_for_little():
    """Samples over sixteen decades, the squares of whose condition are lost in rounding."""
    rng = np.random.default_rng(12149)
    n_samples, n_active = rng.integers(2, 20), rng.integers(2, 12)
    n_targets, n_orient = rng.integers(1, 7), rng.integers(1, 4)
    X = rng.standard_normal((n_samples, n_active * n_orient))
    X *= 10.0 ** rng.uniform(-4, 4, (n_samples, 1))
    y = rng.standard_normal((n_samples, n_targets)) * 10.0 ** rng.uniform(-4, 4, (n_samples, 1))
    estimator = MixedNormEstimator(5, n_orient=int(n_orient)).fit(X, y)
    kept = estimator.active_set_
    scale = np.repeat(estimator.debias_scale_, n_orient)
    fields = fields_of(X[:, kept], (estimator.coef_ / scale).T[kept], n_orient)
    excess, _ = nnls(fields, y.ravel() - fields.sum(axis=1))
    best = np.sum((y.ravel() - fields @ (1.0 + excess)) ** 2)
    left = np.sum((y - X @ estimator.coef_.T) ** 2)
    assert left <= best + 1e-9 * np.sum(y**2)


def fail(error):
    def call(*args, **kwargs):
        raise error

    return call


def test_fields_are_taken_where_their_products_have_no_factor(monkeypatch):
    X, y, coef = draw()
    expected = compute_debiasing(X, y, coef)
    monkeypatch.setattr(debiasing, "minimize_quadratic", fail(LinAlgError()))
    assert_allclose(compute_debiasing(X, y, coef), expected, rtol=1e-9)


def test_factors_are_kept_where_nothing_better_is_found(monkeypatch):
    """As SciPy 1.14 may go round in circles."""
    X, y, coef = draw()
    expected = compute_debiasing(X, y, coef)
    monkeypatch.setattr(debiasing, "nnls", fail(RuntimeError("Maximum number of iterations.")))
    monkeypatch.setattr(debiasing, "_DAMPING", 1e-6)
    monkeypatch.setattr(debiasing, "_MAX_REPETITIONS", 1)
    assert_allclose(compute_debiasing(X, y, coef), expected, rtol=1e-4)
