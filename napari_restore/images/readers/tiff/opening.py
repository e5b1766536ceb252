"""Opening a TIFF: which image of it, its axes, scale, units and channels. No pixels are read."""

from __future__ import annotations

__all__ = ["ENDINGS", "open", "open_array", "recognises"]

import os
from typing import TYPE_CHECKING, Any

from napari_restore.errors import AxesError
from napari_restore.images.axes import CANONICAL, canonical_axes, check_axes, transposition
from napari_restore.images.geometry import Sampling
from napari_restore.images.image import Image, LazyArray
from napari_restore.images.readers.reader import begins_with
from napari_restore.images.readers.tiff.array import TiffArray, array_of, page_shape
from napari_restore.images.readers.tiff.file import open_series
from napari_restore.images.readers.tiff.imagej import imagej_metadata
from napari_restore.images.readers.tiff.metadata import TiffMetadata
from napari_restore.images.readers.tiff.ome import ome_metadata

if TYPE_CHECKING:
    import tifffile

ENDINGS = (".tif", ".tiff", ".btf", ".tf2", ".tf8", ".lsm", ".stk", ".svs", ".ndpi", ".scn", ".qptiff")

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def recognises(source: Any) -> bool:
    """Tell from its first bytes whether a file is a TIFF or a BigTIFF."""
    return begins_with(source, *_MAGIC)


def open(source: str, *, axes: str | None = None, level: int = 0, series: int | str = 0) -> Image:
    """Open a TIFF file without reading pixels.

    Parameters
    ----------
    source : str
        Path of the file; of any one of them for an OME-TIFF of several files.
    axes : str, optional
        One letter of "TCZYXS" per dimension; they win over those of the file.
    level : int
        Level of a pyramid, 0 being the largest.
    series : int or str
        Number or name of the image in the file.

    Returns
    -------
    Image
        The image, its axes, pixel size, units and channels as far as the file tells.

    Raises
    ------
    AxesError
        If the file does not tell the axes, or `axes` does not fit.
    SourceError
        If the file is truncated or damaged, or has no such series or level.
    """
    path = os.path.abspath(source)
    tiff, chosen, base, number = open_series(path, series, level)
    try:
        letters = _axes_of(path, chosen, axes)
        described = _metadata_of(tiff, base, number)
        data = array_of(path, tiff, chosen, number, level)
    except BaseException:
        tiff.close()
        raise
    sizes, origin = _scaled(described, base, chosen)
    chunks = data.chunks if isinstance(data, TiffArray) else page_shape(chosen)
    canonical = canonical_axes(letters)
    count = chosen.shape[letters.index("C")] if "C" in letters else 0 if "S" in letters else 1
    return Image(
        data=data,
        axes=letters,
        name=os.path.basename(path) if len(tiff.series) == 1 else f"{os.path.basename(path)} {chosen.name}".strip(),
        pixel_size={axis: size for axis, size in sizes.items() if axis in letters},
        origin={axis: start for axis, start in origin.items() if axis in letters},
        units={axis: unit for axis, unit in described.units.items() if axis in letters},
        channels=described.channels if len(described.channels) == count else (),
        chunks=tuple(chunks[i] for i in transposition(letters, canonical)),
        location=path,
        series_count=len(tiff.series),
        notes=described.notes,
    )


def open_array(path: str, *, level: int = 0, series: int | str = 0) -> LazyArray:
    """Open the pixels of a TIFF file without asking what the axes mean.

    Parameters
    ----------
    path : str
        Path of the file.
    level, series : int
        As in `open`.

    Returns
    -------
    LazyArray
        The pixels, in the order of the file.

    Raises
    ------
    SourceError
        If the file is truncated or damaged, or has no such series or level.
    """
    path = os.path.abspath(path)
    tiff, chosen, _, number = open_series(path, series, level)
    return array_of(path, tiff, chosen, number, level)


def _axes_of(path: str, series: tifffile.TiffPageSeries, axes: str | None) -> str:
    if axes is not None:
        return check_axes(axes, series.shape)
    unknown = sorted(set(series.axes) - set(CANONICAL))
    if unknown or not {"Y", "X"} <= set(series.axes):
        raise AxesError(
            f"{path} does not tell what its axes mean: shape {series.shape} is {series.axes!r} to tifffile; "
            "pass axes= with one letter of TCZYXS per dimension, such as 'ZYX'."
        )
    return check_axes(series.axes, series.shape)


def _metadata_of(tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries, index: int) -> TiffMetadata:
    sizes = dict(zip(series.axes, series.shape, strict=True))
    if tiff.is_ome and tiff.ome_metadata:
        return ome_metadata(tiff.ome_metadata, index, sizes.get("Y", 0), sizes.get("X", 0))
    if tiff.is_imagej and tiff.imagej_metadata:
        return imagej_metadata(tiff.imagej_metadata, series.keyframe.resolution, sizes.get("C"))
    return TiffMetadata()


def _scaled(
    described: TiffMetadata, base: tifffile.TiffPageSeries, chosen: tifffile.TiffPageSeries
) -> tuple[dict[str, float], dict[str, float]]:
    """Return pixel size and origin at a level of a pyramid: its pixels are means over `factor` pixels of the base."""
    sizes, origin = dict(described.pixel_size), dict(described.origin)
    for axis, whole, part in zip(base.axes, base.shape, chosen.shape, strict=True):
        factor = float(round(whole / part))
        if part not in (whole // factor, -(-whole // factor)):
            factor = whole / part
        if factor != 1:
            coarse = Sampling(sizes.get(axis, 1.0), origin.get(axis, 0.0)).downscaled(factor)
            sizes[axis], origin[axis] = coarse.pixel_size, coarse.origin
    return sizes, origin
