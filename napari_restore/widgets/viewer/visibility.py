"""Which layers are seen: changed for a while, and put back."""

from __future__ import annotations

__all__ = ["Visibility"]

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.viewer import Viewer


class Visibility:
    """A change of which layers are seen that can be taken back; true while it holds."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._before: dict[Any, bool] = {}

    def __bool__(self) -> bool:
        return bool(self._before)

    def change(self, visible: Mapping[Any, bool]) -> None:
        """Show and hide layers, unless a change holds already."""
        if self._before:
            return
        there = {layer: wanted for layer, wanted in visible.items() if layer in self._viewer.layers}
        self._before = {layer: bool(layer.visible) for layer in there}
        for layer, wanted in there.items():
            layer.visible = wanted

    def restore(self) -> None:
        """Put everything back as it was; layers that were removed meanwhile are left alone."""
        before, self._before = self._before, {}
        for layer, visible in before.items():
            if layer in self._viewer.layers:
                layer.visible = visible
