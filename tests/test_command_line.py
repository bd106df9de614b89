"""The command: what it writes, its exit codes, and that it never harms what is there."""

import io
import os
import re
import shutil
import signal
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
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.utils import Bunch

import skmxne
from skmxne import InverseProblem, MixedNormCV, MixedNormEstimator, MixedNormIC, report
from skmxne.command_line import main
from skmxne.datasets import make_recording
from skmxne.result_files import check_folder, save_sources

RESULTS = {"report.html", "sources.png", "residual.png", "residual-ave.fif", "dipoles"}
SURFACE = {"sources-lh.stc", "sources-rh.stc"}


@pytest.fixture(scope="module")
def write_files(make_case, tmp_path_factory):
    """Return a function that writes a recording, and returns the paths of its files."""

    def write(kind="surface", **changes):
        case = make_case(kind, amplitude=20e-9)
        folder = tmp_path_factory.mktemp("recording")
        evokeds = [evoked.copy() for evoked in case.evokeds]
        evokeds[0].comment, evokeds[1].comment = "early", "late"
        objects = dict(evoked=evokeds, forward=case.forward, noise_cov=case.noise_cov) | changes
        files = Bunch(
            evoked=folder / "my-ave.fif",
            forward=folder / "my-fwd.fif",
            noise_cov=folder / "my-cov.fif",
        )
        with mne.use_log_level("ERROR"):
            mne.write_evokeds(files.evoked, objects["evoked"])
            mne.write_forward_solution(files.forward, objects["forward"])
            mne.write_cov(files.noise_cov, objects["noise_cov"])
        return files

    return write


@pytest.fixture(scope="module")
def files(write_files):
    return write_files()


@pytest.fixture
def localize(files, tmp_path, capsys):
    """Return a function that runs the command, and returns its exit code and what it wrote."""
    output = tmp_path / "results"

    def localize(*options, output=output, **replaced):
        paths = {"condition": "early", "no_baseline": True} | files | replaced
        arguments = ["localize", "--output", str(output)]
        for name, value in paths.items():
            if value not in (None, False):
                option = f"--{name.replace('_', '-')}"
                arguments += [option] if value is True else [option, str(value)]
        code = main([*arguments, *options])
        out, err = capsys.readouterr()
        return Bunch(code=code, out=out, err=err, output=Path(output))

    return localize


def list_names(folder):
    return {path.name for path in folder.iterdir()}


def read_objects(files, condition="early"):
    """Read the files as a user of the package would."""
    evoked = mne.read_evokeds(files.evoked, condition, verbose="ERROR")
    forward = mne.read_forward_solution(files.forward, verbose="ERROR")
    return evoked, forward, mne.read_cov(files.noise_cov, verbose="ERROR")


def read_report(folder):
    """Return the report, with its tables as bare as can be."""
    return unescape((folder / "report.html").read_text("utf-8")).replace(' class="px-3"', "")


@pytest.fixture
def default_signals():
    """Let signals end processes, as whoever runs the tests (nohup) may ignore them."""
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.signal(number, signal.SIG_DFL) for number in numbers}
    yield
    for number, action in before.items():
        signal.signal(number, action)


# Results


def test_results_are_those_of_the_package(localize, files):
    result = localize("--tmin", "-0.05", "--tmax", "0", "--alpha", "40", "--n-mxne-iter", "3")

    assert result.code == 0
    assert result.err == ""
    evoked, forward, noise_cov = read_objects(files)
    problem = InverseProblem.from_evoked(evoked.crop(-0.05, 0), forward, noise_cov)
    model = MixedNormEstimator(40, n_orient=3, n_mxne_iter=3).fit(problem.X, problem.y)
    assert list_names(result.output) == RESULTS | SURFACE
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
    numbers = [float(number) for number in lines[2].split()]
    assert_allclose(numbers[1:4], dipoles[0].pos[0] * 1e3, atol=0.5)
    assert_allclose(numbers[4:6], [dipoles[0].amplitude[peak] * 1e9, evoked.times[peak] * 1e3], 0.1)
    assert str(result.output / "report.html") in lines[-1]


@pytest.mark.parametrize("alpha", ["ric", "bic", "cv"])
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
    assert f"alpha {model.alpha_:.3g} % by {alpha}: {model.n_active_} source" in result.out
    assert list_names(result.output) == RESULTS | SURFACE | {"alpha.png"}


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

    save_sources(tmp_path, expected, problem.to_dipoles(coef), problem.to_residual(coef))

    others = {"dipoles", "residual-ave.fif"}
    others |= {"sources-rh.stc"} if "sources-lh.stc" in names else set()
    assert list_names(tmp_path) == {*names, *others}
    stcs = [mne.read_source_estimate(tmp_path / name) for name in names]
    assert_allclose(np.vstack([stc.data for stc in stcs]), expected.data, rtol=1e-5)
    vertices = [each for stc in stcs for each in stc.vertices]
    for each, true in zip(vertices, expected.vertices, strict=True):
        assert_array_equal(each, true)
    assert len(list_names(tmp_path / "dipoles")) == (0 if is_empty else model.n_active_)
    check_folder(tmp_path, overwrite=True)  # knows all these files


def test_no_source_is_a_result(localize):
    result = localize("--alpha", "99.99", "--tmin", "0", "--tmax", "0")
    assert result.code == 0, result.err
    evoked = mne.read_evokeds(result.output / "residual-ave.fif", 0, verbose="ERROR")
    assert len(evoked.times) == 1


def test_report_tells_all_that_matters(localize, files):
    result = localize("--alpha", "30", "--picks", "meg", "eeg", "--tmin", "-0.05", "--loose", "0")
    html = read_report(result.output)
    for text in [
        "Sources of 'early'",
        str(files.forward),
        "<td>meg eeg</td>",
        "<td>Times</td><td>-50 to 10 ms (7 samples)</td>",
        "<td>Loose</td><td>0</td>",
        "<td>depth</td><td>0.8</td>",
        "<td>alpha</td><td>30.0</td>",
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
    assert result.err.startswith("skmxne: warning: Channels left out: 3 not in noise_cov (")
    assert result.err.count("\n") == 1
    assert "Channels left out: 3 not in noise_cov" in (result.output / "report.html").read_text()


@pytest.mark.parametrize("corrected", [False, True])
@pytest.mark.parametrize(
    ("options", "baseline"),
    [
        ([], (None, 0)),
        (["--baseline", "-0.1", "-0.05"], (None, -0.05)),
        (["--baseline", "-0.105", "-0.05"], (None, -0.05)),
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


@pytest.mark.slow
def test_recorded_data_or_none_make_a_report(tmp_path, capsys):
    assert main(["localize", "--output", str(tmp_path / "a" / "b"), "--tmin", "0.05"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "64 channels, 5582 positions, alpha " in out
    assert " % by ric: 3 sources, " in out
    assert list_names(tmp_path / "a" / "b") == RESULTS | SURFACE | {"alpha.png"}


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
        (start_late, [], "The average begins at 0.1 s: there is no time up to 0"),
        (None, ["--tmax", "3"], "--tmin and --tmax: 0 to 3 s is no period of the average, which "),
        (None, ["--tmin", "-3"], "--tmin and --tmax: -3 to 0.01 s is no period of the average"),
        (None, ["--baseline", "-2", "0"], "--baseline: -2 to 0 s is no period of the average"),
        (
            None,
            ["--picks", "seeg", "meg"],
            "--picks seeg: no such channels, there are eeg, grad, m",
        ),
        (None, ["--condition", "none"], "has no average 'none'. Choose one with --condition: 'ear"),
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
    assert_failed(result, f"{files.evoked} has 2 averages. Choose one with --condition: 'early', ")


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


def test_all_files_that_are_missing_are_named(localize, tmp_path):
    missing = {name: tmp_path / f"no-{name}.fif" for name in ("forward", "noise_cov")}
    assert_failed(localize(**missing), f"No file {missing['forward']}, {missing['noise_cov']}.")


def test_percentage_that_looks_like_a_share_is_told(localize):
    told = localize("--alpha", "0.4")
    assert told.code == 0
    assert "--alpha 0.4 is less than one percent. If you meant a share of 1, give" in told.err
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


def test_baseline_is_looked_at_before_it_is_left_out(localize, write_files):
    recording = make_recording(n_sources=1)
    evoked = recording.evoked.copy()
    evoked.nave = 10 * evoked.nave
    files = write_files(evoked=[evoked], forward=recording.forward, noise_cov=recording.noise_cov)
    result = localize("--tmin", "0.05", "--alpha", "50", **files, condition=None)
    assert result.code == 0
    match = r"warning: The whitened data before time 0 have (9|10)[.\d]* times the power"
    assert re.search(match, result.err)
    assert "Check --noise-cov, and the number of trials in the file" in result.err
    result = localize("--tmin", "-0.1", "--alpha", "50", "--overwrite", **files, condition=None)
    assert len(re.findall("before time 0", result.err)) == 1


def test_report_tells_what_was_used(localize):
    result = localize("--alpha", "50")
    report = read_report(result.output)
    for name, value in {
        "Trials": "4",
        "Baseline subtracted": "none",
        "Rank of the noise": "62",
        "Orientations": "3 per position",
        "Loose": "0.2",
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
def test_looseness_is_that_of_the_gain(make_case, kind, options, loose):
    case = make_case(kind)
    evoked = case.evoked.copy().apply_baseline((-0.1, -0.05), verbose="ERROR")
    problem = InverseProblem.from_evoked(evoked, case.forward, case.noise_cov, **options)
    description = report.describe_data(evoked.crop(0, None), problem)
    assert description["Loose"] == loose
    assert description["Baseline subtracted"] == "-0.1 to -0.05 s"


@pytest.mark.parametrize("name", ["evoked", "forward", "noise_cov"])
def test_files_that_cannot_be_read(localize, files, tmp_path, name):
    missing, other, text = tmp_path / "no.fif", tmp_path / "other-ave.fif", tmp_path / "text.fif"
    assert_failed(localize(**{name: missing}), f"No file {missing}.")
    assert_failed(localize(**{name: tmp_path}), f"{tmp_path} is a folder.")
    shutil.copy(files["noise_cov" if name == "evoked" else "evoked"], other)
    text.write_text("no numbers")
    for path in (other, text):
        assert_failed(localize(**{name: path}), f"{path} cannot be read as ")
    empty = tmp_path / "empty.fif"
    empty.touch()
    assert_failed(localize(**{name: empty}), f"{empty} cannot be read as ")


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
        (["localize", "--output", "x", "--condition", "y"], "--condition is for files"),
        (["localize", "--output", "x", "--tmin", "soon"], "argument --tmin: invalid float"),
        (["localize", "--output", "x", "--tmin", "1", "--tmax", "0"], "1 is not before 0"),
        (["localize", "--output", "x", "--baseline", "1", "0"], "--baseline: 1 is not before 0"),
        (["localize", "--output", "x", "--baseline", "1", "2", "--no-baseline"], "not allowed"),
        (["localize", "--output", "x", "--loose", "2"], "argument --loose: 2 is not between 0 and"),
        (["localize", "--output", "x", "--depth", "-1"], "argument --depth: -1 is not between 0"),
        (["localize", "--output", "x", "--alpha", "100"], "argument --alpha: 100 is not between 0"),
        (
            ["localize", "--output", "x", "--alpha", "aic"],
            "argument --alpha: invalid number or ric",
        ),
        (["localize", "--output", "x", "--n-mxne-iter", "0"], "--n-mxne-iter must be at least 1"),
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
    assert "has files in it that are no results, such as " in result.err
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


@pytest.mark.parametrize("name", ["10-my-own.dip", "fit.dip", "1.dip", "10.dip.txt"])
def test_files_like_results_are_not_overwritten(localize, name):
    folder = localize("--alpha", "60").output
    (folder / "dipoles" / name).touch()
    (folder / f"sources-{name}-vl.stc").touch()
    result = localize("--alpha", "60", "--overwrite")
    assert result.code == 1
    assert "has files in it that are no results" in result.err
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

    def __init__(self, file):
        self.fileno = file.fileno

    def write(self, _):
        raise BrokenPipeError


@pytest.mark.parametrize("kind", ["closed", "gone"])
def test_results_do_not_need_a_terminal(localize, tmp_path, monkeypatch, kind):
    """A warning (alpha below 1) and results are told to nobody."""
    with (tmp_path / "terminal").open("wb") as file:
        for name in ("stdout", "stderr"):
            monkeypatch.setattr(sys, name, None if kind == "closed" else Gone(file))
        result = localize("--alpha", "0.9", "--n-mxne-iter", "1")
        monkeypatch.undo()
    assert result.code == 0
    assert (result.output / "report.html").exists()


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
