"""Open arrays in memory, mapped from a file, or computed by Dask."""

from __future__ import annotations

__all__ = ["ENDINGS", "array_chunks", "open", "recognises"]

from typing import Any

import numpy as np

from napari_restore.errors import AxesError, SourceError
from napari_restore.images.axes import canonical_axes, check_axes, transposition
from napari_restore.images.image import Image, LazyArray
from napari_restore.images.lazy_arrays import MappedArray
from napari_restore.images.readers.reader import check_level, series_number
from napari_restore.ways_out import name_axes

ENDINGS: tuple[str, ...] = ()


def recognises(source: Any) -> bool:
    """Check whether an object can be sliced like a NumPy array."""
    return all(hasattr(source, name) for name in ("shape", "dtype", "__getitem__"))


def open(source: Any, *, axes: str | None = None, level: int = 0, series: int | str = 0) -> Image:
    """Open an array as an image.

    Parameters
    ----------
    source : array
        A numpy array or memmap, a dask array, or anything else with a shape and a dtype that can be sliced.
    axes : str, optional
        One letter of "TCZYXS" per dimension; optional for a plane.
    level, series : int
        0, because an array is one image.

    Returns
    -------
    Image
        The image, without a pixel size.

    Raises
    ------
    AxesError
        If the axes are unknown or do not fit.
    SourceError
        If the lengths of a dask array are unknown, or `level` or `series` is not 0.
    """
    check_level(level, 1, "the array")
    series_number(series, [""], "the array")
    if any(length != length for length in source.shape):  # NaN: dask does not know the length
        raise SourceError(f"the dask array has unknown lengths {source.shape}; call its compute_chunk_sizes() first.")
    letters = _axes(source.shape, axes)
    data: LazyArray = source
    location = None
    if isinstance(source, np.memmap) and source.filename is not None and source.mode != "c":
        data = MappedArray(source)
        location = data.path
    return Image(data, letters, chunks=array_chunks(source, letters), location=location)


def _axes(shape: tuple[int, ...], axes: str | None) -> str:
    if axes is not None:
        return check_axes(axes, tuple(shape))
    if len(shape) == 2:
        return "YX"
    if len(shape) < 2:
        raise AxesError(f"an array of shape {tuple(shape)} has no plane; give one with at least the axes Y and X.")
    raise AxesError(
        f"an array of shape {tuple(shape)} does not define its axes",
        name_axes(len(shape)),
    )


def array_chunks(array: Any, letters: str) -> tuple[int, ...]:
    """Return the shape of the largest chunk of a dask array in canonical order; an empty tuple for other arrays."""
    chunks = getattr(array, "chunks", None)
    if not chunks or not all(isinstance(lengths, tuple) and lengths for lengths in chunks):
        return ()
    return tuple(max(chunks[i]) for i in transposition(letters, canonical_axes(letters)))
