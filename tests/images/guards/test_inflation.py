import lzma
import struct
import zlib
from typing import Any

import imagecodecs
import numcodecs
import numpy as np
import pytest

from napari_restore.errors import ChunkError
from napari_restore.images.guards.inflation import check_deflate, decode_bounded

CODECS = [
    numcodecs.Zstd(3), numcodecs.Zstd(3, checksum=True), numcodecs.GZip(1), numcodecs.Zlib(1), numcodecs.BZ2(1),
    numcodecs.LZMA(preset=1), numcodecs.LZMA(format=lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "preset": 1}]),
    numcodecs.LZ4(), numcodecs.Blosc(), numcodecs.Blosc("zstd", 9),
]  # fmt: skip


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: f"{codec.codec_id}-{hash(str(codec)) % 97}")
def test_a_chunk_of_its_size_is_decoded_and_a_larger_one_is_not(codec: Any) -> None:
    chunk = np.random.default_rng(0).poisson(100, 5000).astype(np.uint16)
    assert bytes(decode_bounded(codec, codec.encode(chunk), chunk.nbytes)) == chunk.tobytes()
    with pytest.raises(ChunkError, match="says that a chunk has 10000"):
        decode_bounded(codec, codec.encode(np.zeros(10**7, np.uint8)), chunk.nbytes)


def frame(blocks: list[tuple[int, int, bytes]]) -> bytes:
    """A frame of Zstandard that does not say its length: type, size and content of each block (RFC 8878)."""
    content = b""
    for number, (kind, size, data) in enumerate(blocks, 1):
        content += (size << 3 | kind << 1 | (number == len(blocks))).to_bytes(3, "little") + data
    return struct.pack("<IBB", 0xFD2FB528, 0, 0x58) + content  # a window of 2 MB


def test_zstandard_without_its_length_is_counted_by_its_blocks() -> None:
    repeated = (1, 2**17, b"\7")
    small = frame([repeated])
    assert imagecodecs.zstd_decode(small) == b"\7" * 2**17  # it is a frame
    assert bytes(decode_bounded(numcodecs.Zstd(), small, 2**17)) == b"\7" * 2**17
    with pytest.raises(ChunkError, match=f"become {1024 * 2**17} bytes"):
        decode_bounded(numcodecs.Zstd(), frame([repeated] * 1024), 2**17)
    with pytest.raises(ChunkError, match="become"):  # a second frame behind the first
        decode_bounded(numcodecs.Zstd(), small + frame([repeated] * 1024), 2**17)


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: f"{codec.codec_id}-{hash(str(codec)) % 97}")
def test_what_is_cut_off_or_damaged_is_an_error_and_never_pixels(codec: Any) -> None:
    chunk = np.random.default_rng(0).poisson(100, 5000).astype(np.uint16)
    whole = bytes(codec.encode(chunk))
    for damaged in (whole[: len(whole) // 2], whole[:9], b""):
        try:
            decoded = bytes(decode_bounded(codec, damaged, chunk.nbytes))
        except Exception:
            continue
        assert len(decoded) < chunk.nbytes


def test_deflate_of_another_library_is_looked_at_where_it_may_become_much() -> None:
    harmless, bomb = zlib.compress(bytes(10**6)), zlib.compress(bytes(10**8), 9)
    check_deflate(lambda: harmless, len(harmless), 10**6)
    check_deflate(lambda: bomb, len(bomb), 10**8)
    with pytest.raises(ChunkError, match="would become"):
        check_deflate(lambda: bomb, len(bomb), 1000)


def test_blosc_that_is_cut_off_is_not_given_to_the_library() -> None:
    """It reads what lies behind the chunk in memory, which may be the rest of it."""
    codec = numcodecs.Blosc()
    whole = bytearray(codec.encode(np.random.default_rng(0).poisson(100, 5000).astype(np.uint16)))
    with pytest.raises(ChunkError, match="ends too early"):
        decode_bounded(codec, memoryview(whole)[: len(whole) // 2], 10000)
