"""The dock widgets: boxes of choices over one run bar, and the layers that come out."""

from __future__ import annotations

__all__ = ["DenoiseDock", "RestoreDock", "SuperResolutionDock"]

import threading
import time
import traceback
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakSet

from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

from napari_restore.errors import RestoreError
from napari_restore.widgets.jobs import controller
from napari_restore.widgets.jobs.controller import Landed, Look, Started
from napari_restore.widgets.jobs.job import Choices, Job, Task
from napari_restore.widgets.jobs.preview import Preview, make_preview
from napari_restore.widgets.jobs.results import LayerData, result_layers
from napari_restore.widgets.panels.compare_box import CompareBox
from napari_restore.widgets.panels.form import Form
from napari_restore.widgets.panels.model_tools import ModelTools
from napari_restore.widgets.panels.recipe_menu import RecipeMenu
from napari_restore.widgets.panels.rows import set_tab_order
from napari_restore.widgets.panels.run_bar import RunBar
from napari_restore.widgets.threads.turns import Steps, Turns
from napari_restore.widgets.threads.work import Work, drawn_first
from napari_restore.widgets.viewer.activity import RunActivity
from napari_restore.widgets.viewer.compare_tools import CompareTools
from napari_restore.widgets.viewer.live_view import LiveView
from napari_restore.widgets.viewer.shown import PREVIEW, ShownResults
from napari_restore.wording import human_shape

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_restore.engine.planning.plan import Plan

_TELL_EVERY = 0.1
"""Seconds between two steps of the progress bars: for each, napari draws the window, as long as a small tile takes."""
LOOK_AFTER = 400
"""Milliseconds without a change after which the layer is looked at."""


_docks: WeakSet[RestoreDock] = WeakSet()


class RestoreDock(QWidget):
    """One dock widget for one task."""

    task: ClassVar[Task]

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self.viewer = napari_viewer
        _docks.add(self)
        self.look: Look | None = None
        self.works: dict[str, Work] = {}
        self.activity: Any = None
        self._job: Job | None = None
        self._told = 0.0
        self.form, self.compare, self.bar = Form(napari_viewer, self.task), CompareBox(), RunBar()
        self.input, self.model, self.output = self.form.input, self.form.model, self.form.output
        self.performance = self.form.performance
        self._turns = Turns(self)
        self.results, self.live = ShownResults(napari_viewer, self._turns), LiveView(napari_viewer, self)
        self.tools = CompareTools(napari_viewer, self.compare, self._start, self.bar.tell)
        self._lay_out()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(LOOK_AFTER)
        self._timer.timeout.connect(self.look_again)
        self.form.changed.connect(self._changed)
        self.bar.preview_wanted.connect(self.start_preview)
        self.bar.run_wanted.connect(self.start_run)
        self.bar.cancel_wanted.connect(self.cancel)
        self.bar.live.toggled.connect(self._follow)
        self.live.rested.connect(self.start_preview)
        self.recipes = RecipeMenu(self.form, self.bar.menu, self.bar.tell, self)
        self.model_tools = ModelTools(self.model, self._start, self._stop, self.bar.tell, self._changed)
        self._window: QWidget | None = None
        self._changed()

    def _lay_out(self) -> None:
        choices = QWidget()
        column = QVBoxLayout(choices)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        for box in (self.form, self.compare):
            column.addWidget(box)
        column.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(choices)
        # Figures are asked for at the bottom of a column that may be longer than the screen.
        laid_out = QTimer(self)
        laid_out.setSingleShot(True)
        laid_out.timeout.connect(lambda: scroll.ensureWidgetVisible(self.compare.figures))
        self.compare.figures_shown.connect(lambda: laid_out.start(50))
        outer = QVBoxLayout(self)
        outer.setContentsMargins(6, 6, 6, 6)
        outer.addWidget(scroll, 1)
        outer.addWidget(self.bar)
        set_tab_order(self)
        self.setMinimumWidth(330)

    # ------------------------------------------------------------------------------------ choices

    def choices(self) -> Choices:
        """What is chosen now: see `Form.choices`."""
        return self.form.choices()

    def job(self) -> Job:
        """The job that is described now: see `Form.job`."""
        return self.form.job()

    def _changed(self) -> None:
        self._stop("look")  # it would tell of the settings before
        self.look = None
        self.output.show_look(None)
        self.bar.set_resumes(False)
        self._timer.start()

    def look_again(self) -> None:
        """Plan what is chosen and show what it takes, on a worker thread."""
        self._stop("look")
        if "run" in self.works:
            return
        self.model.show_report(None)
        try:
            job = self.job()
        except RestoreError as error:
            self.look = None
            if self.input.layer() is not None:
                self.output.show_error(str(error))
            return

        def start(stop: threading.Event) -> Generator[Look, None, None]:
            yield controller.look(job)

        self._start("look", start, self._show_look, self._show_look_error)

    def _show_look(self, look: Look) -> None:
        self.look = look
        self.form.show_look(look)
        self.bar.set_resumes(0 < look.blocks_there < look.plan.blocks)
        if self.live.following:
            self.start_preview()

    def _show_look_error(self, error: BaseException | None) -> None:
        if error is not None:
            self.output.show_error(str(error))

    # ------------------------------------------------------------------------------------ preview

    def start_preview(self) -> None:
        """Restore what is on screen, and show it as a layer of its own; the preview before is given up."""
        if self.bar.state in ("running", "cancelling"):
            return
        self._stop("preview")
        try:
            job = self.job().in_memory()
            view = self.input.region("view")
        except RestoreError as error:
            self.bar.tell(str(error), warning=True)
            return
        plan = None if self.look is None else self.look.plan
        self.bar.set_state("previewing")
        self.bar.tell("Restoring what is on screen…")

        def show(made: Preview) -> None:
            layers = result_layers(job.layer, made.plan, made.region, (made.pixels,))
            for _data, arguments, _ in layers:
                arguments["name"] = f"{PREVIEW}{arguments['name']}"
            self._show_layers(layers, job, made.plan, made.origin)
            so_far = "" if made.complete else "; the rest follows"
            self.bar.tell(f"Preview: {human_shape(made.plan.axes, made.pixels.shape)}{so_far}")

        self._start("preview", lambda stop: make_preview(job, view, plan, stop), show, self._ended("preview"))

    def _follow(self, live: bool) -> None:
        """Preview again whenever camera and sliders have come to rest, or choices were looked at."""
        self.live.follow(live)
        if live:
            self.start_preview()

    # ---------------------------------------------------------------------------------------- run

    def start_run(self) -> None:
        """Restore the region; its layer appears at once and fills in."""
        self._stop("look")
        self._stop("preview")
        try:
            job = self.job()
        except RestoreError as error:
            self.bar.tell(str(error), warning=True)
            return
        self._job = job
        self.bar.set_state("running")
        self.bar.bar.setRange(0, 0)
        self.bar.tell("Planning…" if self.model.fetch.isHidden() else "Fetching the weights, then planning…")
        self._follow_window()
        self._drawn = drawn = threading.Event()

        def start(stop: threading.Event) -> Generator[Any, None, None]:
            return drawn_first(controller.restore(job), drawn, stop)

        self._start("run", start, self._advance, self._ended("run"))
        self._turns.take(self._show_activity(job))

    def _show_activity(self, job: Job) -> Steps:
        def show() -> None:
            activity = RunActivity(job.layer.name, self.cancel)  # which lets events in
            if "run" in self.works:
                self.activity = activity
            else:
                activity.close()

        yield  # the bar of the dock widget is painted first
        if "run" in self.works:
            yield from self._turns.unpainted(show)

    def cancel(self) -> None:
        """Stop the run after the batch in progress; blocks that are stored stay."""
        if self._stop("run"):
            self.bar.set_state("cancelling")

    def _advance(self, event: Any) -> None:
        assert self._job is not None
        if isinstance(event, Started):
            self._plan = event.plan
            layers = result_layers(self._job.layer, event.plan, self._job.region, event.levels)
            self._show_layers(layers, self._job, event.plan, (0, 0), self._drawn.set)
            return
        if isinstance(event, Landed):
            self.results.mark_stale()
            return
        self.results.refresh()
        if time.monotonic() - self._told < _TELL_EVERY:
            return
        self._told = time.monotonic()
        pixels = self._plan.image.sizes["Y"] * self._plan.image.sizes["X"] / max(self._plan.tiles_in_plane, 1)
        if self.bar.state == "running":
            self.bar.show_progress(event, pixels)
        if self.activity is not None:
            self.activity.show(event)

    def _show_layers(
        self,
        layers: list[LayerData],
        job: Job,
        plan: Plan,
        origin: tuple[int, int],
        drawn: Callable[[], None] | None = None,
    ) -> None:
        def shown() -> None:
            self.tools.between(job.layer, job.axes, self.results.layers, plan, origin)

        self.results.show(layers, shown, drawn)

    def _ended(self, name: str) -> Any:
        """What to do when the work of a name has ended, with or without an error."""

        def end(error: BaseException | None) -> None:
            cancelled = self.bar.state == "cancelling"
            if name == "run" and self.activity is not None:
                self.activity.close()
                self.activity = None
            self.bar.set_state("idle")
            if error is not None:
                expected = isinstance(error, RestoreError)
                details = "" if expected else "".join(traceback.format_exception(error))
                line = str(error) if expected else f"{type(error).__name__}: {error}"
                self.bar.tell(line, warning=True, details=details)
            elif cancelled:
                kept = self._job is not None and self._job.choices.output is not None
                self.bar.tell("Cancelled; what is stored stays, and Resume goes on." if kept else "Cancelled.")
                self._timer.start()
            elif name == "run":
                self.bar.tell("Done.")
            self.results.mark_stale()
            self.results.refresh(now=True)
            if name == "run":
                self._release()

        return end

    # ------------------------------------------------------------------------------------- threads

    def _release(self) -> None:
        """Give back the memory of models, on a GPU above all, unless another dock widget is at work with one."""
        if any({"run", "preview"} & dock.works.keys() for dock in _docks if dock is not self):
            return
        from napari_restore.engine.compute.predictor import release_predictors

        release_predictors()

    def _start(self, name: str, start: Any, event: Any, ended: Any) -> None:
        """Start work, one of a name at a time; events of work that was replaced are dropped."""

        def only_if_current(call: Any) -> Any:
            return lambda item: call(item) if self.works.get(name) is work else None

        def end(error: BaseException | None) -> None:
            if self.works.get(name) is work:
                del self.works[name]
                ended(error)

        # It has ended when its layers are there.
        work = Work(start, only_if_current(event), lambda error: self._turns.call(lambda: end(error)))
        self.works[name] = work

    def _stop(self, name: str) -> bool:
        """Ask work to end; a run is still current until it has, others are forgotten at once."""
        work = self.works.get(name)
        if work is None:
            return False
        work.stop()
        if name != "run":
            del self.works[name]
            if name == "preview" and self.bar.state == "previewing":
                self.bar.set_state("idle")
        return True

    def _follow_window(self) -> None:
        window = self.window()
        if window is not self._window and window is not None:
            self._window = window
            window.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """End all work when the window closes."""
        if event is not None and event.type() == QEvent.Type.Close and watched is self._window:
            self.end()
        return False

    def showEvent(self, event: Any) -> None:
        super().showEvent(event)
        self.form.follow()
        self._follow_window()

    def closeEvent(self, event: Any) -> None:
        self.end()
        super().closeEvent(event)

    def end(self) -> None:
        """Stop all work and follow the viewer no more; events still on their way are dropped."""
        self._timer.stop()
        self.form.leave()
        if self._window is not None:
            # A reference would keep the closed window, and its canvas, alive.
            self._window.removeEventFilter(self)
            self._window = None
        self.live.follow(False)
        self._turns.end()
        self.tools.end()
        for work in self.works.values():
            work.stop()
        self.works = {}
        _docks.discard(self)
        if self.activity is not None:
            self.activity.close()
            self.activity = None


class DenoiseDock(RestoreDock):
    """Denoise a layer."""

    task = "denoise"

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer)


class SuperResolutionDock(RestoreDock):
    """Make a layer's Y and X several times as long."""

    task = "super-resolve"

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer)
