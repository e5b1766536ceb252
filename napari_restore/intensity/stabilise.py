"""Making the noise of a camera the same everywhere, and bringing a denoised image back without bias.

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

__all__ = ["CameraNoise", "NoiseScale"]

Floats = npt.NDArray[np.float64]

_FEW = 150.0
"""Photons up to which the Poisson distribution is summed; above, a normal one of its variance gives the same mean."""
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
                f"noise {numbers} is no camera's: gain (data units a photon) and read noise (data units) are 0 or more "
                "and not both 0, and with the offset (data units) they are finite."
            )

    @classmethod
    def from_estimate(cls, noise: NoiseEstimate) -> CameraNoise | None:
        """Take an estimate's lowest level as the dark one; None where it found no noise."""
        dark = float(noise.sigma(noise.levels[0]))
        gain = max(noise.gain, 0.0)
        return cls(gain, noise.levels[0], dark) if gain + dark > 0 else None

    @property
    def _dark(self) -> float:
        """Standard deviation that the transform takes at the offset: `read_noise` and Anscombe's 3/8 of a photon."""
        return math.sqrt(self.read_noise**2 + 3 / 8 * self.gain**2)

    def stabilise(self, values: npt.ArrayLike) -> Floats:
        """Bring values in data units to units of the noise, with 0 at the offset.

        ``2 / gain * (sqrt(gain * x + 3/8 * gain**2 + read_noise**2) - sqrt(3/8 * gain**2 + read_noise**2))`` with
        ``x = value - offset``, written so that a gain of 0 gives ``x / read_noise``. Below the offset, where light
        plays no part, it goes on as a straight line.
        """
        x = np.subtract(values, self.offset, dtype=np.float64)
        root = np.sqrt(self.gain * np.maximum(x, 0) + self._dark**2)
        return np.asarray(2 * x / (root + self._dark), np.float64)

    def unstabilise(self, stable: npt.ArrayLike) -> Floats:
        """Undo `stabilise` value by value. Of a mean, that is not the mean: see `invert`."""
        d = np.asarray(stable, np.float64)
        return self.offset + d * self._dark + self.gain / 4 * np.maximum(d, 0) ** 2

    def expected(self, levels: npt.ArrayLike) -> Floats:
        """Mean of the stabilised values of pixels whose mean is `levels`, in units of the noise."""
        level = np.atleast_1d(np.asarray(levels, np.float64))
        photons = np.maximum(level - self.offset, 0) / self.gain if self.gain else np.full(level.shape, np.inf)
        result = np.empty(level.shape)
        few = photons < _FEW
        result[~few] = self._mean_of_normal(level[~few])
        result[few] = [self._mean_of_counts(x, n) for x, n in zip(level[few], photons[few], strict=True)]
        return result.reshape(np.shape(levels))

    def _mean_of_normal(self, level: Floats) -> Floats:
        sigma = np.sqrt(self.read_noise**2 + self.gain * np.maximum(level - self.offset, 0))
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
        """Bring the mean of stabilised values to the mean of the values, in data units: the exact unbiased inverse."""
        means = np.asarray(stable, np.float64)
        return self.unstabilise(means) + np.interp(means, *_inverse(self))


@lru_cache(maxsize=64)
def _inverse(camera: CameraNoise) -> tuple[Floats, Floats]:
    """Stabilised means, rising, and what has to be added to `CameraNoise.unstabilise` of each."""
    gain, read_noise = camera.gain, camera.read_noise
    unit = max(gain, read_noise)
    # Where a photon more makes little difference to the noise, all that is left is a quarter of a photon.
    highest = max(2e3 * gain, 300 * read_noise**2 / gain if gain else 0.0, 20 * unit)
    above = np.geomspace(1e-5 * unit, highest, _NODES)
    below = np.linspace(-12 * read_noise, 0, 60) if read_noise else np.zeros(1)
    levels = camera.offset + np.concatenate([below, above])
    means = camera.expected(levels)
    return means, levels - camera.unstabilise(means)


@dataclass(frozen=True)
class NoiseScale:
    """Brings values to what a network was trained on by their noise, as `ValueRange` does by their range.

    Parameters
    ----------
    camera : CameraNoise
        Noise of the data.
    low : float
        Value, in data units, that becomes 0.
    sigma : float
        Standard deviation of the noise in the result.

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
        """Values, in data units, beyond which a network is given others: ``-FAR`` and ``FAR``, normalised."""
        ends = self.camera.unstabilise(np.array([-FAR, FAR]) / self.sigma + self._start)
        return float(ends[0]), float(ends[1])

    def reaching(self, low: float, high: float) -> NoiseScale:
        """Give this scale, which has no upper end: noise has one standard deviation at all values."""
        return self

    def normalise(self, x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Bring noisy values from data units to noise of the standard deviation `sigma`, as float32."""
        return ((self.camera.stabilise(x) - self._start) * self.sigma).astype(np.float32)

    def restore(self, y: npt.NDArray[Any]) -> Floats:
        """Bring denoised values back to data units, without bias, as float64."""
        return self.camera.invert(np.asarray(y, np.float64) / self.sigma + self._start)
