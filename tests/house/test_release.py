"""Files for releases say what pyproject.toml says."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from napari_restore import __version__

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OTHER_NAMES = {"dask[array]": "dask-core", "torch": "pytorch"}
"""Names of conda-forge for requirements that PyPI calls otherwise."""


def test_the_recipe_of_conda_forge_needs_the_same() -> None:
    text = (ROOT / ".github/conda-forge/recipe.yaml").read_text(encoding="utf-8")
    recipe = yaml.safe_load(text)
    wanted = {tuple(re.split("(?=>=)", one)) for one in PROJECT["dependencies"]}
    run = {tuple(one.split(" ")) for one in recipe["requirements"]["run"] if not one.startswith("python ")}
    assert run == {(OTHER_NAMES.get(one, one), bound) for one, bound in wanted}
    assert recipe["context"]["version"] == __version__
    assert set(recipe["build"]["python"]["entry_points"]) == {f"{n} = {e}" for n, e in PROJECT["scripts"].items()}


def test_the_readme_names_the_torch_of_the_constraints() -> None:
    named = re.findall(r"torch==([\d.]+)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert named == re.findall(r"(?m)^torch==(\S+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"))


def test_the_citation_is_of_this_version() -> None:
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"] == __version__


@pytest.mark.parametrize("file", sorted((ROOT / ".github/workflows").glob("*.yml")), ids=lambda file: file.stem)
def test_environments_of_workflows_are_those_of_tox(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert yaml.safe_load(text)["jobs"]
    defined = set(re.findall(r"\[testenv:(\w[\w-]*)\]", (ROOT / "tox.ini").read_text(encoding="utf-8")))
    named = set(re.findall(r"tox -e (\w[\w-]*)", text)) | set(re.findall(r"environment: (\w[\w-]*),", text))
    assert named <= defined


def installed(command: str) -> list[str]:
    """Debian packages that a command installs."""
    return command.replace("\\\n", " ").partition("--no-install-recommends")[2].split()


@pytest.mark.parametrize("name", ["tests", "weekly"])
def test_workflows_install_the_libraries_of_the_check(name: str) -> None:
    """They are not root, and `.ci/run` installs packages as root only."""
    check = (ROOT / ".ci/run").read_text(encoding="utf-8").partition("command -v xvfb-run")[2].partition("\nfi")[0]
    jobs = yaml.safe_load((ROOT / f".github/workflows/{name}.yml").read_text(encoding="utf-8"))["jobs"].values()
    steps = [step.get("run", "") for job in jobs for step in job["steps"]]
    assert [installed(step) for step in steps if "apt-get" in step] == [installed(check)] and installed(check)


def test_every_python_that_is_tested_is_named() -> None:
    text = (ROOT / ".github/workflows/tests.yml").read_text(encoding="utf-8")
    (tested,) = re.findall(r"python: \[(.*)\]", text)
    named = [one.rpartition(" :: ")[2] for one in PROJECT["classifiers"] if ":: Python :: 3." in one]
    assert [one.strip(' "') for one in tested.split(",")] == named
