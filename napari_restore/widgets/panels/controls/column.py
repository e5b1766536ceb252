"""A column of boxes that scrolls only if it does not fit."""

from __future__ import annotations

__all__ = ["Column"]

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget


class Column(QScrollArea):
    """A scroll area with boxes below one another, as wide as the dock widget.

    Parameters
    ----------
    *boxes : QWidget
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
        self.setAccessibleName("Settings")
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(content)


class _Content(QWidget):
    def minimumSizeHint(self) -> QSize:
        """Return the least width alone: the height depends on the width, and Qt would use that of the least width."""
        return QSize(super().minimumSizeHint().width(), 0)
