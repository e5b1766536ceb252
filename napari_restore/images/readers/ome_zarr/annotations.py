"""Find the label images and tables beside an OME-Zarr image, and list what is in them.

Labels and tables are groups beside the levels of an image: ``labels/nuclei`` is an image of its own, and
``tables/FOV_ROI_table`` is an AnnData, CSV or Parquet table, as fractal and ngio write them.
"""

from __future__ import annotations

__all__ = ["Tree", "find_annotations", "names_in", "read_tree"]

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_restore.errors import ChunkError, RestoreError
from napari_restore.images.guards.zarr_keys import METADATA
from napari_restore.images.guards.zarr_objects import listed, read_object
from napari_restore.images.image import Annotations
from napari_restore.images.lazy_arrays import ChunkedArray, Region
from napari_restore.images.ome_metadata import ome_part

if TYPE_CHECKING:
    import zarr


@dataclass(frozen=True)
class Tree:
    """What is in a label or table, by the path in it.

    Attributes
    ----------
    source : zarr.Group
        The group of the label or table.
    groups : dict of str to dict
        Attributes of each group; those of the label or table itself have the path "".
    arrays : dict of str to zarr.Array
        The arrays.
    files : list of str
        Objects that are not Zarr, such as ``table.csv``.
    computed : dict of str to callable
        Functions that read regions of arrays which are not stored.
    """

    source: zarr.Group
    groups: dict[str, dict[str, Any]] = field(default_factory=dict)
    arrays: dict[str, zarr.Array[Any]] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    computed: dict[str, Callable[[Region], Any]] = field(default_factory=dict)

    @property
    def objects(self) -> int:
        """Number of objects to copy: chunks, shards and files."""
        units = ((array.shape, array.shards or array.chunks) for array in self.arrays.values())
        return len(self.files) + sum(
            math.prod(-(-length // size) for length, size in zip(shape, unit, strict=True)) for shape, unit in units
        )

    def file(self, path: str) -> bytes:
        """Read an object that is not Zarr.

        Parameters
        ----------
        path : str
            One of `files`.

        Raises
        ------
        ChunkError
            If it cannot be read.
        """
        try:
            return read_object(self.source.store, _below(self.source.path, path)) or b""
        except (MemoryError, RestoreError):
            raise
        except Exception as error:  # each store has errors of its own
            raise ChunkError(f"{self.source.name}/{path} cannot be read: {error!r}") from error

    def reader(self, path: str) -> Callable[[Region], Any]:
        """Return a function that reads a region of an array, and raises `ChunkError` if it cannot be read.

        Parameters
        ----------
        path : str
            Path of the array.
        """
        stored = ChunkedArray(self.arrays[path], f"{self.source.name}/{path}").__getitem__
        return self.computed.get(path, stored)


def find_annotations(group: zarr.Group, location: str) -> Annotations | None:
    """Find the labels and tables beside an image.

    Parameters
    ----------
    group : zarr.Group
        Group of the image.
    location : str
        Path or URL of the group.

    Returns
    -------
    Annotations or None
        Their names; None if there are none.
    """
    found = {kind: names_in(group, kind) for kind in ("labels", "tables")}
    return Annotations(location, found["labels"], found["tables"]) if any(found.values()) else None


def names_in(group: zarr.Group, kind: str) -> tuple[str, ...]:
    """Return the names of the labels or tables of an image: those in their list, or without a list all groups.

    Parameters
    ----------
    group : zarr.Group
        Group of the image.
    kind : {"labels", "tables"}
        Which of them.
    """
    import zarr

    try:
        inner = group.get(kind)
        if not isinstance(inner, zarr.Group):
            return ()
        names = ome_part(inner).get(kind, inner.attrs.get(kind))
        if isinstance(names, Sequence) and not isinstance(names, str):
            return tuple(map(str, names))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # zarr warns about folders that are not part of a Zarr
            return tuple(sorted(inner.group_keys()))
    except Exception:  # a damaged group, or a store that lists nothing, does not keep the image from opening
        return ()


def read_tree(source: zarr.Group) -> Tree:
    """List what is in a label or table, without reading pixels.

    Parameters
    ----------
    source : zarr.Group
        Its group.

    Returns
    -------
    Tree
        Its groups, arrays and files.
    """
    tree = Tree(source)
    _add(tree, source, "")
    return tree


def _add(tree: Tree, group: zarr.Group, path: str) -> None:
    import zarr

    tree.groups[path] = group.attrs.asdict()
    for name in sorted(name.strip("/") for name in listed(group.store.list_dir(group.path))):
        if not name or name in METADATA:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            member = group.get(name)
        if isinstance(member, zarr.Group):
            _add(tree, member, _below(path, name))
        elif isinstance(member, zarr.Array):
            tree.arrays[_below(path, name)] = member
        else:
            tree.files.extend(_files(tree.source, _below(path, name)))


def _files(source: zarr.Group, path: str) -> list[str]:
    """Return a file, or the files of a folder that is not Zarr, such as a data set of Parquet."""
    start = len(source.path) + 1 if source.path else 0
    below = listed(source.store.list_prefix(f"{_below(source.path, path)}/"))
    return sorted(name[start:] for name in below) or [path]


def _below(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name
