"""Keep the result that a run with `overwrite` replaces until the new result is complete.

The old result is kept in ``.OUT.zarr.replaced/TOKEN/``, beside ``OUT.zarr``, with the owner file of the run that moved
it there. Whenever that run is killed, the old result or a complete new one exists. The next run that holds the output's
lock deletes the old result when the new one is complete, or puts it back if no new one was started.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict
from pathlib import Path

from napari_restore.engine.store.lock import Owner, replaced_folder
from napari_restore.errors import OutputError
from napari_restore.files import OWNER, is_link, is_ours, write_whole
from napari_restore.images.staging import Stage

__all__ = ["delete_kept", "kept_results", "put_back", "set_aside"]


def kept_results(path: Path) -> list[Path]:
    """Return the results that an output replaces and that are still kept.

    Raises
    ------
    OutputError
        If the folder for them is a link, or holds something that this package did not make.
    """
    place = replaced_folder(path)
    if is_link(place):
        raise OutputError(f"{place} is a link, which this package did not make; remove it, or choose another output.")
    if not place.is_dir():
        return []
    folders = sorted(place.iterdir())
    if foreign := next((folder for folder in folders if not is_ours(folder)), None):
        raise OutputError(f"{place} holds {foreign.name!r}, which this package did not make; move it away.")
    return [folder / path.name for folder in folders if (folder / path.name).is_dir()]


def set_aside(path: Path, stage: Stage, owner: Owner) -> None:
    """Move a result aside, so that a new one can replace it.

    The result is moved through the stage, so a run that has lost its lock moves nothing. If this is interrupted, the
    run that takes over the lock finds the result in the stage and moves it to the folder of replaced results.

    Raises
    ------
    OutputTaken
        If the lock was lost.
    OutputError
        If the result cannot be moved, such as a folder that is a mount point.
    """
    kept_results(path)  # raises if the folder holds something else
    inner = stage.folder / f"{owner.token}.replaced"
    inner.mkdir(exist_ok=True)
    write_whole(inner / OWNER, json.dumps(asdict(owner)))
    try:
        stage.move_in(path, inner / path.name)
        replaced_folder(path).mkdir(exist_ok=True)
        stage.move_in(inner, replaced_folder(path) / owner.token)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be moved aside: {error}; choose another output, or delete it yourself."
        ) from error


def put_back(path: Path, stage: Stage) -> bool:
    """Move the kept result of an output back, and return whether there was one."""
    found = kept_results(path)
    if not found:
        return False
    stage.check()
    stage.move_in(found[-1], path)
    _delete_empty(path, stage)
    return True


def delete_kept(path: Path, stage: Stage) -> None:
    """Delete the results that an output has replaced."""
    for result in kept_results(path):
        stage.discard(result.parent)
    _delete_empty(path, stage)


def _delete_empty(path: Path, stage: Stage) -> None:
    place = replaced_folder(path)
    if not place.is_dir() or is_link(place):
        return
    for folder in place.iterdir():
        if is_ours(folder) and set(os.listdir(folder)) <= {OWNER}:
            stage.discard(folder)
    with contextlib.suppress(OSError):
        place.rmdir()
