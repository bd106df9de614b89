"""The checks of every supported version: ``nox`` runs all, ``nox -s tests-lowest`` one of them."""

import shutil
from pathlib import Path

import nox

PYPROJECT = nox.project.load_toml("pyproject.toml")
PROJECT = PYPROJECT["project"]
PYTHONS = nox.project.python_versions(PYPROJECT)
REQUIREMENTS = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]
# The lowest versions are those that pyproject.toml promises, of the tools, too.
LOWEST = [f"{one.replace('>=', '==')}.*" for one in REQUIREMENTS if ">=" in one]
# Of the tests, those that an installed package runs: from arrays and from recordings to a result,
# and what these need.
INSTALLED_TESTS = [
    "conftest.py",
    "test_typing.py",
    "solvers/test_solvers.py",
    "inspection/test_certificate.py",
    "inverse/test_trial_folds.py",
]
NEEDED = ["hypothesis", "pytest", "pytest-xdist"]


@nox.session(name="tests-newest", python=PYTHONS)
def tests_newest(session):
    """Run all tests with the newest versions, by each Python that is installed."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "pytest", "-m", "", *session.posargs)


@nox.session(name="tests-lowest", python=PYTHONS[0])
def tests_lowest(session):
    """Run all tests with the lowest versions."""
    session.install("-e", ".[test]", *LOWEST)
    session.run("python", "-m", "pytest", "-m", "", *session.posargs)


@nox.session
def coverage(session):
    """Count the lines that the default tests run."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "pytest", "--cov", *session.posargs)


@nox.session
def packages(session):
    """Build wheel and sdist, install each out of the checkout, and test the wheel."""
    session.install("build")
    folder = Path(session.create_tmp()).resolve()
    shutil.rmtree(folder)
    session.run("python", "-m", "build", "-q", "--outdir", str(folder), ".")
    for archive in sorted(folder.glob("skmxne-*")):
        place = folder / ("wheel" if archive.suffix == ".whl" else "sdist")
        shutil.copytree("tests", place / "tests")
        shutil.copy("pyproject.toml", place)
        session.run("python", "-m", "venv", str(place / "venv"))
        python = str(place / "venv" / "bin" / "python")
        with session.chdir(place):
            session.run(python, "-m", "pip", "install", "-q", str(archive), external=True)
            session.run(python, "-m", "skmxne", "sys-info", external=True)
            if archive.suffix != ".whl":  # of the sdist pip makes the same wheel
                continue
            session.run(python, "-m", "pip", "install", "-q", *NEEDED, external=True)
            tests = [f"tests/{name}" for name in INSTALLED_TESTS]
            session.run(python, "-m", "pytest", "-q", *tests, external=True)
            options = ["-q", "--doctest-modules", "--pyargs", "skmxne"]
            session.run(python, "-m", "pytest", *options, external=True)


@nox.session
def types(session):
    """Check the type hints."""
    session.install("-e", ".", "mypy")
    session.run("mypy")
