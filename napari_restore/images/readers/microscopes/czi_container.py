"""Read the container of CZI files (ZISRAW): segments, the directory of sub-blocks, XML and attachments.

A CZI file is a chain of segments, each of which begins with its name and size. The header at the start of the file says
where the directory of sub-blocks, the XML and the attachments are. A sub-block holds the pixels of one rectangle of one
plane. Its entry in the directory says along each dimension where it starts and how long it is, and along X and Y how
many pixels are stored: fewer than its length in the levels of a pyramid. Numbers are little-endian.
"""

from __future__ import annotations

__all__ = ["MAGIC", "Container", "Directory", "PixelType", "read_container"]

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from napari_restore.errors import SourceError

MAGIC = b"ZISRAWFILE"

_SEGMENT = struct.Struct("<16sqq")  # name, room, bytes used
_HEADER = struct.Struct("<4i16s16siqqiq")  # version 4 ×, identity 2 ×, part, directory, XML, pending, attachments
_ENTRY = np.dtype(
    [
        ("schema", "S2"),
        ("pixel_type", "<i4"),
        ("position", "<i8"),
        ("part", "<i4"),
        ("compression", "<i4"),
        ("pyramid", "V6"),
        ("dimensions", "<i4"),
    ]
)
_DIMENSION = np.dtype(
    [("letter", "S4"), ("start", "<i4"), ("size", "<i4"), ("coordinate", "<f4"), ("stored", "<i4")]
)  # fmt: skip
_DIRECTORY_HEAD, _ATTACHMENTS_HEAD, _ATTACHMENT = 128, 256, 128


@dataclass(frozen=True)
class PixelType:
    """A pixel type: its name in CZI, the NumPy data type of a sample, and the number of samples."""

    name: str
    dtype: str
    samples: int = 1


PIXEL_TYPES = {
    0: PixelType("Gray8", "<u1"),
    1: PixelType("Gray16", "<u2"),
    2: PixelType("Gray32Float", "<f4"),
    3: PixelType("Bgr24", "<u1", 3),
    4: PixelType("Bgr48", "<u2", 3),
}


@dataclass(frozen=True)
class Directory:
    """The directory of a file, one row per sub-block.

    Attributes
    ----------
    pixel_type, compression : numpy.ndarray
        Codes of the format.
    position : numpy.ndarray
        Position of the segment of the sub-block in the file, in bytes.
    start : dict of str to numpy.ndarray
        First index along each dimension, by its letter. If a sub-block lacks the dimension, it is 0, and −1 for M, the
        number of a tile.
    size, stored : dict of str to numpy.ndarray
        Length along X and Y, and number of stored pixels.
    """

    pixel_type: NDArray[Any]
    compression: NDArray[Any]
    position: NDArray[Any]
    start: dict[str, NDArray[Any]]
    size: dict[str, NDArray[Any]]
    stored: dict[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.position)

    def __getitem__(self, rows: NDArray[Any]) -> Directory:
        parts = ({letter: column[rows] for letter, column in d.items()} for d in (self.start, self.size, self.stored))
        return Directory(self.pixel_type[rows], self.compression[rows], self.position[rows], *parts)


@dataclass(frozen=True)
class Container:
    """Directory and metadata of a CZI file.

    Attributes
    ----------
    directory : Directory
        Sub-blocks of the file.
    xml : str
        Metadata; empty if there are none.
    attachments : dict of str to int
        Position of the segment of each attachment, by its name, in bytes.
    notes : tuple of str
        Notes on damage of the file.
    """

    directory: Directory
    xml: str = ""
    attachments: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_container(path: str) -> Container:
    """Read directory and metadata of a CZI file.

    Parameters
    ----------
    path : str
        Absolute path.

    Returns
    -------
    Container
        Everything except the pixels.

    Raises
    ------
    SourceError
        If the file is one of several files of an image, truncated, or without an image.
    """
    with open(path, "rb") as file:
        size = os.path.getsize(path)
        file.seek(_SEGMENT.size)
        *_, part, directory_at, xml_at, _, attachments_at = _HEADER.unpack(file.read(_HEADER.size))
        if part:
            raise SourceError(
                f"{path} is part {part} of an image in several files, which is not supported; "
                "export the image as one file in ZEN (Save as, without splitting)."
            )
        notes: tuple[str, ...] = ()
        entries = _segment(file, directory_at, b"ZISRAWDIRECTORY") if directory_at else b""
        if entries:
            directory = _directory(entries[_DIRECTORY_HEAD:], path)
        else:
            directory = _directory(b"".join(_walk(file, size)), path)
            notes = ("It has no directory, as after an acquisition that was cut off; its sub-blocks were searched.",)
        _check(directory, path, size)
        xml = _segment(file, xml_at, b"ZISRAWMETADATA") if xml_at else b""
        attachments = _segment(file, attachments_at, b"ZISRAWATTDIR") if attachments_at else b""
    length = struct.unpack_from("<i", xml)[0] if len(xml) > 256 else 0
    return Container(
        directory,
        xml[256 : 256 + length].decode("utf-8", "replace").strip("\0 \r\n"),
        dict(_attachments(attachments)),
        notes,
    )


def _segment(file: IO[bytes], position: int, name: bytes) -> bytes:
    """Return the content of a segment; empty if it does not exist or has another name."""
    file.seek(position)
    head = file.read(_SEGMENT.size)
    if len(head) < _SEGMENT.size:
        return b""
    found, room, used = _SEGMENT.unpack(head)
    return file.read(used or room) if found.rstrip(b"\0") == name else b""


def _walk(file: IO[bytes], size: int) -> Iterator[bytes]:
    """Yield the directory entry of each sub-block of a file without a directory."""
    position = 0
    while position + _SEGMENT.size <= size:
        file.seek(position)
        name, room, _ = _SEGMENT.unpack(file.read(_SEGMENT.size))
        if not name.startswith(b"ZISRAW") and not name.startswith(b"DELETED"):
            return
        if name.rstrip(b"\0") == b"ZISRAWSUBBLOCK" and position + _SEGMENT.size + room <= size:
            entry = file.read(16 + _ENTRY.itemsize)[16:]
            count = int(np.frombuffer(entry, _ENTRY)["dimensions"][0])
            # The entry in a sub-block may have a wrong position.
            packed = struct.pack("<q", position)
            yield entry[:6] + packed + entry[14:] + file.read(count * _DIMENSION.itemsize)
        position += _SEGMENT.size + room


def _directory(buffer: bytes, path: str) -> Directory:
    """Parse the entries of a directory."""
    runs = list(_runs(buffer))
    rows = sum(len(run) for run in runs)
    if not rows:
        raise SourceError(f"{path} holds no image; copy or export it again.")
    entries = np.concatenate([run["entry"] for run in runs])
    if entries["part"].any():
        raise SourceError(
            f"{path} is one of several files of an image, which is not supported; "
            "export the image as one file in ZEN (Save as, without splitting)."
        )
    start: dict[str, NDArray[Any]] = {}
    size: dict[str, NDArray[Any]] = {}
    stored: dict[str, NDArray[Any]] = {}
    first = 0
    for run in runs:
        for dimension in run["dimensions"].T:
            for name in np.unique(dimension["letter"]):
                letter, where = name.decode("latin-1"), np.flatnonzero(dimension["letter"] == name)
                at, chosen = first + where, dimension[where]
                default = -1 if letter == "M" else 0
                start.setdefault(letter, np.full(rows, default, np.int32))[at] = chosen["start"]
                size.setdefault(letter, np.ones(rows, np.int32))[at] = chosen["size"]
                pixels = np.where(chosen["stored"] > 0, chosen["stored"], chosen["size"])
                stored.setdefault(letter, np.ones(rows, np.int32))[at] = pixels
        first += len(run)
    longer = [letter for letter, sizes in size.items() if letter not in "XY" and (sizes > 1).any()]
    if longer:
        raise SourceError(f"{path} has sub-blocks of more than one plane (along {longer[0]}), which is not supported.")
    for letter in set(size) - set("XY"):
        del size[letter], stored[letter]
    return Directory(entries["pixel_type"], entries["compression"], entries["position"], start, size, stored)


def _runs(buffer: bytes) -> Iterator[NDArray[Any]]:
    """Yield runs of consecutive entries with the same number of dimensions, which have the same length."""
    offset, ahead = 0, 1 << 20
    while offset + _ENTRY.itemsize <= len(buffer) and buffer[offset : offset + 2] == b"DV":
        count = struct.unpack_from("<i", buffer, offset + 28)[0]
        layout = np.dtype([("entry", _ENTRY), ("dimensions", _DIMENSION, (count,))])
        fit = min((len(buffer) - offset) // layout.itemsize, ahead)
        table = np.frombuffer(buffer, layout, fit, offset)
        alike = (table["entry"]["schema"] == b"DV") & (table["entry"]["dimensions"] == count)
        length = fit if alike.all() else int(alike.argmin())
        if not length:
            return
        yield table[:length]
        offset += length * layout.itemsize
        ahead = 2 * length + 16  # with short runs, no more is read than needed


def _check(directory: Directory, path: str, size: int) -> None:
    """Raise SourceError for sub-blocks that are no image, or lie behind the end of the file."""
    if not {"X", "Y"} <= set(directory.start):
        raise SourceError(f"{path} has sub-blocks without X or Y; copy or export it again.")
    last = int(directory.position.max())
    if last >= size:
        raise SourceError(
            f"{path} is truncated: a sub-block begins at byte {last} of a file of {size}. Copy the file again."
        )


def _attachments(buffer: bytes) -> Iterator[tuple[str, int]]:
    count = struct.unpack_from("<i", buffer)[0] if len(buffer) >= _ATTACHMENTS_HEAD else 0
    for number in range(count):
        entry = buffer[_ATTACHMENTS_HEAD + number * _ATTACHMENT :][:_ATTACHMENT]
        if len(entry) == _ATTACHMENT:
            yield entry[48:].split(b"\0")[0].decode("utf-8", "replace"), struct.unpack_from("<q", entry, 12)[0]


def read_time_stamps(path: str, position: int) -> NDArray[np.float64]:
    """Return the seconds of an attachment with time stamps; none for any other attachment."""
    with open(path, "rb") as file:
        content = _segment(file, position, b"ZISRAWATTACH")[256:]
    count = struct.unpack_from("<ii", content)[1] if len(content) >= 8 else 0
    return np.frombuffer(content[8 : 8 + 8 * max(count, 0)], "<f8")
