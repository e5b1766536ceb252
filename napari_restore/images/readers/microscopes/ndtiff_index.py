"""Read the index of an NDTiff data set, which gives file and position of each image.

Each entry has the position of an image along its axes (``{"time": 3, "channel": "DAPI", "z": 0, "position": "A"}``),
its file, offset in bytes, and size. Numbers are little-endian.
"""

from __future__ import annotations

__all__ = ["INDEX", "Entry", "Key", "read_index"]

import json
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from napari_restore.errors import SourceError

INDEX = "NDTiff.index"

Key = int | str

_FIXED = struct.Struct("<8I")

_DTYPES = {0: "u1", 1: "u2", 2: "u1", 3: "u2", 4: "u2", 5: "u2", 6: "u2"}
_COLOR = 2


@dataclass(frozen=True)
class Entry:
    """One image of a data set: its position along each axis, its file, and the offsets of its pixels and metadata."""

    axes: dict[str, Key]
    file: str
    offset: int
    width: int
    height: int
    pixel_type: int
    metadata: tuple[int, int]

    @property
    def dtype(self) -> str:
        """Data type of the pixels."""
        return f"<{_DTYPES[self.pixel_type]}"

    @property
    def samples(self) -> int:
        """Number of samples of a pixel: 3 for colour."""
        return 3 if self.pixel_type == _COLOR else 1

    @property
    def nbytes(self) -> int:
        """Size of the pixels in bytes."""
        return self.width * self.height * self.samples * int(self.dtype[-1])


def read_index(folder: str) -> tuple[list[Entry], bool]:
    """Read the index of a data set.

    Parameters
    ----------
    folder : str
        Folder of the index.

    Returns
    -------
    entries : list of Entry
        Images in the order of acquisition; the later one of images that were written twice.
    whole : bool
        Whether the index is complete.

    Raises
    ------
    SourceError
        If the index is damaged, or the pixel type or compression is not supported.
    """
    path = os.path.join(folder, INDEX)
    with open(path, "rb") as file:
        data = file.read()
    found: dict[frozenset[tuple[str, Key]], Entry] = {}
    position, whole = 0, True
    try:
        for entry, end in _entries(data):
            found[frozenset(entry.axes.items())] = entry
            position = end
    except (struct.error, UnicodeDecodeError, ValueError, IndexError) as error:
        if not found:
            raise SourceError(f"{path} is damaged: {error}. Copy the data set again.") from error
        whole = False
    if not found:
        raise SourceError(f"{path} has no image; copy the data set again.")
    for entry in found.values():
        _check(entry, path)
    return list(found.values()), whole and position == len(data)


def _entries(data: bytes) -> Iterator[tuple[Entry, int]]:
    position = 0
    while position < len(data):
        axes, position = _text(data, position)
        if not axes:
            return
        name, position = _text(data, position)
        offset, width, height, kind, compression, *metadata = _FIXED.unpack_from(data, position)
        position += _FIXED.size
        kind = kind if not compression else -compression
        yield Entry(dict(json.loads(axes)), name, offset, width, height, kind, (metadata[0], metadata[1])), position


def _text(data: bytes, position: int) -> tuple[str, int]:
    (length,) = struct.unpack_from("<I", data, position)
    if position + 4 + length > len(data):
        raise ValueError(f"it ends in the middle of an entry, at byte {position}")
    return data[position + 4 : position + 4 + length].decode(), position + 4 + length


def _check(entry: Entry, path: str) -> None:
    if entry.pixel_type < 0:
        raise SourceError(f"{path}: pixels are compressed (code {-entry.pixel_type}), which is not supported.")
    if entry.pixel_type not in _DTYPES:
        raise SourceError(f"{path}: pixels are of type {entry.pixel_type}, which is not supported.")


def read_metadata(folder: str, entry: Entry) -> dict[str, Any]:
    """Return the metadata of an image by Micro-Manager; empty if they cannot be read."""
    start, length = entry.metadata
    try:
        with open(os.path.join(folder, entry.file), "rb") as file:
            file.seek(start)
            found = json.loads(file.read(length))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def read_summary(folder: str, entry: Entry) -> dict[str, Any]:
    """Return the metadata of the whole data set by Micro-Manager; empty if they cannot be read."""
    try:
        with open(os.path.join(folder, entry.file), "rb") as file:
            head = file.read(28)
            found = json.loads(file.read(struct.unpack_from("<I", head, 24)[0]))
    except (OSError, ValueError, struct.error):
        return {}
    return found if isinstance(found, dict) else {}
