"""TIFF in all its kinds: plain, OME, ImageJ, BigTIFF, pyramids, and images that run over several files.

Nothing but the directory of pages is read on opening. Pixels that lie uncompressed in one piece are read straight from
the file, all others strip by strip or tile by tile through tifffile's zarr view.
"""

from __future__ import annotations

__all__ = ["ENDINGS", "TiffArray", "open", "open_array", "recognises"]

import contextlib
import itertools
import logging
import os
import re
import struct
import threading
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_restore.errors import AxesError, ChunkError, SourceError
from napari_restore.images.axes import CANONICAL, canonical_axes, check_axes, transposition
from napari_restore.images.image import Image, LazyArray
from napari_restore.images.lazy_arrays import RawArray, Region, read_chunks
from napari_restore.images.readers.reader import begins_with, check_level, series_number
from napari_restore.images.readers.tiff_metadata import TiffMetadata, imagej_metadata, ome_metadata

if TYPE_CHECKING:
    import tifffile
    import zarr

ENDINGS = (".tif", ".tiff", ".btf", ".tf2", ".tf8", ".lsm", ".stk", ".svs", ".ndpi", ".scn", ".qptiff")

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

# tifffile logs what it finds broken and goes on, with fewer pages or with zeros in the place of the missing ones.
_BROKEN = re.compile(
    r"corrupted (tag list|file)|invalid (page offset|offset to)|circular reference|zeroed|failed to read \d+ files"
    r"|missing (data|ByteCounts|files)|is missing \d+|incompletely written"
)

_FEW_PAGES = 512  # up to here, every page is checked against the size of its file on opening


def recognises(source: Any) -> bool:
    """Tell from its first bytes whether a file is a TIFF or a BigTIFF."""
    return begins_with(source, *_MAGIC)


def open(source: str, *, axes: str | None = None, level: int = 0, series: int | str = 0) -> Image:
    """Open a TIFF file without reading pixels.

    Parameters
    ----------
    source : str
        Path of the file; of any one of them for an OME-TIFF of several files.
    axes : str, optional
        One letter of "TCZYXS" per dimension; they win over those of the file.
    level : int
        Level of a pyramid, 0 being the largest.
    series : int or str
        Number or name of the image in the file.

    Returns
    -------
    Image
        The image, its axes, pixel size, units and channels as far as the file tells.

    Raises
    ------
    AxesError
        If the file does not tell the axes, or `axes` does not fit.
    SourceError
        If the file is truncated or damaged, or has no such series or level.
    """
    path = os.path.abspath(source)
    tiff, chosen, base, number = _open_series(path, series, level)
    try:
        letters = _axes_of(path, chosen, axes)
        described = _metadata_of(tiff, base, number)
        data = _array_of(path, tiff, chosen, number, level)
    except BaseException:
        tiff.close()
        raise
    sizes, origin = _scaled(described.pixel_size, base, chosen)
    chunks = data.chunks if isinstance(data, TiffArray) else _page_shape(chosen)
    canonical = canonical_axes(letters)
    count = chosen.shape[letters.index("C")] if "C" in letters else 0 if "S" in letters else 1
    return Image(
        data=data,
        axes=letters,
        name=os.path.basename(path) if len(tiff.series) == 1 else f"{os.path.basename(path)} {chosen.name}".strip(),
        pixel_size={axis: size for axis, size in sizes.items() if axis in letters},
        origin={axis: start for axis, start in origin.items() if axis in letters},
        units={axis: unit for axis, unit in described.units.items() if axis in letters},
        channels=described.channels if len(described.channels) == count else (),
        chunks=tuple(chunks[i] for i in transposition(letters, canonical)),
        location=path,
        series_count=len(tiff.series),
    )


def open_array(path: str, *, level: int = 0, series: int | str = 0) -> LazyArray:
    """Open the pixels of a TIFF file without asking what the axes mean.

    Parameters
    ----------
    path : str
        Path of the file.
    level, series : int
        As in `open`.

    Returns
    -------
    LazyArray
        The pixels, in the order of the file.

    Raises
    ------
    SourceError
        If the file is truncated or damaged, or has no such series or level.
    """
    path = os.path.abspath(path)
    tiff, chosen, _, number = _open_series(path, series, level)
    return _array_of(path, tiff, chosen, number, level)


def _open_series(
    path: str, series: int | str, level: int
) -> tuple[tifffile.TiffFile, tifffile.TiffPageSeries, tifffile.TiffPageSeries, int]:
    """Open a file; return it, the level asked for, the largest one and the series' number, if nothing is missing."""
    import tifffile

    tiff = None
    try:
        with _complaints() as broken:
            tiff = tifffile.TiffFile(path)
            found = tiff.series
            number = series_number(series, [one.name for one in found], path)
            levels = found[number].levels
            check_level(level, len(levels), path)
        if broken:
            raise SourceError(f"{path} is truncated, damaged or lacks files: {broken[0]}. {_WAY_OUT}")
        _check_extent(path, levels[level])
    except SourceError:
        _close(tiff)
        raise
    except (ValueError, OSError, struct.error, LookupError, TypeError, AttributeError, RuntimeError) as error:
        _close(tiff)
        raise SourceError(f"{path} cannot be opened as TIFF: {error}. {_WAY_OUT}") from error
    return tiff, levels[level], found[number], number


_WAY_OUT = "Copy the file again, or read with tifffile what is left and pass the array."


def _close(tiff: tifffile.TiffFile | None) -> None:
    if tiff is not None:
        tiff.close()


@contextlib.contextmanager
def _complaints() -> Iterator[list[str]]:
    """Collect what tifffile logs about broken files in this thread."""
    found: list[str] = []

    class Listener(logging.Handler):
        thread = threading.get_ident()

        def emit(self, record: logging.LogRecord) -> None:
            message = record.getMessage()
            if record.thread == self.thread and _BROKEN.search(message):
                found.append(message)

    listener, logger = Listener(logging.WARNING), logging.getLogger("tifffile")
    logger.addHandler(listener)
    try:
        yield found
    finally:
        logger.removeHandler(listener)


def _check_extent(path: str, series: tifffile.TiffPageSeries) -> None:
    """Raise SourceError where pages are missing or reach past the end of their file."""
    if not series.shape or not series.size:
        raise SourceError(f"{path} holds no pixels: its shape is {series.shape}.")
    if series.dataoffset is not None:
        end = series.dataoffset + series.nbytes
        available = series.keyframe.parent.filehandle.size
        if end > available:
            raise SourceError(f"{path} is truncated: it has {available} of {end} bytes. {_WAY_OUT}")
        return
    count = len(series)
    for number in range(count) if count <= _FEW_PAGES else (0, count - 1):
        complaint = _page_complaint(series[number])
        if complaint:
            raise SourceError(f"{path} is truncated or incomplete: page {number} {complaint}. {_WAY_OUT}")


def _page_complaint(page: tifffile.TiffPage | tifffile.TiffFrame | None) -> str | None:
    """Return what is wrong with the place of a page in its file, or None."""
    if page is None:
        return "is missing"
    if not len(page.dataoffsets):
        return "has no pixels"
    end = int((np.asarray(page.dataoffsets, np.int64) + np.asarray(page.databytecounts, np.int64)).max())
    available = page.parent.filehandle.size
    return None if end <= available else f"ends at byte {end} of a file of {available}"


def _axes_of(path: str, series: tifffile.TiffPageSeries, axes: str | None) -> str:
    if axes is not None:
        return check_axes(axes, series.shape)
    unknown = sorted(set(series.axes) - set(CANONICAL))
    if unknown or not {"Y", "X"} <= set(series.axes):
        raise AxesError(
            f"{path} does not tell what its axes mean: shape {series.shape} is {series.axes!r} to tifffile; "
            "pass axes= with one letter of TCZYXS per dimension, such as 'ZYX'."
        )
    return check_axes(series.axes, series.shape)


def _metadata_of(tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries, index: int) -> TiffMetadata:
    sizes = dict(zip(series.axes, series.shape, strict=True))
    if tiff.is_ome and tiff.ome_metadata:
        return ome_metadata(tiff.ome_metadata, index, sizes.get("Y", 0), sizes.get("X", 0))
    if tiff.is_imagej and tiff.imagej_metadata:
        return imagej_metadata(tiff.imagej_metadata, series.keyframe.resolution, sizes.get("C"))
    return TiffMetadata()


def _scaled(
    pixel_size: dict[str, float], base: tifffile.TiffPageSeries, chosen: tifffile.TiffPageSeries
) -> tuple[dict[str, float], dict[str, float]]:
    """Return pixel size and origin at a level of a pyramid: its pixels are means over `factor` pixels of the base."""
    if base.shape == chosen.shape:
        return pixel_size, {}
    origin: dict[str, float] = {}
    sizes = dict(pixel_size)
    for axis, whole, part in zip(base.axes, base.shape, chosen.shape, strict=True):
        factor = float(round(whole / part))
        if part not in (whole // factor, -(-whole // factor)):
            factor = whole / part
        if factor != 1:
            size = pixel_size.get(axis, 1.0)
            sizes[axis], origin[axis] = size * factor, (factor - 1) / 2 * size
    return sizes, origin


def _array_of(
    path: str, tiff: tifffile.TiffFile, chosen: tifffile.TiffPageSeries, series: int, level: int
) -> LazyArray:
    """Return how the pixels are read: straight from the file where they lie in one piece, or chunk by chunk."""
    if chosen.dataoffset is None or chosen.is_multifile or chosen.transform is not None:
        return TiffArray(path, series, level, tiff)
    dtype = chosen.dtype.newbyteorder(tiff.byteorder)
    where = os.path.abspath(chosen.keyframe.parent.filehandle.path)
    tiff.close()
    return RawArray(where, dtype, tuple(chosen.shape), int(chosen.dataoffset), _row_axis(chosen))


def _page_shape(series: tifffile.TiffPageSeries) -> tuple[int, ...]:
    """Return the shape of one page, in the axes of the series."""
    lead = _frame_axes(series)
    return (1,) * lead + tuple(series.shape[lead:])


def _frame_axes(series: tifffile.TiffPageSeries) -> int:
    """Return how many leading axes run over pages."""
    size = 1
    for axis in range(len(series.shape) - 1, -1, -1):
        size *= series.shape[axis]
        if size == series.keyframe.size:
            return axis
    return 0


class TiffArray:
    """A series of a TIFF file that is read strip by strip or tile by tile.

    It pickles as path, series and level. Threads take turns in reading bytes, and decode them side by side; pages that
    lie uncompressed in one piece they read side by side.

    Parameters
    ----------
    path : str
        Absolute path of the file.
    series, level : int
        Which image of the file.
    tiff : tifffile.TiffFile
        The opened file; it is closed together with this array.
    """

    def __init__(self, path: str, series: int, level: int, tiff: tifffile.TiffFile) -> None:
        self.path = path
        self.series = series
        self.level = level
        self._reset()
        self._attach(tiff)
        self.shape: tuple[int, ...] = tuple(self._pages.shape)
        self.dtype = np.dtype(self._pages.dtype)
        raw = _page_complaint(self._pages[0]) is None and self._page_at((0,) * _frame_axes(self._pages)) is not None
        self.chunks: tuple[int, ...] = _page_shape(self._pages) if raw else tuple(self._array.chunks)

    def __getitem__(self, region: Region) -> NDArray[Any]:
        array = self._opened()
        lead = _frame_axes(self._pages)
        pages = [
            (tuple(i - s.start for i, s in zip(index, region, strict=False)), self._page_at(index))
            for index in itertools.product(*(range(s.start, s.stop) for s in region[:lead]))
        ]
        raw = [(target, page) for target, page in pages if page is not None]
        if len(raw) < len(pages):
            return read_chunks(array, region, self.path)
        out = np.empty([s.stop - s.start for s in region], dtype=self.dtype)
        for target, page in raw:
            out[target] = page[region[lead:]]
        return out

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if not key.startswith("_")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.RLock()  # guards the position of the file handle
        self._known: dict[int, RawArray | None] = {}
        self._process: int | None = None

    def _attach(self, tiff: tifffile.TiffFile) -> None:
        import zarr

        self._pages = tiff.series[self.series].levels[self.level]
        self._array: zarr.Array[Any] = zarr.open_array(self._pages.aszarr(lock=self._lock), mode="r")
        self._process = os.getpid()
        weakref.finalize(self, tiff.close)

    def _opened(self) -> zarr.Array[Any]:
        """Return the open array; a process that inherited or unpickled it opens the file for itself."""
        if self._process != os.getpid():
            with self._lock:
                if self._process != os.getpid():
                    tiff, pages, _, _ = _open_series(self.path, self.series, self.level)
                    if (tuple(pages.shape), np.dtype(pages.dtype)) != (self.shape, self.dtype):
                        tiff.close()
                        raise SourceError(f"{self.path} has changed since it was opened; open it again.")
                    self._attach(tiff)
        return self._array

    def _page_at(self, index: tuple[int, ...]) -> RawArray | None:
        """Return a page that lies uncompressed in one piece, None for other pages.

        A page that is missing or cut off is a ChunkError: tifffile would return zeros. Reading rows straight from the
        file is 30 times faster than through the zarr view where each row is a strip, as Bio-Formats writes them.
        """
        number = int(np.ravel_multi_index(index, self.shape[: len(index)])) if index else 0
        if number not in self._known:
            with self._lock:
                page = self._pages[number]
            complaint = _page_complaint(page)
            if page is None or complaint:
                raise ChunkError(f"{self.path}: page {number}, index {index}, {complaint}; the file is incomplete.")
            self._known[number] = _raw_page(self._pages, page)
        return self._known[number]


def _raw_page(series: tifffile.TiffPageSeries, page: tifffile.TiffPage | tifffile.TiffFrame) -> RawArray | None:
    """Return the page as an array that is read straight from its file, or None where it is not stored like that."""
    offsets = np.asarray(page.dataoffsets, np.int64)
    ends = offsets + np.asarray(page.databytecounts, np.int64)
    size = int(page.nbytes)
    if not page.is_final or series.transform is not None or series.dtype != page.dtype:
        return None
    if offsets[0] == 0 or ends[-1] - offsets[0] < size or (ends[:-1] != offsets[1:]).any():
        return None
    lead = _frame_axes(series)
    tiff = page.parent
    dtype = series.dtype.newbyteorder(tiff.byteorder)
    path = os.path.abspath(tiff.filehandle.path)
    return RawArray(path, dtype, tuple(series.shape[lead:]), int(offsets[0]), _row_axis(series) - lead)


def _row_axis(series: tifffile.TiffPageSeries) -> int:
    return series.axes.index("Y") if "Y" in series.axes else max(len(series.shape) - 2, 0)
