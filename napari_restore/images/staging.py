"""Store objects whole or not at all: write them to a stage, the run's own directory, then rename them to their place.

Every change of an output is a rename from or into the stage. Removing the stage therefore stops all writing of a run:
also a process that was suspended for an hour in the middle of an object cannot store it afterwards.
"""

from __future__ import annotations

__all__ = ["Stage", "check_way"]

import contextlib
import errno
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from napari_restore.errors import OutputError, OutputTaken
from napari_restore.files import has_linked_parent, rename
from napari_restore.retrying import DISK, retried


@dataclass(frozen=True)
class Stage:
    """A directory of one run on the file system of the output. It can be pickled.

    Attributes
    ----------
    folder : Path
        The directory. The run may write while it exists.
    fsync : bool
        Whether an object and its directory entries are flushed to the disk before it counts as stored, so that it
        survives a power failure.
    """

    folder: Path
    fsync: bool = False

    def put(self, target: Path, content: Any) -> None:
        """Store an object under its name, whole or not at all.

        Parameters
        ----------
        target : Path
            File of the object; its directories are created.
        content : bytes-like
            All bytes of the object.

        Raises
        ------
        OutputTaken
            If the stage was removed.
        OutputError
            If a folder of its path is a link.
        OSError
            If it cannot be written, after retries of errors that may be temporary.
        """
        self._tried(lambda: self._put(target, content))

    def _put(self, target: Path, content: Any) -> None:
        check_way(target)
        partial = self.folder / f"{uuid4().hex}.partial"
        try:
            with open(partial, "wb", buffering=0) as file:
                _write_all(file, content)
                if self.fsync:
                    os.fsync(file.fileno())
            made = _make_folders(target.parent)
            rename(partial, target)
        except BaseException:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise
        if self.fsync:
            for folder in (target.parent, *made):
                _fsync_folder(folder)

    def move_in(self, source: Path, target: Path) -> None:
        """Rename a file or a directory of the stage to its place.

        Parameters
        ----------
        source : Path
            Path in the stage.
        target : Path
            Path in the output.

        Raises
        ------
        OutputTaken
            If the stage was removed.
        OSError
            If it cannot be renamed.
        """
        check_way(target)
        if self.fsync:
            _fsync_all(source)
        self._tried(lambda: rename(source, target))
        if self.fsync:
            _fsync_folder(target.parent)

    def discard(self, target: Path) -> None:
        """Delete a file or a directory, if it exists: it is renamed into the stage, then deleted there.

        Parameters
        ----------
        target : Path
            Path in the output.

        Raises
        ------
        OutputTaken
            If the stage was removed.
        OSError
            If it cannot be renamed.
        """
        check_way(target)
        grave = self.folder / f"{uuid4().hex}.discarded"
        try:
            self._tried(lambda: rename(target, grave))
        except FileNotFoundError:
            return
        if grave.is_dir():
            shutil.rmtree(grave, ignore_errors=True)
        else:
            grave.unlink(missing_ok=True)

    def check(self) -> None:
        """Raise `OutputTaken` if the stage was removed."""
        if not self.folder.is_dir():
            raise OutputTaken(
                f"another run has taken over the output of this run while it was suspended, or its lock was deleted "
                f"({self.folder.parent} does not belong to it any more); nothing more is written."
            )

    def _tried(self, operation: Callable[[], Any]) -> None:
        """Carry out a disk operation, with retries of temporary errors while the stage exists."""

        def attempt() -> None:
            try:
                operation()
            except OSError:
                self.check()
                raise

        retried(attempt, DISK)


def check_way(target: Path) -> None:
    """Refuse a path through a link in the output, which may lead outside of the output."""
    if has_linked_parent(target):
        raise OutputError(
            f"{target.parent} lies behind a link (to {os.path.realpath(target.parent)}), but a result is written only "
            "to its own folders; replace the link by the folder itself, or choose another output."
        )


def _write_all(file: Any, content: Any) -> None:
    """Write all bytes, in as many writes as the system needs."""
    view = memoryview(content).cast("B")
    while view:
        view = view[file.write(view) :]


def _make_folders(folder: Path) -> list[Path]:
    """Create a directory and its missing parents; return the parent of each new directory."""
    new = []
    while not folder.is_dir():
        new.append(folder)
        folder = folder.parent
    for made in reversed(new):
        made.mkdir(exist_ok=True)
    return [made.parent for made in new]


def _fsync_all(directory: Path) -> None:
    """Flush a directory and everything in it to the disk."""
    for folder, _, names in os.walk(directory):
        for name in names:
            with open(Path(folder, name), "r+b") as file:
                os.fsync(file.fileno())
        _fsync_folder(Path(folder))


_CANNOT = {errno.EBADF, errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}
"""Errors of file systems, mostly of networks, that do not flush directories: the server does it when it renames."""


def _fsync_folder(folder: Path) -> None:
    """Flush the entries of a directory to the disk, on systems that can do it."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
    finally:
        os.close(handle)
