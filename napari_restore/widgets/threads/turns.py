"""Long work of the main thread, a step at a time, with the window alive in between."""

from __future__ import annotations

__all__ = ["Steps", "Turns"]

from collections import deque
from collections.abc import Callable, Generator
from inspect import GEN_RUNNING, getgeneratorstate

from qtpy.QtCore import QObject, QTimer
from qtpy.QtWidgets import QWidget

_PAUSE = 15
"""Milliseconds between two steps: Qt paints what a step has changed 5 ms after it."""

Steps = Generator[None, None, None]
"""Yields wherever other events may come in between."""


class Turns(QObject):
    """Takes each step of a generator on a turn of the event loop of its own, one generator after the other."""

    def __init__(self, widget: QWidget) -> None:
        super().__init__(widget)
        self._widget = widget
        self._waiting: deque[Steps] = deque()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PAUSE)
        self._timer.timeout.connect(self._step)

    def take(self, steps: Steps) -> None:
        """Take steps, the first at once unless others are still being taken."""
        self._waiting.append(steps)
        if len(self._waiting) == 1:
            self._step()

    def call(self, act: Callable[[], None]) -> None:
        """Call after all steps that are waiting: at once if none are."""

        def steps() -> Steps:
            act()
            yield from ()

        self.take(steps())

    def unpainted(self, act: Callable[[], None]) -> Steps:
        """Steps that do something to the window, have it laid out anew, and paint it only after that."""
        window = self._widget
        while (parent := window.parentWidget()) is not None:  # as `window()` does, but not to a dock that floats
            window = parent
        window.setUpdatesEnabled(False)
        try:
            act()
            yield
        finally:
            window.setUpdatesEnabled(True)
        yield

    def _step(self) -> None:
        steps = self._waiting[0]
        going_on = False
        try:
            next(steps)
            going_on = True
        except StopIteration:
            pass
        finally:
            # A step may let events in, and one of them be the end of all this.
            if not going_on and self._waiting and self._waiting[0] is steps:
                self._waiting.popleft()
            if self._waiting:
                self._timer.start()

    def end(self) -> None:
        """Close what was not taken to its end."""
        self._timer.stop()
        while self._waiting:
            steps = self._waiting.popleft()
            # One whose step has led here is dropped with its last reference.
            if getgeneratorstate(steps) != GEN_RUNNING:
                steps.close()
