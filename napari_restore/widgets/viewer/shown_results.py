"""Add result layers to the viewer, replace them, and refresh them while they fill in."""

from __future__ import annotations

__all__ = ["ShownResults"]

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject
from superqt.utils import QSignalThrottler

from napari_restore.widgets.jobs.filling import FillingView, final_pixels
from napari_restore.widgets.jobs.results import PREVIEW, LayerData, Result, run_of
from napari_restore.widgets.threads.turns import Steps, Turns
from napari_restore.widgets.viewer.adding import add_hidden
from napari_restore.widgets.viewer.removal import remove_layers

if TYPE_CHECKING:
    from napari.viewer import Viewer

REST = 500
"""Milliseconds between two refreshes of a layer that fills in."""


class ShownResults(QObject):
    """The layers of the last preview or run of one dock widget.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer.
    turns : Turns
        The queue of the dock widget.

    Attributes
    ----------
    layers : list of napari.layers.Image
        The layers, including those that the user has removed from the layer list.
    """

    def __init__(self, viewer: Viewer, turns: Turns) -> None:
        super().__init__(turns)
        self.viewer, self._turns = viewer, turns
        self.layers: list[Any] = []
        self._changing = QSignalThrottler(QSignalThrottler.EmissionPolicy.Trailing, self)
        self._changing.setTimeout(REST)
        self._changing.triggered.connect(self._refresh)

    def remaining(self) -> list[Any]:
        """Return the layers that are still in the layer list."""
        return [layer for layer in self.layers if layer in self.viewer.layers]

    def show(self, result: Result, shown: Callable[[Result], None], drawn: Callable[[], None] | None = None) -> None:
        """Add the layers of a result to the layer list, in place of the last preview and of the same run.

        napari takes a tenth of a second or more for a new layer. So a layer is made, added, selected and drawn in
        separate steps, between which the window handles events.

        Parameters
        ----------
        result : Result
            The result.
        shown : callable
            Called when all layers are visible, with the result as it is named in the layer list.
        drawn : callable, optional
            Called when they have been drawn, or never will be.
        """
        self._turns.take(self._show(result, shown, drawn))

    def _show(self, result: Result, shown: Callable[[Result], None], drawn: Callable[[], None] | None) -> Steps:
        try:
            named = result.among(self.viewer.layers)
            previews = [layer for layer in self.remaining() if layer.name.startswith(PREVIEW)]
            of_run = [layer for layer in self.viewer.layers if named.run and run_of(layer) == named.run]
            same = previews if named.preview else of_run
            if len(same) == len(named.layers) and all(map(_same_kind, same, named.layers)):
                yield from remove_layers(self.viewer, [layer for layer in previews if layer not in same])
                self._change(same, named.layers)
                shown(named)
            else:
                yield from self._replace([*previews, *of_run], named.layers)
                shown(named)
                yield
        finally:
            if drawn is not None:
                drawn()

    def _change(self, remaining: list[Any], described: list[LayerData]) -> None:
        """Change pixels and position of layers in place.

        New layers would flicker, and napari collects all garbage when a layer is removed, which takes 0.2 s or more.
        """
        for layer, (data, arguments, _) in zip(remaining, described, strict=True):
            layer.data = data
            layer.translate = arguments["translate"]
            layer.metadata = arguments["metadata"]
        self.layers = remaining

    def _replace(self, earlier: list[Any], described: list[LayerData]) -> Steps:
        """Remove earlier layers and add new ones, up to painting them."""
        yield from remove_layers(self.viewer, earlier)
        self.layers = []
        for layer in described:
            yield from self._add(layer)
        if remaining := self.remaining():
            self.viewer.layers.selection.active = remaining[-1]
            yield
        for number, layer in enumerate(remaining):
            layer.visible = True  # napari slices it and compiles its shaders
            if number < len(remaining) - 1:
                yield

    def _add(self, described: LayerData) -> Steps:
        """Add a layer that is neither visible nor selected."""
        from napari.layers import Layer

        data, arguments, kind = described
        layer = Layer.create(data, {**arguments, "visible": False}, kind)
        yield
        self.layers.append((yield from add_hidden(self.viewer, self._turns, layer)))

    def remove_previews(self) -> None:
        """Remove the previews of this dock widget from the layer list."""
        for layer in self.remaining():
            if layer.name.startswith(PREVIEW):
                self.viewer.layers.remove(layer)

    def changed(self) -> None:
        """Draw pixels that have changed, at most twice a second."""
        self._changing.throttle()

    def complete(self, *, all_restored: bool = True) -> None:
        """Draw all pixels and thumbnails now.

        Parameters
        ----------
        all_restored : bool
            Whether the result is complete. Its layers then get the pixels themselves, without transparency.
        """
        self._changing.cancel()
        for layer in self.remaining():
            if all_restored and any(isinstance(level, FillingView) for level in _levels(layer)):
                final = [final_pixels(level) for level in _levels(layer)]
                layer.data = final if layer.multiscale else final[0]
            elif layer.multiscale:
                layer.data = layer.data  # otherwise napari keeps the thumbnail until a slider moves
            elif layer.visible:
                layer.refresh(extent=False, highlight=False)

    def _refresh(self) -> None:
        for layer in self.remaining():
            if layer.visible:
                layer.refresh(extent=False, highlight=False, thumbnail=False)


def _levels(layer: Any) -> list[Any]:
    return list(layer.data) if layer.multiscale else [layer.data]


def _same_kind(layer: Any, described: LayerData) -> bool:
    """Return whether a layer can show the described data in place of its own."""
    data, arguments, _ = described
    new = [final_pixels(level) for level in (data if arguments["multiscale"] else [data])]
    old = [final_pixels(level) for level in _levels(layer)]
    return (
        layer.name == arguments["name"]
        and layer.multiscale == arguments["multiscale"]
        and len(old) == len(new)
        and old[0].dtype == new[0].dtype
        and old[0].ndim == new[0].ndim
        and layer.rgb == arguments["rgb"]
        and np.allclose(layer.scale, arguments["scale"])
        and layer.axis_labels == tuple(arguments["axis_labels"])
    )
