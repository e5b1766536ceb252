"""Define the interface of a place that stores an image, its location, and the objects that belong to a Zarr."""

from __future__ import annotations

__all__ = ["Holds", "Place", "as_location", "is_url", "something_foreign"]

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, Protocol

from napari_restore.images.guards.zarr_keys import METADATA
from napari_restore.images.staging import Stage

Holds = Literal["nothing", "zarr", "other"]

_LITTER = (".DS_Store", "Thumbs.db", "desktop.ini")  # what file managers leave
_CHUNK = re.compile(r"(c\.)?[0-9]+(\.[0-9]+)*")  # a chunk of an array, by its name in one folder


class Place(Protocol):
    """A folder or a prefix that stores one image."""

    @property
    def location(self) -> Path | str:
        """Absolute path or URL, as zarr opens it."""

    def holds(self) -> Holds:
        """Check what exists at the place; an empty folder and the rest of an interrupted `create` count as nothing."""

    def create(self, make: Callable[[Path | str], None], stage: Stage | None = None) -> None:
        """Create an image: all of its metadata or, if that is interrupted, none.

        Parameters
        ----------
        make : callable
            Writes the metadata at the path or URL that it is called with.
        stage : Stage, optional
            Stage through which an output on a disk is written.

        Raises
        ------
        OutputError
            If the place cannot be written.
        """

    def has(self, name: str) -> bool:
        """Check whether anything exists below a name."""

    def stores(self, key: str) -> bool:
        """Check whether an object is stored; an empty one counts as missing."""

    def keys(self, name: str, *, empty: bool = False) -> Iterator[str]:
        """Yield the keys of all objects below a name, relative to it; those of empty objects only with `empty`."""

    def get(self, key: str) -> bytes | None:
        """Read an object; None if it does not exist."""

    def put(self, key: str, content: Any, stage: Stage | None = None) -> None:
        """Store bytes as an object, whole or not at all; an output on a disk is written through a stage."""

    def remove(self, key: str, stage: Stage | None = None) -> None:
        """Delete an object, if it exists."""

    def lacks_folder(self, name: str) -> bool:
        """Check whether the folder of objects is missing; storing an object would create it again."""

    def outermost_zarr(self) -> str:
        """Return the location of the outermost Zarr that contains this place; its own if there is none."""

    def sweep(self) -> int:
        """Delete the rests of interrupted writes and return their number; call it only while no run writes."""

    def foreign(self) -> str | None:
        """Return a name in a Zarr that is not part of it, such as a user's notes; None if there is none."""

    def delete(self, stage: Stage | None = None) -> None:
        """Delete a Zarr, its marks last, so that the rest of an interrupted deletion is still recognised as a Zarr."""

    def free(self) -> tuple[int, str] | None:
        """Return the free bytes and the folder where they are free; None for a place without a limit."""

    def obstacle(self) -> str:
        """Return why nothing new can be written there, as far as it can be known without writing; "" if nothing."""

    def overlaps(self, location: str) -> bool:
        """Check whether another location is this place, or one of them is inside the other."""


def is_url(location: str | Path) -> bool:
    """Check whether a location is a URL and not a path."""
    return "://" in str(location)


def as_location(location: str | Path) -> str | Path:
    """Convert a location to a string for a URL, and to a `Path` for a path.

    A `Path` would remove one of the two slashes of a URL. A ``file://`` URL is converted to its path.
    """
    if not is_url(location):
        return Path(location)
    scheme, _, path = str(location).partition("://")
    return Path(path.removeprefix("localhost")) if scheme.lower() in ("file", "local") else str(location)


def something_foreign(names: dict[str, bool], is_node: Callable[[str], bool]) -> str | None:
    """Return a name in a Zarr that is neither metadata nor a chunk nor a Zarr itself; `names` is True for folders."""
    for name, is_folder in sorted(names.items()):
        own = (
            name == "c" or name == "OME" or name.isdecimal() or is_node(name)
            if is_folder
            else name in METADATA or name in _LITTER or name.startswith("._") or bool(_CHUNK.fullmatch(name))
        )
        if not own:
            return name
    return None
