"""Pages of a dock widget behind tabs."""

from __future__ import annotations

__all__ = ["Pages"]

from qtpy.QtWidgets import QSizePolicy, QStackedWidget, QTabBar, QVBoxLayout, QWidget


class Pages(QWidget):
    """Pages, one of which is visible.

    `QTabWidget` hides its pages from the search for the tab order, and has a frame.

    Parameters
    ----------
    **pages : QWidget
        Pages by the title of their tabs.
    """

    def __init__(self, **pages: QWidget) -> None:
        super().__init__()
        self.tabs, self._stack = QTabBar(), QStackedWidget()
        # napari pushes what does not expand to the top.
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.tabs.setAccessibleName("Pages")
        self.tabs.setExpanding(False)
        self.tabs.setDrawBase(False)
        for title, page in pages.items():
            self.tabs.addTab(title)
            self._stack.addWidget(page)
        self.tabs.currentChanged.connect(self._stack.setCurrentIndex)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.tabs)
        column.addWidget(self._stack, 1)
