"""Open a TIFF with the OME-XML that describes it: its own, that of another file, or none if it cannot be used."""

from __future__ import annotations

__all__ = ["open_described"]

import os
import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from napari_restore.errors import SourceError
from napari_restore.images.guards.files import surroundings_of
from napari_restore.images.readers.tiff.file_set import (
    check_description,
    decoded,
    description,
    description_elsewhere,
    with_files_beside,
)

if TYPE_CHECKING:
    import tifffile

_NEEDED = ("Type", "DimensionOrder", "SizeX", "SizeY", "SizeZ", "SizeC", "SizeT")
"""Attributes of Pixels that OME requires."""
_DESCRIPTION = 270
"""Number of the tag ImageDescription."""
_BARE = re.compile(r"&(?!(?:\w+|#\w+);)|[\x00-\x08\x0b\x0c\x0e-\x1f]")
"""Characters that XML does not allow in text: a bare ampersand, and control characters."""


def open_described(path: str) -> tuple[tifffile.TiffFile, tuple[str, ...]]:
    """Open a TIFF with the OME-XML that describes it.

    Parameters
    ----------
    path : str
        Path of the file.

    Returns
    -------
    tiff : tifffile.TiffFile
        The file; the file with the OME-XML, if that is another TIFF of the set.
    notes : tuple of str
        Notes on an OME-XML that is missing, repaired or not used.

    Raises
    ------
    SourceError
        If the OME-XML describes too many planes, or names files that may not be read.
    """
    import tifffile

    tiff = _opened(path)
    xml = tiff.ome_metadata if tiff.is_ome else None
    elsewhere = description_elsewhere(xml or "", path)
    if elsewhere is None:
        return _checked(tiff, path, xml)
    if not os.path.isfile(elsewhere):
        return tiff, (
            f"The file says that {os.path.basename(elsewhere)} describes it, which does not exist: the image is what "
            "this one file holds, without pixel size and channels.",
        )
    tiff.close()
    if elsewhere.lower().endswith((".ome", ".xml")):
        xml = description(elsewhere)
        return _checked(tifffile.TiffFile(path, omexml=xml), path, xml)
    surroundings_of(path).check(elsewhere)
    tiff = tifffile.TiffFile(elsewhere)
    return _checked(tiff, elsewhere, tiff.ome_metadata if tiff.is_ome else None)


def _opened(path: str) -> tifffile.TiffFile:
    """Open a file; tifffile reads only OME-XML in UTF-8."""
    import tifffile

    tiff = tifffile.TiffFile(path)
    try:
        tag = tiff.pages.first.tags.get(_DESCRIPTION)
        if tiff.is_ome or tag is None or not str(tag.value).startswith(("\xff\xfe", "\xfe\xff")):
            return tiff
        tiff.filehandle.seek(tag.valueoffset)
        xml = decoded(tiff.filehandle.read(tag.count)).rstrip("\0").strip()
        if not xml.endswith("OME>"):
            return tiff
    except BaseException:
        tiff.close()
        raise
    tiff.close()
    return tifffile.TiffFile(path, omexml=xml)


def _checked(tiff: tifffile.TiffFile, path: str, xml: str | None) -> tuple[tifffile.TiffFile, tuple[str, ...]]:
    """Restrict the files that an OME-XML names to those that may be read; reopen the file if the OME-XML changes."""
    import tifffile

    if xml is None:
        return tiff, ()
    usable, root, why = _parsed(xml)
    notes: tuple[str, ...] = ()
    if why:
        tiff.close()
        note = f"The OME-XML is not used, because {why}: pixel size and channels are unknown."
        return tifffile.TiffFile(path, is_ome=False), (note,)
    if usable != xml:
        notes = ("The OME-XML has characters that XML does not allow; it is read without them.",)
    try:
        check_description(root, path)
        checked = with_files_beside(usable, path)
    except SourceError:
        tiff.close()
        raise
    if checked == xml:
        return tiff, notes
    tiff.close()
    return tifffile.TiffFile(path, omexml=checked), notes


def _parsed(xml: str) -> tuple[str, ElementTree.Element, str]:
    """Return an OME-XML that can be parsed, its root, and why it cannot be used, an empty text if it can."""
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError as error:
        repaired = _BARE.sub(lambda found: "&amp;" if found[0] == "&" else "", xml)
        if repaired == xml:
            return xml, ElementTree.Element("OME"), f"it is no valid XML ({error})"
        return _parsed(repaired)
    faults = (_fault(pixels) for pixels in root.iter() if pixels.tag.endswith("Pixels"))
    return xml, root, next(filter(None, faults), "")


def _fault(pixels: ElementTree.Element) -> str:
    """Return why a Pixels element cannot be used, an empty text if it can."""
    missing = [name for name in _NEEDED if pixels.get(name) is None]
    order = pixels.get("DimensionOrder", "")
    if missing:
        return f"its element Pixels has no {', '.join(missing)}"
    if not order.startswith("XY") or sorted(order) != sorted("XYZCT"):
        return f"its dimension order is {order!r}, and OME has XY and then Z, C and T in any order"
    sizes = {name: pixels.get(name, "") for name in _NEEDED[2:]}
    odd = next((name for name, size in sizes.items() if not size.isdecimal() or int(size) < 1), None)
    return f"its {odd} is {sizes[odd]!r}" if odd else ""
