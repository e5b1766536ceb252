"""A store that Zarr sources are read through: regular files of the folder alone, and none too large.

By the rules of Zarr a chunk that is not stored is full of the fill value. That holds as long as the array is there: of
a disk that was unmounted, or a folder that was moved away, no chunk can be found either, and nothing would tell.
"""

from __future__ import annotations

__all__ = ["GuardedStore", "guarded_store"]

import asyncio
import os
from collections.abc import AsyncGenerator, Iterable
from typing import Any, Self

from zarr.abc.store import ByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.core.buffer.core import default_buffer_prototype
from zarr.storage import LocalStore, WrapperStore

from napari_restore.errors import ChunkError, SourceLost
from napari_restore.images.guards.files import Surroundings, surroundings_of
from napari_restore.images.guards.inflation import most_bytes
from napari_restore.wording import human_bytes

_METADATA = ("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")
_MOST = 2**28
"""Bytes of metadata at most."""


def _is_metadata(key: str) -> bool:
    return key.rsplit("/", 1)[-1] in _METADATA


class GuardedStore(WrapperStore[Store]):
    """A store that is read with care.

    Parameters
    ----------
    store
        What is read.
    surroundings
        Which files it may read, where it is a folder on a disk.
    most
        Bytes of the largest object that is read whole.

    Attributes
    ----------
    missing : int
        How many chunks have been asked for that are not stored; it only grows.
    """

    def __init__(self, store: Store, surroundings: Surroundings | None = None, most: int = _MOST) -> None:
        super().__init__(store)
        self.surroundings, self.most, self.missing = surroundings, most, 0

    def _with_store(self, store: Store) -> Self:
        return type(self)(store, self.surroundings, self.most)

    @property
    def root(self) -> Any:
        """Folder of a store on a disk; None for others."""
        return getattr(self._store, "root", None)

    def for_objects_of(self, size: int) -> GuardedStore:
        """Give a store for an array whose chunks, or shards, have so many bytes when they are decoded."""
        return GuardedStore(self._store, self.surroundings, most_bytes(size))

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Read an object, after a look at what it is."""
        if isinstance(self._store, LocalStore):
            most = None if byte_range is not None else _MOST if _is_metadata(key) else self.most
            await asyncio.to_thread(self._check, key, most)
        found = await self._store.get(key, prototype or default_buffer_prototype(), byte_range)
        if found is None and not _is_metadata(key):
            self.missing += 1
        return found

    def _check(self, key: str, most: int | None) -> None:
        path = os.path.join(self.root, key)
        try:
            size = os.stat(path).st_size
        except (FileNotFoundError, NotADirectoryError):
            return
        if self.surroundings is not None:
            self.surroundings.check(os.path.abspath(path))
        if most is not None and size > most:
            raise ChunkError(f"{path} has {human_bytes(size)}, and by what the image says {human_bytes(most)} at most")

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Read parts of objects as `get` does."""
        return list(await asyncio.gather(*(self.get(key, prototype, part) for key, part in key_ranges)))

    async def _get_many(
        self, requests: Iterable[tuple[str, BufferPrototype, ByteRequest | None]]
    ) -> AsyncGenerator[tuple[str, Buffer | None], None]:
        for key, prototype, part in requests:
            yield key, await self.get(key, prototype, part)

    def check_array(self, array: Any, location: str) -> None:
        """Raise SourceLost unless an array is still there as it was opened: what is missing of it is missing then.

        Parameters
        ----------
        array : zarr.Array
            Of this store.
        location : str
            What to call it in messages.
        """
        import zarr

        known = array.metadata
        try:
            now = zarr.open_array(self, path=array.path, mode="r", zarr_format=known.zarr_format)
        except FileNotFoundError as error:
            raise SourceLost(
                f"{location} is not there any more: its metadata are gone. Nothing is taken for empty that cannot be "
                "found. Put it, or its disk, back in its place, and run the same again: what is stored stays."
            ) from error
        if (now.shape, now.chunks, now.dtype) != (array.shape, array.chunks, array.dtype):
            raise SourceLost(f"{location} is another array now than when it was opened; put the first one back.")


def guarded_store(place: str) -> GuardedStore:
    """Open a folder on a disk, or a URL of an object store, to be read with care.

    Parameters
    ----------
    place : str
        Absolute path or URL.
    """
    scheme, url, path = place.rpartition("://")
    if not url or scheme.lower() in ("file", "local"):
        path = path.removeprefix("localhost")
        return GuardedStore(LocalStore(path, read_only=True), surroundings_of(path))
    from zarr.storage import FsspecStore

    return GuardedStore(FsspecStore.from_url(place, read_only=True))
