"""Check the files that an HDF5 file makes h5py read: links to other files, external storage and virtual data sets.

HDF5 follows all of them into any file that the user may read, and without an end if a virtual data set contains itself.
So this module follows them first.
"""

from __future__ import annotations

__all__ = ["check_chunks", "check_dataset", "follow_links"]

import glob
import itertools
import math
import os
import re
from functools import partial
from typing import Any

from napari_restore.errors import ChunkError, SourceError
from napari_restore.images.guards.files import Surroundings
from napari_restore.images.guards.inflation import check_deflate, most_bytes

_MOST_LINKS = 32
_DEFLATE, _FLETCHER = 1, 3
"""Numbers of HDF5 filters."""


def follow_links(h5py: Any, path: str, inside: str, surroundings: Surroundings) -> tuple[str, str]:
    """Follow soft links and external links to the path of a data set or group without links.

    Parameters
    ----------
    h5py : module
        The h5py module.
    path : str
        Absolute path of the file.
    inside : str
        Path of a data set or group in the file.
    surroundings : Surroundings
        Files that may be opened.

    Returns
    -------
    file, inside : str
        File, and path in it. If a part of the path does not exist, the links before it are followed.

    Raises
    ------
    SourceError
        If a link leads to a file that may not be read, or links form a circle.
    """
    for _ in range(_MOST_LINKS):
        surroundings.check(path)
        if not os.path.exists(path):
            return path, inside
        followed = _follow_one(h5py, path, inside)
        if followed is None:
            return path, inside
        path, inside = followed
    raise SourceError(f"{surroundings.source}: links to {inside!r} go round in a circle; name the data set itself.")


def _follow_one(h5py: Any, path: str, inside: str) -> tuple[str, str] | None:
    """Replace the first link in a path by its target; None if there is no link."""
    parts = [part for part in inside.split("/") if part not in ("", ".")]
    with h5py.File(path, "r") as file:
        group = file
        for count, part in enumerate(parts, 1):
            link = group.get(part, getlink=True) if isinstance(group, h5py.Group) and part in group else None
            rest = "/".join(parts[count:])
            if isinstance(link, h5py.ExternalLink):
                return _found(path, link.filename), f"/{link.path.strip('/')}/{rest}".rstrip("/")
            if isinstance(link, h5py.SoftLink):
                before = "" if link.path.startswith("/") else "/".join(parts[: count - 1])
                return path, f"/{before}/{link.path.strip('/')}/{rest}".replace("//", "/").rstrip("/")
            if link is None:
                return None
            group = group[part]
    return None


def _found(path: str, name: str) -> str:
    """Return the path of a file that another file names. If it does not exist, look for it beside that file."""
    folder = os.path.dirname(os.path.abspath(path))
    named = os.path.normpath(os.path.join(folder, name))
    beside = os.path.join(folder, re.split(r"[/\\]", name)[-1])
    return beside if not os.path.exists(named) and os.path.exists(beside) else named


def check_dataset(h5py: Any, dataset: Any, path: str, surroundings: Surroundings) -> None:
    """Refuse a data set that is stored in, or made of, files that may not be read.

    Parameters
    ----------
    h5py : module
        The h5py module.
    dataset : h5py.Dataset
        Data set of an open file.
    path : str
        Absolute path of that file.
    surroundings : Surroundings
        Files that may be read.

    Raises
    ------
    SourceError
        If a file may not be read, if a file of a virtual data set does not exist (HDF5 would return zeros), or if a
        virtual data set contains itself.
    """
    _check(h5py, dataset, path, surroundings, ((os.path.realpath(path), dataset.name),))


def _check(h5py: Any, dataset: Any, path: str, surroundings: Surroundings, above: tuple[tuple[str, str], ...]) -> None:
    for name, *_ in dataset.external or ():
        for candidate in _candidates(path, name):
            surroundings.check(candidate)
    if not dataset.is_virtual:
        return
    for name, inside in dict.fromkeys((part.file_name, part.dset_name) for part in dataset.virtual_sources()):
        for file in [path] if name == "." else _files_of(path, name, surroundings):
            surroundings.check(file)
            real, there = follow_links(h5py, file, inside, surroundings)
            node = (os.path.realpath(real), there)
            if node in above:
                raise SourceError(
                    f"{surroundings.source}: the virtual data set {dataset.name} is made of itself; name what it was "
                    "made of."
                )
            if len(above) > _MOST_LINKS:
                raise SourceError(f"{surroundings.source}: virtual data sets are nested too deep; name the first one.")
            with h5py.File(real, "r") as opened:
                found = opened.get(there) if "%" not in there else None
                if isinstance(found, h5py.Dataset):
                    _check(h5py, found, real, surroundings, (*above, node))


def _candidates(path: str, name: str) -> list[str]:
    """Return the paths where HDF5 looks for a name: the folder of the file, and the working directory."""
    folders = (os.path.dirname(os.path.abspath(path)), os.getcwd())
    return list(dict.fromkeys(os.path.normpath(os.path.join(folder, name)) for folder in folders))


def _files_of(path: str, name: str, surroundings: Surroundings) -> list[str]:
    """Return the files that a virtual data set names; a pattern (``img_%b.h5``) may name many."""
    found = [file for candidate in _candidates(path, name) for file in _matching(candidate)]
    if not found:
        raise SourceError(
            f"{surroundings.source} is made of {name}, which is not there, and would be taken for zeros; put it "
            "beside the file."
        )
    return found


def _matching(candidate: str) -> list[str]:
    if os.path.exists(candidate):
        return [candidate]
    if not re.search(r"%\d*b", candidate):
        return []
    return glob.glob("*".join(glob.escape(part) for part in re.split(r"%\d*b", candidate)))


def check_chunks(dataset: Any, region: tuple[slice, ...]) -> None:
    """Refuse a region if one of its chunks would decode to more bytes than the data set declares.

    HDF5 allocates memory for everything that Deflate returns.

    Parameters
    ----------
    dataset : h5py.Dataset
        The data set.
    region : tuple of slice
        Region that will be read, one slice for each dimension.

    Raises
    ------
    ChunkError
        If a chunk is too large; the message names it.
    """
    if not dataset.chunks or not dataset._filters:
        return
    declared = math.prod(dataset.chunks) * dataset.dtype.itemsize
    filters = dataset.id.get_create_plist()
    numbers = [filters.get_filter(number)[0] for number in range(filters.get_nfilters())]
    coded = [number for number in numbers if number != _FLETCHER][-1:] == [_DEFLATE]
    firsts = (range(s.start // c * c, s.stop, c) for s, c in zip(region, dataset.chunks, strict=True))
    buffer = bytearray(min(most_bytes(declared), os.path.getsize(dataset.file.filename)))
    for offset in itertools.product(*firsts):
        index = tuple(o // c for o, c in zip(offset, dataset.chunks, strict=True))
        try:
            # The time for this does not grow with the number of chunks, unlike that for the information on a chunk.
            mask, stored = dataset.id.read_direct_chunk(offset, out=buffer)
        except ValueError:  # larger than that, or no chunk is stored
            if (size := dataset.id.get_chunk_info_by_coord(offset).size) > most_bytes(declared):
                raise ChunkError(f"chunk {index} has {size} bytes as it is stored, and {declared} decoded") from None
            continue
        except (RuntimeError, OSError):  # this chunk is not stored, or it is damaged: that shows when it is read
            continue
        if coded and not mask:
            try:
                check_deflate(partial(bytes, stored), len(stored), declared)
            except ChunkError as error:
                raise ChunkError.around(f"chunk {index}", error) from None
