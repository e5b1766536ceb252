"""Opens whatever a user hands over: a path, a URL, or an array of numpy, dask, zarr or xarray."""

from __future__ import annotations

__all__ = ["BIOIO_ENDINGS", "ENDINGS", "HDF5_ENDINGS", "open_image", "spacing"]

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_restore.errors import AxesError, SourceError
from napari_restore.images.axes import canonical_axes, check_axes, letter_of, transposition
from napari_restore.images.image import Channel, Image, LazyArray
from napari_restore.images.lazy_arrays import MappedArray
from napari_restore.images.store import is_url
from napari_restore.images.units import unit_name

TIFF_ENDINGS = (".tif", ".tiff", ".btf", ".tf2", ".tf8", ".lsm", ".stk", ".svs", ".ndpi", ".scn", ".qptiff")

HDF5_ENDINGS = (".h5", ".hdf5", ".hdf", ".he5")

BIOIO_ENDINGS = (".czi", ".nd2", ".lif")

ENDINGS = (*TIFF_ENDINGS, *HDF5_ENDINGS, ".ims", *BIOIO_ENDINGS)
"""Of all files that can be opened; what some of them need besides is said where it is missing."""

_ACCEPTED = (
    "what can be opened: TIFF (.tif, .tiff, OME, ImageJ, BigTIFF, a pattern such as 'img_t*.tif'), Zarr and OME-Zarr, "
    "HDF5 (.h5, with '::' and the dataset behind), Imaris (.ims), CZI, ND2 and LIF; "
    "open other formats with their own reader and pass the array"
)


def open_image(source: Any, *, axes: str | None = None, level: int = 0, series: int = 0) -> Image:
    """Open an image without reading its pixels.

    Parameters
    ----------
    source : path or array
        Path of a TIFF file (plain, OME, ImageJ or BigTIFF), a pattern of TIFF files such as "img_t*.tif", path or URL
        of a Zarr array (versions 2 and 3) or an OME-Zarr group (0.4 and 0.5), of an HDF5 file, with "::" and the path
        of the dataset behind, of an Imaris, CZI, ND2 or LIF file; a numpy, memmap, dask or zarr array, an
        `xarray.DataArray`, or a list of arrays, which are the levels of a pyramid; or an `Image`, which is given back.
    axes : str, optional
        One letter per dimension: T time, C channel, Z depth, Y rows, X columns, S colour samples. It wins over the
        metadata, and is needed where there are none, except for a plane.
    level : int
        Level of a pyramid, 0 being the largest.
    series : int
        Number of the image in a file that holds several.

    Returns
    -------
    Image
        The image, with axes, pixel size, units and channels as far as the source tells.

    Raises
    ------
    AxesError
        If the axes are unknown, or `axes` does not fit the shape.
    SourceError
        If the source is missing, damaged, empty, of an unknown format, or of a data type other than integers of 8 to
        64 bits and floats of 16 to 64 bits; or has no such level or series.

    Examples
    --------
    >>> import numpy as np
    >>> open_image(np.zeros((5, 64, 64), np.uint16), axes="ZYX").sizes
    {'Z': 5, 'Y': 64, 'X': 64}
    """
    if isinstance(source, Image):
        image = _as_it_is(source, axes, level, series)
    elif isinstance(source, (str, Path)):
        image = _open_path(str(source), axes, level, series)
    elif isinstance(source, Sequence):
        return _open_levels(source, axes, level, series)
    else:
        image = _open_object(source, axes, level, series)
    _check_pixels(image)
    return image


def _as_it_is(image: Image, axes: str | None, level: int, series: int) -> Image:
    if axes is not None and axes.upper() != image.axes:
        raise AxesError(f"the image says that its axes are {image.axes!r}, not {axes!r}; leave axes out.")
    for name, number in (("level", level), ("series", series)):
        if number:
            raise SourceError(f"{name} {number} is not there: an opened image is {name} 0 only.")
    return image


def _open_path(path: str, axes: str | None, level: int, series: int) -> Image:
    if is_url(path):
        from napari_restore.images.readers.zarr_arrays import open_zarr

        if path.lower().endswith(TIFF_ENDINGS):
            raise SourceError(f"{path} is a TIFF, which is read from a disk; copy it there, or store it as OME-Zarr.")

        return open_zarr(path, axes=axes, level=level, series=series)
    path = os.path.abspath(os.path.expanduser(path))
    if os.path.isdir(path):
        return _open_directory(path, axes, level, series)
    if not os.path.exists(path):
        return _open_inside(path, axes, level, series) or _open_pattern(path, axes, level, series)
    if os.path.getsize(path) == 0:
        raise SourceError(f"{path} is empty; copy or export the image again.")
    try:
        from napari_restore.images.readers.tiff import is_tiff, open_tiff

        if is_tiff(path):
            return open_tiff(path, axes=axes, level=level, series=series)
        from napari_restore.images.readers.hdf5 import is_hdf5, open_hdf5

        if is_hdf5(path):
            from napari_restore.images.readers.imaris import is_imaris, open_imaris

            opener = open_imaris if is_imaris(path) else open_hdf5
            return opener(path, axes=axes, level=level, series=series)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error}") from error
    if path.lower().endswith(BIOIO_ENDINGS):
        from napari_restore.images.readers.bioio import open_bioio

        return open_bioio(path, axes=axes, level=level, series=series)
    if path.lower().endswith(TIFF_ENDINGS):
        raise SourceError(f"{path} is called a TIFF, but does not begin like one; copy or export the image again.")
    if path.lower().endswith((*HDF5_ENDINGS, ".ims")):
        raise SourceError(f"{path} is called HDF5, but does not begin like it; copy or export the image again.")
    raise SourceError(f"{path} is of the unknown format {os.path.splitext(path)[1]!r}; {_ACCEPTED}.")


def _open_directory(path: str, axes: str | None, level: int, series: int) -> Image:
    from napari_restore.images.readers.zarr_arrays import is_zarr, open_zarr

    if not is_zarr(path) and (os.path.exists(os.path.join(path, "attributes.json")) or path.endswith(".n5")):
        raise SourceError(
            f"{path} is N5, which Zarr 3 does not read any more; export it as OME-Zarr (in Fiji: File > Save As > "
            "Export HDF5/N5/Zarr/OME-NGFF), or copy it to Zarr where zarr < 3 is installed."
        )
    if not is_zarr(path):
        raise SourceError(
            f"{path} is a directory, but no Zarr: it has no zarr.json, .zarray or .zgroup. "
            "For TIFF files in it pass a pattern, such as 'folder/img_t*.tif'."
        )
    return open_zarr(path, axes=axes, level=level, series=series)


def _open_inside(path: str, axes: str | None, level: int, series: int) -> Image | None:
    """Open a dataset in an HDF5 file, if that is what a path means that is no file."""
    from napari_restore.images.readers.hdf5 import is_hdf5, open_hdf5, split_hdf5

    found = split_hdf5(path)
    if found is None or not os.path.isfile(found[0]) or not is_hdf5(found[0]):
        return None
    return open_hdf5(*found, axes=axes, level=level, series=series)


def _open_pattern(path: str, axes: str | None, level: int, series: int) -> Image:
    from napari_restore.images.readers.file_series import is_pattern, open_file_series

    if not is_pattern(path):
        raise SourceError(f"{path} does not exist; check the folder and the spelling.")
    return open_file_series(path, axes=axes, level=level, series=series)


def _open_levels(source: Sequence[Any], axes: str | None, level: int, series: int) -> Image:
    if not source or any(not hasattr(array, "shape") for array in source):
        raise SourceError("the list does not hold arrays; pass the levels of a pyramid, or numpy.asarray of numbers.")
    if not 0 <= level < len(source):
        raise SourceError(f"level {level} is not there: the list has {len(source)}, counted from 0.")
    return open_image(source[level], axes=axes, series=series)


def _open_object(source: Any, axes: str | None, level: int, series: int) -> Image:
    zarr, xarray = sys.modules.get("zarr"), sys.modules.get("xarray")  # an object of theirs means they are loaded
    if zarr is not None and isinstance(source, zarr.Group):
        raise SourceError("a zarr.Group is not an array; pass its path, or one of the arrays in it.")
    if zarr is not None and isinstance(source, zarr.Array):
        from napari_restore.images.readers.zarr_arrays import open_zarr_array

        return open_zarr_array(source, axes=axes, level=level, series=series)
    for name, number in (("level", level), ("series", series)):
        if number:
            raise SourceError(f"{name} {number} is not there: an array is {name} 0 only.")
    if xarray is not None and isinstance(source, xarray.DataArray):
        return _open_xarray(source, axes)
    if not (hasattr(source, "shape") and hasattr(source, "dtype") and hasattr(source, "__getitem__")):
        raise SourceError(f"{type(source).__name__} is neither a path nor an array; {_ACCEPTED}.")
    return _open_array(source, axes)


def _open_array(array: Any, axes: str | None) -> Image:
    if any(length != length for length in array.shape):  # NaN: dask does not know the length
        raise SourceError(f"the dask array has unknown lengths {array.shape}; call its compute_chunk_sizes() first.")
    letters = _array_axes(array.shape, axes)
    data: LazyArray = array
    location = None
    if isinstance(array, np.memmap) and array.filename is not None and array.mode != "c":
        data = MappedArray(array)
        location = data.path
    return Image(data, letters, chunks=_array_chunks(array, letters), location=location)


def _array_axes(shape: tuple[int, ...], axes: str | None) -> str:
    if axes is not None:
        return check_axes(axes, tuple(shape))
    if len(shape) == 2:
        return "YX"
    if len(shape) < 2:
        raise AxesError(f"an array of shape {tuple(shape)} has no plane; give one with at least the axes Y and X.")
    raise AxesError(
        f"an array of shape {tuple(shape)} does not tell what its axes mean; "
        "pass axes= with one letter of TCZYXS per dimension, such as 'ZYX'."
    )


def _array_chunks(array: Any, letters: str) -> tuple[int, ...]:
    """Return the largest chunk of a dask array, in canonical order; nothing for others."""
    chunks = getattr(array, "chunks", None)
    if not chunks or not all(isinstance(lengths, tuple) and lengths for lengths in chunks):
        return ()
    return tuple(max(chunks[i]) for i in transposition(letters, canonical_axes(letters)))


def _open_xarray(array: Any, axes: str | None) -> Image:
    """Take axes from the dimensions, pixel size and origin from evenly spaced coordinates."""
    found = [letter_of(name) for name in array.dims]
    if axes is None and None in found:
        raise AxesError(
            f"the dimensions {array.dims} of the DataArray do not tell what all axes mean; "
            "pass axes= with one letter of TCZYXS per dimension, or rename them."
        )
    letters = check_axes(axes or "".join(letter or "" for letter in found), array.shape)
    pixel_size, origin, units = {}, {}, {}
    for letter, name in zip(letters, array.dims, strict=True):
        if letter in "CS" or name not in array.coords:
            continue
        coordinate = array.coords[name]
        step = spacing(np.asarray(coordinate.values))
        if step is not None and step > 0:
            pixel_size[letter], origin[letter] = step, float(coordinate.values[0])
            if unit := unit_name(coordinate.attrs.get("units")):
                units[letter] = unit
    lazy = array.data if array.chunks is not None else array.variable
    return Image(
        data=lazy,
        axes=letters,
        name="image" if array.name is None else str(array.name),
        pixel_size=pixel_size,
        origin=origin,
        units=units,
        channels=_xarray_channels(array, letters),
        chunks=_array_chunks(lazy, letters),
    )


def spacing(values: np.ndarray[Any, Any]) -> float | None:
    """Return the distance of evenly spaced numbers, negative where they fall; None for anything else."""
    if values.ndim != 1 or len(values) < 2 or not np.issubdtype(values.dtype, np.number):
        return None
    steps = np.diff(values.astype(float))
    mean = float(steps.mean())
    return mean if mean and np.allclose(steps, mean, rtol=1e-3, atol=0) else None


def _xarray_channels(array: Any, letters: str) -> tuple[Channel, ...]:
    """Return the channel names where the coordinates of C are strings."""
    name = array.dims[letters.index("C")] if "C" in letters else None
    if name is None or name not in array.coords:
        return ()
    values = array.coords[name].values
    if values.ndim != 1 or not all(isinstance(value, str) for value in values.tolist()):
        return ()
    return tuple(Channel(name=value) for value in values.tolist())


def _check_pixels(image: Image) -> None:
    """Raise SourceError for data types and shapes that cannot be restored."""
    place = image.location or "the array"
    if image.dtype.kind not in "uif" or image.dtype.itemsize > 8:
        wayout = {"b": "convert a mask to uint8", "c": "pass its magnitude"}.get(image.dtype.kind, "convert it first")
        raise SourceError(
            f"{place} has the data type {image.dtype}; integers of 8 to 64 bits and floats of 16 to 64 bits can be "
            f"restored: {wayout}."
        )
    if 0 in image.shape:
        raise SourceError(f"{place} holds no pixels: its shape is {image.shape} ({image.canonical}).")
