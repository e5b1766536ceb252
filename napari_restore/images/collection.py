"""Read and create Zarr groups of many images: plates of high-content screening, and collections of bioformats2raw.

A plate is a hierarchy of rows, columns (wells) and images (fields): ``plate.zarr/A/1/0`` (OME-Zarr 0.4 and 0.5). The
plate of the results gets the same rows, wells, acquisitions and paths of images.
"""

from __future__ import annotations

__all__ = ["Collection", "check_collection", "create_collection", "read_collection"]

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import zarr

from napari_restore.errors import OutputError, RestoreError, SourceError
from napari_restore.images.image import Annotations
from napari_restore.images.ome_metadata import COLLECTION, collection_attributes, collection_members, ome_part
from napari_restore.images.readers.ome_zarr.annotations import find_annotations
from napari_restore.images.readers.zipped import node_at
from napari_restore.images.store import place_of
from napari_restore.images.writing.ome_zarr import ATTRIBUTES


@dataclass(frozen=True)
class Collection:
    """A Zarr group of many images and its metadata.

    Attributes
    ----------
    location : str
        Path or URL of the group.
    members : tuple of str
        Path of each image in the group, such as "A/1/0".
    plate : dict or None
        The plate's metadata; None for a collection of bioformats2raw.
    wells : dict of str to list
        Metadata of the images of each well of a plate, by the path of the well.
    annotations : dict of str to Annotations
        Labels and tables of the plate itself, with the path "", and of its wells, by their paths.
    """

    location: str
    members: tuple[str, ...]
    plate: dict[str, Any] | None = None
    wells: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    annotations: dict[str, Annotations] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """Word for messages: "plate" or "collection"."""
        return "collection" if self.plate is None else "plate"


def read_collection(location: str) -> Collection | None:
    """Read the list of images of a Zarr group, if it is a plate or a collection of bioformats2raw.

    Parameters
    ----------
    location : str
        Absolute path or URL.

    Returns
    -------
    Collection or None
        None for an array, an image, or any other group.

    Raises
    ------
    SourceError
        If the metadata are damaged, or list no image.
    """
    try:
        node = node_at(location)
        if not isinstance(node, zarr.Group):
            return None
        ome = ome_part(node)
        found = (
            _plate(node, location, ome) if "plate" in ome else _series(node, location) if COLLECTION in ome else None
        )
    except RestoreError:
        raise
    except FileNotFoundError as error:
        raise SourceError(f"{location} does not exist, or holds no Zarr: {error}") from error
    except Exception as error:
        raise SourceError(f"the metadata of {location} cannot be read: {error!r}. Copy it again.") from error
    if found is not None and not found.members:
        raise SourceError(f"{location} is a {found.kind} without an image; copy it again.")
    return found


def _plate(group: zarr.Group, location: str, ome: Mapping[str, Any]) -> Collection:
    plate = dict(ome["plate"])
    rows, columns = ([str(line["name"]) for line in plate[lines]] for lines in ("rows", "columns"))
    listed = []
    wells: dict[str, list[dict[str, Any]]] = {}
    annotations = {"": find_annotations(group, location)}
    for well in plate["wells"]:
        path = str(well["path"]).strip("/")
        row, column = path.split("/")
        listed.append({"path": path, "rowIndex": rows.index(row), "columnIndex": columns.index(column)})
        member = group.get(path)
        if isinstance(member, zarr.Group):  # a plate may list wells that were not imaged
            wells[path] = [dict(image) for image in ome_part(member)["well"]["images"]]
            annotations[path] = find_annotations(member, f"{location}/{path}")
    members = tuple(f"{path}/{image['path']}" for path, images in wells.items() for image in images)
    found = {path: one for path, one in annotations.items() if one is not None}
    return Collection(location, members, {**plate, "wells": listed}, wells, found)


def _series(group: zarr.Group, location: str) -> Collection:
    return Collection(location, tuple(collection_members(group)))


def create_collection(path: str | Path, source: Collection, version: Literal["0.4", "0.5"] = "0.5") -> None:
    """Write the metadata of a new plate or collection with the structure of another one, without images.

    A group that was written before for the same source is not changed. The metadata of the group itself are written
    last.

    Parameters
    ----------
    path : str or Path
        Directory or URL of the new group.
    source : Collection
        Plate or collection whose structure is copied.
    version : {"0.5", "0.4"}
        OME-Zarr 0.5 on Zarr 3, or 0.4 on Zarr 2.

    Raises
    ------
    OutputError
        If something else exists at `path`, or it cannot be written.
    SourceError
        If the metadata of the source are not those of a valid plate.
    """
    contents, identity, location = _contents(source, version), _identity(source, version), str(path)
    if check_collection(path, source, version):
        return
    try:
        zarr_format: Literal[2, 3] = 3 if version == "0.5" else 2
        # An interrupted creation is resumed, and nothing is deleted.
        zarr.open_group(location, mode="a", zarr_format=zarr_format).update_attributes({ATTRIBUTES: identity})
        for row in sorted({well.partition("/")[0] for well in source.wells}):
            zarr.open_group(location, path=row, mode="a", zarr_format=zarr_format)
        for inside, attributes in contents.items():
            if inside:
                zarr.open_group(location, path=inside, mode="a", zarr_format=zarr_format).update_attributes(attributes)
        zarr.open_group(location, mode="r+").update_attributes({ATTRIBUTES: identity, **contents[""]})
    except OSError as error:
        raise OutputError(f"{path} cannot be made: {error}; choose a place with write access.") from error


def _identity(source: Collection, version: str) -> dict[str, Any]:
    return {"collection": {"source": source.location, "members": list(source.members), "version": version}}


def check_collection(path: str | Path, source: Collection, version: Literal["0.4", "0.5"] = "0.5") -> bool:
    """Check that a new collection may be created at a path, without writing.

    Parameters
    ----------
    path : str or Path
        Directory or URL of the new group.
    source : Collection
        Plate or collection whose structure is copied.
    version : {"0.5", "0.4"}
        See `create_collection`.

    Returns
    -------
    bool
        Whether the collection exists and is complete; False if nothing exists, or its creation was interrupted.

    Raises
    ------
    OutputError
        If something else exists at `path`.
    """
    location, identity = str(path), _identity(source, version)
    try:
        attributes = zarr.open_group(location, mode="r").attrs.asdict()
    except FileNotFoundError:
        if place_of(path).holds() != "nothing":
            raise OutputError(f"{location} exists and is no Zarr; choose another output, or delete it.") from None
        return False
    if attributes.get(ATTRIBUTES) != identity:
        raise OutputError(
            f"{location} exists and was not made from these images in this OME-Zarr version; choose another output, or "
            "delete it."
        )
    return "ome" in attributes or "plate" in attributes or COLLECTION in attributes


def _contents(source: Collection, version: str) -> dict[str, dict[str, Any]]:
    """Return the attributes of each group by its path inside, checked against the schema."""
    from pydantic import ValidationError

    from napari_restore.images.ome_metadata.schema import Plate, Well

    try:
        if source.plate is None:
            return collection_attributes(source.members, version)
        plate = Plate.model_validate({**source.plate, "version": version})
        wells = {
            path: Well.model_validate({"images": images, "version": version}) for path, images in source.wells.items()
        }
    except ValidationError as error:
        raise SourceError(f"{source.location} is no valid plate: {error}; correct its metadata.") from error
    kinds = {"": ("plate", plate), **{path: ("well", well) for path, well in wells.items()}}
    return {
        path: _wrapped({kind: found.model_dump(mode="json", exclude_none=True)}, version)
        for path, (kind, found) in kinds.items()
    }


def _wrapped(metadata: dict[str, Any], version: str) -> dict[str, Any]:
    return {"ome": {"version": "0.5", **metadata}} if version == "0.5" else metadata
