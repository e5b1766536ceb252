"""A store for reading Zarr sources: it reads only regular files of the source's folder, up to a size.

In Zarr, a chunk that is not stored has the fill value. This is wrong if the whole array is gone, because its disk was
unmounted or its folder was moved. So the store counts missing chunks, and `GuardedStore.check_array` checks the array.
"""

from __future__ import annotations

__all__ = ["GuardedStore", "guarded_store"]

import asyncio
import os
from collections.abc import AsyncGenerator, Iterable
from typing import Any, Self

from zarr.abc.buffer import Buffer, BufferPrototype
from zarr.abc.store import ByteRequest, Store
from zarr.buffer import default_buffer_prototype
from zarr.storage import LocalStore, WrapperStore

from napari_restore.errors import ChunkError, SourceLost
from napari_restore.images.guards.files import Surroundings, surroundings_of
from napari_restore.images.guards.inflation import most_bytes
from napari_restore.images.guards.slow_servers import in_time
from napari_restore.images.guards.zarr_keys import is_metadata
from napari_restore.wording import human_bytes

_MOST = 2**28
"""Largest size of metadata in bytes."""


class GuardedStore(WrapperStore[Store]):
    """A store that checks each object before it is read.

    Parameters
    ----------
    store : Store
        Store that is read.
    surroundings : Surroundings, optional
        Files that may be read, for a folder on a disk.
    most : int
        Size in bytes of the largest object that is read whole.

    Attributes
    ----------
    missing : int
        Number of requested chunks that are not stored; it never decreases.
    """

    def __init__(self, store: Store, surroundings: Surroundings | None = None, most: int = _MOST) -> None:
        super().__init__(store)
        self.surroundings, self.most, self.missing = surroundings, most, 0

    def _with_store(self, store: Store) -> Self:
        return type(self)(store, self.surroundings, self.most)

    @property
    def root(self) -> Any:
        """Folder of a store on a disk; None for other stores."""
        return getattr(self._store, "root", None)

    def for_objects_of(self, size: int) -> GuardedStore:
        """Return a store for an array whose write units have `size` bytes when decoded."""
        return GuardedStore(self._store, self.surroundings, most_bytes(size))

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Read an object, after checking its kind and size."""
        if isinstance(self._store, LocalStore):
            most = None if byte_range is not None else _MOST if is_metadata(key) else self.most
            await asyncio.to_thread(self._check, key, most)
        reading = self._store.get(key, prototype or default_buffer_prototype(), byte_range)
        if isinstance(self._store, LocalStore):
            found = await reading
        else:
            found = await in_time(reading, lambda: self._store.getsize(key), self._name(key))
        if found is None and not is_metadata(key):
            self.missing += 1
        return found

    async def exists(self, key: str) -> bool:
        """Return whether an object is stored; for a server, with a limit on the wait."""
        if isinstance(self._store, LocalStore):
            return await self._store.exists(key)
        return await in_time(self._store.exists(key), lambda: self._store.getsize(key), self._name(key))

    def _name(self, key: str) -> str:
        return f"{getattr(self._store, 'path', self._store)}/{key}"

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
        """Read parts of objects with the checks of `get`."""
        return list(await asyncio.gather(*(self.get(key, prototype, part) for key, part in key_ranges)))

    async def _get_many(
        self, requests: Iterable[tuple[str, BufferPrototype, ByteRequest | None]]
    ) -> AsyncGenerator[tuple[str, Buffer | None], None]:
        for key, prototype, part in requests:
            yield key, await self.get(key, prototype, part)

    def check_array(self, array: Any, location: str) -> None:
        """Check that an array still exists as it was opened, so that its missing chunks have the fill value.

        Parameters
        ----------
        array : zarr.Array
            Array of this store.
        location : str
            Name of the array in messages.

        Raises
        ------
        SourceLost
            If its metadata are gone, or describe another array.
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


def guarded_store(location: str) -> GuardedStore:
    """Open a folder on a disk, or a URL of an object store, for reading with checks.

    Parameters
    ----------
    location : str
        Absolute path or URL.

    Returns
    -------
    GuardedStore
        The store, read-only.
    """
    scheme, url, path = location.rpartition("://")
    if not url or scheme.lower() in ("file", "local"):
        path = path.removeprefix("localhost")
        return GuardedStore(LocalStore(path, read_only=True), surroundings_of(path))
    from zarr.storage import FsspecStore

    return GuardedStore(FsspecStore.from_url(location, read_only=True))
