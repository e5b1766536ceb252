"""A combo box that fits any width."""

from __future__ import annotations

__all__ = ["Choice", "fit_any_width"]

from typing import Any

from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import QComboBox, QSizePolicy, QStyle, QToolTip

_SHORTEST = 4
"""Least number of visible letters."""


def fit_any_width(box: QComboBox) -> None:
    """Let a combo box be narrower than the names in it.

    Parameters
    ----------
    box : QComboBox
        The combo box.
    """
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(_SHORTEST)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)


class Choice(QComboBox):
    """A combo box that elides long names in the middle, where they differ least; the tooltip has the whole name."""

    def __init__(self) -> None:
        super().__init__()
        fit_any_width(self)
        view = self.view()
        assert view is not None
        view.setTextElideMode(Qt.TextElideMode.ElideMiddle)

    def initStyleOption(self, option: Any) -> None:
        super().initStyleOption(option)
        option.currentText = self._elided(option)

    def _elided(self, option: Any) -> str:
        style = self.style()
        assert style is not None
        field = style.subControlRect(
            QStyle.ComplexControl.CC_ComboBox, option, QStyle.SubControl.SC_ComboBoxEditField, self
        )
        metrics = self.fontMetrics()
        return str(metrics.elidedText(self.currentText(), Qt.TextElideMode.ElideMiddle, field.width() - 4))

    def event(self, event: QEvent | None) -> bool:
        """Show the whole name in the tooltip if it is elided."""
        if event is not None and event.type() == QEvent.Type.ToolTip:
            from qtpy.QtWidgets import QStyleOptionComboBox

            option = QStyleOptionComboBox()
            super().initStyleOption(option)
            if self._elided(option) != self.currentText():
                QToolTip.showText(event.globalPos(), f"{self.currentText()}\n{self.toolTip()}", self)
                return True
        return bool(super().event(event))
