"""Tell that a run or a batch has ended, and lead to its report and its folder."""

from __future__ import annotations

__all__ = ["Ending"]

from collections.abc import Callable
from pathlib import Path

from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QWidget

from napari_restore import api
from napari_restore.errors import RestoreError, in_window
from napari_restore.images.store import is_url
from napari_restore.widgets.panels.frame.report_window import ReportWindow
from napari_restore.widgets.viewer.run_notice import notify_end


class Ending:
    """The last run or batch that was completed.

    Parameters
    ----------
    tell : callable
        Shows a line of text; takes a keyword `warning`.

    Attributes
    ----------
    window : QWidget or None
        The main window; None if the dock widget is closed.
    report : ReportWindow or None
        The report that was shown last.
    """

    def __init__(self, tell: Callable[..., None]) -> None:
        self._tell = tell
        self._output = self._folder = ""
        self.window: QWidget | None = None
        self.report: ReportWindow | None = None

    def notify(self, text: str, output: str | None, folder: str = "") -> None:
        """Notify the user.

        Parameters
        ----------
        text : str
            What has ended.
        output : str or None
            The OME-Zarr or the folder of a batch, which has a report; None: the result is in memory.
        folder : str, optional
            The folder to show; by default that in which `output` lies.
        """
        actions: dict[str, Callable[[], None]] = {}
        if output is not None:
            self._output = output
            actions["Show report"] = self.show_report
            if not is_url(output):
                self._folder = folder or str(Path(output).absolute().parent)
                actions["Open folder"] = self.open_folder
        notify_end(text, actions, self.window)

    def show_report(self, output: str | None = None) -> None:
        """Show a report; by default that of the last output."""
        place = self._output if output is None else output
        try:
            found = api.run_report(place)
        except (RestoreError, OSError) as error:
            self._tell(in_window(error), warning=True)
            return
        self.report = ReportWindow(f"Report of {Path(place).name}", str(found), self.window, found.open)
        self.report.show()

    def open_folder(self) -> None:
        """Open the folder of the last output."""
        if not QDesktopServices.openUrl(QUrl.fromLocalFile(self._folder)):
            self._tell(f"No program shows folders here; the folder is {self._folder}.", warning=True)
