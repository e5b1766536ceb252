"""The uncertainty of a result: the standard deviation of its error at each pixel, from the spread of an ensemble."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["RAW", "Calibration", "uncertainty_of"]

Calibration = tuple[float, float, float, float]
"""Factor on the spread; gain, offset and read noise of the variance that is added, all but the factor in data units."""
RAW: Calibration = (1.0, 0.0, 0.0, 0.0)
"""The calibration of the spread itself."""


def uncertainty_of(
    values: NDArray[np.float64], spread: NDArray[np.float64], numbers: Calibration
) -> NDArray[np.float32]:
    """Return the standard deviation of the error of restored values.

    The eight results of an ensemble share a part of their errors: that of the noise, which all of them see. So the
    spread has a factor, and a part of the variance of the noise is added,
    ``sigma^2 = (factor * spread)^2 + read^2 + gain * max(value - offset, 0)``.

    Parameters
    ----------
    values : numpy.ndarray
        Restored values, in data units.
    spread : numpy.ndarray
        Standard deviation of one result of the ensemble, in data units, of the same shape.
    numbers : tuple of float
        The calibration.

    Returns
    -------
    numpy.ndarray
        float32, in data units, of the same shape.

    Examples
    --------
    >>> uncertainty_of(np.array([90.0, 100.0, 116.0]), np.array([0.0, 2.0, 0.0]), (2.0, 1.0, 100.0, 3.0))
    array([3., 5., 5.], dtype=float32)
    """
    factor, gain, offset, read = numbers
    variance = np.square(factor * spread) + read**2 + gain * np.maximum(values - offset, 0)
    return np.sqrt(variance).astype(np.float32)
