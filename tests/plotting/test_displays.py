"""Figures: what is drawn is what was fitted, where it was asked for, with labels to read."""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import MultiTaskLassoCV
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler

from skmxne import (
    InverseProblem,
    MixedNormCV,
    MixedNormEstimator,
    MixedNormIC,
    PathDisplay,
    SelectionDisplay,
    mixed_norm_path,
)
from skmxne.model_selection.criteria import CRITERIA

ALPHAS = [80.0, 50.0, 40.0, 30.0, 20.0, 12.0]


@pytest.fixture(scope="module")
def data(make_problem):
    return make_problem(40, 60, n_orient=3, n_targets=6, n_active=3, noise=1.0)


@pytest.fixture(scope="module")
def fit(data):
    """Return a function that fits a selector to the data."""

    def fit(selector):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The alpha chosen")
            return selector.set_params(n_orient=3, alphas=ALPHAS).fit(*data)

    return fit


def get_legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def get_tick_labels(ax):
    """Return the labels that are in view, once drawn, of major and minor ticks."""
    ax.figure.canvas.draw()
    low, high = sorted(ax.get_xlim())
    ticks = [*ax.xaxis.get_major_ticks(), *ax.xaxis.get_minor_ticks()]
    return [tick.label1.get_text() for tick in ticks if low <= tick.get_loc() <= high]


def assert_is_inside(artist, figure):
    box = artist.get_window_extent()
    outer = figure.bbox
    assert outer.x0 <= box.x0 < box.x1 <= outer.x1
    assert outer.y0 <= box.y0 < box.y1 <= outer.y1


# What alpha is chosen by


@pytest.mark.filterwarnings("ignore:The discrepancy is not reached")
@pytest.mark.parametrize("criterion", CRITERIA)
def test_criterion_is_drawn(fit, criterion):
    model = fit(MixedNormIC(criterion=criterion))

    display = SelectionDisplay.from_estimator(model)

    assert_array_equal(display.line_.get_xdata(), model.alphas_)
    assert_array_equal(display.line_.get_ydata(), model.criterion_)
    assert_array_equal(display.n_active_line_.get_ydata(), model.n_active_path_)
    of_path = model.path_alpha_
    assert [list(line.get_xdata()) for line in display.chosen_lines_] == [[of_path] * 2] * 2
    name = "chosen" if display.refined is None else "chosen on the path"
    assert f"{name}: alpha = {of_path:g} %" in get_legend(display.ax_)
    assert display.figure_ is display.ax_.figure
    assert [ax.get_xlabel() for ax in display.axes_] == ["", "alpha (%)"]
    assert [ax.get_ylabel() != "" for ax in display.axes_] == [True, True]
    assert display.ax_.get_xscale() == "log"
    assert display.ax_.get_xlim()[0] > ALPHAS[0] > ALPHAS[-1] > display.ax_.get_xlim()[1]
    if criterion == "discrepancy":
        assert list(display.threshold_line_.get_ydata()) == [0.0, 0.0]
        assert "zero: the residual is noise" in get_legend(display.ax_)
    else:
        assert display.threshold_line_ is None
        assert display.ax_.get_ylabel() == criterion.upper()
    is_changed = model.alpha_ != of_path
    assert (display.refined_line_ is not None) == is_changed


def test_model_after_a_search_is_marked(make_problem):
    model = MixedNormIC(alphas=[99]).fit(*make_problem(60, 80, n_active=6, noise=1.0))
    display = SelectionDisplay.from_estimator(model.set_params(refine=False))
    (alpha,), (n_active,) = display.refined_line_.get_data()
    assert (alpha, n_active) == (model.alpha_, model.n_active_)
    assert model.alpha_ < model.path_alpha_ == display.alpha == 99
    assert "chosen on the path: alpha = 99 %" in get_legend(display.ax_)
    label = f"after the search: {n_active} at {alpha:.3g} %"
    assert label in get_legend(display.axes_[1])
    assert (
        f"99 %, chosen on a grid of 1 from 99 to 99 %; after the search {alpha:.3g} %"
        in model._repr_html_()
    )


@pytest.mark.parametrize("scoring", [None, "r2", lambda model, X, y: model.score(X, y) - 1.0])
@pytest.mark.parametrize("folds", [False, True])
def test_folds_are_drawn(fit, scoring, folds):
    model = fit(MixedNormCV(scoring=scoring, cv=4))
    values = model.mse_path_ if scoring is None else model.score_path_

    display = SelectionDisplay.from_estimator(model, folds=folds)

    means, error = values.mean(axis=1), values.std(axis=1, ddof=1) / 2
    assert_allclose(display.line_.get_ydata(), means)
    outline = display.fill_between_.get_paths()[0].vertices
    for alpha, mean, each in zip(ALPHAS, means, error, strict=True):
        band = outline[outline[:, 0] == alpha, 1]
        assert_allclose([band.min(), band.max()], [mean - each, mean + each])
    assert_allclose(display.n_active_line_.get_ydata(), model.n_active_path_.mean(axis=1))
    assert display.threshold_line_ is None
    expected = {None: "mean squared error", "r2": "r2"}.get(scoring, "score")
    assert display.ax_.get_ylabel() == expected
    assert {"mean of 4 folds", "± standard error"} <= set(get_legend(display.ax_))
    assert ("single folds" in get_legend(display.ax_)) == folds
    drawn = [line.get_ydata() for line in display.fold_lines_]
    assert_array_equal(np.reshape(drawn, (-1, len(ALPHAS))), values.T[: 4 * folds])


@pytest.mark.parametrize("scoring", [None, "r2"])
def test_threshold_is_what_one_standard_error_chose_by(fit, scoring):
    model = fit(MixedNormCV(scoring=scoring, one_standard_error=True))
    display = SelectionDisplay.from_estimator(model)
    threshold, means = display.threshold_line_.get_ydata()[0], display.line_.get_ydata()
    within = means <= threshold if scoring is None else means >= threshold
    assert 0 < within.sum() < len(ALPHAS)
    assert model.alpha_ == max(model.alphas_[within])
    best = np.argmin(means) if scoring is None else np.argmax(means)
    error = np.std(getattr(model, "score_path_", model.mse_path_)[best], ddof=1) / np.sqrt(5)
    assert abs(threshold - means[best]) == pytest.approx(error)
    assert any(label.startswith("best ") for label in get_legend(display.ax_))


def test_one_fold_has_no_standard_error(fit):
    model = fit(MixedNormCV(cv=list(KFold(3).split(np.zeros((40, 1))))[:1]))
    display = SelectionDisplay.from_estimator(model)
    assert display.fill_between_ is None
    assert_array_equal(display.line_.get_ydata(), model.mse_path_[:, 0])


def test_values_that_are_infinite_are_left_out(data):
    X, y = data
    model = MixedNormIC(criterion="gcv", alphas=[50, 20, 0], n_orient=3).fit(X, y)
    assert_array_equal(np.isinf(model.criterion_), [False, False, True])
    display = SelectionDisplay.from_estimator(model)
    display.figure_.canvas.draw()
    assert_array_equal(display.line_.get_ydata(), [*model.criterion_[:2], np.nan])
    assert np.isfinite(display.ax_.get_ylim()).all()


def draw_values(values, **parameters):
    """Draw made-up values along a path, the best of them chosen."""
    display = SelectionDisplay(
        alphas=np.array(ALPHAS),
        values=np.array(values, dtype=float),
        value_name="any",
        n_active=np.arange(6),
        **({"alpha": 40.0} | parameters),
    )
    display.plot().figure_.canvas.draw()
    return display


@pytest.mark.parametrize("sign", [1, -1])
def test_best_is_seen_where_values_are_far_off(sign):
    values = sign * np.array([18_000, 6_160, 6_100, 6_150, np.inf, 6_400])
    display = draw_values(values)
    heights = display.ax_.transAxes.inverted().transform(
        display.ax_.transData.transform(np.column_stack([ALPHAS, values]))
    )[:, 1]
    heights = heights if sign > 0 else 1 - heights
    assert 0 < heights[2] < heights[[1, 3]].min() - 0.05 < heights[5] < 0.9 < 1 < heights[0]
    (arrows,) = [line for line in display.ax_.lines if line.get_label() == "outside the axes"]
    assert arrows.get_marker() == ("^" if sign > 0 else "v")
    assert list(arrows.get_xdata()) == ALPHAS[:1]


@pytest.mark.parametrize(
    "values",
    [
        [1, 2, 9, 99, 999, 9999],  # no position is the best
        [9999, 999, 99, 9, 2, 1],
        [9, 5, 1, 3, 7, 11],
        [5] * 6,
        [np.inf, np.inf, 3, np.inf, np.inf, np.inf],
    ],
)
def test_all_values_are_in_view_where_the_best_is_at_an_edge_or_seen(values):
    display = draw_values(values, alpha=ALPHAS[np.argmin(values)])
    low, high = display.ax_.get_ylim()
    finite = np.array(values)[np.isfinite(values)]
    assert low < finite.min() <= finite.max() < high
    assert get_legend(display.ax_) == [f"chosen: alpha = {display.alpha:g} %"]


def test_threshold_is_in_view_where_values_are_far_off():
    display = draw_values([999, 999, 1, 2, 3, 4], threshold=20.0, threshold_name="any")
    low, high = display.ax_.get_ylim()
    assert low < 1 < 20 < high < 30


def test_nothing_is_drawn_of_values_that_are_all_infinite():
    assert np.isnan(draw_values([np.inf] * 6).line_.get_ydata()).all()


def test_axes_that_are_passed_are_used(fit):
    model = fit(MixedNormIC())
    figure, axes = plt.subplots(1, 3)

    display = SelectionDisplay.from_estimator(model, ax=axes[0], line_kw={"color": "red"})
    assert list(display.axes_) == [axes[0]]
    assert display.ax_ is axes[0]
    assert display.n_active_line_ is None
    assert display.line_.get_color() == "red"
    assert axes[0].get_xlabel() == "alpha (%)"

    assert display.plot(axes[1:]) is display
    assert list(display.axes_) == list(axes[1:])
    assert_array_equal(display.n_active_line_.get_ydata(), model.n_active_path_)
    assert display.n_active_line_.axes is axes[2]

    path = PathDisplay.from_estimator(model, *data_of(model), ax=axes[0])
    assert path.ax_ is axes[0]
    assert path.figure_ is display.figure_ is figure
    assert plt.get_fignums() == [figure.number]


def data_of(model):
    """Return any data that a fitted model could be shown."""
    X = np.random.default_rng(0).standard_normal((10, model.n_features_in_))
    return X, X[:, :2]


def test_more_axes_than_there_is_to_draw_are_refused(fit):
    display = SelectionDisplay.from_estimator(fit(MixedNormIC()))
    with pytest.raises(ValueError, match=r"ax must be one Axes, or a pair of them, .* \(3,\)"):
        display.plot(plt.subplots(3)[1])


@pytest.mark.usual(figsize=[(3.5, 3)])
@pytest.mark.parametrize("figsize", [(3.5, 3), (6.4, 5.2), (12, 5)])
@pytest.mark.parametrize("selector", [MixedNormIC(), MixedNormCV(one_standard_error=True)])
def test_legends_stay_in_the_figure(fit, data, selector, figsize):
    model = fit(clone(selector))
    display = SelectionDisplay.from_estimator(model)
    path = PathDisplay.from_estimator(model, *data, n_labelled=3)
    for figure, ax in [(display.figure_, display.ax_), (path.figure_, path.ax_)]:
        figure.set_size_inches(figsize)
        figure.canvas.draw()
        assert_is_inside(ax.get_legend(), figure)


def test_path_of_a_chosen_alpha_that_is_empty(data):
    X, _ = data
    noise = np.random.default_rng(0).standard_normal((len(X), 6))
    with pytest.warns(UserWarning, match="The model is empty"):
        model = MixedNormIC(n_orient=3, alphas=[99.5, 99]).fit(X, noise)
    display = SelectionDisplay.from_estimator(model)
    assert_array_equal(display.n_active_line_.get_ydata(), [0, 0])
    display.figure_.canvas.draw()


# Alphas


@pytest.mark.parametrize(
    ("alphas", "labels"),
    [
        (np.geomspace(99, 5, 20), ["100", "50", "20", "10", "5"]),
        (np.geomspace(99, 0.1, 20), ["100", "10", "1", "0.1"]),
        ([60, 20, 5, 0], ["50", "20", "10", "5", "0"]),
        ([40, 38, 36, 32], ["40", "38", "36", "34", "32"]),
        ([20], ["20"]),
        ([0], ["0"]),
    ],
)
def test_labels_of_alphas_are_plain_and_few(alphas, labels):
    alphas = np.array(alphas, dtype=float)
    display = SelectionDisplay(
        alphas=alphas, values=alphas, alpha=alphas[0], value_name="any", n_active=alphas
    ).plot()
    assert set(get_tick_labels(display.axes_[1])) == set(labels)
    positions = display.ax_.transData.transform(np.column_stack([alphas, alphas]))[:, 0]
    assert (np.diff(positions) > 0).all()
    box = display.ax_.get_window_extent()
    assert box.x0 < positions[0] <= positions[-1] < box.x1


# Amplitudes along the path


@pytest.mark.parametrize("debias", [True, False])
def test_lines_are_norms_of_the_coefficients_along_the_path(data, debias):
    X, y = data
    estimator = MixedNormEstimator(30, n_orient=3, debias=debias)

    display = PathDisplay.from_estimator(estimator, X, y, alphas=ALPHAS, n_labelled=3)

    params = estimator.get_params()
    del params["alpha"], params["warm_start"]
    _, coefs, _ = mixed_norm_path(X, y, alphas=ALPHAS, **params)
    blocks = np.array([coef.toarray().reshape(6, 60, 3) for coef in coefs])
    norms = np.linalg.norm(blocks, axis=(1, 3))
    assert len(display.lines_) == 3 < np.count_nonzero(norms.any(axis=0))
    strongest = np.argsort(norms[ALPHAS.index(30)])[::-1][:3]
    assert [line.get_label() for line in display.lines_] == [f"block {g}" for g in strongest]
    for line, g in zip(display.lines_, strongest, strict=True):
        assert_array_equal(line.get_xdata(), ALPHAS)
        # Not a number away from where the position is active.
        assert_allclose(np.nan_to_num(line.get_ydata()), norms[:, g], rtol=1e-10)
    others = np.setdiff1d(np.flatnonzero(norms.any(axis=0)), strongest)
    drawn = np.nansum([line.get_ydata() for line in display.other_lines_], axis=0)
    assert_allclose(drawn, norms[:, others].sum(axis=1), rtol=1e-10)
    assert display.figure_ is display.ax_.figure
    assert list(display.chosen_line_.get_xdata()) == [30, 30]
    labels = get_legend(display.ax_)
    assert labels[3:] == [f"{len(others)} others", "chosen: alpha = 30 %"]
    assert display.ax_.get_xlabel() == "alpha (%)"
    assert display.ax_.get_ylabel() == "norm of the coefficients"
    styles = {(line.get_color(), line.get_linestyle()) for line in display.lines_}
    assert len(styles) == len({color for color, _ in styles}) == 3
    assert len({pattern for _, pattern in styles}) == 3


@pytest.mark.parametrize("selector", [MixedNormIC(n_mxne_iter=3), MixedNormCV(cv=3)])
def test_path_of_a_selector_is_that_of_its_grid(fit, data, selector):
    model = fit(clone(selector))
    display = PathDisplay.from_estimator(model, *data)
    assert_array_equal(display.alphas, model.alphas_)
    assert list(display.chosen_line_.get_xdata()) == [model.alpha_] * 2
    norms = display.norms[list(model.alphas_).index(model.alpha_)]
    blocks = np.linalg.norm(model.coef_.reshape(6, 60, 3), axis=(0, 2))
    assert_allclose(norms[norms > 0], blocks[blocks > 0], rtol=1e-2)
    if isinstance(model, MixedNormIC):
        assert_array_equal(np.count_nonzero(display.norms, axis=1), model.n_active_path_)
    coarser = PathDisplay.from_estimator(model, *data, alphas=2, eps=0.5)
    assert_allclose(coarser.alphas, [99, 50])


def test_positions_have_the_names_that_are_given(data):
    X, y = data
    names = [f"area {g}" for g in range(60)]
    estimator = MixedNormEstimator(n_orient=3)
    plain = PathDisplay.from_estimator(estimator, X, y)
    named = PathDisplay.from_estimator(estimator, X, y, position_names=names)
    assert len(plain.alphas) == 20
    expected = [label.replace("block", "area") for label in get_legend(plain.ax_)]
    assert get_legend(named.ax_) == expected
    assert expected[0].startswith("area ")
    with pytest.raises(ValueError, match="position_names has 59 names for 60 blocks"):
        PathDisplay.from_estimator(estimator, X, y, position_names=names[1:])


def test_nothing_is_drawn_where_nothing_is_active(data):
    X, y = data
    display = PathDisplay.from_estimator(MixedNormEstimator(n_orient=3), X, 0 * y, alphas=3)
    assert display.lines_ == display.other_lines_ == []
    display.figure_.canvas.draw()


# Both


def test_displays_say_what_they_show(data):
    display = draw_values([9, 5, 1, 3, 7, 11])
    assert repr(display) == "<SelectionDisplay: 6 alphas, 40 % chosen>"
    estimator = MixedNormEstimator(30, n_orient=3)
    display = PathDisplay.from_estimator(estimator, *data, alphas=ALPHAS)
    assert repr(display) == f"<PathDisplay: {len(display.names)} blocks along 6 alphas>"


def test_pipelines(data):
    X, y = data
    pipeline = make_pipeline(MaxAbsScaler(), MixedNormIC(n_orient=3, eps=0.2))
    selector, scaled = pipeline[-1], X / np.abs(X).max(axis=0)
    with pytest.raises(NotFittedError):
        SelectionDisplay.from_estimator(pipeline)
    with pytest.raises(NotFittedError):
        PathDisplay.from_estimator(pipeline, X, y)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The alpha chosen")
        pipeline.fit(X, y)
    display = SelectionDisplay.from_estimator(pipeline)
    assert_array_equal(display.line_.get_ydata(), selector.criterion_)
    displays = [
        PathDisplay.from_estimator(*args) for args in [(pipeline, X, y), (selector, scaled, y)]
    ]
    assert_allclose(displays[0].norms, displays[1].norms, rtol=1e-6)


@pytest.mark.parametrize("selector", [MixedNormIC(), MixedNormCV()])
def test_selectors_that_are_not_fitted_are_refused(data, selector):
    with pytest.raises(NotFittedError):
        SelectionDisplay.from_estimator(selector)
    with pytest.raises(NotFittedError):
        PathDisplay.from_estimator(selector, *data)
    assert plt.get_fignums() == []


@pytest.mark.parametrize("other", [MultiTaskLassoCV(), MixedNormIC, "bic", None])
def test_other_estimators_are_refused(data, other):
    with pytest.raises(TypeError, match="estimator must be a fitted MixedNormCV or MixedNormIC"):
        SelectionDisplay.from_estimator(other)
    with pytest.raises(TypeError, match="estimator must be a MixedNormEstimator, MixedNormCV or"):
        PathDisplay.from_estimator(other, *data)


def test_estimator_of_one_alpha_has_chosen_nothing(data):
    with pytest.raises(TypeError, match="estimator must be a fitted MixedNormCV or MixedNormIC"):
        SelectionDisplay.from_estimator(MixedNormEstimator(n_orient=3).fit(*data))


@pytest.mark.filterwarnings("ignore:The residual has")
@pytest.mark.filterwarnings("ignore:If noise has")
def test_only_active_positions_of_a_cortex_are_drawn(sample_problem):
    recording = sample_problem(n_positions=7783)
    problem = InverseProblem.from_evoked(**recording)
    model = MixedNormIC(n_orient=3, alphas=[80, 60, 40, 30], refine=False)
    model.fit(problem.X, problem.y)
    n_active = model.n_active_
    display = PathDisplay.from_estimator(model, problem.X, problem.y, n_labelled=n_active)
    n_drawn = len(display.lines_) + len(display.other_lines_)
    assert model.n_active_path_.max() <= n_drawn == display.norms.shape[1] < 20
    at_alpha = display.norms[list(model.alphas_).index(model.alpha_)]
    assert np.count_nonzero(at_alpha) == n_active > 0
    active = np.flatnonzero(model.active_set_[::3])
    assert {line.get_label() for line in display.lines_} == {f"block {g}" for g in active}
