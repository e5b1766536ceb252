"""`xarray.DataArray`: axes from its dimensions, pixel size and origin from its coordinates."""

from __future__ import annotations

__all__ = ["ENDINGS", "open", "recognises", "spacing"]

import sys
from typing import Any

import numpy as np

from napari_restore.errors import AxesError
from napari_restore.images.axes import check_axes, letter_of
from napari_restore.images.image import Channel, Image
from napari_restore.images.readers.arrays import array_chunks
from napari_restore.images.readers.reader import check_level, series_number
from napari_restore.images.units import unit_name

ENDINGS: tuple[str, ...] = ()


def recognises(source: Any) -> bool:
    """Tell whether an object is an `xarray.DataArray`."""
    xarray = sys.modules.get("xarray")  # an object of theirs means it is loaded
    return xarray is not None and isinstance(source, xarray.DataArray)


def open(source: Any, *, axes: str | None = None, level: int = 0, series: int | str = 0) -> Image:
    """Take an `xarray.DataArray` for an image.

    Parameters
    ----------
    source : xarray.DataArray
        The array.
    axes : str, optional
        One letter of "TCZYXS" per dimension; it wins over the names of the dimensions.
    level, series : int
        0, because an array is one image.

    Returns
    -------
    Image
        With pixel size and origin from evenly spaced coordinates, and channel names from coordinates that are strings.

    Raises
    ------
    AxesError
        If the axes are unknown or do not fit.
    SourceError
        If `level` or `series` is not 0.
    """
    check_level(level, 1, "the DataArray")
    series_number(series, [""], "the DataArray")
    found = [letter_of(name) for name in source.dims]
    if axes is None and None in found:
        raise AxesError(
            f"the dimensions {source.dims} of the DataArray do not tell what all axes mean; "
            "pass axes= with one letter of TCZYXS per dimension, or rename them."
        )
    letters = check_axes(axes or "".join(letter or "" for letter in found), source.shape)
    pixel_size, origin, units = {}, {}, {}
    for letter, name in zip(letters, source.dims, strict=True):
        if letter in "CS" or name not in source.coords:
            continue
        coordinate = source.coords[name]
        step = spacing(np.asarray(coordinate.values))
        if step is not None and step > 0:
            pixel_size[letter], origin[letter] = step, float(coordinate.values[0])
            if unit := unit_name(coordinate.attrs.get("units")):
                units[letter] = unit
    lazy = source.data if source.chunks is not None else source.variable
    return Image(
        data=lazy,
        axes=letters,
        name="image" if source.name is None else str(source.name),
        pixel_size=pixel_size,
        origin=origin,
        units=units,
        channels=_channels(source, letters),
        chunks=array_chunks(lazy, letters),
    )


def spacing(values: np.ndarray[Any, Any]) -> float | None:
    """Return the distance of evenly spaced numbers, negative where they fall; None for anything else."""
    if values.ndim != 1 or len(values) < 2 or not np.issubdtype(values.dtype, np.number):
        return None
    steps = np.diff(values.astype(float))
    mean = float(steps.mean())
    return mean if mean and np.allclose(steps, mean, rtol=1e-3, atol=0) else None


def _channels(array: Any, letters: str) -> tuple[Channel, ...]:
    """Return the channel names where the coordinates of C are strings."""
    name = array.dims[letters.index("C")] if "C" in letters else None
    if name is None or name not in array.coords:
        return ()
    values = array.coords[name].values
    if values.ndim != 1 or not all(isinstance(value, str) for value in values.tolist()):
        return ()
    return tuple(Channel(name=value) for value in values.tolist())
