"""Let the mouse wheel change a control only if it has the focus."""

from __future__ import annotations

__all__ = ["WheelNeedsFocus"]

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QAbstractSlider, QAbstractSpinBox, QComboBox, QScrollBar, QWidget

_WITH_VALUES = (QComboBox, QAbstractSpinBox, QAbstractSlider)


class WheelNeedsFocus(QObject):
    """An event filter that keeps the wheel from changing controls under the mouse while a column is scrolled.

    Parameters
    ----------
    root : QWidget
        The filter is installed on all controls in it, so these must exist.
    """

    def __init__(self, root: QWidget) -> None:
        super().__init__(root)
        for kind in _WITH_VALUES:
            for control in root.findChildren(kind):
                if isinstance(control, QScrollBar):
                    continue
                if control.focusPolicy() == Qt.FocusPolicy.WheelFocus:
                    control.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # or the wheel would give it the focus
                control.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Pass the wheel on to the parent of a control without the focus."""
        if (
            event is not None
            and event.type() == QEvent.Type.Wheel
            and isinstance(watched, QWidget)
            and not watched.hasFocus()
        ):
            event.ignore()
            return True
        return False
