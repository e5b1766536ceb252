"""What a TIFF says about scale, units and channels, in the dialects of OME and ImageJ.

The resolution tags of a plain TIFF are not used: most programs fill them with the dots per inch of a printer.
"""

from __future__ import annotations

__all__ = ["TiffMetadata", "imagej_metadata", "ome_metadata"]

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

import numpy as np

from napari_restore.images.image import Channel
from napari_restore.images.units import unit_name


@dataclass(frozen=True)
class TiffMetadata:
    """Scale, units and channels, as in `napari_restore.images.image.Image`."""

    pixel_size: dict[str, float] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    channels: tuple[Channel, ...] = ()


def ome_metadata(xml: str, index: int, height: int, width: int) -> TiffMetadata:
    """Read the OME-XML of a TIFF.

    Parameters
    ----------
    xml : str
        The OME-XML.
    index : int
        Number of the image in it.
    height, width : int
        Size of a plane; metadata of another size are of another image and are not used.

    Returns
    -------
    TiffMetadata
        Pixel sizes with their units (micrometer and second unless the file says otherwise), channel names and colours.
    """
    try:
        pixels = ElementTree.fromstring(xml).findall("{*}Image")[index].find("{*}Pixels")
    except (ElementTree.ParseError, IndexError):
        return TiffMetadata()
    if pixels is None or (pixels.get("SizeY"), pixels.get("SizeX")) != (str(height), str(width)):
        return TiffMetadata()
    attributes = {"X": "PhysicalSizeX", "Y": "PhysicalSizeY", "Z": "PhysicalSizeZ", "T": "TimeIncrement"}
    found = {axis: (_number(pixels.get(key)), pixels.get(f"{key}Unit")) for axis, key in attributes.items()}
    given = {axis: size for axis, (size, _) in found.items() if size is not None}
    units = {axis: unit_name(found[axis][1] or ("s" if axis == "T" else "µm")) for axis in given}
    channels = tuple(
        Channel(name=channel.get("Name"), color=_ome_color(channel.get("Color")))
        for channel in pixels.findall("{*}Channel")
    )
    return TiffMetadata(given, {axis: unit for axis, unit in units.items() if unit}, channels)


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
        per_x, per_y = (_number(value) for value in resolution)
        sizes = {"X": per_x and 1 / per_x, "Y": per_y and 1 / per_y, "Z": _number(metadata.get("spacing"))}
        units = dict.fromkeys("ZYX", unit)
    sizes["T"] = _number(metadata.get("finterval"))
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


def _ome_color(value: str | None) -> str | None:
    """Return RRGGBB from OME's colour, RGBA packed into a signed integer of 32 bits."""
    try:
        return None if value is None else f"{(int(value) & 0xFFFFFFFF) >> 8:06X}"
    except ValueError:
        return None


def _number(value: Any) -> float | None:
    """Return a positive finite number, or None."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and number > 0 else None
