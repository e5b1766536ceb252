"""What a result says of blocks whose source could not be read: a file for each, beside the objects of level 0.

It is written before the block, so there is no moment in which a filled block counts as a sound one, and removed after
the block has been computed again from a source that is whole. Zarr takes no notice of it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import zarr
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import LocalStore

from napari_restore.images.staging import Stage
from napari_restore.images.writing import ome_zarr

__all__ = ["read_marks", "remove_mark", "write_mark"]

FOLDER = ".filled"


def write_mark(array: zarr.Array[Any], index: Sequence[int], reasons: Sequence[str], stage: Stage | None) -> None:
    """Say of a block what of its source could not be read.

    Parameters
    ----------
    array
        Level 0.
    index
        Of the stored object, in stored order.
    reasons
        One text for each place.
    stage
        See `napari_restore.images.writing.ome_zarr.write_unit`.
    """
    content = json.dumps({"unit": list(index), "filled": list(reasons)}, indent=1).encode()
    name = f"{FOLDER}/{'.'.join(map(str, index))}.json"
    if stage is not None and isinstance(array.store, LocalStore):
        stage.put(array.store.root / array.path / name, content)
    else:
        sync((array.store_path / name).set(default_buffer_prototype().buffer.from_bytes(content)))


def remove_mark(array: zarr.Array[Any], index: Sequence[int], stage: Stage | None) -> None:
    """Take back what was said of a block."""
    name = f"{FOLDER}/{'.'.join(map(str, index))}.json"
    if stage is not None and isinstance(array.store, LocalStore):
        stage.discard(array.store.root / array.path / name)
    else:
        sync((array.store_path / name).delete())


def read_marks(path: str | Path) -> dict[tuple[int, ...], tuple[str, ...]]:
    """Tell which blocks of a result were made of a source that could not be read in full, and why.

    Parameters
    ----------
    path
        The result.

    Returns
    -------
    dict
        Reasons by the index of the stored object at level 0, in stored order.
    """
    array = ome_zarr.open_level(path, 0)
    return sync(_read_all(array))


async def _read_all(array: zarr.Array[Any]) -> dict[tuple[int, ...], tuple[str, ...]]:
    found = {}
    folder = array.store_path / FOLDER
    async for name in array.store.list_dir(folder.path):
        index = tuple(int(part) for part in name.removesuffix(".json").split(".") if part.isdecimal())
        content = await (folder / name).get()
        if len(index) != array.ndim or content is None:
            continue
        try:
            reasons = tuple(map(str, json.loads(content.to_bytes())["filled"]))
        except (ValueError, KeyError, TypeError):  # damaged: that something was filled is known all the same
            reasons = ("the list of what was filled here cannot be read",)
        found[index] = reasons
    return dict(sorted(found.items()))
