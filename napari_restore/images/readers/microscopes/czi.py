"""Open CZI files: choose the image of the file, its pixels and its metadata."""

from __future__ import annotations

__all__ = ["ENDINGS", "open", "recognises"]

import os
from typing import Any

import numpy as np

from napari_restore.errors import AxesError, RestoreError, SourceError
from napari_restore.images.axes import canonical_axes, transposition
from napari_restore.images.image import Channel, Image
from napari_restore.images.readers.microscopes.czi_container import MAGIC, Container, read_container, read_time_stamps
from napari_restore.images.readers.microscopes.czi_metadata import CziMetadata, read_metadata
from napari_restore.images.readers.microscopes.czi_mosaic import CziArray, Series, list_series
from napari_restore.images.readers.reader import begins_with, series_number

ENDINGS: tuple[str, ...] = (".czi",)

_UNEVEN = 0.1
"""Largest deviation of even time steps from their mean, as a share of the mean."""


def recognises(source: Any) -> bool:
    """Check whether a source is a CZI file, by its first bytes."""
    return begins_with(source, MAGIC)


def open(source: str, *, axes: str | None = None, level: int = 0, series: int | str = 0) -> Image:
    """Open a CZI file without reading pixels.

    Each scene is a series, and so is each view, phase, rotation, illumination and block, each type of pixels, and each
    channel of colour. Tiles of a mosaic are put where the file says that they lie; a later tile covers an earlier one.

    Parameters
    ----------
    source : str
        Path of the file.
    axes : str, optional
        If given, it must equal the axes of the file.
    level : int
        Level of the pyramid, 0 being the largest.
    series : int or str
        Number or name of the image.

    Returns
    -------
    Image
        With pixel size and origin in micrometres (of the stage, where the file tells), seconds between time points,
        and names, colours and display limits of the channels.

    Raises
    ------
    AxesError
        If `axes` is not equal to the axes of the file.
    SourceError
        If the file is damaged, of a kind that is not supported, or has no such series or level.
    """
    path = os.path.abspath(source)
    try:
        container = read_container(path)
        metadata = read_metadata(container.xml)
        listed = list_series(container.directory, metadata)
        number = series_number(series, [one.name for one in listed], path)
        data = CziArray(path, number, level, container.directory, listed[number])
    except (RestoreError, MemoryError):
        raise
    except Exception as error:
        raise SourceError(f"{path} cannot be read as CZI: {error!r}. Copy or export it again.") from error
    if axes is not None and axes.upper() != data.axes:
        raise AxesError(f"{path} has the axes {data.axes}, not {axes!r}; leave axes out.")
    names = tuple(one.name for one in listed)
    step, uneven = _time_step(container, metadata, path, data)
    size = {axis: length for axis, length in metadata.pixel_size.items() if axis in data.axes}
    origin = _origin(data, listed[number], metadata)
    for axis in set(size) & set("YX"):
        size[axis] *= data.factor
    units = dict.fromkeys([*size, *origin], "micrometer")
    if step is not None:
        size["T"], units["T"] = step, "second"
    return Image(
        data=data,
        axes=data.axes,
        name=os.path.basename(path) + (f" [{names[number]}]" if len(names) > 1 else ""),
        pixel_size=size,
        origin=origin,
        units=units,
        channels=_channels(metadata, data),
        chunks=tuple(data.chunks[i] for i in transposition(data.axes, canonical_axes(data.axes))),
        location=path,
        series_count=len(listed),
        series_names=names if any(names) else (),
        notes=(*container.notes, *metadata.notes, *uneven, *_missing(data)),
    )


def _missing(data: CziArray) -> tuple[str, ...]:
    notes = []
    if data.planes_missing:
        count = int(np.prod([data.lengths[letter] for letter in "TCZ"]))
        notes.append(f"{data.planes_missing} of {count} planes are not in the file and cannot be read.")
    if data.gaps:
        notes.append("The tiles leave parts of the image out; pixels there are 0.")
    return tuple(notes)


def _time_step(
    container: Container, metadata: CziMetadata, path: str, data: CziArray
) -> tuple[float | None, tuple[str, ...]]:
    """Return the mean number of seconds between two time points, and whether the steps differ."""
    count = data.lengths["T"]
    if count < 2:
        return None, ()
    times = np.asarray(metadata.times)
    attachment = container.attachments.get(metadata.time_attachment or "TimeStamps")
    if len(times) < 2 and attachment is not None:
        times = read_time_stamps(path, attachment)
    if len(times) != count or not np.isfinite(times).all() or times[-1] <= times[0]:
        step = metadata.time_step
        return (step if step and step > 0 else None), ()
    steps = np.diff(times)
    mean = float(steps.mean())
    if np.abs(steps - mean).max() <= _UNEVEN * mean:
        return mean, ()
    return mean, (f"Its time steps are from {steps.min():.6g} to {steps.max():.6g} s; their mean is used.",)


def _origin(data: CziArray, series: Series, metadata: CziMetadata) -> dict[str, float]:
    """Return the position of the first pixel on the stage, from the centre of the scene.

    A scene that the file gives no centre of begins at 0.
    """
    origin = {}
    scene = metadata.scenes.get(series.scene)
    for axis, center in zip("YX", (scene and scene.center) or (None, None), strict=True):
        size = metadata.pixel_size.get(axis)
        if size is not None:
            extent = data.extent[axis]
            first = (data.factor - 1) / 2 * size
            if center is not None:
                first += center - (extent - 1) / 2 * size
            if first:
                origin[axis] = first
    if "Z" in data.axes and metadata.z_start:
        origin["Z"] = metadata.z_start
    return origin


def _channels(metadata: CziMetadata, data: CziArray) -> tuple[Channel, ...]:
    """Return names, colours and display limits of the channels that the image has."""
    if any(number >= len(metadata.channels) for number in data.channels):
        return ()
    full = float(np.iinfo(data.dtype).max) if data.dtype.kind == "u" else None
    several, color = len(data.channels) > 1, data.pixel_type.samples > 1
    described = []
    for channel in (metadata.channels[number] for number in data.channels):
        window = channel.window
        described.append(
            Channel(
                name=channel.name,
                color=None if color else channel.color,
                window=None if full is None or window is None else (full * window[0], full * window[1]),
                shown=channel.shown or not several,
            )
        )
    return tuple(described) if any(channel != Channel() for channel in described) else ()
