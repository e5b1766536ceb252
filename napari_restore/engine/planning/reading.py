"""Reading a source that fails: again where that may help; what stays unreadable is named, or filled and listed."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_restore.errors import ChunkError, SourceLost
from napari_restore.images.image import Image
from napari_restore.images.lazy_arrays import Region
from napari_restore.intensity.scaling import to_dtype
from napari_restore.retrying import DISK, retried

__all__ = ["Filled", "PatientImage", "patient"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Filled:
    """A part of the source that could not be read.

    Attributes
    ----------
    region
        Its pixels, one slice per axis of the source in canonical order.
    reason
        What reading it said.
    """

    region: Region
    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True, eq=False)
class PatientImage(Image):
    """An image that is read for one block, and says afterwards what that took.

    Attributes
    ----------
    on_error
        See `Recipe`.
    fill
        Values in the place of what cannot be read: one for each index along C, or one for all.
    filled
        What could not be read; `read` adds to it.
    failures
        What reading said each time before it was tried again; `read` adds to it.
    """

    on_error: Literal["raise", "fill"] = "raise"
    fill: tuple[float, ...] = (0.0,)
    filled: list[Filled] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def read(self, region: Region) -> NDArray[Any]:
        """Read a region as `Image.read` does, several times if need be, and fill what stays damaged.

        What is filled does not depend on the region that is asked for: a stored chunk that is damaged is filled in all
        regions that touch it, with the same value.
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
                _log.warning("filled: %s", error)
                self.filled.append(Filled(part, str(error)))
                fill_in(pixels[inside], self.canonical, part, self.fill)
        return pixels

    def _read(self, region: Region) -> NDArray[Any]:
        policy = replace(DISK, may_pass=self._may_pass)
        return retried(lambda: super(PatientImage, self).read(region), policy, self._note)

    def _may_pass(self, error: Exception) -> bool:
        # A disk may come back in a few seconds; if it does not, there is nothing to fill in.
        if isinstance(error, SourceLost):
            return True
        # Damage is the same every time, but one more try costs little, and may have been on its way only.
        return isinstance(error, ChunkError) and (not self.failures or DISK.may_pass(error))

    def _note(self, error: Exception) -> None:
        self.failures.append(str(error))


def patient(image: Image, on_error: Literal["raise", "fill"], fill: tuple[float, ...]) -> PatientImage:
    """Make an image patient, for reading one block."""
    known = {item.name: getattr(image, item.name) for item in fields(Image)}
    return PatientImage(**known, on_error=on_error, fill=fill)


def fill_in(pixels: NDArray[Any], axes: str, region: Region, fill: tuple[float, ...]) -> None:
    """Put the fill value of each channel in place of pixels, clipped to their data type.

    Parameters
    ----------
    pixels
        The pixels of `region`.
    axes
        Their letters, in canonical order.
    region
        Where they are; along C that chooses the value.
    fill
        One value for each index along C, or one for all.
    """
    values = to_dtype(np.asarray(fill, np.float64), pixels.dtype)
    if len(values) == 1 or "C" not in axes:
        pixels[...] = values[0]
        return
    axis = axes.index("C")
    chosen = values[region[axis]]
    pixels[...] = chosen.reshape([-1 if i == axis else 1 for i in range(pixels.ndim)])


def _parts(region: Region, chunks: tuple[int, ...]) -> Iterator[Region]:
    """Cut a region at the borders of stored chunks."""
    pieces = (
        [slice(max(s.start, i * c), min(s.stop, (i + 1) * c)) for i in range(s.start // c, -(-s.stop // c))]
        for s, c in zip(region, chunks, strict=True)
    )
    yield from itertools.product(*pieces)
