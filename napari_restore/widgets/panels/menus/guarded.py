"""Call the actions of a menu, and show their errors as a line."""

from __future__ import annotations

__all__ = ["Tell", "guarded"]

from collections.abc import Callable

from napari_restore.errors import RestoreError, in_window

Tell = Callable[..., None]
"""Shows a line of text, as a `warning` or with `details`: see `RunBar.tell`."""


def guarded(action: Callable[[], None], tell: Tell) -> Callable[..., None]:
    """Wrap an action: show its errors as a line, and ignore the arguments of Qt's signal.

    Parameters
    ----------
    action : callable
        The action.
    tell : callable
        Shows the line.
    """

    def call(*_: object) -> None:
        try:
            action()
        except (RestoreError, OSError) as error:
            tell(in_window(error), warning=True)

    return call
