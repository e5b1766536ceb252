"""The objects of a Zarr array: whether there is any, and whether they are called as the metadata say."""

from __future__ import annotations

__all__ = ["found_chunks"]

import dataclasses
import os
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from napari_restore.errors import SourceError

if TYPE_CHECKING:
    import zarr

_METADATA = ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")
_LOOKED_AT = 1000
"""Names in a folder or prefix that are looked at, to see how chunks are called."""


def found_chunks(array: zarr.Array[Any], place: str) -> tuple[zarr.Array[Any], tuple[str, ...]]:
    """Return an array whose chunks can be found, and what to note of them.

    Zarr takes a chunk that is not there for one of the fill value. So an array without any is an image of which nothing
    was copied, or one whose chunks are called otherwise than its metadata say.

    Parameters
    ----------
    array : zarr.Array
        As its metadata describe it.
    place : str
        What to call it.

    Returns
    -------
    array : zarr.Array
        It, or one that looks for its chunks in folders where they are ("0/0/1" for "0.0.1"), or the other way round.
    notes : tuple of str
        That it was found so.

    Raises
    ------
    SourceError
        If there is no chunk at all.
    """
    if not array.size or _exists(array):
        return array, ()
    other = _otherwise_called(array)
    keys = _keys(array)
    if keys == []:
        raise SourceError(
            f"{place} has metadata, and not one chunk of pixels: all of it would be its fill value, "
            f"{array.fill_value!r}. Copy the image again."
        )
    if other is None or any(_fits(array, key) for key in keys or ()):
        return array, ()
    if _exists(other) or any(_fits(other, key) for key in keys or ()):
        return other, ("The chunks are not called as the metadata say; they are read from where they are.",)
    return array, ()


def _exists(array: zarr.Array[Any]) -> bool:
    """Tell whether the first chunk of an array is there."""
    from zarr.core.sync import sync

    return bool(sync((array.store_path / array.metadata.encode_chunk_key((0,) * array.ndim)).exists()))


def _keys(array: zarr.Array[Any]) -> list[str] | None:
    """Return the keys of some objects of an array, relative to it; None where the store cannot tell.

    On an object store, they are the names in its prefix: what is below that may be millions.
    """
    from zarr.storage import FsspecStore, LocalStore

    store: Any = getattr(array.store, "_store", array.store)  # of a guarded one
    prefix = f"{array.path}/" if array.path else ""
    if isinstance(store, LocalStore):
        return list(islice(_files(os.path.join(store.root, array.path), "", array.ndim + 1), _LOOKED_AT))
    try:
        remote = isinstance(store, FsspecStore)
        names = _first(store.list_dir(array.path) if remote else store.list_prefix(prefix))
    except Exception:  # a web server lists nothing, and each kind of store has errors of its own
        return None
    keys = [name.removeprefix(prefix).strip("/") for name in names]
    return [key for key in keys if key and key.rpartition("/")[2] not in _METADATA]


def _first(names: AsyncIterator[str]) -> list[str]:
    """Return the first of what a store lists."""
    from zarr.core.sync import sync

    async def some() -> list[str]:
        found: list[str] = []
        async for name in names:
            found.append(name)
            if len(found) == _LOOKED_AT:
                break
        return found

    listed: list[str] = sync(some())
    return listed


def _files(directory: str, prefix: str, depth: int) -> Iterator[str]:
    """Yield the files in a directory and its numbered folders, without the metadata; relative to it.

    Chunks are in as many folders as there are axes; links may make more of them.
    """
    folders = []
    try:
        entries = os.scandir(directory)
    except OSError:
        return
    with entries:
        for entry in entries:
            if entry.is_dir():
                folders += [entry.name] if depth else []
            elif entry.name not in _METADATA:
                yield prefix + entry.name
    for name in folders:
        if name == "c" or name.isdecimal():
            yield from _files(os.path.join(directory, name), f"{prefix}{name}/", depth - 1)


def _otherwise_called(array: zarr.Array[Any]) -> zarr.Array[Any] | None:
    """Return the array with chunks in folders instead of one folder, or the other way round; None for other names."""
    import zarr
    from zarr.core.array import AsyncArray

    metadata: Any = array.metadata
    if metadata.zarr_format == 2:
        other = "." if metadata.dimension_separator == "/" else "/"
        changed = dataclasses.replace(metadata, dimension_separator=other)
    elif hasattr(metadata.chunk_key_encoding, "separator"):
        other = "." if metadata.chunk_key_encoding.separator == "/" else "/"
        encoding = dataclasses.replace(metadata.chunk_key_encoding, separator=other)
        changed = dataclasses.replace(metadata, chunk_key_encoding=encoding)
    else:
        return None
    return zarr.Array(AsyncArray(metadata=changed, store_path=array.store_path))


def _fits(array: zarr.Array[Any], key: str) -> bool:
    """Tell whether a key may be that of a chunk of an array."""
    numbers = [part for part in key.replace(".", "/").split("/") if part != "c"]
    if not all(part.isdecimal() for part in numbers):
        return False
    index = tuple(map(int, numbers))
    return len(index) in (array.ndim, 1) and key == array.metadata.encode_chunk_key(index)
