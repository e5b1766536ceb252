"""Result layers in the viewer: put there, replaced, and refreshed while they fill in."""

from __future__ import annotations

__all__ = ["PREVIEW", "ShownResults"]

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_restore.widgets.results import LayerData

if TYPE_CHECKING:
    from napari.viewer import Viewer

PREVIEW = "preview · "
"""What the names of previews begin with."""

_REST = 0.5
"""Seconds between two refreshes of a layer that fills in."""


class ShownResults:
    """The layers that one dock widget has made last.

    Attributes
    ----------
    layers
        Those of the last preview or run, also where a person has removed them since.
    """

    def __init__(self, viewer: Viewer) -> None:
        self.viewer = viewer
        self.layers: list[Any] = []
        self._stale, self._refreshed = False, 0.0

    def there(self) -> list[Any]:
        """Those that are still on the list."""
        return [layer for layer in self.layers if layer in self.viewer.layers]

    def show(self, described: list[LayerData]) -> None:
        """Put layers on the list, in place of previews and of those of the same name that were made here.

        A preview that differs from the last one in pixels and position only keeps its layer: a new one would flicker,
        and takes napari a tenth of a second.
        """
        from napari.layers import Layer

        there = self.there()
        if len(there) == len(described) and all(map(_same_kind, there, described)):
            for layer, (data, arguments, _) in zip(there, described, strict=True):
                layer.data = data
                layer.translate = arguments["translate"]
                layer.metadata = arguments["metadata"]
            self.layers = there
            return
        names = {arguments["name"] for _, arguments, _ in described}
        for layer in there:
            if layer.name in names or layer.name.startswith(PREVIEW):
                self.viewer.layers.remove(layer)
        self.layers = [self.viewer.add_layer(Layer.create(*layer)) for layer in described]
        self._stale, self._refreshed = False, time.monotonic()

    def mark_stale(self) -> None:
        """Note that pixels of the layers have changed."""
        self._stale = True

    def refresh(self, *, now: bool = False) -> None:
        """Show pixels that have changed, if the last time is long enough ago, or at once."""
        if not self._stale or (not now and time.monotonic() - self._refreshed < _REST):
            return
        for layer in self.there():
            if layer.multiscale and now:
                layer.data = layer.data  # napari keeps a thumbnail for as long as the sliders stand still
            elif layer.visible:
                layer.refresh(extent=False, highlight=False, thumbnail=now)
        self._stale, self._refreshed = False, time.monotonic()


def _same_kind(layer: Any, described: LayerData) -> bool:
    data, arguments, _ = described
    return (
        layer.name == arguments["name"]
        and layer.name.startswith(PREVIEW)
        and not layer.multiscale
        and layer.data.dtype == data.dtype
        and layer.data.ndim == data.ndim
        and layer.rgb == arguments["rgb"]
        and np.allclose(layer.scale, arguments["scale"])
        and layer.axis_labels == tuple(arguments["axis_labels"])
    )
