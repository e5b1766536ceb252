"""The part of a layer that is to be restored: what is on screen, in a rectangle, or at one time and depth.

And where that part lies in the result.
"""

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
"""How each kind of region is called on screen."""


def find_region(
    kind: RegionName, layer: ImageLayer, axes: str, point: Sequence[float], shapes: Shapes | None = None
) -> Region:
    """Give the region of a kind.

    Parameters
    ----------
    kind
        One of `REGIONS`.
    layer, axes
        The layer and one letter per axis of its data.
    point
        Where the sliders stand, in world coordinates (`viewer.dims.point`).
    shapes
        Layer whose selected rectangle counts.

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
    """Which pixels a region has: ``"Z 12 · Y 100–611 · X 0–511"``, first and last."""
    parts = zip(axes, region, strict=True)
    return " · ".join(
        f"{letter} {s.start}" if s.stop - s.start == 1 else f"{letter} {s.start}–{s.stop - 1}"
        for letter, s in parts
        if letter not in "CS"
    )


def current_planes(layer: ImageLayer, axes: str, point: Sequence[float]) -> Region:
    """The plane that the sliders show: all of Y, X and C at one time and depth."""
    position = np.round(layer.world_to_data(tuple(point)[-layer.ndim :])).astype(int)
    region = list(whole(layer))
    for axis, letter in enumerate(axes):
        if letter in "TZ":
            index = min(max(int(position[axis]), 0), region[axis].stop - 1)
            region[axis] = slice(index, index + 1)
    return tuple(region)


def current_view(layer: ImageLayer, axes: str, point: Sequence[float]) -> Region:
    """The pixels of the current plane that are on screen."""
    region = list(current_planes(layer, axes, point))
    # corner_pixels counts pixels of the level that is shown.
    factors = np.asarray(layer.downsample_factors[layer.data_level])[: layer.ndim] if layer.multiscale else 1.0
    first, last = np.asarray(layer.corner_pixels)[:, : layer.ndim]
    low, high = first * factors, (last + 1) * factors
    for axis, letter in enumerate(axes):
        if letter in "YX":
            region[axis] = _clamped(low[axis], high[axis], region[axis].stop)
    return tuple(region)


def rectangle(layer: ImageLayer, axes: str, shapes: Shapes | None) -> Region:
    """The bounding box, along Y and X, of the rectangle that is selected in a Shapes layer (or the last one).

    Raises
    ------
    SourceError
        If there is none, or it lies outside the layer.
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
    """The part of a region that lies within another one."""
    return tuple(slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(region, origin, strict=True))


def result_region(plan: Plan, region: Region, origin: Region) -> tuple[slice, ...]:
    """Where a region of the layer lies in the result, in canonical order.

    Parameters
    ----------
    plan
        Plan of the layer's part `origin`.
    region, origin
        In the layer's pixels and order.

    Raises
    ------
    RestoreError
        If nothing of the region lies in the part that is restored.
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
    """World coordinates, of fewer axes than the layer perhaps, in its pixels."""
    padded = np.zeros(layer.ndim)
    shared = min(layer.ndim, len(world))
    padded[-shared:] = np.asarray(world)[-shared:]
    return np.asarray(layer.world_to_data(padded))


def _clamped(low: float, high: float, length: int) -> slice:
    start = min(max(int(np.floor(low)), 0), length - 1)
    return slice(start, max(start + 1, min(int(np.ceil(high)), length)))
