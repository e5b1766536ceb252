"""OME-TIFFs of several files: which files belong together, and where the description of all of them is.

Each file holds the whole OME-XML, or a ``BinaryOnly`` element that names the file that does: a TIFF of the set or a
companion file (``cells.companion.ome``). The OME-XML names the file of each plane.
"""

from __future__ import annotations

__all__ = ["description", "description_elsewhere", "files_of", "others_of_set"]

import html
import os
import re
from pathlib import Path
from xml.etree import ElementTree

from napari_restore.errors import SourceError

_FILE_NAMES = re.compile(r"""<(?:\w+:)?UUID\b[^>]*?\bFileName\s*=\s*["']([^"']+)["']""")


def description_elsewhere(xml: str, path: str) -> str | None:
    """Return the path of the file that describes the planes of another one.

    Parameters
    ----------
    xml : str
        OME-XML of that other file.
    path : str
        Its path.

    Returns
    -------
    str or None
        A path in the same folder, whether or not the file is there; None where the OME-XML is the description.
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
        If there is no OME-XML in it.
    """
    import tifffile

    content = Path(path).read_bytes() if path.lower().endswith((".ome", ".xml")) else b""
    if content:
        text: str | None = content.decode("utf-8-sig", errors="replace")
    else:
        with tifffile.TiffFile(path) as tiff:
            text = tiff.ome_metadata
    if not text or not text.strip().endswith("OME>"):
        raise SourceError(f"{path} holds no OME-XML; copy or export the image again.")
    return text


def files_of(xml: str, path: str) -> list[str]:
    """Return the absolute paths of the files that an OME-XML names, in its order, each once.

    Parameters
    ----------
    xml : str
        The OME-XML.
    path : str
        Path of the file that it is from.
    """
    return list(dict.fromkeys(_beside(path, name) for name in _FILE_NAMES.findall(xml)))


def others_of_set(path: str) -> list[str]:
    """Return the other files of the OME-TIFF of several files that a file belongs to.

    Parameters
    ----------
    path : str
        Absolute path of a TIFF or a companion file.

    Returns
    -------
    list of str
        Absolute paths, whether or not the files are there; none for any other file, and for one that cannot be read.
    """
    if not path.lower().endswith((".ome.tif", ".ome.tiff", ".ome.btf", ".ome.tf2", ".ome.tf8", ".companion.ome")):
        return []
    try:
        xml = description(path)
        elsewhere = description_elsewhere(xml, path)
        files = files_of(description(elsewhere) if elsewhere else xml, path)
    except Exception:  # whatever is wrong with it is said when it is opened
        return []
    return [other for other in dict.fromkeys([*files, *([elsewhere] if elsewhere else [])]) if other != path]


def _beside(path: str, name: str) -> str:
    """Return the path of a file that another one names: by its name alone, for folders are moved and copied."""
    return os.path.join(os.path.dirname(os.path.abspath(path)), re.split(r"[/\\]", html.unescape(name))[-1])
