"""Where each part of a plane has gone in another plane: whole pixels, searched only where that clearly pays.

Block matching on low-passed planes at half their resolution. A displacement is taken where it lowers the difference by
more than chance does, so still structure and noise stay where they are. Each number depends on the pixels within
`REACH` and on nothing else, and is computed in one order: a part of a plane gives the same bits as the whole, if it
begins at a multiple of `STEP` in both directions and has `REACH` more pixels on each inner side.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from napari_restore.intensity.local_means import gaussian, separable, window

__all__ = ["REACH", "STEP", "Displacement", "moved", "search", "steps_to_pixels"]

Plane = npt.NDArray[np.float32]
T = TypeVar("T", bound=np.generic)
Whole = npt.NDArray[np.int8]

STEP = 4
"""Pixels along y and x that share a displacement."""
FARTHEST = 3
"""Of the displacements that are tried, in pixels of half the resolution; between them a parabola finds the pixel."""
_LOW_PASS = gaussian(1.5)
_WINDOW = window(9)
"""Over which differences are averaged, in steps."""
_GAIN = 0.05
"""Least by which a displacement lowers the mean squared difference of the low-passed planes, in variances of the
noise: about three times what chance does in a window."""
REACH = len(_LOW_PASS) // 2 + STEP * (len(_WINDOW) // 2 + 1) + 2 * FARTHEST + 1


class Displacement(NamedTuple):
    """Where the structure of each step of a plane is in the other plane, in pixels further along y and x."""

    y: Whole
    x: Whole

    @property
    def any(self) -> bool:
        """Whether anything has moved."""
        return bool(self.y.any() or self.x.any())


def search(plane: Plane, other: Plane, chance: float = 1.0) -> Displacement:
    """Search for the structure of one plane in another one.

    Parameters
    ----------
    plane, other : numpy.ndarray
        Shape ``(h, w)``, or ``(samples, h, w)``, which move together; in units of the standard deviation of the noise,
        which is the same everywhere.
    chance : float
        Variance that is left of the noise in the low-passed planes, beside what is left of independent noise.

    Returns
    -------
    Displacement
        Shape ``(ceil(h / STEP), ceil(w / STEP))`` each, within ``2 * FARTHEST + 1`` pixels.

    Examples
    --------
    >>> plane = 5 * np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    >>> found = search(plane, np.roll(plane, 3, axis=1))
    >>> int(found.y[8, 8]), int(found.x[8, 8])
    (0, 3)
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
        costs[dy, dx] = separable(_by_steps(sum(difference[1:], difference[0]) / np.float32(samples)), _WINDOW)
    best = costs[FARTHEST, FARTHEST] - np.float32(_GAIN * chance)
    at = np.full((2, *best.shape), FARTHEST)
    for dy, dx in np.ndindex(side, side):
        if (dy, dx) != (FARTHEST, FARTHEST):
            better = costs[dy, dx] < best
            best = np.where(better, costs[dy, dx], best)
            at[:, better] = np.array([[dy], [dx]])
    return _to_the_pixel(costs, at)


def _by_steps(values: Plane) -> Plane:
    """Means of 2 x 2 pixels of half the resolution; the last row and column are repeated where there is no second."""
    rows, columns = values.shape
    even = np.pad(values, ((0, rows % 2), (0, columns % 2)), mode="edge")
    mean: Plane = (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) * np.float32(0.25)
    return mean


def _to_the_pixel(costs: Plane, at: npt.NDArray[np.int_]) -> Displacement:
    """Refine to pixels of the full resolution by a parabola through the costs beside the best one."""
    place = tuple(np.indices(at.shape[1:]))
    lowest = costs[(at[0], at[1], *place)]
    away = (at[0] != FARTHEST) | (at[1] != FARTHEST)
    found = []
    for axis in (0, 1):
        inner = (at[axis] > 0) & (at[axis] < 2 * FARTHEST)
        beside = []
        for step in (-1, 1):
            next_to = at.copy()
            next_to[axis] = np.clip(at[axis] + step, 0, 2 * FARTHEST)
            beside.append(costs[(next_to[0], next_to[1], *place)])
        curve = beside[0] + beside[1] - 2 * lowest
        offset = np.divide(beside[0] - beside[1], curve, out=np.zeros_like(lowest), where=inner & (curve > 0))
        pixels = 2 * (at[axis] - FARTHEST) + np.rint(np.clip(offset, -1, 1))
        found.append(np.where(away, pixels, 0).astype(np.int8))
    return Displacement(*found)


def steps_to_pixels(steps: npt.NDArray[T], shape: tuple[int, ...]) -> npt.NDArray[T]:
    """Give every pixel of a plane the value of its step."""
    return np.repeat(np.repeat(steps, STEP, 0), STEP, 1)[: shape[0], : shape[1]]


def moved(values: npt.NDArray[T], by: Displacement) -> npt.NDArray[T]:
    """Bring the values of the other plane to where their structure is in the plane."""
    if not by.any:
        return values
    rows, columns = values.shape[-2:]
    y, x = (steps_to_pixels(d, (rows, columns)) for d in by)
    row, column = np.clip(np.arange(rows)[:, None] + y, 0, rows - 1), np.clip(np.arange(columns) + x, 0, columns - 1)
    return np.asarray(values[..., row, column])
