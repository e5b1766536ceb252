"""Convolve planes so that a pixel's bits depend only on its neighbourhood, not on its position in the array.

`scipy.ndimage.uniform_filter` does not have this property: it updates a running sum along each row.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

__all__ = ["gaussian", "noise_gain", "separable", "window"]

Kernel = npt.NDArray[np.float64]
Plane = npt.NDArray[np.float32]


def gaussian(sigma: float) -> Kernel:
    """Return a Gaussian kernel of sum 1, truncated at 3.4 standard deviations."""
    radius = int(3.4 * sigma + 0.5)
    kernel = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma**2))
    return np.asarray(kernel / kernel.sum(), np.float64)


def window(length: int) -> Kernel:
    """Return a raised-cosine kernel of sum 1 over an odd number of pixels."""
    kernel = np.hanning(length + 2)[1:-1]
    return np.asarray(kernel / kernel.sum(), np.float64)


def separable(values: Plane, kernel: Kernel) -> Plane:
    """Convolve ``(..., h, w)`` with a symmetric kernel along h and w; planes are mirrored at their edges."""
    along_y = ndimage.correlate1d(values, kernel, axis=-2, mode="reflect")
    return np.asarray(ndimage.correlate1d(along_y, kernel, axis=-1, mode="reflect"))


def noise_gain(kernel: Kernel, correlation: tuple[float, float] = (0.0, 0.0)) -> float:
    """Compute the variance that noise of variance 1 has after `separable`.

    Parameters
    ----------
    kernel : numpy.ndarray
        Kernel of one axis, shape ``(n,)``.
    correlation : (float, float)
        Autocorrelation rho of the noise at lag 1 along y and x; at lag d it is ``rho ** d**2``, as in
        `napari_restore.intensity.noise`.

    Returns
    -------
    float
        The variance.

    Examples
    --------
    >>> round(noise_gain(gaussian(1.5)), 4)
    0.0354
    """
    lag = np.subtract.outer(np.arange(len(kernel)), np.arange(len(kernel))).astype(np.float64)
    along = [float(kernel @ (max(rho, 0.0) ** lag**2) @ kernel) for rho in correlation]
    return along[0] * along[1]
