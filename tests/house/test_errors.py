"""Errors are free of the words of one face: these belong in a `WayOut`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import napari_restore

_ROOT = Path(napari_restore.__file__).parent
_WORDS = re.compile(r"(?<![\w-])--[a-z]|\b[a-z_]{4,}=|SHA-256|`napari-restore|\brecipe\.")
_ONE_FACE = {
    "api/in_memory.py", "api/restoring.py", "api/zoo.py",  # called from Python alone
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
