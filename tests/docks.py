"""What tests of the dock widgets share: opening one, and using its real controls."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari import Viewer

    from napari_restore.widgets.dock import RestoreDock


def dock_in(viewer: Viewer, model: Path | None = None, kind: type[RestoreDock] | None = None) -> RestoreDock:
    """Open a dock widget as the menu does, with a checkpoint, in small tiles."""
    from napari_restore.widgets.dock import SuperResolutionDock

    title = "Super-resolution" if kind is SuperResolutionDock else "Denoise"
    _, dock = viewer.window.add_plugin_dock_widget("napari-restore", title)
    dock.open_now()
    if model is not None:
        dock.model.choose(str(model))
        dock.performance.tile.setValue(96)
        dock.performance.halo.setValue(8)
    return dock


def click(qtbot: Any, button: Any) -> None:
    from qtpy.QtCore import Qt

    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def close_button(dock: RestoreDock) -> Any:
    """The × of the title bar that napari gives a dock widget."""
    from qtpy.QtWidgets import QDockWidget, QWidget

    above = dock.parent()
    while not isinstance(above, QDockWidget):
        above = above.parent()
    bar = above.titleBarWidget()
    assert bar is not None
    (button,) = (part for part in bar.findChildren(QWidget) if part.objectName() == "QTitleBarCloseButton")
    return button


def until_idle(qtbot: Any, dock: RestoreDock) -> None:
    qtbot.waitUntil(lambda: not dock.works and dock.bar.state == "idle")


def until_no_wipe(qtbot: Any, viewer: Viewer) -> None:
    """The layers of a wipe are removed in steps."""
    from napari_restore.widgets.viewer.compare.wipe import LINE, WIPE

    qtbot.waitUntil(lambda: not any(layer.name == LINE or layer.name.startswith(WIPE) for layer in viewer.layers))


def until_preflight(qtbot: Any, dock: RestoreDock) -> None:
    qtbot.waitUntil(lambda: dock.preflight is not None and not dock.works)


def to_disk(dock: RestoreDock, path: Path) -> None:
    dock.output.place.setCurrentIndex(1)
    dock.output.path.setText(str(path))
    dock.output.path.editingFinished.emit()


def objects(path: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}
