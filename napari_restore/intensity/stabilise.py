"""Stabilise the noise of a camera, and restore a denoised image to data units without bias.

The generalised Anscombe transform and its exact unbiased inverse: Starck, Murtagh & Bijaoui, "Image Processing and Data
Analysis" (1998), chapter 2, and Makitalo & Foi, "Optimal inversion of the generalized Anscombe transformation for
Poisson-Gaussian noise", IEEE TIP 22 (2013).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from napari_restore.errors import RecipeError
from napari_restore.intensity.noise import NoiseEstimate
from napari_restore.intensity.scaling import FAR
from napari_restore.intensity.table import by_table

__all__ = ["CameraNoise", "NoiseScale"]

Floats = npt.NDArray[np.float64]

_FEW = 150.0
"""Photons up to which the Poisson distribution is summed; above, a normal distribution gives the same mean."""
_NODES = 1200
"""Levels of the table of the inverse."""
_NORMAL = tuple(np.polynomial.hermite_e.hermegauss(40))


@dataclass(frozen=True)
class CameraNoise:
    """Poisson-Gaussian noise of a detector: ``variance = read_noise**2 + gain * max(level - offset, 0)``.

    `stabilise` gives it a standard deviation of about 1 everywhere (within a tenth from two photons up).

    Parameters
    ----------
    gain : float
        Data units per detected photon; 0 for noise that does not depend on the signal.
    offset : float
        Level without light, in data units.
    read_noise : float
        Standard deviation of the noise without light, in data units.

    Raises
    ------
    RecipeError
        If a number is not finite, gain or read noise is negative, or both are 0.

    Examples
    --------
    >>> camera = CameraNoise(gain=2.0, offset=100.0, read_noise=3.0)
    >>> counts = 100 + 2.0 * np.random.default_rng(0).poisson(50.0, 100_000)
    >>> stable = camera.stabilise(counts + np.random.default_rng(1).normal(0, 3, 100_000))
    >>> round(float(stable.std()), 1), round(float(camera.invert(stable.mean())))
    (1.0, 200)
    """

    gain: float
    offset: float
    read_noise: float

    def __post_init__(self) -> None:
        numbers = (self.gain, self.offset, self.read_noise)
        if (
            not all(map(math.isfinite, numbers))
            or self.gain < 0
            or self.read_noise < 0
            or self.gain + self.read_noise == 0
        ):
            raise RecipeError(
                f"camera noise {numbers} is not valid: gain (data units per photon), offset and read noise (data "
                "units) must be finite, and gain and read noise 0 or more and not both 0."
            )

    @classmethod
    def from_estimate(cls, noise: NoiseEstimate) -> CameraNoise | None:
        """Make the noise model of an estimate; its lowest level becomes the offset.

        Parameters
        ----------
        noise : NoiseEstimate
            Noise of the image.

        Returns
        -------
        CameraNoise or None
            None for an estimate without noise.
        """
        dark = float(noise.sigma(noise.levels[0]))
        gain = max(noise.gain, 0.0)
        return cls(gain, noise.levels[0], dark) if gain + dark > 0 else None

    @property
    def _dark(self) -> float:
        """Standard deviation at the offset that the transform uses: `read_noise` and Anscombe's 3/8 of a photon."""
        return math.sqrt(self.read_noise**2 + 3 / 8 * self.gain**2)

    def variance(self, levels: npt.ArrayLike) -> Floats:
        """Return the variance of the noise at levels without noise.

        Parameters
        ----------
        levels : array_like
            Levels in data units, any shape.

        Returns
        -------
        numpy.ndarray
            Of the same shape, in squared data units.

        Examples
        --------
        >>> CameraNoise(gain=2.0, offset=100.0, read_noise=3.0).variance([90.0, 110.0])
        array([ 9., 29.])
        """
        photons = self.gain * np.maximum(np.asarray(levels, np.float64) - self.offset, 0)
        return np.asarray(self.read_noise**2 + photons, np.float64)

    def stabilise(self, values: npt.ArrayLike) -> Floats:
        """Stabilise values: the generalised Anscombe transform, 0 at the offset.

        The transform is ``2 / gain * (sqrt(gain * x + 3/8 * gain**2 + read_noise**2) - sqrt(3/8 * gain**2 +
        read_noise**2))`` with ``x = value - offset``, in a form that gives ``x / read_noise`` for a gain of 0. Below
        the offset, where there is no photon noise, it is a straight line.

        Parameters
        ----------
        values : array_like
            In data units, any shape.

        Returns
        -------
        numpy.ndarray
            Of the same shape, float64, in standard deviations of the noise.
        """
        x = np.subtract(values, self.offset, dtype=np.float64)
        root = np.sqrt(self.gain * np.maximum(x, 0) + self._dark**2)
        return np.asarray(2 * x / (root + self._dark), np.float64)

    def unstabilise(self, stable: npt.ArrayLike) -> Floats:
        """Invert `stabilise` for single values. For means of stabilised values, see `invert`.

        Parameters
        ----------
        stable : array_like
            Stabilised values, any shape.

        Returns
        -------
        numpy.ndarray
            Of the same shape, float64, in data units.
        """
        d = np.asarray(stable, np.float64)
        return self.offset + d * self._dark + self.gain / 4 * np.maximum(d, 0) ** 2

    def expected(self, levels: npt.ArrayLike) -> Floats:
        """Compute the mean of the stabilised values of pixels with a given mean.

        Parameters
        ----------
        levels : array_like
            Means of the pixels, in data units, any shape.

        Returns
        -------
        numpy.ndarray
            Of the same shape, float64, in standard deviations of the noise.
        """
        level = np.atleast_1d(np.asarray(levels, np.float64))
        photons = np.maximum(level - self.offset, 0) / self.gain if self.gain else np.full(level.shape, np.inf)
        result = np.empty(level.shape)
        few = photons < _FEW
        result[~few] = self._mean_of_normal(level[~few])
        result[few] = [self._mean_of_counts(x, n) for x, n in zip(level[few], photons[few], strict=True)]
        return result.reshape(np.shape(levels))

    def _mean_of_normal(self, level: Floats) -> Floats:
        sigma = np.sqrt(self.variance(level))
        at, weight = _NORMAL
        mean: Floats = self.stabilise(level[:, None] + sigma[:, None] * at) @ weight / weight.sum()
        return mean

    def _mean_of_counts(self, level: float, photons: float) -> float:
        counts = np.arange(int(photons + 12 * math.sqrt(photons + 1)) + 2)
        dark = min(level, self.offset)  # a level below the offset has no photons
        at, weight = _NORMAL
        values = dark + self.gain * counts[:, None] + self.read_noise * at
        poisson = np.exp(special.xlogy(counts, photons) - special.gammaln(counts + 1) - photons)
        return float(poisson @ (self.stabilise(values) @ weight) / weight.sum())

    def invert(self, stable: npt.ArrayLike) -> Floats:
        """Convert means of stabilised values to means of the values: the exact unbiased inverse.

        Parameters
        ----------
        stable : array_like
            Means of stabilised values, any shape: denoised pixels.

        Returns
        -------
        numpy.ndarray
            Of the same shape, float64, in data units.
        """
        means = np.asarray(stable, np.float64)
        return self.unstabilise(means) + np.interp(means, *_inverse(self))


@lru_cache(maxsize=64)
def _inverse(camera: CameraNoise) -> tuple[Floats, Floats]:
    """Tabulate stabilised means, rising, and the correction to add to `CameraNoise.unstabilise` of each."""
    gain, read_noise = camera.gain, camera.read_noise
    unit = max(gain, read_noise)
    # Above this level the correction is constant: a quarter of a photon.
    highest = max(2e3 * gain, 300 * read_noise**2 / gain if gain else 0.0, 20 * unit)
    above = np.geomspace(1e-5 * unit, highest, _NODES)
    below = np.linspace(-12 * read_noise, 0, 60) if read_noise else np.zeros(1)
    levels = camera.offset + np.concatenate([below, above])
    means = camera.expected(levels)
    return means, levels - camera.unstabilise(means)


@dataclass(frozen=True)
class NoiseScale:
    """Normalisation by the noise: values get the noise level of a network's training, as `ValueRange` gives the range.

    Parameters
    ----------
    camera : CameraNoise
        Noise of the data.
    low : float
        Value, in data units, that becomes 0.
    sigma : float
        Standard deviation of the noise in the normalised values.

    Examples
    --------
    >>> scale = NoiseScale(CameraNoise(2.0, 100.0, 3.0), low=100.0, sigma=25 / 255)
    >>> normalised = scale.normalise(np.array([100.0, 300.0]))
    >>> [round(float(value), 2) for value in normalised]
    [0.0, 1.67]
    >>> scale.restore(normalised).round(2).tolist()  # as means: a little above what single values were
    [100.17, 300.5]
    """

    camera: CameraNoise
    low: float
    sigma: float

    @property
    def _start(self) -> float:
        return float(self.camera.stabilise(self.low))

    @property
    def limits(self) -> tuple[float, float]:
        """Lowest and highest value, in data units, that a network is given: ``-FAR`` and ``FAR`` when normalised."""
        ends = self.camera.unstabilise(np.array([-FAR, FAR]) / self.sigma + self._start)
        return float(ends[0]), float(ends[1])

    def extended(self, low: float, high: float) -> NoiseScale:
        """Return this scale, which includes all values: the noise has one standard deviation at any of them.

        Parameters
        ----------
        low, high : float
            Values, in data units; not used.

        Returns
        -------
        NoiseScale
            This scale.
        """
        return self

    def normalise(self, x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Normalise noisy values from data units to noise of the standard deviation `sigma`.

        Parameters
        ----------
        x : numpy.ndarray
            Integer or floating-point values in data units, any shape.

        Returns
        -------
        numpy.ndarray
            Of the same shape, float32.
        """
        return by_table(NoiseScale._normalised, self, x)

    def _normalised(self, x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        return ((self.camera.stabilise(x) - self._start) * self.sigma).astype(np.float32)

    def restore(self, y: npt.NDArray[Any]) -> Floats:
        """Restore denoised values to data units without bias.

        Parameters
        ----------
        y : numpy.ndarray
            Floating-point values, any shape.

        Returns
        -------
        numpy.ndarray
            Of the same shape, float64.
        """
        return self.camera.invert(np.asarray(y, np.float64) / self.sigma + self._start)
