"""Define lazy arrays on disk, which are pickled by location and can be read by several threads at once."""

from __future__ import annotations

__all__ = ["ChunkedArray", "MappedArray", "RawArray", "Region", "StridedArray", "chunks_in", "read_chunks"]

import itertools
import mmap
import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_restore.errors import ChunkError, RestoreError, SourceError

if TYPE_CHECKING:
    import zarr

Region = tuple[slice, ...]
"""A box of an array: one slice of step 1 for each axis, in the order of the axes of the array."""


def read_chunks(array: zarr.Array[Any], region: Region, location: str) -> NDArray[Any]:
    """Read a region of a zarr array; name the damaged chunk in the error if that fails.

    Parameters
    ----------
    array : zarr.Array
        The array; several threads may read it at once.
    region : Region
        One slice of step 1 per axis.
    location : str
        Name of the file in messages.

    Returns
    -------
    numpy.ndarray
        The pixels.

    Raises
    ------
    ChunkError
        If a chunk cannot be read or decoded, or is not stored although the array has no fill value for it.
    SourceLost
        If chunks are missing because the whole array is gone.
    """
    try:
        return _read_whole(array, region, location)
    except Exception as error:
        if _is_final(error):
            raise
        for index, part in chunks_in(region, array.chunks):
            try:
                _read_whole(array, part, location)
            except Exception as cause:
                if _is_final(cause):
                    raise
                fault = "cannot be read" if isinstance(cause, ChunkError) or _is_unsupported(cause) else "is damaged"
                where = f"{location}: chunk {index}{_object_key(array, index)}"
                raise ChunkError.around(f"{where} {fault}", cause) from cause
        where = ", ".join(f"{s.start}:{s.stop}" for s in region)
        raise ChunkError.around(f"{location}: region {where} cannot be read", error) from error


def _read_whole(array: zarr.Array[Any], region: Region, location: str) -> NDArray[Any]:
    """Read a region; check that chunks which are not stored have a value."""
    store: Any = array.store
    missing = getattr(store, "missing", None)
    pixels = np.asarray(array[region])
    if missing is None or store.missing != missing:
        if missing is not None:
            store.check_array(array, location)
        if array.metadata.fill_value is None:
            _check_stored(array, region)
    return pixels


def _check_stored(array: zarr.Array[Any], region: Region) -> None:
    """Raise ChunkError if a chunk of a region is not stored. In Zarr 2, ``"fill_value": null`` gives it no value."""
    from napari_restore.images.guards.zarr_objects import waited

    for index, _ in chunks_in(region, array.chunks):
        if not waited((array.store_path / array.metadata.encode_chunk_key(index)).exists()):
            raise ChunkError(f"chunk {index} is not stored, and the array has no fill value (null) for it")


def _is_final(error: Exception) -> bool:
    """Check whether an error concerns more than one chunk, so that naming a chunk would be wrong."""
    return isinstance(error, MemoryError) or (isinstance(error, RestoreError) and not isinstance(error, ChunkError))


def _is_unsupported(error: Exception) -> bool:
    """Check whether a codec is missing here, so that the chunk is not damaged."""
    return bool(re.search(r"not supported|unsupported|requires the '\w+' package|codec not available", str(error)))


def _object_key(array: zarr.Array[Any], index: tuple[int, ...]) -> str:
    """Return the name of the object that holds a chunk, for a message."""
    shape = array.shards or array.chunks  # of a stored object
    stored = tuple(i * chunk // whole for i, chunk, whole in zip(index, array.chunks, shape, strict=True))
    try:
        return f" (object {array.metadata.encode_chunk_key(stored)!r})"
    except (AttributeError, NotImplementedError):
        return ""


def chunks_in(region: Region, chunks: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], Region]]:
    """Yield index and region of each chunk that a region touches, clipped to the region."""
    spans = [range(s.start // c, -(-s.stop // c)) for s, c in zip(region, chunks, strict=True)]
    for index in itertools.product(*spans):
        yield (
            index,
            tuple(
                slice(max(s.start, i * c), min(s.stop, (i + 1) * c))
                for s, i, c in zip(region, index, chunks, strict=True)
            ),
        )


class ChunkedArray:
    """A zarr array whose errors name the damaged chunk, and whose chunks are decoded up to their declared size.

    Parameters
    ----------
    array : zarr.Array
        The array; it is pickled by location unless its store is in memory.
    location : str
        Name of the array in messages.
    """

    def __init__(self, array: zarr.Array[Any], location: str) -> None:
        self.array = array
        self.location = location
        self.shape: tuple[int, ...] = tuple(array.shape)
        self.dtype = np.dtype(array.dtype)
        self._bounded: zarr.Array[Any] | None = None

    def __getitem__(self, region: Region) -> NDArray[Any]:
        if self._bounded is None:
            from napari_restore.images.guards.zarr_codecs import bounded

            self._bounded = bounded(self.array)
        return read_chunks(self._bounded, region, self.location)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_bounded": None}


class RawArray:
    """An uncompressed array that is contiguous in a file.

    Each read opens the file, so threads and processes share nothing. The file is not mapped into memory: if it shrinks
    or the network fails, a process that maps it is killed, whereas a read raises an error.

    Parameters
    ----------
    path : str
        Absolute path of the file.
    dtype : numpy.dtype
        Data type with the byte order of the file.
    shape : tuple of int
        Shape of the array, in C order.
    offset : int
        Position of the first pixel, in bytes.
    row_axis : int
        Axis along which rows follow each other; reads iterate over the axes before it.
    """

    def __init__(self, path: str, dtype: np.dtype[Any], shape: tuple[int, ...], offset: int, row_axis: int) -> None:
        self.path = path
        self.dtype = dtype
        self.shape = shape
        self.offset = offset
        self.row_axis = row_axis

    def __getitem__(self, region: Region) -> NDArray[Any]:
        out = np.empty([s.stop - s.start for s in region], dtype=self.dtype)
        axis = self._span_axis(region)
        if not out.size:
            return out
        with open(self.path, "rb", buffering=0) as file:
            for index in itertools.product(*(range(s.start, s.stop) for s in region[:axis])):
                target = tuple(i - s.start for i, s in zip(index, region[:axis], strict=True))
                out[target] = self._read_span(file, index, region[axis:], axis)
        return out

    def _span_axis(self, region: Region) -> int:
        """Return the axis whose range is read at once: whole rows, or parts of rows if most of a row is not needed."""
        inner = self.row_axis + 1
        if inner >= len(self.shape) or 4 * (region[inner].stop - region[inner].start) >= self.shape[inner]:
            return self.row_axis
        return inner

    def _read_span(self, file: Any, index: tuple[int, ...], region: Region, axis: int) -> NDArray[Any]:
        """Read all bytes between the start and the stop along one axis, and slice them along the following axes."""
        behind = self.shape[axis + 1 :]
        span = np.empty((region[0].stop - region[0].start, *behind), dtype=self.dtype)
        first = np.ravel_multi_index((*index, region[0].start), self.shape[: axis + 1]) * int(np.prod(behind))
        file.seek(self.offset + int(first) * self.dtype.itemsize)
        _fill(file, span, f"{self.path}: region {[(s.start, s.stop) for s in region]} of plane {index}")
        inside: NDArray[Any] = span[(slice(None), *region[1:])]
        return inside


class StridedArray:
    """An uncompressed array with a constant stride along each axis in a file.

    Each read opens the file, so threads and processes share nothing. The axes may have any order in the file.

    Parameters
    ----------
    path : str
        Absolute path of the file.
    dtype : numpy.dtype
        Data type with the byte order of the file.
    shape : tuple of int
        Length of each axis.
    strides : tuple of int
        Distance of neighbours along each axis, in bytes; negative for a reversed axis.
    offset : int
        Position of the pixel with all indices 0, in bytes.
    """

    def __init__(
        self, path: str, dtype: np.dtype[Any], shape: tuple[int, ...], strides: tuple[int, ...], offset: int
    ) -> None:
        self.path, self.dtype, self.shape, self.strides, self.offset = path, dtype, shape, strides, offset

    def __getitem__(self, region: Region) -> NDArray[Any]:
        lengths = [s.stop - s.start for s in region]
        out = np.empty(lengths, self.dtype)
        if not out.size:
            return out
        # The axes in the order of the file: the loop runs over the outer ones, the others are read at once.
        order = sorted(range(len(lengths)), key=lambda axis: -abs(self.strides[axis]))
        outer = self._outer(order, lengths)
        ordered = out.transpose(order)
        start = self.offset + sum(s.start * stride for s, stride in zip(region, self.strides, strict=True))
        steps = [self.strides[axis] for axis in order]
        inner, inner_steps = [lengths[axis] for axis in order[outer:]], steps[outer:]
        below = sum(min(0, (n - 1) * step) for n, step in zip(inner, inner_steps, strict=True))
        span = np.empty(self._span(inner, inner_steps), np.uint8)
        view: NDArray[Any] = np.ndarray(inner, self.dtype, span.data, -below, inner_steps)
        with open(self.path, "rb", buffering=0) as file:
            for index in np.ndindex(*(lengths[axis] for axis in order[:outer])):
                file.seek(start + below + sum(i * step for i, step in zip(index, steps, strict=False)))
                _fill(file, span, f"{self.path}: region {[(s.start, s.stop) for s in region]}")
                ordered[index] = view
        return out

    def _span(self, lengths: list[int], steps: list[int]) -> int:
        """Return the number of bytes from the first to the last pixel of a region, both included."""
        return sum((n - 1) * abs(step) for n, step in zip(lengths, steps, strict=True)) + self.dtype.itemsize

    def _outer(self, order: list[int], lengths: list[int]) -> int:
        """Return the number of axes to iterate over, so that few unneeded bytes are read."""
        for outer in range(len(order)):
            inner = order[outer:]
            wanted = int(np.prod([lengths[axis] for axis in inner])) * self.dtype.itemsize
            span = self._span([lengths[axis] for axis in inner], [self.strides[axis] for axis in inner])
            if span <= max(4 * wanted, 4096):
                return outer
        return len(order)


def _fill(file: Any, span: NDArray[Any], what: str) -> None:
    """Fill an array from a file, in as many reads as the system needs."""
    view = memoryview(span.reshape(-1).view(np.uint8).data)
    done = 0
    while done < len(view):
        try:
            count = file.readinto(view[done:])
        except OSError as error:
            raise ChunkError(f"{what} cannot be read: {error}") from error
        if not count:
            raise ChunkError(f"{what} lies behind the end of the file; the file is truncated.")
        done += count


class MappedArray:
    """A `numpy.memmap`, or a view of one, that is pickled by location.

    Parameters
    ----------
    array : numpy.memmap
        The mapped array.

    Raises
    ------
    SourceError
        If the array is not mapped from a named file.
    """

    def __init__(self, array: np.memmap[Any, Any]) -> None:
        root: Any = array
        while not isinstance(root.base, mmap.mmap) and isinstance(root.base, np.memmap):
            root = root.base
        if not isinstance(root.base, mmap.mmap) or root.filename is None:
            raise SourceError("the memmap has no named file behind it; pass numpy.asarray of it.")
        start = array.__array_interface__["data"][0] - root.__array_interface__["data"][0]
        self.path: str = os.path.abspath(root.filename)
        self.shape: tuple[int, ...] = array.shape
        self.dtype: np.dtype[Any] = array.dtype
        self._offset = int(root.offset + start)
        self._strides = array.strides
        self._array: NDArray[Any] | None = array

    def __getitem__(self, region: Region) -> NDArray[Any]:
        if self._array is None:
            whole: Any = np.memmap(self.path, dtype=np.uint8, mode="r")
            self._array = np.ndarray(self.shape, self.dtype, whole, self._offset, self._strides)
        part: NDArray[Any] = np.asarray(self._array[region])
        return part

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_array": None}
