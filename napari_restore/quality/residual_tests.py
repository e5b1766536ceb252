"""Test windows of a residual for local contrast that was taken away, and for agreement with neighbouring planes."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import ndimage, special

from napari_restore.quality.structure import Correlation, Floats, Mask, Plane, noise_spectrum, transfers, window_sum

__all__ = ["contrast_lost", "detail", "log10_p_of_agreement", "log10_p_of_normal", "neighbour_agreement"]

_DETAIL = 4.0
"""Standard deviation of the Gaussian whose mean is subtracted to leave the local contrast, in pixels."""
_LEAST_DETAIL = 1.0
"""Mean square of the local contrast, in squared standard deviations of the noise, below which it is not tested: the
noise that is left in a restored image is correlated with the noise that was taken away."""
_LAGS = 3


def detail(stable: Plane, valid: Mask) -> Plane:
    """Return the local contrast of a stabilised image: what is left when its local mean is subtracted.

    Parameters
    ----------
    stable : numpy.ndarray
        Restored image with noise of standard deviation 1 before restoration, shape ``(h, w)``.
    valid : numpy.ndarray
        Mask of the pixels that are image.

    Returns
    -------
    numpy.ndarray
        Float32; 0 where a pixel is not valid.
    """
    weight = ndimage.gaussian_filter(valid.astype(np.float32), _DETAIL)
    mean = ndimage.gaussian_filter(np.where(valid, stable, 0).astype(np.float32), _DETAIL) / np.maximum(weight, 1e-3)
    return np.where(valid, stable - mean, 0).astype(np.float32)


def contrast_lost(
    residual: Plane, contrast: Plane, correlation: Correlation, tolerance: float
) -> tuple[Floats, Floats]:
    """Regress the residual on the local contrast of the restored image in each window.

    A restoration that smooths leaves a share of the contrast in the residual; one that sharpens, a negative share.

    Parameters
    ----------
    residual : numpy.ndarray
        Standardised residual, 0 where a pixel is not valid, shape ``(h, w)``.
    contrast : numpy.ndarray
        Of the restored image, see `detail`.
    correlation : (float, float)
        Autocorrelation of the noise, see `napari_restore.quality.structure.filtered`.
    tolerance : float
        Share of the contrast that may be lost or added.

    Returns
    -------
    share : numpy.ndarray
        Share of the local contrast that was taken away, one per window; NaN where there is too little contrast.
    score : numpy.ndarray
        By how many standard deviations of the noise it exceeds the tolerance, with its sign; 0 where it does not.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> image = rng.normal(0, 5, (32, 32)).astype(np.float32)
    >>> share, score = contrast_lost((0.3 * image + rng.normal(size=(32, 32))).astype(np.float32), image, (0, 0), 0.05)
    >>> bool((abs(share - 0.3) < 0.1).all()), bool((score > 10).all())
    (True, True)
    """
    shared, own = window_sum(residual * contrast), window_sum(contrast * contrast)
    smeared = contrast
    for axis, rho in enumerate(correlation):
        lags = np.arange(-_LAGS, _LAGS + 1)
        smeared = ndimage.convolve1d(
            smeared, max(rho, 0.0) ** (lags.astype(np.float64) ** 2), axis=axis, mode="constant"
        )
    variance = np.maximum(window_sum(contrast * smeared), 0.2 * own)
    pixels = window_sum(np.ones_like(contrast))
    tested = own > _LEAST_DETAIL * np.maximum(pixels, 1)
    safe = np.maximum(own, 1e-12)
    share = np.where(tested, shared / safe, np.nan)
    excess = np.maximum(np.abs(shared) - tolerance * own, 0) / np.sqrt(np.maximum(variance, 1e-12))
    return share, np.where(tested, np.copysign(excess, shared), 0.0)


def log10_p_of_normal(score: npt.ArrayLike) -> Floats:
    """Return the two-sided probability of a standard normal score, as its decimal logarithm.

    Parameters
    ----------
    score : array_like
        Numbers of standard deviations; 0 gives the probability 1.

    Returns
    -------
    numpy.ndarray
        Decimal logarithm, float64, 0 or less.

    Examples
    --------
    >>> round(float(log10_p_of_normal(3.29)), 1)
    -3.0
    """
    one = math.log(2) + special.log_ndtr(-np.abs(np.asarray(score, np.float64)))
    return np.asarray(np.minimum(one, 0) / math.log(10), np.float64)


def neighbour_agreement(response: Plane, others: Plane) -> Floats:
    """Correlate a filtered residual with those of the neighbouring planes, in each window.

    Noise of different planes is independent; structure continues from plane to plane.

    Parameters
    ----------
    response, others : numpy.ndarray
        Filtered residual of a plane, and the sum of those of its neighbours, shape ``(h, w)``.

    Returns
    -------
    numpy.ndarray
        Correlation coefficient of each window, in [-1, 1]; 0 where one of the two is 0.
    """
    both, one, other = (window_sum(product) for product in (response * others, response**2, others**2))
    total = np.sqrt(one * other)
    return np.asarray(np.divide(both, total, out=np.zeros_like(both), where=total > 0), np.float64)


def log10_p_of_agreement(coefficient: npt.ArrayLike, pixels: npt.ArrayLike, correlation: Correlation) -> Floats:
    """Return the probability that independent noise agrees as much, as its decimal logarithm; one-sided.

    The exact distribution of the correlation coefficient of normal samples (Student's t), with the number of
    independent samples of a filtered field: pixels over the sum of its squared autocorrelation (Bartlett 1946).

    Parameters
    ----------
    coefficient : array_like
        Correlation coefficients, see `neighbour_agreement`.
    pixels : array_like
        Number of valid pixels of each window.
    correlation : (float, float)
        Autocorrelation of the noise before the filter.

    Returns
    -------
    numpy.ndarray
        Decimal logarithm, float64, 0 or less.

    Examples
    --------
    >>> log10_p_of_agreement([0.0, 0.9], 256, (0.0, 0.0)).round(1).tolist()
    [-0.3, -18.8]
    """
    shape = (64, 64)
    spot = next(transfers(shape))  # the filter of the fields that `neighbour_agreement` is given
    autocorrelation = np.fft.irfft2(noise_spectrum(shape, correlation) * spot**2, shape)
    correlated = float(((autocorrelation / autocorrelation[0, 0]) ** 2).sum())
    free = np.maximum(np.asarray(pixels, np.float64) / correlated - 2, 1.0)
    r = np.clip(np.asarray(coefficient, np.float64), -1, 1 - 1e-9)
    p = special.stdtr(free, -r * np.sqrt(free / (1 - r**2)))
    return np.asarray(np.log10(np.maximum(p, 1e-300)), np.float64)
