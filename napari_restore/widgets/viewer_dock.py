"""A docked widget of a viewer: its widths, and the theme of the viewer."""

from __future__ import annotations

__all__ = ["ViewerDock"]

from typing import TYPE_CHECKING

from qtpy.QtCore import QSize
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout

from napari_restore.widgets.docked import DockedWidget
from napari_restore.widgets.panels.controls.focus import focus_style

if TYPE_CHECKING:
    from napari.viewer import Viewer

_NARROWEST, _USUAL = 312, 340
"""Least width of a dock widget in pixels, at which nothing is cut off, and the width with which it opens."""


class ViewerDock(DockedWidget):
    """A docked widget whose parts stand in one column.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Viewer of the layers. napari passes it by the name of this parameter.
    """

    _following = False

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self._outer = QVBoxLayout(self)
        self._outer.setContentsMargins(6, 6, 6, 6)
        self._show_theme()
        self.setMinimumWidth(_NARROWEST)
        # napari looks at this while the layout is empty, and pushes what does not expand to the top.
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:
        """Return the width with which it opens: napari docks it while it is empty."""
        return QSize(_USUAL, super().sizeHint().height())

    def _show_theme(self, event: object = None) -> None:
        from napari.utils.theme import get_theme

        self.setStyleSheet(focus_style(get_theme(self.viewer.theme).text.as_hex()))
