"""Steps on turns of their own."""

from __future__ import annotations

from typing import Any

import pytest
from qtpy.QtWidgets import QWidget

from napari_restore.widgets.threads.turns import Steps, Turns


def test_steps_wait_for_those_before(qtbot: Any) -> None:
    widget = QWidget()
    qtbot.addWidget(widget)
    turns, done = Turns(widget), []

    def steps() -> Steps:
        done.append("first")
        yield
        done.append("second")

    turns.take(steps())
    turns.call(lambda: done.append("third"))
    assert done == ["first"]
    qtbot.waitUntil(lambda: len(done) == 3)
    assert done == ["first", "second", "third"]
    turns.call(lambda: done.append("at once"))
    assert done[-1] == "at once"


@pytest.mark.parametrize("nested", [False, True])
def test_a_window_is_painted_again_whatever_happens(qtbot: Any, nested: bool) -> None:
    window = QWidget()
    qtbot.addWidget(window)
    turns, seen = Turns(QWidget(window) if nested else window), []
    turns.take(turns.unpainted(lambda: seen.append(window.updatesEnabled())))
    assert seen == [False] and not window.updatesEnabled()
    turns.end()
    assert window.updatesEnabled()

    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        turns.take(turns.unpainted(fail))
    assert window.updatesEnabled()
    turns.call(lambda: seen.append(True))
    assert seen == [False, True]
