"""What tests of the dock widgets share: keys and the mouse on the canvas."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari import Viewer
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtWidgets import QApplication, QWidget

from napari_restore.widgets.dock import RestoreDock


def canvas_of(dock: RestoreDock) -> QWidget:
    """The widget that the mouse and the keys of the canvas go to."""
    window = dock.window()
    assert window is not None
    # Not among all children: PySide keeps each widget that is looked at, and its parents, in memory.
    (canvas,) = (
        found for found in window.findChildren(QOpenGLWidget) if type(found).__name__ == "CanvasBackendDesktop"
    )
    return canvas


def all_in_view(qtbot: Any, viewer: Viewer) -> None:
    viewer.reset_view()
    qtbot.wait(100)


def on_canvas(viewer: Viewer, layer: Any, point: tuple[float, ...]) -> QPoint:
    """Where a pixel of a layer is drawn."""
    camera = viewer.scene.camera
    world = np.asarray(layer.data_to_world(point))[-2:]
    height, width = viewer.canvas.size
    row, column = (world - np.asarray(camera.center)[-2:]) * camera.zoom + np.array([height, width]) / 2
    return QPoint(round(column), round(row))


def mouse(widget: QWidget, kind: QEvent.Type, at: QPoint, pressed: bool) -> None:
    left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
    button = none if kind == QEvent.Type.MouseMove else left
    place = QPointF(at)
    event = QMouseEvent(
        kind,
        place,
        QPointF(widget.mapToGlobal(at)),
        button,
        left if pressed else none,
        Qt.KeyboardModifier.NoModifier,
    )
    QApplication.sendEvent(widget, event)


def drag(qtbot: Any, widget: QWidget, start: QPoint, stop: QPoint) -> None:
    mouse(widget, QEvent.Type.MouseMove, start, False)
    mouse(widget, QEvent.Type.MouseButtonPress, start, True)
    for part in (0.3, 0.7, 1.0):
        at = QPoint(*(round(a + part * (b - a)) for a, b in ((start.x(), stop.x()), (start.y(), stop.y()))))
        mouse(widget, QEvent.Type.MouseMove, at, True)
        qtbot.wait(20)
    mouse(widget, QEvent.Type.MouseButtonRelease, stop, False)
