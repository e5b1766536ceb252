"""Read the pixels of one sub-block of a CZI file: raw, JPEG XR or Zstandard, in the order red, green, blue."""

from __future__ import annotations

__all__ = ["COMPRESSIONS", "read_pixels"]

import struct
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from napari_restore.errors import ChunkError
from napari_restore.images.lazy_arrays import RawArray
from napari_restore.images.readers.microscopes.czi_container import PixelType

COMPRESSIONS = {0: "none", 1: "JPEG", 2: "LZW", 4: "JPEG XR", 5: "Zstandard", 6: "Zstandard with a header"}
"""Compressions defined by the format; higher codes are raw data of a camera or a system."""

SUPPORTED = (0, 4, 5, 6)

_HEAD = struct.Struct("<16sqqiiq")  # name, room, bytes used; bytes of metadata, attachment and pixels
_COUNT_AT, _FIXED = 28, 256  # of the number of dimensions in the entry; the least room for sizes and entry


def read_pixels(
    file: IO[bytes],
    path: str,
    position: int,
    compression: int,
    pixel_type: PixelType,
    shape: tuple[int, int],
    part: tuple[slice, slice],
) -> NDArray[Any]:
    """Read a region of a sub-block; only the requested rows are read if it is not compressed.

    Parameters
    ----------
    file : file object
        The opened file.
    path : str
        Path of the file.
    position : int
        Position of the segment of the sub-block, in bytes.
    compression : int
        Code of the compression, of `SUPPORTED`.
    pixel_type : PixelType
        Type of the pixels.
    shape : tuple of int
        Number of stored rows and columns.
    part : tuple of slice
        Requested rows and columns.

    Returns
    -------
    numpy.ndarray
        Shape (rows, columns), or (rows, columns, samples) in the order RGB for colour.

    Raises
    ------
    ChunkError
        If the sub-block is damaged or truncated, or its codec is not installed.
    """
    what = f"{path}: the sub-block at byte {position}"
    file.seek(position)
    head = file.read(_HEAD.size + 32)
    if len(head) < _HEAD.size + 32:
        raise ChunkError(f"{what} lies behind the end of the file; the file is truncated.")
    name, _, _, metadata, _, length = _HEAD.unpack_from(head)
    if name.rstrip(b"\0") != b"ZISRAWSUBBLOCK":
        raise ChunkError(f"{what} is damaged: there is no sub-block at this position.")
    dimensions = struct.unpack_from("<i", head, _HEAD.size + _COUNT_AT)[0]
    start = position + 32 + max(_FIXED, 16 + 32 + 20 * dimensions) + metadata
    samples = pixel_type.samples
    full = shape if samples == 1 else (*shape, samples)
    if compression == 0:
        expected = int(np.prod(full)) * np.dtype(pixel_type.dtype).itemsize
        if length < expected:
            raise ChunkError(f"{what} is damaged: it has {length} of {expected} bytes.")
        region = part if samples == 1 else (*part, slice(0, samples))
        return _rgb(RawArray(path, np.dtype(pixel_type.dtype), full, start, 0)[region], samples)
    file.seek(start)
    data = file.read(length)
    if len(data) < length:
        raise ChunkError(f"{what} lies behind the end of the file; the file is truncated.")
    pixels = _decoded(data, compression, pixel_type, full, what)[part]
    return pixels if compression == 4 else _rgb(pixels, samples)


def _decoded(data: bytes, compression: int, pixel_type: PixelType, shape: tuple[int, ...], what: str) -> NDArray[Any]:
    import imagecodecs

    dtype = np.dtype(pixel_type.dtype)
    try:
        if compression == 4:
            pixels = np.asarray(imagecodecs.jpegxr_decode(data))
            if pixels.dtype != dtype or pixels.size != np.prod(shape):
                raise ValueError(f"it has the shape {pixels.shape} and data type {pixels.dtype}")
            return pixels.reshape(shape)
        return _zstd(data, compression == 6, dtype).reshape(shape)
    except ImportError as error:
        raise ChunkError(
            f"{what} cannot be read: imagecodecs lacks the codec for {COMPRESSIONS[compression]} on this machine "
            f"({error}); pip install --upgrade imagecodecs, or export the image uncompressed in ZEN."
        ) from error
    except MemoryError:
        raise
    except Exception as error:  # each codec has its own errors
        raise ChunkError(f"{what} is damaged: {error}") from error


def _zstd(data: bytes, header: bool, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Decode Zstandard; a header says whether low and high bytes of the pixels are stored separately."""
    import imagecodecs

    apart = False
    if header:
        apart = data[0] >= 3 and data[1] == 1 and bool(data[2] & 1)
        data = data[data[0] :]
    decoded = np.frombuffer(imagecodecs.zstd_decode(data), np.uint8)
    if apart and dtype.itemsize == 2:
        decoded = np.ascontiguousarray(decoded.reshape(2, -1).T).reshape(-1)
    return decoded.view(dtype)


def _rgb(pixels: NDArray[Any], samples: int) -> NDArray[Any]:
    """Reorder samples from the order of the file, blue first, to red first."""
    return pixels if samples == 1 else pixels[..., ::-1]
