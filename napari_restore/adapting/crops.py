"""Read crops of a source of any size that do not overlap, and set a tenth of them aside."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_restore.engine.planning.choices.neighbours import fusion_noises
from napari_restore.engine.planning.normalisation import Scale
from napari_restore.engine.planning.plan import Plan
from napari_restore.engine.planning.reading import with_retries
from napari_restore.engine.planning.sampling import ChunkReader
from napari_restore.engine.planning.settings.forms import broadcast
from napari_restore.errors import ChunkError
from napari_restore.images.lazy_arrays import Region
from napari_restore.intensity.fusion import Neighbour, fuse
from napari_restore.intensity.noise import NoiseEstimate
from napari_restore.intensity.scaling import ValueRange, fill_missing
from napari_restore.intensity.validity import Validity

__all__ = ["LevelNoise", "Pool", "SourceCrop", "averages", "line_variance", "local_mean", "read_pool"]

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
        Normalised values ``(c, side, side)``, float32; missing pixels are filled. If a run averages neighbouring planes
        along the axis of the partner, this is such an average, without the partner.
    there : numpy.ndarray
        Which pixels are not missing, boolean, of the same shape.
    variance : numpy.ndarray
        Variance of the noise at the local mean of the pixels, float32, of the same shape.
    origin : (int, int)
        Position of the first pixel along Y and X.
    content : float
        Standard deviation of the local means beyond that of noise: how much structure the crop has.
    partner : numpy.ndarray or None
        The same crop of the next plane, normalised, with noise of its own, or of the clean image; None without both.
    lines : (float, float)
        Variance of the offsets that all pixels of a row, and of a column, have in common; see `line_variance`. In a
        `Pool` it is that of the channel: the median of its crops.
    """

    pixels: Floats
    there: npt.NDArray[np.bool_]
    variance: Floats
    origin: tuple[int, int]
    content: float
    partner: Floats | None = None
    lines: tuple[float, float] = (0.0, 0.0)


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


def line_variance(pixels: Floats, variance: Floats) -> tuple[float, float]:
    """Estimate the variance of offsets that all pixels of a line have in common, independent from line to line.

    The median of the steps from one line to the next is that of their offsets: structure has steps of both signs, and
    the median over a line hardly has any of the noise of single pixels. Their median absolute deviation is used.

    Parameters
    ----------
    pixels, variance : numpy.ndarray
        ``(c, h, w)``: values, and the variance of the noise of single pixels.

    Returns
    -------
    (float, float)
        Of rows and of columns.
    """
    found = []
    for values in (pixels, pixels.swapaxes(-2, -1)):
        steps = np.median(np.diff(values, axis=-2), axis=-1)
        spread = 1.4826 * float(np.median(np.abs(steps - np.median(steps))))
        of_pixels = math.pi * float(variance.mean()) / values.shape[-1]  # of the median of steps between two pixels
        found.append(max(spread**2 - of_pixels, 0.0) / 2)
    return found[0], found[1]


def read_pool(
    plan: Plan, noise: tuple[NoiseEstimate | None, ...], crop: int, partners: str = "", clean: Plan | None = None
) -> Pool:
    """Read crops that are spread evenly over channels, planes and the plane, and do not overlap.

    Parameters
    ----------
    plan : Plan
        Plan of a run of the model on the source; its normalisation and its neighbours are used.
    noise : tuple of (NoiseEstimate or None)
        Noise of each channel; channels without an estimate are left out.
    crop : int
        Side of the crops of the training in pixels; twice as large ones are read if there are enough of them.
    partners : str
        Axis along which the next plane is read as well; empty for none.
    clean : Plan or None
        Plan of a run on clean images of the same shape, which are read as well.

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
    targets = None if clean is None else ChunkReader(with_retries(clean.image, "raise", ()))
    axis = plan.image.canonical.index(partners) if partners else None
    places = sorted(_places(plan, side, partners), key=lambda place: reader.chunks_of(place[0]))
    channels: dict[int, list[SourceCrop]] = {}
    for region, channel, own in places:
        try:
            planes = reader.read(region)
            planes = planes[None] if axis is None else np.moveaxis(planes, axis, 0)
            if targets is not None:
                planes = np.stack([planes[own], targets.read(region)])
        except ChunkError:
            if plan.recipe.on_error == "raise":
                raise
            continue
        estimate = noise[channel]
        if estimate is not None:
            made = _crops(plan, planes, region, channel, estimate, partners, own)
            channels.setdefault(channel, []).extend(crop for crop in made if crop is not None)
    found = [crop for crops in channels.values() for crop in _with_common_lines(crops)]
    if len(found) < 4:
        return Pool((), ())
    order = sorted(range(len(found)), key=lambda k: (-found[k].content, k))
    aside = set(order[min(4, len(order) // 2) :: 10])
    training = tuple(one for k, one in enumerate(found) if k not in aside)
    return Pool(training, tuple(one for k, one in enumerate(found) if k in aside))


def _with_common_lines(crops: list[SourceCrop]) -> list[SourceCrop]:
    """Give all crops of a channel the same variance of the offsets of lines.

    From the 64 lines of one crop, it is estimated within about 30 % only.
    """
    if not crops:
        return []
    rows, columns = (float(each) for each in np.median([crop.lines for crop in crops], axis=0))
    return [replace(crop, lines=(rows, columns)) for crop in crops]


def averages(plan: Plan, partners: str) -> bool:
    """Return whether a run averages more neighbours along an axis than the partner alone."""
    near = plan.recipe.neighbours
    return bool(partners) and near is not None and partners in near.axis and plan.image.sizes[partners] > 2


def _places(plan: Plan, side: int, partners: str) -> Iterator[tuple[Region, int, int]]:
    """Yield regions, at most `MOST`, with their channel, and the number of their own plane along the partners' axis.

    They depend on the shape of the image, and on the neighbours of a run, alone.
    """
    image, sizes = plan.image, plan.image.sizes
    near = plan.recipe.neighbours
    around = near.along(partners) if near is not None and averages(plan, partners) else 0
    outer = {axis: sizes[axis] - (axis == partners) for axis in image.canonical if axis in "TCZ"}
    grid = (*outer.values(), sizes["Y"] // side, sizes["X"] // side)
    total = math.prod(grid)
    if total <= MOST:
        numbers = list(range(total))
    else:  # multiples of the golden ratio fill the interval evenly
        numbers = list(dict.fromkeys(int((k + 0.5) * _GOLDEN % 1 * total) for k in range(MOST)))
    for number in numbers:
        at = dict(zip((*outer, "Y", "X"), (int(k) for k in np.unravel_index(number, grid)), strict=True))
        spans = {axis: slice(k, k + 1) for axis, k in at.items()}
        if partners:
            k = at[partners]
            spans[partners] = slice(max(k - around, 0), min(k + max(around, 1) + 1, sizes[partners]))
        for axis in "YX":
            start = (sizes[axis] - sizes[axis] // side * side) // 2 + at[axis] * side
            spans[axis] = slice(start, start + side)
        own = at[partners] - spans[partners].start if partners else 0
        yield tuple(spans.get(axis, slice(0, sizes[axis])) for axis in image.canonical), at.get("C", 0), own


def _crops(
    plan: Plan, planes: npt.NDArray[Any], region: Region, channel: int, noise: NoiseEstimate, partners: str, own: int
) -> Iterator[SourceCrop | None]:
    """Make the crops of a region: one, or one for each colour sample of a gray model."""
    axes = plan.image.canonical
    scales, rules = plan.scales, plan.validity
    scale, rule = broadcast(scales, channel + 1)[channel], broadcast(rules, channel + 1)[channel]
    if "S" in axes:
        planes = np.moveaxis(planes, -1, 1)
    samples = plan.image.sizes.get("S", 1)
    side = region[axes.index("Y")].stop - region[axes.index("Y")].start
    planes = planes.reshape(len(planes), samples, side, side)
    if partners:
        averaged = averages(plan, partners)
        middle = _averaged(plan, planes, own, channel, rule, scale) if averaged else planes[own]
        planes = np.stack([middle, planes[own + 1]])
    together = samples if plan.card.in_channels > 1 else 1
    origin = (region[axes.index("Y")].start, region[axes.index("X")].start)
    level = LevelNoise.of(noise, scale)
    for first in range(0, samples, together):
        yield _made(planes[:, first : first + together], scale, rule, level, origin)


def _averaged(plan: Plan, planes: npt.NDArray[Any], own: int, channel: int, rule: Validity, scale: Scale) -> Any:
    """Average a plane with its neighbours as a run does, but without the next plane."""
    assert plan.recipe.neighbours is not None
    others = [Neighbour(plane) for k, plane in enumerate(planes) if k not in (own, own + 1)]
    noises = fusion_noises(plan.recipe.neighbours)
    noise = noises[channel if len(noises) > 1 else 0]
    strength = plan.recipe.neighbours.strength
    return fuse(
        planes[own], others, noise, strength=strength, missing=lambda plane: rule.missing(plane, scale.limits)
    ).values


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
    partner = values[1] if len(values) > 1 else None
    return SourceCrop(values[0], there, variance, origin, content, partner, line_variance(values[0], variance))
