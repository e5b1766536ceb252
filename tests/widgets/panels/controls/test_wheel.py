"""The wheel of the mouse, over every control of both dock widgets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from docks import dock_in, to_disk
from napari import Viewer
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import (
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QScrollArea,
    QScrollBar,
    QWidget,
)

from napari_restore.widgets.dock import DenoiseDock, RestoreDock, SuperResolutionDock


def wheel(widget: QWidget, steps: int) -> None:
    """Turn the wheel over the middle of a widget: what is on top there gets it, and what it lies in if it is ignored.

    Qt passes on by itself only what comes from the mouse.
    """
    middle = widget.mapToGlobal(widget.rect().center())
    target = QApplication.widgetAt(middle)
    while target is not None:
        event = QWheelEvent(
            QPointF(target.mapFromGlobal(middle)), QPointF(middle), QPoint(), QPoint(0, 120 * steps),
            Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(target, event)
        target = None if event.isAccepted() else target.parentWidget()


def value(control: QWidget) -> Any:
    return control.currentIndex() if isinstance(control, QComboBox) else control.value()  # type: ignore[attr-defined]


def controls(dock: RestoreDock) -> list[QWidget]:
    found = [c for kind in (QComboBox, QAbstractSpinBox, QAbstractSlider) for c in dock.findChildren(kind)]
    return [c for c in found if not isinstance(c, QScrollBar)]


def is_in_view(area: QScrollArea, control: QWidget) -> bool:
    """Scroll to a control; return whether the mouse over its middle is over it: the layout may still be in motion."""
    area.ensureWidgetVisible(control)
    under = QApplication.widgetAt(control.mapToGlobal(control.rect().center()))
    return under is not None and (under is control or control.isAncestorOf(under))


@pytest.mark.parametrize("kind", [DenoiseDock, SuperResolutionDock])
def test_it_scrolls_the_column_and_changes_nothing(
    qtbot: Any, viewer: Viewer, tmp_path: Path, kind: type[RestoreDock]
) -> None:
    for name in ("one", "two"):
        viewer.add_image(np.zeros((2, 40, 50), np.uint8), name=name, axis_labels=("c", "y", "x"))
    dock = dock_in(viewer, kind=kind)
    dock.performance.expand(animate=False)
    to_disk(dock, tmp_path / "o.zarr")
    dock.compare.setEnabled(True)
    area = dock.findChild(QScrollArea)
    assert area is not None
    bar = area.verticalScrollBar()
    assert bar is not None
    qtbot.waitUntil(lambda: dock.isVisible() and bar.maximum() > 0)
    screen = dock.screen().size()
    assert screen.width() >= 1280 and screen.height() >= 800, f"{screen} is too small: no mouse comes to all controls"
    tried = 0
    for control in controls(dock):
        if not control.isVisible() or not control.isEnabled():
            continue
        qtbot.waitUntil(lambda control=control: is_in_view(area, control))
        for steps in (-1, 1):
            before, place = value(control), bar.value()
            can_scroll = place < bar.maximum() if steps < 0 else place > bar.minimum()
            wheel(control, steps)
            assert value(control) == before and not control.hasFocus(), control.toolTip()
            assert (bar.value() != place) == can_scroll, control.toolTip()
            bar.setValue(place)
        tried += 1
    assert tried > 10


def test_a_control_that_has_the_focus_is_turned(qtbot: Any, viewer: Viewer) -> None:
    dock = dock_in(viewer)
    box, window = dock.model.models, dock.window()
    assert window is not None
    qtbot.waitUntil(dock.isVisible)
    window.activateWindow()
    box.setFocus(Qt.FocusReason.TabFocusReason)
    qtbot.waitUntil(box.hasFocus)
    before = box.currentIndex()
    wheel(box, -1)
    assert box.currentIndex() != before
