"""Show a part of a plane as a layer that is replaced every few seconds."""

from __future__ import annotations

__all__ = ["ShownPart"]

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.viewer import Viewer


class ShownPart:
    """The layer of the part that is shown; there is at most one. If the user removes it, it does not come back.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer.
    """

    def __init__(self, viewer: Viewer) -> None:
        self.viewer = viewer
        self.layer: Any = None
        self._removed = False

    def show(self, pixels: Any, arguments: dict[str, Any]) -> None:
        """Show a part in place of the one before.

        Parameters
        ----------
        pixels : ndarray
            The part.
        arguments : dict
            Keyword arguments of its layer.
        """
        if self.layer is not None and self.layer not in self.viewer.layers:
            self.layer, self._removed = None, True
        if self._removed:
            return
        if self.layer is None:
            chosen = set(self.viewer.layers.selection)
            self.layer = self.viewer.add_image(pixels, **arguments)
            self.viewer.layers.selection = chosen  # the chosen layer is the source of the next run
            return
        self.layer.data, self.layer.translate, self.layer.name = pixels, arguments["translate"], arguments["name"]

    def remove(self) -> None:
        """Remove the layer; the next part is shown again."""
        layer, self.layer, self._removed = self.layer, None, False
        if layer is not None and layer in self.viewer.layers:
            self.viewer.layers.remove(layer)
