"""Bounds that follow the residual instead of multiplying it again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from skmxne.solvers.design import BlockDesign, Correlation

N_SAMPLES, N_POSITIONS, N_TARGETS = 12, 60, 5


def draw(n_orient=1, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((N_SAMPLES, N_POSITIONS * n_orient))
    return X, rng.standard_normal((N_SAMPLES, N_TARGETS)), rng


def norms_of(X, residual, n_orient):
    return np.linalg.norm((X.T @ residual).reshape(N_POSITIONS, -1), axis=1)


@given(
    seed=st.integers(0, 2**32 - 1),
    n_orient=st.sampled_from([1, 3]),
    share=st.floats(0.1, 1.2),
    sizes=st.lists(st.floats(-8, 1), min_size=1, max_size=4),
    has_scale=st.booleans(),
)
def test_bounds_hold_wherever_the_residual_goes(seed, n_orient, share, sizes, has_scale):
    X, residual, rng = draw(n_orient, seed)
    scale = rng.uniform(0.1, 1.0, N_POSITIONS) if has_scale else None
    design = BlockDesign(X, n_orient, scale)
    scaled = X if scale is None else X * np.repeat(scale, n_orient)
    correlation = Correlation.measure(design, residual)
    threshold = share * norms_of(scaled, residual, n_orient).max()
    candidates = np.ones(N_POSITIONS, dtype=bool)
    for size in sizes:
        residual = residual + 10.0**size * rng.standard_normal(residual.shape)
        exact = norms_of(scaled, residual, n_orient)
        known = np.sort(rng.permutation(N_POSITIONS)[:3])
        correlation = correlation.follow(
            design, residual, threshold, (known, exact[known]), candidates
        )
        bounds = correlation.bounds(design)
        rounding = 1e-12 * exact.max()
        assert (bounds >= exact - rounding).all()
        # What decides about optimality and the dual point: who is above the threshold, by how much.
        assert bounds.max() <= max(threshold, exact.max() + rounding)
        assert_array_equal(correlation.residual, residual)


def test_residual_that_hardly_moves_costs_hardly_a_product():
    X, residual, rng = draw()
    design = BlockDesign(X)
    correlation = Correlation.measure(design, residual)
    exact = norms_of(X, residual, 1)
    threshold = np.quantile(exact, 0.95)
    above = np.flatnonzero(exact > threshold)
    before = design.n_products
    correlation.follow(
        design,
        residual + 1e-9 * rng.standard_normal(residual.shape),
        threshold,
        (above[:1], exact[above[:1]]),
        np.ones(N_POSITIONS, dtype=bool),
    )
    assert design.n_products - before <= 2 * (len(above) - 1) / N_POSITIONS


@pytest.mark.parametrize("distance", [1e-9, 10.0])
def test_nothing_that_is_given_changes(distance):
    X, residual, rng = draw()
    design = BlockDesign(X)
    start = Correlation.measure(design, residual)
    copies = start.residual.copy(), start.norms.copy(), start.drift.copy()
    candidates = np.ones(N_POSITIONS, dtype=bool)
    moved = residual + distance * rng.standard_normal(residual.shape)
    known = np.array([3]), norms_of(X, moved, 1)[[3]]
    start.follow(design, moved, 1.0, known, candidates)
    for array, copy in zip((start.residual, start.norms, start.drift), copies, strict=True):
        assert_array_equal(array, copy)
    assert candidates.all()


def test_positions_that_do_not_matter_are_not_multiplied():
    X, residual, _ = draw()
    design = BlockDesign(X)
    correlation = Correlation.measure(design, residual)
    before = design.n_products
    nobody = np.array([], dtype=int), np.array([])
    followed = correlation.follow(
        design, 2.0 * residual, 0.0, nobody, np.zeros(N_POSITIONS, dtype=bool)
    )
    assert design.n_products == before
    # They are bounded all the same.
    assert (followed.bounds(design) >= norms_of(X, 2.0 * residual, 1) * (1 - 1e-12)).all()
