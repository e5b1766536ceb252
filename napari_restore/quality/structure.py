"""Find structure in a residual: deviations from noise at several scales and in several directions.

A residual, noisy minus restored, is divided by the standard deviation of the noise. If the restoration took away noise
alone, it is noise of variance 1 with the autocorrelation of the detector. Structure that was taken away, or added, is
found by filters that match its shape: differences of Gaussians for spots, and oriented ones for filaments. Each filter
is divided by the standard deviation of its response to pure noise, so its response is a number of standard deviations.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import fft, special

__all__ = [
    "REACH",
    "WINDOW",
    "filter_count",
    "filtered",
    "log10_p_of_maximum",
    "structure_score",
    "window_maximum",
    "window_sum",
]

Plane = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Correlation = tuple[float, float]

WINDOW = 16
"""Side of the windows that get a probability, in pixels."""
REACH = 40
"""Distance, in pixels, beyond which a pixel has no influence on the score of another one (0.1 % of the response)."""

_SPOTS = (1.0, 2.0, 4.0)
"""Standard deviations of the Gaussians, in pixels."""
_SURROUND = 3.0
"""Width of the Gaussian that is subtracted, relative to that of the spot: changes of the background do not count."""
_LINE = (1.2, 6.0, 8.0)
"""Standard deviations of a line filter across and along it, and of the Gaussian that is subtracted, in pixels."""
_DIRECTIONS = 8
_LEAST = 0.25
"""Smallest share of a filter's power that must lie on valid pixels; below, its response is not used."""
_INDEPENDENT = ((0.0, 0.2, 0.4, 0.6, 0.8), (681.0, 651.0, 614.0, 555.0, 462.0))
"""Autocorrelation of the noise (mean of y and x), and number of independent responses of all filters in a window: from
the quantiles 0.8 to 0.98 of the maxima of 1764 windows of simulated noise."""


def filter_count() -> int:
    """Return the number of filters."""
    return len(_SPOTS) + _DIRECTIONS


def filtered(residual: Plane, valid: Mask, correlation: Correlation) -> Iterator[tuple[Plane, float]]:
    """Yield the response of each filter, in standard deviations of its response to noise.

    Parameters
    ----------
    residual : numpy.ndarray
        Standardised residual, shape ``(h, w)``.
    valid : numpy.ndarray
        Mask of the pixels that are image, same shape. Beyond the borders no pixel is valid.
    correlation : (float, float)
        Autocorrelation of the noise between neighbours along y and x; ``rho ** lag**2`` at larger lags.

    Yields
    ------
    response : numpy.ndarray
        Shape ``(h, w)``, float32; 0 where too few pixels are valid.
    gain : float
        Response to structure of amplitude 1 that has the shape of the filter.
    """
    height, width = residual.shape
    shape = (fft.next_fast_len(height + REACH, real=True), fft.next_fast_len(width + REACH, real=True))
    spectrum = fft.rfft2(np.where(valid, residual, 0).astype(np.float32), shape)
    weights = fft.rfft2(valid.astype(np.float32), shape)
    for transfer, power, gain in _filters(shape, _rounded(correlation)):
        response = fft.irfft2(spectrum * transfer, shape)[:height, :width]
        share = fft.irfft2(weights * power, shape)[:height, :width]
        usable = valid & (share > _LEAST)
        yield np.where(usable, response / np.sqrt(np.maximum(share, _LEAST)), 0).astype(np.float32), gain


def structure_score(
    residual: Plane,
    valid: Mask,
    correlation: Correlation,
    *,
    factors: tuple[float, ...] = (),
    tolerated: Plane | None = None,
) -> Plane:
    """Return the largest response of all filters at each pixel, with its sign.

    Parameters
    ----------
    residual : numpy.ndarray
        Standardised residual, shape ``(h, w)``.
    valid : numpy.ndarray
        Mask of the pixels that are image, same shape.
    correlation : (float, float)
        See `filtered`.
    factors : tuple of float
        Standard deviation of each filter's response to noise, as measured, relative to the expected one; empty for 1.
    tolerated : numpy.ndarray, optional
        Amplitude of structure, in standard deviations, that does not count; same shape as the residual.

    Returns
    -------
    numpy.ndarray
        Float32: positive where structure was taken away, negative where it was added. 0 where nothing exceeds what is
        tolerated.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=(96, 96)).astype(np.float32)
    >>> noise[60:62, 30:60] += 2
    >>> score = structure_score(noise, np.ones((96, 96), bool), (0.0, 0.0))
    >>> float(score.max()) > 10, tuple(map(int, np.unravel_index(score.argmax(), score.shape)))[0] in (60, 61)
    (True, True)
    """
    best = np.zeros(residual.shape, np.float32)
    size = np.zeros(residual.shape, np.float32)
    for (response, gain), factor in zip(
        filtered(residual, valid, correlation), factors or (1.0,) * filter_count(), strict=True
    ):
        excess = np.abs(response) / factor
        if tolerated is not None:
            excess -= gain / factor * tolerated
        better = excess > size
        size = np.where(better, excess, size)
        best = np.where(better, np.copysign(excess, response), best)
    return best


def window_maximum(score: Plane) -> Plane:
    """Return the largest value of each window; sides that are no multiple of the window end in smaller ones.

    Parameters
    ----------
    score : numpy.ndarray
        Shape ``(h, w)``; its absolute values are compared, and the sign is kept.

    Returns
    -------
    numpy.ndarray
        One value per window, float32.
    """
    cut = _windows(score)
    highest, lowest = cut.max((1, 3)), cut.min((1, 3))
    return np.asarray(np.where(highest >= -lowest, highest, lowest), np.float32)


def window_sum(values: npt.NDArray[np.floating]) -> Floats:
    """Return the sum of each window.

    Parameters
    ----------
    values : numpy.ndarray
        Shape ``(h, w)``.

    Returns
    -------
    numpy.ndarray
        One value per window, float64.
    """
    total: Floats = _windows(values.astype(np.float64)).sum((1, 3))
    return total


def _windows(values: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Cut a plane into windows, shape ``(rows, WINDOW, columns, WINDOW)``, filled up with zeros."""
    rows, columns = (-(-length // WINDOW) for length in values.shape)
    missing = (rows * WINDOW - values.shape[0], columns * WINDOW - values.shape[1])
    padded = np.pad(values, [(0, missing[0]), (0, missing[1])])
    return padded.reshape(rows, WINDOW, columns, WINDOW)


def log10_p_of_maximum(maximum: npt.ArrayLike, correlation: Correlation) -> Floats:
    """Return the probability, as its decimal logarithm, that pure noise has such a maximum in a window.

    The maximum of correlated responses is distributed like that of a number of independent ones, which was found by
    simulating noise of this autocorrelation.

    Parameters
    ----------
    maximum : array_like
        Largest absolute score in a window, in standard deviations.
    correlation : (float, float)
        See `filtered`.

    Returns
    -------
    numpy.ndarray
        Decimal logarithm of the probability, float64, 0 or less.

    Examples
    --------
    >>> [round(float(value)) for value in log10_p_of_maximum([0.0, 5.0, 8.0], (0.0, 0.0))]
    [0, -3, -12]
    """
    count = float(np.interp(sum(correlation) / 2, *_INDEPENDENT))
    one = math.log(2) + special.log_ndtr(-np.abs(np.asarray(maximum, np.float64)))
    many = np.minimum(one, -1e-12)
    exact = np.log(-np.expm1(count * np.log1p(-np.exp(many))) + 1e-300)
    log_p = np.where(one < -25, one + math.log(count), exact)
    return np.asarray(np.minimum(log_p, 0) / math.log(10), np.float64)


def _rounded(correlation: Correlation) -> Correlation:
    """Round to what an estimate can tell, so that filters and simulations are reused."""
    y, x = (round(min(max(rho, 0.0), 0.9), 2) for rho in correlation)
    return (y, x) if max(y, x) >= 0.03 else (0.0, 0.0)


def noise_spectrum(shape: tuple[int, int], correlation: Correlation) -> Floats:
    """Return the power spectrum of noise of variance 1 on the grid of `scipy.fft.rfft2`; its mean over all is 1.

    Parameters
    ----------
    shape : (int, int)
        Height and width of the noise.
    correlation : (float, float)
        Autocorrelation between neighbours, along y and along x.
    """

    def along(length: int, rho: float) -> Floats:
        lag = np.minimum(np.arange(length), length - np.arange(length)).astype(np.float64)
        return np.maximum(np.fft.fft(max(rho, 0.0) ** lag**2).real, 0.0)

    rows, columns = (along(length, rho) for length, rho in zip(shape, correlation, strict=True))
    return np.outer(rows, columns[: shape[1] // 2 + 1])


@lru_cache(maxsize=6)
def _filters(shape: tuple[int, int], correlation: Correlation) -> list[tuple[Plane, Plane, float]]:
    """Return the transfer function of each filter, the spectrum of its power and its gain."""
    noise = noise_spectrum(shape, correlation)
    found = []
    for transfer in transfers(shape):
        kernel = fft.irfft2(transfer, shape)
        response = fft.irfft2(noise * transfer**2, shape)[0, 0]  # variance of the response to noise
        unit = transfer / math.sqrt(float(response))
        power = fft.rfft2(kernel**2 / (kernel**2).sum())
        gain = float((kernel**2).sum() / np.abs(kernel).max() / math.sqrt(float(response)))
        found.append((unit.astype(np.float32), power.astype(np.complex64), gain))
    return found


def transfers(shape: tuple[int, int]) -> Iterator[Floats]:
    """Yield the transfer function of each filter on the grid of `scipy.fft.rfft2`, the smallest spot first."""
    fy = np.asarray(np.fft.fftfreq(shape[0])[:, None], np.float64)
    fx = np.asarray(np.fft.rfftfreq(shape[1])[None, :], np.float64)

    def gaussian(sigma: float) -> Floats:
        return np.asarray(np.exp(-2 * (math.pi * sigma) ** 2 * (fy**2 + fx**2)))

    for sigma in _SPOTS:
        yield gaussian(sigma) - gaussian(_SURROUND * sigma)
    across, along, around = _LINE
    for number in range(_DIRECTIONS):
        angle = math.pi * number / _DIRECTIONS
        u, v = fx * math.cos(angle) + fy * math.sin(angle), fy * math.cos(angle) - fx * math.sin(angle)
        yield np.exp(-2 * math.pi**2 * ((along * u) ** 2 + (across * v) ** 2)) - gaussian(around)
