"""What the package imports is what pyproject.toml declares: as a dependency, or in an extra that a message can name."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.version import Version

import napari_restore

PACKAGE = Path(napari_restore.__file__).parent
PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]

DISTRIBUTIONS = {"skimage": "scikit-image", "yaml": "pyyaml"}
"""Names to install of modules that are called otherwise."""
OPTIONAL = {
    "ipython",  # in a notebook it is always there
    "hdf5plugin",  # more codecs for h5py, used where they are installed; a message names it
}
"""Imported and in no extra."""
NOT_IMPORTED = {
    "pyqt6",  # one of the bindings that qtpy imports
    "s3fs",  # imported by fsspec for s3://
}
"""Declared for other packages to import."""
EXTRAS_OF_USERS = {
    name: needed
    for name, needed in PROJECT["optional-dependencies"].items()
    if name not in {"docs", "test", "test-napari", "lint", "dev"}
}


def distribution(name: str) -> str:
    """Name of a requirement or module, as package indexes normalise it."""
    found = re.match(r"[\w.-]+", name)
    assert found is not None
    return re.sub(r"[-_.]+", "-", DISTRIBUTIONS.get(found[0], found[0])).lower()


def declared(requirements: list[str]) -> set[str]:
    return {distribution(one) for one in requirements} - {"napari-restore"}


BASE = declared(PROJECT["dependencies"])
EXTRAS = declared([one for requirements in EXTRAS_OF_USERS.values() for one in requirements])
NAPARI = declared(EXTRAS_OF_USERS["napari"])


def imports(node: ast.AST, *, at_start: bool = True) -> Iterator[tuple[str, bool]]:
    """Other packages that a module imports, and whether it does so when it is imported itself."""
    for child in ast.iter_child_nodes(node):
        names: list[str] = []
        if isinstance(child, ast.Import):
            names = [alias.name for alias in child.names]
        elif isinstance(child, ast.ImportFrom) and child.module and not child.level:
            names = [child.module]
        for name in {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"napari_restore"}:
            yield distribution(name), at_start
        for_types = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
        later = for_types or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
        yield from imports(child, at_start=at_start and not later)


IMPORTS = {
    file.relative_to(PACKAGE).as_posix(): set(imports(ast.parse(file.read_text(encoding="utf-8"))))
    for file in sorted(PACKAGE.rglob("*.py"))
}
IMPORTED = {name for found in IMPORTS.values() for name, _ in found}


def test_what_is_imported_is_declared() -> None:
    assert len(IMPORTED) > 20
    assert IMPORTED - BASE - EXTRAS == OPTIONAL


def test_what_is_declared_is_imported() -> None:
    assert (BASE | EXTRAS) - IMPORTED == NOT_IMPORTED


def test_modules_load_without_extras() -> None:
    """Except for the widgets, which need the extra "napari"."""
    needed = {(file, name) for file, found in IMPORTS.items() for name, at_start in found if at_start}
    assert {(file, name) for file, name in needed if name not in BASE and not file.startswith("widgets/")} == set()
    assert {(file, name) for file, name in needed if name not in BASE | NAPARI} == set()


def test_lower_bounds_are_those_that_are_tested() -> None:
    """`tox -e oldest` installs exactly these, so a bound that cannot be installed with the others is found."""
    text = (Path(__file__).parents[2] / "constraints-lowest.txt").read_text(encoding="utf-8")
    pinned = {distribution(name): version for name, version in re.findall(r"^([\w.-]+)==(\S+)$", text, re.MULTILINE)}
    extras = PROJECT["optional-dependencies"]
    needed = [
        *PROJECT["dependencies"],
        *extras["test"],
        *(one for name in ("hdf5", "lif", "nd2", "s3") for one in extras[name]),
    ]
    bounds = dict(one.split(">=") for one in needed if ">=" in one)
    assert len(bounds) > 30
    wrong = {name: bound for name, bound in bounds.items() if Version(pinned[distribution(name)]) != Version(bound)}
    assert wrong == {}, "the head of constraints-lowest.txt says how it is made"


def test_tests_install_no_other_versions() -> None:
    """An extra for tests has the lower bounds of the extras of users."""
    listed: dict[str, set[str]] = {}
    for requirement in (
        one for needed in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()) for one in needed
    ):
        listed.setdefault(distribution(requirement), set()).add(requirement.partition(">=")[2])
    assert {name: bounds for name, bounds in listed.items() if name != "napari-restore" and len(bounds) > 1} == {}
