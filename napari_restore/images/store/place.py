"""What a place offers that images are stored in, how it is named, and what belongs to a Zarr there."""

from __future__ import annotations

__all__ = ["MARKS", "METADATA", "Holds", "Place", "as_location", "is_url", "something_foreign", "without_file_scheme"]

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, Protocol

from napari_restore.images.staging import Stage

Holds = Literal["nothing", "zarr", "other"]

MARKS = ("zarr.json", ".zgroup", ".zarray")
"""Objects that tell that a place is a Zarr."""
METADATA = (*MARKS, ".zattrs", ".zmetadata")
_LITTER = (".DS_Store", "Thumbs.db", "desktop.ini")  # what file managers leave
_CHUNK = re.compile(r"(c\.)?[0-9]+(\.[0-9]+)*")  # a chunk of an array, by its name in one folder


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


def without_file_scheme(location: str | Path) -> str | Path:
    """Give the path that a ``file://`` URL stands for; anything else as it is."""
    scheme, mark, path = str(location).partition("://")
    if not mark or scheme.lower() not in ("file", "local"):
        return location
    return Path(path.removeprefix("localhost"))


def as_location(location: str | Path) -> str | Path:
    """Give a URL as it is and a path as a Path, which would take one of the two slashes of a URL."""
    location = without_file_scheme(location)
    return str(location) if is_url(location) else Path(location)


def something_foreign(names: dict[str, bool], is_node: Callable[[str], bool]) -> str | None:
    """Name what lies in a Zarr and is neither its metadata nor its chunks nor a Zarr itself; True marks folders."""
    for name, is_folder in sorted(names.items()):
        own = (
            name == "c" or name == "OME" or name.isdecimal() or is_node(name)
            if is_folder
            else name in METADATA or name in _LITTER or name.startswith("._") or bool(_CHUNK.fullmatch(name))
        )
        if not own:
            return name
    return None
