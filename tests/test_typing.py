"""Type hints: complete for every public name, and what is imported for them is what is exported."""

import ast
import inspect
from importlib import import_module
from pathlib import Path

import pytest

import skmxne
from skmxne import datasets, solvers
from skmxne.inspection.certificate import Certificate

PUBLIC = [
    *(getattr(skmxne, name) for name in skmxne.__all__),
    *(getattr(datasets, name) for name in datasets.__all__),
    solvers.BlockProblem,
    solvers.solve_block_problem,
    Certificate,
]


def find_functions(thing):
    """Return the public functions of this package that a name stands for, with its own names."""
    if inspect.isfunction(thing):
        return {thing.__name__: thing}
    functions = {}
    for name in dir(thing):
        if name.startswith("_") and name != "__init__":
            continue
        function = inspect.getattr_static(thing, name)
        for attribute in ("__func__", "fget", "func"):  # class methods and properties
            function = getattr(function, attribute, function)
        if inspect.isfunction(function) and function.__module__.startswith("skmxne."):
            functions[name] = function
    return functions


def find_missing_hints(function):
    """Return which parameters have no hint, and "return" if what is returned has none."""
    signature = inspect.signature(function)
    missing = [p.name for p in signature.parameters.values() if p.annotation is p.empty]
    if signature.return_annotation is signature.empty:
        missing.append("return")
    return set(missing) - {"self", "cls"}


@pytest.mark.parametrize("thing", PUBLIC, ids=lambda thing: thing.__name__)
def test_hints_are_complete(thing):
    functions = find_functions(thing)
    missing = {name: find_missing_hints(function) for name, function in functions.items()}
    assert functions
    assert {name: hints for name, hints in missing.items() if hints} == {}


def test_type_checkers_know_the_names_that_are_loaded_late():
    tree = ast.parse(Path(skmxne.__file__).read_text("utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    names = {alias.asname: each.module for each in block.body for alias in each.names}
    assert set(names) == set(skmxne.__all__)
    for name, module in names.items():
        assert getattr(import_module(f"skmxne.{module}"), name) is getattr(skmxne, name)


def test_hints_are_shipped():
    assert (Path(skmxne.__file__).parent / "py.typed").is_file()
