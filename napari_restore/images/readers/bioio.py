"""CZI, ND2, LIF and whatever else a reader of bioio opens, lazily."""

from __future__ import annotations

__all__ = ["ENDINGS", "BioioArray", "open", "recognises"]

import os
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_restore.errors import AxesError, ChunkError, RestoreError, SourceError
from napari_restore.images.axes import canonical_axes, transposition
from napari_restore.images.image import Channel, Image
from napari_restore.images.lazy_arrays import Region
from napari_restore.images.readers.reader import check_level, series_number

_READERS = {".czi": "bioio-czi", ".nd2": "bioio-nd2", ".lif": "bioio-lif"}

ENDINGS = tuple(_READERS)

# The makers' libraries behind these readers are not all made for several threads.
_ONE_AT_A_TIME = threading.RLock()


def recognises(source: Any) -> bool:
    """Tell whether a source is a file that ends like one of these formats."""
    return isinstance(source, str) and source.lower().endswith(ENDINGS) and os.path.isfile(source)


def open(source: str, *, axes: str | None = None, level: int = 0, series: int | str = 0) -> Image:
    """Open a file with the reader of bioio that is installed for it, without reading pixels.

    Axes of length 1 other than Y and X are left out: readers give five axes for every file.

    Parameters
    ----------
    source : str
        Absolute path.
    axes : str, optional
        If given, it must be what the reader says.
    level : int
        Resolution level, 0 being the largest.
    series : int or str
        Number or name of the scene.

    Returns
    -------
    Image
        With pixel size in micrometres, and the names of the channels.

    Raises
    ------
    AxesError
        If `axes` is not what the reader says.
    SourceError
        If bioio or its reader of this format is not installed, the file is damaged, or there is no such level or scene.
    """
    path = source
    data = BioioArray(path, series, level)
    with _ONE_AT_A_TIME:
        opened = data.opened()
        try:
            size, channels, chunks = _pixel_size(opened, data.axes), _channels(opened, data.axes), data.largest_chunk()
        except Exception as error:  # each reader has errors of its own
            raise SourceError(f"the metadata of {path} cannot be read: {error!r}. Copy the file again.") from error
    if axes is not None and axes.upper() != data.axes:
        raise AxesError(f"{path} says that its axes are {data.axes}, not {axes!r}; leave axes out.")
    return Image(
        data=data,
        axes=data.axes,
        name=os.path.basename(path) + (f" [{series}]" if series else ""),
        pixel_size=size,
        units={axis: "second" if axis == "T" else "micrometer" for axis in size},
        channels=channels,
        chunks=tuple(chunks[i] for i in transposition(data.axes, canonical_axes(data.axes))),
        location=path,
        series_count=len(opened.scenes),
    )


def _package(path: str) -> str:
    """Say what to install for a file."""
    reader = _READERS.get(os.path.splitext(path)[1].lower())
    extra = (
        f"pip install 'napari-restore[{reader.removeprefix('bioio-')}]' (or pip install bioio {reader})"
        if reader
        else ""
    )
    return extra or "pip install bioio and the reader of this format"


def _bio_image(path: str) -> Any:
    try:
        import bioio
        from bioio_base.exceptions import UnsupportedFileFormatError
    except ImportError as error:
        raise SourceError(f"{path} needs the package bioio; install it with: {_package(path)}.") from error
    try:
        return bioio.BioImage(path)
    except UnsupportedFileFormatError as error:
        raise SourceError(
            f"{path} needs a reader of bioio for its format; install it with: {_package(path)}. "
            f"If it is installed, the file is damaged. ({' '.join(str(error).split())[:200]})"
        ) from error
    except Exception as error:
        raise SourceError(f"{path} cannot be opened by bioio: {error!r}. Copy the file again.") from error


def _pixel_size(image: Any, axes: str) -> dict[str, float]:
    """Return what the reader tells of the pixel size: micrometres, and seconds between two time points."""
    sizes = image.physical_pixel_sizes
    found = {axis: getattr(sizes, axis, None) for axis in "ZYX" if axis in axes}
    if "T" in axes:
        step: Any = getattr(image, "time_interval", None)
        found["T"] = step.total_seconds() if hasattr(step, "total_seconds") else step
    return {axis: float(size) for axis, size in found.items() if isinstance(size, int | float) and size > 0}


def _channels(image: Any, axes: str) -> tuple[Channel, ...]:
    names = image.channel_names or ()
    expected = int(image.dims.C) if "C" in axes else 0 if "S" in axes else 1
    return tuple(Channel(str(name)) for name in names) if len(names) == expected else ()


class BioioArray:
    """One scene and level of a file, which is opened once in each process.

    Parameters
    ----------
    path : str
        Absolute path.
    series : int or str
        Number or name of the scene.
    level : int
        Resolution level.

    Raises
    ------
    SourceError
        If it cannot be opened.
    """

    def __init__(self, path: str, series: int | str, level: int) -> None:
        self.path, self.series, self.level = path, series, level
        self._image: Any = None
        with _ONE_AT_A_TIME:
            dims = self.opened().dims
            lengths = {axis: int(length) for axis, length in zip(dims.order, dims.shape, strict=True)}
            self.order = str(dims.order)
            self.axes = "".join(axis for axis in self.order if lengths[axis] > 1 or axis in "YX")
            self.shape = tuple(lengths[axis] for axis in self.axes)
            self.dtype = np.dtype(self.opened().dtype)

    def opened(self) -> Any:
        """Return the file, opened at its scene and level."""
        with _ONE_AT_A_TIME:
            if self._image is None:
                image = _bio_image(self.path)
                _choose(image, self.path, self.series, self.level)
                self._image = image
            return self._image

    def largest_chunk(self) -> tuple[int, ...]:
        """Return the shape of the largest chunk, in the order of the axes."""
        chunks = dict(zip(self.order, self.opened().dask_data.chunks, strict=True))
        return tuple(max(chunks[axis]) for axis in self.axes)

    def __getitem__(self, region: Region) -> NDArray[Any]:
        asked = dict(zip(self.axes, region, strict=True))
        try:
            with _ONE_AT_A_TIME:
                lazy = self.opened().dask_data[tuple(asked.get(axis, slice(0, 1)) for axis in self.order)]
                pixels = np.asarray(lazy.compute(scheduler="synchronous"))
        except (RestoreError, MemoryError):
            raise
        except Exception as error:
            where = ", ".join(f"{axis} {s.start}:{s.stop}" for axis, s in asked.items())
            raise ChunkError(f"{self.path}: region {where} cannot be read: {error!r}") from error
        return pixels.reshape([s.stop - s.start for s in region])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_image": None}


def _choose(image: Any, path: str, series: int | str, level: int) -> None:
    """Set scene and level."""
    image.set_scene(series_number(series, [str(name) for name in image.scenes], path))
    levels = tuple(getattr(image, "resolution_levels", (0,)))
    check_level(level, len(levels), path)
    if level:
        image.set_resolution_level(levels[level])
