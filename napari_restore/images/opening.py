"""Open any source, a path, a URL or an array, with the reader of its format."""

from __future__ import annotations

__all__ = ["open_image"]

import os
from pathlib import Path
from typing import Any

from napari_restore.errors import AxesError, SourceError
from napari_restore.images.guards.files import allowing_outside
from napari_restore.images.image import Image
from napari_restore.images.readers.reader import Reader, check_level, loaded_types, series_number
from napari_restore.images.readers.table import READERS, what_can_be_opened
from napari_restore.images.store import is_url


def open_image(
    source: Any, *, axes: str | None = None, level: int = 0, series: int | str = 0, allow_outside: bool = False
) -> Image:
    """Open an image without reading its pixels.

    Parameters
    ----------
    source : path or array
        Path of a TIFF file (plain, OME, ImageJ or BigTIFF), a pattern of TIFF files such as "img_t*.tif", path or URL
        of a Zarr array (versions 2 and 3) or an OME-Zarr group (0.4 and 0.5), path of an HDF5 file, followed by "::"
        and the path of the dataset, path of an Imaris, CZI, ND2 or LIF file; a numpy, memmap, dask or zarr array, an
        `xarray.DataArray`, or a list of arrays, the levels of a pyramid; or an `Image`, which is returned unchanged.
    axes : str, optional
        One letter per dimension: T time, C channel, Z depth, Y rows, X columns, S colour samples. It overrides the
        metadata, and is required if there are none, except for a plane.
    level : int
        Level of a pyramid, 0 being the largest.
    series : int or str
        Number or name of the image in a file that holds several.
    allow_outside : bool
        Allow reading files outside the folder of the source that an HDF5 file or an OME-XML names, or that links in
        the folder of a Zarr lead to. Pipes and devices are never read.

    Returns
    -------
    Image
        The image, with axes, pixel size, units and channels as far as the source has them.

    Raises
    ------
    AxesError
        If the axes are unknown, or `axes` does not fit the shape.
    SourceError
        If the source is missing, damaged, empty, of an unknown format, or of a data type other than integers of 8 to
        64 bits and floats of 16 to 64 bits; if it has no such level or series, or would be read from a file outside
        its folder.

    Examples
    --------
    >>> import numpy as np
    >>> open_image(np.zeros((5, 64, 64), np.uint16), axes="ZYX").sizes
    {'Z': 5, 'Y': 64, 'X': 64}
    """
    if isinstance(source, Image):
        image = _unchanged(source, axes, level, series)
    else:
        found = _located(source) if isinstance(source, str | Path) else source
        try:
            with allowing_outside(allow_outside):
                image = _reader(found).open(found, axes=axes, level=level, series=series)
        except OSError as error:
            raise SourceError(f"{found} cannot be read: {error}") from error
    _check_pixels(image)
    return image


def _unchanged(image: Image, axes: str | None, level: int, series: int | str) -> Image:
    if axes is not None and axes.upper() != image.axes:
        raise AxesError(f"the image has the axes {image.axes!r}, not {axes!r}; leave axes out.")
    check_level(level, 1, "the opened image")
    series_number(series, [image.name], "the opened image")
    return image


def _located(path: str | Path) -> str:
    """Return an absolute path or a URL."""
    location = str(path)
    if is_url(location):
        format_name = _format_of_ending(location)
        if format_name is not None:
            raise SourceError(
                f"{location} has the ending of {format_name}, which can only be read from a disk; copy it there, or "
                "store it as OME-Zarr."
            )
        return location
    location = os.path.abspath(os.path.expanduser(location))
    if os.path.isfile(location) and os.path.getsize(location) == 0:
        raise SourceError(f"{location} is empty; copy or export the image again.")
    return location


def _reader(source: Any) -> Reader:
    """Return the first reader that recognises a source."""
    for reader in READERS.values():
        if reader.recognises(source):
            return reader
    raise SourceError(_unknown(source))


def _unknown(source: Any) -> str:
    """Explain why no reader recognises a source."""
    if isinstance(source, loaded_types("xarray", "Dataset")):
        names = ", ".join(repr(name) for name in getattr(source, "data_vars", ())) or "none"
        return f"an xarray.Dataset holds several arrays; pass one of them, like dataset[NAME]: it has {names}."
    if not isinstance(source, str):
        return f"{type(source).__name__} is neither a path nor an array; {what_can_be_opened()}."
    if os.path.isdir(source):
        return (
            f"{source} is a directory, but not a Zarr: it has no zarr.json, .zarray or .zgroup. "
            "For TIFF files in it pass a pattern, such as 'folder/img_t*.tif'."
        )
    if not os.path.exists(source):
        return f"{source} does not exist; check the folder and the spelling."
    if format_name := _format_of_ending(source):
        return f"{source} has the ending of {format_name}, but not its content; copy or export the image again."
    return f"{source} is of the unknown format {os.path.splitext(source)[1]!r}; {what_can_be_opened()}."


def _format_of_ending(location: str) -> str | None:
    """Return the format of the ending of a name."""
    return next((name for name, reader in READERS.items() if location.lower().endswith(reader.ENDINGS)), None)


def _check_pixels(image: Image) -> None:
    """Raise SourceError for data types and shapes that cannot be restored."""
    name = image.location or "the array"
    if image.dtype.kind not in "uif" or image.dtype.itemsize > 8:
        way_out = {"b": "convert a mask to uint8", "c": "pass its magnitude"}.get(image.dtype.kind, "convert it first")
        raise SourceError(
            f"{name} has the data type {image.dtype}; integers of 8 to 64 bits and floats of 16 to 64 bits can be "
            f"restored: {way_out}."
        )
    if 0 in image.shape:
        raise SourceError(f"{name} holds no pixels: its shape is {image.shape} ({image.canonical}).")
