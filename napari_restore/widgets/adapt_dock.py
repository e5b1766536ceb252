"""The dock widget that adapts a model to a layer: connect its controls with the adaptation and with the viewer."""

from __future__ import annotations

__all__ = ["AdaptDock"]

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence, QShortcut

from napari_restore.adapting.outcome import Adapted
from napari_restore.errors import RestoreError, in_window
from napari_restore.widgets.jobs.adaptation.adapting import AdaptJob, Controls, adapt, suggested_file
from napari_restore.widgets.jobs.adaptation.looking import part_as_layer, seen_part
from napari_restore.widgets.jobs.layers.image_layers import is_made_here, layer_image, whole
from napari_restore.widgets.jobs.models.controller import ModelController
from napari_restore.widgets.jobs.viewport import Viewport
from napari_restore.widgets.panels.adaptation.adapt_box import AdaptBox
from napari_restore.widgets.panels.controls.box import set_tab_order
from napari_restore.widgets.panels.controls.column import Column
from napari_restore.widgets.panels.controls.wheel import WheelNeedsFocus
from napari_restore.widgets.panels.input_box import InputBox
from napari_restore.widgets.panels.model_box import ModelBox
from napari_restore.widgets.preferences import preferences, use_cache_folder
from napari_restore.widgets.threads.turns import Steps
from napari_restore.widgets.threads.works import Works
from napari_restore.widgets.viewer.live_view import LiveView
from napari_restore.widgets.viewer.opening import open_denoise
from napari_restore.widgets.viewer.run_notice import notify_end
from napari_restore.widgets.viewer.shown_part import ShownPart
from napari_restore.widgets.viewer.window_title import TitleProgress
from napari_restore.widgets.viewer_dock import ViewerDock

if TYPE_CHECKING:
    from napari.layers import Image as ImageLayer
    from napari.viewer import Viewer

    from napari_restore.adapting.outcome import AdaptProgress
    from napari_restore.widgets.jobs.layers.image_layers import Region

_ADAPT = "adapt"
"""Name of the work on threads."""


class AdaptDock(ViewerDock):
    """The dock widget that adapts a denoiser to a layer.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Viewer of the layers. napari passes it by the name of this parameter.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer)
        self._controls = Controls()
        self._found: Adapted | None = None
        self._layer: ImageLayer | None = None
        self._place: tuple[str, Region] = "", ()
        self._step = 0

    def make_parts(self) -> Steps:
        use_cache_folder()
        self.works = Works(self._turns)
        yield
        self.input, self.model = InputBox(self.viewer, several=False), ModelBox("denoise")
        yield
        self.box = AdaptBox()
        self.models = ModelController(self.model, self.works, self.box.tell, lambda: None)
        self._title, self._part = TitleProgress(self.viewer), ShownPart(self.viewer)
        self._live = LiveView(self.viewer, self)
        self._outer.addWidget(Column(self.input, self.model, self.box))
        set_tab_order(self)
        WheelNeedsFocus(self)
        self.input.changed.connect(self._layer_changed)
        self.input.listed.connect(self._offer_clean)
        self.model.changed.connect(self.models.read_card)
        self.model.fetch_wanted.connect(self.models.fetch)
        self.model.fetch_cancelled.connect(self.models.cancel_fetch)
        self.model.sample_wanted.connect(self.models.make_sample)
        self.box.start_wanted.connect(self.start)
        self.box.finish_wanted.connect(self.finish)
        self.box.pause_wanted.connect(self.pause)
        self.box.view_wanted.connect(self._look)
        self._live.rested.connect(self._look)
        self.box.use_wanted.connect(self._use)
        for keys, act in (("Ctrl+Return", self.start), ("Ctrl+Enter", self.start), ("Esc", self.finish)):
            QShortcut(QKeySequence(keys), self, act, context=Qt.ShortcutContext.WidgetWithChildrenShortcut)
        self.box.made["device"].show(preferences().device)
        self._layer_changed()
        yield

    def _layer_changed(self) -> None:
        layer = self.input.layer()
        if layer is not None:
            self.model.suit_layer(self.input.samples())
            self.box.suggest(suggested_file(preferences().output_folder.strip(), layer))
        self._offer_clean()
        if self.box.state == "idle":
            self.box.start.setEnabled(layer is not None)

    def _offer_clean(self) -> None:
        """Offer other image layers of the same shape as clean images; results of this package are none."""
        layer = self.input.layer()
        listed = [self.input.layers.itemData(index) for index in range(self.input.layers.count())]
        others = [other for other in listed if other != layer and not is_made_here(other)]
        self.box.offer_clean([other for other in others if layer is not None and whole(other) == whole(layer)])

    # ---------------------------------------------------------------------------------------------- adapting

    def job(self) -> AdaptJob:
        """Return the job of the current choices.

        Raises
        ------
        RestoreError
            If the choices make no job.
        """
        model, layer, box = self.model.model(), self.input.layer(), self.box
        region = self.input.region()
        if model is None or layer is None:
            raise RestoreError("no model is chosen; choose one, or drop a checkpoint on the list.")
        if not box.output():
            raise RestoreError("no file is named for the adapted weights; name one under File.")
        clean = box.clean.currentData()
        image = layer_image(layer, self.input.letters(), region)
        targets = None if clean is None else layer_image(clean, self.input.letters(), region)
        return AdaptJob(
            image, model, box.output(), targets, box.method.currentData(), box.budget(), box.overwrite.isChecked(),
            box.settings(),
        )  # fmt: skip

    def start(self) -> None:
        """Adapt the chosen model to the chosen layer; an interrupted adaptation to the same file goes on."""
        if self.box.state != "idle":
            return
        try:
            job = self.job()
        except (RestoreError, OSError) as error:
            self.box.tell(in_window(error), warning=True)
            return
        controls = self._controls = Controls()
        self._found, self._layer, self._step = None, self.input.layer(), 0
        self._place = self.input.letters(), self.input.region()
        self.follow_window()
        self.box.show_nothing()
        self.box.set_state("running")
        self.box.overwrite.setChecked(False)  # it is for one start
        self.box.show_progress(None)
        self._live.follow(True)
        self._look()
        self.works.start(_ADAPT, lambda stop: adapt(job, controls), self._advance, self._ended)

    def finish(self) -> None:
        """End the training; what was reached is judged, and kept if it has helped."""
        if self.box.state in ("running", "paused"):
            self._controls.finish.set()
            self.box.set_state("finishing")

    def pause(self) -> None:
        """Wait after the step in progress, or go on."""
        if self.box.state == "running":
            self._controls.go_on.clear()
            self.box.set_state("paused")
        elif self.box.state == "paused":
            self._controls.go_on.set()
            self.box.set_state("running")

    def _look(self) -> None:
        """Restore what the canvas shows from now on, or nothing."""
        if self.box.state == "idle" or self._layer is None or self._layer not in self.viewer.layers:
            return
        wanted = self.box.view.isChecked()
        self._controls.part = seen_part(Viewport.of(self.viewer), self._layer, *self._place) if wanted else None
        if not wanted:
            self._part.remove()

    def _show_part(self, event: AdaptProgress) -> None:
        view, layer = event.view, self._layer
        if view is None or view.step == self._step or layer is None or not self.box.view.isChecked():
            return
        self._step = view.step
        if layer in self.viewer.layers:
            self._part.show(*part_as_layer(view, layer, *self._place))

    def _advance(self, event: AdaptProgress | Adapted | None) -> None:
        if isinstance(event, Adapted):
            self._found = event
            self.box.show_outcome(event)
            notify_end(event.reason, {}, self._window)
            return
        self.box.show_progress(event)
        if event is not None:
            self._show_part(event)
            if event.total:
                self._title.show(*event.steps)

    def _ended(self, error: BaseException | None) -> None:
        self._end_shown()
        self.box.set_state("idle")
        self._layer_changed()
        if error is not None:
            self.box.tell(in_window(error), warning=True)

    def _end_shown(self) -> None:
        self._title.end()
        self._live.follow(False)
        self._part.remove()

    def _use(self) -> None:
        if self._found is not None:
            open_denoise(self.viewer, self._found.model, self._layer)

    # ---------------------------------------------------------------------------------------------- opening and closing

    def follow(self) -> None:
        self.input.follow_viewer()
        if not self._following:
            self._following = True
            self.viewer.events.theme.connect(self._show_theme)
        self.follow_window()

    def leave(self) -> None:
        """End the work after the step in progress. The state of an adaptation is kept, and a notification says so."""
        running, output = self.box.state != "idle", self.box.output()
        self.end()
        if running:
            from napari.utils.notifications import show_info

            show_info(
                f"Adapting is interrupted; Adapt to my data with the file {output} goes on from what was reached."
            )

    def end(self) -> None:
        self.open_now()
        self._turns.end()
        self.works.end()
        self._end_shown()
        self.input.leave_viewer()
        self.box.set_state("idle")
        self.leave_window()
        if self._following:
            self._following = False
            self.viewer.events.theme.disconnect(self._show_theme)
