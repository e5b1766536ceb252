"""Which write units of the coarser levels can be made: those with all stored that lies under them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_restore.images.writing.layout import WriteUnit
from napari_restore.images.writing.pyramid import downsample

__all__ = ["CoarseUnits", "covered"]


def covered(
    unit: WriteUnit, counts: Sequence[int], pixels: NDArray[Any], levels: int
) -> Iterator[tuple[WriteUnit, NDArray[Any]]]:
    """Yield the write units of coarser levels that one of level 0 covers, made from it alone.

    Parameters
    ----------
    unit
        Of level 0.
    counts
        Write units of level 0 along each axis, in stored order.
    pixels
        Of `unit`, in stored order.
    levels
        Levels of the image, level 0 included.

    Yields
    ------
    unit, pixels
        Level by level, until a write unit reaches beyond that of level 0.
    """
    corner, ends = unit.index[-2:], counts[-2:]
    for level in range(1, levels):
        if any(i % 2**level or i + 1 < count for i, count in zip(corner, ends, strict=True)):
            return
        pixels, unit = downsample(pixels), unit.above
        yield unit, pixels


class CoarseUnits:
    """Keeps count of what is stored, and names each coarser write unit once, when the last one under it is stored.

    Parameters
    ----------
    stored
        For each level, which of its write units are stored, in stored order.
    """

    def __init__(self, stored: Sequence[NDArray[np.bool_]]) -> None:
        self._stored = [level.copy() for level in stored]
        self._claimed: set[WriteUnit] = set()
        self._lock = threading.Lock()

    def put(self, unit: WriteUnit) -> None:
        """Take down that a write unit is stored."""
        with self._lock:
            self._stored[unit.level][unit.index] = True

    def above(self, unit: WriteUnit) -> tuple[WriteUnit, bool] | None:
        """Take down that a write unit is stored, and give the one above it if all under that is stored.

        Returns
        -------
        unit, to_make
            The write unit of the next level, and whether it is the caller who should make it; None if more is missing
            under it, if somebody else makes it, or if there is no such level.
        """
        with self._lock:
            self._stored[unit.level][unit.index] = True
            if unit.level + 1 == len(self._stored):
                return None
            parent = unit.above
            rows, columns = (slice(2 * i, 2 * i + 2) for i in parent.index[-2:])
            if not self._stored[unit.level][parent.index[:-2]][rows, columns].all() or parent in self._claimed:
                return None
            to_make = not self._stored[parent.level][parent.index]
            if to_make:
                self._claimed.add(parent)
            return parent, bool(to_make)
