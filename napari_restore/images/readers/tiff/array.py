"""Define lazy arrays of the pixels of a TIFF.

Contiguous uncompressed pixels are read directly from the file, all others by strips or tiles through tifffile's zarr
view.
"""

from __future__ import annotations

__all__ = ["TiffArray", "array_of"]

import itertools
import os
import threading
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_restore.errors import ChunkError, SourceError
from napari_restore.images.guards.files import allowing_outside, outside_allowed
from napari_restore.images.image import LazyArray
from napari_restore.images.lazy_arrays import RawArray, Region, read_chunks
from napari_restore.images.readers.tiff.file import (
    OpenedSeries,
    frame_axes,
    open_series,
    page_complaint,
    page_shape,
)

if TYPE_CHECKING:
    import tifffile
    import zarr


def array_of(path: str, opened: OpenedSeries, *, split: bool = True) -> LazyArray:
    """Return a lazy array of the pixels, which reads directly from the file if they are contiguous, or by chunks."""
    chosen = opened.pages
    if chosen.dataoffset is None or chosen.is_multifile or chosen.transform is not None or opened.is_part:
        return TiffArray(path, opened, split=split)
    dtype = chosen.dtype.newbyteorder(opened.tiff.byteorder)
    where = os.path.abspath(chosen.keyframe.parent.filehandle.path)
    opened.tiff.close()
    return RawArray(where, dtype, tuple(chosen.shape), int(chosen.dataoffset), _row_axis(chosen))


class TiffArray:
    """A series of a TIFF file that is read by strips or tiles.

    It is pickled as path, series and level. Threads read bytes one after the other and decode them in parallel;
    contiguous uncompressed pages are read in parallel.

    Parameters
    ----------
    path : str
        Absolute path of the file.
    opened : OpenedSeries
        The opened image; its file is closed together with this array.
    split : bool
        Whether each position of a series is an image.
    """

    def __init__(self, path: str, opened: OpenedSeries, *, split: bool = True) -> None:
        self.path = path
        self.series = opened.number
        self.level = opened.level
        self.split = split
        self.outside = outside_allowed()
        self.window = opened.window
        self._reset()
        self._attach(opened)
        self.shape: tuple[int, ...] = opened.shape
        self.dtype = np.dtype(self._pages.dtype)
        self.chunks: tuple[int, ...] = tuple(
            min(chunk, part.stop)
            for chunk, part in zip(self._chunks(), self.window, strict=True)
            if isinstance(part, slice)
        )

    def _chunks(self) -> tuple[int, ...]:
        """Return the shape of the pixels that are read at once, in the axes of the series."""
        keyframe = self._pages.keyframe
        if page_complaint(keyframe) is None and _raw_page(self._pages, keyframe) is not None:
            return page_shape(self._pages)
        return tuple(self._array.chunks)

    def __getitem__(self, region: Region) -> NDArray[Any]:
        array = self._opened()
        wanted = iter(region)
        inside = tuple(next(wanted) if isinstance(part, slice) else slice(part, part + 1) for part in self.window)
        lead = frame_axes(self._pages)
        pages = [
            (tuple(i - s.start for i, s in zip(index, inside, strict=False)), self._page_at(index))
            for index in itertools.product(*(range(s.start, s.stop) for s in inside[:lead]))
        ]
        raw = [(target, page) for target, page in pages if page is not None]
        shape = [s.stop - s.start for s in region]
        if len(raw) < len(pages):
            return read_chunks(array, inside, self.path).reshape(shape)
        out = np.empty([s.stop - s.start for s in inside], dtype=self.dtype)
        for target, page in raw:
            out[target] = page[inside[lead:]]
        return out.reshape(shape)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if not key.startswith("_")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.RLock()  # guards the position of the file handle
        self._known: dict[int, RawArray | None] = {}
        self._process: int | None = None

    def _attach(self, opened: OpenedSeries) -> None:
        import zarr

        from napari_restore.images.readers.tiff.stored_chunks import StoredChunks

        self._pages = opened.pages
        # Level 0 is the series itself, and without a level a series with others is a group and not an array.
        store = opened.whole.aszarr(level=self.level, lock=self._lock, fillvalue=opened.nodata or 0)
        guarded = store if opened.nodata is not None else StoredChunks(store)
        self._array: zarr.Array[Any] = zarr.open_array(guarded, mode="r")
        self._process = os.getpid()
        weakref.finalize(self, opened.tiff.close)

    def _opened(self) -> zarr.Array[Any]:
        """Return the open array; a process that inherited or unpickled it opens the file again."""
        if self._process != os.getpid():
            with self._lock:
                if self._process != os.getpid():
                    with allowing_outside(self.outside):
                        opened = open_series(self.path, self.series, self.level, split=self.split)
                    if (opened.window, np.dtype(opened.pages.dtype)) != (self.window, self.dtype):
                        opened.tiff.close()
                        raise SourceError(f"{self.path} has changed since it was opened; open it again.")
                    self._attach(opened)
        return self._array

    def _page_at(self, index: tuple[int, ...]) -> RawArray | None:
        """Return a contiguous uncompressed page; None for other pages.

        A missing or truncated page raises ChunkError: tifffile would return zeros. Reading rows directly from the file
        is 30 times faster than through the zarr view if each row is a strip, as Bio-Formats writes them.
        """
        number = int(np.ravel_multi_index(index, self._pages.shape[: len(index)])) if index else 0
        if number not in self._known:
            with self._lock:
                page = self._pages[number]
            complaint = page_complaint(page)
            if page is None or complaint:
                raise ChunkError(f"{self.path}: page {number}, index {index}, {complaint}; the file is incomplete.")
            self._known[number] = _raw_page(self._pages, page)
        return self._known[number]


def _raw_page(series: tifffile.TiffPageSeries, page: tifffile.TiffPage | tifffile.TiffFrame) -> RawArray | None:
    """Return a page as an array that is read directly from its file; None if it is not contiguous and uncompressed."""
    if len(page.dataoffsets) != len(page.databytecounts):
        return None
    offsets = np.asarray(page.dataoffsets, np.int64)
    ends = offsets + np.asarray(page.databytecounts, np.int64)
    size = int(page.nbytes)
    if not page.is_final or series.transform is not None or series.dtype != page.dtype:
        return None
    if offsets[0] == 0 or ends[-1] - offsets[0] < size or (ends[:-1] != offsets[1:]).any():
        return None
    lead = frame_axes(series)
    tiff = page.parent
    dtype = series.dtype.newbyteorder(tiff.byteorder)
    path = os.path.abspath(tiff.filehandle.path)
    return RawArray(path, dtype, tuple(series.shape[lead:]), int(offsets[0]), _row_axis(series) - lead)


def _row_axis(series: tifffile.TiffPageSeries) -> int:
    return series.axes.index("Y") if "Y" in series.axes else max(len(series.shape) - 2, 0)
