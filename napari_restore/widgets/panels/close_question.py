"""What is asked when a dock widget is closed while it works."""

from __future__ import annotations

__all__ = ["CloseQuestion"]

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QMessageBox, QWidget


class CloseQuestion(QMessageBox):
    """Asks whether a run is to stop or to go on. It goes on until that is answered, and after Escape.

    Parameters
    ----------
    name
        Of the layer that is restored.
    kept
        Whether what is done so far is stored, so that the run can be resumed.
    window
        The window of the viewer.
    """

    stop_wanted = Signal()

    def __init__(self, name: str, kept: bool, window: QWidget) -> None:
        super().__init__(window)
        self.setIcon(QMessageBox.Icon.Question)
        self.setWindowTitle("napari-restore")
        self.setText(f"{name} is still being restored. Stop, or go on without the dock widget?")
        self.setInformativeText(
            "If you stop, what is stored stays, and the same run can be resumed later."
            if kept
            else "If you stop, the layer keeps what is done so far."
        )
        self.stop = self.addButton("Stop", QMessageBox.ButtonRole.DestructiveRole)
        self.go_on = self.addButton("Go on", QMessageBox.ButtonRole.AcceptRole)
        self.go_on.setToolTip("The activity dock of napari shows how far it is, and can cancel it")
        self.setDefaultButton(self.go_on)
        self.setEscapeButton(self.go_on)
        self.stop.clicked.connect(self.stop_wanted)
