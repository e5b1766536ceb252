"""The examples in docstrings do what they say."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import napari_restore

PACKAGE = Path(napari_restore.__file__).parent
FILES = [file for file in sorted(PACKAGE.rglob("*.py")) if ">>>" in file.read_text(encoding="utf-8")]


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("file", FILES, ids=module_of)
def test_examples(file: Path) -> None:
    assert "widgets" not in file.parts or "jobs" in file.parts, "examples of panels would not run where there is no Qt"
    module = importlib.import_module(module_of(file))
    examples = [test for test in doctest.DocTestFinder().find(module) if test.examples]
    there = file.read_text(encoding="utf-8").count(">>> ")
    assert sum(len(test.examples) for test in examples) == there, "an example stands where doctest does not look"
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    told: list[str] = []
    failed = sum(runner.run(test, out=told.append).failed for test in examples)
    assert not failed, "".join(told)


def test_there_are_some() -> None:
    assert len(FILES) > 10
