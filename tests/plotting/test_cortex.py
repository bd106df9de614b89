"""Sources on the cortex: where they are drawn is where they are."""

import mne
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial import ConvexHull

from skmxne import InverseProblem, SourceDisplay

VIEWS = ["left lateral", "left medial", "right lateral", "right medial", "top"]


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


def get_tint(ax, color):
    """Return where a picture has a colour: the columns and rows of pixels, and all of its own."""
    picture = ax.images[0].get_array()
    rows, columns = np.nonzero(picture[..., 3])
    colors = picture[rows, columns, :3]
    hue = np.array(to_rgb(color)) / max(to_rgb(color))
    is_tinted = np.abs(colors / colors.max(axis=1, keepdims=True) - hue).max(axis=1) < 0.2
    left, right, low, high = ax.images[0].get_extent()
    steps = np.array([right - left, high - low]) / (np.array(picture.shape[1::-1]) - 1)
    points = np.column_stack([columns, rows]) * steps + [left, low]
    return points[is_tinted], points


def paint(problem, is_in):
    """Return the views with some positions as the region of a source, and its colour."""
    display, _ = draw(problem, [np.flatnonzero(is_in)[0]])
    display.regions = [problem.locations[is_in]]
    display.plot(Figure((10, 10)))
    views = {ax.get_title(): ax for ax in display.position_axes_}
    return views, display.lines_[0].get_color()


# What is to the right and up in each view: x to the right, y to the front, z up.
SIDES = {
    "left lateral": [(1, -1), (2, 1)],
    "left medial": [(1, 1), (2, 1)],
    "right lateral": [(1, 1), (2, 1)],
    "right medial": [(1, -1), (2, 1)],
    "top": [(0, 1), (1, 1)],
}


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_views_are_not_mirrored(problem, axis):
    places = problem.locations[:, axis]
    views, color = paint(problem, places > np.quantile(places, 0.7))
    for name, sides in SIDES.items():
        for direction, (shown, sign) in enumerate(sides):
            if shown != axis:
                continue
            painted, points = get_tint(views[name], color)
            assert 0.1 * len(points) < len(painted) < 0.6 * len(points)
            away = painted[:, direction].mean() - points[:, direction].mean()
            assert sign * away > 0.2 * np.ptp(points[:, direction])


@pytest.mark.parametrize("is_restricted", [False, True])
def test_regions_are_painted_around_their_source(recording, is_restricted):
    """What has no position near is not painted: no source could be there."""
    forward = recording.forward
    left, right = (space["vertno"] for space in forward["src"])
    if is_restricted:  # to a ball around the outermost position of the left hemisphere
        rr = forward["src"][0]["rr"][left]
        near = left[np.linalg.norm(rr - rr[rr[:, 0].argmin()], axis=1) < 0.02]
        stc = mne.SourceEstimate(np.zeros((len(near) + 1, 1)), [near, right[:1]], 0, 1, "simulated")
        forward = mne.forward.restrict_forward_to_stc(forward, stc)
    evoked = recording.evoked.copy().crop(0.1, 0.15)
    problem = InverseProblem.from_evoked(evoked, forward, recording.noise_cov, loose=0)
    center = find_most(problem, 0, -1, "lh")
    distances = np.linalg.norm(problem.locations - problem.locations[center], axis=1)
    views, color = paint(problem, distances < 0.02)
    painted, _ = get_tint(views["left lateral"], color)
    spread = np.linalg.norm(painted - painted.mean(axis=0), axis=1)
    assert 5 < spread.max() < 30
    assert not len(get_tint(views["right lateral"], color)[0])


def test_markers_are_filled_where_a_source_is_seen(problem):
    display, axes = draw(problem, [find_most(problem, 2, 1, "lh")])
    (circle,) = [
        line for line in axes["top"].lines if line.get_marker() == "o" and len(line.get_xdata())
    ]
    assert circle.get_markerfacecolor() == display.lines_[0].get_color()


def test_hemispheres_of_different_extent(problem):
    """What is beyond the picture of one hemisphere is in that of the other alone."""
    display, _ = draw(problem, [find_most(problem, 1, 1, "lh", above=0.03)])
    left, right = problem.surfaces
    is_left = np.arange(len(problem.locations)) < problem.forward["src"][0]["nuse"]
    shift = np.array([0, 0.02, 0.02])
    display.surfaces = [left._replace(rr=left.rr + shift), right]
    display.all_locations = problem.locations + np.outer(is_left, shift)
    display.locations = display.locations + shift
    display.plot(Figure((10, 10)))
    drawn = {ax.get_title(): get_numbers(ax) for ax in display.position_axes_}
    assert drawn["left lateral"] | drawn["left medial"] == {"1"}
    assert not drawn["right lateral"] | drawn["right medial"]


def test_triangles_may_face_inwards(problem):
    display, views = draw(problem, [5])
    expected = {name: ax.images[0].get_array() for name, ax in views.items()}
    display.surfaces = [one._replace(tris=one.tris[:, ::-1]) for one in problem.surfaces]
    display.plot(Figure((10, 10)))
    for ax in display.position_axes_:
        assert_allclose(ax.images[0].get_array(), expected[ax.get_title()], atol=0.02)


def test_every_source_is_drawn_somewhere(problem):
    display, _ = draw(problem, [5])
    display.locations = problem.locations
    display.amplitudes = np.ones((len(problem.locations), len(problem.times)))
    display.plot(Figure((10, 10)), n_labelled=0)
    drawn = [line for ax in display.position_axes_ for line in ax.lines if line.get_marker() == "o"]
    assert sum(len(line.get_xdata()) for line in drawn) >= len(problem.locations)
    n_left = problem.forward["src"][0]["nuse"]
    of_left = [
        line
        for ax, line in zip(display.position_axes_, drawn, strict=True)
        if ax.get_title().startswith("left")
    ]
    assert sum(len(line.get_xdata()) for line in of_left) >= 0.9 * n_left


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
        space["tris"] = None  # as MNE reads a file that has none
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
