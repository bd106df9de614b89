"""The figure of the sources: what is drawn is what the inverse problem says of the model."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.collections import EllipseCollection, PathCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from skmxne import InverseProblem, MixedNormEstimator, MixedNormIC, SourceDisplay


@pytest.fixture(scope="module")
def make_problem_of(make_case):
    """Return a function that makes a problem of a kind of source space."""

    def make(kind="surface", loose=0.2, *, of_list=False):
        case = make_case(kind, amplitude=20e-9)
        evoked = case.evokeds if of_list else case.evoked
        return InverseProblem.from_evoked(evoked, case.forward, case.noise_cov, loose=loose)

    return make


def make_coef(problem, n_active):
    """Return coefficients of evenly spread positions, of different amplitudes in A m."""
    n_positions = len(problem.locations)
    coef = np.zeros((len(problem.times), n_positions, problem.n_orient))
    active = np.linspace(0, n_positions - 1, n_active).astype(int)
    wave = np.cos(np.linspace(0, 5, len(problem.times)))
    strengths = np.arange(1, n_active + 1)
    coef[:, active] = 1e-9 * (wave[:, np.newaxis] * strengths)[..., np.newaxis]
    scale = problem.source_scale  # 0 for tangents of surfaces that are fixed
    return coef.reshape(len(coef), -1) / np.where(scale > 0, scale, np.inf)


def get_discs(ax):
    """Return the discs of the numbers."""
    return [discs for discs in ax.collections if isinstance(discs, PathCollection)]


def get_points(ax):
    """Return what is drawn with circles, sorted."""
    lines = [line for line in ax.lines if line.get_marker() == "o"]
    points = np.hstack([np.reshape(line.get_data(), (2, -1)) for line in lines])
    return points[:, np.lexsort(points)]


@pytest.mark.usual(source_model=[("surface", 0.2), ("volume+volume", "auto")])
def test_figure_of_every_source_space(make_problem_of, source_model):
    problem = make_problem_of(*source_model)
    coef = make_coef(problem, 4)

    display = SourceDisplay.from_estimator(coef, problem, n_labelled=2)

    dipoles = problem.to_dipoles(coef)
    order = sorted(range(len(dipoles)), key=lambda k: -np.abs(dipoles[k].amplitude).max())
    assert len(order) == 4
    drawn = [line.get_ydata() for line in display.lines_ + display.other_lines_]
    assert_allclose(drawn, [dipoles[k].amplitude * 1e9 for k in order])
    assert len(display.lines_) == 2
    assert_allclose(display.lines_[0].get_xdata(), problem.times * 1e3)
    display.figure_.canvas.draw()
    if problem.surfaces:
        return  # drawn on the cortex: test_cortex.py
    found = np.array([dipole.pos[0] for dipole in dipoles]).T * 1e3
    for ax, axes in zip(display.position_axes_, [(0, 1), (0, 2), (1, 2)], strict=True):
        expected = found[list(axes)]
        assert_allclose(get_points(ax), expected[:, np.lexsort(expected)])
        cloud = ax.lines[0].get_xydata()
        assert_allclose(cloud, problem.forward["source_rr"][:, axes] * 1e3)
        assert [text.get_text() for text in ax.texts[:2]] == ["2", "1"]
        assert "(mm)" in ax.get_xlabel()


@pytest.mark.parametrize("estimate", ["estimator", "array", "sparse"])
def test_residual_and_fit_are_those_of_the_whitened_data(make_problem_of, estimate):
    problem = make_problem_of()
    estimator = MixedNormEstimator(30, n_orient=3).fit(problem.X, problem.y)
    makers = {"estimator": estimator, "array": estimator.coef_}
    makers["sparse"] = sparse.csr_array(estimator.coef_)

    display = SourceDisplay.from_estimator(makers[estimate], problem)

    residual = problem.y - problem.X @ estimator.coef_.T
    data_line, residual_line, noise_line = display.noise_ax_.lines
    assert_allclose(data_line.get_ydata(), np.sqrt(np.mean(problem.y**2, axis=0)))
    assert_allclose(residual_line.get_ydata(), np.sqrt(np.mean(residual**2, axis=0)))
    assert_array_equal(noise_line.get_ydata(), [1, 1])
    gof = sum(dipole.gof for dipole in problem.to_dipoles(estimator))
    fit_line, most_line = display.fit_ax_.lines
    assert_allclose(fit_line.get_ydata(), gof, atol=1e-8)
    assert (most_line.get_ydata() >= 0).all()
    assert f"{problem.explained_variance(estimator):.0f} % of" in get_title(display)
    most = 100 - 100 / np.mean(problem.y**2)
    assert get_title(display).endswith(f" (noise: {100 - max(most, 0):.0f} %)")


def get_title(display):
    return display.figure_.get_suptitle()


@pytest.mark.parametrize(("condition", "index"), [(0, 0), (1, 1), ("late", 1)])
def test_one_of_several_conditions(make_case, condition, index):
    case = make_case("surface")
    evokeds = [evoked.copy() for evoked in case.evokeds]
    evokeds[0].comment, evokeds[1].comment = "early", "late"
    problem = InverseProblem.from_evoked(evokeds, case.forward, case.noise_cov)
    coef = make_coef(problem, 3)

    display = SourceDisplay.from_estimator(coef, problem, condition=condition)

    evoked = evokeds[index]
    assert_array_equal(display.times, evoked.times)
    n_first = len(evokeds[0].times)
    targets = slice(0, n_first) if index == 0 else slice(n_first, None)
    residual = problem.y - problem.X @ coef.T
    assert_allclose(display.residual, residual[:, targets], atol=1e-8)
    assert get_title(display).startswith(f"'{evoked.comment}': 3 sources explain ")
    peaks = [[np.abs(d.amplitude).max() for d in some] for some in problem.to_dipoles(coef)]
    order = np.argsort(-np.max(peaks, axis=0))  # the same for both
    assert_allclose(np.abs(display.amplitudes).max(axis=1), np.array(peaks[index])[order])


@pytest.mark.parametrize("condition", [2, -1, "Late", None, 0.5])
def test_conditions_that_are_not_there_are_refused(make_problem_of, condition):
    problem = make_problem_of(of_list=True)
    with pytest.raises(ValueError, match=f"condition={condition!r} does not exist: choose"):
        SourceDisplay.from_estimator(make_coef(problem, 1), problem, condition=condition)
    assert plt.get_fignums() == []


def test_other_problems_are_refused(make_problem_of):
    problem = make_problem_of()
    with pytest.raises(TypeError, match="problem must be an InverseProblem, got ndarray"):
        SourceDisplay.from_estimator(make_coef(problem, 1), problem.X)
    with pytest.raises(ValueError, match="estimator has coefficients of shape"):
        SourceDisplay.from_estimator(make_coef(problem, 1).T, problem)


@pytest.mark.usual(n_times=[1])
@pytest.mark.parametrize("n_times", [1, 2])
@pytest.mark.parametrize("n_active", [0, 1])
def test_few_times_and_sources(make_case, n_times, n_active):
    case = make_case("surface")
    evoked = case.evoked.copy().crop(-0.1, -0.1 + (n_times - 1) / 100)
    problem = InverseProblem.from_evoked(evoked, case.forward, case.noise_cov)
    assert len(problem.times) == n_times

    display = SourceDisplay.from_estimator(make_coef(problem, n_active), problem)

    display.figure_.canvas.draw()
    assert len(display.lines_) == n_active
    assert ("1 source explains " if n_active else "no source (noise: ") in get_title(display)
    texts = [text.get_text() for text in display.time_ax_.texts]
    assert texts == ([] if n_active else ["no source"])
    assert (display.time_ax_.get_legend() is None) == (n_active == 0)
    # A line of a single time would not be seen.
    markers = {line.get_marker() for line in display.noise_ax_.lines[:2]}
    assert (markers == {"o"}) == (n_times == 1)


def test_data_that_are_zero_are_explained_by_nothing(make_case):
    case = make_case("surface")
    evoked = case.evoked.copy()
    evoked.data[:] = 0
    problem = InverseProblem.from_evoked(evoked, case.forward, case.noise_cov)
    display = SourceDisplay.from_estimator(make_coef(problem, 0), problem)
    for line in display.fit_ax_.lines:
        assert_array_equal(line.get_ydata(), 0)
    display.figure_.canvas.draw()


def test_weak_sources_are_grey_and_without_number(make_problem_of):
    problem = make_problem_of("volume", "auto")
    display = SourceDisplay.from_estimator(make_coef(problem, 30), problem, n_labelled=5)
    assert len(display.lines_) == 5
    assert len(display.other_lines_) == 25
    lines = display.lines_
    assert len({line.get_color() for line in lines}) == 5
    assert len({line.get_linestyle() for line in lines}) == 4
    assert len({line.get_color() for line in display.other_lines_}) == 1
    legend = [text.get_text() for text in display.time_ax_.get_legend().get_texts()]
    assert legend[-1] == "25 weaker"
    x, y, z = display.locations[0] * 1e3
    assert legend[0] == f"1: ({x:z.0f}, {y:z.0f}, {z:z.0f}) mm"
    peaks = np.abs(display.amplitudes).max(axis=1)
    assert (np.diff(peaks) <= 0).all()
    numbers = [text.get_text() for text in display.position_axes_[0].texts[:5]]
    assert numbers == ["5", "4", "3", "2", "1"]


def test_numbers_do_not_hide_one_another(make_problem_of):
    problem = make_problem_of("volume", "auto")
    display = SourceDisplay.from_estimator(make_coef(problem, 6), problem)
    x, y, z = np.mean(display.locations, axis=0)
    display.locations = np.array([[x, y, z]] * 3 + [[x + 0.002, y, z], [x, y, z + 0.1], [x, y, z]])
    display.plot(Figure((10, 9), layout="constrained"))
    display.figure_.canvas.draw()
    for ax in display.position_axes_:
        # Discs are in points, places in mm.
        discs = get_discs(ax)
        places = np.array([disc.get_offsets()[0] for disc in discs])
        pixels = ax.transData.transform(places)
        distances = np.linalg.norm(pixels[:, np.newaxis] - pixels, axis=2)
        diameter = np.sqrt(discs[0].get_sizes()[0]) * display.figure_.dpi / 72
        assert distances[np.triu_indices(6, 1)].min() > 0.95 * diameter
        # Each stays near its source, to which a line leads.
        circles = [line for line in ax.lines if line.get_marker() == "o"]
        true = np.vstack([line.get_xydata() for line in circles])
        assert len(true) == len(places) == 6
        assert np.linalg.norm(places - true, axis=1).max() < 0.15 * np.ptp(ax.get_xlim())
        leads = [line.get_xydata() for line in ax.lines if len(line.get_xydata()) == 2]
        assert_allclose(leads, np.stack([true, places], axis=1))


def test_numbers_that_have_room_are_where_their_sources_are(make_problem_of):
    problem = make_problem_of("volume", "auto")
    display = SourceDisplay.from_estimator(make_coef(problem, 1), problem)
    for ax, view in zip(display.position_axes_, [(0, 1), (0, 2), (1, 2)], strict=True):
        (disc,) = get_discs(ax)
        assert_allclose(disc.get_offsets()[0], display.locations[0, view] * 1e3)


def test_figures_that_are_passed_are_used(make_problem_of):
    problem = make_problem_of(loose=0)
    display = SourceDisplay.from_estimator(make_coef(problem, 2), problem, fig=Figure((10, 9)))
    assert plt.get_fignums() == []
    assert len(display.figure_.axes) == 8
    left, right = Figure((20, 9)).subfigures(1, 2)
    assert display.plot(right) is display
    assert display.figure_ is right
    assert (len(left.axes), len(right.axes)) == (0, 8)
    assert display.time_ax_.figure is right


def test_figure_of_recorded_data(sample_problem):
    recording = sample_problem()
    problem = InverseProblem.from_evoked(**recording)
    model = MixedNormEstimator(60, n_orient=3).fit(problem.X, problem.y)
    display = SourceDisplay.from_estimator(model, problem)
    assert model.n_active_ == len(display.lines_) > 0
    assert get_title(display).startswith("'Left Auditory': ")
    for ax in display.position_axes_:
        points, low_high = get_points(ax), np.array([ax.get_xlim(), ax.get_ylim()])
        assert (low_high[:, :1] < points).all()
        assert (points < low_high[:, 1:]).all()


def test_goodness_of_fit_reaches_what_is_not_noise(recording):
    evoked = recording.evoked.copy().crop(0.05, 0.35)
    problem = InverseProblem.from_evoked(evoked, recording.forward, recording.noise_cov)
    model = MixedNormIC(n_orient=3, alphas=[60, 40, 30]).fit(problem.X, problem.y)
    display = SourceDisplay.from_estimator(model, problem)
    explained, most = (line.get_ydata() for line in display.fit_ax_.lines)
    strong = most > 70
    assert strong.any()
    assert_allclose(explained[strong], most[strong], atol=15)
    _, residual, _ = (line.get_ydata() for line in display.noise_ax_.lines)
    assert_allclose(residual.mean(), 1, atol=0.1)


def test_regions_and_p_values_are_drawn(make_problem_of):
    problem = make_problem_of("volume", "auto")
    coef = make_coef(problem, 3)
    confidence = problem.compute_confidence(coef)
    display = SourceDisplay.from_estimator(coef, problem, confidence=confidence, n_labelled=2)
    strongest = confidence.regions[[2, 1]]  # of the sources in colour
    for ax, axes in zip(display.position_axes_, [(0, 1), (0, 2), (1, 2)], strict=True):
        clouds = [discs for discs in ax.collections if isinstance(discs, EllipseCollection)]
        for cloud, line, region in zip(clouds[::-1], display.lines_, strongest, strict=True):
            assert to_rgb(cloud.get_facecolor()[0, :3]) == to_rgb(line.get_color())
            assert_allclose(cloud.get_offsets(), 1e3 * problem.locations[region][:, axes])
    table = problem.to_data_frame(coef, confidence=confidence)
    labels = [line.get_label() for line in display.lines_]
    for label, (_, row) in zip(labels, table.iterrows(), strict=False):
        p = "< 0.001" if row.p_value < 0.001 else f"= {row.p_value:.3f}"
        assert label.endswith(f"within {row.radius_mm:.0f} mm, p {p}")
    display.figure_.canvas.draw()
    other = problem.compute_confidence(make_coef(problem, 2), n_draws=0)
    with pytest.raises(ValueError, match="has other sources than the model"):
        SourceDisplay.from_estimator(coef, problem, confidence=other)
