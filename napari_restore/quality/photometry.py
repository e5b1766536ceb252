"""Compare sums over regions before and after restoration, with the error that the noise gives them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Sums", "line_from_moments", "moments_of", "region_sums"]

Floats = npt.NDArray[np.float64]

_LAGS = 4


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums over regions of a plane; one value per region.

    Attributes
    ----------
    labels : numpy.ndarray
        Label of each region, or index of each square in rows.
    pixels : numpy.ndarray
        Number of valid pixels.
    before, after : numpy.ndarray
        Sums of noisy and restored pixels, in data units.
    variance : numpy.ndarray
        Variance of `before` from noise alone, in squared data units.
    """

    labels: npt.NDArray[np.int64]
    pixels: Floats
    before: Floats
    after: Floats
    variance: Floats


def region_sums(
    noisy: Floats,
    restored: Floats,
    variance: Floats,
    valid: npt.NDArray[np.bool_],
    correlation: tuple[float, float],
    cell: int,
    labels: npt.NDArray[Any] | None = None,
) -> Sums:
    """Sum noisy and restored pixels over regions.

    Parameters
    ----------
    noisy, restored : numpy.ndarray
        Planes ``(h, w)`` in data units.
    variance : numpy.ndarray
        Variance of the noise of each pixel, in squared data units.
    valid : numpy.ndarray
        Which pixels are image.
    correlation : (float, float)
        Autocorrelation of the noise between neighbours along y and x; ``rho ** lag**2`` at larger lags. It raises the
        variance of sums of regions that are large beside its length.
    cell : int
        Side of the squares, in pixels, if there are no labels.
    labels : numpy.ndarray, optional
        Integers ``(h, w)``; 0 is background.

    Returns
    -------
    Sums
        One value per region that has valid pixels.

    Examples
    --------
    >>> ones = np.ones((4, 6))
    >>> sums = region_sums(ones, 2 * ones, ones, ones > 0, (0.0, 0.0), 4)
    >>> sums.before.tolist(), sums.after.tolist(), sums.variance.tolist()
    ([16.0, 8.0], [32.0, 16.0], [16.0, 8.0])
    """
    height, width = noisy.shape
    if labels is None:
        rows, columns = np.arange(height)[:, None] // cell, np.arange(width)[None, :] // cell
        index = rows * -(-width // cell) + columns
        used = valid
    else:
        index, used = labels.astype(np.int64), valid & (labels > 0)
    found, place = np.unique(index[used], return_inverse=True)
    pixels, before, after, noise = (
        np.asarray(np.bincount(place, values, minlength=found.size), np.float64)
        for values in (np.ones(place.size), noisy[used], restored[used], variance[used])
    )
    return Sums(found.astype(np.int64), pixels, before, after, noise * _summed(correlation))


def _summed(correlation: tuple[float, float]) -> float:
    """Return the variance of a sum of correlated noise, relative to that of independent noise."""
    lags = np.arange(1, _LAGS + 1).astype(np.float64)
    return math.prod(1 + 2 * float((max(rho, 0.0) ** lags**2).sum()) for rho in correlation)


def moments_of(x: Floats, y: Floats) -> Floats:
    """Return the moments of points; those of several sets of points add up to the moments of all of them.

    Parameters
    ----------
    x, y : numpy.ndarray
        Coordinates of the points, shape ``(n,)``.

    Returns
    -------
    numpy.ndarray
        Count, sum of x, sum of y, sum of x squared, of y squared, and of x times y.
    """
    return np.array([x.size, x.sum(), y.sum(), x @ x, y @ y, x @ y], np.float64)


def line_from_moments(moments: Floats) -> tuple[float, float, float]:
    """Fit a line to points of which only the moments are known.

    Parameters
    ----------
    moments : numpy.ndarray
        See `moments_of`.

    Returns
    -------
    slope, intercept, r : float
        Least squares of y on x, and Pearson's correlation coefficient; NaN for constant x or y.

    Examples
    --------
    >>> x = np.array([1.0, 2, 3])
    >>> line_from_moments(moments_of(x, 2 * x + 1))
    (2.0, 1.0, 1.0)
    """
    count, x, y, xx, yy, xy = (float(value) for value in moments)
    if count < 2:
        return math.nan, math.nan, math.nan
    spread_x, spread_y, shared = xx - x * x / count, yy - y * y / count, xy - x * y / count
    if spread_x <= 1e-12 * max(xx, 1e-300) or spread_y <= 1e-12 * max(yy, 1e-300):
        return math.nan, math.nan, math.nan
    slope = shared / spread_x
    return slope, (y - slope * x) / count, shared / math.sqrt(spread_x * spread_y)
