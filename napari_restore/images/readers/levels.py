"""Open a pyramid given as a list of arrays, the levels, the largest first."""

from __future__ import annotations

__all__ = ["ENDINGS", "open", "recognises"]

import itertools
from collections.abc import Sequence
from typing import Any

from napari_restore.errors import SourceError
from napari_restore.images.image import Image
from napari_restore.images.readers import arrays, xarray, zarr_arrays
from napari_restore.images.readers.array_kinds import masked, tensors
from napari_restore.images.readers.reader import Reader, check_level

ENDINGS: tuple[str, ...] = ()

_OF_ARRAYS: tuple[Reader, ...] = (zarr_arrays, xarray, masked, tensors, arrays)


def recognises(source: Any) -> bool:
    """Check whether an object is a list or another sequence."""
    return isinstance(source, Sequence) and not isinstance(source, str | bytes)


def open(source: Sequence[Any], *, axes: str | None = None, level: int = 0, series: int | str = 0) -> Image:
    """Open one level of a pyramid that is given as a list of arrays.

    Parameters
    ----------
    source : sequence of array
        The levels, arrays of any supported kind.
    axes : str, optional
        As for an array.
    level : int
        Number of the level, 0 being the largest.
    series : int
        0, because an array is one image.

    Returns
    -------
    Image
        The level.

    Raises
    ------
    AxesError
        If the axes are unknown or do not fit.
    SourceError
        If an item of the list is not an array, the arrays are not a pyramid, or the level or series does not exist.
    """
    if not source or any(not hasattr(array, "shape") for array in source):
        raise SourceError("the list does not hold arrays; pass the levels of a pyramid, or numpy.asarray of numbers.")
    _check_pyramid([tuple(array.shape) for array in source])
    check_level(level, len(source), "the list")
    chosen = source[level]
    reader = next((one for one in _OF_ARRAYS if one.recognises(chosen)), arrays)
    return reader.open(chosen, axes=axes, level=0, series=series)


def _check_pyramid(shapes: list[tuple[int, ...]]) -> None:
    """Raise SourceError unless each shape is smaller than the one before and not larger along any axis."""
    for before, after in itertools.pairwise(shapes):
        smaller = len(before) == len(after) and any(a < b for a, b in zip(after, before, strict=True))
        if not smaller or any(a > b for a, b in zip(after, before, strict=True)):
            raise SourceError(
                f"the list holds arrays of the shapes {before} and {after}, which are no levels of a pyramid (each is "
                "smaller than the one before); restore images one by one, or join planes with numpy.stack."
            )
