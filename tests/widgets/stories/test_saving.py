"""File > Save All Layers writes what is the user's, and not the layers that help to compare."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from docks import click, until_idle, until_no_wipe
from napari import Viewer
from napari.utils.notifications import notification_manager
from qtpy.QtWidgets import QFileDialog

from napari_restore.widgets.dock import RestoreDock
from napari_restore.widgets.viewer.compare.wipe import WIPE

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*stored as RGB:DeprecationWarning"),  # three planes, saved by napari
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def save_all(viewer: Viewer, monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Save by napari's menu, and answer its dialog."""

    def answer(*_: Any, filter: str, **__: Any) -> tuple[str, str]:
        return str(path), next(kind for kind in filter.split(";;") if "Folder" in kind)

    monkeypatch.setattr(QFileDialog, "getSaveFileName", answer)
    menu = viewer.window.file_menu
    menu.aboutToShow.emit()
    (action,) = (each for each in menu.actions() if each.text().startswith("Save All Layers"))
    action.trigger()


def test_helper_layers_are_not_saved(
    qtbot: Any, viewer: Viewer, dock: RestoreDock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []
    notification_manager.notification_ready.connect(lambda notice: heard.append(notice.message))
    viewer.scene.camera.zoom = 20
    click(qtbot, dock.bar.preview)
    until_idle(qtbot, dock)
    dock.compare.wipe.setValue(50)
    qtbot.waitUntil(lambda: dock.tools.wipe.active and not dock.works)
    viewer.add_image(np.zeros((4, 4), np.uint8), name="other")
    viewer.layers.selection.active = viewer.layers["cells"]
    names = [layer.name for layer in viewer.layers]
    assert WIPE in names and len(names) == 5  # two of the user, preview, wipe and its line
    save_all(viewer, monkeypatch, tmp_path / "all")
    assert {file.stem for file in (tmp_path / "all").iterdir()} == {"cells", "other"}
    assert any("3 temporary layers" in text and WIPE in text for text in heard)
    # Neither the layer list nor the selection has changed.
    assert [layer.name for layer in viewer.layers] == names
    assert viewer.layers.selection.active == viewer.layers["cells"] and len(viewer.layers.selection) == 1
    assert dock.tools.wipe.active
    # A helper that is selected is saved on demand.
    viewer.layers.selection.active = viewer.layers[WIPE]
    written = viewer.layers.save(str(tmp_path / "wipe.tif"), selected=True)
    assert len(written) == 1 and Path(written[0]).is_file()
    # Without helpers, nothing changes.
    dock.compare.wipe.setValue(0)
    until_no_wipe(qtbot, viewer)
    viewer.layers.remove("preview · cells ▸ denoiser")
    before = len(heard)
    save_all(viewer, monkeypatch, tmp_path / "two")
    assert {file.stem for file in (tmp_path / "two").iterdir()} == {"cells", "other"} and len(heard) == before
