"""Read pixel size, units and channels from the OME-XML of a TIFF."""

from __future__ import annotations

__all__ = ["ome_metadata"]

from xml.etree import ElementTree

import numpy as np

from napari_restore.images.geometry import Sampling
from napari_restore.images.image import Channel
from napari_restore.images.readers.reader import pixel_sizes
from napari_restore.images.readers.tiff.metadata import TiffMetadata
from napari_restore.images.units import named_units

_NO_LENGTH = "reference frame"
"""Unit of OME for positions in an unknown unit."""


def ome_metadata(xml: str, index: int, height: int, width: int, name: str = "") -> TiffMetadata:
    """Read the OME-XML of a TIFF.

    Parameters
    ----------
    xml : str
        The OME-XML.
    index : int
        Number of the image among those with planes.
    height, width : int
        Shape of a plane in pixels; metadata of another shape belong to another image and are not used.
    name : str
        Name of the image; empty if it has none.

    Returns
    -------
    TiffMetadata
        Pixel sizes with their units (by default micrometer and second), channel names and colours. If the file has no Z
        step or time step, it is computed from the positions or times of the planes.
    """
    try:
        images = ElementTree.fromstring(xml).findall("{*}Image")
    except ElementTree.ParseError:
        return TiffMetadata()
    pixels = _pixels(images, index, height, width, name)
    if pixels is None:
        return TiffMetadata(notes=("The OME-XML describes no image of this name and size; it is not used.",))
    attributes = {"X": "PhysicalSizeX", "Y": "PhysicalSizeY", "Z": "PhysicalSizeZ", "T": "TimeIncrement"}
    given, notes = pixel_sizes({axis: pixels.get(key) for axis, key in attributes.items()})
    spelt = {axis: pixels.get(f"{attributes[axis]}Unit") or ("s" if axis == "T" else "µm") for axis in given}
    for axis, key in (("Z", "PositionZ"), ("T", "DeltaT")):
        if axis not in given and (step := _step(pixels, axis, key)):
            given[axis], spelt[axis], note = step
            notes += (note,)
    units, unknown = named_units(
        {axis: None if spelling == _NO_LENGTH else spelling for axis, spelling in spelt.items()}
    )
    channels = tuple(
        Channel(name=channel.get("Name"), color=_ome_color(channel.get("Color")))
        for channel in pixels.findall("{*}Channel")
    )
    return TiffMetadata(given, units, channels, notes=(*notes, *unknown))


def _pixels(
    images: list[ElementTree.Element], index: int, height: int, width: int, name: str
) -> ElementTree.Element | None:
    """Return the Pixels of an image.

    tifffile has no series for an Image without planes in the file, so numbers count the Images with planes. tifffile
    may leave out some of them too; then the name identifies the Image.
    """
    found = [(image.get("Name") or "", pixels) for image in images if (pixels := image.find("{*}Pixels")) is not None]
    found = [one for one in found if one[1].find("{*}TiffData") is not None] or found
    size = (str(height), str(width))
    fits = [(label, pixels) for label, pixels in found if (pixels.get("SizeY"), pixels.get("SizeX")) == size]
    if index < len(found) and found[index] in fits and found[index][0] == (name or found[index][0]):
        return found[index][1]
    named = [pixels for label, pixels in fits if name and label == name]
    return named[0] if len(named) == 1 else None


def _step(pixels: ElementTree.Element, axis: str, key: str) -> tuple[float, str, str] | None:
    """Return the distance of the planes of the first channel along Z or T, its unit, and a note on its origin."""
    others = {"Z": "T", "T": "Z"}[axis]
    planes = [plane for plane in pixels.findall("{*}Plane") if plane.get("TheC") == plane.get(f"The{others}") == "0"]
    try:
        positions = {int(plane.attrib[f"The{axis}"]): float(plane.attrib[key]) for plane in planes}
    except (KeyError, ValueError):
        return None
    if sorted(positions) != list(range(len(positions))):
        return None
    sampling = Sampling.of(np.array([positions[number] for number in sorted(positions)]), tolerance=0.1)
    if sampling is None:
        return None
    unit = planes[0].get(f"{key}Unit") or ("s" if axis == "T" else _NO_LENGTH)
    return sampling.pixel_size, unit, f"The pixel size along {axis} is the mean step of the planes' {key}."


def _ome_color(value: str | None) -> str | None:
    """Convert OME's colour, RGBA packed into a signed 32-bit integer, to RRGGBB."""
    try:
        return None if value is None else f"{(int(value) & 0xFFFFFFFF) >> 8:06X}"
    except ValueError:
        return None
