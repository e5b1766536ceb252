"""Store an image in a folder on a disk."""

from __future__ import annotations

__all__ = ["Folder"]

import itertools
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

from napari_restore.errors import OutputError
from napari_restore.files import rename, write_whole
from napari_restore.images.guards.zarr_keys import MARKS
from napari_restore.images.sameness import lies_in
from napari_restore.images.staging import Stage, check_way
from napari_restore.images.store.place import Holds, as_location, something_foreign
from napari_restore.retrying import DISK, Retries, retried

_GROUP_MARKS = ("zarr.json", ".zgroup")
"""Metadata files of a Zarr that may contain others."""
_PARTIAL = re.compile(r"\.[0-9a-f]{32}\.(partial|new(\.[^.]*)?)$")
"""Names that zarr and `napari_restore.files.write_whole` give to files that are not yet renamed to their place."""


# zarr renames the metadata, and a network file system may lose the reply: see `napari_restore.files.rename`.
_MAKING = Retries(
    DISK.pauses, lambda error: DISK.may_pass(error) or isinstance(error.__cause__ or error, FileNotFoundError)
)


class Folder:
    """A place on a disk. See `Place`.

    Parameters
    ----------
    path : Path
        The folder, which need not exist. A link is followed: the place is its target.
    """

    def __init__(self, path: Path) -> None:
        try:
            self.path = path.expanduser().resolve()
        except (OSError, RuntimeError, ValueError) as error:  # an unknown user; a circle of links
            raise OutputError(f"{path} is not a valid path: {error}; give another path.") from error

    @property
    def location(self) -> Path:
        return self.path

    def holds(self) -> Holds:
        if not self.path.is_dir():
            return "other" if self.path.exists() else "nothing"
        if any((self.path / mark).is_file() for mark in MARKS):
            return "zarr"
        return "other" if any(self.path.iterdir()) else "nothing"

    def create(self, make: Callable[[Path | str], None], stage: Stage | None = None) -> None:
        """Write the metadata beside the place and rename them, so that a killed run leaves nothing at the place."""
        fresh = self.path.with_name(f".{self.path.name}.{uuid4().hex}.new") if stage is None else stage.folder / "new"

        def remade() -> None:
            shutil.rmtree(fresh, ignore_errors=True)
            make(fresh)

        try:
            retried(remade, _MAKING, lambda error: None if stage is None else stage.check())
            if self.path.is_dir():
                self.path.rmdir()  # it is empty
            if stage is None:
                rename(fresh, self.path)
            else:
                stage.move_in(fresh, self.path)
        except OSError as error:
            raise OutputError(f"{self.path} cannot be made: {error}; choose a place with write access.") from error
        finally:
            shutil.rmtree(fresh, ignore_errors=True)

    def has(self, name: str) -> bool:
        return (self.path / name).is_dir()

    def stores(self, key: str) -> bool:
        try:
            return (self.path / key).stat().st_size > 0
        except (FileNotFoundError, NotADirectoryError):
            return False

    def keys(self, name: str, *, empty: bool = False) -> Iterator[str]:
        return _walk(os.path.join(self.path, name), "", empty)

    def get(self, key: str) -> bytes | None:
        try:
            return (self.path / key).read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None

    def put(self, key: str, content: Any, stage: Stage | None = None) -> None:
        target = self.path / key
        if stage is not None:
            stage.put(target, content)
            return
        check_way(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, bytes(content))

    def remove(self, key: str, stage: Stage | None = None) -> None:
        if stage is not None:
            stage.discard(self.path / key)
        else:
            check_way(self.path / key)
            (self.path / key).unlink(missing_ok=True)

    def lacks_folder(self, name: str) -> bool:
        return not (self.path / name).is_dir()

    def outermost_zarr(self) -> str:
        """Recognise a Zarr by its files."""
        folders = (parent for parent in reversed(self.path.parents) if _is_group(parent))
        return next(folders, self.path).as_posix()

    def sweep(self) -> int:
        swept = 0
        for directory, _, names in os.walk(self.path):
            for name in names:
                if _PARTIAL.search(name):
                    Path(directory, name).unlink(missing_ok=True)
                    swept += 1
        return swept

    def foreign(self) -> str | None:
        with os.scandir(self.path) as entries:
            found = {entry.name: entry.is_dir() for entry in entries}

        def is_node(name: str) -> bool:
            return any((self.path / name / mark).is_file() for mark in MARKS)

        return something_foreign(found, is_node)

    def delete(self, stage: Stage | None = None) -> None:
        if stage is not None:
            stage.discard(self.path)
            return
        for child in self.path.iterdir():
            if child.is_dir() and not child.is_symlink():
                shutil.rmtree(child)
            elif child.name not in MARKS:
                child.unlink()
        shutil.rmtree(self.path)

    def free(self) -> tuple[int, str] | None:
        parent = self._nearest()
        return shutil.disk_usage(parent).free, str(parent)

    def obstacle(self) -> str:
        parent = self._nearest()
        if not parent.is_dir():
            return f"{parent} is a file"
        return "" if os.access(parent, os.W_OK | os.X_OK) else f"{parent} is write-protected"

    def _nearest(self) -> Path:
        """Return the folder, or the nearest one above it that exists."""
        return next(folder for folder in (self.path, *self.path.parents) if folder.exists())

    def overlaps(self, location: str) -> bool:
        place = as_location(location)
        if not isinstance(place, Path):
            return False
        other = Folder(place).path
        if other == self.path or other in self.path.parents or self.path in other.parents:
            return True
        own = (self.path, *self.path.parents)
        return lies_in(other, self.path) or any(lies_in(folder, other) for folder in own)


def _is_group(folder: Path) -> bool:
    return any(os.path.isfile(folder / mark) for mark in _GROUP_MARKS)


def _walk(directory: str, prefix: str, empty: bool) -> Iterator[str]:
    """Yield the keys of all files below a directory, which need not exist."""
    folders = []
    try:
        entries = os.scandir(directory)
    except FileNotFoundError:
        return
    with entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            elif entry.is_dir():
                raise OutputError(
                    f"{entry.path} is a link to a folder ({os.path.realpath(entry.path)}), which may be part of a "
                    "circle of links; replace the link by the folder itself."
                )
            elif not _PARTIAL.search(entry.name) and (empty or _size(entry)):  # a partial file may vanish
                yield prefix + entry.name
    yield from itertools.chain.from_iterable(
        _walk(f"{directory}/{name}", f"{prefix}{name}/", empty) for name in folders
    )


def _size(entry: os.DirEntry[str]) -> int:
    """Return the size of a file or of the target of a link, in bytes; 0 if it is missing, or links form a circle."""
    try:
        return entry.stat().st_size
    except OSError:
        return 0
