"""Show a run outside the dock widget: in napari's activity dock, in the title of the window, and at its end."""

from __future__ import annotations

__all__ = ["RunDisplay"]

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QWidget

from napari_restore.widgets.sections.ending import Ending
from napari_restore.widgets.threads.turns import Turns
from napari_restore.widgets.viewer.run_activity import RunActivity
from napari_restore.widgets.viewer.window_title import TitleProgress
from napari_restore.wording import human_duration

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_restore.engine.store.progress import Progress


class RunDisplay:
    """The run of one dock widget, as it is shown outside the dock widget.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer.
    turns : Turns
        The queue of the dock widget.
    cancel : callable
        Called when the activity dock's cancel button is clicked.
    tell : callable
        Shows a line of text; takes a keyword `warning`.

    Attributes
    ----------
    ending : Ending
        The last run that was completed.
    """

    def __init__(self, viewer: Viewer, turns: Turns, cancel: Callable[[], None], tell: Callable[..., None]) -> None:
        self.activity, self._title = RunActivity(turns, cancel), TitleProgress(viewer)
        self.ending = Ending(tell)
        self._runs, self._began = False, 0.0

    def begin(self, name: str) -> None:
        """Show that a run has begun.

        Parameters
        ----------
        name : str
            Name of the layer that is restored.
        """
        self.activity.end()
        if not self._runs:  # not the next layer of the same run
            self._runs, self._began = True, time.monotonic()
        self.activity.begin(name)

    def show(self, event: Progress) -> None:
        """Show the progress of the run."""
        self._title.show(*event.steps)
        self.activity.show(event)

    def end(self) -> None:
        """Show that nothing runs."""
        self._runs, self.ending.window = False, None
        self.activity.end()
        self._title.end()

    def done(self, what: str, output: str | None, window: QWidget | None) -> None:
        """Notify the user that a run is complete.

        Parameters
        ----------
        what : str
            Name of the layer or the result.
        output : str or None
            The OME-Zarr that was written; None: the result is in memory.
        window : QWidget or None
            The main window.
        """
        self.ending.window = window
        self.ending.notify(f"{what}: done in {human_duration(time.monotonic() - self._began)}.", output)
