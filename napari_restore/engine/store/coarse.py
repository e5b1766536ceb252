"""Which units of the coarser levels can be made: those with all stored that lies under them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_restore.images.writing.pyramid import downsample

__all__ = ["CoarseUnits", "covered"]

Unit = tuple[int, ...]


def covered(
    index: Unit, counts: Sequence[int], block: NDArray[Any], levels: int
) -> Iterator[tuple[int, Unit, NDArray[Any]]]:
    """Yield the units of coarser levels that one block covers, made from it alone.

    Parameters
    ----------
    index
        Of the block, in stored order; Y and X are the last two axes.
    counts
        Blocks along each axis.
    block
        Its pixels, in stored order.
    levels
        Levels of the image, level 0 included.

    Yields
    ------
    level, unit, pixels
        Level by level, until a unit reaches beyond the block.
    """
    for level in range(1, levels):
        if any(i % 2**level or i + 1 < count for i, count in zip(index[-2:], counts[-2:], strict=True)):
            return
        block = downsample(block)
        yield level, (*index[:-2], *(i >> level for i in index[-2:])), block


class CoarseUnits:
    """Keeps count of what is stored, and names each coarser unit once, when the last one under it is stored.

    Parameters
    ----------
    stored
        For each level, which of its units are stored, in stored order.
    """

    def __init__(self, stored: Sequence[NDArray[np.bool_]]) -> None:
        self._stored = [level.copy() for level in stored]
        self._claimed: set[tuple[int, Unit]] = set()
        self._lock = threading.Lock()

    def put(self, level: int, unit: Unit) -> None:
        """Take down that a unit is stored."""
        with self._lock:
            self._stored[level][unit] = True

    def above(self, level: int, unit: Unit) -> tuple[Unit, bool] | None:
        """Take down that a unit is stored, and give the one above it if all under that is stored.

        Returns
        -------
        unit, to_make
            The unit of the next level, and whether it is the caller who should make it; None if more is missing under
            it, if somebody else makes it, or if there is no such level.
        """
        with self._lock:
            self._stored[level][unit] = True
            if level + 1 == len(self._stored):
                return None
            parent = (*unit[:-2], unit[-2] // 2, unit[-1] // 2)
            rows, columns = (slice(2 * i, 2 * i + 2) for i in parent[-2:])
            if not self._stored[level][parent[:-2]][rows, columns].all() or (level + 1, parent) in self._claimed:
                return None
            to_make = not self._stored[level + 1][parent]
            if to_make:
                self._claimed.add((level + 1, parent))
            return parent, to_make
