"""Read pixel size, units, colours and display limits of an ImageJ TIFF."""

from __future__ import annotations

__all__ = ["imagej_metadata"]

from collections.abc import Mapping
from typing import Any

import numpy as np

from napari_restore.images.image import Channel
from napari_restore.images.readers.reader import pixel_sizes
from napari_restore.images.readers.tiff.metadata import TiffMetadata, positive
from napari_restore.images.units import means_no_unit, named_units


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
    per_x, per_y = (positive(value) for value in resolution)
    told = {"X": per_x and 1 / per_x, "Y": per_y and 1 / per_y, "Z": metadata.get("spacing")}
    calibrated = {axis: size for axis, size in told.items() if not means_no_unit(spelt[axis])}
    given, notes = pixel_sizes({**calibrated, "T": metadata.get("finterval")})
    units, unknown = named_units({axis: {**spelt, "T": metadata.get("tunit", "sec")}[axis] for axis in given})
    origin = {axis: -start * given[axis] for axis in calibrated if (start := _origin(metadata, axis)) and axis in given}
    described = _imagej_channels(metadata, 1 if channels is None else channels)
    return TiffMetadata(given, units, described, origin, (*notes, *unknown, *_left_out(metadata, told, calibrated)))


def _left_out(metadata: Mapping[str, Any], told: Mapping[str, Any], calibrated: Mapping[str, Any]) -> tuple[str, ...]:
    """Return notes on sizes in pixels that are not 1, and on a calibration of the values."""
    bare = {axis: size for axis, size in told.items() if axis not in calibrated and positive(size) not in (None, 1.0)}
    sizes = ", ".join(f"{axis} {float(size):g}" for axis, size in bare.items())
    notes = [f"The file gives the pixel size {sizes} without a unit; it is left out."] if bare else []
    slope, offset = (_number(metadata.get(key)) for key in ("c1", "c0"))
    if offset is not None and slope is not None and (offset, slope) != (0.0, 1.0):
        notes.append(
            f"ImageJ shows the values of this file as {offset:g} + {slope:g} · value; they are restored as they are "
            "stored."
        )
    return tuple(notes)


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _origin(metadata: Mapping[str, Any], axis: str) -> float | None:
    """Return the pixel of ImageJ's coordinate origin along an axis."""
    return _number(metadata.get(f"{axis.lower()}origin"))


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
