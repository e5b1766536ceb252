"""Compute what the canvas shows of a layer, from camera, canvas size and sliders."""

from __future__ import annotations

__all__ = ["Viewport"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.viewer import Viewer


@dataclass(frozen=True)
class Viewport:
    """The part of the world that the canvas shows; in grid mode, each of its cells.

    napari's own `corner_pixels` are of no use for this: of a multiscale layer, they are rounded to chunks.

    Attributes
    ----------
    point : tuple of float
        Position of the sliders in world coordinates, one for each world axis (`viewer.dims.point`).
    displayed : tuple of int
        World axes along the rows and columns of the canvas; in the 3D view, three axes.
    low, high : tuple of float
        World coordinates of the first and last row and column of the canvas.
    units : tuple
        Unit of each world axis (`pint.Unit`).
    """

    point: tuple[float, ...]
    displayed: tuple[int, ...]
    low: tuple[float, float]
    high: tuple[float, float]
    units: tuple[Any, ...]

    @classmethod
    def of(cls, viewer: Viewer) -> Viewport:
        """Return what the canvas of a viewer shows."""
        camera, dims = viewer.scene.camera, viewer.dims
        centre = np.asarray(camera.center, float)[-2:]
        half = np.asarray(viewer.canvas.viewbox_size(viewer.layers), float) / camera.zoom / 2
        low, high = centre - half, centre + half
        return cls(
            tuple(map(float, dims.point)),
            tuple(map(int, dims.displayed)),
            (float(low[0]), float(low[1])),
            (float(high[0]), float(high[1])),
            tuple(viewer.layers.extent.units or ()),
        )

    @property
    def is_plane(self) -> bool:
        """Whether the canvas shows a plane, and not the 3D view."""
        return len(self.displayed) == 2

    def position(self, layer: Layer) -> NDArray[np.float64]:
        """Return the position of the sliders in pixels of a layer."""
        return self._pixels(layer, self.point)

    def displayed_axes(self, layer: Layer) -> tuple[int, ...]:
        """Return the axes of a layer that are displayed; napari aligns the last axes of all layers."""
        missing = len(self.point) - layer.ndim
        return tuple(axis - missing for axis in self.displayed if axis >= missing)

    def corners(self, layer: Layer) -> NDArray[np.float64]:
        """Return the four corners of the canvas in pixels of a layer, in order around it, ``(4, ndim)``."""
        (top, left), (bottom, right) = self.low, self.high
        points = []
        for rows_columns in ((top, left), (top, right), (bottom, right), (bottom, left)):
            point = list(self.point)
            for axis, value in zip(self.displayed, rows_columns, strict=True):
                point[axis] = value
            points.append(self._pixels(layer, point))
        return np.array(points)

    def _pixels(self, layer: Layer, point: Sequence[float]) -> NDArray[np.float64]:
        own = np.asarray(point, float)[len(point) - layer.ndim :] * self._factors(layer)
        return np.asarray(layer.world_to_data(own), float)

    def _factors(self, layer: Layer) -> NDArray[np.float64]:
        """Return the length of the world's units in the units of a layer, for each of its axes."""
        pairs = zip(self.units[len(self.units) - layer.ndim :], layer.units, strict=False)
        found = [1.0 if one == other else float((1 * one).to(other).magnitude) for one, other in pairs]
        return np.array(found or [1.0] * layer.ndim)
