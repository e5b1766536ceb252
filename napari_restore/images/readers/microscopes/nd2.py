"""Open ND2 files of Nikon through the package nd2; uncompressed frames are read directly from the file."""

from __future__ import annotations

__all__ = ["ENDINGS", "Nd2Array", "open", "recognises"]

import itertools
import mmap
import os
import threading
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_restore.errors import AxesError, ChunkError, RestoreError, SourceError
from napari_restore.images.image import Channel, Image
from napari_restore.images.lazy_arrays import Region, StridedArray
from napari_restore.images.readers.reader import begins_with, check_level, series_number
from napari_restore.ways_out import FILL

ENDINGS: tuple[str, ...] = (".nd2",)

_MAGIC = b"\xda\xce\xbe\x0a"
_LEGACY_MAGIC = b"\x00\x00\x00\x0c"

_LETTERS = {"TimeLoop": "T", "NETimeLoop": "T", "ZStackLoop": "Z"}
_WORDS = {"XYPosLoop": "position", "CustomLoop": "custom loop", "TimeLoop": "time loop", "NETimeLoop": "time loop"}

_UNEVEN = 0.1
_LOOKED_AT = 64
"""Largest number of time points, evenly spread, whose time stamps are read."""


def recognises(source: Any) -> bool:
    """Check whether a source is an ND2 file, by its first bytes; files before 2008 are JPEG 2000."""
    if begins_with(source, _MAGIC):
        return True
    return isinstance(source, str) and source.lower().endswith(ENDINGS) and begins_with(source, _LEGACY_MAGIC)


def open(source: str, *, axes: str | None = None, level: int = 0, series: int | str = 0) -> Image:
    """Open an ND2 file without reading pixels.

    Each position on the stage is a series, and so is each index of a loop that is neither time nor Z.

    Parameters
    ----------
    source : str
        Path of the file.
    axes : str, optional
        If given, it must equal the axes of the file.
    level : int
        0, because the format has no pyramids.
    series : int or str
        Number or name of the image.

    Returns
    -------
    Image
        With pixel size and origin on the stage in micrometres, seconds between time points, and names and colours of
        the channels.

    Raises
    ------
    AxesError
        If `axes` is not equal to the axes of the file.
    SourceError
        If nd2 is not installed, the file is damaged or compressed with loss, or the series or level does not exist.
    """
    path = os.path.abspath(source)
    check_level(level, 1, path, "ND2 has no pyramids")
    file = _nd2_file(path)
    try:
        names = _series_names(file)
        number = series_number(series, names, path)
        data = Nd2Array(path, number, file)
        image = _image(file, path, names, number, data)
    except (RestoreError, MemoryError):
        file.close()
        raise
    except Exception as error:  # damaged files raise many kinds of errors in nd2
        file.close()
        raise SourceError(f"{path} cannot be read as ND2: {error!r}. Copy or export it again.") from error
    if axes is not None and axes.upper() != image.axes:
        raise AxesError(f"{path} has the axes {image.axes}, not {axes!r}; leave axes out.")
    return image


def _nd2_file(path: str) -> Any:
    try:
        import nd2
    except ImportError as error:
        raise SourceError(
            f"{path} needs the package nd2; install it with: pip install 'napari-restore[nd2]' (or pip install nd2)."
        ) from error
    file = None
    try:
        file = nd2.ND2File(path)
        compression = file.attributes.compressionType
    except Exception as error:
        if file is not None:
            file.close()
        raise SourceError(f"{path} cannot be opened as ND2: {error!r}. Copy or export it again.") from error
    if compression == "lossy" and not file.is_legacy:
        file.close()
        raise SourceError(
            f"{path} is compressed with loss, which is not supported; save it without compression in NIS-Elements."
        )
    return file


def _other_loops(file: Any) -> list[int]:
    """Return the loops of an experiment that are neither its time nor its Z."""
    seen: set[str] = set()
    others = []
    for loop_number, loop in enumerate(file.experiment):
        letter = _LETTERS.get(loop.type)
        if letter is None or letter in seen:
            others.append(loop_number)
        else:
            seen.add(letter)
    return others


def _series_names(file: Any) -> list[str]:
    """Name each image by its position and its indices of other loops."""
    loops = [
        file.experiment[loop_number] for loop_number in _other_loops(file) if file.experiment[loop_number].count > 1
    ]
    return [
        ", ".join(_turn(loop, turn) for loop, turn in zip(loops, turns, strict=True))
        for turns in itertools.product(*(range(loop.count) for loop in loops))
    ]


def _turn(loop: Any, turn: int) -> str:
    points = getattr(loop.parameters, "points", None) or ()
    name = points[turn].name if turn < len(points) else None
    return str(name) if name else f"{_WORDS.get(loop.type, loop.type)} {turn}"


def _image(file: Any, path: str, names: Sequence[str], number: int, data: Nd2Array) -> Image:
    metadata, notes = _metadata(file)
    size, uneven = _pixel_size(file, metadata, data)
    notes += uneven
    origin = _origin(file, data, size)
    steps = {axis: length for axis, length in size.items() if axis != "T"}
    missing = data.missing()
    if missing:
        notes.append(f"{missing} of {data.frames} frames are not in the file and cannot be read.")
    return Image(
        data=data,
        axes=data.axes,
        name=os.path.basename(path) + (f" [{names[number]}]" if len(names) > 1 else ""),
        pixel_size=size,
        origin=origin,
        units=dict.fromkeys([*steps, *origin], "micrometer") | ({"T": "second"} if "T" in size else {}),
        channels=_channels(metadata, data),
        chunks=tuple(n if axis in "YXS" else 1 for axis, n in zip(data.axes, data.shape, strict=True)),
        location=path,
        series_count=len(names),
        series_names=tuple(names) if any(names) else (),
        notes=tuple(notes),
    )


def _metadata(file: Any) -> tuple[tuple[Any, ...], list[str]]:
    """Return the metadata of each channel; none, and a note, if nd2 cannot read them."""
    try:
        return tuple(getattr(file.metadata, "channels", None) or ()), []
    except Exception as error:  # files of other programs or versions may lack fields
        return (), [f"Its metadata cannot be read ({error!r}); sizes and names are unknown."]


def _pixel_size(file: Any, channels: tuple[Any, ...], data: Nd2Array) -> tuple[dict[str, float], list[str]]:
    size: dict[str, float] = {}
    notes: list[str] = []
    if channels:
        volume = channels[0].volume
        for axis, known, length in zip("XYZ", volume.axesCalibrated, volume.axesCalibration, strict=True):
            if known and length and np.isfinite(length) and axis in data.axes:
                size[axis] = float(length)
    for loop in file.experiment:
        if loop.type == "ZStackLoop" and "Z" in data.axes and loop.parameters.stepUm:
            size["Z"] = abs(float(loop.parameters.stepUm)) * (1 if loop.parameters.bottomToTop else -1)
    if "T" in data.axes:
        step, uneven = _time_step(file, data)
        notes += uneven
        if step:
            size["T"] = step
    return size, notes


def _time_step(file: Any, data: Nd2Array) -> tuple[float | None, list[str]]:
    """Return the mean number of seconds between two time points, from the time stamps of their first frames."""
    count = data.lengths["T"]
    points = np.unique(np.linspace(0, count - 1, min(count, _LOOKED_AT)).astype(int))
    stamps = [_frame_metadata(file, data.frame(int(t), 0)) for t in points if data.has(int(t), 0)]
    times = np.array([np.nan if stamp is None else stamp.time.relativeTimeMs / 1000 for stamp in stamps])
    if len(times) == len(points) and np.isfinite(times).all() and times[-1] > times[0]:
        steps = np.diff(times) / np.diff(points)
        mean = float((times[-1] - times[0]) / (points[-1] - points[0]))
        if np.abs(steps - mean).max() > _UNEVEN * mean:
            return mean, [f"Its time steps are from {steps.min():.6g} to {steps.max():.6g} s; their mean is used."]
        return mean, []
    for loop in file.experiment:
        if loop.type == "TimeLoop" and loop.parameters.periodMs > 0:
            return float(loop.parameters.periodMs) / 1000, []
    return None, []


def _frame_metadata(file: Any, frame: int) -> Any:
    """Return time and position of a frame, of its first channel; None if unknown."""
    try:
        found = file.frame_metadata(frame)
    except Exception:  # truncated files and those of other programs may lack fields
        return None
    channels = getattr(found, "channels", None)
    return channels[0] if channels else None


def _origin(file: Any, data: Nd2Array, size: dict[str, float]) -> dict[str, float]:
    """Return the position of the first pixel on the stage; the file has the position of the centre of the image."""
    found = _frame_metadata(file, data.frame(0, 0))
    stage = getattr(getattr(found, "position", None), "stagePositionUm", None)
    if stage is None:
        return {}
    origin = {}
    for axis, center in (("Z", stage.z), ("Y", stage.y), ("X", stage.x)):
        if axis == "Z" and size.get("Z", 0.0) < 0:
            continue  # nd2 counts from the lowest plane, which is the last one here
        if axis in size and np.isfinite(center):
            origin[axis] = float(center) - ((data.lengths[axis] - 1) / 2 * size[axis] if axis != "Z" else 0.0)
    return origin


def _channels(described: tuple[Any, ...], data: Nd2Array) -> tuple[Channel, ...]:
    if len(described) != data.lengths["C"]:
        return ()
    return tuple(
        Channel(
            name=one.channel.name or None,
            color=None
            if data.lengths["S"] > 1 or one.channel.color is None
            else f"{one.channel.color.r:02X}{one.channel.color.g:02X}{one.channel.color.b:02X}",
        )
        for one in described
    )


class Nd2Array:
    """One series of an ND2 file, which is opened once in each process.

    Parameters
    ----------
    path : str
        Absolute path of the file.
    series : int
        Number of the image.
    file : nd2.ND2File
        The opened file; it is closed together with this array.
    """

    def __init__(self, path: str, series: int, file: Any) -> None:
        self.path, self.series = path, series
        self._lock = threading.RLock()
        self._attach(file)

    def _attach(self, file: Any) -> None:
        self._file, self._process = file, os.getpid()
        weakref.finalize(self, file.close)
        loops = list(file.experiment)
        others = _other_loops(file)
        counts = [int(loop.count) for loop in loops]
        strides = [int(np.prod(counts[loop_number + 1 :])) for loop_number in range(len(counts))]
        turns = np.unravel_index(self.series, [counts[loop_number] for loop_number in others]) if others else ()
        self._first = sum(int(turn) * strides[loop_number] for turn, loop_number in zip(turns, others, strict=True))
        steps = {_LETTERS[loops[p].type]: (counts[p], strides[p]) for p in range(len(loops)) if p not in others}
        attributes = file.attributes
        samples = 3 if file.components_per_channel == 3 else 1
        self.lengths = {
            "T": steps.get("T", (1, 0))[0],
            "C": int(attributes.channelCount or 1) if samples == 3 else int(attributes.componentCount),
            "Z": steps.get("Z", (1, 0))[0],
            "Y": int(attributes.heightPx),
            "X": int(attributes.widthPx),
            "S": samples,
        }
        self._strides = tuple(steps.get(letter, (1, 0))[1] for letter in "TZ")
        self.frames = int(np.prod(counts))
        self._stored = int(attributes.sequenceCount)
        self.axes = "".join(letter for letter in "TCZYXS" if self.lengths[letter] > 1 or letter in "YX")
        self.shape = tuple(self.lengths[letter] for letter in self.axes)
        self.dtype = np.dtype(file.dtype)

    def frame(self, time: int, z: int) -> int:
        """Return the number of a frame in the file."""
        return self._first + time * self._strides[0] + z * self._strides[1]

    def has(self, time: int, z: int) -> bool:
        """Check whether a frame is in the file: a stopped acquisition lacks the last frames."""
        return self.frame(time, z) < self._stored

    def missing(self) -> int:
        """Return the number of missing frames of the whole file."""
        return max(0, self.frames - self._stored)

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "series": self.series, "shape": self.shape, "dtype": self.dtype}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({**state, "_lock": threading.RLock(), "_process": None})

    def _opened(self) -> Any:
        """Return the open file; a process that inherited or unpickled the array opens it again."""
        with self._lock:
            if self._process != os.getpid():
                shape, dtype = self.shape, self.dtype
                self._attach(_nd2_file(self.path))
                if (self.shape, self.dtype) != (shape, dtype):
                    raise SourceError(f"{self.path} has changed since it was opened; open it again.")
            return self._file

    def __getitem__(self, region: Region) -> NDArray[Any]:
        file = self._opened()
        asked = dict(zip(self.axes, region, strict=True))
        t, c, z, y, x, s = (asked.get(letter, slice(0, 1)) for letter in "TCZYXS")
        if "S" not in asked:
            s = slice(0, self.lengths["S"])
        out = np.empty([part.stop - part.start for part in (t, c, z, y, x, s)], self.dtype)
        for time, plane in itertools.product(range(t.start, t.stop), range(z.start, z.stop)):
            out[time - t.start, :, plane - z.start] = self._read(file, time, plane, (c, y, x, s))
        return out.reshape([part.stop - part.start for part in region])

    def _read(self, file: Any, time: int, z: int, region: tuple[slice, ...]) -> NDArray[Any]:
        """Read a region of a frame, shape (channels, rows, columns, samples)."""
        if not self.has(time, z):
            raise ChunkError(
                f"{self.path}: the frame at T {time}, Z {z} is not in the file; its acquisition was stopped", FILL
            )
        with self._lock:
            try:
                frame = file.read_frame(self.frame(time, z))
            except Exception as error:
                raise ChunkError(f"{self.path}: the frame at T {time}, Z {z} cannot be read: {error!r}") from error
        root = _root(frame)
        if root is None and not file.is_legacy:  # nd2 returns zeros for a missing frame
            raise ChunkError(f"{self.path}: the frame at T {time}, Z {z} is not in the file; the file is damaged", FILL)
        frame = frame.reshape([self.lengths[letter] for letter in "CYXS"])
        if self.lengths["S"] == 3 and not file.is_legacy:
            frame = frame[..., ::-1]  # ND2 has blue first; files before 2008 have red first
        if not isinstance(root, mmap.mmap):
            return np.asarray(frame[region])
        return StridedArray(self.path, frame.dtype, frame.shape, frame.strides, _offset(frame, root))[region]


def _root(array: Any) -> Any:
    """Return the object that an array is a view of, bytes or a mapped file; None if it owns its data."""
    while isinstance(array, np.ndarray):
        array = array.base
    return array


def _offset(array: NDArray[Any], mapped: mmap.mmap) -> int:
    """Return the offset of the first pixel of an array in the file that it is mapped from.

    Pixels are not read from the map itself: if the file shrinks or the network fails, the process is killed.
    """
    start = np.frombuffer(mapped, np.uint8).__array_interface__["data"][0]
    return int(array.__array_interface__["data"][0] - start)
