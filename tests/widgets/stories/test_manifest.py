"""The manifest against what it names: `npe2 validate` lets a dangling command, menu or key pass."""

from __future__ import annotations

import copy
import types
import typing
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import npe2
import pytest
import yaml
from napari import Viewer
from napari._qt.widgets.qt_command_palette import QCommandPalette
from pydantic import BaseModel
from qtpy.QtCore import Qt
from qtpy.QtGui import QAction
from qtpy.QtWidgets import QMenu

import napari_restore
from napari_restore.widgets.preferences import Preferences

MANIFEST = Path(napari_restore.__file__).parent / "napari.yaml"
IN_PALETTE_ONLY = {"napari-restore.upscale_image"}
CONTENT: dict[str, Any] = yaml.safe_load(MANIFEST.read_text(encoding="utf-8"))


def unknown_keys(content: Any, annotation: Any, place: str = "") -> Iterator[str]:
    """Keys, at any depth, that the models of npe2 have no field for."""
    options = list(alternatives(annotation))
    for kind in (list, dict):
        if not isinstance(content, kind):
            continue
        inner = [typing.get_args(option)[-1] for option in options if typing.get_origin(option) is kind]
        if inner:  # a list, or a mapping whose keys are the author's own
            named = content.items() if kind is dict else enumerate(content)
            for key, item in named:
                yield from unknown_keys(item, inner[0], f"{place}.{key}")
            return
    models = [option for option in options if isinstance(option, type) and issubclass(option, BaseModel)]
    if not isinstance(content, dict) or not models:
        return
    fields = {name: field for model in models for name, field in model.model_fields.items()}
    known = fields | {field.alias: field for field in fields.values() if field.alias}
    for key, item in content.items():
        if key in known:
            yield from unknown_keys(item, known[key].annotation, f"{place}.{key}")
        else:
            yield f"{place}.{key}"


def alternatives(annotation: Any) -> Iterator[Any]:
    """What an annotation allows, without `Annotated`, `Optional` and unions."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        yield from alternatives(typing.get_args(annotation)[0])
    elif origin in (typing.Union, types.UnionType):
        for option in typing.get_args(annotation):
            yield from alternatives(option)
    else:
        yield annotation


def dangling_commands(content: dict[str, Any]) -> set[str]:
    """Commands that are used and not there, or there and not used."""
    contributions = content["contributions"]
    kinds = [contributions[kind] for kind in ("widgets", "readers", "writers", "sample_data")]
    used = {entry["command"] for entries in (*kinds, *contributions["menus"].values()) for entry in entries}
    return (used ^ {command["id"] for command in contributions["commands"]}) - IN_PALETTE_ONLY


def test_npe2_finds_it_valid() -> None:
    npe2.PluginManifest.from_file(MANIFEST).validate_imports()


def test_commands_are_there_and_used() -> None:
    assert dangling_commands(CONTENT) == set()


def test_no_key_is_unknown() -> None:
    assert list(unknown_keys(CONTENT, npe2.PluginManifest)) == []


def _rename(*path: str | int) -> Callable[[dict[str, Any]], str]:
    """Misspell the last key of a path."""

    def change(content: Any) -> str:
        for step in path[:-1]:
            content = content[step]
        content[f"{path[-1]}s"] = content.pop(path[-1])
        return f"{path[-1]}s"

    return change


@pytest.mark.parametrize(
    "change",
    [
        _rename("display_name"),
        _rename("contributions", "readers"),
        _rename("contributions", "commands", 0, "python_name"),
        _rename("contributions", "readers", 0, "accepts_directories"),
        _rename("contributions", "menus", "napari/layers/filter", 0, "command"),
        _rename("contributions", "configurations", "running", "title"),
        _rename("contributions", "configurations", "running", "properties", "memory_budget", "minimum"),
    ],
)
def test_a_misspelt_key_is_caught(change: Callable[[dict[str, Any]], str]) -> None:
    content = copy.deepcopy(CONTENT)
    wrong = change(content)
    assert [key.rpartition(".")[2] for key in unknown_keys(content, npe2.PluginManifest)] == [wrong]


def test_a_dangling_command_is_caught() -> None:
    content = copy.deepcopy(CONTENT)
    content["contributions"]["widgets"][0]["command"] = "napari-restore.denoises"
    assert dangling_commands(content) == {"napari-restore.denoises"}
    del content["contributions"]["commands"][0]
    assert "napari-restore.denoise" in dangling_commands(content)


def entries(menu: QMenu) -> Iterator[QAction]:
    for action in menu.actions():
        yield action
        if (below := action.menu()) is not None:
            yield from entries(below)


@pytest.mark.parametrize(
    ("title", "wanted"), [("Filter", ["Denoise", "Super-resolution", "Adapt to my data"]), ("Measure", ["Trust"])]
)
def test_the_docks_open_from_the_menus(qtbot: Any, viewer: Viewer, title: str, wanted: list[str]) -> None:
    """A misspelt menu is one in which nothing appears."""
    viewer.window.layers_menu.aboutToShow.emit()
    (menu,) = (action.menu() for action in viewer.window.layers_menu.actions() if action.text() == title)
    assert menu is not None
    menu.aboutToShow.emit()
    titles = {command["id"]: command["title"] for command in CONTENT["contributions"]["commands"]}
    named = [titles[entry["command"]] for entry in CONTENT["contributions"]["menus"][f"napari/layers/{title.lower()}"]]
    shown = {action.text().removesuffix(" (Image restoration)"): action for action in entries(menu)}
    assert named == wanted and set(wanted) <= set(shown)
    for each in wanted:
        shown[each].trigger()
        assert any(each in action.text() for action in entries(viewer.window.plugins_menu))
    assert {name.partition(" (")[0] for name in viewer.window.dock_widgets} >= set(wanted)


@pytest.mark.parametrize("typed", ["upscale image", "super-resolution", "denoise image", "trust", "adapt to my"])
def test_the_command_palette_finds_plain_words(viewer: Viewer, typed: str) -> None:
    palette = viewer.window._qt_window.findChild(QCommandPalette)
    first = next(palette._list.iter_top_hits(typed))
    assert first.id.startswith("napari-restore."), first.title
    first_word = typed.partition(" ")[0]
    assert first_word in first.title.lower()


def test_the_palette_opens_the_dock_widget(qtbot: Any, viewer: Viewer) -> None:
    palette = viewer.window._qt_window.findChild(QCommandPalette)
    palette.update_context(viewer.window._qt_window)
    palette.show()
    qtbot.keyClicks(palette._line, "upscale image")
    qtbot.keyClick(palette._line, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: any("Super-resolution" in name for name in viewer.window.dock_widgets))


def test_configurations_are_the_preferences() -> None:
    configurations = CONTENT["contributions"]["configurations"]
    defaults = {name: p["default"] for c in configurations.values() for name, p in c["properties"].items()}
    assert Preferences(**defaults) == Preferences() and set(defaults) == set(vars(Preferences()))


def test_the_entry_point_finds_it() -> None:
    (point,) = (p for p in entry_points(group="napari.manifest") if p.name == "napari-restore")
    module, _, file = point.value.partition(":")
    assert module == "napari_restore" and (Path(napari_restore.__file__).parent / file).is_file()
