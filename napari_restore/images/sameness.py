"""Check whether the files of a source are in a folder that is about to be replaced, under any name.

One folder has many names: a relative path, a link, a mount, ``file://``. So folders are compared by device and inode.
An array has no path: the paths that it is read from are searched in the object, and in the graph of a lazy array.
"""

from __future__ import annotations

__all__ = ["lies_in", "paths_in"]

import os
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

_MOST = 300_000
"""Largest number of objects of an array that are searched; a larger graph has its sources among the first."""
_PLAIN = (int, float, complex, bool, bytes, bytearray, np.generic, np.dtype, type, types.ModuleType, type(None))


def lies_in(path: str | Path, folder: str | Path) -> bool:
    """Check whether a path is a folder or below it, under any name: links and mounts are resolved.

    Parameters
    ----------
    path : str or Path
        Path of a file or folder.
    folder : str or Path
        Path of the folder.

    Returns
    -------
    bool
        False if one of them does not exist.
    """
    try:
        wanted = _identity(os.stat(folder))
        lowest = os.stat(path)
    except (OSError, ValueError):  # ValueError: the text is not a path
        return False
    if _identity(lowest) == wanted:
        return True
    # A link and its target may be in different folders.
    above = {os.path.abspath(path), os.path.realpath(path)}
    return any(_is(parent, wanted) for name in above for parent in Path(name).parents)


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _is(path: Path, wanted: tuple[int, int]) -> bool:
    try:
        return _identity(os.stat(path)) == wanted
    except OSError:
        return False


def paths_in(data: Any) -> Iterator[str]:
    """Yield the strings in an array that may be paths of files that it is read from, each once.

    Parameters
    ----------
    data : array
        Any `napari_restore.images.image.Image.data`: arrays of NumPy (also views of a memmap), zarr, h5py, dask (with
        their graph) and xarray, and those of this package.

    Yields
    ------
    str
        A string that may be a path.
    """
    waiting, seen, yielded = [data], set[int](), set[str]()
    kept = []  # objects stay alive, so that no id is reused
    while waiting and len(seen) < _MOST:
        item = waiting.pop()
        if isinstance(item, _PLAIN) or id(item) in seen:
            continue
        seen.add(id(item))
        kept.append(item)
        if isinstance(item, str | os.PathLike):
            text = os.fspath(item)
            if isinstance(text, str) and text not in yielded and 0 < len(text) < 4096:
                yielded.add(text)
                yield text.removeprefix("file://")
            continue
        waiting += _parts(item)


def _parts(item: Any) -> list[Any]:
    """Return the parts of an object that may lead to the files of its pixels."""
    if isinstance(item, np.ndarray):
        return [getattr(item, "filename", None), item.base, *(item.ravel() if item.dtype == object else ())]
    if isinstance(item, Mapping):
        return [*item.keys(), *item.values()] if len(item) < _MOST else []
    if isinstance(item, list | tuple | set | frozenset):
        return list(item)
    if isinstance(item, types.FunctionType):
        cells = [cell.cell_contents for cell in item.__closure__ or () if _is_filled(cell)]
        return [*cells, *(item.__defaults__ or ())]
    if isinstance(item, types.MethodType):
        return [item.__self__]
    parts = list(getattr(item, "__dict__", {}).values())
    slots = (name for kind in type(item).__mro__ for name in _slots(kind))
    parts += [getattr(item, name, None) for name in slots]
    for name in ("file", "filename", "name", "func", "args", "keywords"):  # h5py, open files, functools.partial
        parts.append(_attribute(item, name))
    if hasattr(item, "__dask_graph__"):
        parts.append(_attribute(item, "dask"))
    return parts


def _slots(kind: type) -> tuple[str, ...]:
    slots = kind.__dict__.get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _attribute(item: Any, name: str) -> Any:
    try:
        found = getattr(item, name, None)
    except Exception:  # closed files raise
        return None
    return None if callable(found) and not isinstance(found, types.FunctionType) else found


def _is_filled(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018 (an empty cell raises)
    except ValueError:
        return False
    return True
