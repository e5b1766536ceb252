"""Create an OME-Zarr and list its write units, which are written one by one, each whole and once.

A write unit (`napari_restore.images.writing.layout.WriteUnit`) that exists is complete, so the missing write units are
the work to do.

The array is stored in the order time, channel, space that OME-Zarr requires: canonical order, with the colour samples S
in the position of C. See `stored_axes` and `to_stored`.
"""

from __future__ import annotations

__all__ = [
    "compressor",
    "create",
    "missing_units",
    "object_name",
    "open_level",
    "read_attributes",
    "stored_axes",
    "stored_order",
    "stored_units",
    "to_stored",
    "unit_counts",
    "unit_region",
    "unit_shape",
    "without_checksum",
]

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr
from numpy.typing import DTypeLike, NDArray
from zarr.errors import ContainsArrayError

from napari_restore.errors import OutputError, RestoreError
from napari_restore.images.axes import canonical_axes, check_axes
from napari_restore.images.image import Channel
from napari_restore.images.lazy_arrays import Region
from napari_restore.images.ome_metadata import ome_attributes
from napari_restore.images.store import Folder, place_of
from napari_restore.images.writing.layout import (
    WriteUnit,
    check_layout,
    level_shape,
    stored_axes,
    stored_order,
    to_stored,
)
from napari_restore.images.writing.metadata_copy import write_copy
from napari_restore.ways_out import REACH, REPAIR

ATTRIBUTES = "napari_restore"
"""Key of the attributes that this package adds to the group of an image."""


def create(
    path: str | Path,
    *,
    shape: Sequence[int],
    dtype: DTypeLike,
    axes: str,
    chunks: Sequence[int],
    shards: Sequence[int] | None = None,
    levels: int = 1,
    pixel_size: Mapping[str, float] | None = None,
    origin: Mapping[str, float] | None = None,
    units: Mapping[str, str] | None = None,
    channels: Sequence[Channel] = (),
    name: str = "image",
    version: Literal["0.4", "0.5"] = "0.5",
    attributes: Mapping[str, Any] | None = None,
    labels: bool = False,
    reduction: str = "mean",
) -> None:
    """Write the metadata of an image and all its levels, without pixels.

    The attributes of the group are written last, so a group with attributes for `read_attributes` has all its arrays.

    Parameters
    ----------
    path : str or Path
        Directory or URL of the new image; it must be empty or not exist.
    shape, chunks, shards : sequence of int
        Shape of level 0, of a chunk and of a shard (None: each chunk is one object), in the order of `axes`. All levels
        have the same chunks and shards.
    dtype : dtype
        Data type of the pixels.
    axes : str
        Letters in canonical order, that of "TCZYXS". S is stored as the channel axis.
    levels : int
        Number of levels, each the 2×2 mean over Y and X of the level before.
    pixel_size, origin : mapping of str to float, optional
        Distance of pixel centres and position of the first one, by letter, for level 0; 1.0 and 0.0 if missing.
    units : mapping of str to str, optional
        Unit by letter, such as "micrometer"; unknown if missing.
    channels : sequence of Channel
        One for each index of the stored channel axis, or empty.
    name : str
        Name of the image.
    version : {"0.5", "0.4"}
        OME-Zarr 0.5 on Zarr 3, or 0.4 on Zarr 2, which has no shards.
    attributes : mapping, optional
        Values that JSON can hold; `read_attributes` returns them. If None, nothing marks the image as a result.
    labels : bool
        Whether the pixels are numbers of objects of the image two groups above: ``labels/NAME`` in it. Coarser levels
        then have the value that is most frequent among 2×2 pixels, not their mean.
    reduction : str
        What coarser levels have of 2×2 pixels, as the metadata name it; see `napari_restore.images.writing.pyramid`.

    Raises
    ------
    OutputError
        If something exists at `path`, if there are both C and S, or if a size or the version is not allowed.
    AxesError
        If `axes` does not fit `shape`.
    """
    if check_axes(axes, tuple(shape)) != canonical_axes(axes):
        raise OutputError(f"axes {axes!r} are not in the order of TCZYXS; give the shape as {canonical_axes(axes)!r}.")
    if any(len(lengths) != len(shape) for lengths in (chunks, shards or chunks)):
        raise OutputError(f"chunks {chunks} or shards {shards} do not have one length for each axis of {axes!r}.")
    order = stored_order(axes)
    letters = stored_axes(axes)
    shape, chunks = tuple(shape[i] for i in order), tuple(chunks[i] for i in order)
    shards = None if shards is None else tuple(shards[i] for i in order)
    check_layout(letters, shape, chunks, shards, levels, version, len(channels))
    if place_of(path).holds() != "nothing":
        raise OutputError(f"{path} exists already; choose another path, or delete it first.")
    shapes = [level_shape(letters, shape, level) for level in range(levels)]
    kind = np.dtype(dtype).newbyteorder("=")
    metadata = ome_attributes(
        letters, levels, kind, pixel_size or {}, origin or {}, units or {}, channels, name, version,
        colour="S" in axes, labels=labels, reduction=reduction,
    )  # fmt: skip
    try:
        group = zarr.create_group(place_of(path).location, zarr_format=3 if version == "0.5" else 2)
        for level, its_shape in enumerate(shapes):
            _create_level(group, str(level), its_shape, kind, letters, chunks, shards)
            if version == "0.4":
                name = f"{level}/.zarray"
                place_of(path).put(name, without_checksum(place_of(path).get(name) or b""))
        own = {} if attributes is None else {ATTRIBUTES: dict(attributes)}
        group.update_attributes({**own, **metadata})
        write_copy(path, levels)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error}; choose a place with space and write access.") from error


def _create_level(
    group: zarr.Group,
    name: str,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    letters: str,
    chunks: tuple[int, ...],
    shards: tuple[int, ...] | None,
) -> None:
    """Write the metadata of one array, with a checksum in every chunk so that reading detects damage."""
    if group.metadata.zarr_format == 3:
        group.create_array(
            name,
            shape=shape,
            dtype=dtype,
            chunks=chunks,
            shards=shards,
            compressors=compressor(3),
            fill_value=0,
            dimension_names=tuple(letters.lower()),
        )
    else:
        group.create_array(
            name,
            shape=shape,
            dtype=dtype,
            chunks=chunks,
            compressors=compressor(2),
            fill_value=0,
            chunk_key_encoding={"name": "v2", "separator": "/"},
        )


def compressor(zarr_format: Literal[2, 3]) -> Any:
    """Return the compressor of all arrays that are written, with a checksum, so that reading detects damage."""
    if zarr_format == 3:
        from zarr.codecs import ZstdCodec

        return ZstdCodec(level=0, checksum=True)
    from numcodecs import Zstd  # type: ignore[import-untyped]

    return Zstd(level=0, checksum=True)


def without_checksum(metadata: bytes) -> bytes:
    """Remove the field ``checksum`` of Zstandard from metadata of Zarr 2, where some readers do not know it.

    It says how to write. Chunks have their checksums all the same, and every reader of Zstandard checks them.

    Parameters
    ----------
    metadata : bytes
        Content of ``.zarray``.

    Returns
    -------
    bytes
        The content without the field.
    """
    described = json.loads(metadata)
    if described.get("compressor"):
        described["compressor"].pop("checksum", None)
    return json.dumps(described, indent=2).encode()


def read_attributes(path: str | Path) -> dict[str, Any] | None:
    """Read the `attributes` that `create` wrote.

    Parameters
    ----------
    path : str or Path
        Directory or URL of the image.

    Returns
    -------
    dict or None
        None if there is no image of this package.

    Raises
    ------
    OutputError
        If the metadata exist and cannot be read.
    """
    place = place_of(path)
    if isinstance(place, Folder) and not place.path.is_dir():
        return None
    try:
        group = zarr.open_group(place.location, mode="r")
    except (FileNotFoundError, ContainsArrayError):
        return None
    except Exception as error:
        raise _not_readable(str(path), error) from error
    found = group.attrs.asdict().get(ATTRIBUTES)
    return dict(found) if isinstance(found, Mapping) else None


_DAMAGED = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, NotImplementedError)
"""What damaged metadata raise in zarr. Errors of servers and disks are of other types."""


def _not_readable(what: str, error: Exception) -> OutputError:
    advice = REPAIR if isinstance(error, _DAMAGED) else REACH
    return OutputError(f"the metadata of {what} cannot be read: {error!r}", advice)


def open_level(path: str | Path, level: int, mode: Literal["r", "r+"] = "r") -> zarr.Array[Any]:
    """Open the array of one level.

    Chunks of zeros are stored like any other (`write_empty_chunks`), because a missing object means missing work. Zarr
    does not store this option, so it is set on opening.

    Parameters
    ----------
    path : str or Path
        Directory or URL of the image.
    level : int
        0 is the image itself.
    mode : {"r", "r+"}
        Whether to read only, or to read and write.

    Returns
    -------
    zarr.Array
        The array of the level.

    Raises
    ------
    OutputError
        If the level does not exist.
    """
    try:
        array = zarr.open_array(place_of(path).location, path=str(level), mode=mode)
    except FileNotFoundError as error:
        raise OutputError(f"{path} has no level {level}; was the image made by this package?") from error
    except (MemoryError, RestoreError):
        raise
    except Exception as error:
        raise _not_readable(f"level {level} of {path}", error) from error
    array = array.with_config({"write_empty_chunks": True})
    if array.metadata.zarr_format == 2:  # its metadata do not mention checksums, see `without_checksum`
        metadata = replace(array.metadata, compressor=compressor(2))
        array = zarr.Array(zarr.AsyncArray(metadata, array.store_path, array.async_array.config))
    return array


def unit_shape(array: zarr.Array[Any]) -> tuple[int, ...]:
    """Return the shape of a write unit, in pixels and stored order."""
    return tuple(array.shards or array.chunks)


def unit_counts(array: zarr.Array[Any]) -> tuple[int, ...]:
    """Return the number of write units along each axis, in stored order."""
    return tuple(-(-length // size) for length, size in zip(array.shape, unit_shape(array), strict=True))


def unit_region(array: zarr.Array[Any], unit: WriteUnit) -> Region:
    """Return the region of a write unit in the array of its level, clipped at the end of the array, in stored order.

    Raises
    ------
    OutputError
        If the write unit does not exist in the array.
    """
    counts = unit_counts(array)
    if len(unit.index) != len(counts) or any(not 0 <= i < n for i, n in zip(unit.index, counts, strict=True)):
        raise OutputError(f"{unit} is outside the grid of {counts} units of {array.name}.")
    return tuple(
        slice(i * size, min((i + 1) * size, length))
        for i, size, length in zip(unit.index, unit_shape(array), array.shape, strict=True)
    )


def object_name(array: zarr.Array[Any], unit: WriteUnit) -> str:
    """Return the name of a write unit's object in the image, such as ``"0/c/0/1"``, from the array of its level."""
    return f"{unit.level}/{array.metadata.encode_chunk_key(unit.index)}"


def stored_units(path: str | Path, level: int) -> NDArray[np.bool_]:
    """Find the stored write units of a level with one listing, without opening an object.

    An empty file counts as missing, because a power failure can leave one.

    Parameters
    ----------
    path : str or Path
        Directory or URL of the image.
    level : int
        0 is the image itself.

    Returns
    -------
    numpy.ndarray of bool
        One value per write unit, in the shape of `unit_counts`.
    """
    array = open_level(path, level)
    counts = unit_counts(array)
    stored = np.zeros(counts, dtype=bool)
    prefix = "c/" if array.metadata.zarr_format == 3 else ""
    for key in place_of(path).keys(str(level)):
        parts = key.removeprefix(prefix).split("/")
        if len(parts) == len(counts) and all(part.isdecimal() for part in parts):
            index = tuple(map(int, parts))
            if all(i < n for i, n in zip(index, counts, strict=True)):
                stored[index] = True
    return stored


def missing_units(path: str | Path, level: int) -> Iterator[WriteUnit]:
    """Return the missing write units of a level, in C order.

    The level is listed when the function is called, not when the iterator is used.

    Parameters
    ----------
    path : str or Path
        Directory or URL of the image.
    level : int
        0 is the image itself.

    Returns
    -------
    iterator of WriteUnit
        One by one, because there may be millions.
    """
    missing = np.argwhere(~stored_units(path, level))
    return (WriteUnit(level, tuple(row.tolist())) for row in missing)
