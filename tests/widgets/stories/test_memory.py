"""What a dock widget remembers: the settings of the last run for a kind of layer, and presets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from docks import click, dock_in, until_idle
from napari import Viewer
from qtpy.QtWidgets import QInputDialog
from typer.testing import CliRunner

from napari_restore import api, cli
from napari_restore.widgets.dock import DenoiseDock, RestoreDock
from napari_restore.widgets.preferences import memory_folder


def opened(qtbot: Any, viewer: Viewer) -> RestoreDock:
    """A new dock widget: napari shows one that is open already again."""
    made = DenoiseDock(viewer)
    qtbot.addWidget(made)
    made.show()
    return made


def entries(dock: RestoreDock) -> dict[str, Any]:
    dock.memory.fill()
    return {action.text(): action for menu in (dock.bar.menu, dock.memory.menu) for action in menu.actions()}


def test_the_settings_of_the_last_run_come_back_for_such_layers(qtbot: Any, viewer: Viewer, dock: RestoreDock) -> None:
    assert dock.memory.row.isHidden()
    dock.output.made["strength"].show(0.6)
    dock.output.low.setText("1")
    dock.output.high.setText("900")
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    other = opened(qtbot, viewer)
    other.input.choose("cells")
    assert other.choices().recipe.strength == 0.6 and other.performance.tile.value() == 96
    assert other.choices().recipe.value_range is None  # it is of the layer before
    assert "strength 0.6" in other.memory.row.note.text() and not other.memory.row.isHidden()
    click(qtbot, other.memory.row.button)
    assert other.choices().settings() == {} and other.model.model() == api.DENOISER and other.memory.row.isHidden()
    other.end()


def test_a_layer_of_another_kind_has_its_own_last_settings(qtbot: Any, viewer: Viewer, dock: RestoreDock) -> None:
    dock.output.made["strength"].show(0.6)
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    dock.end()
    viewer.layers.clear()
    viewer.add_image(np.zeros((40, 50), np.uint8), name="plane")
    other = opened(qtbot, viewer)
    assert other.choices().settings() == {} and other.memory.row.isHidden()
    viewer.add_image(np.zeros((3, 40, 50), np.uint8), name="stack")
    other.input.choose("stack")
    assert other.input.letters() == "ZYX" and other.choices().recipe.strength == 0.6
    other.output.made["strength"].show(0.7)
    other.input.choose("plane")  # what the user has chosen stays
    assert other.choices().recipe.strength == 0.7
    other.end()


def test_axes_that_are_being_typed_recall_nothing(qtbot: Any, viewer: Viewer, dock: RestoreDock) -> None:
    dock.output.made["strength"].show(0.6)
    click(qtbot, dock.bar.run)  # of a stack
    until_idle(qtbot, dock)
    dock.end()
    viewer.layers.clear()
    viewer.add_image(np.zeros((3, 2, 4, 40, 50), np.uint8), name="channels", axis_labels=tuple("tczyx"))
    other = opened(qtbot, viewer)
    assert other.input.letters() == "TCZYX" and other.choices().settings() == {}
    other.input.axes.setFocus()
    other.input.axes.selectAll()
    qtbot.keyClicks(other.input.axes, "TZCYX")  # "TZ" is no axes of this layer
    assert other.input.letters() == "TZCYX" and other.choices().settings() == {} and other.memory.row.isHidden()
    viewer.add_image(np.zeros((3, 40, 50), np.uint8), name="stack")
    other.input.choose("stack")
    assert other.choices().recipe.strength == 0.6 and not other.memory.row.isHidden()
    other.input.choose("channels")  # of which there was no run
    assert other.choices().settings() == {} and other.memory.row.isHidden()
    other.end()


@pytest.mark.parametrize("content", ["", "{", '{"model": 3}', '{"model": "m", "tiel": 3}', "[]"])
def test_a_damaged_file_stops_nothing(viewer: Viewer, content: str) -> None:
    folder = memory_folder()
    assert folder is not None
    (folder / "last").mkdir(parents=True)
    (folder / "last" / "denoise-gray-plane.json").write_text(content)
    viewer.add_image(np.zeros((40, 50), np.uint8), name="plane")
    dock = dock_in(viewer)
    assert dock.choices().settings() == {} and "is damaged" in dock.memory.row.note.text()


def test_a_model_that_is_gone_is_told(viewer: Viewer) -> None:
    folder = memory_folder()
    assert folder is not None
    (folder / "last").mkdir(parents=True)
    (folder / "last" / "denoise-gray-plane.json").write_text('{"model": "/gone/mine.pth"}')
    viewer.add_image(np.zeros((40, 50), np.uint8), name="plane")
    dock = dock_in(viewer)
    assert dock.model.model() == api.DENOISER and "mine.pth, is gone" in dock.memory.row.note.text()


def test_a_preset_is_saved_shown_used_by_the_command_line_and_deleted(
    viewer: Viewer, dock: RestoreDock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "gentle / 60 %" not in entries(dock)
    dock.output.made["strength"].show(0.6)
    monkeypatch.setattr(QInputDialog, "getText", lambda *_: (" gentle / 60 %", True))
    entries(dock)["Save as preset…"].trigger()
    assert dock.bar.line.text() == "Preset gentle / 60 % is saved."
    kept = dock.choices()
    entries(dock)["Restore defaults"].trigger()
    assert dock.choices().settings() == {}
    entries(dock)["gentle / 60 %"].trigger()
    assert dock.choices() == kept
    folder = memory_folder()
    assert folder is not None
    (path,) = (folder / "presets" / "denoise").iterdir()
    given: dict[str, Any] = {}
    monkeypatch.setattr(
        "napari_restore.cli.restoring._run", lambda *place, settings, **_: given.update(settings, model=place[2])
    )
    words = ["denoise", "a.tif", "b.zarr", "--recipe", str(path), "--halo", "16"]
    result = CliRunner().invoke(cli.app, words)
    assert result.exit_code == 0, result.output
    assert given == {"model": kept.model, "tile": 96, "halo": 16, "strength": 0.6}
    (removal,) = (action.menu() for action in dock.memory.menu.actions() if action.text() == "Delete preset")
    removal.actions()[0].trigger()
    assert not path.exists() and "gentle / 60 %" not in entries(dock)


def test_a_name_that_is_none_is_refused(dock: RestoreDock, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("", "  ", "n" * 61):
        monkeypatch.setattr(QInputDialog, "getText", lambda *_, name=name: (name, True))
        entries(dock)["Save as preset…"].trigger()
        assert dock.bar.line.text().startswith("⚠ a preset needs a name of 1 to 60 letters")
