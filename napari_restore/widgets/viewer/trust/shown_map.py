"""Show one map of an assessment as a layer over the result."""

from __future__ import annotations

__all__ = ["ShownMap"]

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_restore.errors import in_window
from napari_restore.widgets.threads.works import Works

if TYPE_CHECKING:
    from napari.viewer import Viewer

_WORK = "map"


class ShownMap(QObject):
    """The layer of the map that is shown; there is at most one.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer.
    works : Works
        Runs long work on threads.
    tell : callable
        Shows a message; its keyword `warning` marks one.
    parent : QObject
        Parent of this object.
    """

    ended = Signal()
    """The map was switched off, because it cannot be read or its layer was removed."""

    def __init__(self, viewer: Viewer, works: Works, tell: Callable[..., None], parent: QObject) -> None:
        super().__init__(parent)
        self.viewer, self._works, self._tell = viewer, works, tell
        self.layer: Any = None

    def show(self, described: Callable[[], Generator[Any, None, None]]) -> None:
        """Show a map in place of the one before.

        Parameters
        ----------
        described : callable
            Called on a thread; its generator yields data and keyword arguments of the layer.
        """
        self._works.start(_WORK, lambda stop: described(), lambda made: self._add(*made), self._ended)

    def _add(self, data: Any, arguments: dict[str, Any]) -> None:
        self.remove()
        active = self.viewer.layers.selection.active
        self.layer = self.viewer.add_image(data, **arguments)
        if active is not None:
            self.viewer.layers.selection.active = active  # the chosen layer is the source of the next run

    def _ended(self, error: BaseException | None) -> None:
        if error is not None:
            self._tell(in_window(error), warning=True)
            self.ended.emit()

    def remove(self) -> None:
        """Remove the layer."""
        self._works.drop(_WORK)
        layer, self.layer = self.layer, None
        if layer is not None and layer in self.viewer.layers:
            self.viewer.layers.remove(layer)

    def layer_removed(self) -> None:
        """Take note that layers were removed: perhaps that of the map, by the user."""
        if self.layer is not None and self.layer not in self.viewer.layers:
            self.layer = None
            self.ended.emit()
