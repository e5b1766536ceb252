"""Read Zarr arrays (versions 2 and 3) and OME-Zarr groups (0.1 to 0.6, and collections made by bioformats2raw)."""

from __future__ import annotations

__all__ = ["ENDINGS", "is_zarr", "open", "open_node", "recognises"]

import contextlib
import math
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_restore.errors import AxesError, OutputError, RestoreError, SourceError
from napari_restore.images.axes import canonical_axes, check_axes, letter_of, transposition
from napari_restore.images.cf_attributes import missing_values, notes_on_packing
from napari_restore.images.guards.zarr_keys import MARKS
from napari_restore.images.image import Image
from napari_restore.images.lazy_arrays import ChunkedArray
from napari_restore.images.ome_metadata import COLLECTION, collection_members, ome_part
from napari_restore.images.readers.ome_zarr.annotations import find_annotations
from napari_restore.images.readers.ome_zarr.channels import read_channels
from napari_restore.images.readers.ome_zarr.chunks import found_chunks
from napari_restore.images.readers.ome_zarr.multiscales import Multiscale, multiscales
from napari_restore.images.readers.ome_zarr.transformations import Placement, apply
from napari_restore.images.readers.reader import check_level, loaded_types, pixel_sizes, series_number
from napari_restore.images.store import filesystem, is_url
from napari_restore.ways_out import WayOut, name_axes

if TYPE_CHECKING:
    import zarr

ENDINGS: tuple[str, ...] = ()


def is_zarr(path: str) -> bool:
    """Check whether a directory is a Zarr array or group."""
    return any(os.path.isfile(os.path.join(path, name)) for name in MARKS)


def recognises(source: Any) -> bool:
    """Check whether a source is a directory or URL of a Zarr, or an array or group of the package zarr."""
    if isinstance(source, str):
        return is_url(source) or is_zarr(source) or _is_n5(source)
    return isinstance(source, loaded_types("zarr", "Array", "Group"))


def _is_n5(path: str) -> bool:
    return os.path.isdir(path) and (path.endswith(".n5") or os.path.exists(os.path.join(path, "attributes.json")))


def open(source: Any, *, axes: str | None = None, level: int = 0, series: int | str = 0) -> Image:
    """Open a Zarr array or an OME-Zarr group without reading pixels.

    Parameters
    ----------
    source : str or zarr.Array
        Absolute path or URL of an array or a group; or an array.
    axes : str, optional
        One letter of "TCZYXS" per dimension; they override those of the metadata: OME-Zarr's, ``dimension_names``, or
        xarray's ``_ARRAY_DIMENSIONS``.
    level : int
        Level of the pyramid, 0 being the largest.
    series : int or str
        Number or name of the image in a group that holds several.

    Returns
    -------
    Image
        The image; a plain array has no pixel size.

    Raises
    ------
    AxesError
        If the metadata do not define the axes, or `axes` does not fit.
    SourceError
        If the level or series does not exist, or the metadata are damaged.
    """
    import zarr

    from napari_restore.images.guards.zarr_store import guarded_store

    if isinstance(source, zarr.Group):
        raise SourceError("a zarr.Group is not an array; pass its path, or one of the arrays in it.")
    if isinstance(source, zarr.Array):
        return _open_array(source, None, axes, level, series)
    if is_url(source):
        _check_filesystem(source)
    elif not is_zarr(source):
        raise SourceError(
            f"{source} is N5, which Zarr 3 does not read any more; export it as OME-Zarr (in Fiji: File > Save As > "
            "Export HDF5/N5/Zarr/OME-NGFF), or copy it to Zarr where zarr < 3 is installed."
        )
    try:
        node = zarr.open(guarded_store(source), mode="r")
    except (RestoreError, MemoryError):
        raise
    except FileNotFoundError as error:
        raise SourceError(f"{source} does not exist, or holds no Zarr: {error}") from error
    except Exception as error:
        raise SourceError(_unreadable(source, error)) from error
    return open_node(node, source, axes, level, series)


def _check_filesystem(url: str) -> None:
    """Raise SourceError with the package to install if the protocol of a URL is not supported."""
    try:
        filesystem(url)
    except OutputError as error:
        raise SourceError(error.fault, error.way_out) from error


def open_node(
    node: zarr.Group | zarr.Array[Any], location: str, axes: str | None, level: int, series: int | str
) -> Image:
    """Open an image from an opened Zarr array or OME-Zarr group; see `open`."""
    import zarr

    try:
        if isinstance(node, zarr.Group):
            return _open_group(node, location, axes, level, series)
        return _open_array(node, location, axes, level, series)
    except (RestoreError, MemoryError):
        raise
    except Exception as error:
        raise SourceError(_unreadable(location, error)) from error


def _unreadable(location: str, error: Exception) -> str:
    """Explain why metadata cannot be read: a codec that is not installed, or anything else."""
    # numcodecs before 0.16 raises a ValueError.
    if type(error).__name__ == "UnknownCodecError" or str(error).startswith("codec not available"):
        return (
            f"{location} is stored with a codec that is not installed here ({error}); install the Python package that "
            "has it, or store the image again with another one, such as zstd or blosc."
        )
    return (
        f"the Zarr metadata of {location} cannot be read: {error!r}. If they are damaged, copy the image again; if "
        "they are as they were written, store it again with a program that follows the specification of Zarr 2 or 3."
    )


def _open_array(array: zarr.Array[Any], location: str | None, axes: str | None, level: int, series: int | str) -> Image:
    """Open an array as an image; the location of an array on a local disk is found from its store."""
    place = location or "the Zarr array"
    check_level(level, 1, place)
    series_number(series, [""], place)
    array, location = _located(array, location)
    described = _as_level(array, place)
    if described is not None:
        group, multiscale, number = described
        return _image_of(group, multiscale, number, array, location or place, axes, location)
    names = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS")
    letters = _letters(names if isinstance(names, Sequence) else None, axes, array.shape, place)
    return _image(array, letters, location, name=os.path.basename((location or array.name or "image").rstrip("/")))


def _as_level(array: zarr.Array[Any], place: str) -> tuple[zarr.Group, Multiscale, int] | None:
    """Return the group, the image and the number of the level that an array is; None if it is no level."""
    import zarr

    store, (parent, _, name) = array.store, array.path.rpartition("/")
    if not array.path:  # the store begins at the array itself: its group lies outside
        outside = _outside(store)
        if outside is None:
            return None
        store, name = outside
    with contextlib.suppress(Exception):  # no group, one that is damaged, or one that may not be read
        group = zarr.open_group(store, path=parent, mode="r")
        for multiscale in multiscales(ome_part(group), place):
            if name in multiscale.paths:
                return group, multiscale, multiscale.paths.index(name)
    return None


def _outside(store: Any) -> tuple[Any, str] | None:
    """Return a store of the parent folder or prefix of a store, and the name of the store in it."""
    from zarr.storage import FsspecStore, LocalStore

    from napari_restore.images.guards.zarr_store import guarded_store

    inner = getattr(store, "_store", store)  # the store in a GuardedStore
    if isinstance(inner, LocalStore):
        root = os.path.abspath(inner.root)
        return guarded_store(os.path.dirname(root)), os.path.basename(root)
    if isinstance(inner, FsspecStore):
        parent, _, name = inner.path.rstrip("/").rpartition("/")
        return (FsspecStore(inner.fs, path=parent, read_only=True), name) if parent else None
    return None


def _located(array: zarr.Array[Any], location: str | None) -> tuple[zarr.Array[Any], str | None]:
    """Return the array and its location; a local array is opened by absolute path, so that it can be pickled."""
    import zarr
    from zarr.storage import LocalStore

    from napari_restore.images.guards.zarr_store import guarded_store

    if location is None and isinstance(array.store, LocalStore):
        root = os.path.abspath(array.store.root)
        location = os.path.join(root, *array.path.split("/")) if array.path else root
        array = zarr.open_array(guarded_store(root), path=array.path, mode="r")
    return array, location


def _letters(names: Sequence[Any] | None, axes: str | None, shape: tuple[int, ...], location: str) -> str:
    if axes is not None:
        return check_axes(axes, shape)
    letters = [letter_of(name) for name in names or ()]
    if not letters and len(shape) == 2:
        return "YX"
    if not letters or None in letters:
        raise AxesError(
            f"{location} does not define its axes (shape {shape}, names {names})",
            name_axes(len(shape)),
        )
    return check_axes("".join(letter or "" for letter in letters), shape)


def _image(
    array: zarr.Array[Any],
    letters: str,
    location: str | None,
    *,
    name: str,
    placement: Placement | None = None,
    units: Mapping[str, str] | None = None,
    omero: Any = None,
    notes: tuple[str, ...] = (),
) -> Image:
    array, renamed = found_chunks(array, location or name)
    count = array.shape[letters.index("C")] if "C" in letters else 0 if "S" in letters else 1
    channels, left_out = read_channels(omero, count)
    scale = {} if placement is None else dict(zip(letters, placement.scale, strict=True))
    shift = {} if placement is None else dict(zip(letters, placement.translation, strict=True))
    turned = () if placement is None else placement.notes
    known, odd = pixel_sizes({axis: size for axis, size in scale.items() if not (turned and math.isnan(size))})
    return Image(
        data=ChunkedArray(array, location or name),
        axes=letters,
        name=name,
        pixel_size=known,
        origin={axis: start for axis, start in shift.items() if axis in known and math.isfinite(start)},
        units={axis: unit for axis, unit in (units or {}).items() if axis in known},
        channels=channels,
        chunks=tuple(array.chunks[i] for i in transposition(letters, canonical_axes(letters))),
        location=location,
        notes=(*notes, *renamed, *turned, *odd, *left_out, *notes_on_packing(array.attrs)),
        missing_values=missing_values(array.attrs, np.dtype(array.dtype)),
    )


def _open_group(group: zarr.Group, location: str, axes: str | None, level: int, series: int | str) -> Image:
    found = multiscales(ome_part(group), location)
    if not found:
        return _open_collection(group, location, axes, level, series)
    number = series_number(series, [one.name for one in found], location)
    chosen = found[number]
    check_level(level, len(chosen.paths), location)
    array = _dataset(group, location, chosen.paths[level])
    image = _image_of(group, chosen, level, array, location, axes, location)
    notes = (*image.notes, *_out_of_order(group, chosen))
    image = replace(image, annotations=find_annotations(group, location), notes=notes)
    if len(found) == 1:
        return image
    return replace(image, series_count=len(found), series_names=tuple(one.name for one in found))


def _out_of_order(group: zarr.Group, chosen: Multiscale) -> tuple[str, ...]:
    """Return a note if a later level is larger than the first one, against the rule of OME-Zarr."""
    sizes = [_size(group, path) for path in (chosen.paths[0], *chosen.paths[1:2], chosen.paths[-1])]
    if not sizes[0] or sizes[0] >= max(sizes):
        return ()
    return ("Level 0 is not the largest one, as OME-Zarr requires; choose the level that is to be restored.",)


def _size(group: zarr.Group, path: str) -> int:
    """Return the number of pixels of a level; 0 if it cannot be read, which is an error where it is opened itself."""
    try:
        return int(getattr(group.get(path), "size", 0))
    except Exception:  # damaged metadata raise many kinds of errors in zarr, and each store has errors of its own
        return 0


def _image_of(
    group: zarr.Group,
    multiscale: Multiscale,
    level: int,
    array: zarr.Array[Any],
    place: str,
    axes: str | None,
    location: str | None,
) -> Image:
    """Return one level of an image, with the metadata of its group."""
    letters = _letters(multiscale.letters(array.ndim), axes, array.shape, place)
    transformations, notes = multiscale.transformations[level], multiscale.notes
    placement = None
    if transformations:
        placement = apply(transformations, letters, lambda path: np.asarray(_dataset(group, place, path)[...]))
    else:  # versions before 0.4 need not state a scale
        notes = (*notes, "The metadata state no scale, so the pixel size is unknown.")
    units, unknown = multiscale.units(letters)
    return _image(
        array,
        letters,
        location,
        name=multiscale.name or os.path.basename(place.rstrip("/")),
        placement=placement,
        units=units,
        omero=ome_part(group).get("omero"),
        notes=(*notes, *unknown),
    )


def _dataset(group: zarr.Group, location: str, path: str) -> zarr.Array[Any]:
    import zarr

    try:
        array = group[path]
    except KeyError as error:
        raise SourceError(
            f"{location} names the array {path!r}, which does not exist; copy the image again."
        ) from error
    if not isinstance(array, zarr.Array):
        raise SourceError(f"{path!r} of {location} is a group and not an array; copy the image again.")
    return array


def _open_collection(group: zarr.Group, location: str, axes: str | None, level: int, series: int | str) -> Image:
    """Open one image of a group that bioformats2raw made, where each image is a group."""
    ome = ome_part(group)
    if "plate" in ome or "well" in ome:
        raise SourceError(
            f"{location} is a plate or a well, which holds many images",
            WayOut(
                "restore all of a plate with api.restore_batch.",
                f"restore all of a plate with napari-restore batch {location} FOLDER.",
                "restore all of a plate in the tab Batch of Denoise or Super-resolution.",
            ).after(f"give the path of one image, such as {location}/A/1/0, or "),
        )
    if COLLECTION in ome:
        return _member(group, location, axes, level, series)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zarr warns about folders that are not part of a Zarr
        inside = sorted(name for name, _ in group.members())
    what = "a scene, which places several images" if "scene" in ome else "a Zarr group without an OME-Zarr image"
    raise SourceError(f"{location} is {what}; open one of what is in it: {inside}.")


def _member(group: zarr.Group, location: str, axes: str | None, level: int, series: int | str) -> Image:
    paths = collection_members(group)
    number = series_number(series, paths, location)
    image = open_node(group[paths[number]], f"{location.rstrip('/')}/{paths[number]}", axes, level, 0)
    return replace(image, series_count=len(paths), series_names=tuple(paths)) if len(paths) > 1 else image
