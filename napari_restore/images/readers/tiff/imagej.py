"""Read pixel size, units, colours and display limits of an ImageJ TIFF."""

from __future__ import annotations

__all__ = ["imagej_metadata"]

from collections.abc import Mapping
from typing import Any

import numpy as np

from napari_restore.images.image import Channel
from napari_restore.images.readers.reader import pixel_sizes
from napari_restore.images.readers.tiff.metadata import TiffMetadata, positive
from napari_restore.images.units import unit_name


def imagej_metadata(metadata: Mapping[str, Any], resolution: tuple[float, float], channels: int | None) -> TiffMetadata:
    """Read the metadata of an ImageJ TIFF.

    Parameters
    ----------
    metadata : mapping
        The metadata as tifffile returns them.
    resolution : tuple of float
        Pixels per unit along X and Y, from the resolution tags.
    channels : int or None
        Length of C; None for an image without C.

    Returns
    -------
    TiffMetadata
        Pixel sizes if the file has a unit other than pixels, the spacing of slices with its sign, the origin, colours
        from the lookup tables, display limits.
    """
    unit = metadata.get("unit")
    spelt = {"X": unit, "Y": metadata.get("yunit", unit), "Z": metadata.get("zunit", unit)}
    units = {axis: unit_name(spelling) for axis, spelling in {**spelt, "T": metadata.get("tunit", "sec")}.items()}
    per_x, per_y = (positive(value) for value in resolution)
    told = {"X": per_x and 1 / per_x, "Y": per_y and 1 / per_y, "Z": metadata.get("spacing")}
    calibrated = {axis: size for axis, size in told.items() if units[axis]}
    given, notes = pixel_sizes({**calibrated, "T": metadata.get("finterval")})
    origin = {axis: -start * given[axis] for axis in calibrated if (start := _origin(metadata, axis)) and axis in given}
    described = _imagej_channels(metadata, 1 if channels is None else channels)
    named = {axis: name for axis in given if (name := units[axis])}
    return TiffMetadata(given, named, described, origin, notes)


def _origin(metadata: Mapping[str, Any], axis: str) -> float | None:
    """Return the pixel of ImageJ's coordinate origin along an axis."""
    try:
        return float(metadata[f"{axis.lower()}origin"])
    except (KeyError, TypeError, ValueError):
        return None


def _imagej_channels(metadata: Mapping[str, Any], count: int) -> tuple[Channel, ...]:
    """Return channels with colours and display limits; an empty tuple if the file has neither."""
    limits = metadata.get("Ranges")
    if limits is None and count == 1 and {"min", "max"} <= metadata.keys():
        limits = (metadata["min"], metadata["max"])
    tables = metadata.get("LUTs")
    colors: list[str | None] = [None] * count
    windows: list[tuple[float, float] | None] = [None] * count
    if isinstance(tables, list) and len(tables) >= count and metadata.get("mode") != "grayscale":
        colors = [_lookup_color(table) for table in tables[:count]]
    if limits is not None and len(limits) >= 2 * count:
        windows = [(float(limits[2 * n]), float(limits[2 * n + 1])) for n in range(count)]
    described = tuple(Channel(color=c, window=w) for c, w in zip(colors, windows, strict=True))
    return described if any(channel != Channel() for channel in described) else ()


def _lookup_color(table: Any) -> str | None:
    """Return the colour of the largest value of a lookup table of shape (3, 256)."""
    table = np.asarray(table)
    return None if table.shape != (3, 256) else "".join(f"{int(value):02X}" for value in table[:, -1])
