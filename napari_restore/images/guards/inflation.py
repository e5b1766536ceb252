"""Decoding no more than was declared: a chunk of a few kilobytes can become gigabytes.

A stored chunk belongs to an array whose metadata say how many bytes a chunk has. Where the coded bytes say their own
length (Zstandard, Blosc, LZ4), it is compared before they are decoded; where they do not (Deflate in all its wrappers,
BZip2, LZMA), decoding stops when there is more.
"""

from __future__ import annotations

__all__ = ["check_deflate", "decode_bounded", "most_bytes"]

import bz2
import lzma
import struct
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from napari_restore.errors import ChunkError

_SLACK = 2**16
_DICTIONARY = 2**28
"""Most bytes that a decoder of LZMA may take."""
_BLOCK = 2**17
"""Most bytes that a block of Zstandard has, in any frame (RFC 8878, 3.1.1.2.4)."""
_ZSTD, _SKIPPED = 0xFD2FB528, 0x184D2A50
_DEFLATE = 1032
"""Most bytes that one byte of Deflate stands for."""
_HARMLESS = 2**26
"""What a chunk may become without another look, in bytes."""


class Codec(Protocol):
    """What numcodecs' codecs offer."""

    @property
    def codec_id(self) -> str: ...
    def decode(self, buf: Any, out: Any = None) -> Any: ...


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def most_bytes(declared: int) -> int:
    """Give what a chunk of a declared number of bytes may become at most.

    Twice as much, because a codec before this one may add to its input, and a little for headers and checksums.
    """
    return 2 * declared + _SLACK


def decode_bounded(codec: Codec, data: Any, declared: int) -> Any:
    """Decode a chunk with a codec of numcodecs, unless it would become more than was declared.

    Parameters
    ----------
    codec
        Of any kind. Of those that neither say how long their output is nor are listed above, the output is compared.
    data
        What is stored, of any type that has a buffer.
    declared
        Bytes of a decoded chunk, by the array's metadata.

    Raises
    ------
    ChunkError
        If it would, with both figures.
    """
    if said := _SAID.get(codec.codec_id):
        _check(said(memoryview(data).cast("B")), declared)
    if opened := _OPENERS.get(codec.codec_id):
        return _inflate(partial(opened, codec), bytes(memoryview(data).cast("B")), declared)
    decoded = codec.decode(data)
    _check(getattr(decoded, "nbytes", None) or len(decoded), declared)
    return decoded


def _check(size: int, declared: int) -> None:
    if size > most_bytes(declared):
        raise ChunkError(
            f"it would become {size} bytes, and the image says that a chunk has {declared}; it is damaged, or made to "
            "fill the memory. Copy the image again from where it was made"
        )


def _inflate(opened: Callable[[], Any], data: bytes, declared: int) -> bytes:
    """Decode all members that follow each other, up to a limit."""
    parts, size, limit = list[bytes](), 0, most_bytes(declared)
    while data:
        decompressor = opened()
        part = decompressor.decompress(data, limit + 1 - size)
        parts.append(part)
        size += len(part)
        _check(size, declared)
        if not decompressor.eof:
            raise ChunkError("it ends too early; copy the image again")
        data = decompressor.unused_data.lstrip(b"\0")  # some writers pad what follows
    return b"".join(parts)


def _open_lzma(codec: Any) -> lzma.LZMADecompressor:
    if getattr(codec, "format", None) == lzma.FORMAT_RAW:  # numcodecs writes no header then
        return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=codec.filters)
    return lzma.LZMADecompressor(memlimit=_DICTIONARY)


_OPENERS: dict[str, Callable[[Any], _Decompressor]] = {
    "gzip": lambda codec: zlib.decompressobj(31),
    "zlib": lambda codec: zlib.decompressobj(15),
    "bz2": lambda codec: bz2.BZ2Decompressor(),
    "lzma": _open_lzma,
}


def _said_by_blosc(data: memoryview) -> int:
    return int(struct.unpack_from("<I", data, 4)[0]) if len(data) >= 16 else 0


def _said_by_lz4(data: memoryview) -> int:
    return max(int(struct.unpack_from("<i", data, 0)[0]), 0) if len(data) >= 4 else 0


def _said_by_zstd(data: memoryview) -> int:
    """Give the length that the frames say, or the most that their blocks can become."""
    size, place = 0, 0
    while place + 8 <= len(data):
        (magic,) = struct.unpack_from("<I", data, place)
        if magic & 0xFFFFFFF0 == _SKIPPED:
            place += 8 + int(struct.unpack_from("<I", data, place + 4)[0])
            continue
        if magic != _ZSTD:
            break  # the decoder says what is wrong with it
        frame, place = _zstd_frame(data, place)
        size += frame
    return size


def _zstd_frame(data: memoryview, place: int) -> tuple[int, int]:
    """Give the length of a frame's content, and where it ends (RFC 8878, 3.1.1)."""
    descriptor = data[place + 4]
    single, checksum = descriptor >> 5 & 1, descriptor >> 2 & 1
    width = (single, 2, 4, 8)[descriptor >> 6]
    at = place + 5 + (not single) + (0, 1, 2, 4)[descriptor & 3]
    said = int.from_bytes(data[at : at + width], "little") + (256 if width == 2 else 0)
    at += width
    most, last = 0, False
    while not last and at + 3 <= len(data):
        header = int.from_bytes(data[at : at + 3], "little")
        last, kind, length = bool(header & 1), header >> 1 & 3, header >> 3
        most += length if kind in (0, 1) else _BLOCK
        at += 3 + (1 if kind == 1 else length)
    # A frame that was written bit by bit does not say its length, and many of its blocks may be small.
    most = most if most > _HARMLESS else 0
    return (said if width else most), at + 4 * checksum


_SAID = {"blosc": _said_by_blosc, "lz4": _said_by_lz4, "zstd": _said_by_zstd}


def check_deflate(read: Callable[[], bytes], stored: int, declared: int) -> None:
    """Refuse a chunk of zlib that another library is going to decode, if it would become more than was declared.

    One that cannot become much is not looked at.

    Parameters
    ----------
    read
        Gives it as it is stored.
    stored, declared : int
        Its bytes as stored, and decoded by what the image says.

    Raises
    ------
    ChunkError
        If it would.
    """
    if stored * _DEFLATE <= most_bytes(declared) + _HARMLESS:
        return
    size, rest, decompressor = 0, read(), zlib.decompressobj()
    while rest and not decompressor.eof:
        try:
            size += len(decompressor.decompress(rest, 2**20))
        except zlib.error:  # the library says what is wrong with it
            return
        _check(size, declared)
        rest = decompressor.unconsumed_tail
