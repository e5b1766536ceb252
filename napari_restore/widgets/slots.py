"""Connect functions to signals of Qt so that Python can free them.

PySide keeps a function that is connected to a signal where Python's garbage collector does not look. If the function
refers to the widget, which a ``lambda: self...`` does, the widget stays in memory for good. Methods are kept weakly.
"""

from __future__ import annotations

__all__ = ["forget", "slot"]

from collections.abc import Callable
from typing import Any

_NAME = "_napari_restore_slots"


class _Slot:
    def __init__(self, act: Callable[..., Any]) -> None:
        self._act = act

    def call(self, *arguments: Any) -> None:
        self._act(*arguments)


def slot(owner: Any, act: Callable[..., Any]) -> Callable[..., None]:
    """Return a method that calls a function, to be connected to a signal of Qt.

    Parameters
    ----------
    owner : Any
        An object that is there as long as the signal, and keeps the function.
    act : callable
        The function. It gets the arguments of the signal; of `clicked` and `triggered`, PyQt gives one and PySide none.
    """
    made = _Slot(act)
    vars(owner).setdefault(_NAME, []).append(made)
    return made.call


def forget(owner: Any) -> None:
    """Drop all functions that an owner keeps: what they were connected to, such as the entries of a menu, is gone."""
    vars(owner).pop(_NAME, None)
