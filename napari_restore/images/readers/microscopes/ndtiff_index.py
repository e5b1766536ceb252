"""The index of an NDTiff data set: which image lies where in which file.

Each entry says along which axes an image lies where (``{"time": 3, "channel": "DAPI", "z": 0, "position": "A"}``), in
which file, at which byte, and how large it is. Numbers are little-endian.
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
    """One image of a data set: its place along each axis, its file, and where its pixels and metadata are in that."""

    axes: dict[str, Key]
    file: str
    offset: int
    width: int
    height: int
    pixel_type: int
    metadata: tuple[int, int]

    @property
    def dtype(self) -> str:
        """Data type of its pixels."""
        return f"<{_DTYPES[self.pixel_type]}"

    @property
    def samples(self) -> int:
        """Samples of a pixel: 3 for colour."""
        return 3 if self.pixel_type == _COLOR else 1

    @property
    def nbytes(self) -> int:
        """Size of its pixels."""
        return self.width * self.height * self.samples * int(self.dtype[-1])


def read_index(folder: str) -> tuple[list[Entry], bool]:
    """Read the index of a data set.

    Parameters
    ----------
    folder : str
        The folder that has it.

    Returns
    -------
    entries : list of Entry
        In the order of acquisition; of an image that was written twice, the later one.
    whole : bool
        Whether the index ends as it should.

    Raises
    ------
    SourceError
        If it is damaged, or its pixels are of an unsupported type or compressed.
    """
    path = os.path.join(folder, INDEX)
    with open(path, "rb") as file:
        data = file.read()
    found: dict[frozenset[tuple[str, Key]], Entry] = {}
    place, whole = 0, True
    try:
        for entry, end in _entries(data):
            found[frozenset(entry.axes.items())] = entry
            place = end
    except (struct.error, UnicodeDecodeError, ValueError, IndexError) as error:
        if not found:
            raise SourceError(f"{path} is damaged: {error}. Copy the data set again.") from error
        whole = False
    if not found:
        raise SourceError(f"{path} has no image; copy the data set again.")
    for entry in found.values():
        _check(entry, path)
    return list(found.values()), whole and place == len(data)


def _entries(data: bytes) -> Iterator[tuple[Entry, int]]:
    place = 0
    while place < len(data):
        axes, place = _text(data, place)
        if not axes:
            return
        name, place = _text(data, place)
        offset, width, height, kind, compression, *metadata = _FIXED.unpack_from(data, place)
        place += _FIXED.size
        kind = kind if not compression else -compression
        yield Entry(dict(json.loads(axes)), name, offset, width, height, kind, (metadata[0], metadata[1])), place


def _text(data: bytes, place: int) -> tuple[str, int]:
    (length,) = struct.unpack_from("<I", data, place)
    if place + 4 + length > len(data):
        raise ValueError(f"it ends in the middle of an entry, at byte {place}")
    return data[place + 4 : place + 4 + length].decode(), place + 4 + length


def _check(entry: Entry, path: str) -> None:
    if entry.pixel_type < 0:
        raise SourceError(f"{path}: pixels are compressed (code {-entry.pixel_type}), which is not supported.")
    if entry.pixel_type not in _DTYPES:
        raise SourceError(f"{path}: pixels are of type {entry.pixel_type}, which is not supported.")


def read_metadata(folder: str, entry: Entry) -> dict[str, Any]:
    """Return what Micro-Manager noted with an image; nothing where it cannot be read."""
    start, length = entry.metadata
    try:
        with open(os.path.join(folder, entry.file), "rb") as file:
            file.seek(start)
            found = json.loads(file.read(length))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def read_summary(folder: str, entry: Entry) -> dict[str, Any]:
    """Return what Micro-Manager noted of the whole data set; nothing where it cannot be read."""
    try:
        with open(os.path.join(folder, entry.file), "rb") as file:
            head = file.read(28)
            found = json.loads(file.read(struct.unpack_from("<I", head, 24)[0]))
    except (OSError, ValueError, struct.error):
        return {}
    return found if isinstance(found, dict) else {}
