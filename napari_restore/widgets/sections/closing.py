"""Ask what to do with a run or a batch when its dock widget is closed."""

from __future__ import annotations

__all__ = ["Closing"]

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QWidget

from napari_restore.widgets.panels.frame.close_question import CloseQuestion
from napari_restore.widgets.sections.batch import WORK, Batch

if TYPE_CHECKING:
    from napari_restore.widgets.jobs.controller import Controller, Works


class Closing:
    """What goes on when a dock widget is closed, and the question whether it shall.

    Parameters
    ----------
    works : Works
        All work of the dock widget.
    controller : Controller
        Controls the run.
    batch : Batch
        Controls the batch.

    Attributes
    ----------
    question : CloseQuestion or None
        The question, while it is not answered.
    """

    def __init__(self, works: Works, controller: Controller, batch: Batch) -> None:
        self._works, self._controller, self._batch = works, controller, batch
        self.question: CloseQuestion | None = None

    @property
    def goes_on(self) -> tuple[str, ...]:
        """Names of the work that goes on until the answer; empty if nothing but previews is in progress."""
        return (WORK,) if self._batch.running else ("run",) if "run" in self._works else ()

    def ask(self, name: str, window: QWidget | None) -> None:
        """Ask whether to stop what goes on, unless it is being cancelled.

        Parameters
        ----------
        name : str
            Name of the layer that is restored.
        window : QWidget or None
            The window of the viewer.
        """
        batch, controller = self._batch, self._controller
        if window is None or (batch.box.state if batch.running else controller.state) != "running":
            return
        what, kept = ("The batch", True) if batch.running else (name, controller.keeps_result)
        self.question = CloseQuestion(what, kept, window)
        self.question.stop_wanted.connect(batch.cancel if batch.running else controller.cancel)
        self.question.finished.connect(self._answered)
        self.question.open()

    def _answered(self) -> None:
        if self.question is not None:
            self.question.deleteLater()
            self.question = None

    def end(self) -> None:
        """Take the question away."""
        if self.question is not None:
            self.question.reject()
