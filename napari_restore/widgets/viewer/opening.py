"""Open a dock widget by a command that is named after what a user searches for."""

from __future__ import annotations

__all__ = ["upscale_image"]


def upscale_image() -> None:
    """Open *Super-resolution* in the current viewer. napari's command palette has widgets by their titles only."""
    import napari

    viewer = napari.current_viewer()
    if viewer is not None:
        viewer.window.add_plugin_dock_widget("napari-restore", "Super-resolution")
