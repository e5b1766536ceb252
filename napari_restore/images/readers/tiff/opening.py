"""Open a TIFF as an image: axes, pixel size, units and channels. No pixels are read."""

from __future__ import annotations

__all__ = ["ENDINGS", "open", "open_array", "recognises"]

import os
from typing import Any

import numpy as np

from napari_restore.errors import AxesError
from napari_restore.images.axes import CANONICAL, canonical_axes, check_axes, transposition
from napari_restore.images.cf_attributes import representable
from napari_restore.images.geometry import Sampling
from napari_restore.images.image import Image, LazyArray
from napari_restore.images.readers.reader import begins_with
from napari_restore.images.readers.tiff.array import TiffArray, array_of
from napari_restore.images.readers.tiff.file import OpenedSeries, open_series, page_shape
from napari_restore.images.readers.tiff.imagej import imagej_metadata
from napari_restore.images.readers.tiff.makers import makers_metadata
from napari_restore.images.readers.tiff.meaning import notes_on_meaning
from napari_restore.images.readers.tiff.metadata import TiffMetadata
from napari_restore.images.readers.tiff.ome import ome_metadata
from napari_restore.ways_out import name_axes

ENDINGS = (".tif", ".tiff", ".btf", ".tf2", ".tf8", ".lsm", ".stk", ".svs", ".ndpi", ".scn", ".qptiff")

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def recognises(source: Any) -> bool:
    """Check by its first bytes whether a file is a TIFF or a BigTIFF."""
    return begins_with(source, *_MAGIC)


def open(source: str, *, axes: str | None = None, level: int = 0, series: int | str = 0) -> Image:
    """Open a TIFF file without reading pixels.

    Parameters
    ----------
    source : str
        Path of the file, or of any file of an OME-TIFF of several files.
    axes : str, optional
        One letter of "TCZYXS" per dimension; they override those of the file.
    level : int
        Level of a pyramid, 0 being the largest.
    series : int or str
        Number or name of the image in the file.

    Returns
    -------
    Image
        The image, with axes, pixel size, units and channels as far as the file has them.

    Raises
    ------
    AxesError
        If the file does not define the axes, or `axes` does not fit.
    SourceError
        If the file is truncated or damaged, or has no such series or level.
    """
    path = os.path.abspath(source)
    opened = open_series(path, series, level)
    split = axes is None or len(axes) <= len(opened.shape)
    if not split:  # letters for all axes: what would be an image each is one of them
        opened.tiff.close()
        opened = open_series(path, series, level, split=False)
    try:
        letters = _axes_of(path, opened, axes)
        described = _metadata_of(opened)
        data = array_of(path, opened, split=split)
    except BaseException:
        opened.tiff.close()
        raise
    sizes, origin = _scaled(described, opened)
    chunks = data.chunks if isinstance(data, TiffArray) else page_shape(opened.pages)
    canonical = canonical_axes(letters)
    count = opened.shape[letters.index("C")] if "C" in letters else 0 if "S" in letters else 1
    several = len(opened.names) > 1
    return Image(
        data=data,
        axes=letters,
        name=f"{os.path.basename(path)} {opened.names[opened.number] if several else ''}".strip(),
        pixel_size={axis: size for axis, size in sizes.items() if axis in letters},
        origin={axis: start for axis, start in origin.items() if axis in letters},
        units={axis: unit for axis, unit in described.units.items() if axis in letters},
        channels=described.channels if len(described.channels) == count else (),
        chunks=tuple(chunks[i] for i in transposition(letters, canonical)),
        location=path,
        series_count=len(opened.names),
        series_names=opened.names if several else (),
        notes=(*opened.notes, *described.notes, *notes_on_meaning(opened.tiff, opened.whole)),
        missing_values=representable([opened.nodata], np.dtype(data.dtype)),
    )


def open_array(path: str, *, level: int = 0, series: int | str = 0) -> LazyArray:
    """Open the pixels of a TIFF file without interpreting the axes.

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
    return array_of(path, open_series(path, series, level))


def _axes_of(path: str, opened: OpenedSeries, axes: str | None) -> str:
    if axes is not None:
        return check_axes(axes, opened.shape)
    unknown = sorted(set(opened.axes) - set(CANONICAL))
    if unknown or not {"Y", "X"} <= set(opened.axes):
        because = f" ({opened.notes[0].rstrip('.')})" if opened.notes else ""
        raise AxesError(
            f"{path} does not define its axes: shape {opened.shape} is {opened.axes!r} to tifffile{because}",
            name_axes(len(opened.shape)),
        )
    return check_axes(opened.axes, opened.shape)


def _metadata_of(opened: OpenedSeries) -> TiffMetadata:
    tiff, series = opened.tiff, opened.whole
    sizes = dict(zip(series.axes, series.shape, strict=True))
    if tiff.is_ome and tiff.ome_metadata:
        return ome_metadata(tiff.ome_metadata, opened.index, sizes.get("Y", 0), sizes.get("X", 0), series.name)
    if tiff.is_imagej and tiff.imagej_metadata:
        return imagej_metadata(tiff.imagej_metadata, series.keyframe.resolution, sizes.get("C"))
    return makers_metadata(tiff, series)


def _scaled(described: TiffMetadata, opened: OpenedSeries) -> tuple[dict[str, float], dict[str, float]]:
    """Return pixel size and origin of a level of a pyramid, whose pixels are means over `factor` pixels of level 0."""
    base, chosen = opened.whole, opened.pages
    sizes, origin = dict(described.pixel_size), dict(described.origin)
    for axis, whole, part in zip(base.axes, base.shape, chosen.shape, strict=True):
        factor = float(round(whole / part))
        if part not in (whole // factor, -(-whole // factor)):
            factor = whole / part
        if factor != 1:
            coarse = Sampling(sizes.get(axis, 1.0), origin.get(axis, 0.0)).downscaled(factor)
            sizes[axis], origin[axis] = coarse.pixel_size, coarse.origin
    return sizes, origin
