"""Measure the resolution of an image relative to a reference, by Fourier ring correlation."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_restore.errors import SourceError

__all__ = ["fourier_ring_correlation", "frc_resolution"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

_SMALLEST = 16  # pixels: smaller planes have fewer than eight rings
_SMOOTHED = 3  # rings that are averaged: a single ring may be below the threshold by chance


def fourier_ring_correlation(first: Array, second: Array) -> tuple[Floats, Floats]:
    """Correlate the Fourier coefficients of two images over rings of equal spatial frequency.

    Saxton & Baumeister, Journal of Microscopy 127 (1982), equation 1. Means are subtracted and a Hann window is
    applied, so that the step between opposite borders adds no detail.

    Parameters
    ----------
    first, second : numpy.ndarray
        Planes of one shape ``(h, w)``, 16 pixels or more each way, finite.

    Returns
    -------
    frequency : numpy.ndarray
        Frequency of each ring, in cycles per pixel, rising up to 0.5.
    correlation : numpy.ndarray
        In [-1, 1]; 0 for a ring without power in one of the images.

    Raises
    ------
    SourceError
        If the shapes differ, or the images are not planes of 16 x 16 pixels or more.

    Examples
    --------
    >>> plane = np.random.default_rng(0).normal(size=(64, 64))
    >>> frequency, correlation = fourier_ring_correlation(plane, 3 * plane + 1)
    >>> float(frequency[-1]), bool(np.allclose(correlation, 1))
    (0.5, True)
    """
    if first.shape != second.shape:
        raise SourceError(f"images of shapes {first.shape} and {second.shape} differ; crop or resample one.")
    if first.ndim != 2 or min(first.shape) < _SMALLEST:
        raise SourceError(f"an array of shape {first.shape} is not a plane of {_SMALLEST} x {_SMALLEST} or more.")
    a, b = _spectrum(first), _spectrum(second)
    height, width = first.shape
    rings = min(height, width) // 2
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None, :]) * 2 * rings
    ring = np.rint(radius).astype(np.intp).ravel()
    shared, power_a, power_b = (
        np.bincount(ring, values.ravel(), minlength=rings + 1)[1 : rings + 1]
        for values in ((a * b.conj()).real, np.abs(a) ** 2, np.abs(b) ** 2)
    )
    total = np.sqrt(power_a * power_b)
    correlation = np.divide(shared, total, out=np.zeros_like(shared), where=total > 0)
    return np.arange(1, rings + 1) / (2 * rings), correlation


def frc_resolution(image: Array, reference: Array, threshold: float = 1 / 7) -> float:
    """Compute the period of the finest detail that an image has in common with a reference.

    Parameters
    ----------
    image, reference : numpy.ndarray
        Planes of one shape, as for `fourier_ring_correlation`.
    threshold : float
        Correlation below which the images have nothing in common; 1/7 by convention.

    Returns
    -------
    float
        Period, in pixels, of the lowest frequency at which the correlation, averaged over three rings, is below the
        threshold. 2, the Nyquist limit, if it never is; infinity if it is below in the first ring.

    Raises
    ------
    SourceError
        See `fourier_ring_correlation`.

    Examples
    --------
    >>> plane = np.random.default_rng(0).normal(size=(128, 128))
    >>> frc_resolution(plane, plane), 3 < frc_resolution(ndimage.gaussian_filter(plane, 1.5) + 0.2 * plane.T, plane) < 9
    (2.0, True)
    """
    frequency, correlation = fourier_ring_correlation(image, reference)
    below = np.flatnonzero(ndimage.uniform_filter1d(correlation, _SMOOTHED, mode="nearest") < threshold)
    if below.size == 0:
        return 2.0
    return float(1 / frequency[below[0]]) if below[0] > 0 else float("inf")


def _spectrum(plane: Array) -> npt.NDArray[np.complex128]:
    values = plane.astype(np.float64)
    window = np.outer(*(np.hanning(size + 2)[1:-1] for size in plane.shape))
    spectrum: npt.NDArray[np.complex128] = np.fft.fft2((values - values.mean()) * window)
    return spectrum
