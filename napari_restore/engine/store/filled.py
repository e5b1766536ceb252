"""What a result says of blocks whose source could not be read: a file for each, beside the objects of level 0.

It is written before the block, so there is no moment in which a filled block counts as a sound one, and removed after
the block has been computed again from a source that is whole. Zarr takes no notice of it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from napari_restore.images.staging import Stage
from napari_restore.images.store import Place, place_of
from napari_restore.images.writing import ome_zarr
from napari_restore.images.writing.layout import WriteUnit

__all__ = ["read_marks", "remove_mark", "write_mark"]

FOLDER = "0/.filled"


def write_mark(place: Place, unit: WriteUnit, reasons: Sequence[str], stage: Stage | None) -> None:
    """Say of a write unit what of its source could not be read.

    Parameters
    ----------
    place
        Of the result.
    unit
        Of level 0.
    reasons
        One text for each place.
    stage
        See `napari_restore.images.store.Place.put`.
    """
    content = {"unit": list(unit.index), "filled": list(reasons)}
    place.put(_name(unit), json.dumps(content, indent=1).encode(), stage)


def remove_mark(place: Place, unit: WriteUnit, stage: Stage | None) -> None:
    """Take back what was said of a write unit."""
    place.remove(_name(unit), stage)


def _name(unit: WriteUnit) -> str:
    return f"{FOLDER}/{'.'.join(map(str, unit.index))}.json"


def read_marks(path: str | Path) -> dict[WriteUnit, tuple[str, ...]]:
    """Tell which write units of a result were made of a source that could not be read in full, and why.

    Parameters
    ----------
    path
        The result.

    Returns
    -------
    dict
        Reasons by the write unit of level 0.
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
        except (ValueError, KeyError, TypeError):  # damaged: that something was filled is known all the same
            reasons = ("the list of what was filled here cannot be read",)
        found[WriteUnit(0, index)] = reasons
    return dict(sorted(found.items()))
