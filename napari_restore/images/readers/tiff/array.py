"""The pixels of a TIFF, lazily.

Pixels that lie uncompressed in one piece are read straight from the file, all others strip by strip or tile by tile
through tifffile's zarr view.
"""

from __future__ import annotations

__all__ = ["TiffArray", "array_of", "page_shape"]

import itertools
import os
import threading
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_restore.errors import ChunkError, SourceError
from napari_restore.images.image import LazyArray
from napari_restore.images.lazy_arrays import RawArray, Region, read_chunks
from napari_restore.images.readers.tiff.file import open_series, page_complaint

if TYPE_CHECKING:
    import tifffile
    import zarr


def array_of(path: str, tiff: tifffile.TiffFile, chosen: tifffile.TiffPageSeries, series: int, level: int) -> LazyArray:
    """Return how the pixels are read: straight from the file where they lie in one piece, or chunk by chunk."""
    if chosen.dataoffset is None or chosen.is_multifile or chosen.transform is not None:
        return TiffArray(path, series, level, tiff)
    dtype = chosen.dtype.newbyteorder(tiff.byteorder)
    where = os.path.abspath(chosen.keyframe.parent.filehandle.path)
    tiff.close()
    return RawArray(where, dtype, tuple(chosen.shape), int(chosen.dataoffset), _row_axis(chosen))


def page_shape(series: tifffile.TiffPageSeries) -> tuple[int, ...]:
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
        raw = page_complaint(self._pages[0]) is None and self._page_at((0,) * _frame_axes(self._pages)) is not None
        self.chunks: tuple[int, ...] = page_shape(self._pages) if raw else tuple(self._array.chunks)

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

        series = tiff.series[self.series]
        self._pages = series.levels[self.level]
        # Level 0 is the series itself, and without a level a series with others is a group and not an array.
        store = series.aszarr(level=self.level, lock=self._lock)
        self._array: zarr.Array[Any] = zarr.open_array(store, mode="r")
        self._process = os.getpid()
        weakref.finalize(self, tiff.close)

    def _opened(self) -> zarr.Array[Any]:
        """Return the open array; a process that inherited or unpickled it opens the file for itself."""
        if self._process != os.getpid():
            with self._lock:
                if self._process != os.getpid():
                    tiff, pages, _, _ = open_series(self.path, self.series, self.level)
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
            complaint = page_complaint(page)
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
