"""Whether what an image is read from lies in a place that is going to be replaced, whatever it is called there.

One folder has many names: a relative path, a link, a mount, ``file://``. So folders are compared by device and inode.
An array has none at all: the paths that it is read from are found in it, and in the graph of a lazy one.
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
"""Objects that are looked at in an array; a graph of more tasks has had its sources among the first."""
_PLAIN = (int, float, complex, bool, bytes, bytearray, np.generic, np.dtype, type, types.ModuleType, type(None))


def lies_in(path: str | Path, folder: str | Path) -> bool:
    """Tell whether a path is a folder, or lies below it, by whatever name: links and mounts are seen through.

    False if one of them is not there.
    """
    try:
        wanted = _identity(os.stat(folder))
        lowest = os.stat(path)
    except (OSError, ValueError):  # also a text that is no path
        return False
    if _identity(lowest) == wanted:
        return True
    # A link lies in one folder, and what it points to in another.
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
    """Yield the texts in an array that may be paths of files which it is read from, each once.

    Parameters
    ----------
    data
        Anything that `napari_restore.images.image.Image.data` may be: arrays of NumPy (also views of a memmap), zarr,
        h5py, dask (their graph is gone through) and xarray, and this package's own.
    """
    waiting, seen, told = [data], set[int](), set[str]()
    kept = []  # so that no number of an object is used twice
    while waiting and len(seen) < _MOST:
        item = waiting.pop()
        if isinstance(item, _PLAIN) or id(item) in seen:
            continue
        seen.add(id(item))
        kept.append(item)
        if isinstance(item, str | os.PathLike):
            text = os.fspath(item)
            if isinstance(text, str) and text not in told and 0 < len(text) < 4096:
                told.add(text)
                yield text.removeprefix("file://")
            continue
        waiting += _parts(item)


def _parts(item: Any) -> list[Any]:
    """Give what an object holds, as far as pixels may be read from that."""
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
    except Exception:  # what is closed says so
        return None
    return None if callable(found) and not isinstance(found, types.FunctionType) else found


def _is_filled(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018 (an empty one raises)
    except ValueError:
        return False
    return True
