"""The button with three dots that opens a menu."""

from __future__ import annotations

__all__ = ["MoreButton"]

from qtpy.QtWidgets import QMenu, QToolButton


class MoreButton(QToolButton):
    """A button with three dots, and without the arrow that Qt draws beside them.

    Parameters
    ----------
    tooltip : str
        What its menu is for.

    Attributes
    ----------
    actions_menu : QMenu
        The menu.
    """

    def __init__(self, tooltip: str) -> None:
        super().__init__()
        self.actions_menu = QMenu(self)
        self.setText("⋯")
        self.setStyleSheet("QToolButton::menu-indicator { image: none; }")
        self.setMenu(self.actions_menu)
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.setToolTip(tooltip)
