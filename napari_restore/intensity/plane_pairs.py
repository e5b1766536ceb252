"""Whether two planes of a stack belong together, how their brightness differs, and what noise their difference shows.

The sample depends on the shape of a plane alone, so everyone who asks gets the same answer, whatever part of the planes
he works on. It is summarised by means over small blocks, in which noise is small.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_restore.intensity.fusion import FusionNoise, Missing
from napari_restore.intensity.local_means import noise_gain
from napari_restore.intensity.noise import estimate_noise
from napari_restore.intensity.scaling import missing
from napari_restore.intensity.stabilise import CameraNoise

__all__ = ["Pair", "PlaneSample", "calibrated", "compare", "sample_places", "summarise"]

Floats = npt.NDArray[np.float64]

_CROP = 128
_CROPS = 3
"""Crops each way. A plane of no more pixels than that is taken whole."""
_BLOCK = 8
_TOLERANCE = 0.3
"""Difference between two blocks, in standard deviations of the noise of a pixel, that still counts as agreement."""
_GAINS = (1 / 3, 3.0)
"""Brightness of one plane, as a multiple of the other's, that lamps and bleaching may make; beyond it is another."""
_BACKGROUND = 0.5
"""Most by which the background may rise or fall, in standard deviations of the noise."""
_WORTH = 0.02
"""A brightness is only divided out where this share of the blocks comes to agree by it."""
_TOGETHER = 0.25
"""Share of the structure that has to agree for two planes to belong together."""
_LEAST_SHARE = 0.25
"""Part of the estimated variance below which differences are not believed: planes may share their noise."""
_DETAIL = 5
"""Side, in blocks, of what is large."""
_CHANCE = 3.5
"""Correlation of what has nothing in common is below this, times the square root of the blocks, in all but one of
thousands of pairs."""
_ALIKE = (0.1, 0.5)
"""Least and most correlation that is asked for."""
_SURE = 0.55
"""Share of the structure that has to agree for a brightness to be divided out: less may be chance."""


@dataclass(frozen=True, eq=False)
class PlaneSample:
    """A plane, in short.

    Attributes
    ----------
    levels : tuple of numpy.ndarray
        Shape ``(rows, columns)``, float64, of each crop: means of its blocks, data units; NaN where pixels are missing.
    constant : bool
        Whether all of its pixels have one value, as those of a dropped frame do, or none is there.
    """

    levels: tuple[Floats, ...]
    constant: bool


@dataclass(frozen=True)
class Pair:
    """What one plane of a stack is to another.

    Attributes
    ----------
    gain, offset : float
        Of what the plane shows, the other shows ``gain * value + offset``; four digits.
    agreement : float
        Share of the structure, in [0, 1], that is the same in both.
    reason : str
        Why the other must not be averaged with the plane; empty if it may.
    """

    gain: float = 1.0
    offset: float = 0.0
    agreement: float = 1.0
    reason: str = ""


def sample_places(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of the crops that a plane of this shape is summarised by.

    Examples
    --------
    >>> list(sample_places(100, 5000))[1]
    (slice(0, 100, None), slice(2436, 2564, None))
    """

    def along(length: int) -> list[slice]:
        if length <= _CROP * _CROPS:
            return [slice(0, length)]
        starts = [(length - _CROP) * k // (_CROPS - 1) // 4 * 4 for k in range(_CROPS)]
        return [slice(start, start + _CROP) for start in starts]

    for rows in along(height):
        for columns in along(width):
            yield rows, columns


def summarise(crops: Sequence[npt.NDArray[Any]], missing: Missing = missing) -> PlaneSample:
    """Summarise the crops of a plane; `missing` tells which pixels are no image, as in `fuse`."""
    levels, ends = [], []
    for crop in crops:
        mask = missing(crop)
        values = crop.astype(np.float64)
        if mask is not None:
            values[mask] = np.nan
        present = values[np.isfinite(values)]
        ends += [present.min(), present.max()] if present.size else []
        height, width = (max(length // _BLOCK, 1) for length in values.shape)
        sides = (min(_BLOCK, values.shape[0]), min(_BLOCK, values.shape[1]))
        cut = values[: height * sides[0], : width * sides[1]].reshape(height, sides[0], width, sides[1])
        levels.append(cut.mean((1, 3)))
    return PlaneSample(tuple(levels), not ends or min(ends) == max(ends))


def compare(plane: PlaneSample, other: PlaneSample, noise: FusionNoise) -> Pair:
    """Say what another plane is to a plane.

    Parameters
    ----------
    plane, other : PlaneSample
        Of two planes of one channel and shape.
    noise : FusionNoise
        Of the channel.

    Examples
    --------
    >>> from napari_restore.intensity.stabilise import CameraNoise
    >>> noise = FusionNoise(CameraNoise(1.0, 0.0, 1.0))
    >>> rng = np.random.default_rng(0)
    >>> truth = np.linspace(20, 900, 128) * np.ones((128, 1))
    >>> first, second, black = (summarise([rng.poisson(truth * k)]) for k in (1.0, 0.8, 0.0))
    >>> round(compare(first, second, noise).gain, 2), compare(first, black, noise).reason
    (0.8, 'constant')
    """
    if plane.constant or other.constant:
        return Pair(agreement=0.0, reason="constant")
    x, y = (np.concatenate([levels.ravel() for levels in sample.levels]) for sample in (plane, other))
    there = np.isfinite(x) & np.isfinite(y)
    if not there.any():
        return Pair(agreement=0.0, reason="no pixels in common")
    x, y = x[there], y[there]
    if np.array_equal(x, y):
        return Pair(reason="a copy")
    if not _alike(plane, other, there, noise):
        return Pair(agreement=0.0, reason="shows something else")
    fit = _Fit(x, y, noise)
    gain, offset = fit.best()
    agreement = fit.agreement(gain, offset)
    return Pair(gain, offset, round(agreement, 4), "" if agreement >= _TOGETHER else "shows something else")


def _alike(plane: PlaneSample, other: PlaneSample, there: npt.NDArray[np.bool_], noise: FusionNoise) -> bool:
    """Tell whether the details of two planes are correlated: those of planes that belong together are, noise is not.

    This holds whatever the noise is taken to be. Shading and all that is large is left out, as it may be the lamp's.
    """
    details = []
    for sample in (plane, other):
        each = []
        for levels in sample.levels:
            stable = noise.camera.stabilise(np.where(np.isfinite(levels), levels, noise.camera.offset))
            each.append((stable - ndimage.uniform_filter(stable, _DETAIL)).ravel())
        details.append(np.concatenate(each)[there])
    one, two = (detail - detail.mean() for detail in details)
    size = float(np.sqrt((one @ one) * (two @ two)))
    least = min(max(_CHANCE / np.sqrt(there.sum()), _ALIKE[0]), _ALIKE[1])
    return size > 0 and float(one @ two) / size > least


def calibrated(noise: FusionNoise, pairs: Sequence[tuple[npt.NDArray[Any], npt.NDArray[Any]]]) -> FusionNoise:
    """Correct an estimate of the noise by differences of neighbouring planes, from which still structure is gone.

    Texture and smooth shapes raise what is estimated from single planes: noise by up to several times, and correlation
    up to that of the shapes. What moves raises what differences show, so the lower of the two is taken.

    Parameters
    ----------
    noise : FusionNoise
        As estimated from single planes.
    pairs : sequence of (numpy.ndarray, numpy.ndarray)
        Crops ``(h, w)`` of two neighbouring planes each, data units.

    Examples
    --------
    >>> from napari_restore.intensity.stabilise import CameraNoise
    >>> rng = np.random.default_rng(0)
    >>> grain = rng.normal(500, 20, (128, 128))
    >>> planes = [rng.poisson(grain) for _ in range(2)]
    >>> found = calibrated(FusionNoise(CameraNoise(2.0, 0.0, 1.0), (0.5, 0.0)), [(planes[0], planes[1])])
    >>> round(found.camera.gain, 1), found.correlation[0] < 0.1
    (1.0, True)
    """
    camera = noise.camera
    estimate = estimate_noise([_standard_difference(*pair, camera) for pair in pairs]) if pairs else None
    if estimate is None or estimate.sigma_median == 0:
        return noise
    share = min(max(estimate.sigma_median**2, _LEAST_SHARE), 1.0)
    along = tuple(min(one, max(other, 0.0)) for one, other in zip(noise.correlation, estimate.correlation, strict=True))
    lower = CameraNoise(camera.gain * share, camera.offset, camera.read_noise * share**0.5)
    return FusionNoise(lower, (along[0], along[1]))


def _standard_difference(one: npt.NDArray[Any], other: npt.NDArray[Any], camera: CameraNoise) -> Floats:
    """The difference of two planes, of standard deviation 1 if the noise is the camera's; NaN where one has no value.

    Stabilised counts of few photons have less than 1, which is allowed for.
    """
    level = ndimage.gaussian_filter((one.astype(np.float64) + other) / 2, 2.0) - camera.offset
    photons = camera.gain * np.maximum(level, 0)
    variance = photons + camera.read_noise**2
    share = variance / (variance + 3 / 8 * camera.gain**2)
    return np.asarray((camera.stabilise(one) - camera.stabilise(other)) / np.sqrt(2 * share), np.float64)


class _Fit:
    """The line between the blocks of two planes that most of them lie near."""

    def __init__(self, x: Floats, y: Floats, noise: FusionNoise) -> None:
        self.x, self.y, self.dark = x, y, noise.camera.offset
        camera = noise.camera
        variance = camera.read_noise**2 + camera.gain * np.maximum((x + y) / 2 - camera.offset, 0)
        in_block = noise_gain(np.full(_BLOCK, 1 / _BLOCK), noise.correlation)
        # Where nothing at all is seen, an estimate may say that there is no noise.
        variance = np.maximum(variance, 1e-3 * variance.max() or 1e-30)
        self.width = variance * (2 * in_block + _TOLERANCE**2)
        self.sigma = float(np.sqrt(np.median(variance)))

    def near(self, gain: float, offset: float) -> Floats:
        """How near each block lies, from 0 to 1."""
        scale = self.width * (1 + gain**2) / 2
        return np.asarray(np.exp(-((self.y - gain * self.x - offset) ** 2) / (2 * scale)))

    def best(self) -> tuple[float, float]:
        """Gain and offset: 1 and 0 unless another line is clearly better."""
        found, score = (1.0, 0.0), float(self.near(1.0, 0.0).mean())
        for pivot in (self.dark, 0.0, None):
            for start in self._starts():
                line = self._refined(*start, pivot)
                if line is None or self.agreement(*line) < _SURE:
                    continue
                if (near := float(self.near(*line).mean())) > score + _WORTH:
                    found, score = line, near
        return found

    def _starts(self) -> Iterator[tuple[float, float]]:
        """Lines to begin with: none; the ratio of what is bright; quantile by quantile."""
        yield 1.0, 0.0
        bright = self.x >= np.quantile(self.x, 0.7)
        light = self.x[bright] - self.dark
        if (light > 0).any():
            ratio = float(np.median((self.y[bright] - self.dark)[light > 0] / light[light > 0]))
            yield ratio, self.dark * (1 - ratio)
        low, high = (np.quantile(values, (0.1, 0.95)) for values in (self.x, self.y))
        if low[1] > low[0]:
            slope = float((high[1] - high[0]) / (low[1] - low[0]))
            yield slope, float(high[0] - slope * low[0])

    def _refined(self, gain: float, offset: float, pivot: float | None) -> tuple[float, float] | None:
        """Weighted least squares, each block by how near it lies; None where no lamp makes such a line.

        All light comes and goes with the lamp, so one level stays: the darkest one seen, or 0 where bright fields show
        none. Without a `pivot` the background may move by itself, a little.
        """
        for _ in range(15):
            weight = self.near(gain, offset) / self.width
            if not weight.sum() > 0:
                return None
            x0, y0 = (
                (np.average(self.x, weights=weight), np.average(self.y, weights=weight))
                if pivot is None
                else (pivot, pivot)
            )
            spread = float((weight * (self.x - x0) ** 2).sum())
            if spread <= 0:
                return None
            gain = float((weight * (self.x - x0) * (self.y - y0)).sum()) / spread
            offset = float(y0 - gain * x0)
        background = gain * self.dark + offset - self.dark
        if not _GAINS[0] <= gain <= _GAINS[1] or (pivot is None and abs(background) > _BACKGROUND * self.sigma):
            return None
        return float(f"{gain:.4g}"), float(f"{offset:.4g}")

    def agreement(self, gain: float, offset: float) -> float:
        """Share of the structure that lies near the line: of what is not at the median level in one plane or other."""
        brought = (self.y - offset) / gain
        structure = np.maximum(abs(self.x - np.median(self.x)), abs(brought - np.median(brought)))
        return float(np.average(self.near(gain, offset), weights=structure + 1e-12 + 1e-3 * self.sigma))
