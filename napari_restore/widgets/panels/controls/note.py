"""A few lines of text under a control."""

from __future__ import annotations

__all__ = ["Note"]

import re

from qtpy.QtCore import QEvent, QSize, Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QApplication, QLabel, QMenu, QSizePolicy

_LONG = 18
"""Letters from which on a word may be broken: the path of a file, or the name of a layer."""
_BREAK = "\u200b"
"""Has no width; a line may end at it."""


class Note(QLabel):
    """Text that wraps, within long words too, can be copied as it was written, and takes no room while it is empty."""

    def __init__(self, tooltip: str = "") -> None:
        super().__init__()
        self._text = ""
        self.setWordWrap(True)
        self.setToolTip(tooltip)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self.hide()

    def say(self, text: str, *, warning: bool = False) -> None:
        """Show a text, or nothing; a warning begins with a sign, not only a colour."""
        self.setText(f"⚠ {text}" if warning and text else text)
        self.setVisible(bool(text))

    def text(self) -> str:
        """The text as it was given."""
        return self._text

    def setText(self, text: str | None) -> None:
        """Show a text; plain, or HTML."""
        self._text = text or ""
        plain = not self._text.startswith("<")
        super().setText(_breakable(self._text) if plain else self._text)

    def minimumSizeHint(self) -> QSize:
        """One line: how many it takes depends on the width, and a column asks for that by `heightForWidth`."""
        return QSize(0, self.fontMetrics().height())

    def copy(self) -> None:
        """Put what is selected on the clipboard."""
        clipboard = QApplication.clipboard()
        assert clipboard is not None
        clipboard.setText(self.selectedText().replace(_BREAK, ""))

    def event(self, event: QEvent | None) -> bool:
        """Copy what was written, without the places at which it was broken."""
        if event is not None and event.type() == QEvent.Type.KeyPress and event == QKeySequence.StandardKey.Copy:
            self.copy()
            return True
        if event is not None and event.type() == QEvent.Type.ContextMenu:
            menu = QMenu(self)
            action = menu.addAction("Copy", self.copy)
            if action is not None:
                action.setEnabled(self.hasSelectedText())
            menu.popup(event.globalPos())
            return True
        return bool(super().event(event))


def _breakable(text: str) -> str:
    """Allow a line to end within long words: after what divides their parts, and else anywhere."""

    def parted(match: re.Match[str]) -> str:
        after_signs = re.sub(r"([/\\_\-.:])", rf"\1{_BREAK}", match.group())
        return re.sub(rf"([^{_BREAK}]{{{_LONG}}})(?=[^{_BREAK}])", rf"\1{_BREAK}", after_signs)

    return re.sub(rf"\S{{{_LONG + 1},}}", parted, text)
