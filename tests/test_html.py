"""What notebooks show: links, the summary of a fit, and the table of a problem."""

from html.parser import HTMLParser

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_html_repr

from skmxne import InverseProblem, MixedNormCV, MixedNormEstimator, MixedNormIC, SourceWeighting
from skmxne._html import make_table

ALPHAS = [80.0, 40.0, 20.0, 1.0]
MODELS = [
    MixedNormEstimator(n_orient=3),
    MixedNormIC(n_orient=3, alphas=ALPHAS),
    MixedNormCV(n_orient=3, alphas=ALPHAS),
]
models = pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)


class Reader(HTMLParser):
    """Read the rows of our table, and the names of all elements."""

    def __init__(self, html):
        super().__init__()
        self.cells, self.elements, self.links, self.is_ours = [], [], [], False
        self.feed(html)
        self.rows = dict(zip(self.cells[::2], self.cells[1::2], strict=True))

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        attrs = dict(attrs)
        self.links += [attrs["href"]] if "href" in attrs else []
        self.is_ours |= attrs.get("class") == "skmxne-table"
        if self.is_ours and tag in ("th", "td"):
            self.cells.append("")

    def handle_endtag(self, tag):
        if tag == "table":
            self.is_ours = False

    def handle_data(self, data):
        if self.cells and self.is_ours:
            self.cells[-1] += data


@pytest.fixture(scope="module")
def data(make_problem):
    return make_problem(n_orient=3, noise=1.0)


def test_text_of_a_table_is_no_html():
    text = "<b onclick='x()'>&amp;\"</b>"
    reader = Reader(make_table(text, {text: text}))
    assert reader.rows == {text: text}
    assert "b" not in reader.elements


@models
def test_summary_of_a_fit(data, model):
    model = clone(model).fit(*data)
    rows = Reader(model._repr_html_()).rows
    alpha = getattr(model, "alpha_", 20.0)
    assert float(rows["Alpha"].partition(" ")[0]) == alpha
    assert ("of 4 from 80 to 1 %" in rows["Alpha"]) == hasattr(model, "alphas_")
    assert rows["Active blocks"] == f"{model.n_active_} of 100"
    assert rows["Explained variance"] == f"{model.explained_variance_:.1f} %"
    assert rows["Duality gap"] == f"{model.dual_gap_:.1e}, converged"
    assert rows["Iterations"] == str(model.n_iter_)


@pytest.mark.filterwarnings("ignore:The duality gap")
def test_summary_tells_of_a_fit_that_has_not_converged(data):
    model = MixedNormEstimator(1.0, n_orient=3, solver="bcd", maxit=1, tol=1e-12).fit(*data)
    assert Reader(model._repr_html_()).rows["Duality gap"].endswith(", not converged")


@pytest.mark.filterwarnings("ignore:The model is empty")
def test_summary_of_nothing():
    rows = Reader(MixedNormEstimator().fit(np.eye(3), np.zeros(3))._repr_html_()).rows
    assert (rows["Alpha"], rows["Explained variance"]) == ("0 %", "0.0 %")


@models
def test_representation_is_that_of_scikit_learn_and_a_summary(data, model):
    model = clone(model)
    assert "skmxne-table" not in model._repr_html_()
    model.fit(*data)
    for html in (model._repr_html_(), model._repr_mimebundle_()["text/html"]):
        assert html.index("sk-container") < html.index("skmxne-table")
    with config_context(display="text"):
        assert not hasattr(model, "_repr_html_")
        assert set(model._repr_mimebundle_()) == {"text/plain"}


def test_pipeline_is_shown(data):
    pipeline = make_pipeline(SourceWeighting(n_orient=3), MixedNormEstimator(n_orient=3))
    assert "SourceWeighting" in pipeline.fit(*data)._repr_html_()
    assert "SourceWeighting" in pipeline[0]._repr_html_()


@pytest.mark.parametrize("model", [*MODELS, SourceWeighting()], ids=lambda m: type(m).__name__)
def test_there_are_no_links_to_pages_of_others(model):
    assert Reader(estimator_html_repr(model)).links == []


def test_table_of_an_average(make_case):
    case = make_case("surface")
    evoked = case.evoked.copy()
    evoked.comment = "<img src=x onerror=alert(1)>"
    problem = InverseProblem.from_evoked(evoked, case.forward, case.noise_cov, loose=0.2)
    reader = Reader(problem._repr_html_())
    assert "img" not in reader.elements
    assert reader.rows == {
        "Condition": evoked.comment,
        "Trials": "4",
        "Times": "-100 to 10 ms (12 samples)",
        "Channels": "16 magnetometers, 32 gradiometers, 16 EEG",
        "Rank": str(len(problem.X)),
        "Positions": "48 (surface source space)",
        "Orientations": "3 per position",
    }


def test_table_of_several_averages(make_case):
    case = make_case("volume")
    problem = InverseProblem.from_evoked(case.evokeds, case.forward, case.noise_cov)
    rows = Reader(problem._repr_html_()).rows
    assert rows["Condition"] == "unnamed, unnamed"
    assert rows["Trials"] == "4, 9"
    assert rows["Times"] == "-100 to 10 ms, 50 to 120 ms (20 samples)"


def test_table_of_epochs(recording):
    epochs = recording.epochs.copy().crop(0, 0.1)
    data = epochs, recording.forward, recording.noise_cov
    problem = InverseProblem.from_epochs(*data, loose=0, n_folds=3)
    rows = Reader(problem._repr_html_()).rows
    assert rows["Orientations"] == "1, fixed"
    assert rows["Folds of trials"] == "3"
    assert rows["Trials"] == str(len(epochs))
