"""Errors are free of the words of one face: these belong in a `WayOut`."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import typer

import napari_restore
from napari_restore import api, cli
from napari_restore.engine.planning.recipe import settings

_ROOT = Path(napari_restore.__file__).parent
_WORDS = re.compile(r"(?<![\w-])--[a-z]|\b[a-z_]{4,}=|SHA-256|`napari-restore|\brecipe\.")
_ONE_FACE = {
    "api/arrays/in_memory.py", "api/restoring.py", "api/zoo.py",  # called from Python alone
    "engine/planning/settings/setting.py",  # for who adds a setting
    "engine/record/verify.py",  # no face but Python and the command line
    "images/readers/xarray.py",  # a layer is asked for its own axes
}  # fmt: skip
"""Modules whose errors do not reach the plugin."""


def _messages(path: Path) -> Iterator[tuple[int, str]]:
    """The text of each error that is raised, without its way out."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Raise) or not isinstance(node.exc, ast.Call) or not node.exc.args:
            continue
        if getattr(node.exc.func, "id", "").endswith("Error") or len(node.exc.args) > 1:
            parts = ast.walk(node.exc.args[0])
            yield (
                node.lineno,
                "".join(part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)),
            )


def test_errors_of_the_plugin_have_no_words_of_other_faces() -> None:
    seen, found = 0, []
    for path in sorted(_ROOT.rglob("*.py")):
        name = path.relative_to(_ROOT).as_posix()
        if name in _ONE_FACE or name.startswith(("cli/", "training/", "engine/run/cluster/")):
            continue
        for line, text in _messages(path):
            seen += 1
            if _WORDS.search(text.replace("pip install --upgrade", "")):
                found.append(f"{name}:{line}: {text}")
    assert seen > 200 and not found, "\n".join(found)


def _ways_out() -> Iterator[tuple[str, list[str]]]:
    """The place of each `WayOut`, and its texts for callers, the command line and the window."""
    for path in sorted(_ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "WayOut" and len(node.args) == 3:
                texts = [
                    "".join(part.value for part in ast.walk(argument) if isinstance(part, ast.Constant))
                    for argument in node.args
                ]
                yield f"{path.relative_to(_ROOT).as_posix()}:{node.lineno}", texts


def test_each_face_names_what_it_has() -> None:
    """Options that a command has, arguments that a function of the api takes, and none of both in the window."""
    options = set[str]()
    commands = [typer.main.get_command(cli.app)]
    while commands:
        command = commands.pop()
        commands += getattr(command, "commands", {}).values()
        options.update(
            *(parameter.opts + parameter.secondary_opts for parameter in command.get_params(typer.Context(command)))
        )
    arguments = {name for function in vars(api).values() if callable(function) for name in _parameters(function)}
    arguments |= settings().keys()
    seen = 0
    for place, (call, command_line, window) in _ways_out():
        seen += 1
        assert set(re.findall(r"\b([a-z_]{4,})=", call)) <= arguments, place
        assert not re.search(r"(?<![\w-])--[a-z]", call.replace("verify --repair", "")), place
        assert set(re.findall(r"(?<![\w-])--[a-z][\w-]*", command_line)) <= options, place
        assert not _WORDS.search(window.replace("`napari-restore verify --repair`", "").rstrip(".")), place
    assert seen > 15


def _parameters(function: object) -> Iterator[str]:
    with suppress(TypeError, ValueError):
        yield from inspect.signature(function).parameters  # type: ignore[arg-type]


def test_warnings_and_advice_have_no_words_of_one_face() -> None:
    """What a plan, a report and the window show alike: the setting is named, and not how a face gives it."""
    found = []
    for name in ("engine/planning/noise_fit.py", "images/readers/reader.py", "images/readers/tiff/file.py"):
        for node in ast.walk(ast.parse((_ROOT / name).read_text(encoding="utf-8"))):
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and "\n" not in text and _WORDS.search(text):
                found.append(f"{name}:{node.lineno}: {text}")
    assert not found, "\n".join(found)
