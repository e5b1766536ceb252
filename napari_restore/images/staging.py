"""Storing an object whole or not at all: written to a directory of one's own, then renamed into its place.

Everything that changes an output goes through a rename from, or into, that directory. Whoever takes the directory away
has thereby ended all writing: a process that was stopped for an hour and wakes up with half an object in its hands
finds that the way is gone, however late it looks.
"""

from __future__ import annotations

__all__ = ["Stage"]

import contextlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from napari_restore.errors import OutputError, OutputTaken
from napari_restore.files import way_is_straight
from napari_restore.retrying import DISK, retried


@dataclass(frozen=True)
class Stage:
    """A directory on the file system of the output, for one run alone. It pickles.

    Attributes
    ----------
    folder : Path
        The directory. While it exists, the run may write.
    fsync : bool
        Whether an object and its directory entries are on the disk before it counts as stored, so that a power cut
        does not take it.
    """

    folder: Path
    fsync: bool = False

    def put(self, target: Path, content: Any) -> None:
        """Store an object under its name, whole or not at all.

        Parameters
        ----------
        target : Path
            The object's file; its directories are made.
        content : bytes-like
            All of it.

        Raises
        ------
        OutputTaken
            If the directory of this run is gone.
        OutputError
            If a folder on the way to it is a link.
        OSError
            If the disk does not take it, after some tries where another one can help.
        """
        self._tried(lambda: self._put(target, content))

    def _put(self, target: Path, content: Any) -> None:
        _check_way(target)
        partial = self.folder / f"{uuid4().hex}.partial"
        try:
            with open(partial, "wb", buffering=0) as file:
                _write_all(file, content)
                if self.fsync:
                    os.fsync(file.fileno())
            made = _make_folders(target.parent)
            os.replace(partial, target)
        except BaseException:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise
        if self.fsync:
            for folder in (target.parent, *made):
                _fsync_folder(folder)

    def move_in(self, source: Path, target: Path) -> None:
        """Give something that was made in the directory its name.

        Raises
        ------
        OutputTaken
            If the directory of this run is gone.
        OSError
            If it cannot be renamed.
        """
        _check_way(target)
        if self.fsync:
            _fsync_all(source)
        self._tried(lambda: os.replace(source, target))
        if self.fsync:
            _fsync_folder(target.parent)

    def discard(self, target: Path) -> None:
        """Delete a file or a directory, if it is there: it vanishes at once, and is then taken apart.

        Raises
        ------
        OutputTaken
            If the directory of this run is gone.
        OSError
            If it cannot be renamed.
        """
        _check_way(target)
        grave = self.folder / f"{uuid4().hex}.discarded"
        try:
            self._tried(lambda: os.replace(target, grave))
        except FileNotFoundError:
            return
        if grave.is_dir():
            shutil.rmtree(grave, ignore_errors=True)
        else:
            grave.unlink(missing_ok=True)

    def check(self) -> None:
        """Raise `OutputTaken` if the directory of this run is gone."""
        if not self.folder.is_dir():
            raise OutputTaken(
                f"another run has taken over the output of this one while it stood still, or somebody has deleted its "
                f"lock ({self.folder.parent} is not its own any more); nothing more is written."
            )

    def _tried(self, operation: Callable[[], Any]) -> None:
        """Do something that a disk may fail, several times where that can help, and as long as it is allowed."""

        def attempt() -> None:
            try:
                operation()
            except OSError:
                self.check()
                raise

        retried(attempt, DISK)


def _check_way(target: Path) -> None:
    """Refuse a place behind a link in the output: it may be anywhere."""
    if not way_is_straight(target):
        raise OutputError(
            f"{target.parent} lies behind a link ({os.path.realpath(target.parent)}), and a result is written to its "
            "own folders alone; put what the link points to in its place, or choose another output."
        )


def _write_all(file: Any, content: Any) -> None:
    """Write all bytes, in as many goes as the system needs."""
    view = memoryview(content).cast("B")
    while view:
        view = view[file.write(view) :]


def _make_folders(folder: Path) -> list[Path]:
    """Make a directory with all above it; return those above the ones that are new."""
    new = []
    while not folder.is_dir():
        new.append(folder)
        folder = folder.parent
    for made in reversed(new):
        made.mkdir(exist_ok=True)
    return [made.parent for made in new]


def _fsync_all(place: Path) -> None:
    """Bring a directory and all in it to the disk."""
    for folder, _, names in os.walk(place):
        for name in names:
            with open(Path(folder, name), "r+b") as file:
                os.fsync(file.fileno())
        _fsync_folder(Path(folder))


def _fsync_folder(folder: Path) -> None:
    """Bring a directory's entries to the disk, where the system has a way to."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
