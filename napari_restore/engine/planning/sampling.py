"""Looking at a little of an image, evenly spread, to learn its value range and noise."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_restore.engine.planning.blocks import decoded_unit
from napari_restore.engine.planning.recipe import for_each
from napari_restore.errors import ChunkError
from napari_restore.images.image import Image
from napari_restore.images.lazy_arrays import Region
from napari_restore.intensity.noise import NoiseEstimate, estimate_noise
from napari_restore.intensity.scaling import ValueRange
from napari_restore.intensity.validity import fill_values, robust_range, without_fill

__all__ = [
    "ChunkReader",
    "Sampled",
    "estimate_image_noise",
    "sample_channels",
    "sample_planes",
    "spread_regions",
]

CROPS = 64
"""Crops that are read of each channel."""
CROP = 256
"""Their height and width in pixels."""
NOISE_CROPS = 16
"""Of these, the noise is estimated on so many."""
_MUCH_LARGER = 8
"""Times the pixels of a crop, from which chunks are kept for the next crop."""
_KEPT = 2**29
"""Bytes that are kept at most."""


def spread_regions(
    image: Image, axes: str, count: int, rows: int, columns: int, *, channel: int = 0
) -> Iterator[Region]:
    """Regions of an image that depend on its shape alone, evenly spread over the plane and the planes of `axes`.

    Parameters
    ----------
    image
        Of which each region is a crop of one plane, with all its samples.
    axes
        Letters of TCZ over which the planes are spread, where the image has them.
    count
        How many regions.
    rows, columns
        Their height and width in pixels.
    channel
        Index along C, where that is not among `axes`.
    """
    sizes = image.sizes
    outer = {axis: sizes[axis] for axis in axes if axis in sizes}
    planes = int(np.prod(list(outer.values()), dtype=np.int64))
    length = {"Y": rows, "X": columns, "S": sizes.get("S", 1)}
    for k in range(count):
        # The fractional parts of multiples of the plastic number's powers fill the square evenly (Roberts, 2018).
        where = np.unravel_index(int((k + 0.5) * planes / count), tuple(outer.values())) if outer else ()
        start = {"C": channel} | dict(zip(outer, (int(index) for index in where), strict=True))
        start["Y"] = int((0.5 + k * 0.7548776662466927) % 1 * (sizes["Y"] - rows + 1))
        start["X"] = int((0.5 + k * 0.5698402909980532) % 1 * (sizes["X"] - columns + 1))
        yield tuple(slice(start.get(a, 0), start.get(a, 0) + length.get(a, 1)) for a in image.canonical)


class ChunkReader:
    """Reads small regions of an image, those that lie in the same large chunks by decoding these once.

    Parameters
    ----------
    image
        Read it in the order of `chunks_of`.
    """

    def __init__(self, image: Image) -> None:
        self._image, self._unit = image, decoded_unit(image)
        self._where: tuple[slice, ...] | None = None
        self._pixels: NDArray[Any] | None = None

    def chunks_of(self, region: tuple[slice, ...]) -> tuple[tuple[int, int], ...]:
        """Say which chunks a region touches: the first and the last along each axis."""
        units = (self._unit[axis] for axis in self._image.canonical)
        return tuple((s.start // unit, (s.stop - 1) // unit) for s, unit in zip(region, units, strict=True))

    def read(self, region: tuple[slice, ...]) -> NDArray[Any]:
        """Read a region as `Image.read` does."""
        whole = tuple(
            slice(first * self._unit[axis], min((last + 1) * self._unit[axis], self._image.sizes[axis]))
            for axis, (first, last) in zip(self._image.canonical, self.chunks_of(region), strict=True)
        )
        size, larger = (math.prod(s.stop - s.start for s in part) for part in (region, whole))
        if larger < _MUCH_LARGER * size or larger * self._image.dtype.itemsize > _KEPT:
            return self._image.read(region)
        if self._pixels is None or self._where != whole:
            self._pixels = None  # it makes room before the next one is read
            try:
                self._where, self._pixels = whole, self._image.read(whole)
            except ChunkError:  # a part of it may be sound
                return self._image.read(region)
        inside = tuple(slice(r.start - w.start, r.stop - w.start) for r, w in zip(region, whole, strict=True))
        return self._pixels[inside].copy()


def sample_planes(image: Image, channel: int, *, crops: int = CROPS, skip_damaged: bool = False) -> list[NDArray[Any]]:
    """Read crops of a channel, evenly spread over time, depth and the plane.

    Parameters
    ----------
    image
        The source.
    channel
        Index along C; 0 where there is no C.
    crops
        How many at most. A channel of no more pixels than that is read whole.
    skip_damaged
        Leave out crops that cannot be read.

    Returns
    -------
    list of numpy.ndarray
        Crops ``(height, width)``, or ``(samples, height, width)`` for an image with S.

    Raises
    ------
    ChunkError
        If a crop cannot be read; with `skip_damaged`, if none can.
    """
    sides = [CROP, CROP // 2, CROP // 4, CROP // 8] if skip_damaged else [CROP]
    for side in sides:  # smaller ones lie between what is damaged
        samples, failure = _crops(image, channel, crops, side, skip_damaged)
        if samples:
            return samples
    assert failure is not None
    raise failure


def _crops(
    image: Image, channel: int, crops: int, side: int, skip_damaged: bool
) -> tuple[list[NDArray[Any]], ChunkError | None]:
    """Read crops of a height and width, and give what went wrong with the last one that cannot be read."""
    sizes = image.sizes
    planes = sizes.get("T", 1) * sizes.get("Z", 1)
    rows, columns = min(sizes["Y"], side), min(sizes["X"], side)
    per_plane = -(-sizes["Y"] // rows) * -(-sizes["X"] // columns)
    count = min(crops, planes * per_plane)
    if count == planes * per_plane and side == CROP:
        rows, columns, count = sizes["Y"], sizes["X"], planes
    samples: dict[int, NDArray[Any]] = {}
    failure = None
    reader = ChunkReader(image)
    regions = enumerate(spread_regions(image, "TZ", count, rows, columns, channel=channel))
    for k, region in sorted(regions, key=lambda numbered: reader.chunks_of(numbered[1])):
        try:
            pixels = reader.read(region)
        except ChunkError as error:
            if not skip_damaged:
                raise
            failure = error
            continue
        pixels = np.moveaxis(pixels, -1, 0) if "S" in sizes else pixels
        samples[k] = pixels.reshape(-1, rows, columns) if "S" in sizes else pixels.reshape(rows, columns)
    return [samples[k] for k in sorted(samples)], failure


@dataclass(frozen=True)
class Sampled:
    """What an even sample tells of a channel.

    Attributes
    ----------
    fill
        Values that fill areas without being image.
    range
        Of the values that are image.
    noise
        None where the sample shows too little to tell.
    filled
        Share of the sample that is fill, or not finite.
    """

    fill: tuple[float, ...]
    range: ValueRange
    noise: NoiseEstimate | None
    filled: float = 0.0


def sample_channels(
    image: Image, fill: tuple[tuple[float, ...], ...] | None = None, *, skip_damaged: bool = False
) -> tuple[Sampled, ...]:
    """Learn fill, range and noise of each channel from an even sample; colour samples share theirs.

    Parameters
    ----------
    image
        The source.
    fill
        Fill values that are known: for each channel, or for all.
    skip_damaged
        See `sample_planes`.
    """
    channels = range(image.sizes.get("C", 1))
    known = for_each(fill or ((),), len(channels)) if fill is not None else None
    return tuple(
        _sampled(sample_planes(image, channel, skip_damaged=skip_damaged), None if known is None else known[channel])
        for channel in channels
    )


def _sampled(crops: list[NDArray[Any]], fill: tuple[float, ...] | None) -> Sampled:
    found = fill_values(crops) if fill is None else fill
    planes, filled = without_fill(crops, found)
    noise = estimate_noise(_some(planes))
    return Sampled(found, robust_range(planes, noise), noise, filled)


def _some(planes: list[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    """Give a part of some planes, evenly spread, in crops: the noise of a megapixel is that of all."""
    crops = [
        plane[..., top : top + CROP, left : left + CROP]
        for plane in planes
        for top in range(0, plane.shape[-2], CROP)
        for left in range(0, plane.shape[-1], CROP)
    ]
    return crops[:: -(-len(crops) // NOISE_CROPS)]


def estimate_image_noise(image: Image, *, skip_damaged: bool = False) -> tuple[NoiseEstimate | None, ...]:
    """Estimate the noise of each channel from an even sample; None where it shows too little to tell."""
    return tuple(channel.noise for channel in sample_channels(image, skip_damaged=skip_damaged))
