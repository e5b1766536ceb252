"""Control the preflight, preview and run of a dock widget, without Qt.

The `Controller` takes a job from a `View`, starts long work on `Works`, and shows the outcome in the view. All of this
happens on the main thread; the generators that `Works.start` gets run on other threads.
"""

from __future__ import annotations

__all__ = ["Controller", "State", "View", "Works"]

import threading
import time
import traceback
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, Protocol
from weakref import WeakSet

from napari_restore.errors import RestoreError, in_window
from napari_restore.widgets.jobs.job import Job
from napari_restore.widgets.jobs.layers.image_layers import Region
from napari_restore.widgets.jobs.preflight import Preflight, look_at
from napari_restore.widgets.jobs.preview import Preview, make_preview
from napari_restore.widgets.jobs.results import Result
from napari_restore.widgets.jobs.run import BlocksStored, Started, restore, wait_until_drawn
from napari_restore.wording import counted, human_shape

if TYPE_CHECKING:
    from napari.layers import Image as ImageLayer

    from napari_restore.engine.planning.plan import Plan
    from napari_restore.engine.store.progress import Progress

State = Literal["idle", "previewing", "running", "cancelling"]

_TELL_EVERY = 0.1
"""Seconds between two updates of the progress bars. Each draws the window, which takes as long as a small tile."""


class Works(Protocol):
    """Generators on their own threads, one at a time for each name: see `napari_restore.widgets.threads.works`."""

    def start(
        self,
        name: str,
        start: Callable[[threading.Event], Generator[Any, None, None]],
        event: Callable[[Any], None],
        ended: Callable[[BaseException | None], None],
        /,
    ) -> None:
        """Start work. `event` gets each item, and `ended` the error or None, both on the main thread."""

    def stop(self, name: str, /) -> bool:
        """Ask work to stop, and return whether there is any. It stays current until its `ended` is called."""

    def drop(self, name: str, /) -> bool:
        """Ask work to stop, and forget it: its items are not delivered. Return whether there was any."""

    def __contains__(self, name: object, /) -> bool: ...


class View(Protocol):
    """The interface of a dock widget that the controller uses."""

    def job(self) -> Job:
        """Return the job of the current choices; raise `RestoreError` if they make none."""

    def jobs(self) -> list[Job]:
        """Return the jobs of a run, one for each layer; raise `RestoreError` if the choices make none."""

    def region_on_screen(self, layer: ImageLayer | None = None) -> Region:
        """Return the region of a layer that is on screen; raise `RestoreError` if there is none.

        By default that of the chosen layer.
        """

    def preview_note(self) -> str:
        """Return what a preview leaves out of the view; empty if nothing."""

    def show_state(self, state: State) -> None: ...

    def show_message(self, text: str, *, warning: bool = False, details: str = "") -> None: ...

    def show_preflight(self, found: Preflight | None) -> None:
        """Show a preflight; None: there is none for the current choices."""

    def show_looking(self, text: str) -> None:
        """Show what is being found out about the layer; empty: nothing."""

    def show_done(self, text: str, output: str | None) -> None:
        """Show that a run is complete, and where its result is; None: in memory."""

    def show_obstacle(self, text: str) -> None:
        """Show why the current choices cannot be run."""

    def show_waiting(self) -> None:
        """Show that the current choices are checked when the run in progress has ended."""

    def show_run(self, name: str | None) -> None:
        """Show that the run of a layer of this name has started; None: it has ended."""

    def show_progress(self, event: Progress, plan: Plan) -> None: ...

    def show_result(self, result: Result, drawn: Callable[[], None] | None = None) -> None:
        """Add the layers of a result to the layer list; call `drawn` when they are drawn or never will be."""

    def remove_result(self) -> None:
        """Remove the layers of a run that has not restored any pixels of them."""

    def result_changed(self) -> None:
        """Draw pixels of the result that have changed, at most a few times a second."""

    def result_complete(self, *, all_restored: bool = True) -> None:
        """Draw all pixels of the result now: they will not change any more."""


def _none() -> int:
    return 0


_controllers: WeakSet[Controller] = WeakSet()


class Controller:
    """The controller of one dock widget.

    Parameters
    ----------
    view : View
        The dock widget.
    works : Works
        Runs long work on threads.

    Attributes
    ----------
    preflight : Preflight or None
        The preflight of the current choices; None until it has ended.
    state : str
        ``"idle"``, ``"previewing"``, ``"running"`` or ``"cancelling"``.
    live : bool
        Whether each change of the choices starts a preview.
    """

    def __init__(self, view: View, works: Works) -> None:
        self._view, self._works = view, works
        self.preflight: Preflight | None = None
        self.state: State = "idle"
        self.live = False
        self._job: Job | None = None
        self._waiting: list[Job] = []
        self._number_of_jobs, self._failed = 1, list[str]()
        self._plan: Plan | None = None
        self._stored_blocks: Callable[[], int] = _none
        self._result_removed = False
        self._is_new = True
        self._told = 0.0
        _controllers.add(self)

    # -------------------------------------------------------------------------------------- preflight

    def choices_changed(self) -> None:
        """Drop the preflight of earlier choices. The view calls `start_preflight` when the choices have settled."""
        self._drop_preflight()
        self.preflight, self._is_new = None, True
        self._view.show_preflight(None)

    def start_preflight(self) -> None:
        """Start the preflight of the current choices."""
        self._drop_preflight()
        if "run" in self._works:
            self._view.show_waiting()  # the preflight starts when the run has ended
            return
        try:
            job = self._view.job()
        except RestoreError as error:
            self.preflight = None
            self._view.show_obstacle(error.told("window"))
            return

        self._view.show_looking("Loading libraries…")
        self._works.start("preflight", lambda stop: look_at(job, stop), self._found, self._not_found)

    def _found(self, found: str | Preflight) -> None:
        if isinstance(found, str):
            self._view.show_looking(found)
            return
        self._view.show_looking("")
        self.preflight = found
        self._view.show_preflight(found)
        if self.live and self._is_new:
            self.start_preview()

    def _drop_preflight(self) -> None:
        if self._works.drop("preflight"):
            self._view.show_looking("")

    def _not_found(self, error: BaseException | None) -> None:
        self._view.show_looking("")
        if error is not None:
            self._view.show_obstacle(in_window(error))

    # ---------------------------------------------------------------------------------------- preview

    def start_preview(self) -> None:
        """Restore the region on screen, and show it as a layer. An earlier preview in progress is dropped."""
        if self.state in ("running", "cancelling"):
            return
        self.drop_preview()
        self._is_new = False
        try:
            job = self._view.job().in_memory()
            on_screen = self._view.region_on_screen()
        except RestoreError as error:
            self._view.show_message(error.told("window"), warning=True)
            return
        plan = None if self.preflight is None else self.preflight.plan
        self._become("previewing")
        self._view.show_message("Restoring what is on screen…")

        def show(made: Preview) -> None:
            self._view.show_result(Result.of_preview(job, made))
            so_far = "" if made.complete else "; the rest follows"
            shape = human_shape(made.plan.axes, made.pixels.shape)
            self._view.show_message(f"Preview: {shape}{so_far}{self._view.preview_note()}")

        self._works.start("preview", lambda stop: make_preview(job, on_screen, plan, stop), show, self._preview_ended)

    def stop(self) -> None:
        """Stop the preview or the run in progress, whichever there is."""
        if self.state == "previewing":
            self.drop_preview()
            self._view.show_message("Preview stopped.")
        else:
            self.cancel()

    def drop_preview(self) -> None:
        """Stop the preview in progress, if there is one."""
        if self._works.drop("preview") and self.state == "previewing":
            self._become("idle")

    def _preview_ended(self, error: BaseException | None) -> None:
        self._become("idle")
        if error is not None:
            self._tell_error(error)
        self._view.result_complete()

    # -------------------------------------------------------------------------------------------- run

    def start_run(self) -> None:
        """Restore the layers one after another, unless a run is in progress. A result is shown at once and fills in."""
        if self.state in ("running", "cancelling"):
            return
        if "batch" in self._works:
            self._view.show_message("A batch is in progress; run when it has ended.", warning=True)
            return
        self._drop_preflight()
        self.drop_preview()
        self._is_new = False
        try:
            self._waiting = self._view.jobs()
        except RestoreError as error:
            self._view.show_message(error.told("window"), warning=True)
            return
        self._number_of_jobs, self._failed = len(self._waiting), []
        self._start_next()

    def _start_next(self) -> None:
        """Start the next job of the run."""
        job = self._waiting.pop(0)
        self._job, self._plan, self._result_removed = job, None, False
        self._stored_blocks = _none
        drawn = threading.Event()
        on_screen: Region | None = None
        with suppress(RestoreError):  # nothing of the layer is on screen
            on_screen = self._view.region_on_screen(job.layer)

        def advance(event: Started | Progress | BlocksStored) -> None:
            if isinstance(event, Started):
                self._plan, self._stored_blocks = event.plan, event.stored_blocks
                if self.state == "cancelling" and not event.stored_blocks():
                    return
                self._view.show_result(Result.of_run(job, event), drawn.set)
            elif isinstance(event, BlocksStored):
                self._view.result_changed()
            else:
                self._advance(event)

        def start(stop: threading.Event) -> Generator[Any, None, None]:
            return wait_until_drawn(restore(job, on_screen), drawn, stop)

        self._become("running")
        self._works.start("run", start, advance, self._run_ended)
        number, total = self._number_of_jobs - len(self._waiting), self._number_of_jobs
        self._view.show_run(job.layer.name if total == 1 else f"{job.layer.name} ({number} of {total})")

    def _advance(self, event: Progress) -> None:
        if time.monotonic() - self._told >= _TELL_EVERY and self._plan is not None:
            self._told = time.monotonic()
            self._view.show_progress(event, self._plan)

    def cancel(self) -> None:
        """Stop the run. Stored blocks are kept."""
        if self._works.stop("run"):
            self._become("cancelling")

    def result_removed(self) -> None:
        """Stop a run in memory whose layers the user has removed. A run to an output is completed."""
        self._result_removed = True
        if not self.keeps_result:
            self.cancel()

    @property
    def keeps_result(self) -> bool:
        """Whether the last run writes to an output, so that it can be resumed."""
        return self._job is not None and self._job.choices.output is not None

    def _run_ended(self, error: BaseException | None) -> None:
        cancelled = self.state == "cancelling"
        goes_on = bool(self._waiting) and not cancelled
        if not goes_on:
            self._view.show_run(None)
            self._become("idle")
        if error is not None and self._number_of_jobs > 1 and self._job is not None:
            self._failed.append(f"{self._job.layer.name}: {in_window(error)}")
        if error is not None and self._number_of_jobs == 1:
            self._tell_error(error)
        elif cancelled:
            self._view.show_message(self._cancelled_text())
        elif not goes_on and self._failed:
            self._view.show_message(self._done_text(), warning=True, details="\n".join(self._failed))
        elif not goes_on:
            self._view.show_done(self._done_text(), None if self._job is None else self._job.choices.output)
        complete = error is None and not cancelled
        if self._stored_blocks() or complete:
            self._view.result_complete(all_restored=complete)
        else:
            self._view.remove_result()
        if goes_on:
            self._start_next()
            return
        if cancelled or self.preflight is None:
            self.start_preflight()  # how much is stored, and choices that were changed during the run
        self._release_models()

    def _cancelled_text(self) -> str:
        if self._waiting:
            left, self._waiting = len(self._waiting), []
            return f"Cancelled; not started: {counted(left, 'layer')}."
        if self._result_removed and not self.keeps_result:
            return "Stopped: the layer of the result was removed."
        stored = self._stored_blocks()
        if not stored or self._plan is None:
            return "Cancelled before the first block; nothing is stored."
        if self.keeps_result:
            return "Cancelled; stored blocks are kept, and Resume continues the run."
        return f"Cancelled; {stored} of {self._plan.blocks} blocks are restored."

    def _done_text(self) -> str:
        if self._result_removed and self._job is not None:
            return f"Done. The layer of the result was removed; the result is in {self._job.choices.output}."
        if self._number_of_jobs > 1:
            done = self._number_of_jobs - len(self._failed)
            why = f" {self._failed[0]}" if self._failed else ""
            return f"Done: {done} of {self._number_of_jobs} layers.{why}"
        return "Done."

    # ----------------------------------------------------------------------------------------- common

    def _become(self, state: State) -> None:
        self.state = state
        self._view.show_state(state)

    def _tell_error(self, error: BaseException) -> None:
        if isinstance(error, RestoreError):
            self._view.show_message(error.told("window"), warning=True)
            return
        details = "".join(traceback.format_exception(error))
        self._view.show_message(f"{type(error).__name__}: {error}", warning=True, details=details)

    def _release_models(self) -> None:
        """Free the memory of models, above all that of a GPU, unless another dock widget is using one."""
        others = (other for other in _controllers if other is not self)
        if any(name in other._works for other in others for name in ("run", "preview")):
            return
        from napari_restore.engine.compute.predictor import release_predictors

        release_predictors()
