"""Estimate the resolution of one image: one-image Fourier ring correlation, halves of photons, decorrelation analysis.

All are estimates: they measure up to which frequency an image has content that is not noise, under the conditions that
each function names. A restored image has little noise, and what a network invents counts as content.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_restore.errors import SourceError
from napari_restore.quality.resolution import fourier_ring_correlation

__all__ = ["crossing", "decorrelation_resolution", "halved_photons", "one_image_frc", "resolution_of"]

Floats = npt.NDArray[np.float64]
Array = npt.NDArray[Any]

_SMOOTHED = 3
_FILTERS = 10
_LEAST_PEAK = 0.05
_DROP = 0.001
"""How far a correlation must fall behind its maximum for this to be a peak (Descloux et al. 2019, Methods)."""


def crossing(frequency: Floats, correlation: Floats, threshold: float = 1 / 7) -> float:
    """Return the period at which a correlation falls below a threshold.

    Parameters
    ----------
    frequency, correlation : numpy.ndarray
        As `napari_restore.quality.resolution.fourier_ring_correlation` returns them.
    threshold : float
        1/7 by convention (for two halves of the data: Nieuwenhuizen et al., Nature Methods 10, 2013).

    Returns
    -------
    float
        In pixels, by linear interpolation of the correlation averaged over three rings; the period of the highest
        frequency if it never falls below; infinity if it does in the first ring.
    """
    smooth = ndimage.uniform_filter1d(correlation, _SMOOTHED, mode="nearest")
    below = np.flatnonzero(smooth < threshold)
    if below.size == 0:
        return float(1 / frequency[-1])
    k = int(below[0])
    if k == 0:
        return math.inf
    share = (smooth[k - 1] - threshold) / (smooth[k - 1] - smooth[k])
    return float(1 / (frequency[k - 1] + share * (frequency[k] - frequency[k - 1])))


def halved_photons(counts: Array, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Split counts into two images with half of the photons each, by tossing a coin for each photon.

    Of Poisson numbers, the halves are independent (binomial thinning).

    Parameters
    ----------
    counts : numpy.ndarray
        Photons of each pixel: whole numbers, 0 or more; others are rounded.
    rng : numpy.random.Generator
        Source of the coins.

    Returns
    -------
    first, second : numpy.ndarray
        Float64, their sum is `counts`.

    Examples
    --------
    >>> first, second = halved_photons(np.full((4, 4), 10), np.random.default_rng(0))
    >>> bool((first + second == 10).all())
    True
    """
    whole = np.maximum(np.rint(counts), 0).astype(np.int64)
    first = rng.binomial(whole, 0.5)
    return first.astype(np.float64), (whole - first).astype(np.float64)


def one_image_frc(image: Array) -> tuple[Floats, Floats]:
    """Correlate interleaved quarters of one image with each other (Koho et al., Nature Communications 10, 2019).

    The pixels of even rows and columns form one image, those of odd rows and columns another one; odd and even, even
    and odd a second pair. The images of a pair are shifted against each other by one pixel along both axes. Koho et al.
    calibrate the effect of that; here it is undone exactly, by a phase in Fourier space, which needs no calibration.

    Conditions: noise independent between pixels, and detail coarser than four pixels: finer detail is aliased in the
    quarters, and the highest frequency is 1/4.

    Parameters
    ----------
    image : numpy.ndarray
        Plane ``(h, w)``, 32 pixels or more each way, finite.

    Returns
    -------
    frequency : numpy.ndarray
        In cycles per pixel of the image, rising up to 0.25.
    correlation : numpy.ndarray
        Mean of both pairs.

    Raises
    ------
    SourceError
        If it is not such a plane.

    Examples
    --------
    >>> white = np.random.default_rng(0).normal(size=(128, 128))
    >>> frequency, correlation = one_image_frc(white)
    >>> float(frequency[-1]), bool(abs(correlation.mean()) < 0.1)
    (0.25, True)
    """
    if image.ndim != 2 or min(image.shape) < 32:
        raise SourceError(f"an array of shape {image.shape} is not a plane of 32 x 32 or more.")
    height, width = (length // 2 * 2 for length in image.shape)
    values = image[:height, :width].astype(np.float64)
    pairs = [(values[::2, ::2], values[1::2, 1::2], 1), (values[::2, 1::2], values[1::2, ::2], -1)]
    found = [fourier_ring_correlation(first, _shifted(second, sign)) for first, second, sign in pairs]
    return found[0][0] / 2, np.mean([correlation for _, correlation in found], axis=0)


def _shifted(quarter: Floats, sign: int) -> Floats:
    """Shift a quarter by half of its pixels along y and, with the sign, along x."""
    mean, (height, width) = float(quarter.mean()), quarter.shape
    spectrum = np.fft.fft2(quarter - mean)
    phase = np.fft.fftfreq(height)[:, None] + sign * np.fft.fftfreq(width)[None, :]
    return np.asarray(np.fft.ifft2(spectrum * np.exp(-1j * math.pi * phase)).real + mean)


def resolution_of(image: Array, method: str) -> float:
    """Return the resolution of an image by a method, in pixels.

    Parameters
    ----------
    image : numpy.ndarray
        Plane ``(h, w)``, finite.
    method : {"one-image FRC", "decorrelation"}
        See `one_image_frc` and `decorrelation_resolution`.

    Returns
    -------
    float
        Period in pixels; NaN if the method finds none.
    """
    if method == "decorrelation":
        return decorrelation_resolution(image)
    found = crossing(*one_image_frc(image))
    return found if math.isfinite(found) else math.nan


def decorrelation_resolution(image: Array) -> float:
    """Estimate resolution by decorrelation analysis (Descloux et al., Nature Methods 16, 2019).

    The image is correlated with itself, after all Fourier coefficients have been set to length 1 and those beyond a
    radius to 0. The correlation has a maximum at the radius within which there is most signal and least noise. The
    image is filtered by high passes of rising strength; the maximum moves outward, and the outermost one is the
    cut-off. No parameter is free, and no second image is needed.

    Conditions: isotropic resolution, noise whose spectrum is flat (correlated noise is taken for content), and an image
    that is sampled at twice its cut-off or finer.

    Parameters
    ----------
    image : numpy.ndarray
        Plane ``(h, w)``, finite.

    Returns
    -------
    float
        Period of the cut-off in pixels, 2 or more; NaN if no maximum is found.

    Examples
    --------
    >>> image = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(128, 128)), 2.0)
    >>> image = image / image.std() + np.random.default_rng(1).normal(0, 0.1, (128, 128))
    >>> 4 < decorrelation_resolution(image) < 10
    True
    """
    side = min(image.shape) // 2 * 2
    values = image[:side, :side].astype(np.float64)
    window = np.hanning(side + 2)[1:-1]
    spectrum = np.fft.fft2((values - values.mean()) * np.outer(window, window))
    radius = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None, :]) * 2  # 1 at Nyquist
    ring = np.rint(radius * side / 2).astype(np.intp).ravel()
    outermost = side // 2
    if not np.abs(spectrum).any():
        return math.nan
    widths = np.concatenate([[math.inf], np.geomspace(side / 4, 0.5, _FILTERS)])
    best, strongest = math.nan, 0.0
    for width in widths:
        high = 1.0 if math.isinf(width) else 1 - np.exp(-2 * (math.pi * width) ** 2 * (radius / 2) ** 2)
        length = np.abs(spectrum * high).ravel()
        shared = np.cumsum(np.bincount(ring, length, outermost + 1)[: outermost + 1])
        power = float((length[ring <= outermost] ** 2).sum())
        count = np.cumsum(np.bincount(ring, minlength=outermost + 1)[: outermost + 1])
        correlation = shared / np.sqrt(np.maximum(power * count, 1e-300))
        peak = _peak(correlation)
        if peak is not None and correlation[peak] > _LEAST_PEAK and peak > strongest:
            strongest, best = float(peak), 2.0 / (peak / outermost)
    return best


def _peak(correlation: Floats) -> int | None:
    """Return the maximum, if the correlation falls behind it; a maximum at the end is none, and it is cut off."""
    end = correlation.size
    while end > 2:
        k = int(correlation[:end].argmax())
        if k == 0:
            return None
        if k < end - 1:
            return k if correlation[k] - correlation[k:end].min() > _DROP else None
        end = k
    return None
