"""Read a source with retries; fill and list what stays unreadable, or raise an error that names it."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_restore.errors import ChunkError, SourceLost, SourceTooSlow, fault_of
from napari_restore.images.image import Image
from napari_restore.images.lazy_arrays import Region
from napari_restore.intensity.scaling import to_dtype
from napari_restore.retrying import DISK, retried

__all__ = ["Filled", "RetryingImage", "with_retries"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Filled:
    """A part of the source that could not be read and was filled.

    Attributes
    ----------
    region : tuple of slice
        Its pixels, one slice per axis of the source in canonical order.
    reason : str
        Message of the error.
    """

    region: Region
    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True, eq=False)
class RetryingImage(Image):
    """An image that retries failed reads, and records what failed and what was filled. Each block has its own.

    Attributes
    ----------
    on_error : {"raise", "fill"}
        Setting of the recipe.
    fill : tuple of float
        Fill values, one for all channels or one per channel.
    filled : list of Filled
        Parts that could not be read; `read` appends to it.
    failures : list of str
        Messages of the errors before each retry; `read` appends to it.
    """

    on_error: Literal["raise", "fill"] = "raise"
    fill: tuple[float, ...] = (0.0,)
    filled: list[Filled] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def read(self, region: Region) -> NDArray[Any]:
        """Read a region as `Image.read` does, with retries, and fill what stays unreadable.

        The filled pixels do not depend on the region: a damaged chunk is filled with the same value in all regions that
        touch it.
        """
        try:
            return self._read(region)
        except ChunkError:
            if self.on_error == "raise":
                raise
        region = self._resolved(region)
        pixels = np.empty([s.stop - s.start for s in region], self.dtype)
        for part in _parts(region, self.chunks):
            inside = tuple(slice(p.start - r.start, p.stop - r.start) for p, r in zip(part, region, strict=True))
            try:
                pixels[inside] = self._read(part)
            except ChunkError as error:
                _log.warning("filled: %s", fault_of(error))
                self.filled.append(Filled(part, fault_of(error)))
                fill_in(pixels[inside], self.canonical, part, self.fill)
        return pixels

    def _read(self, region: Region) -> NDArray[Any]:
        policy = replace(DISK, may_pass=self._may_pass)
        return retried(lambda: super(RetryingImage, self).read(region), policy, self._note)

    def _may_pass(self, error: Exception) -> bool:
        if isinstance(error, SourceTooSlow):
            return False
        # A disk may be back within seconds; if it is not, nothing is filled.
        if isinstance(error, SourceLost):
            return True
        # A damaged chunk fails every time, but the first failure is retried: the data may be damaged in transfer only.
        return isinstance(error, ChunkError) and (not self.failures or DISK.may_pass(error))

    def _note(self, error: Exception) -> None:
        self.failures.append(fault_of(error))


def with_retries(image: Image, on_error: Literal["raise", "fill"], fill: tuple[float, ...]) -> RetryingImage:
    """Make an image that is read with retries, for one block.

    Parameters
    ----------
    image : Image
        The source.
    on_error : {"raise", "fill"}
        Setting of the recipe.
    fill : tuple of float
        Fill values, one for all channels or one per channel.

    Returns
    -------
    RetryingImage
        The same source.
    """
    known = {item.name: getattr(image, item.name) for item in fields(Image)}
    return RetryingImage(**known, on_error=on_error, fill=fill)


def fill_in(pixels: NDArray[Any], axes: str, region: Region, fill: tuple[float, ...]) -> None:
    """Set pixels to the fill value of their channel, clipped to their data type, in place.

    Parameters
    ----------
    pixels : numpy.ndarray
        Pixels of `region`.
    axes : str
        Axes of `pixels`, in canonical order.
    region : tuple of slice
        Region of the pixels. Its channels select the fill values.
    fill : tuple of float
        Fill values, one for all channels or one per channel.
    """
    values = to_dtype(np.asarray(fill, np.float64), pixels.dtype)
    if len(values) == 1 or "C" not in axes:
        pixels[...] = values[0]
        return
    axis = axes.index("C")
    chosen = values[region[axis]]
    pixels[...] = chosen.reshape([-1 if i == axis else 1 for i in range(pixels.ndim)])


def _parts(region: Region, chunks: tuple[int, ...]) -> Iterator[Region]:
    """Divide a region at the borders of stored chunks."""
    pieces = (
        [slice(max(s.start, i * c), min(s.stop, (i + 1) * c)) for i in range(s.start // c, -(-s.stop // c))]
        for s, c in zip(region, chunks, strict=True)
    )
    yield from itertools.product(*pieces)
