"""Run long work of the main thread in steps, and let the window handle events between them."""

from __future__ import annotations

__all__ = ["Steps", "Turns", "main_window"]

from collections import deque
from collections.abc import Callable, Generator
from inspect import GEN_RUNNING, getgeneratorstate

from qtpy.QtCore import QObject, QTimer
from qtpy.QtWidgets import QWidget

_PAUSE = 15
"""Milliseconds between two steps. Qt paints the changes of a step 5 ms after it."""

Steps = Generator[None, None, None]
"""A generator that yields where other events may be handled."""


def main_window(widget: QWidget) -> QWidget:
    """Return the outermost parent of a widget. Of a widget in a floating dock, `QWidget.window` is the dock."""
    while (parent := widget.parentWidget()) is not None:
        widget = parent
    return widget


class Turns(QObject):
    """A queue of generators. Each step runs in its own turn of the event loop, one generator after the other.

    Parameters
    ----------
    widget : QWidget
        Parent; its window is the one that `unpainted` stops from painting.
    """

    def __init__(self, widget: QWidget) -> None:
        super().__init__(widget)
        self._widget = widget
        self._waiting: deque[Steps] = deque()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PAUSE)
        self._timer.timeout.connect(self._step)

    def take(self, steps: Steps) -> None:
        """Add a generator to the queue. If the queue is empty, run its first step at once."""
        self._waiting.append(steps)
        if len(self._waiting) == 1:
            self._step()

    def call(self, act: Callable[[], None]) -> None:
        """Call a function after all steps in the queue, or at once if there are none."""

        def steps() -> Steps:
            act()
            yield from ()

        self.take(steps())

    def unpainted(self, act: Callable[[], None]) -> Steps:
        """Yield steps that change the window, let Qt lay it out again, and paint it only then."""
        window = main_window(self._widget)
        window.setUpdatesEnabled(False)
        try:
            act()
            yield
        finally:
            window.setUpdatesEnabled(True)
        yield

    def _step(self) -> None:
        steps = self._waiting[0]
        unfinished = False
        try:
            next(steps)
            unfinished = True
        except StopIteration:
            pass
        finally:
            # A step may handle events, and one of them may call `end`.
            if not unfinished and self._waiting and self._waiting[0] is steps:
                self._waiting.popleft()
            if self._waiting:
                self._timer.start()

    def end(self) -> None:
        """Close all generators that have not finished."""
        self._timer.stop()
        while self._waiting:
            steps = self._waiting.popleft()
            # A generator that is running has called this; it is closed when its last reference goes.
            if getgeneratorstate(steps) != GEN_RUNNING:
                steps.close()
