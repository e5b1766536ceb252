"""What the OME-XML of a TIFF says about scale, units and channels."""

from __future__ import annotations

__all__ = ["ome_metadata"]

from xml.etree import ElementTree

from napari_restore.images.image import Channel
from napari_restore.images.readers.reader import pixel_sizes
from napari_restore.images.readers.tiff.metadata import TiffMetadata
from napari_restore.images.units import unit_name


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
    given, notes = pixel_sizes({axis: pixels.get(key) for axis, key in attributes.items()})
    spelt = {axis: pixels.get(f"{attributes[axis]}Unit") or ("s" if axis == "T" else "µm") for axis in given}
    units = {axis: unit_name(spelling) for axis, spelling in spelt.items()}
    channels = tuple(
        Channel(name=channel.get("Name"), color=_ome_color(channel.get("Color")))
        for channel in pixels.findall("{*}Channel")
    )
    return TiffMetadata(given, {axis: unit for axis, unit in units.items() if unit}, channels, notes=notes)


def _ome_color(value: str | None) -> str | None:
    """Return RRGGBB from OME's colour, RGBA packed into a signed integer of 32 bits."""
    try:
        return None if value is None else f"{(int(value) & 0xFFFFFFFF) >> 8:06X}"
    except ValueError:
        return None
