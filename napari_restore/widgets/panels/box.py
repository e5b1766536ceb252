"""What the boxes of the dock widgets share: their look, and what a control is to the form."""

from __future__ import annotations

__all__ = ["Box", "Control", "note", "set_tab_order", "side_by_side", "tip"]

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFormLayout, QGroupBox, QHBoxLayout, QLabel, QLayout, QScrollArea, QSizePolicy, QWidget

from napari_restore.engine.planning.recipe import settings
from napari_restore.errors import RestoreError


def note(tooltip: str = "") -> QLabel:
    """A line of text that wraps, can be copied, and takes no room while it is empty."""
    label = QLabel()
    label.setWordWrap(True)
    label.setToolTip(tooltip)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    label.hide()
    return label


def side_by_side(*widgets: QWidget) -> QWidget:
    """Widgets in one row, without margins."""
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        layout.addWidget(widget)
    return row


@dataclass(frozen=True)
class Control:
    """What is chosen of a setting, and how a value is shown.

    Attributes
    ----------
    value
        Gives what is chosen, as a recipe stores it; None where the plan chooses. Raises a `RestoreError` where
        something that is typed is wrong.
    show
        Shows a value as a recipe stores it; None where the plan chooses.
    """

    value: Callable[[], Any]
    show: Callable[[Any], None]

    def show_exactly(self, value: Any) -> bool:
        """Show a value and tell whether it can be shown exactly; if not, nothing is chosen."""
        self.show(value)
        try:
            exact = bool(self.value() == value)
        except RestoreError:
            exact = False
        if not exact:
            self.show(None)
        return exact


def tip(name: str) -> str:
    """What there is to say of a setting, for the tooltip of its control."""
    return settings()[name].description


class Box(QGroupBox):
    """A titled group of labelled rows."""

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        super().__init__(title, parent)
        self.rows = QFormLayout(self)
        self.rows.setContentsMargins(8, 4, 8, 6)
        self.rows.setVerticalSpacing(4)
        self.rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)

    def add(self, label: str, widget: QWidget, tooltip: str) -> None:
        """Add a row; its tooltip is that of label and widget."""
        self.rows.addRow(label, widget)
        for part in (widget, self.rows.labelForField(widget)):
            if part is not None:
                part.setToolTip(tooltip)
        widget.setAccessibleName(label)

    @staticmethod
    def say(label: QLabel, text: str, *, warning: bool = False) -> None:
        """Show a text in a `note`; a warning begins with a sign, not only a colour."""
        label.setText(f"⚠ {text}" if warning and text else text)
        label.setVisible(bool(text))


def set_tab_order(root: QWidget) -> None:
    """Let the tab key go through a widget as its layouts are read: Qt's own order is that of making, and differs.

    Parameters
    ----------
    root
        With layouts in it, all of them filled.
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
