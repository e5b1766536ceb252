"""Compare two planes of a stack: whether they belong together, their relative brightness, and their noise.

Planes are compared by a sample, summarised as means over small blocks, in which noise is small. The sample depends only
on the shape of a plane, so all blocks of a result compare the same pixels.
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
from napari_restore.intensity.scaling import fill_missing, missing
from napari_restore.intensity.stabilise import CameraNoise

__all__ = ["Pair", "PlaneSample", "calibrated", "compare", "sample_regions", "summarise"]

Floats = npt.NDArray[np.float64]

_CROP = 128
_CROPS = 3
"""Number of crops along each axis. An axis of at most `_CROP` times this many pixels is sampled whole."""
_BLOCK = 8
_TOLERANCE = 0.3
"""Largest difference between two blocks that counts as agreement, in standard deviations of the noise of a pixel."""
_GAINS = (1 / 3, 3.0)
"""Range of relative brightness that changes of the lamp and bleaching can explain."""
_BACKGROUND = 0.5
"""Largest change of the background, in standard deviations of the noise."""
_WORTH = 0.02
"""Share of the structure that must agree in addition before a relative brightness other than 1 is used."""
_TOGETHER = 0.25
"""Share of the structure that must agree for two planes to belong together."""
_LEAST_SHARE = 0.25
"""Smallest factor by which differences may lower the estimated variance: planes may share their noise."""
_DETAIL = 5
"""Side, in blocks, of the mean that is subtracted to keep only details."""
_CHANCE = 3.5
"""Divided by the square root of the number of blocks: the correlation that unrelated planes exceed in one of thousands
of pairs."""
_ALIKE = (0.1, 0.5)
"""Lower and upper limit of the correlation that planes must reach."""
_BRIGHT = 0.02
"""Share of the pixels that count as bright in the estimate of the gain."""
_FEWEST = 20_000
"""Smallest number of pixels from which the gain is estimated by the bright ones."""
_MEDIAN_OF_SQUARES = 0.4549
"""Median of the squares of normally distributed numbers of variance 1."""
_SURE = 0.55
"""Share of the structure that must agree before a relative brightness other than 1 is used: less may be chance."""


@dataclass(frozen=True, eq=False)
class PlaneSample:
    """Summary of a plane: the block means of its crops.

    Attributes
    ----------
    levels : tuple of numpy.ndarray
        Block means of each crop, shape ``(rows, columns)``, float64, data units; NaN where pixels are missing.
    constant : bool
        Whether all pixels have one value, as in a dropped frame, or all are missing.
    """

    levels: tuple[Floats, ...]
    constant: bool


@dataclass(frozen=True)
class Pair:
    """Relation of another plane of a stack to a plane.

    Attributes
    ----------
    gain, offset : float
        A value of the plane is ``gain * value + offset`` in the other plane; four digits.
    agreement : float
        Share of the structure, in [0, 1], that is the same in both.
    reason : str
        Why the other plane must not be averaged with the plane; empty if it may be.
    """

    gain: float = 1.0
    offset: float = 0.0
    agreement: float = 1.0
    reason: str = ""


def sample_regions(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Yield the rows and columns of the crops that `summarise` expects of a plane.

    Parameters
    ----------
    height, width : int
        Shape of the plane, in pixels.

    Yields
    ------
    (slice, slice)
        Rows and columns of a crop.

    Examples
    --------
    >>> list(sample_regions(100, 5000))[1]
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
    """Summarise the crops of a plane by block means.

    Parameters
    ----------
    crops : sequence of numpy.ndarray
        Pixels of the regions of `sample_regions`, shape ``(h, w)`` each, data units.
    missing : callable
        Returns the mask of the pixels that are no image, see `napari_restore.intensity.fusion.fuse`.

    Returns
    -------
    PlaneSample
        The block means.
    """
    levels, ends = [], []
    for crop in crops:
        values = _without_missing(crop, missing)
        present = values[np.isfinite(values)]
        ends += [present.min(), present.max()] if present.size else []
        height, width = (max(length // _BLOCK, 1) for length in values.shape)
        sides = (min(_BLOCK, values.shape[0]), min(_BLOCK, values.shape[1]))
        cut = values[: height * sides[0], : width * sides[1]].reshape(height, sides[0], width, sides[1])
        levels.append(cut.mean((1, 3)))
    return PlaneSample(tuple(levels), not ends or min(ends) == max(ends))


def _without_missing(crop: npt.NDArray[Any], missing: Missing) -> Floats:
    """Return a float64 copy of a crop with NaN for missing pixels."""
    values, mask = crop.astype(np.float64), missing(crop)
    if mask is not None:
        values[mask] = np.nan
    return values


def compare(plane: PlaneSample, other: PlaneSample, noise: FusionNoise) -> Pair:
    """Compare a plane with another one: brightness, agreement, and whether the two may be averaged.

    Parameters
    ----------
    plane, other : PlaneSample
        Samples of two planes of one channel and shape.
    noise : FusionNoise
        Noise of the channel.

    Returns
    -------
    Pair
        Relation of `other` to `plane`.

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
    if not _correlated(plane, other, there, noise):
        return Pair(agreement=0.0, reason="shows something else")
    fit = _Fit(x, y, noise)
    gain, offset = fit.best()
    agreement = fit.agreement(gain, offset)
    return Pair(gain, offset, round(agreement, 4), "" if agreement >= _TOGETHER else "shows something else")


def _correlated(plane: PlaneSample, other: PlaneSample, there: npt.NDArray[np.bool_], noise: FusionNoise) -> bool:
    """Check whether the details of two planes are correlated: structure is, noise is not.

    The check does not depend on the noise estimate. Large structure is subtracted, because it may be shading.
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


def calibrated(
    noise: FusionNoise, pairs: Sequence[tuple[npt.NDArray[Any], npt.NDArray[Any]]], missing: Missing = missing
) -> FusionNoise:
    """Correct a noise estimate by the differences of neighbouring planes, in which still structure cancels.

    Texture and smooth shapes raise the estimates from single planes: the noise by up to several times, and the
    correlation up to that of the shapes. Motion raises the estimates from differences. So the lower of the two is used.

    Parameters
    ----------
    noise : FusionNoise
        Noise as estimated from single planes.
    pairs : sequence of (numpy.ndarray, numpy.ndarray)
        Crops ``(h, w)`` of two neighbouring planes each, data units.
    missing : callable
        Returns the mask of the pixels that are no image, see `napari_restore.intensity.fusion.fuse`.

    Returns
    -------
    FusionNoise
        The corrected noise; `noise` itself where the differences allow no estimate.

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
    known = [(_without_missing(one, missing), _without_missing(other, missing)) for one, other in pairs]
    estimate = estimate_noise([_standard_difference(*pair, camera) for pair in known]) if known else None
    if estimate is None or estimate.sigma_median == 0:
        return noise
    share = min(max(estimate.sigma_median**2, _LEAST_SHARE), 1.0)
    along = tuple(min(one, max(other, 0.0)) for one, other in zip(noise.correlation, estimate.correlation, strict=True))
    gain = max(camera.gain * share, _gain_of_bright_pixels(known))
    return FusionNoise(CameraNoise(gain, camera.offset, camera.read_noise * share**0.5), (along[0], along[1]))


def _gain_of_bright_pixels(pairs: Sequence[tuple[Floats, Floats]]) -> float:
    """Estimate the gain by the noise of the brightest pixels beside that of the others; 0 if they are too few.

    In a sparse image hardly any pixel is bright, and an estimate from all pixels is about the background alone. Fine
    structure raises the variance within a plane, and motion that of differences, so the lower of the two counts.
    """
    within, between, levels = [], [], []
    for one, other in pairs:
        level = _smooth((one + other) / 2)[:-1, :-1]
        each = [_mixed_difference(plane) ** 2 for plane in (one, (one - other) / np.sqrt(2))]
        there = np.isfinite(level) & np.isfinite(each[0]) & np.isfinite(each[1])
        levels.append(level[there])
        within.append(each[0][there])
        between.append(each[1][there])
    level = np.concatenate(levels)
    if level.size < _FEWEST:
        return 0.0
    bright, dark = level >= np.quantile(level, 1 - _BRIGHT), level <= np.median(level)
    span = float(level[bright].mean() - level[dark].mean())
    rise = min(
        float(np.median(squares[bright]) - np.median(squares[dark])) / _MEDIAN_OF_SQUARES
        for squares in map(np.concatenate, (within, between))
    )
    return max(rise / span, 0.0) if span > 0 else 0.0


def _mixed_difference(plane: Floats) -> Floats:
    """Compute differences along both axes: the variance is that of independent noise, and smooth structure cancels."""
    across = plane[:, 1:] - plane[:, :-1]
    return np.asarray((across[1:] - across[:-1]) / 2, np.float64)


def _smooth(plane: Floats) -> Floats:
    """Smooth a plane; pixels that are NaN get the values around them, and are not spread."""
    return np.asarray(ndimage.gaussian_filter(fill_missing(plane, missing(plane), mirrored=False), 2.0))


def _standard_difference(one: Floats, other: Floats, camera: CameraNoise) -> Floats:
    """Compute the stabilised difference of two planes: standard deviation 1 if the noise is the camera's.

    A pixel that is NaN in one plane is NaN. Stabilised counts of few photons have a standard deviation below 1, which
    is corrected.
    """
    variance = camera.variance(_smooth((one + other) / 2))
    # Without noise, as below the offset of a camera without read noise, any difference is a large one.
    share = np.maximum(variance / (variance + 3 / 8 * camera.gain**2), 1e-6)
    return np.asarray((camera.stabilise(one) - camera.stabilise(other)) / np.sqrt(2 * share), np.float64)


class _Fit:
    """Robust fit of a line to the block means of two planes."""

    def __init__(self, x: Floats, y: Floats, noise: FusionNoise) -> None:
        self.x, self.y, self.dark = x, y, noise.camera.offset
        camera = noise.camera
        self.noise_x, self.noise_y = (camera.variance(z) + 1e-30 for z in (x, y))
        variance = camera.variance((x + y) / 2)
        in_block = noise_gain(np.full(_BLOCK, 1 / _BLOCK), noise.correlation)
        # In a plane without signal the estimated noise may be 0.
        variance = np.maximum(variance, 1e-3 * variance.max() or 1e-30)
        self.width = variance * (2 * in_block + _TOLERANCE**2)
        self.sigma = float(np.sqrt(np.median(variance)))

    def near(self, gain: float, offset: float) -> Floats:
        """Compute how near each block is to a line, from 0 to 1."""
        scale = self.width * (1 + gain**2) / 2
        return np.asarray(np.exp(-((self.y - gain * self.x - offset) ** 2) / (2 * scale)))

    def best(self) -> tuple[float, float]:
        """Return gain and offset: 1 and 0 unless another line fits clearly better."""
        found, score = (1.0, 0.0), self.agreement(1.0, 0.0)
        for pivot in (self.dark, 0.0, None):
            for start in self._starts():
                line = self._refined(*start, pivot)
                if line is None or (agreement := self.agreement(*line)) < _SURE:
                    continue
                if agreement > score + _WORTH:
                    found, score = line, agreement
        return found

    def _starts(self) -> Iterator[tuple[float, float]]:
        """Yield initial lines: the identity, the ratio of bright blocks, and the line through two quantiles."""
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
        """Refine a line by a fit weighted by `near`; None where no change of the lamp gives such a line.

        All light changes with the lamp, so one level is constant, the `pivot`: the darkest level, or 0 where the plane
        has no dark pixels. Without a `pivot` the background may change by a little.
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
            x, y = self.x - x0, self.y - y0
            slope = _deming(weight, x, y, float((weight * self.noise_y).sum() / (weight * self.noise_x).sum()))
            if slope is None:
                return None
            gain, offset = slope, float(y0 - slope * x0)
        background = gain * self.dark + offset - self.dark
        if not _GAINS[0] <= gain <= _GAINS[1] or (pivot is None and abs(background) > _BACKGROUND * self.sigma):
            return None
        return float(f"{gain:.4g}"), float(f"{offset:.4g}")

    def agreement(self, gain: float, offset: float) -> float:
        """Compute the share of the structure near a line; structure is the distance of blocks from the median level."""
        matched = (self.y - offset) / gain
        structure = np.maximum(abs(self.x - np.median(self.x)), abs(matched - np.median(matched)))
        return float(np.average(self.near(gain, offset), weights=structure + 1e-12 + 1e-3 * self.sigma))


def _deming(weight: Floats, x: Floats, y: Floats, ratio: float) -> float | None:
    """Fit the slope of a line through 0 to values that both have noise; None where there is none.

    Ordinary least squares gives a slope nearer to 0, as if `x` had no noise: planes would be too bright or too dark
    after their brightness is divided out (Deming, Statistical Adjustment of Data, 1943). `ratio` is the noise variance
    of `y` divided by that of `x`.
    """
    xx, yy, xy = (float((weight * product).sum()) for product in (x * x, y * y, x * y))
    if xy <= 0:
        return None
    apart = yy - ratio * xx
    return float((apart + np.sqrt(apart * apart + 4 * ratio * xy * xy)) / (2 * xy))
