"""Estimate the displacement of structure between two planes, in half pixels, by block matching.

Low-passed planes are matched at half their resolution. A displacement is used where it lowers the difference by more
than chance does, so the displacement of still structure and of noise is 0. Each number depends only on the pixels
within `REACH`, and sums are computed in a fixed order. A part of a plane gives the same bits as the whole if it begins
at a multiple of `STEP` in both directions and has `REACH` more pixels on each inner side.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from napari_restore.intensity.local_means import gaussian, separable, window

__all__ = ["REACH", "STEP", "Displacement", "search", "steps_to_pixels", "warp"]

Plane = npt.NDArray[np.float32]
T = TypeVar("T", bound=np.generic)
Offsets = npt.NDArray[np.int8]

STEP = 4
"""Pixels along y and x that share a displacement."""
FARTHEST = 3
"""Largest displacement that is tried, in pixels of half the resolution. A parabola through the costs refines it to
half pixels of the full resolution."""
_LOW_PASS = gaussian(1.5)
_WINDOW = window(9)
"""Window over which squared differences are averaged, in steps."""
_GAIN = 0.05
"""Smallest reduction of the mean squared difference of the low-passed planes for which a displacement is used, in
variances of the noise: about three times the reduction by chance in a window."""
_SMALL_GAIN = 0.15
"""The same for a displacement of less than a pixel of half the resolution. Lower values moved still structure."""
REACH = len(_LOW_PASS) // 2 + STEP * (len(_WINDOW) // 2 + 1) + 2 * FARTHEST + 1


class Displacement(NamedTuple):
    """Displacement of structure from a plane to another one, for each step, in half pixels along y and x."""

    y: Offsets
    x: Offsets

    @property
    def any(self) -> bool:
        """Whether a displacement is not 0."""
        return bool(self.y.any() or self.x.any())

    @property
    def between(self) -> npt.NDArray[np.bool_]:
        """Where the displacement is not a whole number of pixels."""
        return np.asarray((self.y & 1) | (self.x & 1), bool)


def search(plane: Plane, other: Plane, chance: float = 1.0) -> Displacement:
    """Estimate how the structure of a plane is displaced in another plane.

    Parameters
    ----------
    plane, other : numpy.ndarray
        Shape ``(h, w)``, or ``(samples, h, w)`` for samples with one common displacement; in units of the standard
        deviation of the noise, which is the same everywhere.
    chance : float
        Variance of the noise in the low-passed planes, relative to that of independent noise.

    Returns
    -------
    Displacement
        Shape ``(ceil(h / STEP), ceil(w / STEP))`` each, within ``2 * FARTHEST`` pixels.

    Examples
    --------
    >>> plane = 5 * np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    >>> found = search(plane, np.roll(plane, 3, axis=1))
    >>> int(found.y[8, 8]), int(found.x[8, 8])
    (0, 6)
    """
    still, there = (
        separable(values, _LOW_PASS)[..., ::2, ::2].reshape(-1, *(-(-n // 2) for n in plane.shape[-2:]))
        for values in (plane, other)
    )
    samples, rows, columns = still.shape
    around = np.pad(there, ((0, 0), (FARTHEST, FARTHEST), (FARTHEST, FARTHEST)), mode="edge")
    side = 2 * FARTHEST + 1
    costs = np.empty((side, side, -(-rows // 2), -(-columns // 2)), np.float32)
    for dy, dx in np.ndindex(side, side):
        difference = still - around[:, dy : dy + rows, dx : dx + columns]
        difference *= difference
        costs[dy, dx] = _step_means(sum(difference[1:], difference[0]) / np.float32(samples))
    costs = separable(costs, _WINDOW)
    best = costs[FARTHEST, FARTHEST] - np.float32(_GAIN * chance)
    at = np.full((2, *best.shape), FARTHEST)
    for dy, dx in np.ndindex(side, side):
        if (dy, dx) != (FARTHEST, FARTHEST):
            better = costs[dy, dx] < best
            best = np.where(better, costs[dy, dx], best)
            at[:, better] = np.array([[dy], [dx]])
    return _refine(costs, at, _SMALL_GAIN * chance)


def _step_means(values: Plane) -> Plane:
    """Average 2 x 2 pixels of half the resolution; a last single row or column is repeated."""
    rows, columns = values.shape
    even = np.pad(values, ((0, rows % 2), (0, columns % 2)), mode="edge") if rows % 2 or columns % 2 else values
    mean: Plane = (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) * np.float32(0.25)
    return mean


def _refine(costs: Plane, at: npt.NDArray[np.int_], least: float) -> Displacement:
    """Refine displacements to half pixels, by a parabola through the lowest cost and those beside.

    Displacements of less than a pixel of half the resolution are used where the parabolas lower the cost by more than
    `least`, because noise alone lowers it too.
    """
    steps = tuple(np.indices(at.shape[1:]))
    lowest = costs[(at[0], at[1], *steps)]
    halves, lower = [], np.zeros_like(lowest)
    for axis in (0, 1):
        inner = (at[axis] > 0) & (at[axis] < 2 * FARTHEST)
        beside = []
        for step in (-1, 1):
            next_to = at.copy()
            next_to[axis] = np.clip(at[axis] + step, 0, 2 * FARTHEST)
            beside.append(costs[(next_to[0], next_to[1], *steps)])
        curve = beside[0] + beside[1] - 2 * lowest
        offset = np.divide(beside[0] - beside[1], curve, out=np.zeros_like(lowest), where=inner & (curve > 0))
        offset = np.clip(offset, -1, 1)
        lower += curve * offset * offset / 8
        halves.append(4 * (at[axis] - FARTHEST) + np.rint(2 * offset))
    used = (at[0] != FARTHEST) | (at[1] != FARTHEST) | (lower > least)
    return Displacement(*(np.where(used, along, 0).astype(np.int8) for along in halves))


def steps_to_pixels(steps: npt.NDArray[T], shape: tuple[int, ...]) -> npt.NDArray[T]:
    """Repeat the value of each step for all pixels of the step."""
    return np.repeat(np.repeat(steps, STEP, 0), STEP, 1)[: shape[0], : shape[1]]


def warp(values: npt.NDArray[T], by: Displacement) -> npt.NDArray[T]:
    """Warp the values of the other plane so that its structure is at the same pixels as in the plane.

    At half pixels, the mean of the pixels on both sides is taken; of a mask, a pixel is set if one of them is.
    """
    if not by.any:
        return values
    rows, columns = values.shape[-2:]
    y, x = (steps_to_pixels(d, (rows, columns)) for d in by)
    row, below = (np.clip(np.arange(rows, dtype=np.int32)[:, None] + ((y + odd) >> 1), 0, rows - 1) for odd in (0, 1))
    column, right = (np.clip(np.arange(columns, dtype=np.int32) + ((x + odd) >> 1), 0, columns - 1) for odd in (0, 1))
    found: npt.NDArray[Any] = values[..., row, column]
    if not by.between.any():
        return found
    for rows_of, columns_of in ((below, column), (row, right), (below, right)):
        found = found + values[..., rows_of, columns_of]  # of a mask, the sum is "or"
    return found if values.dtype == np.bool_ else np.asarray(found * values.dtype.type(0.25))
