"""Whether tile borders can be seen in a stored result, measured on a little of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_restore.engine.plan import Plan
from napari_restore.images import ome_zarr
from napari_restore.quality.metrics import seam_ratio
from napari_restore.tiling.grid import AxisTiling

__all__ = ["Seams", "measure_seams"]

PLANES = 6
"""Planes that are looked at, evenly spread over all axes but Y and X."""
WINDOW = 1024
"""Height and width in pixels of what is read of each."""


@dataclass(frozen=True)
class Seams:
    """Mean absolute gradient where one tile hands over to the next, over that elsewhere; about 1 where nothing shows.

    Attributes
    ----------
    mean, highest
        Over the windows that were looked at; None where there is no tile border in them, or nothing but zeros.
    windows
        How many.
    """

    mean: float | None
    highest: float | None
    windows: int


def measure_seams(plan: Plan, output: Path | str) -> Seams:
    """Measure the seams of a stored result in a few windows, each around the corner of four tiles.

    Parameters
    ----------
    plan
        The run that made it.
    output
        The result, level 0 complete.

    Raises
    ------
    Exception
        Whatever reading the result raises.
    """
    array = ome_zarr.open_level(output, 0)
    outer, (height, width) = array.shape[:-2], array.shape[-2:]
    planes = math.prod(outer)
    ratios = []
    for k in range(min(PLANES, planes)):
        index = np.unravel_index(int((k + 0.5) * planes / min(PLANES, planes)), outer) if outer else ()
        plane = tuple(slice(int(i), int(i) + 1) for i in index)
        rows, borders_y = _window(plan.grid.y, plan.card.scale, height, k)
        columns, borders_x = _window(plan.grid.x, plan.card.scale, width, k)
        if borders_y or borders_x:
            pixels = np.asarray(array[(*plane, rows, columns)])
            ratios.append(seam_ratio(pixels.reshape(pixels.shape[-2:]), borders_y, borders_x))
    finite = [ratio for ratio in ratios if math.isfinite(ratio)]
    return Seams(float(np.mean(finite)) if finite else None, max(finite) if finite else None, len(finite))


def _window(tiling: AxisTiling, scale: int, length: int, number: int) -> tuple[slice, list[int]]:
    """Choose a window of an axis around a tile border, and give the borders inside, in pixels of the window."""
    size = min(WINDOW, length)
    if tiling.count < 2:
        return slice(0, size), []
    centre = tiling.seam(1 + int((0.5 + number * 0.7548776662466927) % 1 * (tiling.count - 1))) * scale
    start = max(0, min(centre - size // 2, length - size))
    first, last = (max(0, p // scale // tiling.stride - 1) for p in (start, start + size))
    borders = {
        p - start
        for k in range(max(1, first), min(tiling.count, last + 3))
        for p in range(tiling.seam(k) * scale, (tiling.seam(k) + tiling.blend) * scale + 1)
    }
    return slice(start, start + size), sorted(p for p in borders if 1 <= p < size)
