from __future__ import annotations

from typing import Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QLabel

from napari_restore.widgets.panels.controls.note import Note

PATH = "/a/very/long/path/that/goes/on/2026-11-25_sample-A_well-B03.zarr"


@pytest.fixture
def note(qtbot: Any) -> Note:
    note = Note("what it is about")
    qtbot.addWidget(note)
    return note


def test_it_takes_no_room_while_it_is_empty(note: Note) -> None:
    note.say("something")
    assert not note.isHidden()
    note.say("")
    assert note.isHidden()
    note.say("", warning=True)
    assert note.isHidden() and note.text() == ""
    note.say("wrong", warning=True)
    assert note.text() == "⚠ wrong"


@pytest.mark.parametrize("text", [PATH, "x" * 200, f"{PATH} holds another result; choose another output."])
def test_long_words_are_broken_into_lines(note: Note, text: str) -> None:
    note.say(text)
    line = note.fontMetrics().height()
    widest = note.fontMetrics().horizontalAdvance(text)
    for width in (120, 250):
        lines = note.heightForWidth(width) / line
        assert widest / width <= lines + 0.5 <= 2 * widest / width + 2
    assert note.minimumSizeHint().width() == 0


@pytest.mark.parametrize("text", [PATH, "Z 40 · Y 2048 · X 2048, uint16", "x" * 50])
def test_what_is_copied_is_what_was_written(qtbot: Any, note: Note, text: str) -> None:
    note.say(text)
    assert note.text() == text
    note.show()
    note.setSelection(0, len(QLabel.text(note)))
    qtbot.keyClick(note, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    clipboard = QApplication.clipboard()
    assert clipboard is not None and clipboard.text() == text


def test_html_stays_html(note: Note) -> None:
    html = "<p>cells</p><table><tr><td><b>Seams 1.02</b></td><td>gradient_at_tile_borders_over_that</td></tr></table>"
    note.setText(html)
    assert note.text() == QLabel.text(note) == html
