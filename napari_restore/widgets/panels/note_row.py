"""A note with a button beside it."""

from __future__ import annotations

__all__ = ["NoteRow"]

from qtpy.QtWidgets import QHBoxLayout, QToolButton, QWidget

from napari_restore.widgets.panels.controls.note import Note


class NoteRow(QWidget):
    """A note about settings, with a button that takes them back; hidden while the note is empty.

    Parameters
    ----------
    tooltip : str
        What the note is about.
    title : str
        Title of the button.
    action : str
        What the button does.

    Attributes
    ----------
    note : Note
        The note.
    button : QToolButton
        The button.
    """

    def __init__(self, tooltip: str, title: str, action: str) -> None:
        super().__init__()
        self.note, self.button = Note(tooltip), QToolButton()
        self.button.setText(title)
        self.button.setToolTip(action)
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 0, 8, 0)
        row.addWidget(self.note, 1)
        row.addWidget(self.button)
        self.hide()

    def say(self, text: str) -> None:
        """Show a text and the button; hide both if it is empty."""
        self.note.say(text)
        self.setVisible(bool(text))
