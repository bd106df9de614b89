"""The documentation has the commands that the checks run, and all criteria."""

from pathlib import Path

import pytest

from skmxne import MixedNormIC
from skmxne.model_selection.criteria import CRITERIA

ROOT = Path(__file__).parents[1]


def test_readme_sets_up_and_tests_as_the_checks_do():
    section = (ROOT / "README.md").read_text("utf-8").partition("## Tests\n")[2]
    command = section.partition("```bash\n")[2].partition("\n```")[0]
    lines = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()
    assert command.endswith("pytest")
    assert command in [line.removesuffix(" || status=$?") for line in lines]


@pytest.mark.parametrize("criterion", ["ric", *CRITERIA])
def test_every_criterion_is_described(criterion):
    pages = [ROOT / "docs" / f"{name}.rst" for name in ("guide_selection", "command_line")]
    for text in [MixedNormIC.__doc__, *(page.read_text("utf-8") for page in pages)]:
        assert f'"{criterion}"' in text
