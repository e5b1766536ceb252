"""The wheel of the mouse over controls: it scrolls the column, unless the control has the focus."""

from __future__ import annotations

__all__ = ["WheelNeedsFocus"]

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QAbstractSlider, QAbstractSpinBox, QComboBox, QScrollBar, QWidget

_WITH_VALUES = (QComboBox, QAbstractSpinBox, QAbstractSlider)


class WheelNeedsFocus(QObject):
    """Keeps the wheel from changing a control that the mouse happens to be over while a column is scrolled.

    Parameters
    ----------
    root
        All controls in it are meant, so it has to be filled.
    """

    def __init__(self, root: QWidget) -> None:
        super().__init__(root)
        for kind in _WITH_VALUES:
            for control in root.findChildren(kind):
                if isinstance(control, QScrollBar):
                    continue
                if control.focusPolicy() == Qt.FocusPolicy.WheelFocus:
                    control.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # or the wheel itself would give it the focus
                control.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Pass the wheel on to what the control lies in."""
        if (
            event is not None
            and event.type() == QEvent.Type.Wheel
            and isinstance(watched, QWidget)
            and not watched.hasFocus()
        ):
            event.ignore()
            return True
        return False
