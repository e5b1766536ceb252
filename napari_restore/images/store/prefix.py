"""Store an image under a prefix in an object store."""

from __future__ import annotations

__all__ = ["Prefix", "filesystem"]

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from napari_restore.errors import OutputError, RestoreError
from napari_restore.images.guards.zarr_keys import MARKS, METADATA
from napari_restore.images.staging import Stage
from napari_restore.images.store.place import Holds, something_foreign

_UNFINISHED = ".napari_restore.new"
"""Object that exists under a prefix while the metadata of an image are written there."""


def filesystem(url: str) -> tuple[Any, str]:
    """Open the object store of a URL without a cache of listings, because other processes write there too.

    Parameters
    ----------
    url : str
        Such as ``"s3://bucket/folder/image.zarr"``.

    Returns
    -------
    tuple
        File system of fsspec, and the path of the URL in it.

    Raises
    ------
    OutputError
        If the package for this protocol is not installed, or the protocol is unknown.
    """
    import fsspec  # type: ignore[import-untyped]

    try:
        files, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        hint = 'pip install "napari-restore[s3]"' if url.startswith(("s3:", "s3a:")) else "install it"
        raise OutputError(f"{url} cannot be opened: {error}; {hint}, or use a path on a disk.") from error
    return files, root.rstrip("/")


def _plain_url(url: str) -> str:
    """Normalise a URL, so that equal places have equal URLs."""
    scheme, _, path = url.partition("://")
    return f"{scheme.lower().replace('s3a', 's3')}://{re.sub('/+', '/', path).rstrip('/')}"


class Prefix:
    """A place in an object store, accessed through fsspec: all keys that begin with a URL. See `Place`.

    Objects cannot be renamed there, and need not be: every stored object is whole.

    Parameters
    ----------
    url : str
        Such as ``"s3://bucket/folder/image.zarr"``. Endpoint and credentials come from the environment or from the
        configuration files of fsspec, so each process of a cluster can have its own.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    @property
    def location(self) -> str:
        return self.url

    @contextmanager
    def _opened(self) -> Iterator[tuple[Any, str]]:
        """Yield file system and root; other errors are raised as `OutputError` with the URL."""
        try:
            yield filesystem(self.url)
        except (RestoreError, MemoryError):
            raise
        except Exception as error:  # each file system of fsspec has its own errors
            raise OutputError(
                f"{self.url} cannot be reached: {error!r}; check the address, the credentials and the right to "
                "list, read and write there."
            ) from error

    def _names(self) -> dict[str, bool]:
        """Return the names below the prefix, and whether each is a prefix itself."""
        with self._opened() as (files, root):
            try:
                found = files.ls(root, detail=True)
            except FileNotFoundError:
                return {}
            # Some tools create an empty object "image.zarr/" as a folder.
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
        return "zarr" if names.keys() & set(MARKS) else "other"

    def create(self, make: Callable[[Path | str], None], stage: Stage | None = None) -> None:
        """Write the metadata beside a marker object that is deleted last; if it exists, they are written again."""
        with self._opened() as (files, root):
            if _UNFINISHED in (names := self._names()):
                for name in names:
                    if name != _UNFINISHED and (name in METADATA or name.isdecimal()):
                        files.rm(f"{root}/{name}", recursive=True)
            files.pipe_file(f"{root}/{_UNFINISHED}", b"The metadata of an image are being written here.")
            make(self.url)
            files.rm_file(f"{root}/{_UNFINISHED}")

    def has(self, name: str) -> bool:
        with self._opened() as (files, root):
            return bool(files.exists(f"{root}/{name}"))

    def stores(self, key: str) -> bool:
        with self._opened() as (files, root):
            try:
                return bool(files.info(f"{root}/{key}").get("size") != 0)
            except FileNotFoundError:
                return False

    def keys(self, name: str, *, empty: bool = False) -> Iterator[str]:
        """List once, with a thousand objects per request; a million objects need about 1 GB of memory."""
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
        return False  # an object store has no folders

    def outermost_zarr(self) -> str:
        """Recognise a Zarr by its name: a check would need a request for each folder."""
        parts = self.url.split("/")
        folders = ("/".join(parts[:count]) for count in range(4, len(parts)))
        return next((folder for folder in folders if folder.endswith(".zarr")), self.url)

    def sweep(self) -> int:
        """Delete nothing: an interrupted write stores no object."""
        return 0

    def foreign(self) -> str | None:
        with self._opened() as (files, root):
            return something_foreign(
                self._names(), lambda name: any(files.exists(f"{root}/{name}/{mark}") for mark in MARKS)
            )

    def delete(self, stage: Stage | None = None) -> None:
        with self._opened() as (files, root):
            for name in sorted(self._names(), key=lambda name: name in MARKS):
                files.rm(f"{root}/{name}", recursive=True)

    def free(self) -> tuple[int, str] | None:
        return None

    def obstacle(self) -> str:
        return ""

    def overlaps(self, location: str) -> bool:
        one, other = (f"{_plain_url(url)}/" for url in (self.url, location))
        return one.startswith(other) or other.startswith(one)
