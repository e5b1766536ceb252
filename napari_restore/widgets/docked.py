"""A widget in napari's window: it opens in steps, and notices how it is closed."""

from __future__ import annotations

__all__ = ["DockedWidget"]

from dis import get_instructions
from inspect import GEN_RUNNING, getgeneratorstate
from typing import TYPE_CHECKING, Any, ClassVar

from qtpy import PYSIDE6
from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QWidget

from napari_restore.widgets.threads.turns import Steps, Turns

_kept: list[QWidget] = []
"""Widgets that were closed by napari's ×: with PySide6 (6.11.3), the process can end when the garbage collector frees
one."""


class DockedWidget(QWidget):
    """A widget that napari docks while it is empty, and whose parts are made in steps afterwards.

    Qt and napari take half a second for the parts together, in which the window would stand still. Code that asks for
    one of `parts` earlier gets it: all are then made at once.

    Attributes
    ----------
    parts : frozenset of str
        Names of the attributes that `make_parts` sets, read from its code.
    opened : bool
        Whether all parts are made and visible.
    """

    parts: ClassVar[frozenset[str]] = frozenset()
    opened = False
    _window: QWidget | None = None

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        cls.parts = frozenset(one.argval for one in get_instructions(cls.make_parts) if one.opname == "STORE_ATTR")

    def __init__(self) -> None:
        super().__init__()
        self._turns = Turns(self)
        self._opening = self._open()
        self._turns.take(self._opening)

    def make_parts(self) -> Steps:
        """Make all parts.

        Yields
        ------
        None
            Where events may be handled.
        """
        raise NotImplementedError

    def follow(self) -> None:
        """Connect to the viewer: all parts are made, and the widget is visible, perhaps again."""
        raise NotImplementedError

    def leave(self) -> None:
        """Disconnect from the viewer: the user has closed the widget by napari's ×."""
        raise NotImplementedError

    def end(self) -> None:
        """Stop all work and disconnect from the viewer: the widget or its window is closed."""
        raise NotImplementedError

    # ------------------------------------------------------------------------------------------------ opening

    def _open(self) -> Steps:
        yield
        yield from self.make_parts()
        self.opened = True
        if self.isVisible():
            self.follow()

    def open_now(self) -> None:
        """Make all parts that are not made yet."""
        if getgeneratorstate(self._opening) != GEN_RUNNING:
            for _ in self._opening:
                pass

    if not TYPE_CHECKING:  # it would hide wrong names from the type checker

        def __getattr__(self, name: str) -> Any:
            """Return a part that was not made before this call."""
            if name in type(self).parts and not self.opened:
                self.open_now()
                if name in self.__dict__:
                    return self.__dict__[name]
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def showEvent(self, event: Any) -> None:
        super().showEvent(event)
        if self.opened:
            self.follow()

    # ------------------------------------------------------------------------------------------------ closing

    def follow_window(self) -> None:
        """Notice when the window of this widget closes."""
        window = self.window()
        if window is not self._window and window is not None:
            self._window = window
            window.installEventFilter(self)

    def leave_window(self) -> None:
        """Release the window: a reference would keep it and its canvas in memory after it is closed."""
        if self._window is not None:
            self._window.removeEventFilter(self)
            self._window = None

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Stop all work when the window closes."""
        if event is not None and event.type() == QEvent.Type.Close and watched is self._window:
            self.end()
        return False

    def closeEvent(self, event: Any) -> None:
        self.end()
        super().closeEvent(event)

    def changeEvent(self, event: QEvent | None) -> None:
        """Detect a click on napari's ×, which takes the widget out of its window and sends no close event."""
        super().changeEvent(event)
        if event is None or event.type() != QEvent.Type.ParentChange or self.parent() is not None:
            return
        if PYSIDE6 and self not in _kept:
            _kept.append(self)
        if not self.opened:
            self.end()
        elif self._window is not None:
            self.leave()
