"""Find the images of a batch in folders, patterns and collections, and name their results."""

from __future__ import annotations

__all__ = ["Found", "find_images"]

import glob
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from napari_restore.errors import SourceError
from napari_restore.images.collection import Collection, read_collection
from napari_restore.images.readers.file_series import natural_order
from napari_restore.images.readers.microscopes import ndtiff
from napari_restore.images.readers.table import ENDINGS
from napari_restore.images.readers.tiff.file_set import others_of_set
from napari_restore.images.readers.zarr_arrays import is_zarr
from napari_restore.images.readers.zipped import is_zipped
from napari_restore.images.store import is_url

_ENDING = re.compile(rf"(\.ome)?({'|'.join(re.escape(ending) for ending in ENDINGS)}|\.zarr)$", re.IGNORECASE)


@dataclass(frozen=True)
class Found:
    """An image of a batch and the path of its result.

    Attributes
    ----------
    source : str
        Path or URL of the image.
    output : str
        Path of the result, relative to the folder of all results, with ``/``.
    collection : Collection or None
        Plate or collection that contains the image.
    """

    source: str
    output: str
    collection: Collection | None = None


def find_images(sources: Sequence[str | Path], *, apart: str | Path | None = None) -> tuple[list[Found], list[str]]:
    """Find the images in folders, patterns, files, plates and collections.

    A folder stands for all images in it and its subfolders, a pattern for each file and Zarr that matches, and a plate
    or a collection for each of its images. Results are named like their sources, relative to the deepest common folder
    of all sources; where two results would have the same name, they keep the endings of their sources.

    Parameters
    ----------
    sources : sequence of str or Path
        Folders, patterns (``*``, ``?``, ``[...]``, and ``**`` for any folders), files, Zarrs, URLs of Zarrs.
    apart : str or Path, optional
        Folder of the results, which is not searched for sources.

    Returns
    -------
    found : list of Found
        In the natural order of the names within each source, each image once.
    ignored : list of str
        Files in folders, and matches of patterns, that are not images of a known format, or that belong to an image
        found through another of its files.

    Raises
    ------
    SourceError
        If a source does not exist, or no image is found.
    """
    paths: dict[str, str] = {}
    ignored: list[str] = []
    of_set: set[str] = set()
    for source in sources:
        for path, root, known in _expanded(str(source), None if apart is None else os.path.abspath(apart)):
            if known and path not in of_set:
                paths.setdefault(path, root)
                of_set.update(others_of_set(path))
            else:
                ignored.append(path)
    if not paths:
        raise SourceError(
            f"no image in {', '.join(map(str, sources)) or 'nothing'}; files of images end in .zarr, "
            f"{', '.join(ENDINGS)}."
        )
    names = _named(paths)
    if apart is not None:
        folder = Path(os.path.abspath(apart))
        _check_apart(sources, folder, [folder / name for name in names.values()])
    return [found for path, name in names.items() for found in _images(path, name)], ignored


def _check_apart(sources: Sequence[str | Path], apart: Path, outputs: list[Path]) -> None:
    """Refuse results that the same sources would include the next time.

    A folder of results inside a source is not searched, so it is allowed.
    """
    for source in map(str, sources):
        path = os.path.abspath(os.path.expanduser(source))
        root = _root(path)
        if is_url(source) or os.path.isfile(path) or _is_image(path) or _is_inside(apart, root):
            continue
        among = [
            out for out in outputs if _is_inside(out, root) and (root == path or fnmatch(str(out), _escaped(path)))
        ]
        if among:
            raise SourceError(
                f"the result {among[0]} would be one of the images of {source}, and be restored itself the next time; "
                "choose a separate folder for the results."
            )


def _is_inside(path: Path, folder: str) -> bool:
    return str(path) != folder and path.is_relative_to(folder)


def _root(pattern: str) -> str:
    """Return the deepest folder of a pattern that has no wildcard; a path without wildcards is returned unchanged.

    Brackets in the name of an existing folder are no wildcards.
    """
    while glob.has_magic(pattern) and not os.path.exists(pattern):
        pattern = os.path.dirname(pattern)
    return pattern


def _escaped(pattern: str) -> str:
    """Return a pattern in which the characters of its root folder are escaped."""
    root = _root(pattern)
    return glob.escape(root) + pattern[len(root) :]


def _images(path: str, name: str) -> Iterator[Found]:
    """Yield the image of a file, or all images of a collection."""
    collection = read_collection(path) if is_url(path) or is_zarr(path) or is_zipped(path) else None
    if collection is None:
        yield Found(path, name)
        return
    for member in collection.members:
        yield Found(f"{path}/{member}", f"{name}/{member}", collection)


def _is_image(folder: str) -> bool:
    """Check whether a folder is one image: a Zarr, or an NDTiff data set."""
    return is_zarr(folder) or ndtiff.recognises(folder)


def _expanded(source: str, apart: str | None) -> Iterator[tuple[str, str, bool]]:
    """Yield each absolute path, the folder that its name is relative to, and whether its format is known."""
    if is_url(source):
        url = source.rstrip("/")
        yield url, url.rpartition("/")[0], True
        return
    path = os.path.abspath(os.path.expanduser(source))
    if os.path.isdir(path) and not _is_image(path):
        yield from ((file, path, known) for file, known in _walk(path, apart))
    elif os.path.exists(path):
        yield path, os.path.dirname(path), True
    elif glob.has_magic(path):
        yield from _matches(path, apart)
    else:
        raise SourceError(f"{source} does not exist; check the folder and the spelling.")


def _walk(folder: str, apart: str | None) -> Iterator[tuple[str, bool]]:
    for entry in sorted(os.scandir(folder), key=lambda entry: natural_order(entry.name)):
        if entry.name.startswith(".") or entry.path == apart:
            continue
        if entry.is_dir():
            yield from [(entry.path, True)] if _is_image(entry.path) else _walk(entry.path, apart)
        else:
            yield entry.path, _ENDING.search(entry.name) is not None


def _matches(pattern: str, apart: str | None) -> Iterator[tuple[str, str, bool]]:
    """Yield the matches of a pattern, except those inside a folder that is an image."""
    root = _root(pattern)
    for path in sorted(glob.glob(_escaped(pattern), recursive=True), key=natural_order):
        parents = [str(parent) for parent in Path(path).parents if parent.is_relative_to(root)]
        if (apart != root and apart in (path, *parents)) or any(
            _is_image(parent) for parent in parents if parent != root
        ):
            continue
        if os.path.isdir(path):
            if _is_image(path):
                yield path, root, True
        else:
            yield path, root, _ENDING.search(path) is not None


def _named(paths: dict[str, str]) -> dict[str, str]:
    """Name the result of each path: without its ending, or with it where two results would have the same name."""
    roots = {root for root in paths.values() if not is_url(root)}
    common = os.path.commonpath(roots) if roots else ""
    relative = {
        path: path.rpartition("/")[2] if is_url(path) else Path(os.path.relpath(path, common)).as_posix()
        for path in paths
    }
    short = {path: _ENDING.sub("", name) + ".zarr" for path, name in relative.items()}
    # Names that differ only in case count as equal, because some file systems do not distinguish them.
    taken = Counter(name.casefold() for name in short.values())
    folders = {str(folder).casefold() for name in short.values() for folder in PurePosixPath(name).parents}
    names = {
        path: name if taken[name.casefold()] == 1 and name.casefold() not in folders else f"{relative[path]}.zarr"
        for path, name in short.items()
    }
    twice = [name for name, count in Counter(name.casefold() for name in names.values()).items() if count > 1]
    if twice:
        raise SourceError(f"two sources would both become {twice[0]}; restore them in two batches.")
    return names
