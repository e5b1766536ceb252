"""Zarr arrays (versions 2 and 3) and OME-Zarr groups (0.1 to 0.5, and collections made by bioformats2raw)."""

from __future__ import annotations

__all__ = ["is_zarr", "open_zarr", "open_zarr_array"]

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_restore.errors import AxesError, OutputError, RestoreError, SourceError
from napari_restore.images.axes import canonical_axes, check_axes, letter_of, transposition
from napari_restore.images.image import Channel, Image
from napari_restore.images.lazy_arrays import ChunkedArray
from napari_restore.images.ome_metadata import ome_part
from napari_restore.images.store import filesystem, is_url
from napari_restore.images.units import unit_name

if TYPE_CHECKING:
    import zarr

_METADATA_FILES = ("zarr.json", ".zarray", ".zgroup")


def is_zarr(path: str) -> bool:
    """Tell whether a directory is a Zarr array or group."""
    return any(os.path.isfile(os.path.join(path, name)) for name in _METADATA_FILES)


def open_zarr(location: str, *, axes: str | None = None, level: int = 0, series: int = 0) -> Image:
    """Open a Zarr array or an OME-Zarr group without reading pixels.

    Parameters
    ----------
    location : str
        Absolute path or URL.
    axes : str, optional
        One letter of "TCZYXS" per dimension; they win over those of the metadata.
    level : int
        Level of the pyramid, 0 being the largest.
    series : int
        Number of the image in a group that holds several.

    Returns
    -------
    Image
        The image.

    Raises
    ------
    AxesError
        If the metadata do not tell the axes, or `axes` does not fit.
    SourceError
        If there is no such level or series, or the metadata are damaged.
    """
    import zarr

    if is_url(location):
        _check_filesystem(location)
    try:
        node = zarr.open(location, mode="r")
        if isinstance(node, zarr.Group):
            return _open_group(node, location, axes, level, series)
        return open_zarr_array(node, location=location, axes=axes, level=level, series=series)
    except (RestoreError, MemoryError):
        raise
    except FileNotFoundError as error:
        raise SourceError(f"{location} is not there, or holds no Zarr: {error}") from error
    except Exception as error:
        raise SourceError(
            f"the Zarr metadata of {location} cannot be read: {error!r}. Copy the image again."
        ) from error


def _check_filesystem(url: str) -> None:
    """Say which package opens a URL, if it is not installed."""
    try:
        filesystem(url)
    except OutputError as error:
        raise SourceError(str(error)) from error


def open_zarr_array(
    array: zarr.Array[Any], *, location: str | None = None, axes: str | None = None, level: int = 0, series: int = 0
) -> Image:
    """Take a Zarr array for an image.

    Parameters
    ----------
    array : zarr.Array
        The array.
    location : str, optional
        Where it was opened; found out for arrays on the local disk.
    axes : str, optional
        One letter per dimension; without, those of ``dimension_names`` or xarray's ``_ARRAY_DIMENSIONS``.
    level, series : int
        0, because an array is one image.

    Returns
    -------
    Image
        The image, without a pixel size, which an array does not have.

    Raises
    ------
    AxesError
        If the axes are unknown or do not fit.
    SourceError
        If `level` or `series` is not 0.
    """
    for name, number in (("level", level), ("series", series)):
        if number:
            raise SourceError(f"{name} {number} is not in {location or array}: an array is {name} 0 only.")
    array, location = _located(array, location)
    names = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS")
    letters = _letters(names if isinstance(names, Sequence) else None, axes, array.shape, location or "the Zarr array")
    return _image(array, letters, location, name=os.path.basename((location or array.name or "image").rstrip("/")))


def _located(array: zarr.Array[Any], location: str | None) -> tuple[zarr.Array[Any], str | None]:
    """Return the array and its place; a local one is opened by absolute path, so that it pickles for any folder."""
    import zarr
    from zarr.storage import LocalStore

    if location is None and isinstance(array.store, LocalStore):
        root = os.path.abspath(array.store.root)
        location = os.path.join(root, *array.path.split("/")) if array.path else root
        array = zarr.open_array(root, path=array.path, mode="r")
    return array, location


def _letters(names: Sequence[Any] | None, axes: str | None, shape: tuple[int, ...], place: str) -> str:
    if axes is not None:
        return check_axes(axes, shape)
    letters = [letter_of(name) for name in names or ()]
    if not letters and len(shape) == 2:
        return "YX"
    if not letters or None in letters:
        raise AxesError(
            f"{place} does not tell what its axes mean (shape {shape}, names {names}); "
            "pass axes= with one letter of TCZYXS per dimension, such as 'ZYX'."
        )
    return check_axes("".join(letter or "" for letter in letters), shape)


@dataclass(frozen=True)
class _Placement:
    """Scale and translation of an array, one number per axis in the order of the array."""

    scale: tuple[float, ...]
    translation: tuple[float, ...]

    def then(self, transforms: Any) -> _Placement:
        """Return the placement after a list of OME-Zarr coordinate transformations, which apply to its result."""
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
    return Image(
        data=ChunkedArray(array, location or name),
        axes=letters,
        name=name,
        pixel_size={axis: size for axis, size in scale.items() if size > 0},
        origin=shift,
        units=dict(units or {}),
        channels=channels if len(channels) == count else (),
        chunks=tuple(array.chunks[i] for i in transposition(letters, canonical_axes(letters))),
        location=location,
    )


def _open_group(group: zarr.Group, location: str, axes: str | None, level: int, series: int) -> Image:
    found = _multiscales(group)
    if not found:
        return _open_collection(group, location, axes, level, series)
    if not 0 <= series < len(found):
        raise SourceError(f"series {series} is not in {location}: it has {len(found)}, counted from 0.")
    multiscale = found[series]
    datasets = multiscale["datasets"]
    if not 0 <= level < len(datasets):
        raise SourceError(f"level {level} is not in {location}: it has {len(datasets)}, counted from 0.")
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
        raise SourceError(f"{location} names the array {path!r}, which is not there; copy the image again.") from error
    if not isinstance(array, zarr.Array):
        raise SourceError(f"{path!r} of {location} is a group and not an array; copy the image again.")
    return array


def _multiscales(group: zarr.Group) -> list[dict[str, Any]]:
    found = ome_part(group).get("multiscales")
    return list(found) if isinstance(found, Sequence) else []


def _open_collection(group: zarr.Group, location: str, axes: str | None, level: int, series: int) -> Image:
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
