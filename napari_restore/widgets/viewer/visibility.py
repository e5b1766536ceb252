"""Change the visibility of layers for a while, and restore it."""

from __future__ import annotations

__all__ = ["Visibility", "show_and_hide"]

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.viewer import Viewer


def show_and_hide(viewer: Viewer, visible: Mapping[Any, bool]) -> None:
    """Show some layers and hide others.

    Layers that the user has linked follow each other. Where that contradicts `visible`, their visibility is unlinked,
    and a notification says so.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer.
    visible : mapping
        Whether a layer is to be visible.
    """
    for layer, wanted in visible.items():
        layer.visible = wanted
    if all(bool(layer.visible) == wanted for layer, wanted in visible.items()):
        return
    from napari.utils.notifications import show_info

    viewer.layers.unlink_layers(list(visible), ("visible",))
    for layer, wanted in visible.items():
        layer.visible = wanted
    names = ", ".join(layer.name for layer in visible)
    show_info(f"Linked layers cannot be compared, so these are not shown and hidden together any more: {names}.")


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
        show_and_hide(self._viewer, listed)

    def restore(self) -> None:
        """Restore the visibility of all changed layers that are still in the layer list."""
        before, self._before = self._before, {}
        show_and_hide(self._viewer, {layer: shown for layer, shown in before.items() if layer in self._viewer.layers})
