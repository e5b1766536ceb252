"""List the images in an NDTiff data set, and read one as an array."""

from __future__ import annotations

__all__ = ["DataSet", "NdtiffArray", "Series", "read_data_set"]

import itertools
import os
import re
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_restore.errors import ChunkError, SourceError
from napari_restore.images.lazy_arrays import RawArray, Region
from napari_restore.images.readers.microscopes.ndtiff_index import INDEX, Entry, Key, read_index, read_summary
from napari_restore.images.readers.reader import check_level
from napari_restore.ways_out import FILL

FULL = "Full resolution"

_LETTERS = {"time": "T", "channel": "C", "z": "Z"}
_TILES = ("row", "column")


@dataclass(frozen=True)
class Series:
    """One image: its name and its index entries."""

    name: str
    entries: tuple[Entry, ...]

    def positions(self, axis: str) -> list[Key]:
        """Return the positions along an axis: channels in the order of acquisition, others sorted."""
        found = list(dict.fromkeys(entry.axes[axis] for entry in self.entries if axis in entry.axes))
        return (found if axis == "channel" else sorted(found, key=_in_order)) or [0]


@dataclass(frozen=True)
class DataSet:
    """A data set at one level of its pyramid.

    Attributes
    ----------
    folder : str
        Folder of the files of the level.
    series : tuple of Series
        Images of the data set.
    summary : dict
        Metadata of the whole data set by Micro-Manager.
    overlap : tuple of int or None
        Overlap of tiles in rows and columns; None for a data set without tiles.
    factor : int
        Size of a pixel, in pixels of level 0.
    rows, columns : tuple of int
        First and last tile at level 0.
    base : str
        Folder of the files of level 0.
    first : Entry
        The first image of level 0.
    levels : int
        Number of levels.
    whole : bool
        Whether the index is complete.
    """

    folder: str
    series: tuple[Series, ...]
    summary: dict[str, Any]
    overlap: tuple[int, int] | None
    factor: int
    rows: tuple[int, int]
    columns: tuple[int, int]
    base: str
    first: Entry
    levels: int
    whole: bool


def _in_order(position: Key) -> tuple[Any, ...]:
    """Return a sort key: numbers by size, names in natural order, so that Pos2 comes before Pos10."""
    if isinstance(position, int):
        return (0, position)
    return (1, [(part.isdecimal(), int(part) if part.isdecimal() else part) for part in re.split(r"(\d+)", position)])


def read_data_set(folder: str, level: int) -> DataSet:
    """Read the index of one level of a data set.

    Parameters
    ----------
    folder : str
        Folder of the data set.
    level : int
        Level of the pyramid, 0 being the largest.

    Returns
    -------
    DataSet
        The images of the level.

    Raises
    ------
    SourceError
        If the level does not exist, or an index is damaged.
    """
    base = os.path.join(folder, FULL) if os.path.exists(os.path.join(folder, FULL, INDEX)) else folder
    coarser = [] if base == folder else sorted(
        int(found[1])
        for name in os.listdir(folder)
        if (found := re.fullmatch(r"Downsampled_x(\d+)", name)) and os.path.exists(os.path.join(folder, name, INDEX))
    )  # fmt: skip
    check_level(level, 1 + len(coarser), folder)
    entries, whole = read_index(base)
    directory, first = base, entries[0]
    summary = read_summary(base, entries[0])
    overlap = _overlap(summary)
    if not all({*_TILES} <= set(entry.axes) for entry in entries):
        overlap = None
    rows, columns = ((0, 0), (0, 0)) if overlap is None else (_span(entries, axis) for axis in _TILES)
    factor = 1
    if level:
        factor = coarser[level - 1]
        directory = os.path.join(folder, f"Downsampled_x{factor}")
        entries, whole = read_index(directory)
    series = tuple(_series(entries, tiled=overlap is not None))
    return DataSet(directory, series, summary, overlap, factor, rows, columns, base, first, 1 + len(coarser), whole)


def _overlap(summary: dict[str, Any]) -> tuple[int, int] | None:
    found = [summary.get(f"GridPixelOverlap{axis}") for axis in "YX"]
    return None if not all(isinstance(n, int) and n >= 0 for n in found) else (found[0], found[1])  # type: ignore[return-value]


def _span(entries: list[Entry], axis: str) -> tuple[int, int]:
    positions = [int(entry.axes[axis]) for entry in entries]
    return min(positions), max(positions)


def _series(entries: list[Entry], *, tiled: bool) -> list[Series]:
    """Split a data set into images, by image size and by all axes except time, channel, Z and tiles."""
    own = {*_LETTERS, *(_TILES if tiled else ())}
    others = sorted({axis for entry in entries for axis in entry.axes} - own, key=lambda a: (a != "position", a))
    groups: dict[tuple[tuple[Key | None, ...], str], list[Entry]] = {}
    for entry in entries:
        positions = tuple(entry.axes.get(axis) for axis in others)
        size = f"{entry.width} × {entry.height} pixels of type {entry.pixel_type}"
        groups.setdefault((positions, size), []).append(entry)
    several = [len({positions[n] for positions, _ in groups}) > 1 for n in range(len(others))]
    sizes = {size for _, size in groups}
    found = []
    for positions, size in sorted(groups, key=lambda key: ([(p is None, _in_order(p or 0)) for p in key[0]], key[1])):
        words = [_word(axis, position) for axis, position, many in zip(others, positions, several, strict=True) if many]
        found.append(Series(", ".join([*words, size] if len(sizes) > 1 else words), tuple(groups[positions, size])))
    return found


def _word(axis: str, position: Key | None) -> str:
    if position is None:
        return f"no {axis}"
    return position if axis == "position" and isinstance(position, str) else f"{axis} {position}"


class NdtiffArray:
    """One series of a data set. It is pickled by location; each read opens the files.

    Parameters
    ----------
    folder : str
        Folder of the data set.
    number : int
        Number of the series.
    level : int
        Level of the pyramid.
    data_set : DataSet
        The index of that level.
    """

    def __init__(self, folder: str, number: int, level: int, data_set: DataSet) -> None:
        self.path, self.number, self.level = folder, number, level
        self._lock = threading.Lock()
        self._attach(data_set)

    def _attach(self, data_set: DataSet) -> None:
        series = data_set.series[self.number]
        first = series.entries[0]
        self._data_set = data_set
        self.positions = {axis: series.positions(axis) for axis in _LETTERS}
        self.lengths = {letter: len(self.positions[axis]) for axis, letter in _LETTERS.items()}
        extent = (first.height, first.width)
        self._tile = (first.height, first.width)
        self._step, self._edge, self._corner = extent, (0, 0), (0, 0)
        if data_set.overlap is not None:
            edges = data_set.overlap if data_set.factor == 1 else (0, 0)  # coarser levels are stored without overlap
            (top, bottom), (left, right) = data_set.rows, data_set.columns
            self._step = (first.height - edges[0], first.width - edges[1])
            self._edge = (edges[0] // 2, edges[1] // 2)
            self._corner = (top * self._step[0] // data_set.factor, left * self._step[1] // data_set.factor)
            ends = (-(bottom + 1) * self._step[0] // data_set.factor, -(right + 1) * self._step[1] // data_set.factor)
            extent = (-ends[0] - self._corner[0] + edges[0], -ends[1] - self._corner[1] + edges[1])
        self.lengths |= {"Y": extent[0], "X": extent[1], "S": first.samples}
        self.axes = "".join(letter for letter in "TCZYXS" if self.lengths[letter] > 1 or letter in "YX")
        self.shape = tuple(self.lengths[letter] for letter in self.axes)
        self.dtype = np.dtype(first.dtype)
        tile = {"Y": self._tile[0], "X": self._tile[1], "S": first.samples}
        self.chunks = tuple(min(tile.get(axis, 1), self.lengths[axis]) for axis in self.axes)
        numbers = [{position: n for n, position in enumerate(self.positions[axis])} for axis in _LETTERS]
        self._planes: dict[tuple[int, ...], list[Entry]] = {}
        for entry in sorted(series.entries, key=lambda entry: [_in_order(entry.axes.get(axis, 0)) for axis in _TILES]):
            # An image without one of the axes, such as a channel without Z in a stack, is at the first position.
            index = tuple(n.get(entry.axes.get(axis, -1), 0) for n, axis in zip(numbers, _LETTERS, strict=True))
            self._planes.setdefault(index, []).append(entry)

    def origin_before(self, axis: str) -> float:
        """Return the distance from the first pixel to the centre of the first image, in pixels of level 0."""
        data_set, n = self._data_set, "YX".index(axis)
        first, length = data_set.first, (data_set.first.height, data_set.first.width)[n]
        middle, factor = (length - 1) / 2, data_set.factor
        if data_set.overlap is None:
            return middle - (factor - 1) / 2
        step, low = length - data_set.overlap[n], (data_set.rows, data_set.columns)[n][0]
        middle += (int(first.axes[_TILES[n]]) - low) * step
        if factor == 1:
            return middle
        edge = data_set.overlap[n] // 2
        return middle - (self._corner[n] * factor - low * step + edge + (factor - 1) / 2)

    @property
    def planes_missing(self) -> int:
        """Number of planes without an image."""
        return self.lengths["T"] * self.lengths["C"] * self.lengths["Z"] - len(self._planes)

    @property
    def tiles_missing(self) -> bool:
        """Whether a plane lacks tiles."""
        if self._data_set.overlap is None or self._data_set.factor > 1:
            return False
        (top, bottom), (left, right) = self._data_set.rows, self._data_set.columns
        return any(len(tiles) < (bottom - top + 1) * (right - left + 1) for tiles in self._planes.values())

    def entry(self, time: int = 0, channel: int = 0, z: int = 0) -> Entry | None:
        """Return the first image of a plane; None if there is none."""
        found = self._planes.get((time, channel, z))
        return found[0] if found else None

    def __getstate__(self) -> dict[str, Any]:
        return {name: self.__dict__[name] for name in ("path", "number", "level", "shape", "dtype")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({**state, "_lock": threading.Lock()})

    def _opened(self) -> DataSet:
        """Return the index; a process that unpickled the array reads it again."""
        with self._lock:
            if "_data_set" not in self.__dict__:
                shape, dtype = self.shape, self.dtype
                data_set = read_data_set(self.path, self.level)
                if self.number < len(data_set.series):
                    self._attach(data_set)
                if (self.shape, self.dtype) != (shape, dtype) or "_data_set" not in self.__dict__:
                    raise SourceError(f"{self.path} has changed since it was opened; open it again.")
            return self._data_set

    def __getitem__(self, region: Region) -> NDArray[Any]:
        data_set = self._opened()
        asked = dict(zip(self.axes, region, strict=True))
        leading = [asked.get(letter, slice(0, 1)) for letter in "TCZ"]
        y, x, s = asked["Y"], asked["X"], asked.get("S", slice(0, self.lengths["S"]))
        tail = (y.stop - y.start, x.stop - x.start, self.lengths["S"])
        out = np.zeros([*(part.stop - part.start for part in leading), *tail], self.dtype)
        for index in itertools.product(*(range(part.start, part.stop) for part in leading)):
            target = out[tuple(i - part.start for i, part in zip(index, leading, strict=True))]
            if index not in self._planes:
                where = ", ".join(
                    f"{axis} {self.positions[axis][i]!r}" for i, axis in zip(index, _LETTERS, strict=True)
                    if self.lengths[_LETTERS[axis]] > 1
                )  # fmt: skip
                raise ChunkError(f"{self.path} has no image at {where}: it was not acquired", FILL)
            tiles = self._planes[index]
            for entry in tiles:
                self._paste(data_set, entry, y, x, target, (0, 0))
            for entry in tiles if len(tiles) > 1 and any(self._edge) else ():
                self._paste(data_set, entry, y, x, target, self._edge)
        return out[..., s].reshape([part.stop - part.start for part in region])

    def _paste(
        self,
        data_set: DataSet,
        entry: Entry,
        rows: slice,
        columns: slice,
        out: NDArray[Any],
        edge: tuple[int, int],
    ) -> None:
        """Paste the part of an image that is in a region.

        Tiles are pasted whole, and once more without their edges. So each tile extends to the middle of the overlap
        with its neighbours, or to its own border if it has no neighbour there.
        """
        tiled = data_set.overlap is not None
        positions = [int(entry.axes[axis]) * n for axis, n in zip(_TILES, self._step, strict=True)] if tiled else (0, 0)
        parts, targets = [], []
        for asked, position, corner, n, left_out in zip(
            (rows, columns), positions, self._corner, self._tile, edge, strict=True
        ):
            begin = position - corner
            low, high = max(asked.start, begin + left_out), min(asked.stop, begin + n - left_out)
            if low >= high:
                return
            parts.append(slice(low - begin, high - begin))
            targets.append(slice(low - asked.start, high - asked.start))
        path = os.path.join(data_set.folder, entry.file)
        if not os.path.exists(path):
            raise ChunkError(f"{path} does not exist; copy all files of the data set.")
        shape = (entry.height, entry.width, entry.samples)
        pixels = RawArray(path, np.dtype(entry.dtype), shape, entry.offset, 0)
        out[tuple(targets)] = pixels[(*parts, slice(0, entry.samples))]
