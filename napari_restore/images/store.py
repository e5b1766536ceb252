"""Where an image is stored: a folder on a disk, or a prefix in an object store; what differs between the two.

Pixels and metadata go through zarr, which takes both. What zarr does not do is here: to list which objects are there,
to make an image all at once or not at all, to tell a Zarr from the only copy of a thesis, and to delete.
"""

from __future__ import annotations

__all__ = ["Folder", "Place", "Prefix", "filesystem", "is_url", "place_of"]

import itertools
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol

from napari_restore.errors import OutputError, RestoreError
from napari_restore.images.staging import Stage

Holds = Literal["nothing", "zarr", "other"]

_MARKS = ("zarr.json", ".zgroup", ".zarray")
"""Objects that tell that a place is a Zarr."""
_UNFINISHED = ".napari_restore.new"
"""Object that stands in a prefix while the metadata of an image are written there."""
_PARTIAL = re.compile(r"\.[0-9a-f]{32}\.partial$")  # what zarr calls a file that it has not renamed yet


class Place(Protocol):
    """Where one image is stored."""

    @property
    def location(self) -> Path | str:
        """Absolute path or URL, as zarr opens it."""

    def holds(self) -> Holds:
        """Tell what is there; a folder that is empty, and what an interrupted `create` left, count as nothing."""

    def create(self, make: Callable[[Path | str], None], stage: Stage | None = None) -> None:
        """Have an image's metadata made at a location, all of them or, if that is interrupted, none.

        A stage is what an output on a disk is written through.

        Raises
        ------
        OutputError
            If the place cannot be written.
        """

    def has(self, name: str) -> bool:
        """Tell whether there is anything below a name."""

    def keys(self, name: str) -> Iterator[str]:
        """Yield the keys of all objects below a name that are not empty, relative to it."""

    def sweep(self) -> int:
        """Delete what interrupted writes left behind, and say how much; to be called while nobody writes."""

    def delete(self, stage: Stage | None = None) -> None:
        """Delete a Zarr, its marks last: what is left of it when that is interrupted is still known as a Zarr."""

    def free(self) -> tuple[int, str] | None:
        """Free bytes and the folder they are free in; None where there is no limit to ask for."""

    def overlaps(self, location: str) -> bool:
        """Tell whether another place is this one, or one of them lies inside the other."""


def is_url(location: str | Path) -> bool:
    """Tell whether a location is a URL and not a path."""
    return "://" in str(location)


def place_of(location: str | Path) -> Folder | Prefix:
    """Give the place at a path or URL."""
    return Prefix(str(location)) if is_url(location) else Folder(Path(location))


def filesystem(url: str) -> tuple[Any, str]:
    """Open the object store of a URL, without its cache of listings: other processes write there too.

    Returns
    -------
    tuple
        fsspec's file system, and the path of the URL in it.

    Raises
    ------
    OutputError
        If the package for this kind of URL is not installed, or the kind is unknown.
    """
    import fsspec  # type: ignore[import-untyped]

    try:
        files, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        hint = 'pip install "napari-restore[s3]"' if url.startswith(("s3:", "s3a:")) else "install it"
        raise OutputError(f"{url} cannot be opened: {error}; {hint}, or use a path on a disk.") from error
    return files, root.rstrip("/")


class Folder:
    """A place on a disk. See `Place`.

    Parameters
    ----------
    path : Path
        The folder, which need not exist. A link is followed: what it points to is the place.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().resolve()

    @property
    def location(self) -> Path:
        return self.path

    def holds(self) -> Holds:
        if not self.path.is_dir():
            return "other" if self.path.exists() else "nothing"
        if any((self.path / mark).is_file() for mark in _MARKS):
            return "zarr"
        return "other" if any(self.path.iterdir()) else "nothing"

    def create(self, make: Callable[[Path | str], None], stage: Stage | None = None) -> None:
        """Make the metadata beside the place and rename them: what a killed run leaves is in nobody's way."""
        fresh = self.path.with_name(f".{self.path.name}.new") if stage is None else stage.folder / "new"
        try:
            shutil.rmtree(fresh, ignore_errors=True)
            make(fresh)
            if self.path.is_dir():
                self.path.rmdir()  # it is empty
            if stage is None:
                fresh.rename(self.path)
            else:
                stage.move_in(fresh, self.path)
        except OSError as error:
            raise OutputError(f"{self.path} cannot be made: {error}; choose a place with write access.") from error
        finally:
            shutil.rmtree(fresh, ignore_errors=True)

    def has(self, name: str) -> bool:
        return (self.path / name).is_dir()

    def keys(self, name: str) -> Iterator[str]:
        return _walk(os.path.join(self.path, name), "")

    def sweep(self) -> int:
        swept = 0
        for directory, _, names in os.walk(self.path):
            for name in names:
                if _PARTIAL.search(name):
                    Path(directory, name).unlink(missing_ok=True)
                    swept += 1
        return swept

    def delete(self, stage: Stage | None = None) -> None:
        if stage is not None:
            stage.discard(self.path)
            return
        for child in self.path.iterdir():
            if child.is_dir() and not child.is_symlink():
                shutil.rmtree(child)
            elif child.name not in _MARKS:
                child.unlink()
        shutil.rmtree(self.path)

    def free(self) -> tuple[int, str] | None:
        parent = next(folder for folder in (self.path, *self.path.parents) if folder.exists())
        return shutil.disk_usage(parent).free, str(parent)

    def overlaps(self, location: str) -> bool:
        if is_url(location):
            return False
        other = Path(location).resolve()
        return other == self.path or other in self.path.parents or self.path in other.parents


def _walk(directory: str, prefix: str) -> Iterator[str]:
    """Yield the keys of all non-empty files below a directory."""
    folders = []
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir():
                folders.append(entry.name)
            elif not _PARTIAL.search(entry.name) and entry.stat().st_size:  # a partial one may be gone any moment
                yield prefix + entry.name
    yield from itertools.chain.from_iterable(_walk(f"{directory}/{name}", f"{prefix}{name}/") for name in folders)


class Prefix:
    """A place in an object store, by fsspec: all keys that begin with a URL. See `Place`.

    Nothing can be renamed there, and there is no need to: an object that is there is whole.

    Parameters
    ----------
    url : str
        Such as ``"s3://bucket/folder/image.zarr"``. Endpoint and credentials come from the environment or from fsspec's
        configuration files, so that every process of a cluster can have its own.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    @property
    def location(self) -> str:
        return self.url

    @contextmanager
    def _opened(self) -> Iterator[tuple[Any, str]]:
        """Give file system and root; what goes wrong with them is an error that names the place."""
        try:
            yield filesystem(self.url)
        except (RestoreError, MemoryError):
            raise
        except Exception as error:  # each kind of store has errors of its own
            raise OutputError(
                f"{self.url} cannot be reached: {error!r}; check the address, the credentials and the right to "
                "list, read and write there."
            ) from error

    def _names(self) -> set[str]:
        with self._opened() as (files, root):
            try:
                found = files.ls(root, detail=False)
            except FileNotFoundError:
                return set()
            # An empty object "image.zarr/" is what some tools take for a folder.
            return {name.rstrip("/").rsplit("/", 1)[-1] for name in found if name.rstrip("/") != root}

    def _is_object(self) -> bool:
        with self._opened() as (files, root):
            return bool(files.isfile(root))

    def holds(self) -> Holds:
        names = self._names()
        if not names:
            return "other" if self._is_object() else "nothing"
        if _UNFINISHED in names:
            return "nothing"
        return "zarr" if names & set(_MARKS) else "other"

    def create(self, make: Callable[[Path | str], None], stage: Stage | None = None) -> None:
        """Make the metadata with a mark beside them that goes last: where it is found, they are made anew."""
        with self._opened() as (files, root):
            if _UNFINISHED in self._names():
                files.rm(root, recursive=True)
            files.pipe_file(f"{root}/{_UNFINISHED}", b"The metadata of an image are being written here.")
            make(self.url)
            files.rm_file(f"{root}/{_UNFINISHED}")

    def has(self, name: str) -> bool:
        with self._opened() as (files, root):
            return bool(files.exists(f"{root}/{name}"))

    def keys(self, name: str) -> Iterator[str]:
        """List once, a thousand objects a request. About 1 GB of memory for a million of them."""
        with self._opened() as (files, root):
            below = f"{root}/{name}/"
            found = files.find(below, detail=True)
        return (key[key.index(below) + len(below) :] for key, info in found.items() if info.get("size") != 0)

    def sweep(self) -> int:
        """Nothing: what was not written whole is not there."""
        return 0

    def delete(self, stage: Stage | None = None) -> None:
        with self._opened() as (files, root):
            for name in sorted(self._names(), key=lambda name: name in _MARKS):
                files.rm(f"{root}/{name}", recursive=True)

    def free(self) -> tuple[int, str] | None:
        return None

    def overlaps(self, location: str) -> bool:
        one, other = (f"{url.rstrip('/')}/" for url in (self.url, location))
        return one.startswith(other) or other.startswith(one)
