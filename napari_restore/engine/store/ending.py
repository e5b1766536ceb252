"""What is to be done when an output is complete, also by a later run: nothing that was needed on the way stays."""

from __future__ import annotations

import logging
from pathlib import Path

from napari_restore.engine.store.lock import OutputLock, lock_of, replaced_place
from napari_restore.engine.store.replaced import delete_kept, kept_results
from napari_restore.errors import OutputError
from napari_restore.images.staging import Stage
from napari_restore.images.store import place_of
from napari_restore.images.writing import ome_zarr
from napari_restore.images.writing.digests import gather_digests

__all__ = ["finish", "is_complete", "tidy"]

_log = logging.getLogger(__name__)


def is_complete(path: Path) -> bool:
    """Tell whether all objects of a result are there, by its own metadata."""
    try:
        levels = [level for level in range(100) if (path / str(level)).is_dir()]
        return all(ome_zarr.stored_units(path, level).all() for level in levels) and bool(levels)
    except Exception:  # of whatever kind reading damaged metadata is
        return False


def finish(path: Path, stage: Stage) -> None:
    """Gather the digests, and delete what the output has replaced if all of it is there."""
    gather_digests(path, stage)
    if kept_results(path) and is_complete(path):
        delete_kept(path, stage)


def tidy(path: Path) -> None:
    """Do what a run that was killed at its very end had left to do; its lock goes too."""
    location = place_of(path).location
    assert isinstance(location, Path)
    if not any(place.exists() for place in (lock_of(location), replaced_place(location), location / "0/.digests")):
        return
    try:
        lock = OutputLock(location)
    except OutputError as error:  # another run has it, or it is not ours
        _log.warning("%s", error)
        return
    try:
        finish(location, lock.stage)
    finally:
        lock.release()
