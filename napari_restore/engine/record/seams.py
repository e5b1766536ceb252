"""Measure whether seams can be seen in a stored result, in a sample of its planes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_restore.engine.planning.plan import Plan
from napari_restore.images.writing import ome_zarr
from napari_restore.quality.metrics import seam_ratio
from napari_restore.tiling.grid import AxisTiling

__all__ = ["Seams", "measure_seams"]

PLANES = 6
"""Number of measured planes, evenly spread over all axes but Y and X."""
WINDOW = 1024
"""Height and width in pixels of the window that is read from each plane."""


@dataclass(frozen=True)
class Seams:
    """Ratio of the mean absolute gradient at seams (the middle of the blended pixels) to that elsewhere.

    The content of the image also changes this ratio, most of all in small images. Compare it with the same ratio for
    lines half-way between two seams: seams are visible if the first is clearly larger.

    Attributes
    ----------
    ratio : float or None
        Mean over the windows; None if they hold no seam, or only zeros.
    between : float or None
        The same ratio for lines half-way between two seams.
    windows : int
        Number of windows.
    """

    ratio: float | None
    between: float | None
    windows: int


def measure_seams(plan: Plan, output: Path | str) -> Seams:
    """Measure the seams of a stored result in a few windows, each around the corner of four tiles.

    Parameters
    ----------
    plan : Plan
        The run that made the result.
    output : Path or str
        The result, a path or URL, with a complete level 0.

    Raises
    ------
    Exception
        Any error of reading the result.
    """
    array = ome_zarr.open_level(output, 0)
    outer, (height, width) = array.shape[:-2], array.shape[-2:]
    planes = math.prod(outer)
    ratios: list[tuple[float, float]] = []
    for k in range(min(PLANES, planes)):
        index = np.unravel_index(int((k + 0.5) * planes / min(PLANES, planes)), outer) if outer else ()
        plane = tuple(slice(int(i), int(i) + 1) for i in index)
        rows, borders_y, between_y = _window(plan.grid.y, plan.card.scale, height, k)
        columns, borders_x, between_x = _window(plan.grid.x, plan.card.scale, width, k)
        if borders_y or borders_x:
            pixels = np.asarray(array[(*plane, rows, columns)])
            pixels = pixels.reshape(pixels.shape[-2:])
            ratios.append((seam_ratio(pixels, borders_y, borders_x), seam_ratio(pixels, between_y, between_x)))
    finite = [pair for pair in ratios if all(map(math.isfinite, pair))]
    if not finite:
        return Seams(None, None, 0)
    ratio, between = np.mean(finite, axis=0)
    return Seams(float(ratio), float(between), len(finite))


def _window(tiling: AxisTiling, scale: int, length: int, number: int) -> tuple[slice, list[int], list[int]]:
    """Choose a window of an axis around a seam.

    Returns
    -------
    window : slice
        The window, in pixels of the result.
    seams, between : list of int
        The seams in the window, and the lines half-way between them, in pixels of the window.
    """
    size = min(WINDOW, length)
    if tiling.count < 2:
        return slice(0, size), [], []
    centre = tiling.seam(1 + int((0.5 + number * 0.7548776662466927) % 1 * (tiling.count - 1))) * scale
    start = max(0, min(centre - size // 2, length - size))
    first, last = (max(0, p // scale // tiling.stride - 1) for p in (start, start + size))
    middles = [
        (2 * tiling.seam(k) + tiling.blend) * scale // 2 - start
        for k in range(max(1, first), min(tiling.count, last + 3))
    ]
    half = tiling.stride * scale // 2
    borders, between = (
        {p + step for p in positions for step in (-1, 0, 1) if 1 <= p + step < size}
        for positions in (middles, [*(p - half for p in middles), *(p + half for p in middles)])
    )
    return slice(start, start + size), sorted(borders), sorted(between - borders)
