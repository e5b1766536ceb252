"""Open Zarr arrays (versions 2 and 3) and OME-Zarr groups (0.1 to 0.5, and collections made by bioformats2raw)."""

from __future__ import annotations

__all__ = ["ENDINGS", "is_zarr", "open", "recognises"]

import math
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_restore.errors import AxesError, OutputError, RestoreError, SourceError
from napari_restore.images.axes import canonical_axes, check_axes, letter_of, transposition
from napari_restore.images.image import Channel, Image
from napari_restore.images.lazy_arrays import ChunkedArray
from napari_restore.images.ome_metadata import ome_part
from napari_restore.images.readers.reader import check_level, pixel_sizes, series_number
from napari_restore.images.store import filesystem, is_url
from napari_restore.images.units import unit_name

if TYPE_CHECKING:
    import zarr

ENDINGS: tuple[str, ...] = ()

_METADATA_FILES = ("zarr.json", ".zarray", ".zgroup")


def is_zarr(path: str) -> bool:
    """Check whether a directory is a Zarr array or group."""
    return any(os.path.isfile(os.path.join(path, name)) for name in _METADATA_FILES)


def recognises(source: Any) -> bool:
    """Check whether a source is a directory or URL of a Zarr, or an array or group of the package zarr."""
    if isinstance(source, str):
        return is_url(source) or is_zarr(source) or _is_n5(source)
    # If the source is an object of zarr, zarr is imported. While another thread imports zarr, it may lack these names.
    zarr = sys.modules.get("zarr")
    return isinstance(source, (getattr(zarr, "Array", ()), getattr(zarr, "Group", ())))


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
        if isinstance(node, zarr.Group):
            return _open_group(node, source, axes, level, series)
        return _open_array(node, source, axes, level, series)
    except (RestoreError, MemoryError):
        raise
    except FileNotFoundError as error:
        raise SourceError(f"{source} does not exist, or holds no Zarr: {error}") from error
    except Exception as error:
        raise SourceError(f"the Zarr metadata of {source} cannot be read: {error!r}. Copy the image again.") from error


def _check_filesystem(url: str) -> None:
    """Raise SourceError with the package to install if the protocol of a URL is not supported."""
    try:
        filesystem(url)
    except OutputError as error:
        raise SourceError(str(error)) from error


def _open_array(array: zarr.Array[Any], location: str | None, axes: str | None, level: int, series: int | str) -> Image:
    """Open an array as an image; the location of an array on the local disk is read from its store."""
    check_level(level, 1, location or "the Zarr array")
    series_number(series, [""], location or "the Zarr array")
    array, location = _located(array, location)
    names = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS")
    letters = _letters(names if isinstance(names, Sequence) else None, axes, array.shape, location or "the Zarr array")
    return _image(array, letters, location, name=os.path.basename((location or array.name or "image").rstrip("/")))


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
            f"{location} does not define its axes (shape {shape}, names {names}); "
            "pass axes= with one letter of TCZYXS per dimension, such as 'ZYX'."
        )
    return check_axes("".join(letter or "" for letter in letters), shape)


@dataclass(frozen=True)
class _Placement:
    """Scale and translation of an array, one number per axis in the order of the array."""

    scale: tuple[float, ...]
    translation: tuple[float, ...]

    def then(self, transforms: Any) -> _Placement:
        """Return the placement after further OME-Zarr coordinate transformations."""
        placed = self
        for transform in transforms or ():
            if transform.get("type") == "scale":
                factor = [float(value) for value in transform["scale"]]
                placed = _Placement(
                    tuple(a * f for a, f in zip(placed.scale, factor, strict=True)),
                    tuple(t * f for t, f in zip(placed.translation, factor, strict=True)),
                )
            elif transform.get("type") == "translation":
                shift = [float(value) for value in transform["translation"]]
                placed = _Placement(placed.scale, tuple(t + s for t, s in zip(placed.translation, shift, strict=True)))
        return placed


def _image(
    array: zarr.Array[Any],
    letters: str,
    location: str | None,
    *,
    name: str,
    placement: _Placement | None = None,
    units: Mapping[str, str] | None = None,
    channels: tuple[Channel, ...] = (),
) -> Image:
    count = array.shape[letters.index("C")] if "C" in letters else 0 if "S" in letters else 1
    scale = {} if placement is None else dict(zip(letters, placement.scale, strict=True))
    shift = {} if placement is None else dict(zip(letters, placement.translation, strict=True))
    known, notes = pixel_sizes(scale)
    return Image(
        data=ChunkedArray(array, location or name),
        axes=letters,
        name=name,
        pixel_size=known,
        origin={axis: start for axis, start in shift.items() if axis in known and math.isfinite(start)},
        units={axis: unit for axis, unit in (units or {}).items() if axis in known},
        channels=channels if len(channels) == count else (),
        chunks=tuple(array.chunks[i] for i in transposition(letters, canonical_axes(letters))),
        location=location,
        notes=notes,
    )


def _open_group(group: zarr.Group, location: str, axes: str | None, level: int, series: int | str) -> Image:
    found = _multiscales(group)
    if not found:
        return _open_collection(group, location, axes, level, series)
    multiscale = found[series_number(series, [str(one.get("name") or "") for one in found], location)]
    datasets = multiscale["datasets"]
    check_level(level, len(datasets), location)
    array = _dataset(group, location, datasets[level]["path"])
    described = [axis if isinstance(axis, Mapping) else {"name": axis} for axis in multiscale.get("axes") or ()]
    if not described and array.ndim == 5:
        described = [{"name": name} for name in "tczyx"]  # OME-Zarr before 0.3 knows these five axes only
    names = [letter_of(axis["name"]) or letter_of(axis.get("type")) for axis in described]
    letters = _letters(names, axes, array.shape, location)
    unit_names = {a: unit_name(axis.get("unit")) for a, axis in zip(letters, described, strict=False)}
    start = _Placement((1.0,) * array.ndim, (0.0,) * array.ndim)
    placed = start.then(datasets[level].get("coordinateTransformations"))
    return _image(
        array,
        letters,
        location,
        name=str(multiscale.get("name") or os.path.basename(location.rstrip("/"))),
        placement=placed.then(multiscale.get("coordinateTransformations")),
        units={axis: unit for axis, unit in unit_names.items() if unit},
        channels=_channels(ome_part(group).get("omero")),
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


def _multiscales(group: zarr.Group) -> list[dict[str, Any]]:
    found = ome_part(group).get("multiscales")
    return list(found) if isinstance(found, Sequence) else []


def _open_collection(group: zarr.Group, location: str, axes: str | None, level: int, series: int | str) -> Image:
    """Open one image of a group that bioformats2raw made, where the images are the groups "0", "1", ..."""
    import zarr

    ome = ome_part(group)
    if "plate" in ome or "well" in ome:
        raise SourceError(
            f"{location} is a plate or a well, which holds many images; restore all of a plate with 'napari-restore "
            f"batch {location} FOLDER' (api.restore_batch), or give the path of one image, such as {location}/A/1/0."
        )
    if "bioformats2raw.layout" in ome:
        member = group.get(str(series))
        if not isinstance(member, zarr.Group) or not _multiscales(member):
            raise SourceError(f"series {series} is not in {location}; its images are {sorted(group.group_keys())}.")
        return _open_group(member, f"{location.rstrip('/')}/{series}", axes, level, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zarr warns of each folder that is no part of a Zarr
        inside = sorted(name for name, _ in group.members())
    raise SourceError(f"{location} is a Zarr group without an OME-Zarr image; open one of what is in it: {inside}.")


def _channels(omero: Any) -> tuple[Channel, ...]:
    """Return names, colours and display limits from the omero block."""
    if not isinstance(omero, Mapping):
        return ()
    found = []
    for channel in omero.get("channels") or ():
        window = channel.get("window") or {}
        limits = (float(window["start"]), float(window["end"])) if {"start", "end"} <= window.keys() else None
        color = channel.get("color")
        colour = str(color).lstrip("#").upper() if color else None
        found.append(Channel(channel.get("label"), colour, limits, bool(channel.get("active", True))))
    return tuple(found)
