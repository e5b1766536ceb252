"""Decode chunks up to their declared size: a damaged or malicious chunk of a few kilobytes can become gigabytes.

The metadata of an array declare how many bytes a chunk has. Some formats store the decoded length (Zstandard, Blosc,
LZ4): it is compared before decoding. For the others (Deflate in all its wrappers, BZip2, LZMA) decoding stops at the
limit.
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
"""Memory limit of the LZMA decoder in bytes."""
_BLOCK = 2**17
"""Largest size of a Zstandard block in bytes (RFC 8878, 3.1.1.2.4)."""
_ZSTD, _SKIPPED = 0xFD2FB528, 0x184D2A50
_DEFLATE = 1032
"""Largest compression ratio of Deflate."""
_HARMLESS = 2**26
"""Decoded size in bytes up to which a chunk is not checked further."""


class Codec(Protocol):
    """Interface of the codecs of numcodecs."""

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
    """Return the largest accepted size of a chunk: twice the declared size, and 64 KiB for headers and checksums.

    Twice, because another codec that was applied before may have enlarged its input.

    Parameters
    ----------
    declared : int
        Declared size of the decoded chunk in bytes.

    Returns
    -------
    int
        Size in bytes.
    """
    return 2 * declared + _SLACK


def decode_bounded(codec: Codec, data: Any, declared: int) -> Any:
    """Decode a chunk with a codec of numcodecs, unless it would become larger than declared.

    Parameters
    ----------
    codec : Codec
        Any codec. If its size is not known before or during decoding, the size of the output is compared.
    data : bytes-like
        The stored chunk.
    declared : int
        Size of the decoded chunk in bytes, from the metadata of the array.

    Returns
    -------
    bytes-like
        The decoded chunk.

    Raises
    ------
    ChunkError
        If the chunk is larger than `most_bytes` of the declared size; the message has both sizes.
    """
    if said := _SAID.get(codec.codec_id):
        _check(said(memoryview(data).cast("B")), declared)
    if opened := _OPENERS.get(codec.codec_id):
        return _inflate(partial(opened, codec), bytes(memoryview(data).cast("B")), declared)
    try:
        decoded = codec.decode(data)
    except RuntimeError:
        if codec.codec_id != "zstd":
            raise
        import imagecodecs

        decoded = imagecodecs.zstd_decode(bytes(data))  # numcodecs before 0.16 needs a frame that says its size
    _check(getattr(decoded, "nbytes", None) or len(decoded), declared)
    return decoded


def _check(size: int, declared: int) -> None:
    if size > most_bytes(declared):
        raise ChunkError(
            f"it would become {size} bytes, and the image says that a chunk has {declared}; it is damaged, or made to "
            "fill the memory. Copy the image again from where it was made"
        )


def _inflate(opened: Callable[[], Any], data: bytes, declared: int) -> bytes:
    """Decode all concatenated members, up to the limit."""
    parts, size, limit = list[bytes](), 0, most_bytes(declared)
    while data:
        decompressor = opened()
        part = decompressor.decompress(data, limit + 1 - size)
        parts.append(part)
        size += len(part)
        _check(size, declared)
        if not decompressor.eof:
            raise ChunkError("it ends too early; copy the image again")
        data = decompressor.unused_data.lstrip(b"\0")  # some writers pad with zeros
    return b"".join(parts)


def _open_lzma(codec: Any) -> lzma.LZMADecompressor:
    if getattr(codec, "format", None) == lzma.FORMAT_RAW:  # numcodecs writes raw streams without a header
        return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=codec.filters)
    return lzma.LZMADecompressor(memlimit=_DICTIONARY)


_OPENERS: dict[str, Callable[[Any], _Decompressor]] = {
    "gzip": lambda codec: zlib.decompressobj(31),
    "zlib": lambda codec: zlib.decompressobj(15),
    "bz2": lambda codec: bz2.BZ2Decompressor(),
    "lzma": _open_lzma,
}


def _said_by_blosc(data: memoryview) -> int:
    if len(data) < 16:
        return 0
    size, _, stored = struct.unpack_from("<III", data, 4)
    if stored > len(data):  # the library may read what lies behind it in memory
        raise ChunkError("it ends too early; copy the image again")
    return int(size)


def _said_by_lz4(data: memoryview) -> int:
    return max(int(struct.unpack_from("<i", data, 0)[0]), 0) if len(data) >= 4 else 0


def _said_by_zstd(data: memoryview) -> int:
    """Return the decoded length that the frames declare, or else the largest length that their blocks can have."""
    size, offset = 0, 0
    while offset + 8 <= len(data):
        (magic,) = struct.unpack_from("<I", data, offset)
        if magic & 0xFFFFFFF0 == _SKIPPED:
            offset += 8 + int(struct.unpack_from("<I", data, offset + 4)[0])
            continue
        if magic != _ZSTD:
            break  # the decoder reports what is wrong
        frame, offset = _zstd_frame(data, offset)
        size += frame
    return size


def _zstd_frame(data: memoryview, offset: int) -> tuple[int, int]:
    """Return the decoded length of a frame, and the offset of its end (RFC 8878, 3.1.1)."""
    descriptor = data[offset + 4]
    single, checksum = descriptor >> 5 & 1, descriptor >> 2 & 1
    width = (single, 2, 4, 8)[descriptor >> 6]
    at = offset + 5 + (not single) + (0, 1, 2, 4)[descriptor & 3]
    said = int.from_bytes(data[at : at + width], "little") + (256 if width == 2 else 0)
    at += width
    most, last = 0, False
    while not last and at + 3 <= len(data):
        header = int.from_bytes(data[at : at + 3], "little")
        last, kind, length = bool(header & 1), header >> 1 & 3, header >> 3
        most += length if kind in (0, 1) else _BLOCK
        at += 3 + (1 if kind == 1 else length)
    # A frame that was written as a stream does not declare its length, and many of its blocks may be small.
    most = most if most > _HARMLESS else 0
    return (said if width else most), at + 4 * checksum


_SAID = {"blosc": _said_by_blosc, "lz4": _said_by_lz4, "zstd": _said_by_zstd}


def check_deflate(read: Callable[[], bytes], stored: int, declared: int) -> None:
    """Refuse a zlib chunk that another library will decode, if it would become larger than declared.

    A chunk that cannot become large, by its stored size, is not read.

    Parameters
    ----------
    read : callable
        Returns the stored chunk.
    stored, declared : int
        Size of the chunk in bytes: stored, and decoded as the metadata declare.

    Raises
    ------
    ChunkError
        If the chunk is larger than `most_bytes` of the declared size.
    """
    if stored * _DEFLATE <= most_bytes(declared) + _HARMLESS:
        return
    size, rest, decompressor = 0, read(), zlib.decompressobj()
    while rest and not decompressor.eof:
        try:
            size += len(decompressor.decompress(rest, 2**20))
        except zlib.error:  # the other library reports it
            return
        _check(size, declared)
        rest = decompressor.unconsumed_tail
