"""Open NDTiff data sets of Micro-Manager and Pycro-Manager: folders with TIFF files and an index."""

from __future__ import annotations

__all__ = ["ENDINGS", "open", "recognises"]

import builtins
import json
import math
import os
import struct
from typing import Any

from napari_restore.errors import AxesError, RestoreError, SourceError
from napari_restore.images.axes import canonical_axes, transposition
from napari_restore.images.image import Channel, Image
from napari_restore.images.readers.microscopes.ndtiff_array import FULL, DataSet, NdtiffArray, read_data_set
from napari_restore.images.readers.microscopes.ndtiff_index import INDEX, read_metadata
from napari_restore.images.readers.reader import series_number

ENDINGS: tuple[str, ...] = ()

_IDENTITY = 483729
"""Signature of NDTiff, after the header of each TIFF file."""


def recognises(source: Any) -> bool:
    """Check whether a source is the folder of an NDTiff data set, or a file of one beside its index."""
    if not isinstance(source, str):
        return False
    if os.path.isdir(source):
        return any(os.path.isfile(os.path.join(source, *inside, INDEX)) for inside in ((), (FULL,)))
    if not source.lower().endswith(".tif") or not os.path.isfile(os.path.join(os.path.dirname(source), INDEX)):
        return False
    if not os.path.isfile(source):
        return False
    with builtins.open(source, "rb") as file:
        head = file.read(12)
    return len(head) == 12 and struct.unpack_from("<I", head, 8)[0] == _IDENTITY


def open(source: str, *, axes: str | None = None, level: int = 0, series: int | str = 0) -> Image:
    """Open an NDTiff data set without reading pixels.

    Each stage position is a series, and so is each index along any axis other than time, channel and Z. Tiles are put
    together as Micro-Manager does.

    Parameters
    ----------
    source : str
        Folder of the data set, or one of its files.
    axes : str, optional
        If given, it must equal the axes of the data set.
    level : int
        Level of the pyramid of a tiled data set, 0 being the largest.
    series : int or str
        Number or name of the image.

    Returns
    -------
    Image
        With pixel size and origin in micrometres, seconds between time points, and names, colours and display limits
        of the channels.

    Raises
    ------
    AxesError
        If `axes` is not equal to the axes of the data set.
    SourceError
        If the data set is damaged, or has no such series or level.
    """
    path = os.path.abspath(source)
    folder = path if os.path.isdir(path) else os.path.dirname(path)
    try:
        data_set = read_data_set(folder, level)
        names = [one.name for one in data_set.series]
        number = series_number(series, names, folder)
        data = NdtiffArray(folder, number, level, data_set)
        image = _image(folder, data_set, data, names, number)
    except (RestoreError, MemoryError):
        raise
    except Exception as error:
        raise SourceError(f"{folder} cannot be read as NDTiff: {error!r}. Copy the data set again.") from error
    if axes is not None and axes.upper() != image.axes:
        raise AxesError(f"{folder} has the axes {image.axes}, not {axes!r}; leave axes out.")
    return image


def _image(folder: str, data_set: DataSet, data: NdtiffArray, names: list[str], number: int) -> Image:
    size = _pixel_size(data_set, data)
    origin = _origin(data_set, data, size)
    for axis in "YX":
        if axis in size:
            size[axis] *= data_set.factor
    units = dict.fromkeys([*size, *origin], "micrometer") | ({"T": "second"} if "T" in size else {})
    return Image(
        data=data,
        axes=data.axes,
        name=os.path.basename(folder) + (f" [{names[number]}]" if len(names) > 1 else ""),
        pixel_size=size,
        origin=origin,
        units=units,
        channels=_channels(folder, data_set, data),
        chunks=tuple(data.chunks[i] for i in transposition(data.axes, canonical_axes(data.axes))),
        location=folder,
        series_count=len(names),
        series_names=tuple(names) if any(names) else (),
        notes=tuple(_notes(data_set, data)),
    )


def _notes(data_set: DataSet, data: NdtiffArray) -> list[str]:
    notes = []
    if not data_set.whole:
        notes.append("Its index does not end as it should: it was cut off, or is still being written.")
    files = {entry.file for entry in data_set.series[data.number].entries}
    lost = sorted(name for name in files if not os.path.exists(os.path.join(data_set.folder, name)))
    if lost:
        notes.append(f"{len(lost)} of {len(files)} files are missing ({lost[0]}); their images cannot be read.")
    if data.planes_missing:
        count = data.lengths["T"] * data.lengths["C"] * data.lengths["Z"]
        notes.append(f"{data.planes_missing} of {count} planes were not acquired and cannot be read.")
    if data.tiles_missing:
        notes.append("Some tiles were not acquired; pixels there are 0.")
    return notes


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _noted(data_set: DataSet, data: NdtiffArray, *keys: str, **position: int) -> float | None:
    """Return the first number under one of several names in the metadata of an image."""
    entry = data.entry(**position)
    noted = {} if entry is None else read_metadata(data_set.folder, entry)
    return next((found for key in keys if (found := _number(noted.get(key))) is not None), None)


def _pixel_size(data_set: DataSet, data: NdtiffArray) -> dict[str, float]:
    """Return pixel sizes at level 0 in micrometres, and seconds between time points."""
    size: dict[str, float] = {}
    noted = read_metadata(data_set.base, data_set.first)
    given = (noted.get("PixelSizeUm"), noted.get("PixelSize_um"), data_set.summary.get("PixelSize_um"))
    pixel = next((found for value in given if (found := _number(value)) and found > 0), None)
    if pixel:
        size |= {"Y": pixel, "X": pixel}
    if data.lengths["Z"] > 1:
        last = data.lengths["Z"] - 1
        ends = [_noted(data_set, data, *_Z_POSITIONS, z=z) for z in (0, last)]
        step = _number(data_set.summary.get("z-step_um"))
        if None not in ends and ends[0] != ends[1]:
            step = (ends[1] - ends[0]) / last  # type: ignore[operator]
        if step:
            size["Z"] = step
    if data.lengths["T"] > 1:
        last = data.lengths["T"] - 1
        times = [_noted(data_set, data, "ElapsedTime-ms", time=time) for time in (0, last)]
        interval = _number(data_set.summary.get("Interval_ms"))
        if None not in times and times[1] > times[0]:  # type: ignore[operator]
            interval = (times[1] - times[0]) / last  # type: ignore[operator]
        if interval and interval > 0:
            size["T"] = interval / 1000
    return size


_POSITIONS = ("Position_um_Intended", "PositionUm", "Position_um")
_Z_POSITIONS = ("ZPosition_um_Intended", "ZPositionUm", "ZPosition_um")


def _origin(data_set: DataSet, data: NdtiffArray, size: dict[str, float]) -> dict[str, float]:
    """Return the position of the first pixel on the stage; the metadata have the position of the centre of an image."""
    origin: dict[str, float] = {}
    entry = data.entry() or data_set.first
    if data_set.overlap is None:
        noted = read_metadata(data_set.folder, entry)
    else:
        noted = read_metadata(data_set.base, data_set.first)
    for axis in [axis for axis in "YX" if axis in size]:
        center = next((_number(noted.get(f"{axis}{key}")) for key in _POSITIONS if f"{axis}{key}" in noted), None)
        if center is not None:
            origin[axis] = center - data.origin_before(axis) * size[axis]
        elif data_set.factor > 1:
            origin[axis] = (data_set.factor - 1) / 2 * size[axis]
    z = _noted(data_set, data, *_Z_POSITIONS)
    if z and "Z" in data.axes:
        origin["Z"] = z
    return {axis: start for axis, start in origin.items() if start}


def _channels(folder: str, data_set: DataSet, data: NdtiffArray) -> tuple[Channel, ...]:
    """Return names from the axis or the metadata, colours and display limits from the settings of the display."""
    shown = _display_settings(folder) or _display_settings(data_set.folder)
    channels = []
    for number, position in enumerate(data.positions["channel"]):
        name = position if isinstance(position, str) else None
        if name is None and (entry := data.entry(channel=number)) is not None:
            name = str(read_metadata(data_set.folder, entry).get("Channel") or "") or None
        settings = shown.get(name or "")
        color = window = None
        if isinstance(settings, dict):
            argb, low, high = (_number(settings.get(key)) for key in ("Color", "Min", "Max"))
            color = None if argb is None or data.lengths["S"] > 1 else f"{int(argb) & 0xFFFFFF:06X}"
            window = (low, high) if low is not None and high is not None and low < high else None
        channels.append(Channel(name, color, window))
    return tuple(channels) if any(channel != Channel() for channel in channels) else ()


def _display_settings(folder: str) -> dict[str, Any]:
    try:
        with builtins.open(os.path.join(folder, "display_settings.txt"), encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
