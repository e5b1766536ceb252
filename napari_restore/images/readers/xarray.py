"""Open an `xarray.DataArray`: axes from its dimensions, pixel size and origin from its coordinates."""

from __future__ import annotations

__all__ = ["ENDINGS", "open", "recognises"]

from typing import Any

import numpy as np

from napari_restore.errors import AxesError
from napari_restore.images.axes import check_axes, letter_of
from napari_restore.images.cf_attributes import missing_values, notes_on_packing
from napari_restore.images.image import Channel, Image
from napari_restore.images.readers.arrays import array_chunks
from napari_restore.images.readers.reader import (
    check_level,
    counted_from_first,
    evenly_spaced,
    loaded_types,
    series_number,
    times_begin,
)
from napari_restore.images.units import named_units
from napari_restore.ways_out import name_axes

ENDINGS: tuple[str, ...] = ()


def recognises(source: Any) -> bool:
    """Check whether an object is an `xarray.DataArray`."""
    return isinstance(source, loaded_types("xarray", "DataArray"))


def open(source: Any, *, axes: str | None = None, level: int = 0, series: int | str = 0) -> Image:
    """Open an `xarray.DataArray` as an image.

    Parameters
    ----------
    source : xarray.DataArray
        The array.
    axes : str, optional
        One letter of "TCZYXS" per dimension; it overrides the names of the dimensions.
    level, series : int
        0, because an array is one image.

    Returns
    -------
    Image
        The image, with pixel size and origin from evenly spaced coordinates, and channel names from string coordinates.

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
            f"the dimensions {source.dims} of the DataArray do not define all axes",
            name_axes(source.ndim).after("rename them, or "),
        )
    letters = check_axes(axes or "".join(letter or "" for letter in found), source.shape)
    pixel_size, origin, spelt, notes = {}, {}, {}, []
    for letter, name in zip(letters, source.dims, strict=True):
        if letter in "CS" or name not in source.coords:
            continue
        values, unit, since = _numbers(source.coords[name])
        sampling, note = evenly_spaced(values, name, letter)
        notes += [note] if note else []
        if sampling is None:
            if not note:
                origin[letter] = float(values[0])
            continue
        pixel_size[letter], origin[letter] = sampling.pixel_size, sampling.origin
        if since:
            notes.append(times_begin(since, letter))
        spelt[letter] = unit
    units, unknown = named_units(spelt)
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
        notes=(*notes, *unknown, *notes_on_packing(source.attrs)),
        missing_values=missing_values(source.attrs, source.dtype),
    )


def _numbers(coordinate: Any) -> tuple[np.ndarray[Any, Any], Any, str]:
    """Convert a coordinate to numbers, the spelling of their unit, and the time that they count from, if any.

    Dates become seconds since the first, and durations seconds.
    """
    values = np.asarray(coordinate.values)
    if values.dtype.kind in "mM":
        spans = values - values[:1] if values.dtype.kind == "M" else values
        seconds = spans.astype("timedelta64[ns]").astype(np.int64) / 1e9
        since = str(values[0]) if values.dtype.kind == "M" and values.size else ""
        return np.where(np.isnat(spans), np.nan, seconds), "second", since
    if values.dtype.kind not in "iuf":
        return np.full(values.shape, np.nan), None, ""
    return counted_from_first(values, coordinate.attrs.get("units", coordinate.attrs.get("unit")))


def _channels(array: Any, letters: str) -> tuple[Channel, ...]:
    """Return the channel names if the coordinates of C are strings."""
    name = array.dims[letters.index("C")] if "C" in letters else None
    if name is None or name not in array.coords:
        return ()
    values = array.coords[name].values
    if values.ndim != 1 or not all(isinstance(value, str) for value in values.tolist()):
        return ()
    return tuple(Channel(name=value) for value in values.tolist())
