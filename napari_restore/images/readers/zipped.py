"""Read a Zarr in one ZIP file: ``.ozx`` (OME-Zarr) and ``.zarr.zip``."""

from __future__ import annotations

__all__ = ["ENDINGS", "inside", "is_zipped", "node_at", "open", "recognises"]

import os
import zipfile
from typing import TYPE_CHECKING, Any

from napari_restore.errors import RestoreError, SourceError
from napari_restore.images.guards.zarr_keys import MARKS, METADATA
from napari_restore.images.image import Image
from napari_restore.images.readers import zarr_arrays
from napari_restore.images.readers.reader import begins_with

if TYPE_CHECKING:
    import zarr

ENDINGS = (".ozx", ".zarr.zip")

_MOST_METADATA = 2**26
"""Largest size of the metadata of a node in bytes; larger metadata could fill the memory."""
_BOMB = 2**28
"""Size in bytes above which a compression ratio of more than 100 is refused: chunks are compressed already."""


def is_zipped(path: str) -> bool:
    """Check by its name and first bytes whether a file is a Zarr in a ZIP archive.

    Parameters
    ----------
    path : str
        Path of the file.

    Returns
    -------
    bool
        Whether it is one.
    """
    return path.lower().endswith(ENDINGS) and begins_with(path, b"PK\x03\x04", b"PK\x05\x06")


def recognises(source: Any) -> bool:
    """Check whether a source is the path of a Zarr in one file, or of a node in such a file."""
    return isinstance(source, str) and (found := _split(source)) is not None and is_zipped(found[0])


def _split(path: str) -> tuple[str, str] | None:
    """Split a path into a file and a node in it: ``"a.ozx/A/1/0"`` and ``"a.ozx::A/1/0"`` mean the same."""
    parts = path.replace("::", "/").split("/")
    for count in range(len(parts), 0, -1):
        file = "/".join(parts[:count])
        if file.lower().endswith(ENDINGS) and os.path.isfile(file):
            return file, "/".join(part for part in parts[count:] if part)
    return None


def open(source: str, *, axes: str | None = None, level: int = 0, series: int | str = 0) -> Image:
    """Open an image of a Zarr in one file without reading pixels.

    Parameters
    ----------
    source : str
        Absolute path of the file; optionally "/" or "::" and the path of an image in it.
    axes, level, series
        See `napari_restore.images.readers.zarr_arrays.open`.

    Returns
    -------
    Image
        The image. Reading a region reads single members of the archive.

    Raises
    ------
    AxesError, SourceError
        See `napari_restore.images.readers.zarr_arrays.open`; also if the archive is damaged, or contains no Zarr.
    """
    path, node = _split(source) or (source, "")
    location = f"{path}/{node}" if node else path
    return zarr_arrays.open_node(inside(path, node), location, axes, level, series)


def inside(path: str, node: str = "") -> zarr.Group | zarr.Array[Any]:
    """Open a node of a Zarr in one file.

    Parameters
    ----------
    path : str
        Path of the file.
    node : str
        Path of the node; by default the root.

    Returns
    -------
    zarr.Group or zarr.Array
        The node, read-only.

    Raises
    ------
    SourceError
        If the archive is damaged, or contains no such node.
    """
    import zarr
    from zarr.storage import ZipStore

    try:
        with zipfile.ZipFile(path) as archive:
            root = _root(archive, path)
        return zarr.open(ZipStore(path, mode="r"), path="/".join(filter(None, (root, node))), mode="r")
    except (RestoreError, MemoryError):
        raise
    except FileNotFoundError as error:
        raise SourceError(f"{path} has no {node or 'Zarr'} in it; check the path behind the file.") from error
    except Exception as error:
        raise SourceError(f"{path} cannot be read as a Zarr in a file: {error!r}. Copy the file again.") from error


def node_at(location: str) -> zarr.Group | zarr.Array[Any]:
    """Open a node of a Zarr in a folder, at a URL or in one file, with the checks of `guarded_store`.

    Parameters
    ----------
    location : str
        Absolute path or URL; optionally of a node in a file, such as ``"a.ozx/A/1/0"``.

    Returns
    -------
    zarr.Group or zarr.Array
        The node, read-only.

    Raises
    ------
    SourceError
        If a file is damaged, or contains no such node.
    FileNotFoundError
        If there is no Zarr in the folder or at the URL.
    """
    import zarr

    from napari_restore.images.guards.zarr_store import guarded_store

    if recognises(location):
        return inside(*(_split(location) or (location,)))
    return zarr.open(guarded_store(location), mode="r")


def _root(archive: zipfile.ZipFile, path: str) -> str:
    """Return the folder of the Zarr in the archive: the outermost one that has metadata."""
    folders = []
    for member in archive.infolist():
        folder, _, name = member.filename.rpartition("/")
        if name in MARKS:
            folders.append(folder)
        if name in METADATA and member.file_size > _MOST_METADATA:
            raise SourceError(f"{path}: {member.filename} has {member.file_size} bytes, which no metadata have.")
        if member.file_size > max(_BOMB, 100 * member.compress_size):
            raise SourceError(
                f"{path}: {member.filename} would become {member.file_size} bytes of {member.compress_size}, and could "
                "fill the memory; store the members of the archive without compression."
            )
    if not folders:
        raise SourceError(f"{path} holds no Zarr: none of its files is called {', '.join(MARKS)}.")
    return min(folders, key=lambda folder: (folder.count("/") + bool(folder), folder))
