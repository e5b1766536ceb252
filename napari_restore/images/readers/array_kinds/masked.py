"""Read masked arrays (`numpy.ma`), and dask arrays of them: masked pixels are missing, and are read as NaN."""

from __future__ import annotations

__all__ = ["ENDINGS", "is_masked", "open", "recognises"]

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_restore.images.image import Image
from napari_restore.images.lazy_arrays import Region
from napari_restore.images.readers import arrays

ENDINGS: tuple[str, ...] = ()


def is_masked(source: Any) -> bool:
    """Check whether an object is a masked array, or a dask array of masked chunks.

    Parameters
    ----------
    source : object
        Any object.

    Returns
    -------
    bool
        Whether it is masked.
    """
    return isinstance(source, np.ma.MaskedArray) or isinstance(getattr(source, "_meta", None), np.ma.MaskedArray)


recognises = is_masked


def open(source: Any, *, axes: str | None = None, level: int = 0, series: int | str = 0) -> Image:
    """Open a masked array as an image of floating-point values, with NaN for masked pixels.

    Parameters
    ----------
    source : numpy.ma.MaskedArray or dask.array.Array
        The array. Integers of 8 and 16 bits become float32, larger ones float64.
    axes, level, series
        See `napari_restore.images.readers.arrays.open`.

    Returns
    -------
    Image
        The image. A note says that a stored result has NaN for masked pixels. An array without masked pixels keeps its
        data type.
    """
    image = arrays.open(source, axes=axes, level=level, series=series)
    if isinstance(source, np.ma.MaskedArray) and not np.ma.is_masked(source):
        return replace(image, data=np.asarray(source.data))
    data = _WithNaN(source)
    told = "is NaN in a stored result" + (f", whose data type is {data.dtype}" if data.dtype != source.dtype else "")
    return replace(image, data=data, notes=(*image.notes, f"What is masked in the source is no image; it {told}."))


class _WithNaN:
    """A masked array whose masked pixels are read as NaN."""

    def __init__(self, array: Any) -> None:
        self.array = array
        self.shape: tuple[int, ...] = tuple(array.shape)
        kind = np.dtype(array.dtype)
        small = kind.kind in "iu" and kind.itemsize <= 2
        self.dtype = kind if kind.kind not in "iu" else np.dtype(np.float32 if small else np.float64)

    def __getitem__(self, region: Region) -> NDArray[Any]:
        part = self.array[region]
        if hasattr(part, "compute"):
            part = part.compute(scheduler="synchronous")  # as `napari_restore.images.image` reads dask arrays
        if self.dtype.kind != "f":
            return np.asarray(part)  # the data type will be refused
        return np.ma.filled(np.ma.asarray(part).astype(self.dtype), np.nan)
