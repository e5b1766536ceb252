"""Open the directory of a TIFF, list its images, and check what is missing or damaged before pixels are read."""

from __future__ import annotations

__all__ = ["OpenedSeries", "frame_axes", "open_series", "page_complaint", "page_shape"]

import contextlib
import itertools
import logging
import math
import re
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_restore.errors import SourceError
from napari_restore.images.axes import CANONICAL
from napari_restore.images.readers.reader import check_level, series_number
from napari_restore.images.readers.tiff.description import open_described
from napari_restore.images.readers.tiff.scanimage import name_axes

if TYPE_CHECKING:
    import tifffile

# tifffile logs damage and continues with fewer pages, or with zeros for missing pages.
_INCOMPLETE = re.compile(
    r"MMStack (series )?is missing|MMStack file name is invalid|OME series (is missing|failed to read)"
)
_BROKEN = re.compile(
    r"corrupted (tag list|file)|invalid (page offset|offset to)|circular reference|zeroed|failed to read \d+ files"
    r"|missing (data|ByteCounts|files)|is missing \d+|incompletely written"
)

_GDAL_NODATA = 42113
"""Tag of GDAL for the value of missing pixels."""
_HEADER = 8
"""Length of the header of a TIFF in bytes, which contains no pixels."""
_FEW_PAGES = 512  # up to this number, every page is checked against the size of its file on opening

_MEANINGS = {
    "R": "position", "M": "tile", "A": "angle", "P": "phase", "H": "lifetime", "L": "exposure", "E": "wavelength",
    "V": "event", "J": "row", "K": "column",
}  # fmt: skip
"""Letters of tifffile for axes that an `Image` does not have: each index along them is a separate image."""

_WAY_OUT = "Copy the file again, or read with tifffile what is left and pass the array."


@dataclass(frozen=True)
class OpenedSeries:
    """One image of an open file.

    Attributes
    ----------
    tiff : tifffile.TiffFile
        The file.
    whole : tifffile.TiffPageSeries
        tifffile's series, at its largest level.
    pages : tifffile.TiffPageSeries
        The requested level.
    level : int
        Number of the level.
    index : int
        Number of the series in the file.
    number : int
        Number of the image: each position of a series is an image.
    names : tuple of str
        Names of all images of the file.
    window : tuple of int or slice
        Part of `pages` that is the image, one entry per axis: an index, or the range that exists.
    notes : tuple of str
        Notes on missing parts.
    """

    tiff: tifffile.TiffFile
    whole: tifffile.TiffPageSeries
    pages: tifffile.TiffPageSeries
    level: int
    index: int
    number: int
    names: tuple[str, ...]
    window: tuple[int | slice, ...]
    notes: tuple[str, ...]

    @property
    def axes(self) -> str:
        """Tifffile's letters of the axes of the image."""
        return "".join(a for a, part in zip(self.pages.axes, self.window, strict=True) if isinstance(part, slice))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the image."""
        return tuple(part.stop for part in self.window if isinstance(part, slice))

    @property
    def nodata(self) -> float | None:
        """Value of strips and tiles that are not stored, from the nodata tag of GDAL; None without that tag."""
        keyframe = self.pages.keyframe
        return keyframe.nodata if _GDAL_NODATA in keyframe.tags else None

    @property
    def is_part(self) -> bool:
        """Whether the series contains more than this image."""
        return self.shape != tuple(self.pages.shape)


def open_series(path: str, series: int | str, level: int, *, split: bool = True) -> OpenedSeries:
    """Open a file, and check that its pages exist.

    Parameters
    ----------
    path : str
        Path of the file.
    series : int or str
        Number or name of the image.
    level : int
        Level of a pyramid, 0 being the largest.
    split : bool
        Whether each position of a series is an image.

    Returns
    -------
    OpenedSeries
        The image.

    Raises
    ------
    SourceError
        If the file is truncated or damaged, or the image or level does not exist.
    """
    tiff = None
    try:
        with _complaints() as told:
            tiff, notes = open_described(path)
            name_axes(tiff)
            images = _images(tiff, split)
            names = tuple(name for _, _, name in images)
            number = series_number(series, names, path)
            index, fixed, _ = images[number]
            whole = tiff.series[index]
            check_level(level, len(whole.levels), path)
            pages = whole.levels[level]
        broken = [message for message in told if not _INCOMPLETE.search(message)]
        if broken:
            raise SourceError(f"{path} is truncated, damaged or lacks files: {broken[0]}. {_WAY_OUT}")
        if not pages.shape or not pages.size:
            raise SourceError(f"{path} holds no pixels: its shape is {pages.shape}.")
        incomplete = bool(told) or whole.kind in ("ndtiff", "ome")
        _check_codec(path, pages.keyframe)
        window, missing = _what_is_there(pages, fixed) if incomplete else (_all(pages, fixed), ())
        gaps = _check_extent(path, pages, missing=incomplete)
    except SourceError:
        _close(tiff)
        raise
    except (ValueError, OSError, struct.error, LookupError, TypeError, AttributeError, RuntimeError) as error:
        _close(tiff)
        raise SourceError(f"{path} cannot be opened as TIFF: {error}. {_WAY_OUT}") from error
    return OpenedSeries(
        tiff, whole, pages, level, index, number, names, window, (*notes, *missing, *gaps, *_planned(told))
    )


def _check_codec(path: str, page: tifffile.TiffPage | tifffile.TiffFrame) -> None:
    """Raise SourceError if no codec for the compression of a page is installed."""
    import tifffile

    try:
        tifffile.TIFF.DECOMPRESSORS[page.compression]
    except (KeyError, ImportError) as error:
        name = getattr(page.compression, "name", "")
        raise SourceError(
            f"{path} is compressed by {f'{name}, ' if name else ''}TIFF compression {int(page.compression)}, which is "
            "not supported; store it again with another compression, such as Deflate or LZW."
        ) from error


def _images(tiff: tifffile.TiffFile, split: bool) -> list[tuple[int, dict[str, int], str]]:
    """Return the number of the series, the index along other axes, and the name of each image.

    If each file of a data set contains one position, all files list all positions; those in this file come first.
    """
    found = []
    for index, series in enumerate(tiff.series):
        axes = [axis for axis in series.axes if axis in _MEANINGS and axis not in CANONICAL] if split else []
        lengths = [range(series.shape[series.axes.index(axis)]) for axis in axes]
        for at in itertools.product(*lengths):
            fixed = dict(zip(axes, at, strict=True))
            words = (f"{_MEANINGS[axis]} {number}" for axis, number in fixed.items())
            found.append((index, fixed, " ".join([series.name, *words]).strip()))
    if not any(fixed and tiff.series[index].is_multifile for index, fixed, _ in found):
        return found
    return sorted(found, key=lambda one: not _is_inside(tiff, tiff.series[one[0]], one[1]))


def _is_inside(tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries, fixed: dict[str, int]) -> bool:
    """Check whether a file contains a plane of an image."""
    lead = frame_axes(series)
    numbers = np.arange(len(series)).reshape(series.shape[:lead])[_all(series, fixed)[:lead]]
    return any(page is not None and page.parent is tiff for page in (series[int(n)] for n in numbers.flat))


def _all(pages: tifffile.TiffPageSeries, fixed: dict[str, int]) -> tuple[int | slice, ...]:
    return tuple(fixed.get(axis, slice(0, length)) for axis, length in zip(pages.axes, pages.shape, strict=True))


def _what_is_there(
    pages: tifffile.TiffPageSeries, fixed: dict[str, int]
) -> tuple[tuple[int | slice, ...], tuple[str, ...]]:
    """Return the window of an image without missing time points and slices at its end, and notes.

    Planes that are missing before the end are kept: reading them raises an error, and a run can fill them.
    """
    window, lead, notes = list(_all(pages, fixed)), frame_axes(pages), []
    for position, axis in enumerate(pages.axes[:lead]):
        if axis in "TZ":
            there = _present(pages)[tuple(window[:lead])]
            dimension = sum(isinstance(part, slice) for part in window[:position])
            others = tuple(n for n in range(there.ndim) if n != dimension)
            count, planned = int(np.flatnonzero(there.any(axis=others))[-1]) + 1, pages.shape[position]
            if count < planned:
                window[position] = slice(0, count)
                notes.append(f"The last {planned - count} of {planned} along {axis} are missing; the image is shorter.")
    there = _present(pages)[tuple(window[:lead])]
    if not there.all():
        letters = [a for a, part in zip(pages.axes, window[:lead], strict=False) if isinstance(part, slice)]
        first = ", ".join(f"{a} {n}" for a, n in zip(letters, np.argwhere(~there)[0], strict=True))
        notes.append(
            f"{np.count_nonzero(~there)} of {there.size} planes are missing, the first of them {first}; reading one "
            'is an error, unless what cannot be read is to be filled (the setting "on error" at fill).'
        )
    return tuple(window), tuple(notes)


def _present(pages: tifffile.TiffPageSeries) -> NDArray[np.bool_]:
    """Return a mask of the existing pages, in the shape of the axes of the pages."""
    return np.array([pages[n] is not None for n in range(len(pages))]).reshape(pages.shape[: frame_axes(pages)])


def _planned(told: list[str]) -> Iterator[str]:
    """Yield a note for an acquisition of Micro-Manager that is smaller than planned."""
    for message in told:
        if found := re.search(r"Returning subset (\(.*?\)) of (\(.*?\))", message):
            yield (
                f"Micro-Manager planned {found[2]} positions, time points, channels and slices (in the order of the "
                f"acquisition), and {found[1]} are there; the image is those."
            )


def frame_axes(series: tifffile.TiffPageSeries) -> int:
    """Return the number of leading axes that count pages."""
    size = 1
    for axis in range(len(series.shape) - 1, -1, -1):
        size *= series.shape[axis]
        if size == series.keyframe.size:
            return axis
    return 0


def page_shape(series: tifffile.TiffPageSeries) -> tuple[int, ...]:
    """Return the shape of one page, in the axes of the series."""
    lead = frame_axes(series)
    return (1,) * lead + tuple(series.shape[lead:])


def _close(tiff: tifffile.TiffFile | None) -> None:
    if tiff is not None:
        tiff.close()


@contextlib.contextmanager
def _complaints() -> Iterator[list[str]]:
    """Collect what tifffile logs about broken and missing files in this thread."""
    found: list[str] = []

    class Listener(logging.Handler):
        thread = threading.get_ident()

        def emit(self, record: logging.LogRecord) -> None:
            message = record.getMessage()
            if record.thread == self.thread and (_BROKEN.search(message) or _INCOMPLETE.search(message)):
                found.append(message)

    listener, logger = Listener(logging.WARNING), logging.getLogger("tifffile")
    logger.addHandler(listener)
    try:
        yield found
    finally:
        logger.removeHandler(listener)


def _check_extent(path: str, series: tifffile.TiffPageSeries, *, missing: bool) -> tuple[str, ...]:
    """Raise SourceError if pages extend past the end of their file, or are missing although they must exist.

    Returns
    -------
    tuple of str
        A note if strips or tiles are missing.
    """
    if series.dataoffset is not None:
        end = series.dataoffset + series.nbytes
        available = series.keyframe.parent.filehandle.size
        if end > available:
            raise SourceError(f"{path} is truncated: it has {available} of {end} bytes. {_WAY_OUT}")
        if series.dataoffset < _HEADER:
            raise SourceError(f"{path} is damaged: its pixels are said to lie in its header. {_WAY_OUT}")
        return ()
    count = len(series)
    looked_at = range(count) if count <= _FEW_PAGES else (0, count - 1)
    stored = total = 0
    for number in looked_at:
        page = series[number]
        complaint = None if page is None and missing else page_complaint(page)
        if complaint:
            raise SourceError(f"{path} is truncated or incomplete: page {number} {complaint}. {_WAY_OUT}")
        if page is not None:
            there, expected = _stored_chunks(page)
            stored, total = stored + there, total + expected
    if total and not stored:
        raise SourceError(f"{path} is incomplete: it has no pixels. {_WAY_OUT}")
    return (_gaps(series, total - stored, total),) if stored < total else ()


def _gaps(series: tifffile.TiffPageSeries, missing: int, total: int) -> str:
    """Describe how strips or tiles that are not stored are treated."""
    if _GDAL_NODATA in series.keyframe.tags:
        return f"{missing} of {total} strips or tiles are not stored: they are the file's nodata value."
    return (
        f"{missing} of {total} strips or tiles are not stored; reading one is an error, unless what cannot be read is "
        'to be filled (the setting "on error" at fill).'
    )


def _stored_chunks(page: tifffile.TiffPage | tifffile.TiffFrame) -> tuple[int, int]:
    """Count the strips or tiles of a page that are stored, and all of them."""
    there = sum(bool(offset and count) for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False))
    return there, math.prod(page.chunked)


def page_complaint(page: tifffile.TiffPage | tifffile.TiffFrame | None) -> str | None:
    """Describe what is wrong with the position of a page in its file; None if nothing is."""
    if page is None:
        return "is missing"
    offsets, counts = (np.asarray(values, np.int64) for values in (page.dataoffsets, page.databytecounts))
    length = min(len(offsets), len(counts))
    offsets, counts = offsets[:length], counts[:length]
    stored = (offsets > 0) & (counts > 0)
    if not stored.any():
        return None
    if (offsets[stored] < _HEADER).any():
        return "is said to lie in the header of the file"
    end = int((offsets + counts)[stored].max())
    available = page.parent.filehandle.size
    return None if end <= available else f"ends at byte {end} of a file of {available}"
