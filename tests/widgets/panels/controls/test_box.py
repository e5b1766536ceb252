from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from docks import dock_in, to_disk
from napari import Viewer
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QLineEdit,
    QScrollBar,
    QTabBar,
    QTableWidget,
    QWidget,
)

from napari_restore.widgets.dock import DenoiseDock, RestoreDock, SuperResolutionDock

CONTROLS = (QAbstractButton, QComboBox, QLineEdit, QAbstractSpinBox, QAbstractSlider)


def controls(dock: RestoreDock) -> list[QWidget]:
    """Everything that can be clicked or typed into, but for the parts that such widgets are made of."""
    found = [widget for kind in CONTROLS for widget in dock.findChildren(kind)]
    inner = (QComboBox, QAbstractSpinBox, QTabBar, QTableWidget)
    return [w for w in found if not isinstance(w.parent(), inner) and not isinstance(w, QScrollBar)]


@pytest.mark.parametrize("kind", [DenoiseDock, SuperResolutionDock])
def test_every_control_has_a_tooltip_and_follows_in_order(qtbot: Any, viewer: Viewer, kind: type[RestoreDock]) -> None:
    dock = dock_in(viewer, kind=kind)
    found = controls(dock)
    assert len(found) > 20
    assert not [(type(w).__name__, w.parent()) for w in found if not w.toolTip()]
    focusable = [w for w in dock.findChildren(QWidget) if w.isVisible() and w.focusPolicy() & Qt.FocusPolicy.TabFocus]
    assert not [type(w).__name__ for w in focusable if not w.accessibleName() and not getattr(w, "text", str)()]
    dock.performance.expand(animate=False)
    to_disk(dock, Path("o.zarr"))
    performance = dock.performance
    # Unfolded, and laid out: its rows are apart.
    qtbot.waitUntil(
        lambda: performance.halo.mapTo(dock, QPoint()).y() > performance.device.mapTo(dock, QPoint(0, 60)).y()
    )
    by_tab, widget = [], dock.pages.tabs
    expected = {w for w in found if w.isVisible() and w.focusPolicy() & Qt.FocusPolicy.TabFocus}
    # PySide6 keeps the widgets alive that it is asked for: the walk ends before it leaves the dock widget.
    for _ in range(1000):
        if widget in expected:
            by_tab.append(widget)
            expected.remove(widget)
        if not expected:
            break
        widget = widget.nextInFocusChain()
    assert not expected
    middle = {w: w.mapTo(dock, QPoint(0, w.height() // 2)) for w in by_tab}
    scrolled = [w for w in by_tab if not dock.bar.isAncestorOf(w)]
    for part in (scrolled, by_tab[len(scrolled) :]):  # the run bar stands below what can be scrolled
        for widget, following in pairwise(part):
            down = middle[following].y() - middle[widget].y()
            beside = abs(down) <= 10 and middle[following].x() > middle[widget].x()
            assert down > 10 or beside, following.toolTip()
    assert by_tab[: len(scrolled)] == scrolled
    assert by_tab[0] is dock.input.layers and dock.bar.run in by_tab
