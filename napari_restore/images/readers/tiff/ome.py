"""What the OME-XML of a TIFF says about scale, units and channels."""

from __future__ import annotations

__all__ = ["ome_metadata"]

from xml.etree import ElementTree

import numpy as np

from napari_restore.images.geometry import Sampling
from napari_restore.images.image import Channel
from napari_restore.images.readers.reader import pixel_sizes
from napari_restore.images.readers.tiff.metadata import TiffMetadata
from napari_restore.images.units import unit_name


def ome_metadata(xml: str, index: int, height: int, width: int, name: str = "") -> TiffMetadata:
    """Read the OME-XML of a TIFF.

    Parameters
    ----------
    xml : str
        The OME-XML.
    index : int
        Number of the image among those that have planes.
    height, width : int
        Size of a plane; metadata of another size are of another image and are not used.
    name : str
        Name of the image, if it has one.

    Returns
    -------
    TiffMetadata
        Pixel sizes with their units (micrometer and second unless the file says otherwise), channel names and colours.
        Where the file gives no Z step or time step, the positions and times of the planes do.
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
    units = {axis: unit_name(spelling) for axis, spelling in spelt.items()}
    channels = tuple(
        Channel(name=channel.get("Name"), color=_ome_color(channel.get("Color")))
        for channel in pixels.findall("{*}Channel")
    )
    return TiffMetadata(given, {axis: unit for axis, unit in units.items() if unit}, channels, notes=notes)


def _pixels(
    images: list[ElementTree.Element], index: int, height: int, width: int, name: str
) -> ElementTree.Element | None:
    """Return the Pixels of an image.

    An Image without a plane in the file is none of tifffile's series, so that numbers count those with planes. Some of
    them may be left out too, and then the name has to tell.
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
    """Return the distance of the first channel's planes along Z or T, its unit, and a note of where it is from."""
    others = {"Z": "T", "T": "Z"}[axis]
    planes = [plane for plane in pixels.findall("{*}Plane") if plane.get("TheC") == plane.get(f"The{others}") == "0"]
    try:
        places = {int(plane.attrib[f"The{axis}"]): float(plane.attrib[key]) for plane in planes}
    except (KeyError, ValueError):
        return None
    if sorted(places) != list(range(len(places))):
        return None
    sampling = Sampling.of(np.array([places[number] for number in sorted(places)]), tolerance=0.1)
    if sampling is None:
        return None
    unit = planes[0].get(f"{key}Unit") or ("s" if axis == "T" else "reference frame")
    return sampling.pixel_size, unit, f"The pixel size along {axis} is the mean step of the planes' {key}."


def _ome_color(value: str | None) -> str | None:
    """Return RRGGBB from OME's colour, RGBA packed into a signed integer of 32 bits."""
    try:
        return None if value is None else f"{(int(value) & 0xFFFFFFFF) >> 8:06X}"
    except ValueError:
        return None
