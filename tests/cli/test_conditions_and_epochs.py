"""Epochs, several conditions in one model, labels, and what the report has for a paper."""

import csv
import inspect
import re
from html import escape, unescape
from pathlib import Path

import mne
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.utils import Bunch

import skmxne
from skmxne import InverseProblem, MixedNormCV, MixedNormEstimator, MixedNormIC
from skmxne.cli import recording_files, report
from skmxne.cli.result_files import save_sources
from skmxne.cli.three_dimensions import write_lines


@pytest.fixture(scope="module")
def make_epochs(make_case):
    """Return a function that simulates trials of two event types."""
    case = make_case("surface", amplitude=20e-9)
    noise = np.linalg.cholesky(case.noise_cov.data)

    def make(n_trials=12):
        rng = np.random.default_rng(0)
        n_times = len(case.unprojected.times)
        data = case.unprojected.data + noise @ rng.standard_normal((n_trials, 64, n_times))
        events = np.arange(n_trials), np.zeros(n_trials), np.arange(n_trials) % 3 > 0
        events = np.column_stack(events).astype(int)
        names = {"tone/left": 0, "tone/right": 1}
        info = case.info.copy()
        epochs = mne.EpochsArray(data, info, events, -0.1, names, verbose="ERROR")
        return case.project(epochs)

    return make


@pytest.fixture(scope="module")
def write_epochs(make_epochs, files, tmp_path_factory):
    """Return a function that writes trials, and returns the paths of the files of the recording."""

    def write(epochs=None):
        path = tmp_path_factory.mktemp("epochs") / "my-epo.fif"
        (epochs or make_epochs()).save(path, verbose="ERROR")
        return files | {"evoked": None, "epochs": path, "condition": None}

    return write


@pytest.fixture(scope="module")
def epochs_files(write_epochs):
    return write_epochs()


@pytest.fixture(scope="module")
def joint_files(write_files, make_case):
    """Write two averages of the same channels, the second of fewer times."""
    evokeds = [evoked.copy() for evoked in make_case("surface", amplitude=20e-9).evokeds]
    evokeds[1].shift_time(-0.08, relative=False)
    evokeds[0].comment, evokeds[1].comment = "early", "<b> & $c$/.."
    return write_files(evoked=evokeds) | {"condition": None}


def read_problem(files, **options):
    """Make the problem of files as a user of the package would."""
    forward = mne.read_forward_solution(files["forward"], verbose="ERROR")
    noise_cov = mne.read_cov(files["noise_cov"], verbose="ERROR")
    if files["evoked"]:
        data = mne.read_evokeds(files["evoked"], verbose="ERROR")
        return InverseProblem.from_evoked(data, forward, noise_cov, **options)
    data = mne.read_epochs(files["epochs"], verbose="ERROR")
    return InverseProblem.from_epochs(data, forward, noise_cov, **options)


def read_table(folder):
    with (folder / "sources.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def read_report(folder):
    return unescape((folder / "report.html").read_text("utf-8")).replace(' class="px-2"', "")


def assert_failed(result, message, code=1):
    assert result.code == code
    assert message in result.err.splitlines()[-1]
    assert result.out == ""
    assert not result.output.exists()


def assert_residual_is(folder, expected):
    read = mne.read_evokeds(folder / "residual-ave.fif", 0, verbose="ERROR")
    assert_allclose(read.data, expected.data, rtol=1e-4, atol=1e-18)
    assert_allclose(read.times, expected.times, atol=1e-6)


# Epochs


@pytest.mark.filterwarnings("ignore:The alpha chosen|The residual has")
@pytest.mark.parametrize("alpha", ["cv", "bic"])
def test_epochs_are_used_as_trials(localize, epochs_files, alpha):
    result = localize("--alpha", alpha, "--tmin", "-0.05", **epochs_files)

    assert result.code == 0, result.err
    problem = read_problem(epochs_files, tmin=-0.05)
    options = dict(n_orient=3, n_mxne_iter=10)
    if alpha == "cv":
        model = MixedNormCV(**options)
        folds = dict(y_folds=problem.y_folds, fold_weights=problem.fold_weights)
        model.fit(problem.X, problem.y, **folds)
    else:
        covariance = problem.target_covariance
        model = MixedNormIC(criterion=alpha, target_covariance=covariance, **options)
        model.fit(problem.X, problem.y)
    assert_residual_is(result.output, problem.to_residual(model))
    rows = read_table(result.output)
    expected = problem.list_sources(model, problem.compute_confidence(model))
    assert len(rows) == len(expected) > 0
    for row, values in zip(rows, expected, strict=True):
        assert_allclose(float(row["p_value"]), values["p_value"], rtol=1e-3)
    html = read_report(result.output)
    for cell in (f"epochs</td><td>{epochs_files['epochs']}", "condition</td><td>all trials"):
        assert f"<td>{cell}</td>" in html
    assert "<td>Trials</td><td>12</td>" in html
    assert "<td>evoked</td>" not in html
    by = "5-fold cross-validation over trials" if alpha == "cv" else "estimated from the trials"
    assert by in (result.output / "methods.txt").read_text("utf-8")


@pytest.mark.parametrize(
    ("names", "n_trials"),
    [([], 12), (["tone/right"], 8), (["right"], 8), (["tone/left", "tone/right"], 12)],
)
def test_event_types(localize, epochs_files, names, n_trials):
    options = ["--condition", *names] if names else []
    result = localize("--alpha", "60", *options, **epochs_files)
    assert result.code == 0, result.err
    assert f"<td>Trials</td><td>{n_trials}</td>" in read_report(result.output)


def test_epochs_with_their_own_baseline(localize, write_epochs, make_epochs):
    """Or with that of the command, and restricted to some channels."""
    epochs = make_epochs()
    options = dict(condition=None, no_baseline=None)
    result = localize("--alpha", "60", "--picks", "eeg", **write_epochs(epochs) | options)
    assert result.code == 0, result.err
    assert result.out.startswith("16 channels")
    assert "<td>baseline</td><td>-0.1 to 0 s</td>" in read_report(result.output)
    epochs.apply_baseline((None, -0.05), verbose="ERROR")
    result = localize("--alpha", "60", "--overwrite", **write_epochs(epochs) | options)
    assert "<td>baseline</td><td>-0.1 to -0.05 s</td>" in read_report(result.output)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--condition", "right", "none", "no"],
            "has no event type 'none', 'no'. Choose with --condition: 'tone/left', 'tone/right'.",
        ),
        (
            ["--condition", "tone/left"],
            "has 4 good trials of these event types, but 5 folds of trials need at least 5. "
            "Average them (epochs.average() in MNE), and give the file of the average with "
            "--evoked.",
        ),
        (
            ["--tmax", "3"],
            "--tmin and --tmax: 0 to 3 s is not a period of the epoch, which is from",
        ),
        (["--picks", "seeg"], "--picks seeg: no such channels. Choose from eeg, grad, mag, meg."),
    ],
)
def test_epochs_that_do_not_fit(localize, epochs_files, options, message):
    assert_failed(localize(*options, **epochs_files), message)


def test_few_trials(localize, write_epochs, make_epochs):
    assert_failed(localize(**write_epochs(make_epochs(3))), "has 3 good trials, but 5 folds")


def test_epochs_that_begin_late(localize, write_epochs, make_epochs):
    files = write_epochs(make_epochs().shift_time(0.1, relative=False)) | {"no_baseline": None}
    assert_failed(localize(**files), "The epoch begins at 0.1 s: there is no baseline before 0")


def test_files_given_with_the_option_of_another(localize, files, epochs_files):
    epochs, evoked = epochs_files["epochs"], files.evoked
    result = localize(evoked=epochs)
    assert_failed(result, f"{epochs} cannot be read as averages (-ave.fif). It has epochs (-epo")
    assert "give it with --epochs." in result.err
    result = localize(**epochs_files | {"epochs": evoked})
    assert_failed(result, f"{evoked} cannot be read as epochs (-epo.fif): Could not find event d")
    assert "It has averages (-ave.fif): give it with --evoked." in result.err
    result = localize(noise_cov=files.forward)
    assert_failed(result, "It has a forward solution (-fwd.fif): give it with --forward.")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"forward": None}, "--epochs, --forward and --noise-cov go together"),
        ({"evoked": "my-ave.fif"}, "--epochs: not allowed with argument --evoked"),
        ({"epochs": ""}, "the name of a file or folder is empty"),
        ({"subjects_dir": ""}, "the name of a file or folder is empty"),
    ],
)
def test_options_that_do_not_fit(localize, epochs_files, changes, message):
    assert_failed(localize(**epochs_files | changes), message, code=2)


def test_folder_of_subjects_is_for_files(localize, files):
    nothing = dict.fromkeys([*files, "condition"])
    result = localize("--subjects-dir", "x", **nothing)
    assert_failed(result, "--subjects-dir needs files: give --evoked or --epochs, too", code=2)


# Several conditions

COMMON = "--tmin", "none"  # what all averages have


def test_joint_model(localize, joint_files):
    names = ["early", "<b> & $c$/.."]
    result = localize("--alpha", "40", *COMMON, "--condition", *names, **joint_files)

    assert result.code == 0, result.err
    problem = read_problem(joint_files, tmin=-0.079, tmax=-0.011)
    model = MixedNormEstimator(40, n_orient=3, n_mxne_iter=10).fit(problem.X, problem.y)
    assert {path.name for path in result.output.iterdir()} == {
        *("report.html", "methods.txt", "sources.csv", "condition-1", "condition-2")
    }
    outputs = problem.to_residual(model), problem.to_source_estimate(model)
    explained, tables = problem.explained_variance(model), problem.list_sources(model)
    rows, lines = read_table(result.output), result.out.splitlines()
    assert lines[0].endswith(f"alpha 40 %: {model.n_active_} sources.")
    for k, (residual, stc) in enumerate(zip(*outputs, strict=True)):
        folder = result.output / f"condition-{k + 1}"
        assert_residual_is(folder, residual)
        read = mne.read_source_estimate(folder / "sources")
        assert_allclose(read.data, stc.data, rtol=1e-5)
        assert len(list((folder / "dipoles").iterdir())) == model.n_active_ > 1
        assert {"sources.png", "residual.png"} < {path.name for path in folder.iterdir()}
        of_condition = [row for row in rows if row["condition"] == names[k]]
        assert [int(row["vertex"]) for row in of_condition] == [t["vertex"] for t in tables[k]]
        strongest = mne.read_dipole(folder / "dipoles" / "01.dip", verbose="ERROR")
        peak = 1e9 * strongest.amplitude.max()
        assert_allclose(float(of_condition[0]["amplitude_nAm"]), peak, rtol=0.01)
        found = f"{names[k]!r}: {explained[k]:.0f} % of the whitened data explained ("
        start = next(i for i, line in enumerate(lines) if line.startswith(found))
        assert lines[start + 1].split()[:2] == ["source", "hemisphere"]
        assert lines[start + 2].split()[0] == "1"
    assert next(iter(rows[0])) == "condition"


@pytest.mark.thorough
@pytest.mark.usefixtures("figures")
def test_figures_of_several_conditions(localize, joint_files):
    options = ["--alpha", "60", *COMMON, "--condition", "0", "1"]
    folder = localize(*options, **joint_files).output
    for name in ("sources.png", "residual.png"):
        first, second = (folder / f"condition-{k}" / name for k in (1, 2))
        assert first.read_bytes() != second.read_bytes()


def test_report_has_a_part_for_each_condition(localize, joint_files):
    result = localize("--alpha", "ric", *COMMON, "--condition", "0", "1", **joint_files)
    assert result.code == 0, result.err
    assert (result.output / "alpha.png").exists()
    assert not list(result.output.glob("*/alpha.png"))
    html = (result.output / "report.html").read_text("utf-8")
    for name in ("early", "<b> & $c$/.."):
        for part in ("sources", "overview", "data and residual"):
            assert f">{escape(f'{name}: {part}')}</a>" in html
    assert "<b>" not in html
    assert "<td>condition</td><td>0, 1</td>" in read_report(result.output)
    methods = (result.output / "methods.txt").read_text("utf-8")
    assert "averages 'early' and '<b> & $c$/..' of 4 and 9 trials, respectively" in methods
    assert "of all conditions together, which share positions but not amplitudes" in methods
    # The folders are known as results.
    again = localize("--alpha", "60", "--overwrite", **joint_files | {"condition": "0"})
    assert again.code == 0, again.err
    assert not (again.output / "condition-1").exists()


@pytest.mark.parametrize("name", ["condition-1/thesis.tex", "condition-1/report.html"])
def test_other_files_of_conditions_are_not_overwritten(localize, tmp_path, name):
    path = tmp_path / "results" / name
    path.parent.mkdir(parents=True)
    path.touch()
    result = localize("--overwrite")
    assert result.code == 1
    assert "has files that are not results, such as " in result.err
    assert path.exists()


def test_no_source_in_several_conditions(localize, joint_files):
    result = localize("--alpha", "99.99", *COMMON, "--condition", "0", "1", **joint_files)
    assert result.code == 0, result.err
    assert read_table(result.output) == []
    assert (result.output / "sources.csv").read_text().startswith("condition,position,")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["early", "0"], "--condition has an average twice, as 'early' and '0': give it once."),
        (["early", "none"], "has no average 'none'. Choose one with --condition, by name or num"),
    ],
)
def test_conditions_that_are_not_there(localize, joint_files, options, message):
    assert_failed(localize("--condition", *options, **joint_files), message)


def test_conditions_without_common_times(localize, files):
    result = localize("--condition", "early", "late", **files | {"condition": None})
    assert_failed(result, "is not a period of the average, which is from")


def test_conditions_of_different_channels(make_case):
    evokeds = [evoked.copy() for evoked in make_case("surface").evokeds]
    last = evokeds[1].ch_names[-1]
    evokeds[1].drop_channels([last])
    with pytest.raises(ValueError, match=f"different channels: some lack '{last}'. Give --picks"):
        recording_files.prepare(evokeds, baseline=None)
    prepared = recording_files.prepare(evokeds, baseline=None, picks=["meg"])
    assert [len(evoked.ch_names) for evoked in prepared] == [48, 48]


# Labels


@pytest.fixture(scope="module")
def subjects_dir(make_case, tmp_path_factory):
    """Return a folder of subjects with a label of all vertices."""
    folder = tmp_path_factory.mktemp("subjects")
    (folder / "simulated" / "label").mkdir(parents=True)
    (folder / "simulated" / "surf").mkdir()
    for hemi, space in zip(["lh", "rh"], make_case("surface").forward["src"], strict=True):
        for name in ("white", "inflated"):
            path = folder / "simulated" / "surf" / f"{hemi}.{name}"
            mne.write_surface(path, space["rr"] * 1e3, space["tris"])
        vertices = np.arange(space["np"])
        label = mne.Label(vertices, space["rr"], hemi=hemi, name="cortex", subject="simulated")
        options = dict(hemi=hemi, subjects_dir=folder, verbose="ERROR")
        mne.write_labels_to_annot([label], "simulated", "aparc", **options)
    return folder


def test_labels(localize, subjects_dir):
    result = localize("--alpha", "40", subjects_dir=subjects_dir)
    assert result.code == 0, result.err
    rows = read_table(result.output)
    assert {row["label"] for row in rows} <= {"cortex-lh", "cortex-rh"}
    lines = result.out.splitlines()
    assert lines[1].split()[-1] == "label"
    assert lines[2].split()[-1] == rows[0]["label"]
    html = read_report(result.output)
    assert f"<td>{rows[0]['label']}</td>" in html
    assert "There are no MNI coordinates" in html
    assert f"<td>subjects-dir</td><td>{subjects_dir}</td>" in html


def test_report_says_why_there_are_no_labels(localize):
    result = localize("--alpha", "40")
    assert "Labels and MNI coordinates need FreeSurfer's folder" in read_report(result.output)
    assert "label" not in (result.output / "sources.csv").read_text()


def test_mni_coordinates_are_in_the_table_of_the_report():
    source = dict(hemisphere="lh", x_mm=1.0, y_mm=2.0, z_mm=3.0, amplitude_nAm=4.0, latency_ms=5.0)
    source |= dict(gof_percent=6.0, label="insula-lh", mni_x_mm=-7.0, mni_y_mm=-8.0, mni_z_mm=-0.4)
    titles, cells = report.make_source_table([source])
    assert titles[-4:] == ["label", "MNI x (mm)", "MNI y (mm)", "MNI z (mm)"]
    assert cells[-4:] == ["insula-lh", "-7", "-8", "0"]


def test_folders_of_subjects_that_do_not_fit(localize, subjects_dir, tmp_path, monkeypatch):
    wrong = tmp_path / "subjects"
    result = localize(subjects_dir=wrong)
    message = f"--subjects-dir {wrong} is not a folder. Give FreeSurfer's folder of sub"
    assert_failed(result, message)
    wrong.mkdir()
    result = localize(subjects_dir=wrong)
    assert_failed(result, f"--subjects-dir {wrong} has no folder 'simulated', the subject of the")
    (wrong / "simulated").mkdir()
    result = localize(subjects_dir=wrong)
    assert_failed(result, f"--subjects-dir {wrong} cannot be used: ")
    assert "Give FreeSurfer's folder of subjects" in result.err
    monkeypatch.setattr("skmxne.cli.localize.find_spec", lambda _: None)
    assert_failed(localize(subjects_dir=subjects_dir), "pip install nibabel), or leave --subjects")


def test_forward_solution_without_a_subject(localize, write_files, make_case, subjects_dir):
    forward = make_case("surface").forward.copy()
    for space in forward["src"]:
        space["subject_his_id"] = None
    result = localize(**write_files(forward=forward), subjects_dir=subjects_dir)
    message = "--subjects-dir cannot be used: the file of --forward has no name of a subject"
    assert_failed(result, message)


# For a paper, and for drawings in three dimensions


@pytest.mark.parametrize(
    ("options", "present", "absent"),
    [
        (
            ["--alpha", "ric"],
            ["risk inflation criterion (Foster and George, 1994)", "A search then moved"],
            ["cross-validation"],
        ),
        (
            ["--alpha", "40", "--n-mxne-iter", "1", "--depth", "0", "--loose", "1"],
            ["was set to 40 percent", "with free orientations without depth weighting"],
            ["Strohmeier", "Foster", "criterion", "search"],
        ),
        (
            ["--alpha", "cv", "--n-mxne-iter", "1", "--loose", "0"],
            ["5-fold cross-validation over whitened channels", "fixed along the normals"],
            ["Foster", "search", "over trials", "reweighted in"],
        ),
    ],
)
def test_methods_are_those_of_the_run(localize, options, present, absent):
    result = localize("--baseline", "none", "-0.05", *options, no_baseline=None)
    assert result.code == 0
    methods = (result.output / "methods.txt").read_text("utf-8")
    paragraph, _, references = methods.partition("\n\nReferences\n")
    for text in [
        *present,
        "average 'early' of 4 trials, from 0 to 10 ms (2 samples), at 64 channels (",
        "The mean from -0.1 to -0.05 s had been subtracted.",
        "(rank 62)",
        "48 positions",
        f"skmxne {skmxne.__version__} with MNE-Python {mne.__version__}",
    ]:
        assert text in paragraph
    assert not [text for text in absent if text in paragraph]
    for line in references.splitlines():
        first, year = re.match(r"(\w+) .*\((\d{4})\)", line).groups()
        assert re.search(rf"{first} (et al\.|and \w+), {year}", paragraph)
    assert len(references.splitlines()) == len(
        set(re.findall(r"\w+ (?:et al\.|and \w+), \d{4}", paragraph))
    )
    html = read_report(result.output)
    assert all(line in html for line in methods.splitlines())


def test_reports_name_options_only(localize, write_files, make_case):
    """Not the parameters of Python."""
    case = make_case("surface", amplitude=20e-9)
    noise_cov = case.noise_cov.copy().pick_channels(case.info.ch_names[3:])
    result = localize("--alpha", "ric", **write_files(noise_cov=noise_cov))
    text = re.sub(
        r"<script.*?</script>|<style.*?</style>", "", read_report(result.output), flags=re.S
    )
    text = re.sub(r"data:image[^\"]*", "", text)
    for name in ("noise_cov", "n_mxne_iter", "noise_variance", "target_covariance", "MixedNorm"):
        assert name not in text + result.err


@pytest.mark.parametrize(
    ("kind", "drawn"),
    [
        ("surface", ["surface", "sparse"]),
        ("volume", ["volume"]),
        ("volume+volume", ["volume"]),
        ("surface+volume", ["surface", "volume", "sparse"]),
        ("surface+discrete", ["surface", "sparse"]),
        ("discrete", []),
    ],
)
@pytest.mark.parametrize("n_conditions", [1, 2])
def test_lines_that_draw(make_case, tmp_path, monkeypatch, kind, drawn, n_conditions):
    """Each runs up to the drawing itself, which needs PyVista or nilearn."""
    case, called = make_case(kind, amplitude=20e-9), []
    problem = InverseProblem.from_evoked([case.evoked] * 2, case.forward, case.noise_cov)
    model = MixedNormEstimator(30, n_orient=3).fit(problem.X, problem.y)
    stcs = problem.to_source_estimate(model)[:n_conditions]
    for k, stc in enumerate(stcs, start=1):
        folder = tmp_path / f"condition-{k}" if n_conditions > 1 else tmp_path
        folder.mkdir(exist_ok=True)
        save_sources(folder, stc, [], case.evoked)
    arguments = Bunch(forward="my-fwd.fif", output=tmp_path, subjects_dir=None)
    conditions = [Bunch(stc=stc) for stc in stcs]
    lines = write_lines(Bunch(src=case.forward["src"], conditions=conditions, arguments=arguments))
    monkeypatch.setattr(mne, "read_forward_solution", lambda _: case.forward)
    for name, owner, function in [
        ("surface", mne.SourceEstimate, "plot"),
        ("volume", mne.VolSourceEstimate, "plot"),
        ("sparse", mne.viz, "plot_sparse_source_estimates"),
    ]:
        signature = inspect.signature(getattr(owner, function))

        def draw(*args, name=name, signature=signature, **kwargs):
            signature.bind(*args, **kwargs)
            called.append(name)
            if name == "volume":
                assert args[1].kind == "volume"
                (space,) = args[1]
                assert_array_equal(space["vertno"], args[0].vertices[0])
                assert_array_equal(np.flatnonzero(space["inuse"]), args[0].vertices[0])
            if name == "sparse":
                assert [stc.subject for stc in args[1]] == ["simulated"] * n_conditions

        monkeypatch.setattr(owner, function, draw)
    exec(lines, {})
    assert set(called) == set(drawn)


def test_lines_for_the_simulated_recording():
    stc = Bunch(vertices=[[3], []])
    run = Bunch(
        src=[{"type": "surf", "subject_his_id": "simulated"}, {"type": "surf"}],
        conditions=[Bunch(stc=stc)],
        arguments=Bunch(forward=None, output=Path("my 'folder'")),
    )
    lines = write_lines(run)
    compile(lines, "lines", "exec")
    assert "forward = make_recording().forward" in lines
    assert "subjects_dir" not in lines  # nobody has a folder of this subject
