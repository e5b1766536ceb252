"""Show a run outside the dock widget: in napari's activity dock, in the title of the window, and at its end."""

from __future__ import annotations

__all__ = ["RunDisplay"]

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QWidget

from napari_restore import api
from napari_restore.errors import RestoreError, in_window
from napari_restore.images.store import is_url
from napari_restore.widgets.panels.frame.report_window import ReportWindow
from napari_restore.widgets.threads.turns import Turns
from napari_restore.widgets.viewer.run_activity import RunActivity
from napari_restore.widgets.viewer.run_notice import notify_end
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
    """

    def __init__(self, viewer: Viewer, turns: Turns, cancel: Callable[[], None], tell: Callable[..., None]) -> None:
        self.activity, self._title = RunActivity(turns, cancel), TitleProgress(viewer)
        self._tell = tell
        self._runs, self._began = False, 0.0
        self._output = ""
        self._window: QWidget | None = None
        self.report: ReportWindow | None = None

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
        self._runs, self._window = False, None
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
        actions: dict[str, Callable[[], None]] = {}
        self._output, self._window = output or "", window
        if output is not None:
            actions["Show report"] = self.show_report
            if not is_url(output):
                actions["Open folder"] = self.open_folder
        seconds = time.monotonic() - self._began
        notify_end(f"{what}: done in {human_duration(seconds)}.", actions, window)

    def show_report(self) -> None:
        """Show the report of the last run that was completed."""
        try:
            text = str(api.run_report(self._output))
        except (RestoreError, OSError) as error:
            self._tell(in_window(error), warning=True)
            return
        self.report = ReportWindow(f"Report of {Path(self._output).name}", text, self._window)
        self.report.show()

    def open_folder(self) -> None:
        """Open the folder of the last OME-Zarr that was completed."""
        folder = str(Path(self._output).absolute().parent)
        if not QDesktopServices.openUrl(QUrl.fromLocalFile(folder)):
            self._tell(f"No program shows folders here; the result is in {folder}.", warning=True)
