"""Pictures of a result for its report: before, after, what was removed, and the borders of tiles."""

from __future__ import annotations

__all__ = ["Pictures", "pictures_of"]

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_restore.engine.planning.plan import Plan
from napari_restore.html_page import Html, picture
from napari_restore.images.writing import ome_zarr
from napari_restore.intensity.noise import estimate_noise
from napari_restore.intensity.scaling import without_infinities
from napari_restore.intensity.stabilise import CameraNoise
from napari_restore.thumbnail import display_limits, picture_of
from napari_restore.tiling.grid import AxisTiling

_SIDE = 224
"""Height and width of the part that is shown, in pixels of the source."""
_SHOWN = 448
"""Width of a picture on screen, in pixels."""
_BINS, _END = 61, 6.0
"""Bins of the histogram of what was removed, and its end in standard deviations of the noise."""
_BORDER = (255, 200, 0)


@dataclass(frozen=True)
class Pictures:
    """Pictures and figures of a result.

    Attributes
    ----------
    html : Html
        The pictures.
    removed : dict
        Histogram of what was removed, as JSON types: ``unit`` and, in it, ``centres`` of bins and ``density``; and
        ``noise``, the noise it was divided by, in words, or None if it could not be estimated.
    """

    html: Html
    removed: dict[str, Any]


def pictures_of(plan: Plan, output: Path | str) -> Pictures:
    """Make pictures of a part of the middle plane, in its first channel or its colour samples.

    Parameters
    ----------
    plan : Plan
        The run that made the result.
    output : Path or str
        The result, with a complete level 0.

    Raises
    ------
    Exception
        Any error of reading the source or the result.
    """
    scale, sizes = plan.card.scale, plan.image.sizes
    rows, row_borders = _part(plan.grid.y, sizes["Y"])
    columns, column_borders = _part(plan.grid.x, sizes["X"])
    places = {
        axis: rows if axis == "Y" else columns if axis == "X" else slice(0, n if axis == "S" else 1)
        for axis, n in sizes.items()
    }
    for axis in "TZ":
        if axis in sizes:
            places[axis] = slice(sizes[axis] // 2, sizes[axis] // 2 + 1)
    before = _samples(plan.image.read(tuple(places.values())), plan.axes)
    enlarged = {axis: slice(s.start * scale, s.stop * scale) if axis in "YX" else s for axis, s in places.items()}
    after = _samples(_stored(plan, output, enlarged), plan.axes)
    compared = without_infinities(after) if scale == 1 else _mean(after, scale)
    removed = without_infinities(before) - compared
    where = ", ".join(f"{axis} {s.start}:{s.stop}" for axis, s in places.items() if axis != "S")
    html = "".join(_drawn(before, after, removed, (row_borders, column_borders), scale, where))
    return Pictures(Html(html), _histogram(plan, before[0], compared[0], removed[0]))


def _part(tiling: AxisTiling, length: int) -> tuple[slice, list[int]]:
    """Return the shown part of an axis, around the seam nearest to the middle, and the seams in it."""
    seams = [tiling.seam(k) + tiling.blend // 2 for k in range(1, tiling.count)]
    size = min(_SIDE, length)
    centre = min(seams, key=lambda seam: abs(seam - length // 2), default=length // 2)
    start = max(0, min(centre - size // 2, length - size))
    return slice(start, start + size), [seam - start for seam in seams if 0 < seam - start < size]


def _samples(pixels: NDArray[Any], axes: str) -> NDArray[Any]:
    """Return a part of one plane and channel with an axis of its colour samples, (1 or S, Y, X)."""
    planes = np.moveaxis(pixels, -1, 0)[:3] if "S" in axes else pixels
    return planes.reshape(-1, *planes.shape[-2:])


def _stored(plan: Plan, output: Path | str, places: dict[str, slice]) -> NDArray[Any]:
    order = ome_zarr.stored_order(plan.axes)
    region = tuple(places[plan.axes[axis]] for axis in order)
    stored = np.asarray(ome_zarr.open_level(output, 0)[region])
    return stored.transpose(np.argsort(order))


def _mean(pixels: NDArray[Any], scale: int) -> NDArray[np.float64]:
    """Return the means over the pixels of the result that one pixel of the source became."""
    count, height, width = pixels.shape
    parts = without_infinities(pixels).reshape(count, height // scale, scale, width // scale, scale)
    return np.asarray(parts.mean(axis=(2, 4)))


def _drawn(
    before: NDArray[Any],
    after: NDArray[Any],
    removed: NDArray[np.float64],
    borders: tuple[list[int], list[int]],
    scale: int,
    where: str,
) -> list[Html]:
    colours = ["FF0000", "00FF00", "0000FF"] if len(before) == 3 else []
    side = _SIDE * scale
    limits = display_limits(before)
    # A result in other units than its source has limits of its own.
    same = before.dtype == after.dtype
    restored = picture_of(after, limits if same else display_limits(after), colours, side)
    known = removed[np.isfinite(removed)]
    spread = (3 * float(known.std()) if known.size else 0.0) or 1.0
    lined = np.repeat(restored[..., None], 3, axis=-1) if restored.ndim == 2 else restored.copy()
    lined[[row * scale for row in borders[0]]] = _BORDER
    lined[:, [column * scale for column in borders[1]]] = _BORDER
    seams = "borders of tiles" if any(borders) else "no border of tiles is in this part"
    return [
        picture(picture_of(before, limits, colours, side), f"before: {where}", _SHOWN),
        picture(restored, "after" if same else "after, in its own units", _SHOWN),
        picture(
            picture_of(removed[:1], [(-spread, spread)], (), side),
            f"what was removed (before - after), from {-spread:.3g} to {spread:.3g}", _SHOWN,
        ),
        picture(lined, f"after, with {seams}" if any(borders) else f"after; {seams}", _SHOWN),
    ]  # fmt: skip


def _histogram(
    plan: Plan, before: NDArray[Any], after: NDArray[np.float64], removed: NDArray[np.float64]
) -> dict[str, Any]:
    """Return the histogram of what was removed, divided by the standard deviation of the expected noise."""
    deviation, told = _expected(plan, before, after)
    finite = np.isfinite(removed)
    if deviation is None:
        end = 4 * float(removed[finite].std()) if finite.any() else 0.0
        values, end = removed[finite], end or 1.0
    else:
        finite &= deviation > 0
        values, end = (removed / np.where(deviation > 0, deviation, 1))[finite], _END
    counts, edges = np.histogram(values, _BINS, (-end, end))
    density = counts / max(1, values.size) / (edges[1] - edges[0])
    return {
        "centres": [float(f"{c:.5g}") for c in (edges[1:] + edges[:-1]) / 2],
        "density": [float(f"{d:.5g}") for d in density],
        "noise": told,
    }


def _expected(
    plan: Plan, before: NDArray[Any], level: NDArray[np.float64]
) -> tuple[NDArray[np.float64] | None, str | None]:
    """Return the standard deviation of the noise of the source at each level, and how it is known."""
    if plan.dtype != plan.image.dtype and plan.dtype.kind != plan.image.dtype.kind:
        return None, None  # levels of the result are in other units
    if plan.recipe.noise is not None:
        return np.sqrt(CameraNoise(*plan.recipe.noise[0]).variance(level)), "the noise of the recipe"
    found = estimate_noise(before)
    if found is None:
        return None, None
    return np.sqrt(np.maximum(found.variance(level), 0)), "the noise estimated in this part"
