import mne
import numpy as np
import pytest
from mne.forward import compute_depth_prior as mne_depth_prior
from numpy.testing import assert_allclose

from skmxne.inverse.weighting import compute_depth_prior, compute_orient_prior, compute_source_scale


def scale(prior):
    """Priors are relative to one another."""
    return prior / prior.max()


@pytest.mark.parametrize("exp", [0.3, 0.8, 1.0])
@pytest.mark.parametrize("limit", [None, 1.5, 3.0, 1e6])
@pytest.mark.parametrize("combine_xyz", ["fro", "spectral", False])
@pytest.mark.parametrize("orientation", [dict(), dict(force_fixed=True)], ids=["free", "fixed"])
def test_is_that_of_mne(make_case, exp, limit, combine_xyz, orientation):
    case = make_case("surface")
    with mne.use_log_level("ERROR"):
        forward = mne.convert_forward_solution(case.forward, **orientation)
        forward = mne.pick_types_forward(forward, meg="grad")
        info = forward["info"]
        options = dict(combine_xyz=combine_xyz, limit=limit)
        expected = {
            exact: mne_depth_prior(forward, info, exp, limit_depth_chs=not exact, **options)
            for exact in (True, False)
        }
    gain = forward["sol"]["data"].astype(float)
    for exact, one in expected.items():
        ours = compute_depth_prior(gain, gain.shape[1] // 48, exp=exp, exact_limit=exact, **options)
        assert_allclose(scale(ours), scale(one), rtol=1e-5)


def test_full_exponent_makes_positions_equal():
    gain = np.random.default_rng(0).standard_normal((20, 30)) * np.repeat(np.arange(1, 11), 3)
    weighted = gain * np.sqrt(compute_depth_prior(gain, 3, exp=1.0))
    norms = np.linalg.norm(weighted.reshape(20, 10, 3), axis=(0, 2))
    assert_allclose(norms, norms[0])


@pytest.mark.parametrize("combine_xyz", ["fro", "spectral", False])
def test_position_that_no_sensor_sees(combine_xyz):
    """It gets the variance of the weakest that is seen."""
    gain = np.random.default_rng(0).standard_normal((20, 30))
    gain[:, :3] = 0
    prior = compute_depth_prior(gain, 3, exp=1.0, combine_xyz=combine_xyz)
    assert_allclose(prior[:3], prior[3:].max(), rtol=1e-6)


def test_variance_of_tangential_orientations():
    prior = compute_orient_prior(np.array([0.0, 0.2, 1.0]), 3)
    assert_allclose(prior, [0, 0, 1, 0.2, 0.2, 1, 1, 1, 1])
    assert_allclose(compute_orient_prior(np.full(4, 0.2), 1), 1)


def test_source_scale_has_the_unit_of_mne():
    """The trace of the covariance of the fields is the number of rows."""
    rng = np.random.default_rng(0)
    gain, orient_prior, depth_prior = rng.random((20, 30)), rng.random(30), rng.random(30)
    scale = compute_source_scale(gain, orient_prior, depth_prior)
    assert_allclose(np.trace(gain * scale**2 @ gain.T), 20)
    ratio = scale**2 / (orient_prior * depth_prior)
    assert_allclose(ratio, ratio[0])


@pytest.mark.parametrize("prior", [0.0, np.inf, np.nan])
def test_source_scale_that_is_no_number(prior):
    depth_prior = np.ones(6)
    depth_prior[2:] = prior
    gain = np.ones((4, 6)) * (np.arange(6) > 1)
    with pytest.raises(ValueError, match="depth gives weights that are infinite, NaN or zero"):
        compute_source_scale(gain, np.ones(6), depth_prior)
