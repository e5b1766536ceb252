"""Compare a super-resolved image with its source: error after gain and offset, and power beyond the optics' cut-off."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_restore.errors import SourceError
from napari_restore.quality.photometry import line_from_moments

__all__ = ["cut_off", "power_beyond", "psf_cut_off", "resolution_scaled"]

Floats = npt.NDArray[np.float64]

_CONTRAST_LEFT = 1e-3
"""Contrast that an optical transfer function leaves at its cut-off, for one that never reaches 0."""


def cut_off(wavelength: float, numerical_aperture: float) -> float:
    """Return the highest frequency that a wide-field microscope transmits, ``2 NA / wavelength``.

    Born & Wolf, Principles of Optics, section 9.5: of incoherent imaging.

    Parameters
    ----------
    wavelength : float
        Of the emitted light, in micrometers.
    numerical_aperture : float
        Of the objective.

    Returns
    -------
    float
        Cycles per micrometer.

    Raises
    ------
    SourceError
        If a number is not positive.

    Examples
    --------
    >>> round(1 / cut_off(0.5, 1.4), 3)
    0.179
    """
    if not (wavelength > 0 and numerical_aperture > 0):
        raise SourceError(
            f"wavelength {wavelength:g} micrometers and numerical aperture {numerical_aperture:g} must be positive."
        )
    return 2 * numerical_aperture / wavelength


def psf_cut_off(psf: Any) -> float:
    """Return the frequency at which a point spread function leaves a thousandth of the contrast.

    Parameters
    ----------
    psf : numpy.ndarray or float
        A plane of sum 1, or the standard deviation of a Gaussian, in pixels.

    Returns
    -------
    float
        Cycles per pixel; 0.5 if it leaves more at the highest frequency.

    Examples
    --------
    >>> round(psf_cut_off(2.0), 3)
    0.296
    """
    if not isinstance(psf, np.ndarray):
        found = math.sqrt(-math.log(_CONTRAST_LEFT) / 2) / (math.pi * psf) if psf > 0 else math.inf
        return min(found, 0.5)
    side = max(256, *psf.shape)
    transfer = np.abs(np.fft.fft2(psf, (side, side)))
    radius = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None, :])
    left = radius[transfer > _CONTRAST_LEFT * transfer[0, 0]]
    return float(min(left.max(), 0.5))


def power_beyond(plane: Floats, frequency: float) -> float:
    """Return the share of an image's power at frequencies beyond a cut-off.

    Parameters
    ----------
    plane : numpy.ndarray
        Shape ``(h, w)``, finite. Its mean is subtracted, and a Hann window is applied.
    frequency : float
        Cut-off in cycles per pixel.

    Returns
    -------
    float
        In [0, 1]; NaN for a constant plane. Noise has power at all frequencies.

    Examples
    --------
    >>> rows = np.sin(2 * np.pi * 0.25 * np.arange(64))[:, None] * np.ones((1, 64))
    >>> power_beyond(rows, 0.2) > 0.99, power_beyond(rows, 0.3) < 0.01
    (True, True)
    """
    window = np.outer(*(np.hanning(size + 2)[1:-1] for size in plane.shape))
    power = np.abs(np.fft.fft2((plane - plane.mean()) * window)) ** 2
    radius = np.hypot(*np.meshgrid(*(np.fft.fftfreq(size) for size in plane.shape), indexing="ij"))
    total = float(power.sum())
    return float(power[radius > frequency].sum()) / total if total > 0 else math.nan


def resolution_scaled(moments: Floats) -> tuple[float, float]:
    """Return error and correlation of a source and a result that was brought to its resolution.

    "RSE" and "RSP" of Culley et al., Nature Methods 15, 263 (2018), equations 6 and 7: gain and offset of the result
    are fitted by least squares, then the root mean square of the difference, and Pearson's coefficient.

    Parameters
    ----------
    moments : numpy.ndarray
        Of source (x) and result (y), see `napari_restore.quality.photometry.moments_of`.

    Returns
    -------
    error, coefficient : float
        In data units, and in [-1, 1]; NaN for constant images. The noise of the source is in both: of a perfect result
        the error is the noise.

    Examples
    --------
    >>> from napari_restore.quality.photometry import moments_of
    >>> x = np.array([1.0, 2, 4])
    >>> [round(value, 6) for value in resolution_scaled(moments_of(x, 3 * x))]
    [0.0, 1.0]
    """
    count, x, _, xx, _, _ = (float(value) for value in moments)
    _, _, r = line_from_moments(moments)
    if math.isnan(r):
        return math.nan, math.nan
    variance = max(xx / count - (x / count) ** 2, 0.0)
    return math.sqrt(max(variance * (1 - r * r), 0.0)), r
