"""Open a dock widget by a command that is named after what a user searches for, or from another dock widget."""

from __future__ import annotations

__all__ = ["open_denoise", "open_trust", "upscale_image"]

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.viewer import Viewer


def upscale_image() -> None:
    """Open *Super-resolution* in the current viewer. napari's command palette has widgets by their titles only."""
    import napari

    viewer = napari.current_viewer()
    if viewer is not None:
        viewer.window.add_plugin_dock_widget("napari-restore", "Super-resolution")


def open_trust(viewer: Viewer, source: Any, axes: str, result: Any) -> None:
    """Open *Trust* for a source and its result.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer.
    source : napari.layers.Image
        The source.
    axes : str
        Its axes.
    result : napari.layers.Image
        The result, or one of the layers of its channels.
    """
    _, dock = viewer.window.add_plugin_dock_widget("napari-restore", "Trust")
    dock.choose(source, axes, result)


def open_denoise(viewer: Viewer, model: str, layer: Any) -> None:
    """Open *Denoise* with a model.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer.
    model : str
        Name of the model, or path of its checkpoint, which is added to the list of models.
    layer : napari.layers.Image or None
        The layer to restore, if it is still open.
    """
    _, dock = viewer.window.add_plugin_dock_widget("napari-restore", "Denoise")
    if layer is not None and layer in viewer.layers:
        dock.input.choose(layer)
    dock.model.choose(model)
