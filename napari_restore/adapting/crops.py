"""Read crops of a source of any size that do not overlap, and set a tenth of them aside."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_restore.engine.planning.normalisation import Scale
from napari_restore.engine.planning.plan import Plan
from napari_restore.engine.planning.reading import with_retries
from napari_restore.engine.planning.sampling import ChunkReader
from napari_restore.engine.planning.settings.forms import broadcast
from napari_restore.errors import ChunkError
from napari_restore.images.lazy_arrays import Region
from napari_restore.intensity.noise import NoiseEstimate
from napari_restore.intensity.scaling import ValueRange, fill_missing

__all__ = ["LevelNoise", "Pool", "SourceCrop", "local_mean", "read_pool"]

Floats = npt.NDArray[np.float32]

MOST = 128
"""Number of crops that are read at most: they stay in memory, 40 MB with their neighbours in the next plane."""
_FEW = 10
"""Number of crops below which smaller ones are cut, so that one in ten can be set aside."""
_MOST_MISSING = 0.2
"""Largest share of missing pixels of a crop."""
_FLOOR = 0.1
"""Chance of a crop without structure to be drawn, relative to one of average structure."""
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class LevelNoise:
    """Noise of normalised values: ``variance = gain * level + intercept``, constant below the lowest level.

    Attributes
    ----------
    gain, intercept, lowest : float
        In normalised units: slope and intercept of the variance, and the level below which it is constant.
    """

    gain: float
    intercept: float
    lowest: float

    @classmethod
    def of(cls, noise: NoiseEstimate, scale: Scale) -> LevelNoise:
        """Bring an estimate from data units to the normalised values of a scale."""
        if not isinstance(scale, ValueRange):  # stabilised: of one standard deviation everywhere
            return cls(0.0, scale.sigma**2, 0.0)
        width = scale.high - scale.low
        lowest = (noise.levels[0] - scale.low) / width
        return cls(noise.gain / width, (noise.gain * scale.low + noise.intercept) / width**2, lowest)

    @property
    def least(self) -> float:
        """Smallest variance."""
        return max(self.gain * self.lowest + self.intercept, 1e-12)

    def variance(self, level: Floats) -> Floats:
        """Return the variance of the noise at normalised levels."""
        return np.asarray(np.maximum(self.gain * level + self.intercept, self.least), np.float32)


@dataclass(frozen=True, eq=False)
class SourceCrop:
    """A crop of one plane.

    Attributes
    ----------
    pixels : numpy.ndarray
        Normalised values ``(c, side, side)``, float32; missing pixels are filled.
    there : numpy.ndarray
        Which pixels are not missing, boolean, of the same shape.
    variance : numpy.ndarray
        Variance of the noise at the local mean of the pixels, float32, of the same shape.
    origin : (int, int)
        Position of the first pixel along Y and X.
    content : float
        Standard deviation of the local means beyond that of noise: how much structure the crop has.
    partner : numpy.ndarray or None
        The same crop of the next plane, normalised; None without neighbours.
    """

    pixels: Floats
    there: npt.NDArray[np.bool_]
    variance: Floats
    origin: tuple[int, int]
    content: float
    partner: Floats | None = None


@dataclass(frozen=True, eq=False)
class Pool:
    """The crops of a source.

    Attributes
    ----------
    training : tuple of SourceCrop
        Nine tenths, from which batches are drawn.
    held_out : tuple of SourceCrop
        One tenth, with little and much structure, which no step of the training sees.
    """

    training: tuple[SourceCrop, ...]
    held_out: tuple[SourceCrop, ...]

    @property
    def chances(self) -> npt.NDArray[np.float64]:
        """Chance of each crop in training to be drawn: crops with structure are drawn more often."""
        content = np.array([crop.content for crop in self.training])
        weight = content + _FLOOR * max(float(content.mean()), 1e-6)
        return np.asarray(weight / weight.sum())


def local_mean(pixels: Floats, there: npt.NDArray[np.bool_]) -> Floats:
    """Average the valid pixels of 5 x 5 around each pixel of ``(c, h, w)``."""
    window = (1, 5, 5)
    weight = ndimage.uniform_filter(there.astype(np.float32), window, mode="reflect")
    total = ndimage.uniform_filter(np.where(there, pixels, 0).astype(np.float32), window, mode="reflect")
    return np.asarray(total / np.maximum(weight, 1e-3), np.float32)


def read_pool(plan: Plan, noise: tuple[NoiseEstimate | None, ...], crop: int, partners: str = "") -> Pool:
    """Read crops that are spread evenly over channels, planes and the plane, and do not overlap.

    Parameters
    ----------
    plan : Plan
        Plan of a run of the model on the source; its normalisation is used.
    noise : tuple of (NoiseEstimate or None)
        Noise of each channel; channels without an estimate are left out.
    crop : int
        Side of the crops of the training in pixels; twice as large ones are read if there are enough of them.
    partners : str
        Axis along which the next plane is read as well; empty for none.

    Returns
    -------
    Pool
        The crops. Both parts are empty if fewer than four can be used.

    Raises
    ------
    ChunkError
        If a crop cannot be read, unless the recipe says ``on_error="fill"``: then it is left out.
    """
    side = 2 * crop if len(list(_places(plan, 2 * crop, partners))) >= _FEW else crop
    reader = ChunkReader(with_retries(plan.image, "raise", ()))
    places = sorted(_places(plan, side, partners), key=lambda place: reader.chunks_of(place[0]))
    found = []
    for region, channel in places:
        try:
            pixels = reader.read(region)
        except ChunkError:
            if plan.recipe.on_error == "raise":
                raise
            continue
        estimate = noise[channel]
        if estimate is not None:
            found += [made for made in _crops(plan, pixels, region, channel, estimate, partners) if made is not None]
    if len(found) < 4:
        return Pool((), ())
    order = sorted(range(len(found)), key=lambda k: (-found[k].content, k))
    aside = set(order[min(4, len(order) // 2) :: 10])
    training = tuple(one for k, one in enumerate(found) if k not in aside)
    return Pool(training, tuple(one for k, one in enumerate(found) if k in aside))


def _places(plan: Plan, side: int, partners: str) -> Iterator[tuple[Region, int]]:
    """Yield regions, at most `MOST`, with their channel; they depend on the shape of the image alone."""
    image, sizes = plan.image, plan.image.sizes
    outer = {axis: sizes[axis] - (axis == partners) for axis in image.canonical if axis in "TCZ"}
    grid = (*outer.values(), sizes["Y"] // side, sizes["X"] // side)
    total = math.prod(grid)
    if total <= MOST:
        numbers = list(range(total))
    else:  # multiples of the golden ratio fill the interval evenly
        numbers = list(dict.fromkeys(int((k + 0.5) * _GOLDEN % 1 * total) for k in range(MOST)))
    for number in numbers:
        at = dict(zip((*outer, "Y", "X"), (int(k) for k in np.unravel_index(number, grid)), strict=True))
        spans = {axis: slice(k, k + 1 + (axis == partners)) for axis, k in at.items()}
        for axis in "YX":
            start = (sizes[axis] - sizes[axis] // side * side) // 2 + at[axis] * side
            spans[axis] = slice(start, start + side)
        yield tuple(spans.get(axis, slice(0, sizes[axis])) for axis in image.canonical), at.get("C", 0)


def _crops(
    plan: Plan, pixels: npt.NDArray[Any], region: Region, channel: int, noise: NoiseEstimate, partners: str
) -> Iterator[SourceCrop | None]:
    """Make the crops of a region: one, or one for each colour sample of a gray model."""
    axes = plan.image.canonical
    scales, rules = plan.scales, plan.validity
    scale, rule = broadcast(scales, channel + 1)[channel], broadcast(rules, channel + 1)[channel]
    planes = np.moveaxis(pixels, axes.index(partners), 0) if partners else pixels[None]
    if "S" in axes:
        planes = np.moveaxis(planes, -1, 1)
    samples = plan.image.sizes.get("S", 1)
    side = region[axes.index("Y")].stop - region[axes.index("Y")].start
    planes = planes.reshape(len(planes), samples, side, side)
    together = samples if plan.card.in_channels > 1 else 1
    origin = (region[axes.index("Y")].start, region[axes.index("X")].start)
    level = LevelNoise.of(noise, scale)
    for first in range(0, samples, together):
        yield _made(planes[:, first : first + together], scale, rule, level, origin)


def _made(planes: npt.NDArray[Any], scale: Scale, rule: Any, noise: LevelNoise, origin: Any) -> SourceCrop | None:
    values, masks = [], []
    for plane in planes:
        missing = rule.missing(plane, scale.limits)
        values.append(scale.normalise(fill_missing(plane, missing)))
        masks.append(np.ones(plane.shape, bool) if missing is None else ~missing)
    there = np.logical_and.reduce(masks)
    if there.mean() < 1 - _MOST_MISSING or not all(np.isfinite(value).all() for value in values):
        return None
    mean = local_mean(values[0], there)
    variance = noise.variance(mean)
    content = math.sqrt(max(float(mean[there].var()) - float(variance.mean()) / 25, 0.0))
    return SourceCrop(values[0], there, variance, origin, content, values[1] if len(values) > 1 else None)
