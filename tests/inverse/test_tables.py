"""The table of sources: what it says is what dipoles and source estimates say."""

import mne
import nibabel
import numpy as np
import pytest
from numpy.testing import assert_allclose

from skmxne import InverseProblem, MixedNormEstimator

COLUMNS = [
    *("hemisphere", "vertex", "x_mm", "y_mm", "z_mm", "amplitude_nAm", "latency_ms"),
    *("gof_percent", "ori_x", "ori_y", "ori_z"),
]


def make(case, *, loose="auto", of_list=False):
    evoked = case.evokeds if of_list else case.evoked
    problem = InverseProblem.from_evoked(evoked, case.forward, case.noise_cov, loose=loose)
    model = MixedNormEstimator(30, n_orient=problem.n_orient).fit(problem.X, problem.y)
    return problem, model


@pytest.mark.usual(source_model=[("surface", 0.2), ("surface", 0), ("surface+volume", "auto")])
def test_rows_are_dipoles_and_vertices(make_case, source_model):
    kind, loose = source_model
    problem, model = make(make_case(kind, amplitude=20e-9), loose=loose)
    confidence = problem.compute_confidence(model, n_draws=20)
    table = problem.to_data_frame(model, confidence=confidence)
    assert list(table.columns) == [*COLUMNS, "p_value", "radius_mm"]
    assert table.index.name == "position"
    assert len(table) == model.n_active_ > 1
    assert (np.diff(np.abs(table.amplitude_nAm)) <= 0).all()
    dipoles = dict(zip(confidence.positions, problem.to_dipoles(model), strict=True))
    stc = problem.to_source_estimate(model)
    vertices = [v for some in stc.vertices for v in some]
    for position, row in table.iterrows():
        dipole, k = dipoles[position], list(confidence.positions).index(position)
        peak = np.abs(stc.data[k]).argmax()
        assert row.vertex == vertices[k]
        assert_allclose(row.amplitude_nAm, 1e9 * stc.data[k, peak])
        assert_allclose(row.latency_ms, 1e3 * stc.times[peak])
        assert_allclose(row.gof_percent, dipole.gof[peak])
        assert_allclose([row.x_mm, row.y_mm, row.z_mm], 1e3 * problem.locations[position])
        assert_allclose([row.ori_x, row.ori_y, row.ori_z], dipole.ori[peak])
        assert row.p_value == confidence.p_values[k]
        away = problem.locations[confidence.regions[k]] - problem.locations[position]
        assert_allclose(row.radius_mm, 1e3 * np.linalg.norm(away, axis=1).max(), atol=1e-6)
    space_of = np.repeat(np.arange(len(stc.vertices)), [len(v) for v in stc.vertices])
    names = {True: ["lh", "rh"], False: [""]}
    for position, hemisphere in table.hemisphere.items():
        space = problem.forward["src"][space_of[list(confidence.positions).index(position)]]
        assert hemisphere in names[space["type"] == "surf"]
    lines = [
        {k: v for k, v in row.items() if k != "position"} for row in problem.list_sources(model)
    ]
    assert lines == table[COLUMNS].to_dict("records")


def test_hemispheres(make_case):
    problem, _ = make(make_case("surface"), loose=0)
    n_left = problem.forward["src"][0]["nuse"]
    coef = np.zeros((len(problem.times), len(problem.locations)))
    coef[:, n_left - 1], coef[:, n_left] = 2, 1
    coef = coef / problem.source_scale
    assert list(problem.to_data_frame(coef).hemisphere) == ["lh", "rh"]


def test_no_source_and_list_of_data(make_case):
    problem, _ = make(make_case("surface"), loose=0)
    none = np.zeros((len(problem.times), len(problem.locations)))
    table = problem.to_data_frame(none)
    assert table.shape == (0, 11)
    assert list(table.columns) == COLUMNS
    table = problem.to_data_frame(none, confidence=problem.compute_confidence(none))
    assert list(table.columns) == [*COLUMNS, "p_value", "radius_mm"]
    problem, model = make(make_case("surface"), loose=0, of_list=True)
    tables = problem.to_data_frame(model)
    assert [len(table) for table in tables] == [model.n_active_] * 2
    assert set(tables[0].index) == set(tables[1].index)
    assert not np.allclose(np.sort(tables[0].amplitude_nAm), np.sort(tables[1].amplitude_nAm))


@pytest.fixture
def subjects_dir(make_case, tmp_path):
    """Return a folder of subjects with the labels of every second position, and a transform."""
    forward = make_case("surface").forward
    folder = tmp_path / "simulated"
    (folder / "label").mkdir(parents=True)
    (folder / "surf").mkdir()
    (folder / "mri" / "transforms").mkdir(parents=True)
    labels = []
    for hemi, space in zip(["lh", "rh"], forward["src"], strict=True):
        for name in ("white", "inflated"):
            mne.write_surface(folder / "surf" / f"{hemi}.{name}", space["rr"] * 1e3, space["tris"])
        vertices = space["vertno"][::2]
        pos = space["rr"][vertices]
        labels.append(mne.Label(vertices, pos, hemi=hemi, name="even", subject="simulated"))
    for hemi in ("lh", "rh"):
        mne.write_labels_to_annot(
            [label for label in labels if label.hemi == hemi],
            *("simulated", "aparc"),
            hemi=hemi,
            subjects_dir=tmp_path,
            verbose="ERROR",
        )
    return tmp_path


def test_anatomy(make_case, subjects_dir):
    problem, model = make(make_case("surface", amplitude=20e-9))
    expected = problem.to_data_frame(model)
    table = problem.to_data_frame(model, subjects_dir=subjects_dir)
    assert list(table.columns) == [*COLUMNS, "label"]
    assert (table[COLUMNS] == expected).all(axis=None)
    for _, row in table.iterrows():
        space = problem.forward["src"][["lh", "rh"].index(row.hemisphere)]
        is_even = row.vertex in space["vertno"][::2]
        assert row.label == f"{'even' if is_even else 'unknown'}-{row.hemisphere}"
    mri = subjects_dir / "simulated" / "mri"
    image = nibabel.MGHImage(np.zeros((4, 4, 4), np.float32), np.eye(4))
    for name in ("T1.mgz", "orig.mgz"):
        image.to_filename(mri / name)
    (mri / "transforms" / "talairach.xfm").write_text(
        "MNI Transform File\n\nTransform_Type = Linear;\nLinear_Transform =\n"
        "1 0 0 5\n0 1 0 -7\n0 0 1 2;\n"
    )
    table = problem.to_data_frame(model, subjects_dir=subjects_dir)
    assert list(table.columns)[-3:] == ["mni_x_mm", "mni_y_mm", "mni_z_mm"]
    places = table[["x_mm", "y_mm", "z_mm"]].to_numpy() / 1e3
    trans = problem.forward["mri_head_t"]
    mni = mne.head_to_mni(places, "simulated", trans, subjects_dir=subjects_dir)
    assert_allclose(table[["mni_x_mm", "mni_y_mm", "mni_z_mm"]], mni)


def test_anatomy_that_is_not_there(make_case, tmp_path):
    problem, model = make(make_case("surface"))
    with pytest.raises(ValueError, match="subjects_dir has no folder 'simulated'"):
        problem.to_data_frame(model, subjects_dir=tmp_path)
    (tmp_path / "simulated").mkdir()
    with pytest.raises(OSError, match="annotation"):
        problem.to_data_frame(model, subjects_dir=tmp_path)
