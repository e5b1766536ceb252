"""List the images in a CZI file and read one as an array: tiles are pasted at their positions, later ones on top.

An image has the axes T, C, Z, Y and X. Each scene is a separate image, and so is each index along other
dimensions (views, phases, rotations, illuminations, blocks), each pixel type, and each channel of colour images.
"""

from __future__ import annotations

__all__ = ["CziArray", "Series", "list_series", "pyramid_levels"]

import itertools
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_restore.errors import ChunkError, SourceError
from napari_restore.images.lazy_arrays import Region
from napari_restore.images.readers.microscopes.czi_container import PIXEL_TYPES, Directory, PixelType, read_container
from napari_restore.images.readers.microscopes.czi_metadata import CziMetadata
from napari_restore.images.readers.microscopes.czi_pixels import COMPRESSIONS, SUPPORTED, read_pixels
from napari_restore.images.readers.reader import check_level
from napari_restore.ways_out import FILL

_OTHERS = {"V": "view", "H": "phase", "R": "rotation", "I": "illumination", "B": "block"}
_BETWEEN = 1.5
"""Sub-blocks whose pixels are this many times larger than those of the image belong to coarser levels."""

_CELLS = 4_000_000
"""With more cells between the edges of tiles, gaps are found from areas only."""


@dataclass(frozen=True)
class Series:
    """One image of a file.

    Attributes
    ----------
    name : str
        Name from its scene and other distinguishing properties; empty if there are none.
    scene : int
        Number of the scene.
    rows : numpy.ndarray
        Rows of the directory: the sub-blocks of all levels.
    pixel_type : int
        Code of the pixel type.
    """

    name: str
    scene: int
    rows: NDArray[Any]
    pixel_type: int


def list_series(directory: Directory, metadata: CziMetadata) -> list[Series]:
    """Return the images of a file, in the order of their scenes.

    Parameters
    ----------
    directory : Directory
        The sub-blocks of the file.
    metadata : CziMetadata
        Names of scenes and channels.

    Returns
    -------
    list of Series
        At least one.
    """
    zero = np.zeros(len(directory), np.int64)
    samples = np.array([_samples(code) for code in directory.pixel_type.tolist()])
    others = sorted(set(directory.start) - set("STCZYXM"))
    colored = np.where(samples > 1, directory.start.get("C", zero), -1)
    columns = [directory.start.get("S", zero), *(directory.start[letter] for letter in others)]
    keys = np.stack([*columns, directory.pixel_type, colored], axis=1)
    found, inverse = _groups(keys)
    base = _enlargement(directory) < _BETWEEN
    many = [len(set(column)) > 1 for column in found.T]
    listed = []
    for number, key in enumerate(found.tolist()):
        rows = np.flatnonzero(inverse == number)
        if base[rows].any():
            listed.append(Series(_name(key, many, others, metadata, found), key[0], rows, key[-2]))
    return listed


def _groups(keys: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the sorted unique rows and the index of each row among them; faster than `numpy.unique`."""
    number = np.zeros(len(keys), np.int64)
    for column in keys.T:
        if column.min() != column.max():
            values, ranks = np.unique(column, return_inverse=True)
            number = np.unique(number * len(values) + ranks, return_inverse=True)[1]
    first = np.unique(number, return_index=True)[1]
    return keys[first], number


def _samples(code: int) -> int:
    return PIXEL_TYPES[code].samples if code in PIXEL_TYPES else 1


def _name(key: list[int], many: list[bool], others: list[str], metadata: CziMetadata, found: NDArray[Any]) -> str:
    """Name an image by its distinguishing properties; a single image has the name of its scene."""
    parts = [
        f"{_OTHERS.get(letter, letter)} {value}"
        for letter, value, several in zip(others, key[1:], many[1:], strict=False)
        if several
    ]
    if many[-2]:
        parts.append(PIXEL_TYPES[key[-2]].name if key[-2] in PIXEL_TYPES else f"pixel type {key[-2]}")
    if key[-1] >= 0 and len(set(found[found[:, -2] == key[-2], -1])) > 1:
        channel = metadata.channels[key[-1]] if key[-1] < len(metadata.channels) else None
        parts.append(channel.name if channel is not None and channel.name else f"channel {key[-1]}")
    scene = metadata.scenes.get(key[0])
    name = scene.name if scene is not None and scene.name else f"scene {key[0]}" if many[0] else None
    return ", ".join([name, *parts] if name and (many[0] or not parts) else parts)


def _enlargement(directory: Directory) -> NDArray[np.float64]:
    """Return the size of the stored pixels of each sub-block, in pixels of the image."""
    ratios = [directory.size[axis] / directory.stored[axis] for axis in "YX"]
    factors: NDArray[np.float64] = np.maximum(*ratios)
    return factors


def pyramid_levels(directory: Directory, rows: NDArray[Any]) -> list[tuple[float, NDArray[Any]]]:
    """Return the levels of an image, each with its pixel size in pixels of level 0, and its sub-blocks.

    The pixel sizes are powers of the smallest one, rounded to an integer: 2 or 3 in files of ZEN.
    """
    factors = _enlargement(directory[rows])
    coarser = factors[factors >= _BETWEEN]
    base = max(float(round(coarser.min())), 2.0) if len(coarser) else 2.0
    numbers = np.where(factors < _BETWEEN, 0, np.maximum(np.rint(np.log(factors) / np.log(base)), 1)).astype(int)
    return [(base**number, rows[numbers == number]) for number in sorted(set(numbers.tolist()))]


@dataclass(frozen=True)
class _Tiles:
    """The sub-blocks of one level, sorted by plane and then by the number of the tile."""

    plane: NDArray[Any]
    y: NDArray[Any]
    x: NDArray[Any]
    height: NDArray[Any]
    width: NDArray[Any]
    position: NDArray[Any]
    compression: NDArray[Any]

    def of_plane(self, number: int, rows: slice, columns: slice) -> NDArray[Any]:
        """Return the sub-blocks of a plane that touch a region, in the order of pasting."""
        first, last = np.searchsorted(self.plane, [number, number + 1])
        span = slice(int(first), int(last))
        y, x = self.y[span], self.x[span]
        touches = (y < rows.stop) & (y + self.height[span] > rows.start)
        touches &= (x < columns.stop) & (x + self.width[span] > columns.start)
        found: NDArray[Any] = np.flatnonzero(touches) + first
        return found


class CziArray:
    """One image and level of a CZI file. It is pickled by location; each read opens the file.

    Parameters
    ----------
    path : str
        Absolute path of the file.
    series : int
        Number of the image.
    level : int
        Level of the pyramid.
    directory : Directory
        The sub-blocks of the file.
    chosen : Series
        The image.

    Raises
    ------
    SourceError
        If the level does not exist, or its pixel type or compression is not supported.
    """

    def __init__(self, path: str, series: int, level: int, directory: Directory, chosen: Series) -> None:
        self.path, self.series, self.level = path, series, level
        levels = pyramid_levels(directory, chosen.rows)
        check_level(level, len(levels), path)
        self.factor = levels[level][0]
        self.pixel_type = _supported(directory[levels[level][1]], chosen.pixel_type, path)
        base, tiles = directory[levels[0][1]], directory[levels[level][1]]
        self.first = {letter: int(base.start[letter].min()) if letter in base.start else 0 for letter in "TZYX"}
        self.channels = sorted(set(base.start["C"].tolist())) if "C" in base.start else [0]
        ends = {axis: int((base.start[axis] + base.size[axis]).max()) for axis in "YX"}
        self.extent = {axis: ends[axis] - self.first[axis] for axis in "YX"}  # in pixels of level 0
        lengths = {
            letter: int(base.start[letter].max()) - self.first[letter] + 1 if letter in base.start else 1
            for letter in "TZ"
        }
        lengths["C"] = len(self.channels)
        lengths |= {axis: -int(-length // self.factor) for axis, length in self.extent.items()}
        self.lengths = lengths
        self._planes = tuple(lengths[letter] for letter in "TCZ")
        self._tiles: _Tiles | None = self._placed(tiles)
        self.planes_missing = int(np.prod(self._planes)) - len(set(self._tiles.plane.tolist()))
        self.gaps = self._has_gaps(self._tiles)
        samples = self.pixel_type.samples
        lengths["S"] = samples
        self.axes = "".join(letter for letter in "TCZYXS" if lengths[letter] > 1 or letter in "YX")
        self.shape = tuple(lengths[letter] for letter in self.axes)
        self.dtype = np.dtype(self.pixel_type.dtype)
        tile = {"Y": min(int(self._tiles.height.max()), lengths["Y"]), "S": samples}
        tile["X"] = min(int(self._tiles.width.max()), lengths["X"])
        self.chunks = tuple(tile.get(letter, 1) for letter in self.axes)
        self._lock = threading.Lock()

    def _placed(self, tiles: Directory) -> _Tiles:
        zero = np.zeros(len(tiles), np.int64)
        t, c, z = (tiles.start.get(letter, zero) for letter in "TCZ")
        inside = np.isin(c, self.channels)
        index = (t - self.first["T"], np.searchsorted(self.channels, c), z - self.first["Z"])
        for number, length in zip(index, self._planes, strict=True):
            inside &= (number >= 0) & (number < length)
        plane = np.ravel_multi_index([np.where(inside, number, 0) for number in index], self._planes)
        tile = tiles.start.get("M", zero)
        kept = np.lexsort((np.arange(len(tiles)), tile, plane))
        kept = kept[inside[kept]]
        corner = {
            axis: np.rint((tiles.start[axis] - self.first[axis]) / self.factor).astype(np.int64)[kept] for axis in "YX"
        }
        height, width = (tiles.stored[axis][kept] for axis in "YX")
        return _Tiles(
            plane[kept], corner["Y"], corner["X"], height, width, tiles.position[kept], tiles.compression[kept]
        )

    def _has_gaps(self, tiles: _Tiles) -> bool:
        """Check whether the tiles of the first plane leave gaps."""
        first = tiles.plane == tiles.plane[0]
        top, left = tiles.y[first], tiles.x[first]
        bottom, right = top + tiles.height[first], left + tiles.width[first]
        cut_y = np.unique(np.concatenate([top, bottom, [0, self.lengths["Y"]]]).clip(0, self.lengths["Y"]))
        cut_x = np.unique(np.concatenate([left, right, [0, self.lengths["X"]]]).clip(0, self.lengths["X"]))
        if len(cut_y) * len(cut_x) > _CELLS:
            area = int(((bottom - top) * (right - left)).sum())
            return area < self.lengths["Y"] * self.lengths["X"]
        # Each tile adds 1 to all cells after its upper left corner, and subtracts it again after its other edges.
        change = np.zeros((len(cut_y), len(cut_x)), np.int32)
        (y0, y1), (x0, x1) = (np.searchsorted(cut_y, [top, bottom]), np.searchsorted(cut_x, [left, right]))
        for y, x, sign in ((y0, x0, 1), (y1, x0, -1), (y0, x1, -1), (y1, x1, 1)):
            inside = (y < len(cut_y)) & (x < len(cut_x))
            np.add.at(change, (y[inside], x[inside]), sign)
        return bool((change.cumsum(0).cumsum(1)[:-1, :-1] <= 0).any())

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "series": self.series, "level": self.level, "was": (self.shape, self.dtype)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({**state, "_tiles": None, "_lock": threading.Lock()})
        self.shape, self.dtype = state["was"]

    def _opened(self) -> _Tiles:
        """Return the tiles; a process that unpickled the array reads the directory again."""
        with self._lock:
            if self._tiles is None:
                directory = read_container(self.path).directory
                listed = list_series(directory, CziMetadata())
                if self.series >= len(listed):
                    raise SourceError(f"{self.path} has changed since it was opened; open it again.")
                again = CziArray(self.path, self.series, self.level, directory, listed[self.series])
                if (again.shape, again.dtype) != (self.shape, self.dtype):
                    raise SourceError(f"{self.path} has changed since it was opened; open it again.")
                self.__dict__.update({**again.__dict__, "_lock": self._lock})
            assert self._tiles is not None
            return self._tiles

    def __getitem__(self, region: Region) -> NDArray[Any]:
        tiles = self._opened()
        asked = dict(zip(self.axes, region, strict=True))
        rows, columns = asked["Y"], asked["X"]
        leading = [asked.get(letter, slice(0, 1)) for letter in "TCZ"]
        samples = self.pixel_type.samples
        plane = (rows.stop - rows.start, columns.stop - columns.start, samples)
        out = np.zeros([*(s.stop - s.start for s in leading), *plane], self.dtype)
        with open(self.path, "rb", buffering=0) as file:
            for index in itertools.product(*(range(s.start, s.stop) for s in leading)):
                target = out[tuple(i - s.start for i, s in zip(index, leading, strict=True))]
                self._paint(file, tiles, index, rows, columns, target)
        chosen = asked.get("S", slice(0, samples))
        return out[..., chosen].reshape([s.stop - s.start for s in region])

    def _paint(
        self, file: Any, tiles: _Tiles, index: tuple[int, ...], rows: slice, columns: slice, out: NDArray[Any]
    ) -> None:
        """Paste the tiles in a region of a plane."""
        plane = int(np.ravel_multi_index(index, self._planes))
        for number in tiles.of_plane(plane, rows, columns).tolist():
            y, x, height, width = (int(c[number]) for c in (tiles.y, tiles.x, tiles.height, tiles.width))
            top, bottom = max(rows.start, y), min(rows.stop, y + height)
            left, right = max(columns.start, x), min(columns.stop, x + width)
            pixels = read_pixels(
                file,
                self.path,
                int(tiles.position[number]),
                int(tiles.compression[number]),
                self.pixel_type,
                (height, width),
                (slice(top - y, bottom - y), slice(left - x, right - x)),
            )
            out[top - rows.start : bottom - rows.start, left - columns.start : right - columns.start] = pixels.reshape(
                bottom - top, right - left, -1
            )
        if not np.searchsorted(tiles.plane, plane + 1) - np.searchsorted(tiles.plane, plane):
            where = ", ".join(f"{letter} {i}" for letter, i in zip("TCZ", index, strict=True) if letter in self.axes)
            raise ChunkError(
                f"{self.path}: the plane {where or '0'} is not in the file; its acquisition was cut off", FILL
            )


def _supported(directory: Directory, code: int, path: str) -> PixelType:
    """Return the pixel type; raise SourceError if pixel type or compression is not supported."""
    if code not in PIXEL_TYPES:
        names = {8: "colour of floats", 9: "colour with alpha", 10: "complex", 11: "complex colour", 12: "of 32 bits"}
        raise SourceError(
            f"{path} has pixels of type {code} ({names.get(code, 'unknown')}), which are not supported; "
            "export the image as OME-TIFF in ZEN."
        )
    lacking = sorted(set(directory.compression.tolist()) - set(SUPPORTED))
    if lacking:
        name = COMPRESSIONS.get(lacking[0], "raw data of a camera or system")
        raise SourceError(
            f"{path} is compressed with {name} (code {lacking[0]}), which is not supported; "
            "export the image uncompressed, or with JPEG XR or Zstandard, in ZEN."
        )
    return PIXEL_TYPES[code]
