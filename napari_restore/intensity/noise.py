"""Estimate the noise of a camera or a photon detector from an image.

The model is Poisson-Gaussian: ``variance = gain * (signal - offset) + read_variance``, a line in the signal. A single
image does not show offset and read variance separately, so the line is ``variance = gain * level + intercept``, where
`level` is the expected value in data units, detector offset included.

The method follows Foi et al., "Practical Poissonian-Gaussian noise modeling and fitting for single-image raw-data",
IEEE TIP 17 (2008), with the filter of Immerkaer, "Fast noise variance estimation", CVIU 64 (1996):

1. A high-pass filter leaves noise and fine structure; its mean square over a small block is a variance at the block's
   mean level. Blocks with clipped or non-finite pixels are left out. If single pixels are missing all over, so that
   hardly a block is whole, they get the values of others nearby (sigma within a quarter with a third of them missing).
2. Among the blocks of similar level, those of low variance show noise alone: a lower quantile of the variances is
   divided by the same quantile of pure noise.
3. A line is fitted robustly to these variances, above all against large ones, which come from structure.
4. The autocorrelation of the noise is measured on the flattest larger blocks. If the noise is correlated, the filter is
   stretched beyond the correlation length, and the rest of its effect is corrected.

Limits: texture that fills the image at the scale of pixels cannot be told from noise and raises the estimate (gravel
or grass by several times), and so does any structure where the noise is below about 1 % of the image's range. The gain
is less certain than the sigmas within `NoiseEstimate.levels`; levels outside of them are extrapolated. Autocorrelation
is measured up to about 0.8 and underestimated by up to 0.1 above 0.5; the wider filter admits more structure. Rounding
to integers counts as noise. Values after a non-linear curve (gamma), denoising or lossy compression do not follow the
line. Where fewer than about four photons are counted at a pixel, too many pixels have the lowest value, which counts as
clipped: there may be no estimate.

Measured against the 50-frame means of 24 confocal, two-photon and wide-field frames of the FMD set
(``benchmarks/noise.py``): sigma within 19 % at the 25th, 50th, 75th and 95th percentile of the levels, autocorrelation
within 0.06 for the wide-field frames (0.6) and within 0.22 for the others (0 to 0.24).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage, special

from napari_restore.errors import SourceError
from napari_restore.intensity.autocorrelation import CLIPPED, autocorrelation, covariance_of
from napari_restore.intensity.validity import areas_of

__all__ = ["NoiseEstimate", "estimate_noise"]

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_BLOCK = 8  # side of the blocks whose variance is taken, in pixels
_CELL = 4  # pixels from one block to the next; divides _BLOCK
_QUANTILE = 0.1  # of the block variances at one level
_BINS = 24  # levels, at most
_BLOCKS_PER_BIN = 32  # at least
_WHITE = 0.05  # autocorrelation that cannot be told from none
_TOLERANCE = 0.1  # relative deviation of a variance from the line that may be chance
_BELOW = 4.0  # cost of a variance far below the line, relative to one far above it


@dataclass(frozen=True)
class NoiseEstimate:
    """Poisson-Gaussian noise model of an image: ``variance = gain * level + intercept``, in data units.

    Parameters
    ----------
    gain : float
        Data units per detected photon, 0 or more; also 0 where the image is too flat to estimate it.
    intercept : float
        Variance extrapolated to level 0: ``read_variance - gain * offset``, negative for many cameras.
    levels : (float, float)
        Lowest and highest level the line was fitted to.
    median_level : float
        Median of the image.
    correlation : (float, float)
        Autocorrelation of the noise between neighbouring pixels, along y and along x; about 0 for independent noise.

    Examples
    --------
    >>> noise = NoiseEstimate(2.0, -150.0, levels=(100.0, 500.0), median_level=300.0, correlation=(0.0, 0.0))
    >>> float(noise.sigma(100)), noise.sigma_median, noise.read_variance(offset=100)
    (7.0710678118654755, 21.213203435596427, 50.0)
    """

    gain: float
    intercept: float
    levels: tuple[float, float]
    median_level: float
    correlation: tuple[float, float]

    def variance(self, level: npt.ArrayLike) -> Floats:
        """Return the variance of the noise at a level.

        Parameters
        ----------
        level : array_like
            Expected values, in data units.

        Returns
        -------
        numpy.ndarray
            Of the same shape, float64, in data units squared; constant below the lowest of `levels`.
        """
        return _on_line(self.gain, self.intercept, self.levels[0], np.asarray(level, np.float64))

    def sigma(self, level: npt.ArrayLike) -> Floats:
        """Return the standard deviation of the noise at a level.

        Parameters
        ----------
        level : array_like
            Expected values, in data units.

        Returns
        -------
        numpy.ndarray
            Of the same shape, float64, in data units.
        """
        return np.sqrt(self.variance(level))

    @property
    def sigma_median(self) -> float:
        """Standard deviation of the noise at the median of the image, in data units."""
        return float(self.sigma(self.median_level))

    def read_variance(self, offset: float) -> float:
        """Return the variance of the noise without light.

        Parameters
        ----------
        offset : float
            Offset of the detector, in data units.

        Returns
        -------
        float
            In data units squared, 0 or more.
        """
        return max(self.gain * offset + self.intercept, 0.0)


class _Line(NamedTuple):
    gain: float
    intercept: float
    levels: tuple[float, float]


def estimate_noise(planes: npt.NDArray[Any] | Sequence[npt.NDArray[Any]]) -> NoiseEstimate | None:
    """Estimate the noise of one or several planes of one detector at fixed settings.

    Parameters
    ----------
    planes : numpy.ndarray or sequence of numpy.ndarray
        Shape ``(..., h, w)``, integer or floating-point. A few planes or crops of 512 x 512 pixels are enough; float64
        copies need about ten times the memory of the planes. NaN, infinite and clipped pixels (many at the minimum or
        maximum of the data) are left out.

    Returns
    -------
    NoiseEstimate or None
        None for fewer than about 32 x 32 usable pixels. Zero noise for a constant image.

    Raises
    ------
    SourceError
        If an array has fewer than two axes.

    Examples
    --------
    >>> signal = np.linspace(100, 1000, 256) * np.ones((256, 1))
    >>> noise = estimate_noise(np.random.default_rng(0).poisson(signal))
    >>> 0.9 < noise.gain < 1.1, 0.95 < noise.sigma_median / 550**0.5 < 1.05
    (True, True)
    """
    arrays = _float_planes(planes)
    finite = np.concatenate([array[np.isfinite(array)] for array in arrays]) if arrays else np.zeros(0)
    if finite.size == 0:
        return None
    low, high, median = float(finite.min()), float(finite.max()), float(np.median(finite))
    clipped = [((array == low) | (array == high)) & (low < high) for array in arrays]
    line, correlation = _line_and_correlation(arrays, clipped)
    if correlation is None and any(np.isnan(array).any() for array in arrays):
        arrays = [_without_gaps(array) for array in arrays]  # hardly a block is whole
        line, correlation = _line_and_correlation(arrays, clipped)
    if line is None:
        return None
    correlation = correlation or (0.0, 0.0)
    if max(correlation) > _WHITE:
        line = _fit(arrays, clipped, _filter_step(max(correlation)), correlation) or line
    return NoiseEstimate(*line, median_level=median, correlation=correlation)


def _line_and_correlation(planes: list[Floats], clipped: list[Mask]) -> tuple[_Line | None, tuple[float, float] | None]:
    """Fit the noise line as if the noise were independent, and measure whether it is; None for too few blocks."""
    line = _fit(planes, clipped, step=1, correlation=(0.0, 0.0))
    if line is None:
        return None, None
    return line, autocorrelation(planes, clipped, partial(_on_line, *line[:2], line.levels[0]))


def _float_planes(planes: npt.NDArray[Any] | Sequence[npt.NDArray[Any]]) -> list[Floats]:
    """Convert every plane to float64, with NaN for values that are not finite."""
    result = []
    for array in [planes] if isinstance(planes, np.ndarray) else planes:
        if array.ndim < 2:
            raise SourceError(f"an array of shape {array.shape} is not a plane; pass arrays of shape (..., Y, X).")
        for plane in array.reshape(math.prod(array.shape[:-2]), *array.shape[-2:]):
            values = plane.astype(np.float64)
            values[~np.isfinite(values)] = np.nan
            result.append(values)
    return result


def _without_gaps(plane: Floats) -> Floats:
    """Give missing pixels the values of others three pixels away: the filter of one step never sees both.

    Areas stay missing: beside them, the values of others would be structure.
    """
    areas = areas_of(np.isnan(plane))
    for shift in ((3, 3), (3, -3), (-3, 3), (-3, -3)):
        plane = np.where(np.isnan(plane), np.roll(plane, shift, (0, 1)), plane)
    return np.where(areas, np.nan, plane)


def _on_line(gain: float, intercept: float, lowest: float, level: Floats) -> Floats:
    return np.maximum(gain * np.maximum(level, lowest) + intercept, 0.0)


# ---------------------------------------------------------------------------------------- the line


def _fit(planes: list[Floats], clipped: list[Mask], step: int, correlation: tuple[float, float]) -> _Line | None:
    """Fit the noise line with the filter of a `step`, corrected for the `correlation` of the noise."""
    found = [_block_variances(plane, bad, step) for plane, bad in zip(planes, clipped, strict=True)]
    levels, variances = _without_fill(*(np.concatenate(parts) for parts in zip(*found, strict=True)))
    bins = min(_BINS, len(levels) // _BLOCKS_PER_BIN)
    if bins == 0:
        return None
    power, freedom = _response(step, correlation)
    pure_noise = power * 2 / freedom * float(special.gammaincinv(freedom / 2, _QUANTILE))
    points = []
    for part in np.array_split(np.argsort(levels, kind="stable"), bins):
        quantile = np.quantile(variances[part], _QUANTILE)
        quiet = part[variances[part] <= 1.5 * quantile]
        points.append((levels[quiet].mean(), quantile / pure_noise))
    x, v = np.array(points).T
    return _robust_line(x, v)


def _block_variances(plane: Floats, clipped: Mask, step: int) -> tuple[Floats, Floats]:
    """Compute the mean level and the mean squared high-pass residual of every usable block."""
    if min(plane.shape) < _BLOCK + 2 * step:
        return np.zeros(0), np.zeros(0)
    kernel = _kernel(step)
    residual = ndimage.convolve1d(ndimage.convolve1d(plane, kernel, axis=0), kernel, axis=1)
    inner = (slice(step, -step), slice(step, -step))
    levels, variances = _block_means(plane[inner]), _block_means(residual[inner] ** 2)
    keep = np.isfinite(variances) & (_block_means(clipped[inner].astype(np.float64)) <= CLIPPED)
    return levels[keep], variances[keep]


def _without_fill(levels: Floats, variances: Floats) -> tuple[Floats, Floats]:
    """Leave out blocks of one constant, which registration and stitching leave, if enough other blocks remain."""
    constant = variances <= 1e-24 * levels**2
    filled = bool(constant.any()) and np.ptp(levels[constant]) <= 1e-12 * np.abs(levels).max()
    if not filled or np.count_nonzero(~constant) < _BLOCKS_PER_BIN:
        return levels, variances
    return levels[~constant], variances[~constant]


def _kernel(step: int) -> Floats:
    """Return the second difference over `step` pixels, of unit power; along both axes it is Immerkaer's mask."""
    kernel = np.zeros(2 * step + 1)
    kernel[[0, step, 2 * step]] = np.array([1, -2, 1]) / math.sqrt(6)
    return kernel


def _block_means(values: Floats) -> Floats:
    """Average over overlapping blocks; return the means flattened."""
    height, width = (n // _CELL for n in values.shape)
    cells = values[: height * _CELL, : width * _CELL].reshape(height, _CELL, width, _CELL).mean((1, 3))
    per_side = _BLOCK // _CELL
    means: Floats = np.lib.stride_tricks.sliding_window_view(cells, (per_side, per_side)).mean((-2, -1)).ravel()
    return means


def _response(step: int, correlation: tuple[float, float]) -> tuple[float, float]:
    """Compute the power of filtered noise of unit variance, and the degrees of freedom of its mean over a block."""
    power, spread = 1.0, 1.0
    kernel = _kernel(step)
    rows = np.array([np.pad(kernel, (i, _BLOCK - 1 - i)) for i in range(_BLOCK)])
    for rho in correlation:  # filter, block and model are separable
        covariance = rows @ covariance_of(_BLOCK + 2 * step, rho) @ rows.T
        power *= float(np.trace(covariance)) / _BLOCK
        spread *= float((covariance**2).sum())
    return power, (power * _BLOCK**2) ** 2 / spread


def _robust_line(levels: Floats, variances: Floats) -> _Line:
    """Fit a rising line to variances, some of which are too large because the blocks have structure."""
    ends = (float(levels.min()), float(levels.max()))
    typical = float(np.median(variances))
    chance = math.sqrt(typical) / _BLOCK  # standard deviation of a block's mean
    if len(levels) < 3 or ends[1] - ends[0] <= 10 * chance or typical == 0:
        return _Line(0.0, typical, ends)
    gain, intercept = _best_candidate(levels, variances, 0.02 * typical)
    for _ in range(10):
        scale = np.maximum(gain * levels + intercept, 0.02 * typical)
        deviation = (variances / scale - gain * levels / scale - intercept / scale) / (2 * _TOLERANCE)
        weights = (np.clip(1 - deviation**2, 0, None) ** 2 + 1e-6) / scale**2  # Tukey's biweight
        x, v = np.average(levels, weights=weights), np.average(variances, weights=weights)
        slope = np.average((levels - x) * (variances - v), weights=weights)
        gain = max(float(slope / np.average((levels - x) ** 2, weights=weights)), 0.0)
        intercept = float(v - gain * x)
    return _Line(gain, intercept, ends)


def _best_candidate(levels: Floats, variances: Floats, floor: float) -> tuple[float, float]:
    """Choose the line, through two points or horizontal through one, that most points are near and few are below."""
    first, second = np.triu_indices(len(levels), 1)
    run = levels[second] - levels[first]
    slopes = np.divide(variances[second] - variances[first], run, out=np.zeros_like(run), where=run > 0)
    gains = np.concatenate([np.maximum(slopes, 0), np.zeros(len(levels))])
    intercepts = np.concatenate([variances[first], variances]) - gains * np.concatenate([levels[first], levels])
    predicted = np.maximum(np.outer(gains, levels) + intercepts[:, None], floor)
    deviation = (variances - predicted) / predicted / _TOLERANCE
    costs = np.where(deviation > 0, np.minimum(deviation, 1.0), np.minimum(-deviation, _BELOW)).sum(axis=1)
    best = int(np.argmin(costs))
    return float(gains[best]), float(intercepts[best])


def _filter_step(rho: float) -> int:
    """Choose the step of the filter at which correlated noise is nearly independent."""
    return 2 if rho**4 < 0.08 else 3
