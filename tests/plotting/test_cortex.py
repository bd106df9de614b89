"""Sources on the cortex: where they are drawn is where they are."""

import matplotlib.pyplot as plt
import mne
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial import ConvexHull

from skmxne import InverseProblem, SourceDisplay

VIEWS = ["left lateral", "left medial", "right lateral", "right medial", "top"]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def problem(recording):
    evoked = recording.evoked.copy().crop(0.1, 0.15)
    return InverseProblem.from_evoked(evoked, recording.forward, recording.noise_cov, loose=0)


def draw(problem, positions):
    """Draw a model of some positions, the strongest first; return axes by title."""
    coef = np.zeros((len(problem.times), problem.X.shape[1]))
    coef[:, positions] = np.arange(len(positions), 0, -1) * 1e-8 / problem.source_scale[positions]
    display = SourceDisplay.from_estimator(coef, problem, fig=Figure((10, 10)))
    return display, {ax.get_title(): ax for ax in display.position_axes_}


def get_numbers(ax):
    return {text.get_text() for text in ax.texts} - {"L", "R"}


def find_most(problem, axis, sign, hemisphere, above=0.0):
    """Find the position of a hemisphere that is farthest along an axis."""
    n_left = problem.forward["src"][0]["nuse"]
    places = sign * problem.locations[:, axis]
    is_left = np.arange(len(places)) < n_left
    allowed = (is_left if hemisphere == "lh" else ~is_left) & (problem.locations[:, 2] > above)
    return np.where(allowed, places, -np.inf).argmax()


def test_surfaces_are_those_of_the_source_space(problem, recording):
    left, right = problem.surfaces
    assert (left.hemisphere, right.hemisphere) == ("lh", "rh")
    used = [
        s.rr[space["vertno"]]
        for s, space in zip(problem.surfaces, recording.forward["src"], strict=True)
    ]
    assert_allclose(np.vstack(used), problem.locations, atol=1e-7)
    for surface, space in zip(problem.surfaces, recording.forward["src"], strict=True):
        assert_array_equal(surface.tris, space["tris"])


def test_each_source_is_on_its_own_hemisphere(problem):
    outer_left, outer_right = find_most(problem, 0, -1, "lh"), find_most(problem, 0, 1, "rh")
    top_left = find_most(problem, 2, 1, "lh")
    _, axes = draw(problem, [outer_left, top_left, outer_right])
    assert list(axes) == VIEWS
    assert "1" in get_numbers(axes["left lateral"])
    assert "3" in get_numbers(axes["right lateral"])
    assert "2" in get_numbers(axes["top"])
    for name, ax in axes.items():
        others = {"left": {"3"}, "right": {"1", "2"}}.get(name.split()[0], set())
        assert not get_numbers(ax) & others
    # The other side hides them.
    assert "1" not in get_numbers(axes["left medial"])
    assert "3" not in get_numbers(axes["right medial"])


def test_front_is_to_the_left_of_the_left_lateral_view(problem):
    front, back = (find_most(problem, 1, sign, "lh", above=0.03) for sign in (1, -1))
    _, axes = draw(problem, [front, back])
    for name, sign in [("left lateral", -1), ("left medial", 1)]:
        places = {t.get_text(): t.get_position()[0] for t in axes[name].texts}
        if {"1", "2"} <= set(places):
            assert sign * (places["1"] - places["2"]) > 0
    assert get_numbers(axes["left lateral"]) | get_numbers(axes["left medial"]) == {"1", "2"}


@pytest.mark.parametrize("start", [0, 11])
def test_every_source_is_drawn_somewhere(problem, start):
    positions = np.arange(start, len(problem.locations), 397)[:7]
    _, axes = draw(problem, positions)
    drawn = set().union(*map(get_numbers, axes.values()))
    assert drawn == {str(k + 1) for k in range(len(positions))}


def test_regions_are_painted_where_they_are(problem):
    outer_left, outer_right = find_most(problem, 0, -1, "lh"), find_most(problem, 0, 1, "rh")
    display, _ = draw(problem, [outer_left, outer_right])
    far = [np.linalg.norm(problem.locations - place, axis=1) for place in display.locations]
    display.regions = [problem.locations[distances < 0.015] for distances in far]
    display.plot(Figure((10, 10)))
    axes = {ax.get_title(): ax for ax in display.position_axes_}
    colors = [np.array(to_rgb(line.get_color())) for line in display.lines_]
    for name, own, other in [("left lateral", 0, 1), ("right lateral", 1, 0)]:
        picture = axes[name].images[0].get_array()
        painted = picture[..., :3][picture[..., 3] > 0]
        hues = painted / painted.max(axis=1, keepdims=True)
        near = [np.abs(hues - color / color.max()).max(axis=1) < 0.2 for color in colors]
        assert near[own].any()
        assert not near[other].any()


def test_one_hemisphere_has_three_views(recording):
    left = mne.SourceEstimate(
        np.zeros((recording.forward["src"][0]["nuse"], 1)),
        [recording.forward["src"][0]["vertno"], []],
        *(0, 1, "simulated"),
    )
    forward = mne.forward.restrict_forward_to_stc(recording.forward, left)
    evoked = recording.evoked.copy().crop(0.1, 0.15)
    problem = InverseProblem.from_evoked(evoked, forward, recording.noise_cov, loose=0)
    _, axes = draw(problem, [5])
    assert list(axes) == ["left lateral", "left medial", "top"]


def test_surfaces_without_triangles_are_projected(recording):
    forward = recording.forward.copy()
    for space in forward["src"]:
        space["tris"] = np.empty((0, 3), dtype=int)
    evoked = recording.evoked.copy().crop(0.1, 0.15)
    problem = InverseProblem.from_evoked(evoked, forward, recording.noise_cov, loose=0)
    assert problem.surfaces == []
    _, axes = draw(problem, [5])
    assert list(axes) == ["top", "back", "right"]


def test_a_ball_looks_round(problem):
    rng = np.random.default_rng(0)
    rr = rng.standard_normal((4000, 3))
    rr /= 20 * np.linalg.norm(rr, axis=1, keepdims=True)
    hull = ConvexHull(rr)
    tris = hull.simplices
    inwards = (
        np.einsum(
            "tc,tc->t",
            hull.equations[:, :3],
            np.cross(rr[tris[:, 1]] - rr[tris[:, 0]], rr[tris[:, 2]] - rr[tris[:, 0]]),
        )
        < 0
    )
    tris[inwards] = tris[inwards, ::-1]
    display, _ = draw(problem, [5])
    display.surfaces = [problem.surfaces[0]._replace(rr=rr, tris=tris)]
    display.all_locations, display.locations = rr, rr[:1]
    display.plot(Figure((10, 9)))
    for ax in display.position_axes_:
        is_ball = ax.images[0].get_array()[..., 3] > 0
        rows, columns = (np.ptp(np.flatnonzero(is_ball.any(axis=k))) + 1 for k in (1, 0))
        assert_allclose(rows, columns, rtol=0.03)
        assert_allclose(is_ball.sum() / (rows * columns), np.pi / 4, rtol=0.03)
