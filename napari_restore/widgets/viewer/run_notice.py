"""Notify the user that a run has ended."""

from __future__ import annotations

__all__ = ["notify_end"]

from collections.abc import Callable, Mapping
from weakref import WeakMethod

from qtpy.QtWidgets import QApplication, QWidget


def notify_end(text: str, actions: Mapping[str, Callable[[], None]], window: QWidget | None) -> None:
    """Show a napari notification, and mark the window in the task bar if it is not the active one.

    Parameters
    ----------
    text : str
        The text.
    actions : mapping of str to bound method
        Titles of buttons, and what they do.
    window : QWidget or None
        The main window.
    """
    from napari.utils.notifications import Notification, NotificationSeverity, notification_manager

    def weak(act: Callable[[], None]) -> Callable[..., None]:
        # napari keeps notifications for ever: a reference would keep the closed window and its canvas in memory.
        method = WeakMethod(act)

        def call(dialog: object = None) -> None:
            alive = method()
            if alive is not None:
                alive()

        return call

    class Notice(Notification):
        @property
        def source(self) -> str:  # napari shows it, and has its own manager's address there
            return "napari-restore"

    buttons = [(title, weak(act)) for title, act in actions.items()]
    notification_manager.dispatch(Notice(text, NotificationSeverity.INFO, actions=buttons))
    if window is not None:
        QApplication.alert(window)
