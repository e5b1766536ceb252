"""A Zarr in one file: ``.ozx`` (OME-Zarr) and ``.zarr.zip``."""

from __future__ import annotations

__all__ = ["ENDINGS", "inside", "is_zipped", "open", "recognises"]

import os
import zipfile
from typing import TYPE_CHECKING, Any

from napari_restore.errors import RestoreError, SourceError
from napari_restore.images.image import Image
from napari_restore.images.readers import zarr_arrays
from napari_restore.images.readers.reader import begins_with

if TYPE_CHECKING:
    import zarr

ENDINGS = (".ozx", ".zarr.zip")

_MARKS = ("zarr.json", ".zarray", ".zgroup")
_MOST_METADATA = 2**26
"""Bytes that the metadata of a node have at most; larger ones would fill the memory."""
_BOMB = 2**28
"""Bytes from which a member that was compressed to less than a hundredth is refused: chunks are compressed already."""


def is_zipped(path: str) -> bool:
    """Tell from its name and its first bytes whether a file is a Zarr in a ZIP archive."""
    return path.lower().endswith(ENDINGS) and begins_with(path, b"PK\x03\x04", b"PK\x05\x06")


def recognises(source: Any) -> bool:
    """Tell whether a source is the path of a Zarr in one file, or of what is in one."""
    return isinstance(source, str) and (found := _split(source)) is not None and is_zipped(found[0])


def _split(path: str) -> tuple[str, str] | None:
    """Split a path into that of a file and that of a node in it: ``"a.ozx/A/1/0"`` and ``"a.ozx::A/1/0"`` mean one."""
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
        Absolute path of the file, with "/" or "::" and the path of an image in it behind.
    axes, level, series
        See `napari_restore.images.readers.zarr_arrays.open`.

    Returns
    -------
    Image
        The image. What is read from it are single members of the archive.

    Raises
    ------
    AxesError, SourceError
        See there; also if the archive is damaged, or holds no Zarr.
    """
    path, place = _split(source) or (source, "")
    location = f"{path}/{place}" if place else path
    return zarr_arrays.open_node(inside(path, place), location, axes, level, series)


def inside(path: str, place: str = "") -> zarr.Group | zarr.Array[Any]:
    """Open a node of a Zarr in one file; its first one where no place is given.

    Raises
    ------
    SourceError
        If the archive is damaged, or holds no such node.
    """
    import zarr
    from zarr.storage import ZipStore

    try:
        with zipfile.ZipFile(path) as archive:
            root = _root(archive, path)
        return zarr.open(ZipStore(path, mode="r"), path="/".join(filter(None, (root, place))), mode="r")
    except (RestoreError, MemoryError):
        raise
    except FileNotFoundError as error:
        raise SourceError(f"{path} has no {place or 'Zarr'} in it; check the path behind the file.") from error
    except Exception as error:
        raise SourceError(f"{path} cannot be read as a Zarr in a file: {error!r}. Copy the file again.") from error


def _root(archive: zipfile.ZipFile, path: str) -> str:
    """Return the folder of the archive that its Zarr is in: the outermost that has metadata."""
    folders = []
    for member in archive.infolist():
        folder, _, name = member.filename.rpartition("/")
        if name in _MARKS:
            folders.append(folder)
        if name in (*_MARKS, ".zattrs", ".zmetadata") and member.file_size > _MOST_METADATA:
            raise SourceError(f"{path}: {member.filename} has {member.file_size} bytes, which no metadata have.")
        if member.file_size > max(_BOMB, 100 * member.compress_size):
            raise SourceError(
                f"{path}: {member.filename} would become {member.file_size} bytes of {member.compress_size}, and could "
                "fill the memory; store the members of the archive without compression."
            )
    if not folders:
        raise SourceError(f"{path} holds no Zarr: none of its files is called {', '.join(_MARKS)}.")
    return min(folders, key=lambda folder: (folder.count("/") + bool(folder), folder))
