"""Change the visibility of layers for a while, and restore it."""

from __future__ import annotations

__all__ = ["Visibility"]

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.viewer import Viewer


class Visibility:
    """A temporary change of the visibility of layers; true while it is in effect.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer.
    """

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._before: dict[Any, bool] = {}

    def __bool__(self) -> bool:
        return bool(self._before)

    def change(self, visible: Mapping[Any, bool]) -> None:
        """Show and hide layers, unless a change is in effect already."""
        if self._before:
            return
        listed = {layer: wanted for layer, wanted in visible.items() if layer in self._viewer.layers}
        self._before = {layer: bool(layer.visible) for layer in listed}
        for layer, wanted in listed.items():
            layer.visible = wanted

    def restore(self) -> None:
        """Restore the visibility of all changed layers that are still in the layer list."""
        before, self._before = self._before, {}
        for layer, visible in before.items():
            if layer in self._viewer.layers:
                layer.visible = visible
