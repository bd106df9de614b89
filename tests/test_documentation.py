"""Commands of the README are those that the checks run."""

from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_readme_sets_up_and_tests_as_the_checks_do():
    section = (ROOT / "README.md").read_text("utf-8").partition("## Tests\n")[2]
    command = section.partition("```bash\n")[2].partition("\n```")[0]
    lines = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()
    assert command.endswith("pytest")
    assert command in [line.removesuffix(" || status=$?") for line in lines]
