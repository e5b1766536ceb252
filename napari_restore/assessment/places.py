"""List the places to look at: flagged windows that touch are one place, the least probable first."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from napari_restore.assessment.blocks import KINDS, Assessed
from napari_restore.quality.structure import WINDOW

__all__ = ["Place", "PlaceList"]

_KEPT = 20_000
"""Flagged windows that are kept; of more, the least probable."""


class _Window(NamedTuple):
    significance: float
    t: int
    c: int
    z: int
    row: int
    column: int
    kind: int
    added: bool


@dataclass(frozen=True)
class Place:
    """A place where more than noise was taken away, or something was added.

    Attributes
    ----------
    t, channel : int
        Index along T and C.
    z, y, x : (int, int)
        First index, and the one after the last, in pixels of the source.
    log10_p : float
        Decimal logarithm of the smallest probability of its windows.
    kind : str
        "structure", "contrast" or "neighbours": the test that found it.
    added : bool
        Whether the result has something there that the source does not have.
    """

    t: int
    channel: int
    z: tuple[int, int]
    y: tuple[int, int]
    x: tuple[int, int]
    log10_p: float
    kind: str
    added: bool

    def where(self, axes: str) -> str:
        """Return the position in words.

        Parameters
        ----------
        axes : str
            Axes of the source; others are not named.

        Examples
        --------
        >>> Place(0, 0, (12, 13), (304, 416), (80, 144), -9.0, "structure", False).where("ZYX")
        'Z 12, Y 304–416, X 80–144'
        """
        words = [f"T {self.t}"] * ("T" in axes) + [f"C {self.channel}"] * ("C" in axes or "S" in axes)
        if "Z" in axes:
            words.append(f"Z {self.z[0]}" if self.z[1] - self.z[0] == 1 else f"Z {self.z[0]}–{self.z[1]}")
        return ", ".join([*words, f"Y {self.y[0]}–{self.y[1]}", f"X {self.x[0]}–{self.x[1]}"])

    def to_json(self) -> dict[str, Any]:
        """Return its fields, as JSON holds them."""
        return {
            "t": self.t, "channel": self.channel, "z": list(self.z), "y": list(self.y), "x": list(self.x),
            "log10_p": round(self.log10_p, 2), "kind": self.kind, "added": self.added,
        }  # fmt: skip


class PlaceList:
    """Counts of windows, and the flagged ones.

    Parameters
    ----------
    stack : str
        Axis along which planes are neighbours, or empty.
    significance : float
        Probability below which a window is flagged.
    """

    def __init__(self, stack: str, significance: float) -> None:
        self._stack, self._least = stack, -np.log10(significance)
        self._heap: list[_Window] = []
        self.windows = self.flagged = self.removed = self.added = 0
        self.by_kind = dict.fromkeys(KINDS, 0)

    def take(self, found: Assessed) -> None:
        """Count the windows of a block, and keep the flagged ones."""
        size = np.abs(found.significance)
        self.windows += int(np.isfinite(size).sum())
        for plane, row, column in np.argwhere(size > self._least):
            at = (plane, row, column)
            where = dict(found.place.where)
            if self._stack:
                where[self._stack] += int(plane)
            added, kind = bool(found.significance[at] < 0), int(found.kind[at])
            window = _Window(
                float(size[at]), where["T"], where["C"], where["Z"], found.place.rows.start // WINDOW + int(row),
                found.place.columns.start // WINDOW + int(column), kind, added,
            )  # fmt: skip
            self.flagged += 1
            self.added += added
            self.removed += not added
            self.by_kind[KINDS[kind]] += 1
            (heapq.heappush if len(self._heap) < _KEPT else heapq.heappushpop)(self._heap, window)

    def places(self, height: int, width: int) -> list[Place]:
        """Return the places, the least probable first.

        Parameters
        ----------
        height, width : int
            Of a plane of the source.
        """
        left: dict[tuple[int, ...], _Window] = {(w.t, w.c, w.z, w.row, w.column): w for w in self._heap}
        found = []
        while left:
            group = list(self._touching(left))
            worst = max(group, key=lambda w: w.significance)
            rows, columns, depths = ([getattr(w, name) for w in group] for name in ("row", "column", "z"))
            spans = [
                (min(numbers) * WINDOW, min((max(numbers) + 1) * WINDOW, length))
                for numbers, length in ((rows, height), (columns, width))
            ]
            deep = (min(depths), max(depths) + 1)
            how = (-worst.significance, KINDS[worst.kind], worst.added)
            found.append(Place(worst.t, worst.c, deep, spans[0], spans[1], *how))
        return sorted(found, key=lambda place: (place.log10_p, place.t, place.channel, place.z, place.y, place.x))

    def _touching(self, left: dict[tuple[int, ...], _Window]) -> Iterator[_Window]:
        """Remove and yield a window and all that touch it, directly or over others."""
        waiting = [left.pop(next(iter(left)))]
        while waiting:
            window = waiting.pop()
            yield window
            for dz, dy, dx in itertools.product((-1, 0, 1), repeat=3):
                key = (window.t, window.c, window.z + dz, window.row + dy, window.column + dx)
                if key in left:
                    waiting.append(left.pop(key))
