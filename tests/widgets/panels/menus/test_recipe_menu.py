from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from docks import to_disk
from qtpy.QtWidgets import (
    QApplication,
    QFileDialog,
)

from napari_restore.widgets.dock import RestoreDock


def test_the_menu_copies_saves_and_loads(
    qtbot: Any, dock: RestoreDock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = {action.text(): action for action in dock.bar.menu.actions()}
    assert all(action.toolTip() != action.text() for action in entries.values())
    clipboard = QApplication.clipboard()
    assert clipboard is not None
    to_disk(dock, tmp_path / "o.zarr")
    entries["Copy as Python"].trigger()
    compile(clipboard.text(), "copied", "exec")
    assert "layer_image(layer, 'ZYX')" in clipboard.text() and "tile=96, halo=8" in clipboard.text()
    entries["Copy as command"].trigger()
    assert dock.bar.line.text().startswith("⚠ the command line restores whole files")
    chosen = dock.choices()
    path = str(tmp_path / "recipe.json")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (path, ""))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (path, ""))
    entries["Save recipe…"].trigger()
    dock.output.place.setCurrentIndex(0)
    dock.performance.tile.setValue(0)
    entries["Load recipe…"].trigger()
    assert dock.choices() == chosen
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    entries["Load recipe of an OME-Zarr…"].trigger()
    assert dock.bar.line.text().startswith("⚠") and "holds no recipe" in dock.bar.line.text()


def test_the_call_is_copied(qtbot: Any, dock: RestoreDock, tmp_path: Path) -> None:
    to_disk(dock, tmp_path / "o.zarr")
    dock.recipes.copy_python()
    clipboard = QApplication.clipboard()
    assert clipboard is not None
    text = clipboard.text()
    compile(text, "copied", "exec")
    assert "api.restore(image" in text and "tile=96" in text and "halo=8" in text
