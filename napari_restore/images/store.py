"""Where an image is stored: a folder on a disk, or a prefix in an object store; what differs between the two.

Pixels and metadata are read through zarr, which takes both. What zarr does not do, or not by public names, is here: to
list, read, write and delete single objects, to make an image all at once or not at all, and to tell a Zarr from the
only copy of a thesis. Whether a location is a URL is asked here alone.
"""

from __future__ import annotations

__all__ = ["Folder", "Place", "Prefix", "as_location", "filesystem", "is_url", "place_of"]

import itertools
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, Protocol
from uuid import uuid4

from napari_restore.errors import OutputError, RestoreError
from napari_restore.files import write_whole
from napari_restore.images.sameness import lies_in
from napari_restore.images.staging import Stage, check_way

Holds = Literal["nothing", "zarr", "other"]

_MARKS = ("zarr.json", ".zgroup", ".zarray")
"""Objects that tell that a place is a Zarr."""
_GROUP_MARKS = ("zarr.json", ".zgroup")
"""Those of a Zarr that may hold others."""
_METADATA = (*_MARKS, ".zattrs", ".zmetadata")
_LITTER = (".DS_Store", "Thumbs.db", "desktop.ini")  # what file managers leave
_CHUNK = re.compile(r"(c\.)?[0-9]+(\.[0-9]+)*")  # a chunk of an array, by its name in one folder
_UNFINISHED = ".napari_restore.new"
"""Object that stands in a prefix while the metadata of an image are written there."""
_PARTIAL = re.compile(r"\.[0-9a-f]{32}\.(partial|new(\.[^.]*)?)$")
"""What zarr, and `napari_restore.files.write_whole`, call a file that is not renamed yet."""


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

    def keys(self, name: str, *, empty: bool = False) -> Iterator[str]:
        """Yield the keys of all objects below a name, relative to it; of empty ones only if they are asked for."""

    def get(self, key: str) -> bytes | None:
        """Read an object; None if there is none."""

    def put(self, key: str, content: Any, stage: Stage | None = None) -> None:
        """Store bytes as an object, whole or not at all; a stage is what an output on a disk is written through."""

    def remove(self, key: str, stage: Stage | None = None) -> None:
        """Delete an object, if it is there."""

    def lacks_folder(self, name: str) -> bool:
        """Tell whether a folder is gone that objects are to be put in, which would be made anew with the first."""

    def outermost_zarr(self) -> str:
        """Location of the outermost Zarr that this place lies in; its own where it lies in none."""

    def sweep(self) -> int:
        """Delete what interrupted writes left behind, and say how much; to be called while nobody writes."""

    def foreign(self) -> str | None:
        """Name something in a Zarr that is none of its parts, such as a user's notes; None where there is nothing."""

    def delete(self, stage: Stage | None = None) -> None:
        """Delete a Zarr, its marks last: what is left of it when that is interrupted is still known as a Zarr."""

    def free(self) -> tuple[int, str] | None:
        """Free bytes and the folder they are free in; None where there is no limit to ask for."""

    def overlaps(self, location: str) -> bool:
        """Tell whether another place is this one, or one of them lies inside the other."""


def is_url(location: str | Path) -> bool:
    """Tell whether a location is a URL and not a path."""
    return "://" in str(location)


def as_location(location: str | Path) -> str | Path:
    """Give a URL as text, anything else as a Path, which would take one of the two slashes of a URL.

    A ``file://`` URL is the path that it stands for.
    """
    scheme, mark, path = str(location).partition("://")
    if not mark:
        return Path(location)
    return Path(path.removeprefix("localhost")) if scheme.lower() in ("file", "local") else str(location)


def _plain_url(url: str) -> str:
    """Write a URL as two of one place are written alike."""
    scheme, _, path = url.partition("://")
    return f"{scheme.lower().replace('s3a', 's3')}://{re.sub('/+', '/', path).rstrip('/')}"


def place_of(location: str | Path) -> Folder | Prefix:
    """Give the place at a path or URL."""
    location = as_location(location)
    return Folder(location) if isinstance(location, Path) else Prefix(location)


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


def _foreign(names: dict[str, bool], is_node: Callable[[str], bool]) -> str | None:
    """Name what lies in a Zarr and is neither its metadata nor its chunks nor a Zarr itself; True marks folders."""
    for name, is_folder in sorted(names.items()):
        own = (
            name == "c" or name == "OME" or name.isdecimal() or is_node(name)
            if is_folder
            else name in _METADATA or name in _LITTER or name.startswith("._") or bool(_CHUNK.fullmatch(name))
        )
        if not own:
            return name
    return None


class Folder:
    """A place on a disk. See `Place`.

    Parameters
    ----------
    path : Path
        The folder, which need not exist. A link is followed: what it points to is the place.
    """

    def __init__(self, path: Path) -> None:
        try:
            self.path = path.expanduser().resolve()
        except (OSError, RuntimeError, ValueError) as error:  # a user who is not there; links that go round in a circle
            raise OutputError(f"{path} is no place on this disk: {error}; give another path.") from error

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
        fresh = self.path.with_name(f".{self.path.name}.{uuid4().hex}.new") if stage is None else stage.folder / "new"
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
        write_whole(target, content)

    def remove(self, key: str, stage: Stage | None = None) -> None:
        if stage is not None:
            stage.discard(self.path / key)
        else:
            check_way(self.path / key)
            (self.path / key).unlink(missing_ok=True)

    def lacks_folder(self, name: str) -> bool:
        return not (self.path / name).is_dir()

    def outermost_zarr(self) -> str:
        """Tell a Zarr by its files."""
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
            return any((self.path / name / mark).is_file() for mark in _MARKS)

        return _foreign(found, is_node)

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
        place = place_of(location)
        if isinstance(place, Prefix):
            return False
        other = place.path
        if other == self.path or other in self.path.parents or self.path in other.parents:
            return True
        own = (self.path, *self.path.parents)
        return lies_in(other, self.path) or any(lies_in(folder, other) for folder in own)


def _is_group(folder: Path) -> bool:
    return any(os.path.isfile(folder / mark) for mark in _GROUP_MARKS)


def _walk(directory: str, prefix: str, empty: bool) -> Iterator[str]:
    """Yield the keys of all files below a directory, which need not be there."""
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
                    f"{entry.path} is a link to a folder ({os.path.realpath(entry.path)}), which may go round in a "
                    "circle; put the folder itself there."
                )
            elif not _PARTIAL.search(entry.name) and (empty or _size(entry)):  # a partial one may be gone any moment
                yield prefix + entry.name
    yield from itertools.chain.from_iterable(
        _walk(f"{directory}/{name}", f"{prefix}{name}/", empty) for name in folders
    )


def _size(entry: os.DirEntry[str]) -> int:
    """Bytes of a file, or of what a link to a file points to; 0 if that is not there, or goes round in a circle."""
    try:
        return entry.stat().st_size
    except OSError:
        return 0


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

    def _names(self) -> dict[str, bool]:
        """Give the names below the prefix, and whether they are prefixes themselves."""
        with self._opened() as (files, root):
            try:
                found = files.ls(root, detail=True)
            except FileNotFoundError:
                return {}
            # An empty object "image.zarr/" is what some tools take for a folder.
            return {
                info["name"].rstrip("/").rsplit("/", 1)[-1]: info["type"] == "directory"
                for info in found
                if info["name"].rstrip("/") != root
            }

    def _is_object(self) -> bool:
        with self._opened() as (files, root):
            return bool(files.isfile(root))

    def holds(self) -> Holds:
        names = self._names()
        if not names:
            return "other" if self._is_object() else "nothing"
        if _UNFINISHED in names:
            return "nothing"
        return "zarr" if names.keys() & set(_MARKS) else "other"

    def create(self, make: Callable[[Path | str], None], stage: Stage | None = None) -> None:
        """Make the metadata with a mark beside them that goes last: where it is found, they are made anew."""
        with self._opened() as (files, root):
            if _UNFINISHED in (names := self._names()):
                for name in names:
                    if name != _UNFINISHED and (name in _METADATA or name.isdecimal()):
                        files.rm(f"{root}/{name}", recursive=True)
            files.pipe_file(f"{root}/{_UNFINISHED}", b"The metadata of an image are being written here.")
            make(self.url)
            files.rm_file(f"{root}/{_UNFINISHED}")

    def has(self, name: str) -> bool:
        with self._opened() as (files, root):
            return bool(files.exists(f"{root}/{name}"))

    def keys(self, name: str, *, empty: bool = False) -> Iterator[str]:
        """List once, a thousand objects a request. About 1 GB of memory for a million of them."""
        with self._opened() as (files, root):
            below = f"{root}/{name}/"
            found = files.find(below, detail=True)
        return (key[key.index(below) + len(below) :] for key, info in found.items() if empty or info.get("size") != 0)

    def get(self, key: str) -> bytes | None:
        with self._opened() as (files, root):
            try:
                return bytes(files.cat_file(f"{root}/{key}"))
            except FileNotFoundError:
                return None

    def put(self, key: str, content: Any, stage: Stage | None = None) -> None:
        with self._opened() as (files, root):
            files.pipe_file(f"{root}/{key}", bytes(content))

    def remove(self, key: str, stage: Stage | None = None) -> None:
        with self._opened() as (files, root), suppress(FileNotFoundError):
            files.rm_file(f"{root}/{key}")

    def lacks_folder(self, name: str) -> bool:
        return False  # there are none

    def outermost_zarr(self) -> str:
        """Tell a Zarr by its name: looking would be a request for each folder."""
        parts = self.url.split("/")
        folders = ("/".join(parts[:count]) for count in range(4, len(parts)))
        return next((folder for folder in folders if folder.endswith(".zarr")), self.url)

    def sweep(self) -> int:
        """Nothing: what was not written whole is not there."""
        return 0

    def foreign(self) -> str | None:
        with self._opened() as (files, root):
            return _foreign(self._names(), lambda name: any(files.exists(f"{root}/{name}/{mark}") for mark in _MARKS))

    def delete(self, stage: Stage | None = None) -> None:
        with self._opened() as (files, root):
            for name in sorted(self._names(), key=lambda name: name in _MARKS):
                files.rm(f"{root}/{name}", recursive=True)

    def free(self) -> tuple[int, str] | None:
        return None

    def overlaps(self, location: str) -> bool:
        one, other = (f"{_plain_url(url)}/" for url in (self.url, location))
        return one.startswith(other) or other.startswith(one)
