"""Move sliders and camera to a place."""

from __future__ import annotations

__all__ = ["go_to"]

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari.viewer import Viewer

_ROUND = 4.0
"""Height and width of what is shown around a place, relative to those of the place."""
_SMALLEST = 96
"""Least height and width of what is shown, in pixels of the layer."""


def go_to(viewer: Viewer, layer: Any, centre: NDArray[np.float64], size: tuple[float, float]) -> None:
    """Show a place in the middle of the canvas, in the 2D view, with some of what is around it.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer.
    layer : napari.layers.Layer
        The layer whose axes `centre` has; napari aligns the last axes of all layers.
    centre : ndarray
        World coordinates.
    size : (float, float)
        Height and width in world coordinates.
    """
    dims = viewer.dims
    if dims.ndisplay != 2:
        dims.ndisplay = 2
    first = dims.ndim - layer.ndim
    for axis, value in enumerate(centre):
        dims.set_point(first + axis, float(value))
    displayed = [axis - first for axis in dims.displayed]
    if min(displayed) < 0:
        return  # this layer is not on the canvas along these axes
    least = [_SMALLEST * abs(float(layer.scale[axis])) for axis in displayed]
    spans = [max(_ROUND * one, smallest) for one, smallest in zip(size, least, strict=True)]
    canvas = np.asarray(viewer.canvas.viewbox_size(viewer.layers), float)
    camera = viewer.scene.camera
    camera.center = (0.0, *(float(centre[axis]) for axis in displayed))
    camera.zoom = float(np.min(canvas / np.asarray(spans)))
