"""The figure of fields at the sensors: each topography is of what its row says."""

import matplotlib.pyplot as plt
import mne
import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.testing import assert_allclose

from skmxne import FieldDisplay, InverseProblem, MixedNormEstimator


@pytest.fixture(scope="module")
def fitted(make_case):
    case = make_case("surface", amplitude=20e-9)
    problem = InverseProblem.from_evoked(case.evokeds, case.forward, case.noise_cov)
    model = MixedNormEstimator(50, n_orient=3, n_mxne_iter=5).fit(problem.X, problem.y)
    assert model.n_active_ > 1
    return problem, model


def get_rows(display):
    return [ax.get_ylabel() for ax in display.axes_[:, 0]]


def get_image(ax):
    return ax.images[-1].get_array()


@pytest.mark.parametrize("ch_type", ["grad", "eeg", None])
def test_rows_are_data_model_source_and_residual(fitted, ch_type):
    problem, model = fitted
    display = FieldDisplay.from_estimator(
        model, problem, ch_type=ch_type, condition=1, n_labelled=2
    )
    kind = display.ch_type
    scale = {"mag": 1e15, "grad": 1e13, "eeg": 1e6}[kind]  # fT, fT/cm, µV
    assert kind == (ch_type or "mag")
    assert get_rows(display) == ["data", "model", "source alone", "residual"]
    dipoles, fields = problem.to_dipoles(model)[1], problem.to_fields(model)[1]
    residual = problem.to_residual(model)[1]
    total = residual.copy()
    total.data = sum(field.data for field in fields)
    data = residual.copy()
    data.data = residual.data + total.data
    peaks = [[np.abs(d.amplitude).max() for d in some] for some in problem.to_dipoles(model)]
    strongest = np.argsort(-np.max(peaks, axis=0))[:2]  # in any of both, for the same order
    for column, k in zip(display.axes_.T, strongest, strict=True):
        time = dipoles[k].times[np.abs(dipoles[k].amplitude).argmax()]
        assert f"{1e3 * time:z.0f} ms" in column[0].get_title()
        for ax, evoked in zip(column, [data, total, fields[k], residual], strict=True):
            figure, expected = plt.subplots()
            evoked = evoked.copy().pick(kind)
            values = evoked.data[:, evoked.time_as_index(time, use_rounding=True)[0]]
            style = dict(ch_type=kind, axes=expected, contours=0, show=False)
            mne.viz.plot_topomap(scale * values, evoked.info, **style)
            assert_allclose(get_image(ax).filled(0), get_image(expected).filled(0))
            plt.close(figure)
    limits = {ax.images[-1].get_clim() for ax in display.axes_.flat}
    assert len(limits) == 1  # one scale
    ((low, high),) = limits
    assert high > 0
    assert low == (0 if kind == "grad" else -high)


def test_pairs_of_gradiometers_are_drawn_as_their_root_mean_square(sample_problem):
    problem = InverseProblem.from_evoked(**sample_problem())
    model = MixedNormEstimator(60, n_orient=3).fit(problem.X, problem.y)
    display = FieldDisplay.from_estimator(model, problem, ch_type="grad", n_labelled=1)
    data = problem.to_residual(0 * model.coef_).pick("grad")
    names = [name[:-1] for name in data.ch_names]
    values = 1e13 * data.data[:, display.peaks[0]]
    pairs = [values[[name == one for one in names]] for name in names if names.count(name) == 2]
    largest = np.sqrt(np.mean(np.square(pairs), axis=1)).max()
    for ax in display.axes_.flat:
        low, high = ax.images[-1].get_clim()
        assert low == 0
        assert_allclose(high, largest, rtol=0.1)
        assert get_image(ax).min() > -0.05 * high  # cubic interpolation undershoots


def test_goodness_of_fit_is_that_of_the_model(fitted):
    problem, model = fitted
    display = FieldDisplay.from_estimator(model, problem, condition=0)
    dipoles = problem.to_dipoles(model)[0]
    total = sum(dipole.gof for dipole in dipoles)
    assert_allclose(display.gof, total[display.peaks])
    titles = [ax.get_title() for ax in display.axes_[0]]
    for title, gof in zip(titles, display.gof, strict=False):
        assert title.endswith(f"all sources explain {gof:z.0f} %")


def test_without_sources_the_strongest_time_is_drawn(fitted):
    problem, model = fitted
    display = FieldDisplay.from_estimator(0 * model.coef_, problem, fig=Figure((4, 6)))
    assert plt.get_fignums() == []
    assert get_rows(display) == ["data", "model", "residual"]
    assert not get_image(display.axes_[1, 0]).any()
    assert_allclose(*(get_image(ax).filled(0) for ax in display.axes_[[0, 2], 0]))
    data = problem.to_residual(0 * model.coef_)[0].pick("mag")
    strongest = data.times[np.linalg.norm(data.data, axis=0).argmax()]
    assert display.axes_[0, 0].get_title() == f"{1e3 * strongest:z.0f} ms"
    display.figure_.canvas.draw()


def test_other_sensors_and_problems_are_refused(fitted):
    problem, model = fitted
    with pytest.raises(ValueError, match=r"ch_type='meg' does not exist: choose from \['mag'"):
        FieldDisplay.from_estimator(model, problem, ch_type="meg")
    with pytest.raises(ValueError, match="condition=7 does not exist"):
        FieldDisplay.from_estimator(model, problem, condition=7)
    with pytest.raises(TypeError, match="problem must be an InverseProblem"):
        FieldDisplay.from_estimator(model, problem.X)
    assert plt.get_fignums() == []


def test_displays_say_what_they_show(fitted):
    problem, model = fitted
    display = FieldDisplay.from_estimator(model, problem, ch_type="eeg", n_labelled=1)
    assert repr(display) == f"<FieldDisplay: eeg, {model.n_active_} sources>"
