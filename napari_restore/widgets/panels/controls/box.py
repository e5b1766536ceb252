"""Lay out controls: boxes of labelled rows, several controls in a row, and the tab order."""

from __future__ import annotations

__all__ = ["Box", "set_tab_order", "side_by_side", "wrapped"]

from collections.abc import Iterator
from itertools import pairwise

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QGroupBox, QHBoxLayout, QLabel, QLayout, QScrollArea, QSizePolicy, QWidget
from superqt.utils import QFlowLayout

from napari_restore.widgets.panels.controls.made import Made


def side_by_side(*widgets: QWidget) -> QWidget:
    """Put widgets in one row, without margins."""
    return _laid_out(QHBoxLayout(), *widgets)


def wrapped(*widgets: QWidget) -> QWidget:
    """Put widgets in one row, or in more rows if they do not fit."""
    row = _laid_out(QFlowLayout(), *widgets)
    policy = QSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
    policy.setHeightForWidth(True)
    row.setSizePolicy(policy)
    return row


def _laid_out(layout: QLayout, *widgets: QWidget) -> QWidget:
    row = QWidget()
    row.setLayout(layout)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(6)
    for widget in widgets:
        layout.addWidget(widget)
    return row


class Box(QGroupBox):
    """A titled group of labelled rows.

    The layout is a grid: `QFormLayout` gives rows too little height if a narrower box wraps texts into more lines.
    """

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        super().__init__(title, parent)
        self._rows = QGridLayout(self)
        self._rows.setContentsMargins(8, 4, 8, 6)
        self._rows.setVerticalSpacing(4)
        self._rows.setColumnStretch(1, 1)
        self._labels: dict[QWidget, QLabel] = {}

    def add(self, label: str, control: QWidget, tooltip: str, *beside: QWidget) -> None:
        """Add a row; label and control get the tooltip. Widgets beside the control keep their own."""
        row = self._rows.rowCount()
        self._labels[control] = QLabel(label)
        self._rows.addWidget(self._labels[control], row, 0)
        self._rows.addWidget(side_by_side(control, *beside) if beside else control, row, 1)
        for part in (control, self._labels[control]):
            part.setToolTip(tooltip)
        self._labels[control].setBuddy(control)
        control.setAccessibleName(label)

    def add_made(self, made: Made) -> None:
        """Add a row with a control that magicgui has made; a check box has its own label."""
        if made.setting.widget == "CheckBox":
            self.add_wide(made.native)
        else:
            self.add(made.label, made.native, made.native.toolTip())

    def add_wide(self, widget: QWidget) -> None:
        """Add a row without a label, as wide as the box."""
        self._rows.addWidget(widget, self._rows.rowCount(), 0, 1, 2)

    def set_row_visible(self, widget: QWidget, visible: bool) -> None:
        """Show or hide a row and its label."""
        widget.setVisible(visible)
        if widget in self._labels:
            self._labels[widget].setVisible(visible)


def set_tab_order(root: QWidget) -> None:
    """Make the tab key follow the layouts of a widget. Qt's default is the order in which the widgets were created.

    Parameters
    ----------
    root : QWidget
        The widget; all its layouts must be filled.
    """
    for first, second in pairwise(_in_reading_order(root)):
        QWidget.setTabOrder(first, second)


def _in_reading_order(widget: QWidget) -> Iterator[QWidget]:
    inside = [widget.widget()] if isinstance(widget, QScrollArea) else list(_in_layout(widget.layout()))
    for part in inside:
        if part is not None:
            yield from _in_reading_order(part)
    if not inside and widget.focusPolicy() & Qt.FocusPolicy.TabFocus:
        yield widget


def _in_layout(layout: QLayout | None) -> Iterator[QWidget]:
    if layout is None:
        return
    for item in map(layout.itemAt, range(layout.count())):
        if item is not None and (widget := item.widget()) is not None:
            yield widget
        elif item is not None:
            yield from _in_layout(item.layout())
