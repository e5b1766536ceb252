"""Opening the directory of a TIFF, and finding what is missing or broken in it before anything is read."""

from __future__ import annotations

__all__ = ["open_series", "page_complaint"]

import contextlib
import logging
import re
import struct
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from napari_restore.errors import SourceError
from napari_restore.images.readers.reader import check_level, series_number

if TYPE_CHECKING:
    import tifffile

# tifffile logs what it finds broken and goes on, with fewer pages or with zeros in the place of the missing ones.
_BROKEN = re.compile(
    r"corrupted (tag list|file)|invalid (page offset|offset to)|circular reference|zeroed|failed to read \d+ files"
    r"|missing (data|ByteCounts|files)|is missing \d+|incompletely written"
)

_FEW_PAGES = 512  # up to here, every page is checked against the size of its file on opening


def open_series(
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
        complaint = page_complaint(series[number])
        if complaint:
            raise SourceError(f"{path} is truncated or incomplete: page {number} {complaint}. {_WAY_OUT}")


def page_complaint(page: tifffile.TiffPage | tifffile.TiffFrame | None) -> str | None:
    """Return what is wrong with the place of a page in its file, or None."""
    if page is None:
        return "is missing"
    if not len(page.dataoffsets):
        return "has no pixels"
    end = int((np.asarray(page.dataoffsets, np.int64) + np.asarray(page.databytecounts, np.int64)).max())
    available = page.parent.filehandle.size
    return None if end <= available else f"ends at byte {end} of a file of {available}"
