"""List the readers by format. A source is opened by the first reader that recognises it."""

from __future__ import annotations

__all__ = ["ENDINGS", "READERS", "what_can_be_opened"]

from napari_restore.images.readers import (
    arrays,
    companion,
    file_series,
    hdf5,
    imaris,
    levels,
    tiff,
    xarray,
    zarr_arrays,
    zipped,
)
from napari_restore.images.readers.array_kinds import masked, tensors
from napari_restore.images.readers.microscopes import czi, lif, nd2, ndtiff
from napari_restore.images.readers.reader import Reader

READERS: dict[str, Reader] = {
    "NDTiff data sets": ndtiff,  # before TIFF, because their files are TIFF too
    "TIFF": tiff,
    "OME-XML beside the TIFF files of its planes": companion,
    "Imaris": imaris,
    "HDF5": hdf5,
    "Zarr and OME-Zarr": zarr_arrays,
    "Zarr and OME-Zarr in one file": zipped,
    "CZI": czi,
    "ND2": nd2,
    "LIF": lif,
    "a pattern of TIFF files such as 'img_t*.tif'": file_series,
    "a list of the levels of a pyramid": levels,
    "an xarray.DataArray": xarray,
    "a masked array": masked,
    "a tensor of torch": tensors,
    "an array of numpy or dask": arrays,
}
"""Readers by the name of their format, in the order in which they are tried."""

ENDINGS = tuple(ending for reader in READERS.values() for ending in reader.ENDINGS)
"""Endings of all files that can be opened; some formats need optional packages."""


def what_can_be_opened() -> str:
    """Return the sentence that lists all formats.

    Examples
    --------
    >>> what_can_be_opened()[:50]
    'what can be opened: NDTiff data sets, TIFF (.tif, '
    """
    listed = [f"{name} ({', '.join(r.ENDINGS)})" if r.ENDINGS else name for name, r in READERS.items()]
    return f"what can be opened: {', '.join(listed)}; open other formats with their own reader and pass the array"
