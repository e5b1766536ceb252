"""Read axes, pixel sizes and channel names from the attributes of an HDF5 dataset.

Three conventions are read: dimension labels and dimension scales (HDF5, netCDF-4, xarray), the attribute ``axistags``
(vigra, ilastik), and the attribute ``element_size_um`` (Fiji, ilastik, PlantSeg).
"""

from __future__ import annotations

__all__ = ["Hdf5Metadata", "axes_of", "metadata_of"]

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_restore.errors import AxesError
from napari_restore.images.axes import check_axes, letter_of
from napari_restore.images.guards.files import Surroundings
from napari_restore.images.guards.hdf5_files import check_chunks, check_dataset
from napari_restore.images.image import Channel
from napari_restore.images.readers.reader import counted_from_first, evenly_spaced, pixel_sizes, times_begin
from napari_restore.images.units import named_units
from napari_restore.ways_out import name_axes

_NO_VARIABLE = "This is a netCDF dimension but not a netCDF variable"
"""Beginning of the name of a scale that netCDF-4 stores for a dimension without coordinates; its values are zeros."""


@dataclass
class Hdf5Metadata:
    """Pixel size, origin, units, channels and notes, as in `napari_restore.images.image.Image`."""

    pixel_size: dict[str, float] = field(default_factory=dict)
    origin: dict[str, float] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    channels: tuple[Channel, ...] = ()
    notes: list[str] = field(default_factory=list)


def axes_of(dataset: Any, axes: str | None, location: str) -> str:
    """Return the axes of a dataset.

    Parameters
    ----------
    dataset : h5py.Dataset
        The dataset, of an open file.
    axes : str or None
        One letter of "TCZYXS" per dimension; they override those of the file.
    location : str
        Name of the dataset in messages.

    Returns
    -------
    str
        One letter per dimension: of `axes`, the labels of the dimensions, the names of the dimension scales, or the
        axistags, whichever comes first and is complete.

    Raises
    ------
    AxesError
        If the axes are unknown, or `axes` does not fit.
    """
    shape = tuple(dataset.shape)
    if len(shape) < 2:
        raise AxesError(f"{location} is no image (shape {shape})", name_axes(len(shape)))
    if axes is not None:
        return check_axes(axes, shape)
    labels, scales = _labels(dataset), _scales_or_none(dataset)
    named = [[label, *map(_name, found)] for label, found in zip(labels, scales, strict=True)]
    tagged = [[str(tag.get("key", ""))] for tag in _tags(dataset)]
    for candidates in (named, tagged):
        letters = [next(filter(None, map(letter_of, names)), None) for names in candidates]
        if len(letters) == len(shape) and None not in letters:
            return check_axes("".join(letter or "" for letter in letters), shape)
    if len(shape) == 2 and not any(labels) and not any(any(found) for found in scales) and not tagged:
        return "YX"
    raise AxesError(f"{location} does not define its axes (shape {shape})", name_axes(len(shape)))


def metadata_of(h5py: Any, dataset: Any, axes: str, surroundings: Surroundings) -> Hdf5Metadata:
    """Return the metadata of a dataset.

    Parameters
    ----------
    h5py : module
        The module h5py.
    dataset : h5py.Dataset
        The dataset, of an open file.
    axes : str
        One letter of "TCZYXS" per dimension.
    surroundings : Surroundings
        Which files may be read.

    Returns
    -------
    Hdf5Metadata
        Pixel sizes of ``element_size_um`` in micrometres; those of dimension scales for other axes, in the unit of the
        scale; those of axistags for the rest, without a unit.
    """
    found = Hdf5Metadata()
    sizes = np.ravel(dataset.attrs.get("element_size_um", ())).tolist()
    of_space = [axis for axis in "ZYX" if axis in axes or len(sizes) == 3]
    if len(sizes) == len(of_space):
        _add(found, {axis: size for axis, size in zip(of_space, sizes, strict=True) if axis in axes})
    elif sizes:
        found.notes.append(
            f"The attribute element_size_um has {len(sizes)} numbers, not one for each of ZYX; it is left out."
        )
    found.units = dict.fromkeys(found.pixel_size, "micrometer")
    try:
        for axis, scales in zip(axes, _scales(dataset), strict=True):
            for scale in scales:
                _add_scale(found, axis, _Scale.read(h5py, scale, dataset, axes.index(axis), surroundings))
    except MemoryError:
        raise
    except Exception as error:  # h5py raises OSError, KeyError, RuntimeError and more for damaged files
        found.notes.append(f"The dimension scales cannot be read ({error}); what they say is unknown.")
    tags = _tags(dataset)
    if len(tags) == len(axes):
        resolutions = {axis: tag.get("resolution") or None for axis, tag in zip(axes, tags, strict=True)}
        _add(found, {a: size for a, size in resolutions.items() if a not in "CS" and a not in found.pixel_size})
    return found


def _add(found: Hdf5Metadata, given: dict[str, Any]) -> None:
    sizes, notes = pixel_sizes(given)
    found.pixel_size |= sizes
    found.notes += notes


@dataclass(frozen=True)
class _Scale:
    """Name, values and unit of a dimension scale; without values if it has none that fit."""

    name: str
    values: NDArray[Any] | None
    unit: str

    @classmethod
    def read(cls, h5py: Any, scale: Any, dataset: Any, position: int, surroundings: Surroundings) -> _Scale:
        name, length = _name(scale), dataset.shape[position]
        unit = _text(scale.attrs.get("units", scale.attrs.get("unit")))
        is_text = h5py.check_string_dtype(scale.dtype) is not None
        placeholder = _text(scale.attrs.get("NAME")).startswith(_NO_VARIABLE)
        if placeholder or scale.shape != (length,) or not (is_text or scale.dtype.kind in "iuf"):
            return cls(name, None, unit)
        check_dataset(h5py, scale, scale.file.filename, surroundings)
        check_chunks(scale, (slice(0, length),))
        return cls(name, np.asarray(scale.asstr()[:] if is_text else scale[:]), unit)


def _add_scale(found: Hdf5Metadata, axis: str, scale: _Scale) -> None:
    """Add what a scale says of its axis, unless that is known."""
    values = scale.values
    if values is None or axis == "S" or axis in found.pixel_size or axis in found.origin:
        return
    if values.dtype.kind not in "iuf":
        if axis == "C" and not found.channels:
            found.channels = tuple(Channel(name=str(value)) for value in values.tolist())
        return
    if axis == "C":
        return
    values, unit, since = counted_from_first(values, scale.unit)
    sampling, note = evenly_spaced(values, scale.name, axis)
    if note:
        found.notes.append(note)
    if sampling is not None:
        found.pixel_size[axis], found.origin[axis] = sampling.pixel_size, sampling.origin
        if since:
            found.notes.append(times_begin(since, axis))
    elif len(values) == 1 and np.isfinite(values[0]):
        found.origin[axis] = float(values[0])
    if axis in found.origin:
        units, unknown = named_units({axis: unit})
        found.units |= units
        found.notes += unknown


def _scales(dataset: Any) -> list[list[Any]]:
    """Return the dimension scales of each dimension.

    The attribute is read itself, because the library's functions end the process on damaged files.
    """
    stored = dataset.attrs.get("DIMENSION_LIST")
    if stored is None or len(stored) != dataset.ndim:
        return [[] for _ in range(dataset.ndim)]
    return [[dataset.file[reference] for reference in references if reference] for references in stored]


def _scales_or_none(dataset: Any) -> list[list[Any]]:
    """Return the dimension scales, as if there were none if they cannot be read; `metadata_of` notes that."""
    try:
        return _scales(dataset)
    except MemoryError:
        raise
    except Exception:
        return [[] for _ in range(dataset.ndim)]


def _name(scale: Any) -> str:
    """Return the name of a scale: of its attribute, or of the dataset."""
    name = _text(scale.attrs.get("NAME"))
    return name if name and not name.startswith(_NO_VARIABLE) else (scale.name or "").rpartition("/")[2]


def _labels(dataset: Any) -> list[str]:
    """Return the labels of the dimensions, empty strings where they have none.

    The attribute is read itself, because the library's function for labels ends the process on damaged ones.
    """
    labels = [_text(label) for label in np.ravel(dataset.attrs.get("DIMENSION_LABELS", ()))]
    return labels if len(labels) == dataset.ndim else [""] * dataset.ndim


def _tags(dataset: Any) -> list[dict[str, Any]]:
    """Return the tag of each axis from ``axistags``; none if that is not JSON of this form."""
    try:
        tags = json.loads(_text(dataset.attrs.get("axistags")) or "{}")
    except ValueError:
        return []
    axes = tags.get("axes") if isinstance(tags, dict) else None
    return axes if isinstance(axes, list) and all(isinstance(tag, dict) for tag in axes) else []


def _text(value: Any) -> str:
    """Return a string of an attribute; an empty one for anything else."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value if isinstance(value, str) else ""
