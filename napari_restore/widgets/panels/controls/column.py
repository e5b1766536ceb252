"""A column of boxes that scrolls only where it is longer than the room for it."""

from __future__ import annotations

__all__ = ["Column"]

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget


class Column(QScrollArea):
    """Boxes below one another, as wide as the dock widget.

    Parameters
    ----------
    boxes
        From top to bottom.
    """

    def __init__(self, *boxes: QWidget) -> None:
        super().__init__()
        content = _Content()
        column = QVBoxLayout(content)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        for box in boxes:
            column.addWidget(box)
        column.addStretch(1)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(content)


class _Content(QWidget):
    def minimumSizeHint(self) -> QSize:
        """The least width alone: how high it is depends on the width, and Qt would take the height of the narrowest."""
        return QSize(super().minimumSizeHint().width(), 0)
