"""Result layers in the viewer: put there, replaced, and refreshed while they fill in."""

from __future__ import annotations

__all__ = ["ShownResults"]

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject
from superqt.utils import QSignalThrottler

from napari_restore.widgets.jobs.results import PREVIEW, LayerData
from napari_restore.widgets.threads.turns import Steps, Turns

if TYPE_CHECKING:
    from napari.viewer import Viewer

REST = 500
"""Milliseconds between two refreshes of a layer that fills in."""


class ShownResults(QObject):
    """The layers that one dock widget has made last.

    Parameters
    ----------
    viewer
        Where.
    turns
        Of the dock widget.

    Attributes
    ----------
    layers
        Those of the last preview or run, also where a person has removed them since.
    """

    def __init__(self, viewer: Viewer, turns: Turns) -> None:
        super().__init__(turns)
        self.viewer, self._turns = viewer, turns
        self.layers: list[Any] = []
        self._changing = QSignalThrottler(QSignalThrottler.EmissionPolicy.Trailing, self)
        self._changing.setTimeout(REST)
        self._changing.triggered.connect(self._refresh)

    def there(self) -> list[Any]:
        """Those that are still on the list."""
        return [layer for layer in self.layers if layer in self.viewer.layers]

    def show(
        self, described: list[LayerData], shown: Callable[[], None], drawn: Callable[[], None] | None = None
    ) -> None:
        """Put layers on the list, in place of previews and of those of the same name that were made here.

        What napari does for a new layer takes it a tenth of a second and more. So the layer is made, added, chosen and
        drawn one after the other, with the window alive in between.

        Parameters
        ----------
        described
            The layers.
        shown
            Called when they are all to be seen.
        drawn
            Called when they have been drawn, or never will be.
        """
        self._turns.take(self._show(described, shown, drawn))

    def _show(self, described: list[LayerData], shown: Callable[[], None], drawn: Callable[[], None] | None) -> Steps:
        try:
            there = self.there()
            if len(there) == len(described) and all(map(_same_kind, there, described)):
                self._change(there, described)
                shown()
            else:
                yield from self._replace(there, described)
                shown()
                yield
        finally:
            if drawn is not None:
                drawn()

    def _change(self, there: list[Any], described: list[LayerData]) -> None:
        """Keep the layers of previews that differ in pixels and position only: new ones would flicker."""
        for layer, (data, arguments, _) in zip(there, described, strict=True):
            layer.data = data
            layer.translate = arguments["translate"]
            layer.metadata = arguments["metadata"]
        self.layers = there

    def _replace(self, there: list[Any], described: list[LayerData]) -> Steps:
        """Take layers away and add others; what is left to do after the last step is to paint."""
        names = {arguments["name"] for _, arguments, _ in described}
        for layer in there:
            if layer.name in names or layer.name.startswith(PREVIEW):
                yield from self._take_away(layer)
        self.layers = []
        for layer in described:
            yield from self._add(layer)
        if there := self.there():
            self.viewer.layers.selection.active = there[-1]
            yield
        for number, layer in enumerate(there):
            layer.visible = True  # which has it sliced, and its shaders compiled
            if number < len(there) - 1:
                yield

    def _take_away(self, layer: Any) -> Steps:
        """Remove a layer that was the last one to be drawn.

        Mesa's software renderer (seen with 22.3) ends the process where a shader program is deleted, and the program
        that was drawn last is the next one to be drawn: that of a layer that lay over this one and alone is left.
        """
        layer.opacity = 0.0
        layer.visible = True
        layers = self.viewer.layers
        layers.move(layers.index(layer), len(layers))
        yield
        if layer in layers:
            layers.remove(layer)
        yield

    def _add(self, described: LayerData) -> Steps:
        """Add a layer that is neither visible nor chosen yet."""
        from napari.layers import Layer

        data, arguments, kind = described
        layer = Layer.create(data, {**arguments, "visible": False}, kind)
        yield
        selection = self.viewer.layers.selection
        chosen = set(selection)

        def add() -> None:
            # napari chooses a layer that is added, and shows its controls, within the same call.
            with selection.events.blocker_all():
                self.layers.append(self.viewer.add_layer(layer))
                selection.clear()
                selection.update(chosen)

        yield from self._turns.unpainted(add)

    def remove_previews(self) -> None:
        """Take previews off the list: they belong to a dock widget that can make others."""
        for layer in self.there():
            if layer.name.startswith(PREVIEW):
                self.viewer.layers.remove(layer)

    def changed(self) -> None:
        """Draw pixels that have changed, twice a second at most."""
        self._changing.throttle()

    def complete(self) -> None:
        """Draw all pixels now, and the thumbnails."""
        self._changing.cancel()
        for layer in self.there():
            if layer.multiscale:
                layer.data = layer.data  # napari keeps a thumbnail for as long as the sliders stand still
            elif layer.visible:
                layer.refresh(extent=False, highlight=False)

    def _refresh(self) -> None:
        for layer in self.there():
            if layer.visible:
                layer.refresh(extent=False, highlight=False, thumbnail=False)


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
