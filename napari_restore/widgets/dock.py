"""The dock widgets: connect form, run bar and comparison with the controller and the viewer."""

from __future__ import annotations

__all__ = ["DenoiseDock", "RestoreDock", "SuperResolutionDock"]

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QVBoxLayout, QWidget
from superqt.utils import QSignalDebouncer

from napari_restore.widgets.jobs.advice.change import change_of
from napari_restore.widgets.jobs.advice.verdict import verdict_of
from napari_restore.widgets.jobs.compare.comparison import Comparison
from napari_restore.widgets.jobs.controller import Controller, State
from napari_restore.widgets.jobs.job import Choices, Job, Task
from napari_restore.widgets.jobs.layers.image_layers import Region
from napari_restore.widgets.jobs.models.controller import ModelController
from napari_restore.widgets.jobs.preflight import Preflight
from napari_restore.widgets.jobs.results import Result
from napari_restore.widgets.panels.controls.box import set_tab_order
from napari_restore.widgets.panels.controls.column import Column
from napari_restore.widgets.panels.controls.wheel import WheelNeedsFocus
from napari_restore.widgets.panels.form import Form
from napari_restore.widgets.panels.frame.looking import Looking
from napari_restore.widgets.panels.frame.pages import Pages
from napari_restore.widgets.panels.menus.memory_menu import MemoryMenu
from napari_restore.widgets.panels.menus.recipe_menu import RecipeMenu
from napari_restore.widgets.panels.run_bar import RunBar
from napari_restore.widgets.panels.verdict_box import VerdictBox
from napari_restore.widgets.preferences import preferences
from napari_restore.widgets.sections.batch import Batch
from napari_restore.widgets.sections.closing import Closing
from napari_restore.widgets.sections.comparing import Comparing
from napari_restore.widgets.sections.run_display import RunDisplay
from napari_restore.widgets.threads.turns import Steps, main_window
from napari_restore.widgets.threads.works import Works
from napari_restore.widgets.viewer.live_view import LiveView
from napari_restore.widgets.viewer.removal import RemovalContext
from napari_restore.widgets.viewer.shown_results import ShownResults
from napari_restore.widgets.viewer.shown_weights import ShownWeights
from napari_restore.widgets.viewer_dock import ViewerDock

if TYPE_CHECKING:
    from napari.layers import Image as ImageLayer
    from napari.viewer import Viewer

    from napari_restore.engine.planning.plan import Plan
    from napari_restore.engine.store.progress import Progress

PREFLIGHT_AFTER = 400
"""Milliseconds after the last change of a setting until the preflight starts."""


class RestoreDock(ViewerDock):
    """A dock widget for one task: the view of a `Controller`.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Viewer of the layers. napari passes it by the name of this parameter.
    """

    task: ClassVar[Task]
    _closed = False

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer)
        self._running = ""
        self._shown_run: list[Any] = []

    def make_parts(self) -> Steps:
        viewer = self.viewer
        preferences()  # napari looks for the plugins' settings, once in a process
        yield
        self.form, self.bar = Form(viewer, self.task), RunBar()
        yield
        self.input, self.model, self.output = self.form.input, self.form.model, self.form.output
        self.verdict, self.performance, self.looking = VerdictBox(), self.form.performance, Looking()
        self.works = Works(self._turns)
        self.results, self.live = ShownResults(viewer, self._turns), LiveView(viewer, self)
        self.comparing = Comparing(viewer, self.works, self._turns, self.bar.tell)
        self.compare, self.tools = self.comparing.box, self.comparing.tools
        self.controller = Controller(self, self.works)
        self.models = ModelController(self.model, self.works, self.bar.tell, self._changed)
        self.weights = ShownWeights(viewer, self.works, self._mapped, self.bar.tell, self)
        self.recipes = RecipeMenu(self.form, self.bar.menu, self.bar.tell, self)
        self.memory = MemoryMenu(self.form, self.task, self.bar.menu, self.bar.tell, self)
        self.batch = Batch(viewer, self.works, self._turns, self.form.choices, self.task)
        self.closing = Closing(self.works, self.controller, self.batch)
        self._removal = RemovalContext(viewer)
        self.display = RunDisplay(viewer, self._turns, self.controller.cancel, self.bar.tell)
        self._settling = QSignalDebouncer(parent=self)
        self._settling.setTimeout(PREFLIGHT_AFTER)
        yield
        self.pages = self._lay_out()
        self._connect()
        self._changed()
        yield
        for box in self._boxes:  # Qt applies napari's style sheet to a widget when it is shown
            yield from self._turns.unpainted(box.show)

    def _lay_out(self) -> Pages:
        self._column = Column(self.verdict, self.memory.row, self.form, self.compare)
        page = QWidget()
        rows = QVBoxLayout(page)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(self._column, 1)
        rows.addWidget(self.looking)
        rows.addWidget(self.bar)
        pages = Pages(Layers=page, Batch=self.batch.box)
        self._boxes = (*self.form.boxes, self.compare, self.bar)
        for box in self._boxes:
            box.hide()
        self._outer.addWidget(pages)
        pages.show()  # or the layout would show it in a later turn
        set_tab_order(self)
        WheelNeedsFocus(self)
        return pages

    def _connect(self) -> None:
        self.form.changed.connect(self._changed)
        self.verdict.help_wanted.connect(self.form.take_settings)
        self._settling.triggered.connect(self.controller.start_preflight)
        self.bar.preview_wanted.connect(self.controller.start_preview)
        self.bar.run_wanted.connect(self.controller.start_run)
        self.bar.stop_wanted.connect(self.controller.stop)
        for keys, act in (
            (("Ctrl+Return", "Ctrl+Enter"), self.controller.start_run),
            (("Shift+Return", "Shift+Enter"), self.controller.start_preview),
            (("Esc",), self.controller.stop),
        ):
            for key in keys:  # Enter is the key of the number pad
                QShortcut(QKeySequence(key), self, act, context=Qt.ShortcutContext.WidgetWithChildrenShortcut)
        self.bar.live.toggled.connect(self._follow_view)
        self.live.rested.connect(self.controller.start_preview)
        self.model.changed.connect(self.models.read_card)
        self.model.fetch_wanted.connect(self.models.fetch)
        self.model.fetch_cancelled.connect(self.models.cancel_fetch)
        self.model.sample_wanted.connect(self.models.make_sample)
        self.output.neighbours.map_wanted.connect(self.weights.switch)
        self.weights.ended.connect(lambda: self.output.neighbours.map.setChecked(False))
        self.comparing.scroll(self._column)
        self.batch.ended.connect(self._batch_ended)

    def choices(self) -> Choices:
        """Return the current choices: see `Form.choices`."""
        return self.form.choices()

    @property
    def preflight(self) -> Preflight | None:
        """Preflight of the current choices, or None: see `Controller.preflight`."""
        return self.controller.preflight

    def _changed(self) -> None:
        self.controller.choices_changed()
        self.tools.choose_source(self.input.layer())
        self._settling.throttle()

    def _batch_ended(self) -> None:
        if self._closed:
            self._turns.call(self.end)

    def _mapped(self) -> tuple[Job, Region, Plan | None]:
        """Return what the map of the weights of neighbouring planes shows: job, region on screen, and plan."""
        return self.job(), self.region_on_screen(), None if self.preflight is None else self.preflight.plan

    def _follow_view(self, live: bool) -> None:
        """Start or stop live previews: one after each change of camera, sliders or choices."""
        self.controller.live = live
        self.live.follow(live)
        if live:
            self.controller.start_preview()

    # ------------------------------------------------------------------- what the controller calls

    def job(self) -> Job:
        """Return the job of the current choices: see `Form.job`."""
        return self.form.job()

    def jobs(self) -> list[Job]:
        """Return the jobs of a run: see `Form.jobs`."""
        return self.form.jobs()

    def region_on_screen(self, layer: ImageLayer | None = None) -> Region:
        """Return the region of a layer that is on screen: see `InputBox.region`."""
        return self.input.region("view", layer)

    def preview_note(self) -> str:
        """Return what a preview leaves out of the view; empty if nothing."""
        flat = self.viewer.dims.ndisplay == 2 or not set("ZT") & set(self.input.letters())
        return "" if flat else "; of the 3-D view, the plane of the sliders alone"

    def show_state(self, state: State) -> None:
        """Show what is in progress, and enable the buttons that can be clicked."""
        self.bar.set_state(state)

    def show_message(self, text: str, *, warning: bool = False, details: str = "") -> None:
        """Show one line, and details on demand; as a napari notification if the dock widget is closed.

        A warning that a box of the form already shows is not repeated; the column scrolls to it.
        """
        note = self.form.warning_note(text) if warning and not self._closed else None
        if note is not None:
            self._column.ensureWidgetVisible(note)
            text = "Not possible: see ⚠ above."
        self.bar.tell(text, warning=warning, details=details)
        if self._closed:
            from napari.utils.notifications import show_info, show_warning

            (show_warning if warning else show_info)(f"{self._running}: {text}")

    def show_preflight(self, found: Preflight | None) -> None:
        """Show a preflight; None: there is none for the current choices."""
        if found is None:
            self.output.show_preflight(None)
            self.verdict.show_pending()
        else:
            self.form.show_preflight(found)
            change = change_of(found, to_disk=self.output.to_disk)
            self.verdict.show_verdict(verdict_of(found.report), "" if found.obstacle else change)
            self.weights.update_map()
        self.bar.set_resumes(found is not None and 0 < found.stored_blocks < found.plan.blocks)

    def show_looking(self, text: str) -> None:
        """Show what is being found out about the layer; empty: nothing."""
        self.looking.say(text)

    def show_done(self, text: str, output: str | None) -> None:
        """Show that a run is complete: here, and as a napari notification that leads to its report and folder."""
        self.bar.tell(text)
        self.display.done(self._running, output, self._window)

    def show_obstacle(self, text: str) -> None:
        """Show why the current choices cannot be run, unless no layer is open or a box shows it already."""
        self.verdict.show_nothing()
        if self.input.layer() is not None and self.form.warning_note(text) is None:
            self.output.show_error(text)

    def show_waiting(self) -> None:
        """Show that the current choices are checked when the run in progress has ended."""
        self.output.show_waiting()

    def show_progress(self, event: Progress, plan: Plan) -> None:
        """Show the progress of a run, here and in napari's activity dock."""
        if self.bar.state == "running":
            self.bar.show_progress(event, plan)
        self.display.show(event)

    def show_result(self, result: Result, drawn: Callable[[], None] | None = None) -> None:
        """Add the layers of a result to the layer list, and compare them with their source."""
        if not result.preview:
            self.output.forget_replace()

        def shown(named: Result) -> None:
            if not self._closed:
                self.tools.compare(Comparison.of(named, self.results.layers))
            self._shown_run = [] if named.preview else list(self.results.layers)

        self.results.show(result, shown, drawn)

    def remove_result(self) -> None:
        """Remove the layers of a run that has not restored any pixels of them."""
        layers, self._shown_run = self._shown_run, []
        for layer in layers:
            if layer in self.viewer.layers:
                self.viewer.layers.remove(layer)

    def _layer_removed(self, event: object = None) -> None:
        self._turns.call(self._find_removed)  # a layer that is missing during a step may come back

    def _find_removed(self) -> None:
        """Tell the controller if the user has removed all layers of the run in progress."""
        if self._shown_run and not any(layer in self.viewer.layers for layer in self._shown_run):
            self._shown_run = []
            if "run" in self.works:
                self.controller.result_removed()

    def result_changed(self) -> None:
        """Draw pixels of the result that have changed."""
        self.results.changed()

    def result_complete(self, *, all_restored: bool = True) -> None:
        """Draw all pixels of the result."""
        self.results.complete(all_restored=all_restored)
        if all_restored:
            self.tools.complete(self.results.layers)

    def show_run(self, name: str | None) -> None:
        """Show the run of a layer of this name in napari's activity dock; None: the run has ended."""
        if name is None:
            self.display.end()
            if self.controller.keeps_result and not self._closed:
                self._settling.throttle()  # what is stored now
            if self._closed:
                self._turns.call(self.end)  # after the message that ends the run
            return
        self._running, self._shown_run = name, []
        self.memory.remember_run()
        self.follow_window()
        self.bar.tell("Planning…" if self.model.fetch.isHidden() else "Fetching the weights, then planning…")
        self.display.begin(name)

    # ------------------------------------------------------------------------------------- opening and closing

    def follow(self) -> None:
        self._closed = False
        self.form.follow()
        self.batch.ending.window = main_window(self)
        self.comparing.follow(main_window(self))
        self._removal.follow(main_window(self))
        if not self._following:
            self._following = True
            self.viewer.layers.events.removed.connect(self._layer_removed)
            self.viewer.events.theme.connect(self._show_theme)
        self.follow_window()

    def leave(self) -> None:
        """Stop previews and comparisons. If a run is in progress, ask whether to stop it."""
        if not self.closing.goes_on:
            self.end()
            return
        self._closed = True
        self._leave()
        self.closing.ask(self._running, self._window)

    def _leave(self) -> None:
        """Disconnect from the viewer, and stop all work except a run."""
        self._settling.cancel()
        self.bar.live.setChecked(False)
        self.output.neighbours.map.setChecked(False)
        self.form.leave()
        self.controller.drop_preview()
        self.works.end(keep=self.closing.goes_on)
        self.batch.ending.window = None
        self.looking.say("")
        self.results.remove_previews()
        self.comparing.end()

    def end(self) -> None:
        """Stop all work and disconnect from the viewer. Events that have not arrived are dropped."""
        self.open_now()
        self._leave()
        self.leave_window()
        self.closing.end()
        self._turns.end()
        self.works.end()
        self.display.end()
        self.batch.end()
        self._removal.leave()
        if self._following:
            self._following = False
            self.viewer.layers.events.removed.disconnect(self._layer_removed)
            self.viewer.events.theme.disconnect(self._show_theme)


class DenoiseDock(RestoreDock):
    """The dock widget that denoises a layer."""

    task = "denoise"

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer)


class SuperResolutionDock(RestoreDock):
    """The dock widget that super-resolves a layer along Y and X."""

    task = "super-resolve"

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer)
