"""Open many TIFF files as one image, by a pattern such as ``img_t*_c*.tif``.

The letter in front of a wildcard, or `axes`, names its axis, and the number that the wildcard matches gives the order.
Nothing is guessed from file names.
"""

from __future__ import annotations

__all__ = ["ENDINGS", "FileSeriesArray", "natural_order", "open", "recognises"]

import glob
import itertools
import os
import re
import threading
from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_restore.errors import AxesError, ChunkError, SourceError
from napari_restore.images.axes import canonical_axes, check_axes, transposition
from napari_restore.images.guards.files import allowing_outside, outside_allowed
from napari_restore.images.image import Channel, Image, LazyArray
from napari_restore.images.lazy_arrays import Region
from napari_restore.images.readers import tiff
from napari_restore.ways_out import WayOut

_WILDCARD = re.compile(r"(?:(?<![A-Za-z])(time|tp|t|channel|ch|c|z))?(\d*)([*?]+)", re.IGNORECASE)
_LETTERS = {"time": "T", "tp": "T", "t": "T", "channel": "C", "ch": "C", "c": "C", "z": "Z"}
_OPEN_FILES = 16


ENDINGS: tuple[str, ...] = ()


def recognises(source: Any) -> bool:
    """Check whether a source is a path with wildcards, and not an existing file."""
    return isinstance(source, str) and ("*" in source or "?" in source) and not os.path.exists(source)


def open(source: str, *, axes: str | None = None, level: int = 0, series: int | str = 0) -> Image:
    """Open the TIFF files that match a pattern as one image.

    Parameters
    ----------
    source : str
        Path with wildcards ``*`` and ``?``. ``t``, ``tp`` or ``time``, ``c``, ``ch`` or ``channel``, and ``z`` in front
        of a wildcard name the axis of the files, and files are ordered by the number that the wildcard matches. If
        `axes` is given, it names the axes, and wildcards may match words, which are in natural order; along C, words
        are the names of the channels.
    axes : str, optional
        Letters of the whole image: those of the wildcards first, then those of a file.
    level, series
        Level and image of each file.

    Returns
    -------
    Image
        The image; pixel size, units and channels are those of the first file.

    Raises
    ------
    AxesError
        If the axis of a wildcard is unknown, or `axes` does not fit.
    SourceError
        If no file matches, or files are missing in between.
    """
    pattern = _meant(os.path.abspath(source))
    letters, found = _matches(pattern, axes)
    columns = [_numbered(pattern, letter, wildcard, found, axes) for wildcard, letter in enumerate(letters)]
    files = []
    for key in itertools.product(*columns):
        if key not in found:
            missing = ", ".join(f"{letter} {part}" for letter, part in zip(letters, key, strict=True))
            raise SourceError(f"{pattern}: the file of {missing} is missing; restore it, or narrow the pattern.")
        files.append(found[key])
    file_axes = None if axes is None else axes[len(letters) :]
    first = tiff.open(files[0], axes=file_axes, level=level, series=series)
    names = dict(zip(letters, columns, strict=True)).get("C", [])
    channels = tuple(map(Channel, names)) if not all(name.isdecimal() for name in names) else ()
    grid = tuple(map(len, columns))
    return _joined(pattern, axes or letters + first.axes, grid, files, first, channels, level, series)


def _joined(
    pattern: str,
    axes: str,
    grid: tuple[int, ...],
    files: list[str],
    first: Image,
    channels: tuple[Channel, ...],
    level: int,
    series: int | str,
) -> Image:
    data = FileSeriesArray(files, grid, first.data, level, series)
    axes = check_axes(axes, data.shape)
    back = transposition(first.canonical, first.axes)
    chunks = (1,) * len(grid) + tuple(first.chunks[i] for i in back)
    return Image(
        data=data,
        axes=axes,
        name=os.path.basename(pattern),
        pixel_size=first.pixel_size,
        origin=first.origin,
        units=first.units,
        channels=first.channels if "C" in first.axes else channels,
        notes=first.notes,
        chunks=tuple(chunks[i] for i in transposition(axes, canonical_axes(axes))),
        location=pattern,
    )


def _matches(pattern: str, axes: str | None) -> tuple[str, dict[tuple[str, ...], str]]:
    """Return the letters of the wildcards, and the files by the texts that their wildcards match."""
    wildcards = list(_WILDCARD.finditer(pattern))
    letters = [_LETTERS.get((match[1] or "").lower()) for match in wildcards]
    files = sorted(glob.glob(_for_glob(pattern)), key=natural_order)
    if not files:
        raise SourceError(f"{pattern}: no file matches; check the folder and the spelling.")
    if axes:
        letters = list(axes[: len(wildcards)].upper())
    if None in letters:
        raise AxesError(
            f"{pattern}: a wildcard does not name its axis; write the letter in front of it, as in 'img_t*_c*.tif'",
            WayOut(
                "or pass axes= for the whole image, with the letters of the wildcards first, such as 'TCYX'.",
                "or give --axes for the whole image, with the letters of the wildcards first, such as TCYX.",
                "or rename the files.",
            ),
        )
    parts = re.compile(_regex(pattern, wildcards))
    found: dict[tuple[str, ...], str] = {}
    for file in files:
        match = parts.fullmatch(file)
        key = match.groups() if match else ()
        if match is None or key in found:
            raise SourceError(f"{file} matches {pattern}, but has no number of its own there; narrow the pattern.")
        found[key] = file
    return "".join(letter or "" for letter in letters), found


def _meant(pattern: str) -> str:
    """Return a pattern with plain brackets if brackets were escaped and it has no matches otherwise."""
    unescaped = pattern.replace("[[]", "[").replace("[]]", "]")
    return unescaped if unescaped != pattern and not glob.glob(_for_glob(pattern)) else pattern


def _for_glob(pattern: str) -> str:
    """Return a pattern for glob with escaped brackets, which names of folders may contain."""
    return pattern.replace("[", "[[]")


def _regex(pattern: str, wildcards: list[re.Match[str]]) -> str:
    """Return the pattern as a regular expression with one group per wildcard."""
    parts, end = [], 0
    for match in wildcards:
        parts.append(re.escape(pattern[end : match.start(2)]) + rf"({match[2]}[^/\\]*?)")
        end = match.end()
    return "".join(parts) + re.escape(pattern[end:])


def _numbered(
    pattern: str, letter: str, wildcard: int, found: dict[tuple[str, ...], str], axes: str | None
) -> list[str]:
    """Return the sorted different texts that a wildcard matches: numbers, or words if `axes` names its axis."""
    values = sorted({key[wildcard] for key in found}, key=natural_order)
    if all(value.isdecimal() for value in values):
        values = sorted(values, key=int)
        _check_steps(pattern, letter, [int(value) for value in values])
    elif axes is None:
        odd = next(file for key, file in found.items() if not key[wildcard].isdecimal())
        raise SourceError(
            f"{odd} matches {pattern}, but has no number along {letter} there; narrow the pattern",
            WayOut(
                "or pass axes= to take the files in the order of their names.",
                "or give --axes to take the files in the order of their names.",
                "or rename the files.",
            ),
        )
    return values


def natural_order(path: str) -> list[tuple[int, str]]:
    """Return a sort key that puts img_2 before img_10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path)]


def _check_steps(pattern: str, letter: str, numbers: list[int]) -> None:
    """Raise SourceError if a time or a depth is missing; channels may be numbered by wavelength."""
    steps = set(np.diff(numbers).tolist())
    if letter != "C" and len(steps) > 1:
        gap = next(a for a, b in itertools.pairwise(numbers) if b - a > min(steps))
        raise SourceError(
            f"{pattern}: files are missing along {letter} after number {gap}; restore them, or narrow the pattern."
        )


class FileSeriesArray:
    """Files of one common shape, stacked along new leading axes; each file is opened when it is read.

    Parameters
    ----------
    files : list of str
        Paths, in C order of `grid`.
    grid : tuple of int
        Lengths of the axes of the files.
    first : LazyArray
        The first file, opened.
    level : int
        Level of each file.
    series : int or str
        Image of each file.
    """

    def __init__(
        self, files: list[str], grid: tuple[int, ...], first: LazyArray, level: int, series: int | str
    ) -> None:
        self.files = files
        self.grid = grid
        self.level = level
        self.series = series
        self.outside = outside_allowed()
        self.shape = (*grid, *first.shape)
        self.dtype = np.dtype(first.dtype)
        self._reset()

    def __getitem__(self, region: Region) -> NDArray[Any]:
        out = np.empty([s.stop - s.start for s in region], dtype=self.dtype)
        lead = len(self.grid)
        for index in itertools.product(*(range(s.start, s.stop) for s in region[:lead])):
            target = tuple(i - s.start for i, s in zip(index, region[:lead], strict=True))
            out[target] = self._file(int(np.ravel_multi_index(index, self.grid)))[region[lead:]]
        return out

    def _file(self, number: int) -> LazyArray:
        """Return an opened file; the most recently used files stay open."""
        with self._lock:
            if number in self._opened:
                self._opened.move_to_end(number)
                return self._opened[number]
        path = self.files[number]
        try:
            with allowing_outside(self.outside):
                data = tiff.open_array(path, level=self.level, series=self.series)
        except SourceError as error:
            raise ChunkError.around(f"{path}: file {number} of the series cannot be opened", error) from error
        if (*self.grid, *data.shape) != self.shape or data.dtype != self.dtype:
            raise ChunkError(
                f"{path}: shape {data.shape} and type {data.dtype} are not those of the first file, {self.files[0]}."
            )
        with self._lock:
            self._opened[number] = data
            while len(self._opened) > _OPEN_FILES:
                self._opened.popitem(last=False)
        return data

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._opened: OrderedDict[int, LazyArray] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if not key.startswith("_")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()
