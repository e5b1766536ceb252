"""Value ranges: from the user's units to about [0, 1] and back, and into the user's data type.

All of it is elementwise but `fill_from_nearest`, which looks at the whole array it is given: give it something that
does not depend on chunking, a plane or a tile.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_restore.errors import RecipeError

__all__ = ["FAR", "ValueRange", "estimate_range", "fill_from_nearest", "missing", "put_back", "to_dtype"]

Array = npt.NDArray[Any]

FAR = 3000.0
"""Values further than so many ranges from black are no image: Restormer's attention sums squares over a whole tile, and
one such pixel among 64 x 64 is not seen elsewhere, where one of 10 000 ranges spoils the tile."""


@dataclass(frozen=True)
class ValueRange:
    """The values, in data units, that are brought to 0 and to 1.

    Parameters
    ----------
    low, high : float
        Finite, `low` less than `high`.

    Raises
    ------
    RecipeError
        If they are not.

    Examples
    --------
    >>> ValueRange(100, 300).normalise(np.array([100, 200, 400], np.uint16))
    array([0. , 0.5, 1.5], dtype=float32)
    >>> ValueRange(100, 300).restore(np.array([0.0, 0.5, 1.5], np.float32))
    array([100., 200., 400.])
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.high - self.low) and self.low < self.high):
            raise RecipeError(
                f"value range {self.low}..{self.high} is empty or not finite; the first must be less than the second."
            )

    @property
    def limits(self) -> tuple[float, float]:
        """Values, in data units, beyond which a network is given others: ``-FAR`` and ``FAR``, normalised."""
        reach = FAR * (self.high - self.low)
        return self.low - reach, self.low + reach

    def reaching(self, low: float, high: float) -> ValueRange:
        """Give the range that holds this one and two values in data units as well."""
        return ValueRange(min(self.low, low), max(self.high, high))

    def normalise(self, x: Array) -> npt.NDArray[np.float32]:
        """Bring values from data units to about [0, 1].

        Parameters
        ----------
        x : numpy.ndarray
            Any integer or floating-point values, any shape. Values outside the range are not clipped.

        Returns
        -------
        numpy.ndarray
            ``(x - low) / (high - low)`` as float32, computed in float64: a large offset costs no digits.
        """
        shifted = np.subtract(x, self.low, dtype=np.float64)
        return np.divide(shifted, self.high - self.low, out=shifted).astype(np.float32)

    def restore(self, y: Array) -> npt.NDArray[np.float64]:
        """Bring values from about [0, 1] back to data units: the inverse of `normalise`, as float64."""
        scaled = np.multiply(y, self.high - self.low, dtype=np.float64)
        return np.add(scaled, self.low, out=scaled)


def estimate_range(samples: Array, percentiles: tuple[float, float] = (0.1, 99.9)) -> ValueRange:
    """Estimate the range of the data from some of its values.

    Parameters
    ----------
    samples : numpy.ndarray
        Integer or floating-point values, any shape. NaN and infinities are left out.
    percentiles : (float, float)
        Percentiles brought to 0 and 1, rising, in [0, 100]; not the ends, so hot and dead pixels have no say.

    Returns
    -------
    ValueRange
        Between the two percentiles; between the extremes where the percentiles coincide (a few objects on an empty
        background); one unit wide for a constant image; 0..1 where no value is finite.

    Raises
    ------
    RecipeError
        If the percentiles are not rising within [0, 100].

    Examples
    --------
    >>> estimate_range(np.arange(1001))
    ValueRange(low=1.0, high=999.0)
    """
    if not 0 <= percentiles[0] < percentiles[1] <= 100:
        raise RecipeError(f"percentiles {percentiles} are not rising within 0..100; use for example (0.1, 99.9).")
    finite = samples[np.isfinite(samples)]
    if finite.size == 0:
        return ValueRange(0.0, 1.0)
    # "nearest" takes values that are there: interpolating between extremes of float64 would overflow.
    low, high = (float(value) for value in np.percentile(finite, percentiles, method="nearest"))
    if low == high:
        low, high = float(finite.min()), float(finite.max())
    if low == high:
        high = low + max(1.0, abs(low) * 1e-6)
    return ValueRange(low, high)


def to_dtype(y: Array, dtype: npt.DTypeLike) -> Array:
    """Bring floating-point values into a data type without ever wrapping around.

    Parameters
    ----------
    y : numpy.ndarray
        Floating-point values in data units, any shape.
    dtype : dtype-like
        An integer or floating-point type.

    Returns
    -------
    numpy.ndarray
        For integers: rounded to the nearest (halves to even), clipped to the type's range, NaN as 0. For
        floating-point types: finite values clipped to the type's range, NaN and infinities kept. `y` itself where it
        has that type already.

    Raises
    ------
    RecipeError
        If `dtype` is neither an integer nor a floating-point type.

    Examples
    --------
    >>> to_dtype(np.array([-3.0, 7.5, 300.0, np.nan]), np.uint8)
    array([  0,   8, 255,   0], dtype=uint8)
    """
    target = np.dtype(dtype)
    if target == y.dtype:
        return y
    if np.issubdtype(target, np.integer):
        return _to_integer(y, target)
    if np.issubdtype(target, np.floating):
        return _to_float(y, target)
    raise RecipeError(f"data type {target} cannot hold a restored image; use an integer or floating-point type.")


def missing(plane: Array, limits: tuple[float, float] = (-math.inf, math.inf)) -> npt.NDArray[np.bool_] | None:
    """Tell which pixels are no part of the image: NaN, infinite, or beyond `limits`, as values for "no data" are.

    Integers of up to 16 bits have no such values, so those of a camera are all taken.

    Parameters
    ----------
    plane : numpy.ndarray
        Any shape.
    limits : (float, float)
        Lowest and highest value, in data units, that can be part of the image.

    Returns
    -------
    numpy.ndarray or None
        Boolean, of the same shape; None if there is no such pixel.

    Examples
    --------
    >>> missing(np.array([1.0, np.nan, -3.4e38]), limits=(-1e4, 1e4))
    array([False,  True,  True])
    """
    if plane.dtype.kind in "bui" and plane.dtype.itemsize <= 2:
        return None
    # Infinities are beyond any limits; limits beyond the type of the values would become infinite in it.
    largest = float(np.finfo(plane.dtype if np.issubdtype(plane.dtype, np.floating) else np.float64).max)
    low, high = max(limits[0], -largest), min(limits[1], largest)
    mask: npt.NDArray[np.bool_] = ~((plane >= low) & (plane <= high))
    return mask if mask.any() else None


def fill_from_nearest(plane: Array, mask: npt.NDArray[np.bool_] | None) -> Array:
    """Fill pixels that are no part of the image from their nearest neighbours, so that a network does not spread them.

    What is filled in depends on the whole array, so give it one that does not depend on chunking: a plane or a tile.

    Parameters
    ----------
    plane : numpy.ndarray
        Shape ``(..., h, w)``; each plane is filled from itself, with 0 where nothing is left of it.
    mask : numpy.ndarray or None
        What is to be filled, as `missing` tells: boolean, of the same shape; None for nothing.

    Returns
    -------
    numpy.ndarray
        A filled copy, or `plane` itself where nothing is missing.

    Examples
    --------
    >>> plane = np.array([[1.0, np.nan, np.nan, 4.0]])
    >>> fill_from_nearest(plane, missing(plane))
    array([[1., 1., 4., 4.]])
    """
    if mask is None:
        return plane
    filled = plane.copy()
    for index in np.ndindex(plane.shape[:-2]):
        filled[index] = _fill_nearest(plane[index], mask[index])
    return filled


def put_back(result: Array, plane: Array, mask: npt.NDArray[np.bool_] | None) -> Array:
    """Put the missing pixels of a plane back into its result, in place.

    Parameters
    ----------
    result : numpy.ndarray
        Floating-point, shape ``(..., h * scale, w * scale)`` with an integer scale; leading axes broadcast.
    plane : numpy.ndarray
        The source, shape ``(..., h, w)``.
    mask : numpy.ndarray or None
        Which of its pixels are put back; None for none.

    Returns
    -------
    numpy.ndarray
        `result`, with what `plane` has where it was filled, each over ``scale x scale`` pixels.

    Examples
    --------
    >>> plane = np.array([[1.0, np.nan]])
    >>> put_back(np.zeros((2, 4)), plane, missing(plane))
    array([[ 0.,  0., nan, nan],
           [ 0.,  0., nan, nan]])
    """
    if mask is None:
        return result
    scale_y, scale_x = result.shape[-2] // plane.shape[-2], result.shape[-1] // plane.shape[-1]
    # Splitting axes gives a view, output rows as (input row, row within it): no enlarged mask is made.
    split = result.reshape(*result.shape[:-2], plane.shape[-2], scale_y, plane.shape[-1], scale_x)
    np.copyto(split, plane[..., :, None, :, None], where=mask[..., :, None, :, None], casting="unsafe")
    return result


def _to_integer(y: Array, target: np.dtype[Any]) -> Array:
    info = np.iinfo(target)
    # float32 has no value between 2^32 - 256 and 2^32, so only 8 and 16 bits can be clipped in the type of y.
    values = y.astype(np.float64) if target.itemsize > 2 else y.astype(np.result_type(y.dtype, np.float32))
    np.rint(values, out=values)
    np.nan_to_num(values, copy=False, nan=0.0, posinf=np.inf, neginf=-np.inf)
    highest = float(info.max)
    if highest <= info.max:
        return np.clip(values, info.min, info.max, out=values).astype(target)
    # 64 bits: the float above the largest integer would wrap, the one below is not the largest integer.
    over = values >= highest
    result: Array = np.clip(values, float(info.min), np.nextafter(highest, 0.0), out=values).astype(target)
    result[over] = info.max
    return result


def _to_float(y: Array, target: np.dtype[Any]) -> Array:
    limit = float(np.finfo(target).max)
    if float(np.finfo(np.result_type(y.dtype, np.float16)).max) <= limit:
        return y.astype(target)
    clipped: Array = np.clip(y, -limit, limit).astype(target)
    infinite = np.isinf(y)
    clipped[infinite] = y[infinite]
    return clipped


def _fill_nearest(plane: Array, mask: npt.NDArray[np.bool_]) -> Array:
    if mask.all():
        return np.zeros_like(plane)
    indices = ndimage.distance_transform_edt(mask, return_distances=False, return_indices=True)
    filled: Array = plane[tuple(indices)]
    return filled
