import mne
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skmxne.inverse.gain import OrientedGain, find_normals

# "fixed" and "surface" are what MNE's conversion makes of a forward solution.
CONVERSIONS = {
    "given": dict(),
    "surface": dict(surf_ori=True),
    "fixed": dict(force_fixed=True),
}


# Fixed orientation cannot be freed, and volumes have no normals.
POSSIBLE = [
    (kind, given, orientation)
    for kind in ("surface", "discrete", "volume", "surface+volume")
    for given in CONVERSIONS
    for orientation in CONVERSIONS
    if (given, orientation) != ("fixed", "surface")
    and not ("volume" in kind and "fixed" in (given, orientation))
]


@pytest.mark.parametrize(("kind", "given", "orientation"), POSSIBLE)
def test_orientations_are_those_of_mne(make_case, kind, given, orientation):
    ch_names = make_case(kind).info.ch_names[40:10:-1]
    with mne.use_log_level("ERROR"):
        forward = mne.convert_forward_solution(make_case(kind).forward, **CONVERSIONS[given])
        picked = mne.pick_channels_forward(forward, ch_names, ordered=True)
        expected = picked
        if orientation != "given":
            expected = mne.convert_forward_solution(picked, **CONVERSIONS[orientation])
        gain = OrientedGain(forward, ch_names, orientation)
        made = gain.to_forward()

    assert_allclose(gain.columns(), expected["sol"]["data"], rtol=1e-6, atol=1e-20)
    assert_allclose(gain.orientations.reshape(-1, 3), expected["source_nn"], atol=1e-12)
    assert_array_equal(gain.locations, expected["source_rr"])
    assert_array_equal(made["sol"]["data"], gain.columns())
    for key in ("source_ori", "surf_ori", "nsource", "nchan"):
        assert made[key] == expected[key]
    assert made.ch_names == expected.ch_names == made["sol"]["row_names"]
    assert made["src"] is forward["src"]
    # It is a forward solution that MNE can go on with.
    if given == "given":
        with mne.use_log_level("ERROR"):
            back = mne.convert_forward_solution(made, surf_ori=False)
        assert_allclose(back["sol"]["data"], picked["sol"]["data"])


@pytest.mark.parametrize("orientation", CONVERSIONS)
def test_columns_of_some_positions(make_case, orientation):
    case = make_case("surface")
    gain = OrientedGain(case.forward, case.info.ch_names, orientation)
    blocks = gain.columns().reshape(64, 48, gain.n_orient)
    for positions in (np.array([5, 3, 47]), slice(10, 20), np.array([], int)):
        expected = blocks[:, positions].reshape(64, -1)
        assert_array_equal(gain.columns(positions), expected)


@pytest.mark.parametrize("given", ["given", "surface"])
@pytest.mark.parametrize("orientation", ["given", "surface"])
def test_given_axes_are_those_of_the_forward_solution(make_case, given, orientation):
    case, positions = make_case("surface"), np.array([5, 3, 47])
    with mne.use_log_level("ERROR"):
        forward = mne.convert_forward_solution(case.forward, **CONVERSIONS[given])
    gain = OrientedGain(forward, case.info.ch_names, orientation)
    columns = gain.columns(positions).reshape(64, 3, 3)
    back = np.einsum("spo,poa->spa", columns, gain.given_axes(positions))
    expected = forward["sol"]["data"].reshape(64, 48, 3)[:, positions]
    assert_allclose(back, expected, rtol=1e-10, atol=1e-20)


def test_order_of_storage_does_not_matter(make_case):
    case = make_case("surface")
    forward = mne.Forward(case.forward)
    forward["sol"] = dict(forward["sol"], data=np.ascontiguousarray(forward["sol"]["data"]))
    expected = OrientedGain(case.forward, case.info.ch_names, "surface").columns()
    assert_array_equal(OrientedGain(forward, case.info.ch_names, "surface").columns(), expected)


def test_normals_of_patches(make_case):
    """Where a vertex stands for a patch, its normal is the mean over it, to the last bit MNE's."""
    case = make_case("surface")
    forward = case.forward.copy()
    rng = np.random.default_rng(0)
    for space in forward["src"]:
        space["pinfo"] = [rng.choice(space["np"], rng.integers(1, 9)) for _ in range(24)]
        space["patch_inds"] = rng.permutation(24)
    with mne.use_log_level("ERROR"):
        expected = mne.convert_forward_solution(forward, surf_ori=True)["source_nn"]
    gain = OrientedGain(forward, case.info.ch_names, "surface")
    assert_array_equal(gain.orientations.reshape(-1, 3), expected)
    assert_allclose(find_normals(forward["src"]), gain.normals(slice(None)))


def test_whole_gain_is_not_stored(make_case):
    case = make_case("surface")
    gain = OrientedGain(case.forward, case.info.ch_names, "surface")
    own = [
        value.size
        for value in vars(gain).values()
        if isinstance(value, np.ndarray)
        and not np.shares_memory(value, case.forward["sol"]["data"])
    ]
    assert max(own) <= 9 * 48
