"""A window with the report of a run."""

from __future__ import annotations

__all__ = ["ReportWindow"]

from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QPushButton, QTextBrowser, QVBoxLayout, QWidget


class ReportWindow(QDialog):
    """The report of a run. It is deleted when it is closed.

    Parameters
    ----------
    title : str
        Title of the window.
    text : str
        The report, in Markdown.
    parent : QWidget, optional
        Parent.
    in_browser : callable, optional
        Shows the page with pictures in a web browser; without it there is no button for it.
    """

    def __init__(
        self, title: str, text: str, parent: QWidget | None = None, in_browser: Callable[[], object] | None = None
    ) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(title)
        self.page = QTextBrowser()
        self.page.setOpenExternalLinks(True)
        self.page.setMarkdown(text)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.close)
        self.pictures: QPushButton | None = None
        if in_browser is not None:
            self.pictures = buttons.addButton("With pictures", QDialogButtonBox.ButtonRole.ActionRole)
            self.pictures.setToolTip("Show the report with its pictures in a web browser")
            self.pictures.clicked.connect(lambda: in_browser())
        column = QVBoxLayout(self)
        column.addWidget(self.page)
        column.addWidget(buttons)
        self.resize(760, 560)
