"""Restrict the files that a source can make the program read to regular files in the folder of the source.

An HDF5 file can name other files (external storage, virtual data sets, links), and so can an OME-XML and links in the
folder of a Zarr. The author of the source has chosen these names, and the pixels of these files would appear in a
result. So files outside the folder are refused, unless the user allows them. Pipes and devices, which may have no end,
are always refused.
"""

from __future__ import annotations

__all__ = ["Surroundings", "allowing_outside", "outside_allowed", "surroundings_of"]

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from napari_restore.errors import SourceError
from napari_restore.ways_out import WayOut

_ALLOWED = ContextVar("allow_outside", default=False)


@contextmanager
def allowing_outside(allowed: bool) -> Iterator[None]:
    """Set whether sources that are opened within the context may read files outside their folder.

    Parameters
    ----------
    allowed : bool
        Whether files outside the folder may be read.
    """
    token = _ALLOWED.set(allowed)
    try:
        yield
    finally:
        _ALLOWED.reset(token)


def outside_allowed() -> bool:
    """Check whether the context allows files outside the folder. Arrays store the answer, to open their file again."""
    return _ALLOWED.get()


@dataclass(frozen=True)
class Surroundings:
    """The files that a source may read.

    Attributes
    ----------
    source : str
        Name of the source in messages.
    folders : tuple of str
        Real paths of folders. Files below them may be read.
    outside : bool
        Whether files outside these folders may be read too.
    """

    source: str
    folders: tuple[str, ...]
    outside: bool = False

    def check(self, path: str) -> None:
        """Check that the source may read a path. A path that does not exist passes.

        Parameters
        ----------
        path : str
            Absolute path; links in it are followed.

        Raises
        ------
        SourceError
            If the source may not read it.
        """
        try:
            found = os.stat(path)
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:  # a circle of links; a null byte
            raise SourceError(f"{self.source} is read from {path!r}, which cannot be opened: {error}.") from error
        if not stat.S_ISREG(found.st_mode):
            raise SourceError(
                f"{self.source} is read from {path}, which is {_kind(found.st_mode)} and no regular file; put a "
                "copy of the file there."
            )
        if not self.outside and not self._holds(os.path.realpath(path)):
            raise SourceError(
                f"{self.source} is read from {_shown(path)}, which is outside its folder ({self.folders[0]}). If you "
                "know who made it, and want that file to be read, copy it into the folder",
                WayOut(
                    "or pass allow_outside=True.",
                    "or give --allow-outside.",
                    "or load a recipe that allows outside files.",
                ),
            )

    def _holds(self, real: str) -> bool:
        return any(os.path.commonpath([folder, real]) == folder for folder in self.folders if _same_drive(folder, real))


def surroundings_of(source: str) -> Surroundings:
    """Return the files that a source may read.

    Parameters
    ----------
    source : str
        Absolute path of a file or a folder. The user has named it, so links in the path are followed.

    Returns
    -------
    Surroundings
        The folder of the path, and the folder that its links lead to.
    """
    named = source if os.path.isdir(source) else os.path.dirname(source)
    real = os.path.realpath(source)
    lies = real if os.path.isdir(real) else os.path.dirname(real)
    folders = dict.fromkeys((os.path.realpath(named), lies))
    return Surroundings(source, tuple(folders), outside_allowed())


def _shown(path: str) -> str:
    real = os.path.realpath(path)
    return path if real == path else f"{path} ({real})"


def _same_drive(one: str, other: str) -> bool:
    return os.path.splitdrive(one)[0].lower() == os.path.splitdrive(other)[0].lower()


def _kind(mode: int) -> str:
    kinds = {stat.S_IFIFO: "a pipe", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a folder" if stat.S_ISDIR(mode) else "something else")
