"""Define the image: a lazy array with axes, pixel size, units and channels."""

from __future__ import annotations

__all__ = ["Annotations", "Channel", "Image", "LazyArray", "sample_channels"]

import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_restore.errors import AxesError, ChunkError, RestoreError, SourceLost
from napari_restore.images.axes import canonical_axes, check_axes, transposition
from napari_restore.images.geometry import Sampling
from napari_restore.images.lazy_arrays import Region
from napari_restore.thumbnail import display_limits, middle, picture_of
from napari_restore.wording import human_bytes


class LazyArray(Protocol):
    """Protocol of `Image.data`, which arrays of NumPy, Dask and Zarr satisfy."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis in pixels."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Data type of the pixels."""

    def __getitem__(self, region: Region, /) -> Any:
        """Return a region, one slice per axis; pixels may be read only by `numpy.asarray`."""


@dataclass(frozen=True)
class Channel:
    """Name and display settings of a channel.

    Attributes
    ----------
    name : str or None
        Name of the dye, filter or detector.
    color : str or None
        Display colour as six hexadecimal digits, RRGGBB.
    window : tuple of float or None
        Lower and upper display limit, in the units of the pixel values.
    shown : bool
        Whether a viewer shows the channel initially.
    """

    name: str | None = None
    color: str | None = None
    window: tuple[float, float] | None = None
    shown: bool = True


def sample_channels(count: int, window: tuple[float, float] | None = None) -> tuple[Channel, ...]:
    """Return the channels that store the samples of a colour image.

    Parameters
    ----------
    count : int
        Number of samples.
    window : tuple of float, optional
        Display limits of all, so that hues do not shift.

    Returns
    -------
    tuple of Channel
        Red, green, blue and, hidden, alpha; empty for other numbers of samples than 3 and 4. Viewers add channels, and
        a visible alpha channel would turn an opaque image white.
    """
    if count not in (3, 4):
        return ()
    names = ("red", "green", "blue", "alpha")[:count]
    return tuple(Channel(name, window=window, shown=name != "alpha") for name in names)


@dataclass(frozen=True)
class Annotations:
    """Label images and tables beside an OME-Zarr image, which are copied into its result.

    Attributes
    ----------
    location : str
        Path or URL of the group of the image.
    labels, tables : tuple of str
        Their names.
    """

    location: str
    labels: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()

    @property
    def names(self) -> dict[str, tuple[str, ...]]:
        """Names by kind, "labels" and "tables"; no key for a kind without any."""
        return {kind: names for kind, names in (("labels", self.labels), ("tables", self.tables)) if names}

    @cached_property
    def stored_bytes(self) -> dict[str, int]:
        """Bytes of their files by kind; empty if they are not in a folder, such as in an object store."""
        image = Path(self.location)
        if not image.is_dir():
            return {}
        return {
            kind: sum(
                file.stat().st_size for name in names for file in (image / kind / name).rglob("*") if file.is_file()
            )
            for kind, names in self.names.items()
        }

    def told(self, scale: int) -> dict[str, str]:
        """Describe by kind how they are copied into a result.

        Parameters
        ----------
        scale : int
            Pixels of the result for each pixel of the source, along Y and X.

        Returns
        -------
        dict of str to str
            Text for "labels" and "tables".
        """
        as_they_are = {
            "labels": f": their pixels keep their size and are {scale} times as large as those of the result",
            "tables": ": sizes and positions in micrometers fit the result; numbers of pixels are of the source",
        }
        sizes = {kind: f" ({human_bytes(size)})" for kind, size in self.stored_bytes.items()}
        return {
            kind: f"{', '.join(names)}{sizes.get(kind, '')}, copied as they are{as_they_are[kind] if scale > 1 else ''}"
            for kind, names in self.names.items()
        }


@dataclass(frozen=True, eq=False)
class Image:
    """A lazy image with axes, pixel size, units and channels.

    No pixels are read before `read` is called. An image can be pickled: an image on disk as its location and how to
    open it, an image in memory with its pixels. Several threads may call `read` at once.

    Attributes
    ----------
    data : LazyArray
        The pixels, in the order of `axes`.
    axes : str
        One letter of "TCZYXS" per dimension, in the user's order.
    name : str
        Name for users: of the file, the series or the layer.
    pixel_size : dict of str to float
        Distance between pixel centres along an axis, in `units`, negative for decreasing positions; 1.0 for a missing
        axis.
    origin : dict of str to float
        Position of the centre of the first pixel, in `units`; 0.0 for a missing axis.
    units : dict of str to str
        Unit of an axis as OME-Zarr spells it, such as "micrometer" or "second"; missing if unknown.
    channels : tuple of Channel
        One per index along C, or empty; an image without C may have one.
    chunks : tuple of int
        Shape of a stored chunk in canonical order; the shape of the image if there are no chunks.
    location : str or None
        Absolute path or URL of an image on disk.
    series_count : int
        Number of images in the same file or group, this one included.
    series_names : tuple of str
        Their names, in order; empty if they have none.
    notes : tuple of str
        One sentence for plan and report on each thing in the source that was left out, replaced or assumed.
    annotations : Annotations or None
        Labels and tables beside the image; None if there are none.
    missing_values : tuple of float
        Values that the source declares for missing pixels.

    Raises
    ------
    AxesError
        If `axes` does not fit the shape of `data`, or `channels` the length of C.
    """

    data: LazyArray
    axes: str
    name: str = "image"
    pixel_size: dict[str, float] = field(default_factory=dict)
    origin: dict[str, float] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    channels: tuple[Channel, ...] = ()
    chunks: tuple[int, ...] = ()
    location: str | None = None
    series_count: int = 1
    series_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    annotations: Annotations | None = None
    missing_values: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "axes", check_axes(self.axes, tuple(self.data.shape)))
        if not self.chunks:
            object.__setattr__(self, "chunks", self.shape)
        expected = self.sizes.get("C", 1)
        if self.channels and len(self.channels) != expected:
            raise AxesError(
                f"{len(self.channels)} channels are described, but the image has {expected}; "
                "describe each of them or none."
            )

    @property
    def canonical(self) -> str:
        """The letters of `axes` in canonical order, that of "TCZYXS"."""
        return canonical_axes(self.axes)

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis in pixels, in canonical order."""
        order = transposition(self.axes, self.canonical)
        return tuple(int(self.data.shape[axis]) for axis in order)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Data type of the pixels that `read` returns, in the byte order of this machine."""
        native = np.dtype(self.data.dtype).newbyteorder("=")
        # C has two names for the same 64 bits, of which Zarr knows one.
        return np.dtype(native.str) if native.kind in "iuf" else native

    @property
    def sizes(self) -> dict[str, int]:
        """Length of each axis in pixels, by letter."""
        return dict(zip(self.canonical, self.shape, strict=True))

    def sampling(self, axis: str) -> Sampling:
        """Return pixel size and origin of an axis.

        Parameters
        ----------
        axis : str
            Letter of the axis.

        Returns
        -------
        Sampling
            Pixel size 1.0 and origin 0.0 if unknown.
        """
        return Sampling(self.pixel_size.get(axis, 1.0), self.origin.get(axis, 0.0))

    @property
    def copied_bytes(self) -> int:
        """Bytes of the labels and tables that are copied into a result, as they are stored at the source.

        Those in an object store or a ZIP file are not counted.
        """
        return sum(self.annotations.stored_bytes.values()) if self.annotations else 0

    @property
    def nbytes(self) -> int:
        """Size of all pixels in bytes, as `read` would return them."""
        return int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize

    def read(self, region: Region) -> NDArray[Any]:
        """Read a region into memory.

        Parameters
        ----------
        region : Region
            One slice of step 1 per axis, in canonical order.

        Returns
        -------
        numpy.ndarray
            The pixels in canonical order: contiguous, writable, and not shared with the source.

        Raises
        ------
        ChunkError
            If a stored chunk is damaged or cannot be read; the message names the file and the chunk or the region.
        SourceLost
            If the whole image is gone: its file was deleted or moved, or its disk was unmounted.
        ValueError
            If `region` does not have one slice of step 1 per axis.
        """
        region = self._resolved(region)
        back = transposition(self.canonical, self.axes)
        try:
            pixels = _to_memory(self.data[tuple(region[axis] for axis in back)])
        except MemoryError:
            raise
        except Exception as error:
            if not isinstance(error, SourceLost) and self._is_gone():
                raise SourceLost(
                    f"{self.location} is not there any more; put it, or its disk, back in its place, and run the same "
                    "again: what is stored stays."
                ) from error
            if isinstance(error, RestoreError):
                raise
            where = ", ".join(f"{axis} {s.start}:{s.stop}" for axis, s in zip(self.canonical, region, strict=True))
            raise ChunkError(f"{self.location or self.name}: region {where} cannot be read: {error}") from error
        pixels = pixels.transpose(transposition(self.axes, self.canonical))
        return np.require(pixels, dtype=self.dtype, requirements=["C", "W", "O"])

    def _repr_html_(self) -> str:
        """Describe the image in a notebook, with a picture of the middle of its middle plane."""
        from napari_restore.html_page import fragment, paragraph, picture, table

        axes = (
            (
                axis,
                n,
                *((f"{self.pixel_size[axis]:g}", self.units.get(axis, "")) if axis in self.pixel_size else ("", "")),
            )
            for axis, n in self.sizes.items()
        )
        facts = [
            ("image", self.name),
            ("pixels", f"{self.dtype}, {human_bytes(self.nbytes)}"),
            *((("from", self.location),) if self.location else ()),
            *((("channels", ", ".join(one.name or "?" for one in self.channels)),) if self.channels else ()),
            *(("note", note) for note in self.notes),
        ]
        try:
            pixels, colours = self._middle()
            shown = picture(picture_of(pixels, display_limits(pixels), colours), "middle of the middle plane")
        except RestoreError as error:
            shown = paragraph(f"no picture: {error.told('call')}")
        return fragment(table(facts), table(axes, ("axis", "pixels", "pixel size", "unit")), shown)

    def _middle(self) -> tuple[NDArray[Any], list[str | None]]:
        """Read at most 1024 × 1024 pixels of the middle plane: of each channel or colour sample, with their colours."""
        pixels = self.read(middle(self.sizes, 1024))
        if "S" in self.axes:
            pixels = np.moveaxis(pixels, -1, 0)[:3]
        pixels = pixels.reshape(-1, *pixels.shape[-2:])
        if "S" in self.axes:
            return pixels, ["FF0000", "00FF00", "0000FF"] if len(pixels) == 3 else []
        return pixels, [one.color for one in self.channels[: len(pixels)]]

    def _is_gone(self) -> bool:
        """Check whether the file or folder of an image on a disk no longer exists; False for patterns and URLs."""
        path = (self.location or "").partition("::")[0]
        return bool(path) and not set("*?") & set(path) and "://" not in path and not os.path.exists(path)

    def _resolved(self, region: Region) -> Region:
        """Fill in the open ends of `region`."""
        if len(region) != len(self.axes) or any(getattr(s, "step", 0) not in (None, 1) for s in region):
            raise ValueError(f"region {region!r} does not have one slice of step 1 for each axis of {self.canonical}.")
        return tuple(slice(*s.indices(length)[:2]) for s, length in zip(region, self.shape, strict=True))


def _to_memory(lazy: Any) -> NDArray[Any]:
    """Compute the region that a lazy array returned.

    Dask uses its synchronous scheduler here: the caller already reads many regions at once, and in a worker of a
    cluster the default scheduler would submit the region to that cluster.
    """
    if hasattr(lazy, "__dask_graph__") and hasattr(lazy, "compute"):
        lazy = lazy.compute(scheduler="synchronous")
    return np.asarray(lazy)
