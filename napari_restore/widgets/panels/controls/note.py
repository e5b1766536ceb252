"""Text below a control."""

from __future__ import annotations

__all__ = ["Note"]

import re

from qtpy.QtCore import QEvent, QSize, Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QApplication, QLabel, QMenu, QSizePolicy

_LONG = 18
"""Words with more letters may be broken: paths and names of layers."""
_BREAK = "\u200b"
"""A zero-width space, at which a line may be broken."""


class Note(QLabel):
    """A label that wraps its text, also within long words, and is hidden while empty. Copied text is unchanged."""

    def __init__(self, tooltip: str = "") -> None:
        super().__init__()
        self._text = ""
        self.setWordWrap(True)
        self.setToolTip(tooltip)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self.hide()

    def say(self, text: str, *, warning: bool = False) -> None:
        """Show a text; hide the label if it is empty. A warning starts with a sign."""
        self.setText(f"⚠ {text}" if warning and text else text)
        self.setVisible(bool(text))

    def text(self) -> str:
        """Return the text that was set."""
        return self._text

    def setText(self, text: str | None) -> None:
        """Set plain text or HTML."""
        self._text = text or ""
        plain = not self._text.startswith("<")
        super().setText(_breakable(self._text) if plain else self._text)

    def minimumSizeHint(self) -> QSize:
        """Return the height of one line. The real height depends on the width; layouts ask `heightForWidth` for it."""
        return QSize(0, self.fontMetrics().height())

    def copy(self) -> None:
        """Copy the selected text to the clipboard."""
        clipboard = QApplication.clipboard()
        assert clipboard is not None
        clipboard.setText(self.selectedText().replace(_BREAK, ""))

    def event(self, event: QEvent | None) -> bool:
        """Copy text without the zero-width spaces."""
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
    """Add zero-width spaces to long words: after separators, otherwise every few letters; keep percentages together."""

    def parted(match: re.Match[str]) -> str:
        after_signs = re.sub(r"([/\\_\-.:])", rf"\1{_BREAK}", match.group())
        return re.sub(rf"([^{_BREAK}]{{{_LONG}}})(?=[^{_BREAK}])", rf"\1{_BREAK}", after_signs)

    # A number is not parted from its sign of percent.
    return re.sub(rf"\S{{{_LONG + 1},}}", parted, text.replace(" %", "\u00a0%"))
