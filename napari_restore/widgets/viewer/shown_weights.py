"""Show the weights of the neighbouring planes as a layer that follows the view."""

from __future__ import annotations

__all__ = ["ShownWeights"]

import threading
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_restore.errors import RestoreError, in_window
from napari_restore.widgets.jobs.compare.weight_map import WeightMap, make_weight_map, weight_layer
from napari_restore.widgets.viewer.live_view import LiveView

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_restore.engine.planning.plan import Plan
    from napari_restore.widgets.jobs.controller import Works
    from napari_restore.widgets.jobs.job import Job
    from napari_restore.widgets.jobs.layers.image_layers import Region

_WORK = "weights"


class ShownWeights(QObject):
    """The layer of the weights of the neighbouring planes of one dock widget.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer.
    works : Works
        Runs long work on threads.
    what : callable
        Returns the job, the region on screen, and the plan of the job if it has been made; raises `RestoreError` if
        there is no job.
    tell : callable
        Shows a message; its keyword `warning` marks one.
    parent : QObject
        Parent of this object.
    """

    ended = Signal()
    """The map was switched off, because it cannot be made or its layer was removed."""

    def __init__(
        self, viewer: Viewer, works: Works, what: Callable[[], tuple[Job, Region, Plan | None]],
        tell: Callable[..., None], parent: QObject,
    ) -> None:  # fmt: skip
        super().__init__(parent)
        self.viewer, self._works, self._what, self._tell = viewer, works, what, tell
        self._view = LiveView(viewer, self)
        self._view.rested.connect(self.update_map)
        self.layer: Any = None

    @property
    def on(self) -> bool:
        """Whether the map is switched on."""
        return self._view.following

    def switch(self, on: bool) -> None:
        """Switch the map on, or off and remove its layer."""
        self._view.follow(on)
        if on:
            self.update_map()
            return
        self._works.drop(_WORK)
        if self.layer is not None and self.layer in self.viewer.layers:
            self.viewer.layers.remove(self.layer)
        self.layer = None

    def update_map(self) -> None:
        """Make the map again, if it is switched on: after a change of the view or of a setting."""
        if not self.on:
            return
        if self.layer is not None and self.layer not in self.viewer.layers:  # the user has removed it
            self._end()
            return
        try:
            job, view, plan = self._what()
        except RestoreError as error:
            self._tell(in_window(error), warning=True)
            self._end()
            return

        def start(stop: threading.Event) -> Generator[WeightMap, None, None]:
            return make_weight_map(job, view, plan)

        self._works.start(_WORK, start, lambda made: self._show(job.layer, made), self._made)

    def _show(self, source: Any, made: WeightMap) -> None:
        data, arguments, _ = weight_layer(source, made)
        if self.layer is not None and self.layer.name == arguments["name"] and self.layer.ndim == data.ndim:
            self.layer.data = data
            self.layer.translate = arguments["translate"]
            return
        if self.layer is not None:
            self.viewer.layers.remove(self.layer)
        active = self.viewer.layers.selection.active
        self.layer = self.viewer.add_image(data, **arguments)
        self.viewer.layers.selection.active = active  # the chosen layer is the source of the next run

    def _made(self, error: BaseException | None) -> None:
        if error is not None:
            self._tell(in_window(error), warning=True)
            self._end()

    def _end(self) -> None:
        self.switch(False)
        self.ended.emit()
