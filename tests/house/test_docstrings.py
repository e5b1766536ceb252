"""Docstrings list each parameter with its type: of all of the api, and of what one room imports from another one."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import docstring_parser.numpydoc
import pytest

import napari_restore

PACKAGE = Path(napari_restore.__file__).parent
TREES = {file: ast.parse(file.read_text(encoding="utf-8")) for file in sorted(PACKAGE.rglob("*.py"))}
API = "api"

Definition = ast.FunctionDef | ast.ClassDef


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def room_of(module: str) -> str:
    """The folder or module directly below the package."""
    return module.partition(".")[2].partition(".")[0]


@cache
def imported_by_other_rooms() -> set[tuple[str, str]]:
    """Module and name of what is imported by a room that the module does not belong to."""
    return {
        (node.module, alias.name)
        for file, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("napari_restore.")
        for alias in node.names
        if room_of(node.module) != room_of(module_of(file))
    }


def definitions(file: Path) -> Iterator[tuple[str, Definition]]:
    """Functions and classes of a module that have to list their parameters, and the methods of these classes."""
    module, crossing = module_of(file), imported_by_other_rooms()
    for node in TREES[file].body:
        if not isinstance(node, Definition) or node.name.startswith("_"):
            continue
        if room_of(module) != API and (module, node.name) not in crossing:
            continue
        yield node.name, node
        if isinstance(node, ast.ClassDef):
            methods = [part for part in node.body if isinstance(part, ast.FunctionDef)]
            yield from ((f"{node.name}.{part.name}", part) for part in methods if not part.name.startswith("_"))


def expected(file: Path, node: Definition) -> set[str]:
    """Parameters of a function; in the api also those with stars, and the fields of a class."""
    in_api = room_of(module_of(file)) == API
    if isinstance(node, ast.FunctionDef):
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        starred = [one for one in (node.args.vararg, node.args.kwarg) if one is not None and in_api]
        return {argument.arg for argument in (*arguments, *starred)} - {"self", "cls"}
    if not in_api:
        return set()
    fields = [part.target for part in node.body if isinstance(part, ast.AnnAssign)]
    return {field.id for field in fields if isinstance(field, ast.Name) and not field.id.startswith("_")}


def documented(node: Definition) -> set[str]:
    """Names that the docstring lists with a type, under "Parameters", "Other Parameters" or "Attributes"."""
    entries = docstring_parser.numpydoc.parse(ast.get_docstring(node) or "").params
    return {name.strip(" *") for entry in entries if entry.type_name for name in entry.arg_name.split(",")}


def missing(file: Path) -> list[str]:
    found = {name: expected(file, node) - documented(node) for name, node in definitions(file)}
    return [f"{name}: {', '.join(sorted(names))}" for name, names in found.items() if names]


@pytest.mark.parametrize("file", TREES, ids=module_of)
def test_parameters_have_types(file: Path) -> None:
    assert missing(file) == []


def test_most_rooms_are_looked_at() -> None:
    rooms = {room_of(module_of(file)) for file in TREES if list(definitions(file))}
    assert {API, "engine", "images", "intensity", "models", "tiling"} <= rooms


EXAMPLE = """
def f(a, *, b, **c):
    '''Do it.

    Parameters
    ----------
    a
        Of no type.
    b : int
        A number.
    '''
"""


def test_a_parameter_without_a_type_is_found() -> None:
    node = ast.parse(EXAMPLE).body[0]
    assert isinstance(node, ast.FunctionDef)
    assert expected(PACKAGE / "api/zoo.py", node) - documented(node) == {"a", "c"}
