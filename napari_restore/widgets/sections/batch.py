"""Connect the page that restores many files with the batch functions of the API."""

from __future__ import annotations

__all__ = ["Batch"]

import threading
import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_restore import api
from napari_restore.errors import RestoreError, in_window
from napari_restore.widgets.jobs.batch import BatchChoices, find_batch, state_in_words
from napari_restore.widgets.panels.frame.batch_box import BatchBox
from napari_restore.widgets.sections.ending import Ending
from napari_restore.widgets.threads.turns import Turns
from napari_restore.widgets.viewer.window_title import TitleProgress
from napari_restore.wording import counted, human_duration

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_restore.api import BatchPlan, BatchProgress
    from napari_restore.widgets.jobs.controller import Works
    from napari_restore.widgets.jobs.job import Choices, Task

WORK = "batch"
"""Name of the work on threads."""


class Batch(QObject):
    """The batch of one dock widget.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer.
    works : Works
        Runs long work on threads.
    turns : Turns
        Parent of this object.
    choices : callable
        Returns the settings for all images; raises `RestoreError` if there are none.
    task : str
        ``"denoise"`` or ``"super-resolve"``.

    Attributes
    ----------
    box : BatchBox
        The page.
    ending : Ending
        The last batch that was completed, and the main window.
    """

    ended = Signal()
    """A run has ended."""

    def __init__(
        self, viewer: Viewer, works: Works, turns: Turns, choices: Callable[[], Choices], task: Task
    ) -> None:  # fmt: skip
        super().__init__(turns)
        self.box, self._works, self._choices, self._task = BatchBox(), works, choices, task
        self._title = TitleProgress(viewer)
        self._plan: BatchPlan | None = None
        self._runs_after_listing = False
        self._failed = 0
        self._began = 0.0
        self._said_before = ""
        self.ending = Ending(self._tell)
        self.box.list_wanted.connect(self.list_images)
        self.box.run_wanted.connect(self.run)
        self.box.cancel_wanted.connect(self.cancel)
        self.box.report_wanted.connect(lambda: self.ending.show_report(self.folder))

    @property
    def running(self) -> bool:
        """Whether images are being restored."""
        return self.box.state in ("running", "cancelling")

    @property
    def folder(self) -> str:
        """Folder of the results."""
        return str(self.box.folder.text()).strip()

    def list_images(self) -> None:
        """Find the images and the state of each."""
        self._start_listing(False)

    def run(self) -> None:
        """Find the images, and restore those that are not done."""
        if "run" in self._works:
            self._tell("A run is in progress; start the batch when it has ended.", warning=True)
            return
        self._start_listing(True)

    def _start_listing(self, runs: bool) -> None:
        try:
            chosen = BatchChoices(
                tuple(self.box.sources.lines()), self.folder, self._choices(), self._task,
                self.box.overwrite.isChecked(), self.box.shared.isChecked(),
            )  # fmt: skip
        except RestoreError as error:
            self._tell(error.told("window"), warning=True)
            return
        self._runs_after_listing, self._plan = runs, None
        self.box.table.setRowCount(0)
        self.box.set_state("listing")
        self._tell("Looking for images…")
        self._works.start(WORK, lambda stop: find_batch(chosen), self._listed, self._listing_ended)

    def _listed(self, plan: BatchPlan) -> None:
        self._plan = plan
        self.box.show_items(plan.items)
        states = [item.state for item in plan.items]
        counts = {state: states.count(state) for state in ("new", "begun", "done", "impossible")}
        names = {"new": "new", "begun": "to be resumed", "done": "done", "impossible": "not possible"}
        parts = [f"{count} {names[state]}" for state, count in counts.items() if count]
        ignored = f"; {counted(len(plan.ignored), 'other file')} left out" if plan.ignored else ""
        said, self._said_before = self._said_before, ""
        self._tell(f"{said}{counted(len(states), 'image')}: {', '.join(parts)}{ignored}.")

    def _listing_ended(self, error: BaseException | None) -> None:
        if error is None and self._runs_after_listing and self._plan is not None:
            self._start_run(self._plan)
            return
        self.end()
        if error is not None:
            self._tell(in_window(error), warning=True)

    def _start_run(self, plan: BatchPlan) -> None:
        self._failed, self._began = 0, time.monotonic()
        self.box.overwrite.setChecked(False)  # it is for one run
        self.box.set_state("running")
        self.box.bar.setRange(0, 100 * len(plan.items))

        def start(stop: threading.Event) -> Generator[BatchProgress, None, None]:
            return api.run_batch(plan)

        self._works.start(WORK, start, self._advance, self._run_ended)

    def _advance(self, progress: BatchProgress) -> None:
        event, row, share = progress.event, progress.number - 1, 100
        if event is None:
            self._failed += progress.item.state == "failed"
            self.box.show_item(row, state_in_words(progress.item))
        else:
            done, total = event.steps
            share = 100 * done // total if event.counts_tiles else 99
            self.box.show_item(row, f"{share} %")
        self.box.bar.setValue(100 * row + share)
        self._title.show(100 * row + share, 100 * progress.total)
        self._tell(f"Image {progress.number} of {progress.total}: {progress.item.name}")

    def cancel(self) -> None:
        """Stop. What is stored is kept, and the same batch resumes it."""
        self._runs_after_listing = False
        if self._works.stop(WORK):
            self.box.set_state("cancelling")

    def _run_ended(self, error: BaseException | None) -> None:
        cancelled, plan = self.box.state == "cancelling", self._plan
        self.end()
        if error is not None:
            self._tell(in_window(error), warning=True)
        elif cancelled and self.ending.window is not None:
            self._said_before = "Cancelled; Run resumes the batch. "
            self._start_listing(False)  # what is stored now
        elif plan is not None:
            done = f"{len(plan.items) - self._failed} of {counted(len(plan.items), 'image')}"
            text = f"Batch: {done} done in {human_duration(time.monotonic() - self._began)}."
            self._tell(text, warning=bool(self._failed))
            self.ending.notify(text, self.folder, self.folder)
        self.ended.emit()

    def _tell(self, text: str, *, warning: bool = False) -> None:
        self.box.line.say(text, warning=warning)

    def end(self) -> None:
        """Show that nothing runs: the work was dropped."""
        self._title.end()
        self.box.set_state("idle")
