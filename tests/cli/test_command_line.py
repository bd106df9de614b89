"""The command: what it writes, its exit codes, and that it never harms what is there."""

import contextlib
import errno
import gzip
import io
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import sysconfig
import warnings
from concurrent.futures import ThreadPoolExecutor
from html import escape, unescape
from pathlib import Path

import matplotlib.pyplot as plt
import mne
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.utils import Bunch

import skmxne
from skmxne import InverseProblem, MixedNormCV, MixedNormEstimator, MixedNormIC
from skmxne.cli import description, methods, recording_files, report
from skmxne.cli.command_line import CHOICES_OF_ALPHA, main
from skmxne.cli.result_files import check_folder, save_sources, save_table
from skmxne.datasets import make_recording
from skmxne.model_selection.criteria import CRITERIA

RESULTS = {
    "report.html",
    "methods.txt",
    "sources.csv",
    "sources.png",
    "residual.png",
    "residual-ave.fif",
    "dipoles",
}
SURFACE = {"sources-lh.stc", "sources-rh.stc"}
FIELDS = {"fields-mag.png", "fields-grad.png", "fields-eeg.png"}


def list_names(folder):
    return {path.name for path in folder.iterdir()}


def read_objects(files, condition="early"):
    """Read the files as a user of the package would."""
    evoked = mne.read_evokeds(files.evoked, condition, verbose="ERROR")
    forward = mne.read_forward_solution(files.forward, verbose="ERROR")
    return evoked, forward, mne.read_cov(files.noise_cov, verbose="ERROR")


def read_report(folder):
    """Return the report, with its tables as bare as can be."""
    return unescape((folder / "report.html").read_text("utf-8")).replace(' class="px-2"', "")


@pytest.fixture
def default_signals():
    """Let signals end processes, as whoever runs the tests (nohup) may ignore them."""
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.signal(number, signal.SIG_DFL) for number in numbers}
    yield
    for number, action in before.items():
        signal.signal(number, action)


# Results


@pytest.mark.usefixtures("figures")
def test_results_are_those_of_the_package(localize, files):
    result = localize("--tmin", "-0.05", "--tmax", "0", "--alpha", "40", "--n-mxne-iter", "3")

    assert result.code == 0
    assert result.err == ""
    evoked, forward, noise_cov = read_objects(files)
    problem = InverseProblem.from_evoked(evoked.crop(-0.05, 0), forward, noise_cov)
    model = MixedNormEstimator(40, n_orient=3, n_mxne_iter=3).fit(problem.X, problem.y)
    assert list_names(result.output) == RESULTS | SURFACE | FIELDS
    stc, expected = mne.read_source_estimate(result.output / "sources"), problem
    expected = problem.to_source_estimate(model)
    assert_allclose(stc.data, expected.data, rtol=1e-5)
    for vertices, true in zip(stc.vertices, expected.vertices, strict=True):
        assert_array_equal(vertices, true)
    assert_allclose(stc.times, evoked.times, atol=1e-6)
    dipoles = problem.to_dipoles(model)
    dipoles.sort(key=lambda dipole: -dipole.amplitude.max())
    paths = sorted((result.output / "dipoles").iterdir())
    assert len(paths) == len(dipoles) == model.n_active_ > 1
    for path, dipole in zip(paths, dipoles, strict=True):
        read = mne.read_dipole(path, verbose="ERROR")
        assert_allclose(read.amplitude, dipole.amplitude, atol=1e-12)
        assert_allclose(read.pos, dipole.pos, atol=1e-5)
        assert_allclose(read.gof, dipole.gof, atol=0.01)
        assert_allclose(read.times, dipole.times, atol=1e-4)
    residual = mne.read_evokeds(result.output / "residual-ave.fif", 0, verbose="ERROR")
    assert_allclose(residual.data, problem.to_residual(model).data, rtol=1e-4, atol=1e-20)
    lines = result.out.splitlines()
    assert f"alpha 40 %: {len(dipoles)} sources, " in lines[0]
    assert f"{problem.explained_variance(model):.0f} % of the whitened data" in lines[0]
    assert len(lines) == 3 + len(dipoles)
    peak = dipoles[0].amplitude.argmax()
    confidence = problem.compute_confidence(model)
    table = problem.to_data_frame(model, confidence=confidence)
    number, hemisphere, *cells, radius, p = lines[2].replace("< ", "<").split()
    numbers = [float(cell) for cell in [number, *cells]]
    assert hemisphere == table.hemisphere.iloc[0]
    assert_allclose(float(radius), table.radius_mm.iloc[0], atol=0.5)
    assert (p == "<0.001") == (table.p_value.iloc[0] < 0.001)
    written = pd.read_csv(result.output / "sources.csv", index_col="position")
    pd.testing.assert_frame_equal(written, table, rtol=1e-3, atol=1e-4, check_dtype=False)
    assert_allclose(numbers[1:4], dipoles[0].pos[0] * 1e3, atol=0.5)
    assert_allclose(numbers[4:6], [dipoles[0].amplitude[peak] * 1e9, evoked.times[peak] * 1e3], 0.1)
    assert str(result.output / "report.html") in lines[-1]


@pytest.mark.usefixtures("figures")
@pytest.mark.parametrize("alpha", ["ric", "cv", pytest.param("bic", marks=pytest.mark.thorough)])
def test_alpha_is_chosen(localize, files, alpha):
    result = localize("--alpha", alpha, "--loose", "0", "--depth", "0.5", "--n-mxne-iter", "2")
    assert result.code == 0
    evoked, *others = read_objects(files)
    problem = InverseProblem.from_evoked(evoked.crop(0, None), *others, loose=0, depth=0.5)
    model = MixedNormCV() if alpha == "cv" else MixedNormIC(criterion=alpha)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.set_params(n_orient=1, n_mxne_iter=2).fit(problem.X, problem.y)
    assert result.err.count("skmxne: warning: ") == len(caught)
    chosen = getattr(model, "path_alpha_", model.alpha_)
    searched = f" and {model.alpha_:.3g} % after its search" if chosen != model.alpha_ else ""
    assert f"alpha {chosen:.3g} % by {alpha}{searched}: {model.n_active_} source" in result.out
    assert list_names(result.output) == RESULTS | SURFACE | FIELDS | {"alpha.png"}


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("surface", ["sources-lh.stc"]),
        ("volume", ["sources-vl.stc"]),
        ("volume+volume", ["sources-1-vl.stc", "sources-2-vl.stc"]),
        ("surface+volume", ["sources-lh.stc", "sources-vl.stc"]),
        ("surface+discrete", ["sources-lh.stc", "sources-vl.stc"]),
        ("discrete", ["sources-vl.stc"]),
    ],
)
@pytest.mark.parametrize("is_empty", [False, True])
def test_every_source_space_is_written(make_case, tmp_path, kind, names, is_empty):
    case = make_case(kind, amplitude=20e-9)
    problem = InverseProblem.from_evoked(case.evoked, case.forward, case.noise_cov)
    model = MixedNormEstimator(20, n_orient=3).fit(problem.X, problem.y)
    coef = model.coef_ * (0 if is_empty else 1)
    expected = problem.to_source_estimate(coef)

    sources = problem.list_sources(coef)
    save_sources(tmp_path, expected, problem.to_dipoles(coef), problem.to_residual(coef))
    condition = Bunch(evoked=case.evoked, sources=sources)
    save_table(tmp_path, Bunch(conditions=[condition], arguments=Bunch(subjects_dir=None)))

    others = {"dipoles", "residual-ave.fif", "sources.csv"}
    others |= {"sources-rh.stc"} if "sources-lh.stc" in names else set()
    assert list_names(tmp_path) == {*names, *others}
    stcs = [mne.read_source_estimate(tmp_path / name) for name in names]
    assert_allclose(np.vstack([stc.data for stc in stcs]), expected.data, rtol=1e-5)
    vertices = [each for stc in stcs for each in stc.vertices]
    for each, true in zip(vertices, expected.vertices, strict=True):
        assert_array_equal(each, true)
    assert len(list_names(tmp_path / "dipoles")) == (0 if is_empty else model.n_active_)
    table = pd.read_csv(tmp_path / "sources.csv", index_col="position", keep_default_na=False)
    columns = list(problem.to_data_frame(coef).columns)
    assert list(table.columns) == columns + ["p_value", "radius_mm"] * is_empty
    assert list(table.vertex) == [source["vertex"] for source in sources]
    check_folder(tmp_path, overwrite=True)  # knows all these files


@pytest.mark.usefixtures("figures")
def test_no_source_is_a_result(localize):
    result = localize("--alpha", "99.99", "--tmin", "0", "--tmax", "0")
    assert result.code == 0, result.err
    evoked = mne.read_evokeds(result.output / "residual-ave.fif", 0, verbose="ERROR")
    assert len(evoked.times) == 1


@pytest.mark.usefixtures("figures")
def test_report_tells_all_that_matters(localize, files):
    result = localize("--alpha", "30", "--picks", "meg", "eeg", "--tmin", "-0.05", "--loose", "0")
    html = read_report(result.output)
    for text in [
        "Sources of 'early'",
        str(files.forward),
        "<td>meg eeg</td>",
        "<td>Times</td><td>-50 to 10 ms (7 samples)</td>",
        "<td>loose</td><td>0</td>",
        "<td>depth</td><td>0.8</td>",
        "<td>alpha</td><td>30 %</td>",
        "<td>threadpoolctl</td>",
        f"<td>{skmxne.__version__}</td>",
        f"<td>{mne.__version__}</td>",
        result.out.splitlines()[0],
        *result.out.splitlines()[2].split(),
    ]:
        assert text in html
    assert html.count("data:image/png;base64,") >= 2
    assert 'src="http' not in html
    assert plt.get_fignums() == []


def test_warnings_are_told_and_reported(localize, write_files, make_case):
    case = make_case("surface", amplitude=20e-9)
    files = write_files(noise_cov=case.noise_cov.copy().pick_channels(case.info.ch_names[3:]))
    result = localize("--alpha", "50", **files)
    assert result.code == 0
    assert result.err.startswith(
        "skmxne: warning: Channels left out: 3 not in the noise covariance ("
    )
    assert result.err.count("\n") == 1
    assert (
        "Channels left out: 3 not in the noise covariance"
        in (result.output / "report.html").read_text()
    )


@pytest.mark.usual(corrected=[False])
@pytest.mark.usual(options=[[]])
@pytest.mark.parametrize("corrected", [False, True])
@pytest.mark.parametrize(
    ("options", "baseline"),
    [
        ([], (None, 0)),
        (["--baseline", "-0.1", "-0.05"], (None, -0.05)),
        (["--baseline", "-0.105", "-0.05"], (None, -0.05)),
        (["--baseline", "-1e-1", "-5.e-2"], (None, -0.05)),
        (["--baseline", "none", "-0.05"], (None, -0.05)),
        (["--baseline", "-0.05", "None"], (-0.052, None)),
        (["--baseline", "none", "none"], (None, None)),
        (["--no-baseline"], None),
    ],
)
def test_baseline_is_subtracted(localize, write_files, make_case, corrected, options, baseline):
    evoked = make_case("surface", amplitude=20e-9).evoked.copy()
    evoked.data += 1e-12
    if corrected:
        evoked.apply_baseline((-0.1, -0.09), verbose="ERROR")
        baseline = None if options == [] else baseline  # the file says that it has been done
    files = write_files(evoked=[evoked])

    options = ["--alpha", "40", "--tmin", "-0.1", *options]
    result = localize(*options, **files, no_baseline=None, condition=None)

    assert result.code == 0, result.err
    evoked, *others = read_objects(files, 0)
    if baseline:
        evoked.apply_baseline(baseline, verbose="ERROR")
    problem = InverseProblem.from_evoked(evoked, *others)
    model = MixedNormEstimator(40, n_orient=3, n_mxne_iter=10).fit(problem.X, problem.y)
    residual = mne.read_evokeds(result.output / "residual-ave.fif", 0, verbose="ERROR")
    assert_allclose(residual.data, problem.to_residual(model).data, rtol=1e-4, atol=1e-18)


@pytest.mark.usefixtures("figures")
@pytest.mark.thorough
def test_recorded_data_or_none_make_a_report(tmp_path, capsys):
    assert main(["localize", "--output", str(tmp_path / "a" / "b"), "--tmin", "0.05"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "64 channels, 5582 positions, alpha " in out
    assert re.search(r" % by ric( and \S+ % after its search)?: 3 sources, ", out)
    assert list_names(tmp_path / "a" / "b") == RESULTS | SURFACE | {"alpha.png", "fields-eeg.png"}


@pytest.mark.usefixtures("figures")
def test_recorded_data(localize, sample_dir):
    result = localize(
        *("--tmin", "0.05", "--tmax", "0.15", "--picks", "meg", "--alpha", "60"),
        evoked=sample_dir / "sample-auditory-ave.fif",
        forward=sample_dir / "sample-cortex-483-fwd.fif",
        noise_cov=sample_dir / "sample-cov.fif",
        condition="Left Auditory",
        no_baseline=None,
    )
    assert result.code == 0
    assert result.err == ""
    assert "305 channels, 483 positions, alpha 60 %: " in result.out


# Errors


def break_evoked(evoked):
    evoked.data[3, 2] = np.nan


def start_late(evoked):
    evoked.shift_time(0.1, relative=False)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (break_evoked, [], "evoked has infinite or NaN data in "),
        (start_late, [], "The average begins at 0.1 s: there is no baseline before 0"),
        (
            None,
            ["--tmax", "3"],
            "--tmin and --tmax: 0 to 3 s is not a period of the average, which ",
        ),
        (None, ["--tmin", "-3"], "--tmin and --tmax: -3 to 0.01 s is not a period of the average"),
        (None, ["--baseline", "-2", "0"], "--baseline: -2 to 0 s is not a period of the average"),
        (
            None,
            ["--picks", "seeg", "meg"],
            "--picks seeg: no such channels. Choose from eeg, grad, m",
        ),
        (
            None,
            ["--condition", "none"],
            "has no average 'none'. Choose one with --condition, by name or number: 0 'early'.",
        ),
        (None, ["--condition", "1"], "has no average '1'. Choose one with --condition, by name"),
        (None, ["--condition", "-1"], "has no average '-1'. Choose one with --condition, by na"),
    ],
)
def test_data_that_do_not_fit(localize, write_files, make_case, change, options, message):
    evoked = make_case("surface").evoked.copy()
    evoked.comment = "early"
    if change:
        change(evoked)
    result = localize(*options, **write_files(evoked=[evoked]), no_baseline=None, condition=None)
    assert_failed(result, message)


def assert_failed(result, message, code=1):
    assert result.code == code
    *_, last = result.err.splitlines()
    assert last.startswith("skmxne: error: ")
    assert message in last
    assert "Traceback" not in result.err
    assert result.out == ""
    assert list(result.output.parent.glob("*results*")) == []


def test_one_of_several_conditions_has_to_be_chosen(localize, files):
    result = localize(condition=None)
    choose = "Choose one with --condition, by name or number: 0 'early', 1 'late'."
    assert_failed(result, f"{files.evoked} has 2 averages. {choose}")


def test_condition_and_types_of_channels_in_any_case(localize, write_files, make_case, tmp_path):
    evokeds = [make_case("surface").evoked.copy() for _ in range(3)]
    for evoked, evoked.comment in zip(evokeds, ["Early", "late", "LATE"], strict=True):
        evoked.data *= 1 + len(evoked.comment)
    files = write_files(evoked=evokeds)
    result = localize("--picks", "EEG", **files, condition="early")
    assert result.code == 0
    assert result.out.startswith("16 channels")
    assert localize("--overwrite", **files, condition="late").code == 0
    other = tmp_path / "other" / "results"
    result = localize(**files, condition="Late", output=other)
    assert_failed(result, "has 2 averages 'Late'. Choose one with")


def test_condition_by_number(localize, write_files, make_case, tmp_path):
    """As MNE counts, standard errors, too; a name that is equal wins."""
    evokeds = [make_case("surface", amplitude=20e-9).evoked.copy() for _ in range(4)]
    for evoked, evoked.comment in zip(evokeds, ["error", "same", "same", "1"], strict=True):
        evoked.data *= 1 + evokeds.index(evoked)
    evokeds[0].kind = "standard_error"
    files = write_files(evoked=evokeds)
    for condition, index in [("2", 2), ("1", 3), ("3", 3)]:
        result = localize("--alpha", "40", "--overwrite", **files, condition=condition)
        assert result.code == 0, result.err
        evoked, *others = read_objects(files, index)
        problem = InverseProblem.from_evoked(evoked.crop(0, None), *others)
        model = MixedNormEstimator(40, n_orient=3, n_mxne_iter=10).fit(problem.X, problem.y)
        residual = mne.read_evokeds(result.output / "residual-ave.fif", 0, verbose="ERROR")
        assert_allclose(residual.data, problem.to_residual(model).data, rtol=1e-4, atol=1e-18)
    shutil.rmtree(result.output)
    result = localize(**files, condition="same")
    assert_failed(
        result, "has 2 averages 'same'. Choose one with --condition, by name or number: 1"
    )
    assert_failed(localize(**files, condition="0"), "has no average '0'. Choose one with")


def test_all_files_that_are_missing_are_named(localize, tmp_path):
    missing = {name: tmp_path / f"no-{name}.fif" for name in ("forward", "noise_cov")}
    assert_failed(localize(**missing), f"No file {missing['forward']}, {missing['noise_cov']}.")


def test_percentage_that_looks_like_a_share_is_told(localize):
    told = localize("--alpha", "0.4")
    assert told.code == 0
    assert "--alpha 0.4 is less than one percent. If you meant a fraction, give" in told.err
    assert "--alpha 40." in told.err
    assert "percent" not in localize("--alpha", "40", "--overwrite").err


def test_only_the_strongest_of_many_sources_are_printed(localize):
    result = localize("--alpha", "1", "--n-mxne-iter", "1")
    (n_sources,) = map(int, re.findall(r"(\d+) sources, ", result.out))
    assert n_sources > 20
    lines = result.out.splitlines()
    assert len(lines) == 1 + 1 + 20 + 2
    assert lines[-2] == f"... and {n_sources - 20} more, see the report."
    report = read_report(result.output)
    assert report.count("<tr><td>") > n_sources
    assert len(list((result.output / "dipoles").iterdir())) == n_sources
    # So many that nothing is left to judge them by.
    assert "warning: No regions and no p-values. The model has" in result.err
    assert "No regions and no p-values" in report
    assert "p_value" not in (result.output / "sources.csv").read_text()


def test_baseline_is_looked_at_before_it_is_left_out(localize, write_files):
    recording = make_recording(n_sources=1)
    evoked = recording.evoked.copy()
    evoked.nave = 10 * evoked.nave
    files = write_files(evoked=[evoked], forward=recording.forward, noise_cov=recording.noise_cov)
    result = localize("--tmin", "0.05", "--alpha", "50", **files, condition=None)
    assert result.code == 0
    match = r"warning: The whitened data before time 0 have (9|10)[.\d]* times the power"
    assert re.search(match, result.err)
    assert "the noise covariance and the number of trials predict" in result.err
    result = localize("--tmin", "-0.1", "--alpha", "50", "--overwrite", **files, condition=None)
    assert len(re.findall("before time 0", result.err)) == 1


@pytest.mark.parametrize(
    ("options", "rank", "n_samples"),
    [
        ([], None, 62),
        (["--rank", "meg=30", "eeg=14"], {"meg": 30, "eeg": 14}, 44),
        (["--rank", "EEG=7", "--picks", "eeg"], {"eeg": 7}, 7),
        (["--rank", "info"], "info", 62),
        # Rounding decides on the eigenvalues that a projection leaves: 62 to 64.
        (["--rank", "full"], "full", "6[2-4]"),
    ],
)
def test_rank(localize, monkeypatch, options, rank, n_samples):
    from_evoked, given = InverseProblem.from_evoked, []

    def notice(*args, **kwargs):
        given.append(kwargs["rank"])
        return from_evoked(*args, **kwargs)

    monkeypatch.setattr(InverseProblem, "from_evoked", notice)
    result = localize("--alpha", "60", *options)
    assert result.code == 0, result.err
    assert given == [rank]
    report = read_report(result.output)
    asked = " ".join(options[1:]).partition(" --")[0]
    assert f"<td>rank</td><td>{asked or 'estimated'}</td>" in report
    assert re.search(f"<td>Rank of the noise</td><td>{n_samples}</td>", report)


def test_message_of_a_rank_is_that_of_the_package(localize, monkeypatch):
    def refuse(*_, **kwargs):
        raise ValueError(f"rank={kwargs['rank']} is not for these data.")

    monkeypatch.setattr(InverseProblem, "from_evoked", refuse)
    assert_failed(localize("--rank", "mag=5"), "error: rank={'mag': 5} is not for these data.")


@pytest.mark.usual(notation=["-5.e-2", "-.05", "-5_0e-3"])
@pytest.mark.parametrize("notation", ["-5e-2", "-5.e-2", "-.05", "-0.5E-1", "-00.05", "-5_0e-3"])
def test_negative_numbers_in_any_notation(localize, notation):
    result = localize("--alpha", "60", "--tmin", notation, "--tmax", "-1e-2")
    assert result.code == 0, result.err
    assert "<td>Times</td><td>-50 to -10 ms (5 samples)</td>" in read_report(result.output)


@pytest.mark.usual(name=["-5", " -5", "-5e-1"])
@pytest.mark.parametrize("name", ["-5", "-5e-1", " -5", "-5 Hz", "-.5", "-inf"])
def test_names_that_look_like_negative_numbers(localize, write_files, make_case, tmp_path, name):
    """Of conditions, files and folders."""
    evoked = make_case("surface", amplitude=20e-9).evokeds[0].copy()
    evoked.comment = name
    files = write_files(evoked=[evoked])
    (tmp_path / f"{name}.fif").symlink_to(files.evoked)
    with contextlib.chdir(tmp_path):
        result = localize(
            "--alpha", "60", **files | {"evoked": f"{name}.fif"}, condition=name, output=name
        )
    assert result.code == 0, result.err
    assert (tmp_path / name / "report.html").exists()
    assert f"<td>evoked</td><td>{name}.fif</td>" in read_report(tmp_path / name)


def test_times_none(localize, make_case):
    whole = make_case("surface").evoked
    assert localize("--alpha", "60", "--tmin", "none", "--tmax", "None").code == 0
    assert localize("--alpha", "60", "--tmin", "auto", "--overwrite", "--depth", "none").code == 0
    assert recording_files.find_window([whole], None) == (whole.times[0], whole.times[-1])
    assert recording_files.find_window([whole]) == (0, whole.times[-1])


def test_times_without_noise(localize, write_files, make_case):
    """Files have them in single precision, and 0 may be a little less."""
    evoked = make_case("surface", amplitude=20e-9).evokeds[0].copy()
    evoked.comment = "early"
    evoked.shift_time(-3.16356e-09, relative=False)
    evoked.apply_baseline((None, 0.01), verbose="ERROR")
    case = make_case("surface", amplitude=20e-9)
    problem = InverseProblem.from_evoked(evoked, case.forward, case.noise_cov)
    assert description.describe_baseline([evoked]) == "0 to 0.01 s"
    told = description.describe_data([evoked], problem)
    assert told["Times"] == "0 to 110 ms (12 samples)"
    for tmin in (None, -0.0, "auto"):
        with pytest.raises(ValueError, match=r": 0 to 3 s is not a period .* from 0 to 0\.11 s"):
            recording_files.find_window([evoked], tmin, 3.0)
    late = case.evokeds[0].copy().shift_time(0.1 + 3.16356e-09, relative=False)
    with pytest.raises(ValueError, match=r"The average begins at 0\.1 s: there is no"):
        recording_files.prepare([late])
    with pytest.raises(ValueError, match=r": 0\.123456 to 9 s is not a period"):
        recording_files.find_window([evoked], 0.123456, 9)


def test_times_between_samples_are_told(make_case):
    """To a millisecond, or as precisely as samples are apart."""
    evoked = make_case("surface").evoked
    for sfreq, text in [(600.614990234375, "-0.2 to -0.181"), (20000.0, "-0.2 to -0.19945")]:
        first = np.round(-0.2 * sfreq) / sfreq
        info = mne.create_info(evoked.ch_names, sfreq, evoked.get_channel_types())
        changed = mne.EvokedArray(evoked.data, info, tmin=first)
        with pytest.raises(ValueError, match=f"which is from {text} s"):
            recording_files.find_window([changed], -3, None)


def test_report_tells_what_was_used(localize):
    result = localize("--alpha", "50")
    report = read_report(result.output)
    for name, value in {
        "Trials": "4",
        "baseline": "none",
        "Rank of the noise": "62",
        "Orientations": "3 per position",
        "loose": "0.2",
        "picks": "all",
    }.items():
        assert f"<td>{name}</td><td>{value}</td>" in report
    assert "<td>default</td>" not in report


@pytest.mark.parametrize(
    ("kind", "options", "loose"),
    [
        ("surface", {}, "0.2"),
        ("surface", {"loose": 0}, "0"),
        ("volume", {}, "1"),
        ("surface+volume", {"loose": {"surface": 0.3, "volume": 1}}, "0.3 and 1"),
    ],
)
@pytest.mark.filterwarnings("ignore:loose=.* less gain")
def test_looseness_is_that_of_the_gain(make_case, kind, options, loose):
    case = make_case(kind)
    evoked = case.evoked.copy().apply_baseline((-0.1, -0.05), verbose="ERROR")
    problem = InverseProblem.from_evoked(evoked, case.forward, case.noise_cov, **options)
    assert description.describe_loose(problem) == loose
    assert description.describe_baseline([evoked]) == "-0.1 to -0.05 s"


NEEDS = {
    "evoked": "--evoked needs averages (-ave.fif), such as mne.write_evokeds writes.",
    "forward": "--forward needs a forward solution (-fwd.fif), such as mne.write_forward_so",
    "noise_cov": "--noise-cov needs a noise covariance (-cov.fif), such as mne.write_cov writes.",
}


@pytest.mark.parametrize("name", NEEDS)
def test_files_that_are_not_there(localize, tmp_path, name):
    missing = tmp_path / "no.fif"
    option = f"--{name.replace('_', '-')}"
    assert_failed(localize(**{name: missing}), f"No file {missing}. Check {option}.")
    assert_failed(localize(**{name: tmp_path}), f"{tmp_path} is a folder. {NEEDS[name]}")
    message = f"{os.devnull} is not a regular file. {NEEDS[name]}"
    assert_failed(localize(**{name: os.devnull}), message)


def compress(content):
    return gzip.compress(content, compresslevel=1)


def assert_unreadable(result, name, path, reason=""):
    kind = re.search(r"needs (.*?\))", NEEDS[name])[1]
    assert_failed(result, f"{path} cannot be read as {kind}{reason}")
    assert NEEDS[name] in result.err


@pytest.mark.parametrize("name", NEEDS)
def test_files_with_something_else_in_them(localize, files, tmp_path, name):
    content = files[name].read_bytes()
    empty = tmp_path / "empty.fif"
    empty.touch()
    assert_failed(localize(**{name: empty}), f"{empty} is empty. {NEEDS[name]}")
    for ending, other in [
        (".fif", b"no numbers"),
        (".fif", np.random.default_rng(0).bytes(999)),
        (".fif", compress(content)),
        (".fif.gz", content),
        (".fif.gz", compress(b"")),
        (".fif.gz", compress(content)[:-99]),
        (".fif.gz", compress(content[:-99])),
    ]:
        path = tmp_path / f"my{ending}"
        path.write_bytes(other)
        assert_unreadable(localize(**{name: path}), name, path)


@pytest.mark.parametrize("other", ["evoked", "forward", "noise_cov", "source_space", "transform"])
@pytest.mark.parametrize("name", NEEDS)
def test_files_of_another_kind(localize, files, make_case, tmp_path, name, other):
    if name == other:
        return
    path = files.get(other, tmp_path / "other.fif")
    case = make_case("surface")
    with mne.use_log_level("ERROR"):
        if other == "source_space":
            mne.write_source_spaces(path, case.forward["src"])
        elif other == "transform":
            mne.write_trans(path, mne.Transform("head", "mri"))
    assert_unreadable(localize(**{name: path}), name, path)


@pytest.mark.parametrize("name", NEEDS)
def test_files_that_end_too_early(localize, files, tmp_path, name):
    """Wherever they do, but for the tag that says so."""
    content = files[name].read_bytes()
    rng = np.random.default_rng(0)
    lengths = [1, 2, 15, 16, 30, 36, 40, 60, 99, *rng.integers(100, len(content) - 17, 20)]
    for length in lengths:
        path = tmp_path / "my.fif"
        path.write_bytes(content[:length])
        assert_unreadable(localize(**{name: path}), name, path)


@pytest.mark.parametrize("name", NEEDS)
def test_files_that_are_damaged(localize, files, tmp_path, name):
    """Any errors of MNE become a sentence, its own sentences a part of it."""
    content, path = files[name].read_bytes(), tmp_path / "my.fif"
    # The size of a tag makes it go on within another; the number of channels is no number.
    for position in (8, 44):
        damaged = bytearray(content)
        damaged[position : position + 4] = b"\xff\xff\xff\xf0"
        path.write_bytes(damaged)
        assert_failed(localize(**{name: path}), NEEDS[name])


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (AttributeError("'NoneType' object has no attribute 'kind'"), ""),
        (KeyError("sol"), ""),
        (struct.error("unpack requires a buffer of 16 bytes"), ""),
        (UnicodeDecodeError("utf-8", b"x", 0, 1, "invalid"), ""),
        (ValueError("buffer is smaller than requested size"), ""),
        (ValueError("Covariance dimension not found."), ": Covariance dimension not found"),
        (PermissionError(errno.EACCES, "Permission denied", "my-cov.fif"), ": Permission denied"),
    ],
)
def test_errors_of_mne_are_no_riddle(localize, files, monkeypatch, error, reason):
    def fail(_):
        raise error

    monkeypatch.setattr(mne, "read_cov", fail)
    assert_unreadable(localize(), "noise_cov", files.noise_cov, f"{reason}. It may be damaged or")


def test_compressed_files(localize, files, tmp_path):
    paths = {name: tmp_path / f"{path.name}.gz" for name, path in files.items()}
    for name, path in paths.items():
        path.write_bytes(compress(files[name].read_bytes()))
    assert localize("--alpha", "60", **paths).code == 0


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left", "a.png"), "skmxne: error: a.png: No space left."),
        (OSError(errno.ENOSPC, "No space left"), "skmxne: error: No space left."),
        (OSError("a file is odd"), "error: a file is odd"),
        (ZeroDivisionError("division"), "error: ZeroDivisionError: division"),
    ],
)
def test_errors_of_the_system(localize, monkeypatch, error, message):
    def fail(*_):
        raise error

    monkeypatch.setattr(report, "save_report", fail)
    result = localize("--alpha", "60")
    assert_failed(result, message)
    assert "[Errno" not in result.err


def test_names_that_no_file_can_have(localize, tmp_path):
    name = "x" * 300
    for options in ({"evoked": tmp_path / name}, {"output": tmp_path / name}):
        result = localize(**options)
        assert result.code == 1
        assert "File name too long." in result.err


@pytest.mark.parametrize(
    ("value", "prefix", "message"),
    [
        (np.nan, "", "noise_cov is infinite or NaN"),
        (1e-24, "X", "evoked, forward and noise_cov have no good MEG or EEG channel in common"),
    ],
)
def test_noise_covariance_that_does_not_fit(
    localize, write_files, make_case, value, prefix, message
):
    names = [prefix + name for name in make_case("surface").info.ch_names]
    noise_cov = mne.Covariance(value * np.eye(64), names, [], [], 100)
    assert_failed(localize(**write_files(noise_cov=noise_cov)), message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["localise"], "invalid choice: 'localise'"),
        (["localize"], "the following arguments are required: --output"),
        (["localize", "--output", "x", "--evoked", "y"], "--evoked, --forward and --noise-cov go"),
        (["localize", "--output", "x", "--condition", "y"], "--condition needs files"),
        (["localize", "--output", "x", "--condition", ""], "--condition needs files"),
        (["localize", "--output", "x", "--tmin", "soon"], "argument --tmin: soon is not a number"),
        (["localize", "--output", "x", "--tmin", "-0,2"], "argument --tmin: -0,2 is not a number"),
        (["localize", "--output", "x", "--tmax", "-inf"], "argument --tmax: -inf is not a number"),
        (["localize", "--output", "x", "--tmax", "nan"], "nan is not a number or none"),
        (["localize", "--output", "x", "--baseline", "0", "now"], "now is not a number or none"),
        (["localize", "--output", "x", "--tmin", "-1e-2", "--tmax", "-.1"], "-0.01 is not before"),
        (["localize", "--output", "x", "--tmin", "1", "--tmax", "0"], "1 is not before 0"),
        (["localize", "--output", "x", "--baseline", "1", "0"], "--baseline: 1 is not before 0"),
        (["localize", "--output", "x", "--baseline", "1", "2", "--no-baseline"], "not allowed"),
        (["localize", "--output", "x", "--loose", "2"], "argument --loose: 2 is not between 0 and"),
        (["localize", "--output", "x", "--depth", "-1"], "argument --depth: -1 is not between 0"),
        (["localize", "--output", "x", "--alpha", "100"], "argument --alpha: 100 is not between 0"),
        (["localize", "--output", "x", "--depth", "-1e-2"], "-1e-2 is not between 0 and 10"),
        (["localize", "--output", "x", "--loose", "-1e-2"], "-1e-2 is not between 0 and 1"),
        (["localize", "--output", "x", "--alpha", "-1e-2"], "-1e-2 is not between 0 and 99.999"),
        (
            ["localize", "--output", "x", "--alpha", "best"],
            f"argument --alpha: best is not a number, {', '.join(CHOICES_OF_ALPHA[:-1])} or cv",
        ),
        (["localize", "--output", "x", "--n-mxne-iter", "0"], "--n-mxne-iter must be at least 1"),
        (["localize", "--output", "x", "--n-mxne-iter", "-1e2"], "-1e2 is not a whole number"),
        (
            ["localize", "--output", "x", "--rank", "70"],
            "--rank: 70 is not a rank: give info, full",
        ),
        (["localize", "--output", "x", "--rank", "info", "eeg=1"], "--rank: info is not a rank"),
        (["localize", "--output", "x", "--rank", "meg=70.5"], "--rank: meg=70.5 is not a rank"),
        (["localize", "--output", "x", "--rank", "eeg=-1"], "--rank: eeg=-1 is not a rank"),
        (["localize", "--output", "x", "--rank", "ecg=5"], "--rank: ecg=5 is not a rank"),
        (["localize", "--output", "x", "--rank", "eeg=5", "EEG=6"], "--rank: eeg has two ranks"),
    ],
)
def test_arguments_that_are_not_valid(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert message in err.splitlines()[-1]
    assert out == ""
    assert list(tmp_path.iterdir()) == []


def test_debug_shows_where_an_error_is(localize, tmp_path):
    with pytest.raises(FileNotFoundError):
        localize("--debug", evoked=tmp_path / "no.fif")


# Nothing is overwritten unless it is asked for, and nothing half written


def test_results_are_replaced_on_demand_only(localize):
    first = localize("--alpha", "60")
    before = (first.output / "report.html").read_bytes()
    refused = localize("--alpha", "20")
    assert refused.code == 1
    assert "has results in it. Choose another --output, or replace them" in refused.err
    assert (first.output / "report.html").read_bytes() == before
    (first.output / "dipoles" / "77.dip").touch()  # of a model with more sources
    replaced = localize("--alpha", "20", "--overwrite")
    assert replaced.code == 0
    assert (first.output / "report.html").read_bytes() != before
    assert not (first.output / "dipoles" / "77.dip").exists()
    assert list_names(first.output) == RESULTS | SURFACE
    assert list_names(first.output.parent) == {"results"}


@pytest.mark.parametrize("name", ["thesis.tex", "figures/other.png", ".hidden", "my.png"])
@pytest.mark.parametrize("options", [[], ["--overwrite"]])
def test_other_files_are_never_overwritten(localize, tmp_path, name, options):
    path = tmp_path / "results" / name
    path.parent.mkdir(parents=True)
    path.write_text("years of work")
    (tmp_path / "results" / "report.html").touch()
    result = localize(*options)
    assert result.code == 1
    assert "has files that are not results, such as " in result.err
    assert path.read_text() == "years of work"


def test_folder_may_be_empty_but_no_file(localize, tmp_path):
    (tmp_path / "results").mkdir()
    assert localize("--alpha", "60").code == 0
    (tmp_path / "file").touch()
    result = localize(output=tmp_path / "file")
    assert result.code == 1
    assert f"{tmp_path / 'file'} is not a folder" in result.err


FAILURES = {
    "Ctrl-C": (KeyboardInterrupt, 130),
    "error": (RuntimeError("disk"), 1),
    "SIGTERM": (None, 128 + signal.SIGTERM),
    "SIGHUP": (None, 128 + getattr(signal, "SIGHUP", 1)),
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("options", [[], ["--overwrite"]])
@pytest.mark.usefixtures("default_signals")
def test_what_is_not_complete_does_not_appear(localize, tmp_path, monkeypatch, failure, options):
    error, code = FAILURES[failure]
    if error is None and not hasattr(signal, failure):
        pytest.skip("needs this signal")
    output = tmp_path / "results"
    if options:
        output.mkdir()
        (output / "report.html").write_text("earlier")

    def fail(*_):
        if error is None:
            signal.raise_signal(getattr(signal, failure))
        raise error

    monkeypatch.setattr(report, "save_report", fail)
    result = localize("--alpha", "60", *options)
    assert result.code == code
    assert result.err.count("\n") == 1
    assert "Traceback" not in result.err
    assert list_names(tmp_path) == ({"results"} if options else set())
    if options:
        assert {path.name: path.read_text() for path in output.iterdir()} == {
            "report.html": "earlier"
        }


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
@pytest.mark.usefixtures("default_signals")
def test_signals_are_as_before(localize, monkeypatch, name):
    """Those that are ignored (nohup) stay so, within the run and after it."""
    if not hasattr(signal, name):
        pytest.skip("needs this signal")
    number, save_report = getattr(signal, name), report.save_report

    def send(*args):
        signal.raise_signal(number)
        save_report(*args)

    signal.signal(number, signal.SIG_IGN)
    monkeypatch.setattr(report, "save_report", send)
    assert localize("--alpha", "60").code == 0
    assert signal.getsignal(number) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGTERM) is (
        signal.SIG_IGN if name == "SIGTERM" else signal.SIG_DFL
    )


def test_signals_are_left_to_the_main_thread(localize):
    with ThreadPoolExecutor(1) as executor:
        assert executor.submit(localize, "--alpha", "60").result().code == 0


def test_terminal_need_not_know_all_characters(localize, tmp_path, monkeypatch):
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stdout)
    assert localize("--alpha", "60", output=tmp_path / "\xfc").code == 0
    stdout.seek(0)
    assert "\\xfc, see" in stdout.read()
    assert (tmp_path / "\xfc" / "report.html").exists()


@pytest.mark.usual(name=["10-my-own.dip", "1.dip"])
@pytest.mark.parametrize("name", ["10-my-own.dip", "fit.dip", "1.dip", "10.dip.txt"])
def test_files_like_results_are_not_overwritten(localize, name):
    folder = localize("--alpha", "60").output
    (folder / "dipoles" / name).touch()
    (folder / f"sources-{name}-vl.stc").touch()
    result = localize("--alpha", "60", "--overwrite")
    assert result.code == 1
    assert "has files that are not results" in result.err
    assert (folder / "dipoles" / name).exists()


def test_folder_that_cannot_be_seen_is_not_overwritten(localize, monkeypatch):
    folder = localize("--alpha", "60").output
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "dipoles":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    result = localize("--alpha", "60", "--overwrite")
    assert result.code == 1
    assert "Permission denied" in result.err
    assert (folder / "report.html").exists()


def test_place_of_results_is_tried_first(localize, tmp_path, files, monkeypatch):
    def fail(*_):
        raise AssertionError

    monkeypatch.setattr(mne, "read_evokeds", fail)
    result = localize(output=files.evoked / "results")
    assert result.code == 1
    assert f"--output cannot be in {files.evoked}" in result.err
    monkeypatch.chdir(tmp_path)
    for output in (".", tmp_path):
        result = localize(output=output)
        assert result.code == 1
        assert "is the current folder or a mount point" in result.err


def test_folders_made_on_the_way_do_not_stay_after_an_error(localize, tmp_path):
    (tmp_path / "there").mkdir()
    result = localize(condition="none", output=tmp_path / "there" / "a" / "b" / "c")
    assert result.code == 1
    assert list_names(tmp_path) == {"there"}
    assert not list_names(tmp_path / "there")


@pytest.mark.parametrize("empty", ["evoked", "forward", "noise_cov", "all", "output"])
def test_names_that_are_empty(files, tmp_path, capsys, empty):
    """As of variables of a shell that are not set: no file is not the simulated recording."""
    names = files | {"output": tmp_path / "results"}
    names |= dict.fromkeys(files if empty == "all" else [empty], "")
    options = [f"--{name.replace('_', '-')}={value}" for name, value in names.items()]
    assert main(["localize", "--alpha", "60", *options]) == 2
    assert "is empty" in capsys.readouterr().err


class Gone:
    """A terminal that nobody reads any more."""

    error = BrokenPipeError()

    def __init__(self, file):
        self.fileno = file.fileno

    def write(self, _):
        raise self.error


class GoneTerminal(Gone):
    error = OSError(errno.EIO, "Input/output error")


class Full(Gone):
    """A file that there is no room for."""

    error = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("kind", [None, Gone, GoneTerminal])
def test_results_do_not_need_a_terminal(localize, tmp_path, monkeypatch, kind):
    """A warning (alpha below 1) and results are told to nobody."""
    with (tmp_path / "terminal").open("wb") as file:
        for name in ("stdout", "stderr"):
            monkeypatch.setattr(sys, name, kind and kind(file))
        result = localize("--alpha", "0.9", "--n-mxne-iter", "1")
        monkeypatch.undo()
    assert result.code == 0
    assert (result.output / "report.html").exists()


def test_output_that_cannot_be_written(localize, tmp_path, monkeypatch):
    """Results are complete by then."""
    with (tmp_path / "full").open("wb") as file:
        monkeypatch.setattr(sys, "stdout", Full(file))
        result = localize("--alpha", "60")
        monkeypatch.undo()
    assert result.code == 1
    assert result.err == (
        "skmxne: error: standard output cannot be written to: No space left on device. "
        f"The results are complete, in {result.output}.\n"
    )
    assert list_names(result.output) == RESULTS | SURFACE


COMMANDS = [["sys-info"], ["--help"], ["localize", "--help"], ["--version"]]


def run_command(arguments, **options):
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    options["env"] = os.environ | options.get("env", {})
    return subprocess.run([sys.executable, "-m", "skmxne", *arguments], **options)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_full_disk(unbuffered):
    with Path("/dev/full").open("wb") as full:
        result = run_command(["sys-info"], stdout=full, env={"PYTHONUNBUFFERED": unbuffered})
        assert result.returncode == 1
        assert result.stderr.decode() == (
            "skmxne: error: standard output cannot be written to: No space left on device.\n"
        )
        assert run_command(["sys-info"], stderr=full, stdout=full).returncode == 1


@pytest.mark.usual(arguments=[["sys-info"], ["--help"]])
@pytest.mark.skipif(os.name == "nt", reason="needs pipes of Unix")
@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_pipe_that_nobody_reads(arguments):
    reader, writer = os.pipe()
    os.close(reader)
    result = run_command(arguments, stdout=writer)
    os.close(writer)
    assert (result.returncode, result.stderr) == (0, b"")


in_any_encoding = pytest.mark.parametrize(
    "env",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"},
        pytest.param({"LC_ALL": "C", "PYTHONUTF8": "0"}, marks=pytest.mark.thorough),
    ],
    ids=lambda env: " ".join(env.values()),
)
need_names_in_any_encoding = pytest.mark.skipif(
    sys.platform != "linux", reason="needs names of files in any encoding"
)


@pytest.mark.thorough
@need_names_in_any_encoding
@in_any_encoding
def test_names_of_missing_files_in_any_encoding(files, tmp_path, env):
    arguments = ["localize", "--output", b"x", "--noise-cov", b"\xe9.fif"]
    arguments += ["--evoked", files.evoked, "--forward", files.forward]
    result = run_command(arguments, env=env, cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr == b"skmxne: error: No file \\xe9.fif. Check --noise-cov.\n"


@pytest.mark.thorough
@need_names_in_any_encoding
@in_any_encoding
def test_names_in_any_encoding(make_case, files, tmp_path, env):
    """Of files and folders, not known to the encoding, or no text at all; of conditions, too."""
    evokeds = [make_case("surface", amplitude=20e-9).evokeds[0].copy() for _ in range(2)]
    evokeds[0].comment = "\xe9 \u03bb links"
    with mne.use_log_level("ERROR"):
        mne.write_evokeds(tmp_path / "both-ave.fif", evokeds)
    arguments = ["localize", "--alpha", "60", "--condition", "\xe9 \u03bb links".encode()]
    for name, path in (files | {"evoked": tmp_path / "both-ave.fif"}).items():
        link = os.fsencode(tmp_path) + b"/" + f"\xfc \u03bb {name}".encode() + b"\xe9-x.fif"
        Path(os.fsdecode(link)).symlink_to(path)
        arguments += [f"--{name.replace('_', '-')}", link]
    output = os.fsencode(tmp_path) + b"/" + "\u03bb".encode() + b"\xe9"
    result = run_command([*arguments, "--output", output], env=env)
    assert (result.returncode, result.stderr) == (0, b"")
    assert b"xe9/report.html" in result.stdout
    html = read_report(Path(os.fsdecode(output)))
    for name in files:
        assert f"/\xfc \u03bb {name}\\xe9-x.fif</td>" in html
    assert "Sources of '\xe9 \u03bb links'" in html


@pytest.mark.skipif(os.name == "nt", reason="needs a folder that can be deleted while in use")
@pytest.mark.parametrize("is_absolute", [False, True])
def test_current_folder_that_has_been_deleted(localize, tmp_path, monkeypatch, is_absolute):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    output = tmp_path / "results" if is_absolute else "results"
    result = localize("--alpha", "60", output=output)
    assert result.code == 1
    assert result.err == (
        "skmxne: error: The current folder no longer exists. Change to another (cd) and try "
        "again.\n"
    )
    assert main(["sys-info"]) == 0


def test_current_folder_that_cannot_be_reached(localize, monkeypatch):
    def refuse():
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "cwd", refuse)
    result = localize()
    assert_failed(result, "The current folder cannot be reached: Permission denied. Change to")


def test_standard_errors_are_no_averages(localize, make_case, tmp_path):
    evoked = make_case("surface", amplitude=20e-9).evokeds[0].copy()
    evoked.comment = "early"
    error = evoked.copy()
    error.kind = "standard_error"
    with mne.use_log_level("ERROR"):
        mne.write_evokeds(tmp_path / "both-ave.fif", [error, evoked])
        mne.write_evokeds(tmp_path / "error-ave.fif", [error])
    result = localize("--alpha", "60", evoked=tmp_path / "both-ave.fif", condition=None)
    assert result.code == 0
    result = localize("--overwrite", evoked=tmp_path / "error-ave.fif")
    assert result.code == 1
    assert "error-ave.fif has no average" in result.err


@pytest.mark.usual(comment=[r"$\foo$"])
@pytest.mark.usefixtures("figures")
@pytest.mark.parametrize(
    "comment",
    [r"$\foo$", "$5 vs 6$", "a_b^c", "\u03bb\u1f79\u03b3\u03bf\u03c2 \xd7 \xe9", "<b> & c"],
)
def test_any_name_of_a_condition(localize, make_case, tmp_path, comment):
    evoked = make_case("surface", amplitude=20e-9).evokeds[0].copy()
    evoked.comment = comment
    with mne.use_log_level("ERROR"):
        mne.write_evokeds(tmp_path / "my-ave.fif", [evoked, make_case("surface").evokeds[1]])
    result = localize("--alpha", "60", evoked=tmp_path / "my-ave.fif", condition=comment)
    assert result.code == 0, result.err
    assert escape(comment) in (result.output / "report.html").read_text("utf-8")


@pytest.mark.parametrize(("error", "code"), [(PermissionError, 1), (KeyboardInterrupt, 130)])
def test_earlier_results_come_back_where_the_last_step_fails(
    localize, tmp_path, monkeypatch, error, code
):
    output = tmp_path / "results"
    output.mkdir()
    (output / "report.html").write_text("earlier")
    replace = Path.replace

    def refuse(self, target):
        if self.name == "new":
            raise error
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    assert localize("--alpha", "60", "--overwrite").code == code
    assert (output / "report.html").read_text() == "earlier"
    assert list_names(tmp_path) == {"results"}


def test_links_are_followed(localize, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "results").symlink_to(tmp_path / "elsewhere")
    assert localize("--alpha", "60").code == 0
    assert (tmp_path / "results").is_symlink()
    assert list_names(tmp_path / "elsewhere") == RESULTS | SURFACE


# Other commands


def test_versions(capsys):
    assert main(["sys-info"]) == 0
    lines = capsys.readouterr().out.splitlines()
    versions = dict(line.split(maxsplit=1) for line in lines)
    assert versions["mne"] == mne.__version__
    assert versions["numpy"] == np.__version__
    assert versions["skmxne"] == skmxne.__version__
    assert versions["BLAS"]
    assert {"Python", "platform", "scipy", "scikit-learn"} <= set(versions)


@pytest.mark.parametrize(
    "command",
    [[sys.executable, "-m", "skmxne"], [str(Path(sysconfig.get_path("scripts"), "skmxne"))]],
    ids=["module", "script"],
)
def test_command_of_the_shell(command, tmp_path):
    run = {"capture_output": True, "text": True, "cwd": tmp_path, "env": os.environ}
    result = subprocess.run([*command, "--version"], **run)
    assert (result.returncode, result.stdout) == (0, f"skmxne {skmxne.__version__}\n")
    result = subprocess.run([*command, "localize"], **run)
    assert (result.returncode, result.stdout) == (2, "")


def test_command_has_all_criteria():
    assert set(CHOICES_OF_ALPHA) == {"ric", *CRITERIA, "cv"}
    assert set(methods.CRITERIA_IN_WORDS) == {"ric", *CRITERIA}
