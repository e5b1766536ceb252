"""Notice when camera and sliders move, and when they have come to rest."""

from __future__ import annotations

__all__ = ["LiveView"]

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal
from superqt.utils import QSignalDebouncer

if TYPE_CHECKING:
    from napari.viewer import Viewer

REST = 300
"""Milliseconds after the last change until the view counts as resting."""


class LiveView(QObject):
    """Signals for a view that moves, and for one that has come to rest.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer.
    parent : QObject, optional
        Parent of this object.
    """

    moved, rested = Signal(), Signal()

    def __init__(self, viewer: Viewer, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.viewer = viewer
        self.following = False
        self._seen: tuple[Any, ...] = ()
        self._resting = QSignalDebouncer(parent=self)
        self._resting.setTimeout(REST)
        self._resting.triggered.connect(self.rested)

    def follow(self, following: bool) -> None:
        """Connect to camera and sliders, or disconnect."""
        if following == self.following:
            return
        self.following = following
        camera, dims = self.viewer.scene.camera.events, self.viewer.dims.events
        for event in (camera.center, camera.zoom, dims.point, dims.order, dims.ndisplay):
            (event.connect if following else event.disconnect)(self._moved)
        self._seen = self._view()
        if not following:
            self._resting.cancel()

    def _view(self) -> tuple[Any, ...]:
        camera, dims = self.viewer.scene.camera, self.viewer.dims
        return (*camera.center, camera.zoom, *dims.point, *dims.order, dims.ndisplay)

    def _moved(self, event: object = None) -> None:
        # napari also emits these events when a layer is added. Without this check, a preview would start the next one.
        seen = self._view()
        if seen != self._seen:
            self._seen = seen
            self.moved.emit()
            self._resting.throttle()
