"""Open Imaris files (.ims), version 5.5: HDF5 with the layout of Imaris.

The pixels of a resolution level, time point and channel are the dataset ``DataSet/ResolutionLevel r/TimePoint t/Channel
c/Data``, Z×Y×X, padded to whole chunks; the attributes ``ImageSizeX``, ... of its group give the size of the image.
Attributes are arrays of single characters. ``ExtMin0`` and ``ExtMax0`` are the outer edges along X.
"""

from __future__ import annotations

__all__ = ["ENDINGS", "ImarisArray", "open", "recognises"]

import itertools
import math
import os
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_restore.errors import AxesError, RestoreError, SourceError
from napari_restore.images.geometry import Sampling
from napari_restore.images.guards.files import surroundings_of
from napari_restore.images.guards.hdf5_files import follow_links
from napari_restore.images.image import Channel, Image
from napari_restore.images.lazy_arrays import Region
from napari_restore.images.readers.hdf5 import Hdf5Array, check_survives, h5py_module, is_hdf5
from napari_restore.images.readers.reader import check_level, series_number
from napari_restore.images.units import named_units

ENDINGS = (".ims",)


def recognises(source: Any) -> bool:
    """Check whether a source is an HDF5 file with the layout of Imaris, by its name or its groups."""
    if not isinstance(source, str) or not is_hdf5(source):
        return False
    if source.lower().endswith(ENDINGS):
        return True
    try:
        check_survives(source)
        with h5py_module(source).File(source, "r") as file:
            return "DataSet" in file and "DataSetInfo" in file
    except Exception:  # h5py raises errors of many types for damaged files, which the HDF5 reader reports
        return False


def open(source: str, *, axes: str | None = None, level: int = 0, series: int | str = 0) -> Image:
    """Open an Imaris file without reading pixels.

    T, C and Z are axes only if they are longer than 1.

    Parameters
    ----------
    source : str
        Absolute path.
    axes : str, optional
        If given, it must equal the axes of the file, which its layout defines.
    level : int
        Resolution level, 0 being the largest.
    series : int
        0: a file holds one image.

    Returns
    -------
    Image
        The image, with pixel size, origin, unit, and names, colours and display limits of the channels.

    Raises
    ------
    AxesError
        If `axes` is not equal to the axes of the file.
    SourceError
        If h5py is not installed, the file is damaged, or the level or series does not exist.
    """
    path = source
    series_number(series, [""], path)
    h5py = h5py_module(path)
    check_survives(path)
    try:
        follow_links(h5py, path, f"DataSet/ResolutionLevel {level}/TimePoint 0/Channel 0/Data", surroundings_of(path))
        follow_links(h5py, path, "DataSetInfo/Image", surroundings_of(path))
        with h5py.File(path, "r") as file:
            image = _image(file, path, level)
    except (RestoreError, MemoryError):
        raise
    except Exception as error:  # h5py raises OSError, KeyError, RuntimeError and more for damaged files
        raise SourceError(f"{path} cannot be read as an Imaris file: {error!r}. Copy or export it again.") from error
    if axes is not None and axes.upper() != image.axes:
        raise AxesError(f"{path} has the axes {image.axes}, not {axes!r}; leave axes out.")
    return image


def _image(file: Any, path: str, level: int) -> Image:
    levels = len(file["DataSet"])
    check_level(level, levels, path)
    times = file["DataSet"][f"ResolutionLevel {level}"]
    channels = len(times["TimePoint 0"])
    first = times["TimePoint 0/Channel 0"]
    size = {axis: _size(first, axis) for axis in "ZYX"}
    dataset = first["Data"]
    lengths = {"T": len(times), "C": channels, **size}
    letters = "".join(axis for axis in "TCZYX" if lengths[axis] > 1 or axis in "YX")
    data = ImarisArray(path, level, lengths, letters, np.dtype(dataset.dtype), dataset.chunks)
    information = file["DataSetInfo/Image"]
    placed, notes = _extent(information, {axis: size[axis] for axis in "XYZ" if axis in letters})
    units, unknown = named_units(dict.fromkeys(placed, _text(information, "Unit") or "um"))
    step = _time_step(file, len(times))
    chunk = dict(zip("ZYX", dataset.chunks or dataset.shape, strict=True))
    return Image(
        data=data,
        axes=letters,
        name=os.path.basename(path),
        pixel_size={axis: one.pixel_size for axis, one in placed.items()} | ({"T": step} if step else {}),
        origin={axis: one.origin for axis, one in placed.items()},
        units=units | ({"T": "second"} if step else {}),
        channels=tuple(_channel(file.get(f"DataSetInfo/Channel {c}")) for c in range(channels)),
        chunks=tuple(min(chunk.get(axis, 1), lengths[axis]) for axis in letters),
        location=path,
        notes=(*notes, *unknown),
    )


def _extent(information: Any, size: dict[str, int]) -> tuple[dict[str, Sampling], tuple[str, ...]]:
    """Return the sampling of each axis from the outer edges of the image, and a note for edges that are no extent."""
    placed, notes = {}, []
    for axis, length in size.items():
        low, high = (_text(information, f"{end}{'XYZ'.index(axis)}") for end in ("ExtMin", "ExtMax"))
        try:
            edges = float(low), float(high)
        except ValueError:
            edges = math.nan, math.nan
        if math.isfinite(edges[1] - edges[0]) and edges[0] != edges[1]:
            placed[axis] = Sampling.between(*edges, length)
        elif length > 1:
            notes.append(
                f"The file says that the image reaches from {low} to {high} along {axis}; its pixel size is unknown."
            )
    return placed, tuple(notes)


def _size(group: Any, axis: str) -> int:
    """Return the length of the image along an axis; the dataset may be padded."""
    stored = group["Data"].shape["ZYX".index(axis)]
    text = _text(group, f"ImageSize{axis}")
    return min(int(text), stored) if text else int(stored)


def _text(group: Any, name: str) -> str:
    """Return an attribute, which Imaris writes as an array of single characters, as text."""
    value = group.attrs.get(name, b"")
    if isinstance(value, np.ndarray):
        value = value.astype("S1").tobytes()
    return value.decode("latin-1").strip("\0 ") if isinstance(value, bytes) else str(value)


def _numbers(group: Any, name: str) -> list[float]:
    try:
        return [float(number) for number in _text(group, name).split()]
    except ValueError:
        return []


def _channel(group: Any) -> Channel:
    if group is None:
        return Channel()
    rgb, window = _numbers(group, "Color"), _numbers(group, "ColorRange")
    color = "".join(f"{round(255 * min(max(part, 0.0), 1.0)):02X}" for part in rgb) if len(rgb) == 3 else None
    return Channel(_text(group, "Name") or None, color, (window[0], window[1]) if len(window) == 2 else None)


def _time_step(file: Any, count: int) -> float | None:
    """Return the mean number of seconds between two time points."""
    group = file.get("DataSetInfo/TimeInfo")
    if group is None or count < 2:
        return None
    try:
        first, last = (datetime.fromisoformat(_text(group, f"TimePoint{n}")) for n in (1, count))
    except ValueError:
        return None
    step = (last - first).total_seconds() / (count - 1)
    return step if step > 0 else None


class ImarisArray:
    """The datasets of one resolution level as one array.

    Parameters
    ----------
    path : str
        Absolute path of the file.
    level : int
        Resolution level.
    lengths : dict of str to int
        Lengths of all five axes.
    axes : str
        Axes of the array, in the order of "TCZYX".
    dtype : numpy.dtype
        Data type of the pixels.
    chunks : tuple of int or None
        Shape of a chunk, Z×Y×X.
    """

    def __init__(
        self,
        path: str,
        level: int,
        lengths: dict[str, int],
        axes: str,
        dtype: np.dtype[Any],
        chunks: tuple[int, ...] | None,
    ) -> None:
        self.path, self.level, self.lengths, self.axes, self.dtype, self.chunks = (
            path,
            level,
            lengths,
            axes,
            dtype,
            chunks,
        )
        self.shape = tuple(lengths[axis] for axis in axes)

    def __getitem__(self, region: Region) -> NDArray[Any]:
        asked = dict(zip(self.axes, region, strict=True))
        t, c, *space = (asked.get(axis, slice(0, 1)) for axis in "TCZYX")
        volume = tuple(s.stop - s.start for s in space)
        out = np.empty((t.stop - t.start, c.stop - c.start, *volume), self.dtype)
        for time, channel in itertools.product(range(t.start, t.stop), range(c.start, c.stop)):
            out[time - t.start, channel - c.start] = self._volume(time, channel)[tuple(space)]
        return out.reshape([s.stop - s.start for s in region])

    def _volume(self, time: int, channel: int) -> Hdf5Array:
        inside = f"/DataSet/ResolutionLevel {self.level}/TimePoint {time}/Channel {channel}/Data"
        shape = tuple(self.lengths[axis] for axis in "ZYX")
        return Hdf5Array(self.path, inside, shape, self.dtype, self.chunks)
