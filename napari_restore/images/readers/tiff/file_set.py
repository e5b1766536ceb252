"""Find the files of an OME-TIFF of several files, and the file that describes them.

Each file contains the whole OME-XML, or a ``BinaryOnly`` element with the name of the file that contains it: a TIFF of
the set or a companion file (``cells.companion.ome``). The OME-XML names the file of each plane.
"""

from __future__ import annotations

__all__ = [
    "check_description",
    "decoded",
    "description",
    "description_elsewhere",
    "files_of",
    "others_of_set",
    "with_files_beside",
]

import html
import math
import os
import re
from pathlib import Path
from xml.etree import ElementTree

from napari_restore.errors import SourceError
from napari_restore.images.guards.files import surroundings_of

_MOST_PLANES = 10**7
"""Largest number of planes that an OME-XML may describe: tifffile makes a list of all planes first."""
_MOST_XML = 2**28
"""Largest size of a companion file in bytes."""
_FILE_NAMES = re.compile(r"""<(?:\w+:)?UUID\b[^>]*?\bFileName\s*=\s*["']([^"']+)["']""")


def description_elsewhere(xml: str, path: str) -> str | None:
    """Return the path of the file with the OME-XML of a set, if that is another file.

    Parameters
    ----------
    xml : str
        OME-XML of a file of the set.
    path : str
        Path of that file.

    Returns
    -------
    str or None
        A path in the same folder, which need not exist; None if `xml` itself is the description.
    """
    if "BinaryOnly" not in xml:
        return None
    try:
        pointer = ElementTree.fromstring(xml).find("{*}BinaryOnly")
    except ElementTree.ParseError:
        return None
    name = None if pointer is None else pointer.get("MetadataFile")
    return _beside(path, name) if name else None


def description(path: str) -> str:
    """Read the OME-XML of a TIFF or of a companion file.

    Raises
    ------
    OSError
        If the file cannot be read.
    SourceError
        If it contains no OME-XML.
    """
    import tifffile

    surroundings_of(path).check(path)
    content = b""
    if path.lower().endswith((".ome", ".xml")):
        if os.path.getsize(path) > _MOST_XML:
            raise SourceError(
                f"{path} is {os.path.getsize(path)} bytes long, too much for an OME-XML; export it again."
            )
        content = Path(path).read_bytes()
    if content:
        text: str | None = decoded(content)
    else:
        with tifffile.TiffFile(path) as tiff:
            text = tiff.ome_metadata
    if not text or not text.strip().endswith("OME>"):
        raise SourceError(f"{path} holds no OME-XML; copy or export the image again.")
    return text


def decoded(content: bytes) -> str:
    """Decode XML from UTF-16 with a byte order mark, or else from the encoding that it names, or else from UTF-8."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    named = re.match(rb"""<\?xml[^>]*encoding\s*=\s*["']([\w.-]+)""", content)
    name = named[1].decode() if named else ""
    try:
        return content.decode("utf-8-sig" if not name or name.lower().startswith("utf") else name)
    except (LookupError, UnicodeDecodeError):
        return content.decode("utf-8-sig", errors="replace")


def check_description(root: ElementTree.Element, path: str) -> None:
    """Refuse an OME-XML that describes too many planes, before tifffile makes a list of them.

    Parameters
    ----------
    root : xml.etree.ElementTree.Element
        Root of the OME-XML.
    path : str
        Name of the file in messages.

    Raises
    ------
    SourceError
        If it describes more than ten million planes.
    """
    counts = [_planes(pixels) for pixels in root.iter() if pixels.tag.endswith("Pixels")]
    counts += [_labels(along) for along in root.iter() if re.search(r"}?ModuloAlong.$", along.tag)]
    most = max(counts, default=0)
    if most > _MOST_PLANES:
        raise SourceError(
            f"{path} says that it has {most} planes, which no image has ({_MOST_PLANES} at most); its OME-XML is "
            "damaged, or made to fill the memory. Copy or export the image again."
        )


def _planes(pixels: ElementTree.Element) -> int:
    """Return the number of planes that a Pixels element, or one TiffData element in it, declares."""
    sizes = [abs(_integer(pixels.get(f"Size{axis}"))) for axis in "TCZ"]
    counts = [data.get(name) for data in pixels.findall("{*}TiffData") for name in ("PlaneCount", "NumPlanes")]
    return max([math.prod(sizes), *map(_integer, counts)])


def _labels(along: ElementTree.Element) -> int:
    """Return the number of parts that an element divides its axis into."""
    try:
        start, end, step = (float(along.get(name, default)) for name, default in _MODULO)
        return int(min(abs((end - start) / step), 1e18)) if step else 10**18
    except (ValueError, OverflowError):
        return 0


_MODULO = (("Start", "0"), ("End", "0"), ("Step", "1"))


def _integer(text: str | None) -> int:
    try:
        return int(text or 0)
    except ValueError:
        return 0


def with_files_beside(xml: str, path: str) -> str:
    """Check the files that an OME-XML names, and replace paths by the names of files beside the image.

    A path of the machine that wrote the file set is replaced by its last part if the folder has a file of that name.

    Parameters
    ----------
    xml : str
        The OME-XML.
    path : str
        Path of the file that contains it.

    Returns
    -------
    str
        OME-XML that names only files that may be read.

    Raises
    ------
    SourceError
        If a named file exists, but is outside the folder or not a regular file; see
        `napari_restore.images.guards.files.Surroundings`.
    """
    surroundings, folder = surroundings_of(path), os.path.dirname(os.path.abspath(path))
    for name in dict.fromkeys(_FILE_NAMES.findall(xml)):
        named = os.path.join(folder, html.unescape(name))
        if named != _beside(path, name) and os.path.isfile(_beside(path, name)):
            xml = re.sub(rf"""(?<=["']){re.escape(name)}(?=["'])""", _last_part(name), xml)
            named = _beside(path, name)
        surroundings.check(named)
    return xml


def _last_part(name: str) -> str:
    return re.split(r"[/\\]", name)[-1]


def files_of(xml: str, path: str) -> list[str]:
    """Return the absolute paths of the files named in OME-XML, in order, each once.

    Parameters
    ----------
    xml : str
        The OME-XML.
    path : str
        Path of the file that contains it.
    """
    return list(dict.fromkeys(_beside(path, name) for name in _FILE_NAMES.findall(xml)))


def others_of_set(path: str) -> list[str]:
    """Return the other files of the set that a file belongs to.

    Parameters
    ----------
    path : str
        Absolute path of a TIFF or a companion file.

    Returns
    -------
    list of str
        Absolute paths, which need not exist; empty for any other file, and for a file that cannot be read.
    """
    if not path.lower().endswith((".ome.tif", ".ome.tiff", ".ome.btf", ".ome.tf2", ".ome.tf8", ".companion.ome")):
        return []
    try:
        xml = description(path)
        elsewhere = description_elsewhere(xml, path)
        files = files_of(description(elsewhere) if elsewhere else xml, path)
    except Exception:  # opening the file reports the error
        return []
    return [other for other in dict.fromkeys([*files, *([elsewhere] if elsewhere else [])]) if other != path]


def _beside(path: str, name: str) -> str:
    """Return the path of a named file beside another file; a folder in the name is ignored, as folders get moved."""
    return os.path.join(os.path.dirname(os.path.abspath(path)), re.split(r"[/\\]", html.unescape(name))[-1])
