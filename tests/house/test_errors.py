"""Errors are free of the words of one face: these belong in a `WayOut`."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

import typer

import napari_restore
from napari_restore import api, cli, errors
from napari_restore.engine.planning.recipe import settings

_ROOT = Path(napari_restore.__file__).parent
_NAMES = "|".join(sorted(name for name in {*settings(), "shared_range"} if "_" in name))
_WORDS = re.compile(
    rf"(?<![\w-])--[a-z]|\b[a-z_]{{4,}}=|SHA-256|[`'\"]napari-restore |\brecipe\.|\bapi\.|\b(?:{_NAMES})\b"
)
_ONE_FACE = {
    "api/arrays/in_memory.py", "api/restoring.py", "api/zoo.py",  # called from Python alone
    "engine/planning/settings/setting.py",  # for who adds a setting
    "engine/record/verify.py",  # no face but Python and the command line
    "networks/channel_attention.py",  # for who builds a network
    "images/readers/xarray.py",  # a layer is asked for its own axes
}  # fmt: skip
"""Modules whose errors do not reach the plugin."""


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _messages(path: Path) -> Iterator[tuple[int, str]]:
    """The text of each error that is raised, without its way out."""
    for node in ast.walk(_tree(path)):
        if not isinstance(node, ast.Raise) or not isinstance(node.exc, ast.Call) or not node.exc.args:
            continue
        function = node.exc.func
        if isinstance(function, ast.Attribute) and function.attr == "around":
            function = function.value
        if getattr(function, "id", "").endswith("Error") or len(node.exc.args) > 1:
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
        for node in ast.walk(_tree(path)):
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


_OF_A_FACE = {
    "api/batch_plan.py",  # the summary of a batch, for who prints it
    "api/boundary.py", "doctor.py", "engine/hardware/backends.py", "images/store/prefix.py",  # how to install
    "engine/store/progress.py", "html_page.py", "images/guards/separate_process.py", "api/write_settings.py",  # code
    "engine/record/page.py",  # the report of a run, which names each face
    "widgets/jobs/calls.py",  # a call to copy
    "widgets/panels/menus/memory_menu.py",  # says how to use a file on the command line
    "widgets/panels/models/model_card.py",  # HTML
    "exporting/bioimageio.py", "exporting/onnx.py", "images/writing/digests.py",
}  # fmt: skip
"""Modules whose other words are for one face, or name the face that they are for."""


class _Texts(ast.NodeVisitor):
    """All texts of a module, without docstrings and ways out."""

    def __init__(self) -> None:
        self.found: list[tuple[int, str]] = []

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):
            self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if getattr(node.func, "id", "") != "WayOut":
            self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and " " in node.value.strip():
            self.found.append((node.lineno, node.value))


def test_what_the_window_shows_has_no_words_of_one_face() -> None:
    """Notes, warnings and verdicts that all faces show alike: a setting is named in words, not as a face gives it."""
    seen, found = 0, []
    for path in sorted(_ROOT.rglob("*.py")):
        name = path.relative_to(_ROOT).as_posix()
        if name in _ONE_FACE | _OF_A_FACE or name.startswith(("cli/", "training/", "engine/run/cluster/")):
            continue
        texts = _Texts()
        texts.visit(_tree(path))
        seen += len(texts.found)
        found += [
            f"{name}:{line}: {text}"
            for line, text in texts.found
            if _WORDS.search(text.replace("pip install --upgrade", ""))
        ]
    assert seen > 1000 and not found, "\n".join(found)


def test_an_error_that_is_told_within_another_brings_no_words_of_one_face() -> None:
    """`str` of an error has the advice for Python: `fault_of`, or `RestoreError.around`, keeps the faces apart."""
    own = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    seen, found = 0, []
    for path in sorted(_ROOT.rglob("*.py")):
        name = path.relative_to(_ROOT).as_posix()
        if name in _ONE_FACE or name.startswith(("cli/", "training/")):
            continue
        for handler in ast.walk(_tree(path)):
            if not isinstance(handler, ast.ExceptHandler) or not handler.name or handler.type is None:
                continue
            if not own & {getattr(one, "id", "") for one in ast.walk(handler.type)}:
                continue
            seen += 1
            found += [f"{name}:{node.lineno}" for node in ast.walk(handler) if _is_text_of(node, handler.name)]
    assert seen > 10 and not found, "\n".join(found)


def _is_text_of(node: ast.AST, name: str) -> bool:
    """Whether an expression is the text of a variable: ``{error}`` in an f-string, or ``str(error)``."""
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("str", "repr") and node.args:
        return getattr(node.args[0], "id", "") == name
    return isinstance(node, ast.FormattedValue) and getattr(node.value, "id", "") == name
