"""The table of what is tried says what there is."""

import re
from pathlib import Path

import pytest

TABLE, _ = (
    (Path(__file__).parents[1] / "docs" / "reliability.rst")
    .read_text("utf-8")
    .split("\n\nWhat the tests would notice\n")
)
ROWS = [row.split("\n     - ") for row in TABLE.split("\n   * - ")[2:]]


@pytest.mark.parametrize("row", ROWS, ids=[row[-1] for row in ROWS])
def test_cases_are_as_many_as_the_page_says(request, row):
    _, count, _, files = row
    names = set(re.findall(r"\w+\.py", files))
    for name in names:
        assert (Path(__file__).parent / name).exists()
    cases = [item for item in request.session.items if item.path.name in names]
    if "scikit-learn has for estimators" not in row[0]:  # a row of their own
        cases = [item for item in cases if "test_scikit_learn_checks" not in item.name]
    option = request.config.option
    if {item.path.name for item in cases} != names or option.keyword or option.markexpr:
        pytest.skip("not all of these tests were selected")
    assert len(cases) > int(count.removeprefix("more than "))
