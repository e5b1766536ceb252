"""Limit the decoded size of the chunks of Zarr arrays to the size that the metadata declare."""

from __future__ import annotations

__all__ = ["bounded"]

import asyncio
import copy
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numcodecs  # type: ignore[import-untyped]
from zarr.abc.codec import BytesBytesCodec, Codec
from zarr.codecs import BloscCodec, GzipCodec, ShardingCodec, ZstdCodec
from zarr.storage import StorePath

from napari_restore.images.guards.inflation import decode_bounded
from napari_restore.images.guards.zarr_store import GuardedStore

if TYPE_CHECKING:
    import zarr
    from zarr.abc.buffer import Buffer

_CODECS: dict[type[Codec], str] = {BloscCodec: "blosc", GzipCodec: "gzip", ZstdCodec: "zstd"}
"""Codecs of Zarr 3, and the names of the codecs of numcodecs that decode the same format."""

_INDEX = 16
"""Bytes per chunk in the index of a shard."""


def bounded(array: zarr.Array[Any]) -> zarr.Array[Any]:
    """Return a view of an array that refuses objects that are, or decode to, more bytes than a chunk has.

    Parameters
    ----------
    array : zarr.Array
        Array of Zarr 2 or 3; it is not changed.

    Returns
    -------
    zarr.Array
        The same array with other codecs.
    """
    import zarr

    metadata = copy.copy(array.metadata)
    if array.metadata.zarr_format == 2:
        compressor, filters = array.metadata.compressor, array.metadata.filters
        # The input of a filter may have a wider type than its output.
        declared = math.prod(array.chunks) * array.dtype.itemsize * (4 if filters else 1)
        object.__setattr__(metadata, "compressor", compressor and _BoundedNumcodec(compressor, declared))
        object.__setattr__(metadata, "filters", filters and tuple(_BoundedNumcodec(f, declared) for f in filters))
    else:
        object.__setattr__(metadata, "codecs", tuple(map(_bounded_codec, array.metadata.codecs)))
    store_path = array.store_path
    if isinstance(array.store, GuardedStore):
        pixels = math.prod(array.shards or array.chunks)
        size = pixels * array.dtype.itemsize + _INDEX * (pixels // math.prod(array.chunks))
        store_path = StorePath(array.store.for_objects_of(size), array.path)
    return zarr.Array(zarr.AsyncArray(metadata=metadata, store_path=store_path, config=array.async_array.config))


def _bounded_codec(codec: Codec) -> Codec:
    if isinstance(codec, ShardingCodec):
        inner = copy.copy(codec)
        object.__setattr__(inner, "codecs", tuple(map(_bounded_codec, codec.codecs)))
        return inner
    name = _CODECS.get(type(codec))
    of_numcodecs = numcodecs.get_codec({"id": name}) if name else getattr(codec, "_codec", None)
    if of_numcodecs is None or not isinstance(codec, BytesBytesCodec):
        return codec
    return _BoundedCodec(codec, of_numcodecs)


@dataclass(frozen=True)
class _BoundedCodec(BytesBytesCodec):
    """A codec of Zarr 3 that decodes with a codec of numcodecs, up to the size of a chunk."""

    original: BytesBytesCodec
    decoder: Any

    @property
    def is_fixed_size(self) -> bool:  # type: ignore[override]
        return self.original.is_fixed_size

    async def _decode_single(self, chunk_bytes: Buffer, chunk_spec: Any) -> Buffer:
        declared = math.prod(chunk_spec.shape) * int(getattr(chunk_spec.dtype, "item_size", 8))
        data = chunk_bytes.as_numpy_array()
        decoded = await asyncio.to_thread(decode_bounded, self.decoder, data, declared)
        buffer: Buffer = chunk_spec.prototype.buffer.from_bytes(bytes(decoded))
        return buffer

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: Any) -> int:
        return self.original.compute_encoded_size(input_byte_length, chunk_spec)

    def to_dict(self) -> Any:
        return self.original.to_dict()


class _BoundedNumcodec(numcodecs.abc.Codec):  # type: ignore[misc]
    """A codec of Zarr 2 that decodes up to the size of a chunk."""

    def __init__(self, original: Any, declared: int) -> None:
        self.original, self.declared = original, declared
        self.codec_id = original.codec_id

    def encode(self, buf: Any) -> Any:
        return self.original.encode(buf)

    def decode(self, buf: Any, out: Any = None) -> Any:
        return decode_bounded(self.original, buf, self.declared)

    def get_config(self) -> Any:
        return self.original.get_config()
