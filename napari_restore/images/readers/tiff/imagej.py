"""What an ImageJ TIFF says about scale, units, colours and display limits."""

from __future__ import annotations

__all__ = ["imagej_metadata"]

from collections.abc import Mapping
from typing import Any

import numpy as np

from napari_restore.images.image import Channel
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
        Length of C; None without C.

    Returns
    -------
    TiffMetadata
        Pixel sizes where the file has a unit other than pixels, colours from the lookup tables, display limits.
    """
    unit, frame_unit = unit_name(metadata.get("unit")), unit_name(metadata.get("tunit", "sec"))
    sizes: dict[str, float | None] = {}
    units: dict[str, str] = {}
    if unit:
        per_x, per_y = (positive(value) for value in resolution)
        sizes = {"X": per_x and 1 / per_x, "Y": per_y and 1 / per_y, "Z": positive(metadata.get("spacing"))}
        units = dict.fromkeys("ZYX", unit)
    sizes["T"] = positive(metadata.get("finterval"))
    if frame_unit:
        units["T"] = frame_unit
    given = {axis: size for axis, size in sizes.items() if size}
    described = _imagej_channels(metadata, 1 if channels is None else channels)
    return TiffMetadata(given, {axis: name for axis, name in units.items() if axis in given}, described)


def _imagej_channels(metadata: Mapping[str, Any], count: int) -> tuple[Channel, ...]:
    """Return colours and display limits, or nothing where the file has neither."""
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
