"""A line that turns while a layer is looked at."""

from __future__ import annotations

__all__ = ["Looking"]

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QHBoxLayout, QLabel, QWidget

from napari_restore.widgets.panels.controls.note import Note

_SIGNS = "◐◓◑◒"
_TURN = 150
"""Milliseconds between two positions of the sign."""


class Looking(QWidget):
    """What is being found out about a layer, with a sign that turns meanwhile; hidden while there is nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._sign, self.line = QLabel(_SIGNS[0]), Note()
        self._turning = QTimer(self)
        self._turning.setInterval(_TURN)
        self._turning.timeout.connect(self._turn)
        row = QHBoxLayout(self)
        row.setContentsMargins(2, 0, 0, 0)
        row.addWidget(self._sign)
        row.addWidget(self.line, 1)
        self.say("")

    def say(self, text: str) -> None:
        """Show what is being found out; empty: nothing."""
        self.line.say(text)
        self.setVisible(bool(text))
        if text:
            self._turning.start()
        else:
            self._turning.stop()

    def _turn(self) -> None:
        self._sign.setText(_SIGNS[(_SIGNS.index(self._sign.text()) + 1) % len(_SIGNS)])
