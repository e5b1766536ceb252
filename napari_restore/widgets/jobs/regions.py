"""Find the region of a layer that is restored, and its place in the result."""

from __future__ import annotations

__all__ = [
    "REGIONS",
    "RegionName",
    "current_planes",
    "current_view",
    "describe_region",
    "find_region",
    "overlap",
    "rectangle",
    "result_region",
]

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_restore.errors import RestoreError, SourceError
from napari_restore.widgets.jobs.layers import Region, whole

if TYPE_CHECKING:
    from napari.layers import Image as ImageLayer
    from napari.layers import Shapes

    from napari_restore.engine.planning.plan import Plan

RegionName = Literal["whole", "view", "rectangle", "planes"]
REGIONS: dict[RegionName, str] = {
    "whole": "Whole layer",
    "view": "Current view",
    "rectangle": "Rectangle of a Shapes layer",
    "planes": "Current Z and T",
}
"""Titles of the kinds of region in the dock widget."""


def find_region(
    kind: RegionName, layer: ImageLayer, axes: str, point: Sequence[float], shapes: Shapes | None = None
) -> Region:
    """Find the region of a kind.

    Parameters
    ----------
    kind : str
        A key of `REGIONS`.
    layer : napari.layers.Image
        The layer.
    axes : str
        One letter of TCZYXS for each axis of its data.
    point : sequence of float
        Position of the sliders in world coordinates (`viewer.dims.point`).
    shapes : napari.layers.Shapes, optional
        Layer of the rectangle.

    Returns
    -------
    tuple of slice
        In pixels and axis order of the layer.

    Raises
    ------
    SourceError
        If there is no rectangle, or it lies outside the layer.
    """
    if kind == "view":
        return current_view(layer, axes, point)
    if kind == "planes":
        return current_planes(layer, axes, point)
    return rectangle(layer, axes, shapes) if kind == "rectangle" else whole(layer)


def describe_region(region: Region, axes: str) -> str:
    """Format the first and last pixel of a region along each axis: ``"Z 12 · Y 100–611 · X 0–511"``."""
    parts = zip(axes, region, strict=True)
    return " · ".join(
        f"{letter} {s.start}" if s.stop - s.start == 1 else f"{letter} {s.start}–{s.stop - 1}"
        for letter, s in parts
        if letter not in "CS"
    )


def current_planes(layer: ImageLayer, axes: str, point: Sequence[float]) -> Region:
    """Return the region at the T and Z of the sliders, with all of Y, X and C."""
    position = np.round(layer.world_to_data(tuple(point)[-layer.ndim :])).astype(int)
    region = list(whole(layer))
    for axis, letter in enumerate(axes):
        if letter in "TZ":
            index = min(max(int(position[axis]), 0), region[axis].stop - 1)
            region[axis] = slice(index, index + 1)
    return tuple(region)


def current_view(layer: ImageLayer, axes: str, point: Sequence[float]) -> Region:
    """Return the region of the current plane that is on screen."""
    region = list(current_planes(layer, axes, point))
    # corner_pixels are in pixels of the level that is shown.
    factors = np.asarray(layer.downsample_factors[layer.data_level])[: layer.ndim] if layer.multiscale else 1.0
    first, last = np.asarray(layer.corner_pixels)[:, : layer.ndim]
    low, high = first * factors, (last + 1) * factors
    for axis, letter in enumerate(axes):
        if letter in "YX":
            region[axis] = _clamped(low[axis], high[axis], region[axis].stop)
    return tuple(region)


def rectangle(layer: ImageLayer, axes: str, shapes: Shapes | None) -> Region:
    """Return the bounding box, along Y and X, of the selected rectangle of a Shapes layer, or of its last one.

    Raises
    ------
    SourceError
        If there is no rectangle, or it lies outside the layer.
    """
    if shapes is None or not shapes.data:
        raise SourceError("there is no rectangle; draw one in a Shapes layer, or choose another region.")
    chosen = sorted(shapes.selected_data)[-1] if shapes.selected_data else len(shapes.data) - 1
    corners = np.array([_into(layer, shapes.data_to_world(corner)) for corner in shapes.data[chosen]])
    region = list(whole(layer))
    for axis, letter in enumerate(axes):
        if letter in "YX":
            low, high = corners[:, axis].min() + 0.5, corners[:, axis].max() + 0.5
            if high <= 0 or low >= region[axis].stop:
                raise SourceError(f"the rectangle lies outside of {layer.name} along {letter}; move it onto the layer.")
            region[axis] = _clamped(low, high, region[axis].stop)
    return tuple(region)


def overlap(region: Region, origin: Region) -> Region:
    """Return the intersection of two regions."""
    return tuple(slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(region, origin, strict=True))


def result_region(plan: Plan, region: Region, origin: Region) -> tuple[slice, ...]:
    """Return the region of the result that belongs to a region of the layer.

    Parameters
    ----------
    plan : Plan
        Plan of the region `origin`.
    region, origin : tuple of slice
        In pixels and axis order of the layer.

    Returns
    -------
    tuple of slice
        In pixels of the result, in canonical order.

    Raises
    ------
    RestoreError
        If the two regions do not overlap.
    """
    slices = {}
    for letter, inner, outer in zip(plan.image.axes, region, origin, strict=True):
        factor = plan.card.scale if letter in "YX" else 1
        start, stop = max(inner.start, outer.start), min(inner.stop, outer.stop)
        if stop <= start:
            raise RestoreError("the region to be restored is not on screen; move there, or choose another region.")
        slices[letter] = slice((start - outer.start) * factor, (stop - outer.start) * factor)
    return tuple(slices[letter] for letter in plan.axes)


def _into(layer: ImageLayer, world: Sequence[float]) -> np.ndarray:
    """Convert world coordinates to pixels of a layer, which may have more axes."""
    padded = np.zeros(layer.ndim)
    shared = min(layer.ndim, len(world))
    padded[-shared:] = np.asarray(world)[-shared:]
    return np.asarray(layer.world_to_data(padded))


def _clamped(low: float, high: float, length: int) -> slice:
    start = min(max(int(np.floor(low)), 0), length - 1)
    return slice(start, max(start + 1, min(int(np.ceil(high)), length)))
