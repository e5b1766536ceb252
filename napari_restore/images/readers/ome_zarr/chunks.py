"""Check that a Zarr array has stored objects, and that their keys are those of its metadata."""

from __future__ import annotations

__all__ = ["found_chunks"]

import dataclasses
import os
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from napari_restore.errors import SourceError
from napari_restore.images.guards.zarr_keys import is_metadata
from napari_restore.images.guards.zarr_objects import listed, waited

if TYPE_CHECKING:
    import zarr

_LISTED = 1000
"""Number of keys that are listed at most, to find the form of the keys."""


def found_chunks(array: zarr.Array[Any], location: str) -> tuple[zarr.Array[Any], tuple[str, ...]]:
    """Return an array whose chunks can be found by their keys.

    In Zarr, a chunk that is not stored has the fill value. So of an array without any stored chunk, either the chunks
    were not copied, or their keys differ from those of its metadata.

    Parameters
    ----------
    array : zarr.Array
        The array that the metadata describe.
    location : str
        Name of the array in messages.

    Returns
    -------
    array : zarr.Array
        The same array, or one with the other separator in its keys ("0/0/1" for "0.0.1", or the reverse).
    notes : tuple of str
        A note if the separator was changed.

    Raises
    ------
    SourceError
        If no chunk is stored.
    """
    if not array.size or _exists(array):
        return array, ()
    other = _with_other_separator(array)
    keys = _keys(array)
    if keys == []:
        raise SourceError(
            f"{location} has metadata, and not one chunk of pixels: all of it would be its fill value, "
            f"{array.fill_value!r}. Copy the image again."
        )
    if other is None or any(_fits(array, key) for key in keys or ()):
        return array, ()
    if _exists(other) or any(_fits(other, key) for key in keys or ()):
        return other, ("The chunks are not called as the metadata say; they are read from where they are.",)
    return array, ()


def _exists(array: zarr.Array[Any]) -> bool:
    """Check whether the first chunk of an array is stored."""
    return waited((array.store_path / array.metadata.encode_chunk_key((0,) * array.ndim)).exists())


def _keys(array: zarr.Array[Any]) -> list[str] | None:
    """Return the keys of some objects of an array, relative to it; None if the store cannot list them.

    On an object store, only the names directly below its prefix are listed: there may be millions of objects.
    """
    from zarr.storage import FsspecStore, LocalStore

    store: Any = getattr(array.store, "_store", array.store)  # the store in a GuardedStore
    prefix = f"{array.path}/" if array.path else ""
    if isinstance(store, LocalStore):
        return list(islice(_files(os.path.join(store.root, array.path), "", array.ndim + 1), _LISTED))
    try:
        remote = isinstance(store, FsspecStore)
        names = listed(store.list_dir(array.path) if remote else store.list_prefix(prefix), _LISTED)
    except Exception:  # a web server lists nothing, and each kind of store has errors of its own
        return None
    keys = [name.removeprefix(prefix).strip("/") for name in names]
    return [key for key in keys if key and not is_metadata(key)]


def _files(directory: str, prefix: str, depth: int) -> Iterator[str]:
    """Yield the files in a directory and its numbered folders, relative to it and without the metadata.

    Chunks are in at most as many nested folders as there are axes; the limit also ends circles of links.
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
            elif not is_metadata(entry.name):
                yield prefix + entry.name
    for name in folders:
        if name == "c" or name.isdecimal():
            yield from _files(os.path.join(directory, name), f"{prefix}{name}/", depth - 1)


def _with_other_separator(array: zarr.Array[Any]) -> zarr.Array[Any] | None:
    """Return the array with keys "0/0/1" instead of "0.0.1", or the reverse; None for other forms of keys."""
    import zarr

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
    return zarr.Array(zarr.AsyncArray(metadata=changed, store_path=array.store_path))


def _fits(array: zarr.Array[Any], key: str) -> bool:
    """Check whether a key can be that of a chunk of an array."""
    numbers = [part for part in key.replace(".", "/").split("/") if part != "c"]
    if not all(part.isdecimal() for part in numbers):
        return False
    index = tuple(map(int, numbers))
    return len(index) in (array.ndim, 1) and key == array.metadata.encode_chunk_key(index)
