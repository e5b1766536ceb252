"""Mark the blocks of a result that were filled: one file for each block, beside the objects of level 0.

The mark is written before the block, so a filled block is never taken for a sound one. It is removed after the block
was computed again from a readable source. Zarr ignores these files.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from napari_restore.images.staging import Stage
from napari_restore.images.store import Place, place_of
from napari_restore.images.writing import ome_zarr
from napari_restore.images.writing.layout import WriteUnit

__all__ = ["IN_DOUBT", "in_doubt", "read_marks", "remove_mark", "write_mark"]

FOLDER = "0/.filled"
IN_DOUBT = "in doubt"
"""First words of the reason of a block that may have been read from another source."""


def write_mark(place: Place, unit: WriteUnit, reasons: Sequence[str], stage: Stage | None) -> None:
    """Mark a write unit as filled.

    Parameters
    ----------
    place : Place
        Where the result is stored.
    unit : WriteUnit
        Write unit of level 0.
    reasons : sequence of str
        For each filled region, where it is and why it could not be read.
    stage : Stage or None
        See `napari_restore.images.store.Place.put`.
    """
    content = {"unit": list(unit.index), "filled": list(reasons)}
    place.put(_name(unit), json.dumps(content, indent=1).encode(), stage)


def in_doubt(reasons: Sequence[str]) -> bool:
    """Return whether a marked block has to be computed again by the next run."""
    return any(reason.startswith(IN_DOUBT) for reason in reasons)


def remove_mark(place: Place, unit: WriteUnit, stage: Stage | None) -> None:
    """Remove the mark of a write unit."""
    place.remove(_name(unit), stage)


def _name(unit: WriteUnit) -> str:
    return f"{FOLDER}/{'.'.join(map(str, unit.index))}.json"


def read_marks(path: str | Path) -> dict[WriteUnit, tuple[str, ...]]:
    """Return the filled write units of a result, and why they were filled.

    Parameters
    ----------
    path : str or Path
        The result, a path or URL.

    Returns
    -------
    dict of WriteUnit to tuple of str
        The reasons of each filled write unit of level 0, sorted by write unit.
    """
    place, axes = place_of(path), ome_zarr.open_level(path, 0).ndim
    found = {}
    for name in place.keys(FOLDER, empty=True):
        index = tuple(int(part) for part in name.removesuffix(".json").split(".") if part.isdecimal())
        content = place.get(f"{FOLDER}/{name}")
        if len(index) != axes or content is None:
            continue
        try:
            reasons = tuple(map(str, json.loads(content)["filled"]))
        except (
            ValueError,
            KeyError,
            TypeError,
        ):  # the file is damaged, but its name still says that the block was filled
            reasons = ("the list of what was filled here cannot be read",)
        found[WriteUnit(0, index)] = reasons
    return dict(sorted(found.items()))
