"""Add layers in small steps."""

from __future__ import annotations

__all__ = ["add_hidden"]

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from napari_restore.widgets.threads.turns import Turns

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.viewer import Viewer


def add_hidden(viewer: Viewer, turns: Turns, layer: Layer) -> Generator[None, None, Any]:
    """Add a layer that is not visible, and leave the selection as it is.

    napari takes a tenth of a second or more for a new layer: it selects the layer, shows its controls, slices it and
    compiles its shaders. Here the layer is only added; make it visible, and select it, in later steps.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer.
    turns : Turns
        The queue that runs the steps.
    layer : napari.layers.Layer
        A layer whose `visible` is False.

    Yields
    ------
    None
        Before the window is painted.

    Returns
    -------
    napari.layers.Layer
        The layer as the layer list has it.
    """
    selection = viewer.layers.selection
    chosen, added = set(selection), []

    def add() -> None:
        # napari selects an added layer and shows its controls in the same call.
        with selection.events.blocker_all():
            added.append(viewer.add_layer(layer))
            selection.clear()
            selection.update(chosen)

    yield from turns.unpainted(add)
    return added[0]
