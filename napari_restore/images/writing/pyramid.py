"""Compute the coarser levels of a pyramid by write units: each level is the 2×2 mean over Y and X of the one before.

Levels of labels have the most frequent of 2×2 labels, because the mean of two objects' numbers is a third object.
"""

from __future__ import annotations

__all__ = ["downsample", "downsample_labels", "downsample_unit", "levels_for"]

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from napari_restore.errors import OutputError
from napari_restore.images.lazy_arrays import Region
from napari_restore.images.writing.layout import WriteUnit
from napari_restore.images.writing.ome_zarr import unit_counts, unit_region
from napari_restore.images.writing.unit_writer import UnitWriter
from napari_restore.retrying import DISK, retried
from napari_restore.ways_out import REPAIR

_ROWS = 32
"""Rows whose means are computed at a time."""


def levels_for(shape: Sequence[int], axes: str, largest: int = 256) -> int:
    """Return the number of levels until a plane is small.

    Parameters
    ----------
    shape : sequence of int
        Shape of level 0, in the order of `axes`.
    axes : str
        Letters that include Y and X.
    largest : int
        Largest number of pixels of the last level along Y and along X.

    Returns
    -------
    int
        Number of levels, level 0 included.

    Examples
    --------
    >>> levels_for((2048, 1000), "YX")
    4
    """
    longest = max(shape[axes.index("Y")], shape[axes.index("X")])
    levels = 1
    while longest > largest:
        longest = -(-longest // 2)
        levels += 1
    return levels


def downsample_unit(
    writer: UnitWriter, unit: WriteUnit, reduced: Callable[[NDArray[Any]], NDArray[Any]] | None = None
) -> None:
    """Compute a write unit of a coarser level from the level before, and write it.

    All write units of the level before that it is computed from must be stored. They are read chunk by chunk, so no
    more than the write unit and four chunks are in memory.

    Parameters
    ----------
    writer : UnitWriter
        Writer of the image.
    unit : WriteUnit
        Write unit of level 1 or a coarser level.
    reduced : callable, optional
        `downsample` (the default), `downsample_extremes` or, for labels, `downsample_labels`.

    Raises
    ------
    OutputError
        If the level or the write unit does not exist, or a chunk of the level before is damaged or missing.
    """
    if unit.level < 1:
        raise OutputError(f"level {unit.level} is not computed from another level; coarser levels start at 1.")
    source, target = writer.level(unit.level - 1), writer.level(unit.level)
    region = unit_region(target, unit)
    pixels = np.empty([s.stop - s.start for s in region], dtype=target.dtype)
    for part in _chunks_of(target, region):
        inside = tuple(slice(p.start - r.start, p.stop - r.start) for p, r in zip(part, region, strict=True))
        pixels[inside] = (reduced or downsample)(_read(source, _doubled(part, source.shape)))
    for below in unit.below(unit_counts(source)):
        if not writer.stores(below):  # zarr has read fill values instead
            raise OutputError(
                f"{below} of {writer.place.location} was stored and is not there: another program deletes files, or "
                "the file system does not show all of them yet; run the same again, which computes it."
            )
    writer.write(unit, pixels)


def downsample(pixels: NDArray[Any]) -> NDArray[Any]:
    """Average 2×2 pixels over the last two axes.

    Means of integers are exact and rounded to the nearest, halves to even, so that they do not drift from level to
    level. At an odd end the mean is taken over the existing pixels. The mean of a NaN is NaN.

    Parameters
    ----------
    pixels : numpy.ndarray, shape (..., Y, X)
        Integers or floats.

    Returns
    -------
    numpy.ndarray, shape (..., ceil(Y / 2), ceil(X / 2))
        Means, of the same data type.
    """
    pixels = _even(pixels)
    mean = _mean_of_integers if np.issubdtype(pixels.dtype, np.integer) else _mean_of_floats
    result = np.empty((*pixels.shape[:-2], pixels.shape[-2] // 2, pixels.shape[-1] // 2), pixels.dtype)
    for first in range(0, pixels.shape[-2], _ROWS):  # sums stay in the processor's cache
        rows = pixels[..., first : first + _ROWS, :]
        corners = [rows[..., y::2, x::2] for y, x in itertools.product((0, 1), repeat=2)]
        result[..., first // 2 : first // 2 + corners[0].shape[-2], :] = mean(corners)
    return result


def downsample_extremes(pixels: NDArray[Any]) -> NDArray[Any]:
    """Keep the value of the largest magnitude of 2×2 pixels over the last two axes, so that no peak is lost.

    Parameters
    ----------
    pixels : numpy.ndarray, shape (..., Y, X)
        Floats; NaN counts only where all four are NaN.

    Returns
    -------
    numpy.ndarray, shape (..., ceil(Y / 2), ceil(X / 2))
        Of the same data type.

    Examples
    --------
    >>> downsample_extremes(np.array([[1.0, -3.0], [2.0, np.nan]])).tolist()
    [[-3.0]]
    """
    pixels = _even(pixels)
    corners = np.stack([pixels[..., y::2, x::2] for y, x in itertools.product((0, 1), repeat=2)])
    size = np.where(np.isnan(corners), -1, np.abs(corners))
    return np.asarray(np.take_along_axis(corners, size.argmax(0)[None], 0)[0], pixels.dtype)


def downsample_labels(pixels: NDArray[Any]) -> NDArray[Any]:
    """Take the most frequent of 2×2 labels over the last two axes; of equally frequent ones the first in reading order.

    At an odd end the existing pixels count twice.

    Parameters
    ----------
    pixels : numpy.ndarray, shape (..., Y, X)
        Labels.

    Returns
    -------
    numpy.ndarray, shape (..., ceil(Y / 2), ceil(X / 2))
        Labels, of the same data type.

    Examples
    --------
    >>> downsample_labels(np.array([[0, 7, 1, 2], [7, 3, 3, 4]])).tolist()
    [[7, 1]]
    """
    pixels = _even(pixels)
    first, second, third, fourth = (pixels[..., y::2, x::2] for y, x in itertools.product((0, 1), repeat=2))
    # A label that the first pixel has too is at least as frequent as any other.
    later = np.where((second == third) | (second == fourth), second, np.where(third == fourth, third, first))
    return np.where((first == second) | (first == third) | (first == fourth), first, later)


def _even(pixels: NDArray[Any]) -> NDArray[Any]:
    """Repeat the last row or column of an odd number: means and frequencies are then those of the existing pixels."""
    odd = [length % 2 for length in pixels.shape[-2:]]
    return np.pad(pixels, [(0, 0)] * (pixels.ndim - 2) + [(0, n) for n in odd], mode="edge") if any(odd) else pixels


def _mean_of_integers(corners: list[NDArray[Any]]) -> NDArray[Any]:
    """Compute the mean of four integer arrays, exact even at the ends of the range of the type.

    A value is 4 q + r: the sum of the q cannot overflow, and the sum of the r is at most 12. Sums of up to 16 bits are
    exact in 32 bits, which takes a third of the time.
    """
    if corners[0].dtype.itemsize <= 2:
        total = np.add(corners[0], corners[1], dtype=np.int32)
        for corner in corners[2:]:
            total += corner
        odd = total >> 2
        odd &= 1
        total += odd  # the sum 4 q + 2 is a half: it is rounded up if q is odd
        total += 1
        total >>= 2
        exact: NDArray[Any] = total.astype(corners[0].dtype)
        return exact
    whole, rest = corners[0] >> 2, corners[0] & 3
    for corner in corners[1:]:
        whole, rest = whole + (corner >> 2), rest + (corner & 3)
    whole, rest = whole + (rest >> 2), rest & 3
    up = (rest == 3) | ((rest == 2) & ((whole & 1) == 1))
    mean: NDArray[Any] = (whole + up.astype(whole.dtype)).astype(corners[0].dtype)
    return mean


def _mean_of_floats(corners: list[NDArray[Any]]) -> NDArray[Any]:
    """Compute the mean of four float arrays; values are divided by four first, so that large ones do not overflow."""
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        mean = sum((corner.astype(np.float64) * 0.25 for corner in corners[1:]), corners[0].astype(np.float64) * 0.25)
        return np.asarray(mean).astype(corners[0].dtype)


def _chunks_of(array: zarr.Array[Any], region: Region) -> Iterator[Region]:
    """Split a region that starts at the border of a chunk into chunks."""
    pieces = (
        [slice(start, min(start + chunk, r.stop)) for start in range(r.start, r.stop, chunk)]
        for r, chunk in zip(region, array.chunks, strict=True)
    )
    yield from itertools.product(*pieces)


def _doubled(part: Region, shape: tuple[int, ...]) -> Region:
    """Return the region of the level before that the means of a region are taken over; Y and X are the last axes."""
    plane = (slice(2 * s.start, min(2 * s.stop, length)) for s, length in zip(part[-2:], shape[-2:], strict=True))
    return (*part[:-2], *plane)


def _read(array: zarr.Array[Any], region: Region) -> NDArray[Any]:
    try:
        return retried(lambda: np.asarray(array[region]), DISK)
    except (MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:
        where = ", ".join(f"{s.start}:{s.stop}" for s in region)
        raise OutputError(f"region {where} of {array.store_path} cannot be read: {error}", REPAIR) from error
