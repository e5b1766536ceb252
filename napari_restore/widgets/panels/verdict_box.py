"""The lines on top of a dock widget: whether the model fits the layer, and what a run will change."""

from __future__ import annotations

__all__ = ["VerdictBox"]

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFrame, QPushButton, QVBoxLayout

from napari_restore.engine.planning.recipe import settings
from napari_restore.widgets.panels.controls.note import Note

if TYPE_CHECKING:
    from napari_restore.widgets.jobs.advice.verdict import Verdict


class VerdictBox(QFrame):
    """The verdict on the model, a button that follows its advice, and what a run will change."""

    help_wanted = Signal(object)
    """Settings by name."""

    def __init__(self) -> None:
        super().__init__()
        self.verdict, self.change = Note(), Note("Pixels that a run restores, size and place of the result, and time")
        font = self.verdict.font()
        font.setBold(True)
        self.verdict.setFont(font)
        self.advice, self.button = Note("Estimated and expected noise, and what helps"), QPushButton()
        self.button.setToolTip("Follow the advice")
        self._helps: Mapping[str, Any] = {}
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 2, 8, 2)
        column.setSpacing(4)
        for part in (self.verdict, self.advice, self.button, self.change):
            column.addWidget(part)
        self.button.clicked.connect(lambda: self.help_wanted.emit(self._helps))
        self.show_nothing()

    def show_pending(self) -> None:
        """Pale the lines of earlier choices until those of the current ones are known: the column does not jump."""
        self.setEnabled(False)

    def show_nothing(self) -> None:
        """Show that there is no verdict for the current choices."""
        self._helps = {}
        self.verdict.say("")
        self.verdict.setToolTip("")
        self.advice.say("")
        self.change.say("")
        self.button.hide()

    def show_verdict(self, verdict: Verdict, change: str) -> None:
        """Show a verdict, and what a run will change."""
        self.setEnabled(True)
        self._helps = verdict.helps
        fits = verdict.known and not verdict.warning
        self.verdict.say(f"✓ {verdict.text}" if fits else verdict.text, warning=verdict.warning)
        self.verdict.setToolTip(verdict.details)
        self.advice.say(verdict.details if verdict.warning else "")
        self.button.setText(verdict.button)
        controls = " and ".join(settings()[name].control for name in verdict.helps)
        self.button.setToolTip(f"Set {controls} so, below")
        self.button.setVisible(bool(verdict.button))
        self.change.say(change)
