"""The design matrix: norms, columns, and the product that the certificate rests on."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from skmxne.solvers import design
from skmxne.solvers.design import BlockDesign

N_SAMPLES, N_POSITIONS, N_TARGETS = 12, 40, 6

n_orients = pytest.mark.parametrize("n_orient", [1, 3])


def read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


LAYOUTS = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "every other": lambda X: np.repeat(np.repeat(X, 2, axis=0), 2, axis=1)[::2, ::2],
    "backwards": lambda X: X[::-1, ::-1].copy()[::-1, ::-1],
    "read-only": read_only,
    "single": lambda X: X.astype(np.float32),
}


def draw(n_orient=1, *, decay=0.0, seed=0, n_targets=N_TARGETS):
    """Draw X and a residual whose targets lose `decay` decades of amplitude each."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((N_SAMPLES, N_POSITIONS * n_orient))
    residual = rng.standard_normal((N_SAMPLES, n_targets))
    return X, residual * 10.0 ** (-decay * np.arange(n_targets))


def draw_scale(seed=0):
    """Draw a scale that leaves out every fifth position."""
    scale = np.random.default_rng(seed).uniform(0.1, 1.0, N_POSITIONS)
    scale[::5] = 0.0
    return scale


def scaled(X, n_orient, scale):
    X = X.astype(np.float64)
    return X if scale is None else X * np.repeat(scale, n_orient)


def norms_of(matrix, n_orient, order=None):
    """Norms of blocks of columns, one after the other."""
    columns = range(0, matrix.shape[1], n_orient)
    return np.array([np.linalg.norm(matrix[:, g : g + n_orient], order) for g in columns])


@n_orients
@pytest.mark.parametrize("scale", [None, draw_scale()], ids=["unscaled", "scaled"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_norms_and_columns_are_those_of_the_scaled_matrix(n_orient, scale, layout):
    X = LAYOUTS[layout](draw(n_orient)[0])
    before = X.copy()
    design = BlockDesign(X, n_orient, scale)
    positions = np.array([7, 0, N_POSITIONS - 1])

    columns = design.columns(positions)

    expected = scaled(X, n_orient, scale)
    index = [n_orient * g + i for g in positions for i in range(n_orient)]
    assert_array_equal(columns, expected[:, index])
    assert columns.dtype == np.float64
    assert columns.flags.f_contiguous
    assert not np.shares_memory(columns, X)
    assert_allclose(design.norms, norms_of(expected, n_orient), rtol=1e-13)
    largest = norms_of(expected, n_orient, order=2 if n_orient > 1 else None).max()
    assert design.largest_norm == pytest.approx(largest, rel=1e-13)
    assert_array_equal(X, before)
    assert X.dtype == before.dtype


def test_largest_norm_is_the_spectral_one():
    """The block of the largest Frobenius norm has not the largest spectral norm."""
    X = np.zeros((3, 6))
    X[:, :3] = 2.0 * np.eye(3)
    X[0, 3:] = 3.0 / np.sqrt(3.0)
    assert BlockDesign(X, 3).largest_norm == pytest.approx(3.0)


def test_no_columns():
    columns = BlockDesign(draw(3)[0], 3).columns(np.array([], dtype=int))
    assert columns.shape == (N_SAMPLES, 0)


def check_bounds(design, residual, exact, threshold=None, known=None, positions=None):
    bounds = design.correlate(residual, threshold, known, positions)
    largest = exact.max()
    assert (bounds >= exact - 1e-12 * largest).all()
    if threshold is None or largest > threshold:
        assert bounds.max() == pytest.approx(largest, rel=1e-12)
    else:
        assert bounds.max() <= threshold * (1 + 1e-12)


@given(
    seed=st.integers(0, 2**32 - 1),
    n_orient=st.sampled_from([1, 3]),
    decay=st.floats(0, 3),
    threshold=st.none() | st.floats(0.01, 1.5),
    n_known=st.integers(0, 4),
    has_scale=st.booleans(),
    layout=st.sampled_from(sorted(LAYOUTS)),
    units=st.sampled_from([(1.0, 1.0), (1e-15, 1e9), (1e9, 1e-15), (1e-140, 1.0), (1e140, 1e-140)]),
)
def test_bounds_are_never_below_the_norms_and_their_maximum_is_exact(
    seed, n_orient, decay, threshold, n_known, has_scale, layout, units
):
    X, residual = draw(n_orient, decay=decay, seed=seed)
    X, residual = units[0] * X, units[1] * residual
    assume(layout != "single" or 1e-20 < units[0] < 1e20)
    X = LAYOUTS[layout](X)
    scale = draw_scale(seed) if has_scale else None
    exact = norms_of(residual.T @ scaled(X, n_orient, scale), n_orient)
    if threshold is not None:
        threshold *= exact.max()
    worst = np.argsort(-exact)[:n_known]
    check_bounds(BlockDesign(X, n_orient, scale), residual, exact, threshold, (worst, exact[worst]))


@n_orients
@pytest.mark.parametrize("scale", [None, draw_scale()], ids=["unscaled", "scaled"])
@pytest.mark.parametrize("threshold", [None, 0.5, 2.0])
@pytest.mark.parametrize("n", [0, 1, 15])
def test_bounds_of_some_positions(n_orient, scale, threshold, n):
    X, residual = draw(n_orient, decay=0.5)
    positions = np.random.default_rng(1).permutation(N_POSITIONS)[:n]
    design = BlockDesign(X, n_orient, scale)
    exact = norms_of(residual.T @ scaled(X, n_orient, scale), n_orient)[positions]
    if n == 0:
        assert design.correlate(residual, threshold, positions=positions).shape == (0,)
        return
    if threshold is not None:
        threshold *= exact.max()
    check_bounds(design, residual, exact, threshold, positions=positions)
    assert design.n_products <= 2 * n / N_POSITIONS


@n_orients
@pytest.mark.parametrize("threshold", [None, 0.5, 2.0])
def test_maximum_is_exact_where_all_positions_are_alike(n_orient, threshold):
    X, residual = draw(n_orient, decay=1.0)
    X = np.tile(X[:, :n_orient], N_POSITIONS)
    exact = norms_of(residual.T @ X, n_orient)
    if threshold is not None:
        threshold *= exact.max()
    check_bounds(BlockDesign(X, n_orient), residual, exact, threshold)


@n_orients
def test_bounds_of_one_target_are_close(n_orient):
    X, residual = draw(n_orient, n_targets=1)
    exact = norms_of(residual.T @ X, n_orient)
    bounds = BlockDesign(X, n_orient).correlate(residual)
    assert_allclose(bounds, exact, atol=1e-5 * np.linalg.norm(residual) * np.linalg.norm(X))


@n_orients
@pytest.mark.parametrize("exponents", [(0, 30), (-45, 0), (-45, 30)])
def test_columns_out_of_the_range_of_single_precision(n_orient, exponents):
    """What overflows or underflows is bounded all the same."""
    X, residual = draw(n_orient, decay=0.5)
    X *= 10.0 ** np.repeat(np.linspace(*exponents, N_POSITIONS), n_orient)
    exact = norms_of(residual.T @ X, n_orient)
    check_bounds(BlockDesign(X, n_orient), residual, exact, threshold=0.5 * exact.max())


@pytest.mark.parametrize("n_samples", [12, 3000])
def test_rounding_of_single_precision_is_bounded(n_samples):
    """The worst case: all errors have one sign."""
    X = np.full((n_samples, N_POSITIONS), 1.0 + 2.0**-25)
    residual = np.full((n_samples, N_TARGETS), 1.0 + 2.0**-25)
    residual *= [1.0, 0.9, 0.8, 0.7, 0.6, 0.5]
    exact = norms_of(residual.T @ X, 1)
    bounds = BlockDesign(X).correlate(residual, threshold=2.0 * exact[0])
    assert (bounds >= exact * (1 - 1e-13)).all()


@pytest.mark.parametrize("unit", [1e-30, 1e-24, 1e20, 1e30])
@n_orients
def test_bounds_hold_for_single_precision_of_any_magnitude(n_orient, unit):
    X, residual = draw(n_orient, decay=0.5)
    X = X.astype(np.float32) * np.float32(unit)
    exact = norms_of(residual.T @ X.astype(np.float64), n_orient)
    for threshold in (None, 1e-9 * exact.max(), 0.5 * exact.max()):
        check_bounds(BlockDesign(X, n_orient), residual, exact, threshold)
        bounds = BlockDesign(X, n_orient).correlate(residual, threshold)
        assert (bounds >= exact * (1 - 1e-12)).all()


def test_samples_too_many_for_single_precision(monkeypatch):
    X, residual = draw(decay=0.5)
    monkeypatch.setattr(design, "_MAX_SAMPLES_SINGLE", N_SAMPLES - 1)
    exact = norms_of(residual.T @ X, 1)
    bounds = BlockDesign(X).correlate(residual, threshold=1e-9)
    check_bounds(BlockDesign(X), residual, exact, threshold=0.5 * exact.max())
    assert_allclose(bounds, exact, rtol=1e-12)


@n_orients
@pytest.mark.parametrize("threshold", [None, 1.0])
def test_bounds_of_a_zero_residual_are_zero(n_orient, threshold):
    design = BlockDesign(draw(n_orient)[0], n_orient)
    bounds = design.correlate(np.zeros((N_SAMPLES, N_TARGETS)), threshold)
    assert_array_equal(bounds, np.zeros(N_POSITIONS))


def test_positions_left_out_correlate_with_nothing():
    X, residual = draw(decay=1.0)
    scale = draw_scale()
    bounds = BlockDesign(X, 1, scale).correlate(residual)
    assert_array_equal(bounds[scale == 0.0], 0.0)


def test_product_with_targets_of_equal_energy_counts_for_one():
    X, residual = draw()
    design = BlockDesign(X)
    design.correlate(residual)
    # The norm of the largest is made exact.
    assert design.n_products == 1.0 + 1 / N_POSITIONS
    design.correlate(residual)
    assert design.n_products == 2.0 + 2 / N_POSITIONS


def test_product_with_few_strong_targets_counts_for_their_part():
    X, residual = draw(decay=4.0)
    design = BlockDesign(X)
    design.correlate(residual)
    # The norm of the largest is made exact.
    assert design.n_products == pytest.approx(1 / N_TARGETS + 1 / N_POSITIONS)


def test_product_counts_for_less_where_the_threshold_is_far_above():
    X, residual = draw(decay=0.5)
    design = BlockDesign(X)
    design.correlate(residual, threshold=10.0 * np.linalg.norm(residual) * design.norms.max())
    assert design.n_products < 1.0


def test_product_made_after_all_counts_too():
    X, residual = draw(decay=4.0)
    design = BlockDesign(np.tile(X[:, :1], N_POSITIONS))
    design.correlate(residual)
    assert design.n_products == pytest.approx(1.0 + 1 / N_TARGETS)


@pytest.mark.parametrize(
    ("value", "message"),
    [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "infinity"), (1e160, "too large")],
)
def test_norms_tell_what_is_not_finite(value, message):
    X, _ = draw()
    X[3, 7] = value
    with pytest.raises(ValueError, match=f"X contains .*{message}"):
        BlockDesign(X).norms  # noqa: B018


def test_columns_and_norms_are_no_products():
    design = BlockDesign(draw()[0])
    design.columns(np.arange(N_POSITIONS))
    assert design.largest_norm <= design.norms.max()
    assert design.n_products == 0.0
