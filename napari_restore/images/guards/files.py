"""Which files a source may make the program read besides itself: regular ones, inside the folder that was named.

An HDF5 file names others (external storage, virtual data sets, links), and so do an OME-XML and links in the folder of
a Zarr. Whoever made the source has chosen these names, and the pixels of what they name would come out in a result. So
what leaves the folder is refused, unless the user allows it; a pipe or a device, which may have no end, always is.
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
        Whether they may.
    """
    token = _ALLOWED.set(allowed)
    try:
        yield
    finally:
        _ALLOWED.reset(token)


def outside_allowed() -> bool:
    """Return whether the context allows it. An array keeps the answer, for when it opens its file again anywhere."""
    return _ALLOWED.get()


@dataclass(frozen=True)
class Surroundings:
    """The files that a source may read.

    Attributes
    ----------
    source : str
        What to call the source in messages.
    folders : tuple of str
        Real paths of folders; what lies below them may be read.
    outside : bool
        Whether what lies elsewhere may be read as well.
    """

    source: str
    folders: tuple[str, ...]
    outside: bool = False

    def check(self, path: str) -> None:
        """Raise SourceError if a path is none that the source may read; one that is not there passes.

        Parameters
        ----------
        path : str
            Absolute path; links in it are followed.
        """
        try:
            found = os.stat(path)
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:  # links that go round in a circle; a null byte
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
    """Give the files that a source may read.

    Parameters
    ----------
    source : str
        Absolute path of a file or a folder. Links on the way to it, and itself, are followed: the user has named it.
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
