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
from napari_restore.widgets.jobs.layers.image_layers import Region, whole
from napari_restore.widgets.jobs.viewport import Viewport

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
    kind: RegionName, layer: ImageLayer, axes: str, viewport: Viewport, shapes: Shapes | None = None
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
    viewport : Viewport
        What the canvas shows.
    shapes : napari.layers.Shapes, optional
        Layer of the rectangle.

    Returns
    -------
    tuple of slice
        In pixels and axis order of the layer.

    Raises
    ------
    SourceError
        If there is no rectangle, it lies outside the layer, or the layer is not on screen.
    """
    if kind == "view":
        return current_view(layer, axes, viewport)
    if kind == "planes":
        return current_planes(layer, axes, viewport)
    return rectangle(layer, axes, shapes) if kind == "rectangle" else whole(layer)


def describe_region(region: Region, axes: str) -> str:
    """Format the first and last pixel of a region along each axis: ``"Z 12 · Y 100–611 · X 0–511"``."""
    parts = zip(axes, region, strict=True)
    return " · ".join(
        f"{letter} {s.start}" if s.stop - s.start == 1 else f"{letter} {s.start}–{s.stop - 1}"
        for letter, s in parts
        if letter not in "CS"
    )


def current_planes(layer: ImageLayer, axes: str, viewport: Viewport) -> Region:
    """Return the region at the T and Z of the sliders, with all of Y, X and C.

    Raises
    ------
    SourceError
        If the layer does not reach there.
    """
    position = np.round(viewport.position(layer)).astype(int)
    region = list(whole(layer))
    for axis, letter in enumerate(axes):
        if letter in "TZ":
            index, count = int(position[axis]), region[axis].stop
            if not 0 <= index < count:
                raise SourceError(
                    f"the slider is at {letter} {index}, and {layer.name} has {letter} 0–{count - 1}; move the slider, "
                    "or choose another region."
                )
            region[axis] = slice(index, index + 1)
    return tuple(region)


def current_view(layer: ImageLayer, axes: str, viewport: Viewport) -> Region:
    """Return the region of the current plane that is on screen; in the 3D view, the whole plane of the sliders.

    Raises
    ------
    SourceError
        If no part of the layer is on screen, or the canvas shows other axes than Y and X.
    """
    region = list(current_planes(layer, axes, viewport))
    if not viewport.is_plane:
        return tuple(region)
    shown = [axes[axis] for axis in viewport.displayed_axes(layer)]
    if set(shown) != {"Y", "X"}:
        raise SourceError(
            f"the canvas shows {' and '.join(shown) or 'no axis'} of {layer.name}, and planes of Y and X are restored; "
            "roll the dimensions until it shows Y and X, or choose another region."
        )
    plane = [axes.index(letter) for letter in "YX"]
    seen = _clipped(viewport.corners(layer)[:, plane], [region[axis].stop for axis in plane])
    if not len(seen):
        raise SourceError(
            f"{layer.name} is not on screen; move the view onto it (the house button shows all layers), or choose "
            "another region."
        )
    for axis, low, high in zip(plane, seen.min(0) + 0.5, seen.max(0) + 0.5, strict=True):
        region[axis] = _clamped(low, high, region[axis].stop)
    return tuple(region)


def _clipped(polygon: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """Clip a convex polygon to an image; pixel i covers i - 0.5 to i + 0.5.

    The algorithm is that of Sutherland and Hodgman, "Reentrant polygon clipping", Communications of the ACM 17 (1974).

    Parameters
    ----------
    polygon : ndarray
        Corners ``(n, 2)``, in order around it, in pixels.
    sizes : sequence of int
        Pixels of the image along each of the two axes.

    Returns
    -------
    ndarray
        Corners of the clipped polygon, ``(m, 2)``; none if no part of it lies in the image.
    """
    corners = list(polygon)
    for axis, size in enumerate(sizes):
        for sign, edge in ((1, -0.5), (-1, size - 0.5)):
            kept = []
            for start, stop in zip(corners, corners[1:] + corners[:1], strict=True):
                a, b = sign * (start[axis] - edge), sign * (stop[axis] - edge)
                if a > 0:
                    kept.append(start)
                if a * b < 0:
                    kept.append(start + (stop - start) * a / (a - b))
            corners = kept
    return np.array(corners).reshape(-1, 2)


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
