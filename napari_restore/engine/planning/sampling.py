"""Estimate value range, noise and fill values of an image from an evenly spread sample."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_restore.engine.planning.blocks import decoded_chunk
from napari_restore.engine.planning.settings.forms import broadcast
from napari_restore.errors import ChunkError
from napari_restore.images.image import Image
from napari_restore.images.lazy_arrays import Region
from napari_restore.intensity.bulk import fill_values, robust_range, without_fill
from napari_restore.intensity.noise import NoiseEstimate, estimate_noise
from napari_restore.intensity.scaling import ValueRange

__all__ = [
    "ChunkReader",
    "Histogram",
    "Sampled",
    "estimate_image_noise",
    "sample_channels",
    "sample_planes",
    "spread_regions",
]

CROPS = 64
"""Number of crops that are read from each channel."""
CROP = 256
"""Height and width of a crop in pixels."""
NOISE_CROPS = 16
"""Number of crops from which the noise is estimated."""
_MUCH_LARGER = 8
"""Size of chunks, relative to a crop, from which they are kept in memory for the next crop."""
_KEPT = 2**29
"""Maximum bytes of chunks that are kept."""
_COUNTED, _BINS, _SHOWN = 100_000, 64, (0.02, 99.98)
"""Pixels, bins, and first and last percentile of a histogram."""


def spread_regions(
    image: Image, axes: str, count: int, rows: int, columns: int, *, channel: int = 0
) -> Iterator[Region]:
    """Yield regions that are evenly spread over the plane and along other axes, and depend on the image's shape alone.

    Parameters
    ----------
    image : Image
        The image.
    axes : str
        Axes among TCZ along which the regions are spread; axes that the image does not have are ignored.
    count : int
        Number of regions.
    rows, columns : int
        Height and width of a region in pixels.
    channel : int
        Index along C, if C is not among `axes`.

    Yields
    ------
    tuple of slice
        A crop of one plane, with all samples; one slice per axis in canonical order.
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
    """A reader of small regions that decodes a large chunk once for consecutive regions within it.

    Parameters
    ----------
    image : Image
        The image. Its regions should be read in the order of `chunks_of`.
    """

    def __init__(self, image: Image) -> None:
        self._image, self._chunk = image, decoded_chunk(image)
        self._where: tuple[slice, ...] | None = None
        self._pixels: NDArray[Any] | None = None

    def chunks_of(self, region: tuple[slice, ...]) -> tuple[tuple[int, int], ...]:
        """Return the first and the last chunk that a region touches, along each axis.

        Parameters
        ----------
        region : tuple of slice
            One slice per axis in canonical order.
        """
        lengths = (self._chunk[axis] for axis in self._image.canonical)
        return tuple((s.start // length, (s.stop - 1) // length) for s, length in zip(region, lengths, strict=True))

    def read(self, region: tuple[slice, ...]) -> NDArray[Any]:
        """Read a region as `Image.read` does.

        Parameters
        ----------
        region : tuple of slice
            One slice per axis in canonical order.
        """
        whole = tuple(
            slice(first * self._chunk[axis], min((last + 1) * self._chunk[axis], self._image.sizes[axis]))
            for axis, (first, last) in zip(self._image.canonical, self.chunks_of(region), strict=True)
        )
        size, larger = (math.prod(s.stop - s.start for s in part) for part in (region, whole))
        if larger < _MUCH_LARGER * size or larger * self._image.dtype.itemsize > _KEPT:
            return self._image.read(region)
        if self._pixels is None or self._where != whole:
            self._pixels = None  # free its memory before the next chunk is read
            try:
                self._where, self._pixels = whole, self._image.read(whole)
            except ChunkError:  # the region itself may be readable
                return self._image.read(region)
        inside = tuple(slice(r.start - w.start, r.stop - w.start) for r, w in zip(region, whole, strict=True))
        return self._pixels[inside].copy()


def sample_planes(image: Image, channel: int, *, crops: int = CROPS, skip_damaged: bool = False) -> list[NDArray[Any]]:
    """Read crops of a channel that are evenly spread over time, depth and the plane.

    Parameters
    ----------
    image : Image
        The source.
    channel : int
        Index along C; 0 if the image has no C.
    crops : int
        Maximum number of crops. A channel with no more pixels than these is read whole.
    skip_damaged : bool
        Whether to leave out crops that cannot be read.

    Returns
    -------
    list of numpy.ndarray
        Crops ``(height, width)``, or ``(samples, height, width)`` for an image with S.

    Raises
    ------
    ChunkError
        If a crop cannot be read; with `skip_damaged`, if no crop can be read.
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
    """Read crops of a height and width; return them and the error of the last crop that cannot be read."""
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
class Histogram:
    """Histogram of the values of a sample, in bins of equal width.

    Attributes
    ----------
    low, high : float
        Lower end of the first bin and upper end of the last one, in data units.
    counts : tuple of int
        Number of values in each bin; values outside are left out.
    """

    low: float
    high: float
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Sampled:
    """Estimates of a channel from a sample.

    Attributes
    ----------
    fill : tuple of float
        Values of areas without data.
    range : ValueRange
        Range of the values of all other pixels.
    noise : NoiseEstimate or None
        Noise; None if it cannot be estimated from the sample.
    filled : float
        Share of missing pixels in the sample, 0 to 1.
    histogram : Histogram or None
        Histogram of the values; None if no value is finite.
    """

    fill: tuple[float, ...]
    range: ValueRange
    noise: NoiseEstimate | None
    filled: float = 0.0
    histogram: Histogram | None = None


def sample_channels(
    image: Image,
    fill: tuple[tuple[float, ...], ...] | None = None,
    missing: tuple[tuple[float, ...], ...] | None = None,
    *,
    skip_damaged: bool = False,
) -> tuple[Sampled, ...]:
    """Estimate fill values, value range and noise of each channel; colour samples have them in common.

    Parameters
    ----------
    image : Image
        The source.
    fill : tuple of tuple of float, optional
        Known fill values, one tuple for all channels or one per channel. None to estimate them.
    missing : tuple of tuple of float, optional
        Values of missing pixels wherever they are, in the same form. None for those that the source declares.
    skip_damaged : bool
        Whether to leave out crops that cannot be read.

    Returns
    -------
    tuple of Sampled
        Estimates of each channel.

    Raises
    ------
    ChunkError
        If a crop cannot be read; with `skip_damaged`, if no crop can be read.
    """
    channels = range(image.sizes.get("C", 1))
    known = broadcast(fill or ((),), len(channels)) if fill is not None else (None,) * len(channels)
    exact = broadcast((image.missing_values,) if missing is None else missing or ((),), len(channels))
    return tuple(
        _sampled(sample_planes(image, channel, skip_damaged=skip_damaged), known[channel], exact[channel])
        for channel in channels
    )


def _sampled(crops: list[NDArray[Any]], fill: tuple[float, ...] | None, exact: tuple[float, ...]) -> Sampled:
    found = fill_values(crops) if fill is None else fill
    planes, filled = without_fill(crops, found, exact)
    noise = estimate_noise(_some(planes))
    return Sampled(found, robust_range(planes, noise), noise, filled, _histogram(planes))


def _histogram(planes: list[NDArray[np.float64]]) -> Histogram | None:
    """Count the values of about 100 000 pixels, without a few outliers at both ends."""
    step = max(1, math.isqrt(sum(plane.size for plane in planes) // _COUNTED))
    values = np.concatenate([plane[..., ::step, ::step].ravel() for plane in planes])
    values = values[np.isfinite(values)]
    if not values.size:
        return None
    low, high = (float(value) for value in np.percentile(values, _SHOWN))
    # Beyond 2^53, float64 has no values between the ends of narrow bins.
    if not math.isfinite(high - low) or high - low <= _BINS * np.spacing(max(abs(low), abs(high))):
        return None
    counts, _ = np.histogram(values, _BINS, (low, high))
    return Histogram(low, high, tuple(int(count) for count in counts))


def _some(planes: list[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    """Return evenly spread crops of planes: about a megapixel, which is enough to estimate the noise."""
    crops = [
        plane[..., top : top + CROP, left : left + CROP]
        for plane in planes
        for top in range(0, plane.shape[-2], CROP)
        for left in range(0, plane.shape[-1], CROP)
    ]
    return crops[:: -(-len(crops) // NOISE_CROPS)]


def estimate_image_noise(image: Image, *, skip_damaged: bool = False) -> tuple[NoiseEstimate | None, ...]:
    """Estimate the noise of each channel from a sample; None if that is not possible.

    Parameters
    ----------
    image : Image
        The source.
    skip_damaged : bool
        Whether to leave out crops that cannot be read.
    """
    return tuple(channel.noise for channel in sample_channels(image, skip_damaged=skip_damaged))
