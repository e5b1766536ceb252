"""Remove layers one at a time, with the canvas's OpenGL context current while napari removes one."""

from __future__ import annotations

__all__ = ["RemovalContext", "remove_layers"]

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtWidgets import QWidget

from napari_restore.widgets.threads.turns import Steps

if TYPE_CHECKING:
    from napari.viewer import Viewer


def remove_layers(viewer: Viewer, layers: Iterable[Any]) -> Steps:
    """Remove layers from the layer list, unless they are gone already.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer.
    layers : iterable of napari.layers.Layer
        The layers.

    Yields
    ------
    None
        After each layer: napari takes long to remove one.
    """
    for layer in layers:
        if layer in viewer.layers:
            viewer.layers.remove(layer)
            yield


class RemovalContext:
    """Makes the canvas's OpenGL context current before napari removes a layer, also one that the user removes.

    napari deletes the textures and shader programs of the layer at once, in whatever context is current. Between two
    paintings, that is the one with which Qt composes the window. It shares its objects with the context of the canvas,
    so they are deleted, but the canvas still uses them. Mesa's software renderer (seen with 22.3) then kills the
    process when the next layer is drawn.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer of the layers.
    """

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._canvas: QOpenGLWidget | None = None

    def follow(self, window: QWidget) -> None:
        """Connect to the layer list, unless connected already.

        Parameters
        ----------
        window : QWidget
            The main window of the viewer.
        """
        if self._canvas is None:
            self._canvas = window.findChild(QOpenGLWidget)
            if self._canvas is not None:
                self._viewer.layers.events.removing.connect(self._removing)

    def leave(self) -> None:
        """Disconnect from the layer list. A reference would keep the canvas of a closed window in memory."""
        if self._canvas is not None:
            self._viewer.layers.events.removing.disconnect(self._removing)
            self._canvas = None

    def _removing(self, event: object = None) -> None:
        if self._canvas is not None and self._canvas.isValid():
            self._canvas.makeCurrent()
