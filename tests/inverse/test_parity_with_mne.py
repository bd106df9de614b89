"""The whole way, from recordings to sources, against `mne.inverse_sparse.mixed_norm`."""

import mne
import numpy as np
import pytest

from skmxne import InverseProblem, MixedNormEstimator

DEPTH = 0.9
ORIENTATIONS = pytest.mark.parametrize("loose", [0, 0.2, 1], ids=["fixed", "loose", "free"])


@pytest.fixture(scope="module")
def run_mne(sample_problem):
    """Return a function that calls MNE's `mixed_norm` on the full-size problem, to a small gap."""
    data = sample_problem(n_positions=7783)

    def run(alpha, loose, *, debias=False, n_mxne_iter=1):
        return mne.inverse_sparse.mixed_norm(
            *(data.evoked, data.forward, data.noise_cov, alpha),
            loose=loose,
            depth=DEPTH,
            tol=1e-8,
            maxit=10_000,
            debias=debias,
            n_mxne_iter=n_mxne_iter,
            return_residual=True,
            verbose="ERROR",
        )

    return run


@pytest.fixture(scope="module")
def make_inverse_problem(sample_problem):
    data = sample_problem(n_positions=7783)

    def make(loose):
        return InverseProblem.from_evoked(
            data.evoked, data.forward, data.noise_cov, loose=loose, depth=DEPTH
        )

    return make


def fit(problem, alpha, **params):
    estimator = MixedNormEstimator(alpha, n_orient=problem.n_orient, tol=1e-8, **params)
    return estimator.fit(problem.X, problem.y)


def assert_same_sources(stc, expected, tolerance):
    """Positions agree, amplitudes to a share of the largest."""
    for vertices, expected_vertices in zip(stc.vertices, expected.vertices, strict=True):
        np.testing.assert_array_equal(vertices, expected_vertices)
    largest = np.abs(expected.data).max()
    np.testing.assert_allclose(stc.data, expected.data, rtol=0, atol=tolerance * largest)


@pytest.mark.usual(alpha=[60], loose=[0.2])
@ORIENTATIONS
@pytest.mark.parametrize("alpha", [60, 40])
def test_same_sources(run_mne, make_inverse_problem, alpha, loose):
    expected, expected_residual = run_mne(alpha, loose)
    problem = make_inverse_problem(loose)

    estimator = fit(problem, alpha, debias=False)

    assert_same_sources(problem.to_source_estimate(estimator), expected, 1e-3)
    residual = problem.to_residual(estimator).data
    assert np.linalg.norm(residual - expected_residual.data) < 1e-3 * np.linalg.norm(residual)


@pytest.mark.usual(loose=[0])
@ORIENTATIONS
def test_same_reweighted_sources(run_mne, make_inverse_problem, loose):
    expected, _ = run_mne(40, loose, n_mxne_iter=10)
    problem = make_inverse_problem(loose)
    # MNE's scale is 100 / alpha_max on data that are not multiplied by sqrt(nave).
    nave = problem.target_scale[0] ** 2
    alpha_max = fit(problem, 90).alpha_max_

    estimator = fit(
        problem, 40, debias=False, n_mxne_iter=10, reweighting_scale=100 * nave / alpha_max
    )

    assert_same_sources(problem.to_source_estimate(estimator), expected, 1e-3)


@pytest.mark.usual(loose=[0])
@ORIENTATIONS
def test_debiased_residual_is_no_larger(run_mne, make_inverse_problem, loose):
    """MNE's debiasing stops at 1000 iterations; ours is the exact minimum of the same problem."""
    _, expected_residual = run_mne(40, loose, debias=True)
    problem = make_inverse_problem(loose)

    def measure(residual):
        return np.linalg.norm(problem.whitener @ residual.pick(problem.ch_names).data)

    residual = problem.to_residual(fit(problem, 40))
    assert measure(residual) <= measure(expected_residual) * (1 + 1e-6)
