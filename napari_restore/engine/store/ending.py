"""Clean up a complete output, at the end of a run or in a later one: delete what only the run needed."""

from __future__ import annotations

import logging
from pathlib import Path

from napari_restore.engine.store.filled import in_doubt, read_marks
from napari_restore.engine.store.lock import OutputLock, lock_of, replaced_folder
from napari_restore.engine.store.replaced import delete_kept, kept_results
from napari_restore.errors import OutputError
from napari_restore.images.staging import Stage
from napari_restore.images.store import place_of
from napari_restore.images.writing import ome_zarr
from napari_restore.images.writing.digests import gather_digests

__all__ = ["finish", "is_complete", "tidy"]

_log = logging.getLogger(__name__)


def is_complete(path: Path) -> bool:
    """Return whether all objects of a result are stored, according to its own metadata."""
    try:
        levels = [level for level in range(100) if (path / str(level)).is_dir()]
        stored = all(ome_zarr.stored_units(path, level).all() for level in levels) and bool(levels)
        return stored and not any(map(in_doubt, read_marks(path).values()))
    except Exception:  # damaged metadata raise errors of any type
        return False


def finish(path: Path, stage: Stage) -> None:
    """Gather the digests, and delete the replaced result if the new one is complete."""
    gather_digests(path, stage)
    if kept_results(path) and is_complete(path):
        delete_kept(path, stage)


def tidy(path: Path) -> None:
    """Finish the clean-up of a run that was killed while it cleaned up, and remove its lock.

    Parameters
    ----------
    path : Path
        The output, on a file system. If another run holds its lock, a warning is logged and nothing is done.
    """
    location = place_of(path).location
    assert isinstance(location, Path)
    if not any(place.exists() for place in (lock_of(location), replaced_folder(location), location / "0/.digests")):
        return
    try:
        lock = OutputLock(location)
    except OutputError as error:  # another run holds it, or this package did not make it
        _log.warning("%s", error)
        return
    try:
        finish(location, lock.stage)
    finally:
        lock.release()
