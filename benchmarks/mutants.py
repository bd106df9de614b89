"""Mutation testing: change one thing in a module, and run its tests to see if any fails.

The mutants are those of cosmic-ray. The tests of each mutant run in a separate process::

    pip install cosmic-ray && python benchmarks/mutants.py            # all of MODULES, two hours
    python benchmarks/mutants.py objective solvers.prox --sample 50   # some, at random

The files of the modules are not changed. The script lists the mutants that pass all tests.
"""

import argparse
import os
import random
import re
import resource
import sys
from importlib import import_module
from importlib.machinery import SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path

os.environ["CI"] = "1"  # the same examples every time
os.environ["OMP_NUM_THREADS"] = "1"

import cosmic_ray.ast
import cosmic_ray.plugins
import pytest
from cosmic_ray.mutating import mutate_code

ROOT = Path(__file__).parents[1]
MODULES = {
    "solvers.objective": ["solvers/test_objective.py"],
    "solvers.dispatch": ["solvers/test_solvers.py"],
    "solvers.bcd": ["solvers/test_solvers.py"],
    "solvers.cd": ["solvers/test_solvers.py"],
    "solvers.newton": [
        *("solvers/test_newton.py", "solvers/test_solvers.py", "solvers/test_active_set.py"),
    ],
    "solvers.cholesky": ["solvers/test_newton.py", "solvers/test_bounded_quadratic.py"],
    "solvers.block_problem": ["solvers/test_solvers.py"],
    "solvers.fista": ["solvers/test_solvers.py"],
    "solvers.active_set": ["solvers/test_active_set.py", "solvers/test_reweighting.py"],
    "model_selection.degrees_of_freedom": [
        *("model_selection/test_degrees_of_freedom.py", "-k", "not 100 and not covariance_of_fit"),
    ],
    "inverse.problem": ["inverse/test_problem.py", "inverse/test_trial_folds.py", "test_html.py"],
}
OPTIONS = ["-x", "-q", "--tb=no", "-p", "no:cacheprovider", "-n", "0", "-m", "not sample"]
# Imported once for all processes, which pytest would tell.
PRELOADED = ["hypothesis", "mne", "scipy.stats", "sklearn.utils.estimator_checks"]
OPTIONS += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
# Of all that an operator can become, what is hardest to notice; `|` is in annotations, too, and
# what `is None` can become either is the same or raises.
LEFT_OUT = re.compile(
    r"ReplaceBinaryOperator_(?!(Add_Sub|Sub_Add|Mul_Div|Div_Mul|FloorDiv_Mul|Pow_Mul|BitAnd_BitOr)$)"
    r"|ReplaceComparisonOperator_(\w+_Is|\w+_IsNot|Is_\w+|IsNot_\w+)$"
    r"|ReplaceUnaryOperator_\w+_(UAdd|Invert|Not)$"
)


def find_mutants(source):
    """Yield a description and the source of each mutant."""
    tree = cosmic_ray.ast.get_ast(source)
    nodes = list(cosmic_ray.ast.ast_nodes(tree))
    lines = source.splitlines()
    for name in cosmic_ray.plugins.operator_names():
        operator_class = cosmic_ray.plugins.get_operator(name)
        if LEFT_OUT.search(name) or operator_class.arguments():
            continue
        operator = operator_class()
        places = [(node, place) for node in nodes for place, _ in operator.mutation_positions(node)]
        for occurrence, (node, (line, column)) in enumerate(places):
            if node.parent.type == "parameters":  # the star before those that have names
                continue
            mutant = mutate_code(source, operator, occurrence)
            text = mutant.splitlines()[line - 1] if mutant.count("\n") == len(lines) else "removed"
            yield f"{line}:{column} {lines[line - 1].strip()}  ->  {text.strip()}", mutant


class Mutated(SourceFileLoader):
    """Loads a mutant instead of a module: insert it into ``sys.meta_path``."""

    def __init__(self, name, path, source):
        super().__init__(name, str(path))
        self.source = source

    def find_spec(self, name, path=None, target=None):
        return spec_from_file_location(name, self.path, loader=self) if name == self.name else None

    def get_code(self, fullname):
        return compile(self.source, self.path, "exec")


def run_tests(loader, tests, seconds):
    """Run tests in a forked process. Return whether they pass, and the processor time."""
    child = os.fork()
    if child == 0:
        outcome = 1
        try:
            sys.meta_path.insert(0, loader)
            sink = os.open(os.devnull, os.O_WRONLY)
            os.dup2(sink, 1)
            os.dup2(sink, 2)
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
            resource.setrlimit(resource.RLIMIT_DATA, (4 << 30, 4 << 30))
            outcome = pytest.main([*OPTIONS, *tests])
        finally:
            os._exit(outcome)
    _, status, usage = os.wait4(child, 0)
    return status == 0, usage.ru_utime + usage.ru_stime


def try_module(module, n_most):
    """Print the mutants of a module that pass its tests."""
    name = "skmxne." + module.removesuffix(".__init__")
    path = ROOT / "skmxne" / (module.replace(".", "/") + ".py")
    source = path.read_text("utf-8")
    tests = [
        str(ROOT / "tests" / each) if each.endswith(".py") else each for each in MODULES[module]
    ]
    passed, needed = run_tests(Mutated(name, path, source), tests, 600)
    if not passed:
        raise SystemExit(f"The tests of {module} fail without a mutant.")
    mutants = list(find_mutants(source))
    mutants = random.Random(0).sample(mutants, min(n_most or len(mutants), len(mutants)))
    print(f"{module}: {len(mutants)} mutants, {needed:.0f} s of tests", flush=True)
    n_alive = 0
    for description, mutant in mutants:
        if run_tests(Mutated(name, path, mutant), tests, int(10 + 5 * needed))[0]:
            n_alive += 1
            print(f"  {description}", flush=True)
    print(f"{module}: {n_alive} of {len(mutants)} alive", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", default=list(MODULES), help="names in MODULES")
    parser.add_argument("--sample", type=int, help="most mutants of a module")
    arguments = parser.parse_args()
    for name in PRELOADED:
        import_module(name)
    for module in arguments.modules:
        try_module(module, arguments.sample)
