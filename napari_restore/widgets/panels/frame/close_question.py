"""Ask what to do with a run when its dock widget is closed."""

from __future__ import annotations

__all__ = ["CloseQuestion"]

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QMessageBox, QWidget


class CloseQuestion(QMessageBox):
    """The question whether to stop a run or to let it continue. It continues until the answer, and after Escape.

    Parameters
    ----------
    name : str
        Name of the layer that is restored.
    kept : bool
        Whether the run writes to an output, so that it can be resumed.
    window : QWidget
        The window of the viewer.
    """

    stop_wanted = Signal()

    def __init__(self, name: str, kept: bool, window: QWidget) -> None:
        super().__init__(window)
        self.setIcon(QMessageBox.Icon.Question)
        self.setWindowTitle("napari-restore")
        self.setText(f"{name} is still being restored. Stop the run, or continue without the dock widget?")
        self.setInformativeText(
            "If you stop, stored blocks are kept, and the run can be resumed later."
            if kept
            else "If you stop, the layer keeps the pixels that are restored so far."
        )
        self.stop = self.addButton("Stop", QMessageBox.ButtonRole.DestructiveRole)
        self.proceed = self.addButton("Continue", QMessageBox.ButtonRole.AcceptRole)
        self.proceed.setToolTip("napari's activity dock shows the progress, and can cancel the run")
        self.setDefaultButton(self.proceed)
        self.setEscapeButton(self.proceed)
        self.stop.clicked.connect(self.stop_wanted)
