"""The result that a run with `overwrite` replaces: kept until the new one is complete.

It lies in ``.OUT.zarr.replaced/TOKEN/``, beside ``OUT.zarr``, with the file of the run that moved it there. Whenever
that run is killed, there is the old result or a complete new one. The next run that holds the output's lock goes on: it
deletes the old one when the new one is complete, or puts it back where no new one was begun.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict
from pathlib import Path

from napari_restore.engine.store.lock import Owner, replaced_place
from napari_restore.errors import OutputError
from napari_restore.files import OWNER, is_link, is_ours, write_whole
from napari_restore.images.staging import Stage

__all__ = ["delete_kept", "kept_results", "put_back", "set_aside"]


def kept_results(path: Path) -> list[Path]:
    """Give the results that an output replaces, and that are still there.

    Raises
    ------
    OutputError
        If there is something else in their place.
    """
    place = replaced_place(path)
    if is_link(place):
        raise OutputError(f"{place} is a link, and not of this package; remove it, or choose another output.")
    if not place.is_dir():
        return []
    folders = sorted(place.iterdir())
    if foreign := next((folder for folder in folders if not is_ours(folder)), None):
        raise OutputError(f"{place} holds {foreign.name!r}, which is not of this package; move it away.")
    return [folder / path.name for folder in folders if (folder / path.name).is_dir()]


def set_aside(path: Path, stage: Stage, owner: Owner) -> None:
    """Move a result out of the way of the one that replaces it.

    It goes through the stage: a run that has lost its lock moves nothing. If this is interrupted, whoever takes over
    the lock finds the result there, and brings it to its place.

    Raises
    ------
    OutputTaken
        If the lock is lost.
    OutputError
        If it cannot be moved, such as a folder that another disk is mounted on.
    """
    kept_results(path)  # nothing else may be there
    inner = stage.folder / f"{owner.token}.replaced"
    inner.mkdir(exist_ok=True)
    write_whole(inner / OWNER, json.dumps(asdict(owner)))
    try:
        stage.move_in(path, inner / path.name)
        replaced_place(path).mkdir(exist_ok=True)
        stage.move_in(inner, replaced_place(path) / owner.token)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be moved aside to be replaced: {error}; choose another output, or delete it yourself."
        ) from error


def put_back(path: Path, stage: Stage) -> bool:
    """Give an output its old result again, where it has none; tell whether there was one."""
    found = kept_results(path)
    if not found:
        return False
    stage.check()
    stage.move_in(found[-1], path)
    _delete_empty(path, stage)
    return True


def delete_kept(path: Path, stage: Stage) -> None:
    """Delete what an output has replaced."""
    for result in kept_results(path):
        stage.discard(result.parent)
    _delete_empty(path, stage)


def _delete_empty(path: Path, stage: Stage) -> None:
    place = replaced_place(path)
    if not place.is_dir() or is_link(place):
        return
    for folder in place.iterdir():
        if is_ours(folder) and set(os.listdir(folder)) <= {OWNER}:
            stage.discard(folder)
    with contextlib.suppress(OSError):
        place.rmdir()
