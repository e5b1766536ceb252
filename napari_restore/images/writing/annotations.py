"""Write copies of the label images and tables of a source into a result, object by object, each whole and once.

Arrays are decoded and stored again, chunk by chunk, because Zarr 2 and Zarr 3 store them in different ways. Values,
data types, chunks, attributes and files of other formats stay as they are, and so does the size of a label's pixels: in
a result with twice as many pixels, a label covers the same area with its own, larger pixels.

While a group is copied, it has no list of its members; the list is written last. So a group with a list is complete,
and an interrupted copy is resumed with the objects that are missing.
"""

from __future__ import annotations

__all__ = ["AnnotationWriter", "copied_objects", "is_copied"]

import copy
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import zarr
from zarr.errors import UnstableSpecificationWarning
from zarr.storage import MemoryStore

from napari_restore.images.lazy_arrays import Region
from napari_restore.images.staging import Stage
from napari_restore.images.store import Folder, Place
from napari_restore.images.writing.digests import Digests, record_digest, sha256_of
from napari_restore.images.writing.layout import WriteUnit
from napari_restore.images.writing.ome_zarr import ATTRIBUTES, compressor, unit_counts, unit_region, without_checksum
from napari_restore.images.writing.unit_writer import encoded

_INCOMPLETE = {ATTRIBUTES: {"copying": True}}
"""Attribute of a group of labels or tables while they are copied."""


def is_copied(place: Place, kind: str) -> bool:
    """Check whether the labels or the tables of a result are complete.

    Parameters
    ----------
    place : Place
        Where the result is stored.
    kind : {"labels", "tables"}
        Which of them.

    Returns
    -------
    bool
        False if there are none, or copying them was interrupted. Those that other software has made are complete.
    """
    found = _attributes(place, kind)
    return found is not None and found.get(ATTRIBUTES) != _INCOMPLETE[ATTRIBUTES]


def _attributes(place: Place, kind: str) -> dict[str, Any] | None:
    """Return the attributes of a group; None if there is no group, or it cannot be read."""
    try:
        if (whole := place.get(f"{kind}/zarr.json")) is not None:
            return dict(json.loads(whole).get("attributes", {}))
        if place.get(f"{kind}/.zgroup") is not None:
            return dict(json.loads(place.get(f"{kind}/.zattrs") or b"{}"))
    except (ValueError, TypeError, AttributeError):
        pass
    return None


def copied_objects(place: Folder, digests: Digests) -> Iterator[tuple[str, bool]]:
    """Check the objects of the copied labels and tables of a result, by their digests.

    Metadata of groups are not among them, because other software may add to them.

    Parameters
    ----------
    place : Folder
        Where the result is stored.
    digests : Digests
        Digests of all objects of the result.

    Yields
    ------
    name : str
        Name of the object in the result.
    sound : bool
        Whether it is stored and unchanged. A copy that was interrupted counts as one bad object.
    """
    for kind in ("labels", "tables"):
        if place.has(kind) and not is_copied(place, kind):
            yield kind, False
    # A label or table that is neither in the list nor stored was left out, or removed by the user.
    there = {f"{kind}/{name}" for kind in ("labels", "tables") for name in _listed(place, kind)}
    members = {"/".join(name.split("/")[:2]) for name in digests.known if name.startswith(("labels/", "tables/"))}
    there |= {member for member in members if any(place.keys(member, empty=True))}
    for name in digests.known:
        if "/".join(name.split("/")[:2]) in there:
            yield name, bool(digests.fits(name, sha256_of(place.path / name) or ""))


class AnnotationWriter:
    """Writer of the labels or of the tables of a result.

    Parameters
    ----------
    place : Place
        Where the result is stored.
    kind : {"labels", "tables"}
        Name of the group in the result.
    version : {"0.5", "0.4"}
        Version of the result.
    stage : Stage, optional
        Stage through which a result on a disk is written.
    """

    def __init__(
        self, place: Place, kind: str, version: Literal["0.4", "0.5"] = "0.5", stage: Stage | None = None
    ) -> None:
        self.place, self.kind, self.stage = place, kind, stage
        self.zarr_format: Literal[2, 3] = 3 if version == "0.5" else 2

    def check(self, source: zarr.Array[Any]) -> None:
        """Check that an array can be copied.

        Parameters
        ----------
        source : zarr.Array
            The array.

        Raises
        ------
        ValueError
            If this version of Zarr has no such data type.
        """
        try:
            self._like(source, {})
        except (UnstableSpecificationWarning, ValueError, TypeError) as error:
            raise ValueError(f"Zarr {self.zarr_format} has no data type like {source.dtype}") from error

    def remove(self, path: str) -> None:
        """Delete what was copied of a label or table.

        Parameters
        ----------
        path : str
            Its name.
        """
        for key in list(self.place.keys(self._key(path), empty=True)):
            self.place.remove(self._key(path, key), self.stage)

    def begin(self) -> None:
        """Write the group with the mark that it is not complete. Attributes that are there stay."""
        self.group("", (_attributes(self.place, self.kind) or {}) | _INCOMPLETE)

    def end(self, attributes: Mapping[str, Any], names: Sequence[str]) -> None:
        """Write the group with its list; names that are in the list already, as others have added them, stay.

        Parameters
        ----------
        attributes : mapping
            Attributes of the group.
        names : sequence of str
            Names of the labels or tables that were copied.
        """
        made, before = copy.deepcopy(dict(attributes)), _list_in(_attributes(self.place, self.kind) or {}, self.kind)
        _list_in(made, self.kind)[self.kind] = [
            *names,
            *(name for name in before.get(self.kind, ()) if name not in names),
        ]
        self.group("", made)

    def group(self, path: str, attributes: Mapping[str, Any]) -> None:
        """Write the metadata of a group.

        Parameters
        ----------
        path : str
            Path in the labels or tables; "" for themselves.
        attributes : mapping
            Its attributes.
        """
        files: dict[str, Any] = {"zarr.json": {"zarr_format": 3, "node_type": "group", "attributes": dict(attributes)}}
        if self.zarr_format == 2:  # the file that makes it a group comes last
            files = {".zattrs": dict(attributes), ".zgroup": {"zarr_format": 2}}
        for name, content in files.items():
            self.place.put(self._key(path, name), json.dumps(content, indent=2).encode(), self.stage)

    def file(self, path: str, content: bytes) -> None:
        """Write an object that is not Zarr.

        Parameters
        ----------
        path : str
            Path in the labels or tables.
        content : bytes
            The object.
        """
        self._put(self._key(path), content)

    def array(
        self, path: str, source: zarr.Array[Any], read: Callable[[Region], Any], names: Sequence[str] | None = None
    ) -> Iterator[int]:
        """Write an array, chunk by chunk, or shard by shard.

        Parameters
        ----------
        path : str
            Path in the labels or tables.
        source : zarr.Array
            The array that is copied.
        read : callable
            Reads a region of it.
        names : sequence of str, optional
            Names of its dimensions if it has none itself; Zarr 2 does not store them.

        Yields
        ------
        int
            Number of objects of the array that are stored.

        Raises
        ------
        ChunkError
            If a region cannot be read.
        """
        objects: dict[str, Any] = {}
        made = self._like(source, objects, names)
        for name in list(objects):
            if name != "zarr.json" or self.zarr_format == 3:
                content = objects[name].to_bytes()
                self._put(self._key(path, name), without_checksum(content) if name == ".zarray" else content)
        stored = set(self.place.keys(self._key(path)))
        for number, index in enumerate(np.ndindex(unit_counts(made)), 1):
            unit, name = WriteUnit(0, index), made.metadata.encode_chunk_key(index)
            if name not in stored:
                values = np.asarray(read(unit_region(made, unit)))
                self._put(self._key(path, name), encoded(made, unit, values))
            yield number

    def _like(
        self, source: zarr.Array[Any], objects: dict[str, Any], names: Sequence[str] | None = None
    ) -> zarr.Array[Any]:
        """Return an array in memory with the metadata of the copy, which are stored in `objects`."""
        options: dict[str, Any] = {"compressors": compressor(self.zarr_format)}
        if self.zarr_format == 3:
            named = getattr(source.metadata, "dimension_names", None) or names
            options |= {"shards": source.shards, "dimension_names": named}
        else:
            options |= {"chunk_key_encoding": {"name": "v2", "separator": "/"}}
        dtype: Any = source.dtype
        if self.zarr_format == 3 and dtype.kind == "U":  # Zarr 3 has only text of any length
            dtype = str
        with warnings.catch_warnings():
            warnings.simplefilter("error", UnstableSpecificationWarning)
            return zarr.create_array(
                MemoryStore(objects),
                shape=source.shape,
                chunks=source.chunks,
                dtype=dtype,
                fill_value=source.fill_value,
                attributes=source.attrs.asdict(),
                zarr_format=self.zarr_format,
                config={"write_empty_chunks": True},
                **options,
            )

    def _key(self, *path: str) -> str:
        return "/".join(part for part in (self.kind, *path) if part)

    def _put(self, key: str, content: Any) -> None:
        if self.stage is not None and isinstance(self.place, Folder):
            record_digest(self.stage, self.place.path, key, content)
        self.place.put(key, content, self.stage)


def _listed(place: Place, kind: str) -> list[str]:
    """Return the names in the list of labels or tables of a result."""
    stored = _attributes(place, kind) or {}
    return list(_list_in(stored, kind).get(kind, ()))


def _list_in(attributes: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return the mapping that has the list of labels or tables: OME-Zarr's since 0.5, or all attributes."""
    ome = attributes.get("ome")
    return ome if isinstance(ome, dict) and kind in ome else attributes
