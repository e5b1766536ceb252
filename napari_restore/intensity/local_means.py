"""Weighted means over the neighbourhood of each pixel, with the same bits wherever the pixel lies in its array.

`scipy.ndimage.uniform_filter` and others that carry a sum along a row do not have this property.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

__all__ = ["gaussian", "noise_gain", "separable", "window"]

Kernel = npt.NDArray[np.float64]
Plane = npt.NDArray[np.float32]


def gaussian(sigma: float) -> Kernel:
    """Give a Gaussian kernel of sum 1, cut at 3.4 standard deviations."""
    radius = int(3.4 * sigma + 0.5)
    kernel = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma**2))
    return np.asarray(kernel / kernel.sum(), np.float64)


def window(length: int) -> Kernel:
    """Give a raised cosine of sum 1 over an odd number of pixels."""
    kernel = np.hanning(length + 2)[1:-1]
    return np.asarray(kernel / kernel.sum(), np.float64)


def separable(values: Plane, kernel: Kernel) -> Plane:
    """Convolve ``(..., h, w)`` with a symmetric kernel along h and w; a plane goes on mirrored at its borders."""
    along_y = ndimage.correlate1d(values, kernel, axis=-2, mode="reflect")
    return np.asarray(ndimage.correlate1d(along_y, kernel, axis=-1, mode="reflect"))


def noise_gain(kernel: Kernel, correlation: tuple[float, float] = (0.0, 0.0)) -> float:
    """Variance that noise of variance 1 has after `separable`.

    Parameters
    ----------
    kernel : numpy.ndarray
        Of one axis.
    correlation : (float, float)
        Autocorrelation of the noise at lag 1 along y and x; at lag d it is its power of d squared, as in
        `napari_restore.intensity.noise`.

    Examples
    --------
    >>> round(noise_gain(gaussian(1.5)), 4)
    0.0354
    """
    lag = np.subtract.outer(np.arange(len(kernel)), np.arange(len(kernel))).astype(np.float64)
    along = [float(kernel @ (max(rho, 0.0) ** lag**2) @ kernel) for rho in correlation]
    return along[0] * along[1]
