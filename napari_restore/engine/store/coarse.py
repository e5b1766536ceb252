"""Find the write units of coarser levels that can be computed, because all write units below them are stored."""

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
    """Compute the write units of coarser levels that lie inside one write unit of level 0.

    Parameters
    ----------
    unit : WriteUnit
        Write unit of level 0.
    counts : sequence of int
        Write units of level 0 along each axis, in stored order.
    pixels : numpy.ndarray
        Pixels of `unit`, in stored order.
    levels : int
        Levels of the pyramid, level 0 included.

    Yields
    ------
    unit : WriteUnit
        Write unit of level 1, 2, ... The first write unit that needs other pixels than `pixels` ends the iteration.
    pixels : numpy.ndarray
        Its pixels, in stored order.
    """
    corner, ends = unit.index[-2:], counts[-2:]
    for level in range(1, levels):
        if any(i % 2**level or i + 1 < count for i, count in zip(corner, ends, strict=True)):
            return
        pixels, unit = downsample(pixels), unit.above
        yield unit, pixels


class CoarseUnits:
    """Record of the stored write units, which reports when a coarser write unit can be computed.

    Parameters
    ----------
    stored : sequence of numpy.ndarray of bool
        For each level, whether each of its write units is stored, with axes in stored order.
    """

    def __init__(self, stored: Sequence[NDArray[np.bool_]]) -> None:
        self._stored = [level.copy() for level in stored]
        self._claimed: set[WriteUnit] = set()
        self._lock = threading.Lock()

    def put(self, unit: WriteUnit) -> None:
        """Record that a write unit is stored."""
        with self._lock:
            self._stored[unit.level][unit.index] = True

    def above(self, unit: WriteUnit) -> tuple[WriteUnit, bool] | None:
        """Record that a write unit is stored, and return the one of the next level if that can be computed now.

        Parameters
        ----------
        unit : WriteUnit
            The write unit that is stored.

        Returns
        -------
        tuple of (WriteUnit, bool) or None
            The write unit of the next level, and whether the caller has to compute it (False: it is stored already).
            None if another write unit below it is missing, if another caller computes it, or if there is no next level.
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
