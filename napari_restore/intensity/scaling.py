"""Normalise values to about [0, 1], restore them to data units, and cast them to the data type of the result.

All functions are elementwise except `fill_missing`, which depends on the whole array: pass arrays that do not
depend on chunking, such as planes or tiles.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_restore.errors import RecipeError
from napari_restore.intensity.table import by_table

__all__ = [
    "FAR",
    "FILL_VERSION",
    "ValueRange",
    "estimate_range",
    "fill_missing",
    "missing",
    "put_back",
    "to_dtype",
    "without_infinities",
]

Array = npt.NDArray[Any]

FILL_VERSION = 2
"""Version of `fill_missing`, part of the fingerprint of runs with rules for missing pixels: increase it if a change of
the method moves the pixels."""
FAR = 3000.0
"""Largest distance of a value from black, in value ranges, that can be image. Restormer's attention sums squares over a
whole tile: one pixel of this value among 64 x 64 does not change the others visibly, one of 10 000 ranges does."""


@dataclass(frozen=True)
class ValueRange:
    """The values, in data units, that become 0 and 1 for the network.

    Parameters
    ----------
    low, high : float
        In data units: finite, `low` less than `high`.

    Raises
    ------
    RecipeError
        If a value is not finite, or `low` is not less than `high`.

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
        """Lowest and highest value, in data units, that a network is given: ``-FAR`` and ``FAR`` when normalised."""
        reach = FAR * (self.high - self.low)
        return self.low - reach, self.low + reach

    def extended(self, low: float, high: float) -> ValueRange:
        """Return this range, extended to include two values.

        Parameters
        ----------
        low, high : float
            Values, in data units.

        Returns
        -------
        ValueRange
            The smallest range that includes this one and both values.
        """
        return ValueRange(min(self.low, low), max(self.high, high))

    def normalise(self, x: Array) -> npt.NDArray[np.float32]:
        """Normalise values from data units to about [0, 1].

        Parameters
        ----------
        x : numpy.ndarray
            Any integer or floating-point values, any shape. Values outside the range are not clipped.

        Returns
        -------
        numpy.ndarray
            ``(x - low) / (high - low)`` as float32, computed in float64, so that a large offset costs no precision.
        """
        return by_table(ValueRange._normalised, self, x)

    def _normalised(self, x: Array) -> npt.NDArray[np.float32]:
        shifted = np.subtract(x, self.low, dtype=np.float64)
        return np.divide(shifted, self.high - self.low, out=shifted).astype(np.float32)

    def restore(self, y: Array) -> npt.NDArray[np.float64]:
        """Restore values from about [0, 1] to data units: the inverse of `normalise`.

        Parameters
        ----------
        y : numpy.ndarray
            Floating-point values, any shape.

        Returns
        -------
        numpy.ndarray
            ``y * (high - low) + low`` as float64.
        """
        scaled = np.multiply(y, self.high - self.low, dtype=np.float64)
        return np.add(scaled, self.low, out=scaled)


def estimate_range(
    samples: Array, percentiles: tuple[float, float] = (0.1, 99.9), *, overwrite: bool = False
) -> ValueRange:
    """Estimate the value range of the data from a sample of its values.

    Parameters
    ----------
    samples : numpy.ndarray
        Integer or floating-point values, any shape. NaN and infinities are left out.
    percentiles : (float, float)
        Percentiles that become 0 and 1, rising, in [0, 100]. The default leaves out hot and dead pixels.
    overwrite : bool
        Whether the order of `samples` may be changed, which saves memory.

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
    finite = samples if overwrite and np.isfinite(samples).all() else samples[np.isfinite(samples)]
    if finite.size == 0:
        return ValueRange(0.0, 1.0)
    # "nearest" returns values of the data: interpolation between extremes of float64 would overflow.
    low, high = (float(value) for value in np.percentile(finite, percentiles, method="nearest", overwrite_input=True))
    if low == high:
        low, high = float(finite.min()), float(finite.max())
    if low == high:
        high = low + max(1.0, abs(low) * 1e-6)
    return ValueRange(low, high)


def to_dtype(y: Array, dtype: npt.DTypeLike) -> Array:
    """Cast floating-point values to a data type without wrapping around.

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
    """Find missing pixels: NaN, infinite, or beyond `limits`, as values for "no data" are.

    Integers of up to 16 bits have no such values: all values of a camera are image.

    Parameters
    ----------
    plane : numpy.ndarray
        Any shape.
    limits : (float, float)
        Lowest and highest value, in data units, that can be part of the image.

    Returns
    -------
    numpy.ndarray or None
        Boolean, of the same shape, True for missing pixels; None if no pixel is missing.

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


def without_infinities(values: Array) -> npt.NDArray[np.float64]:
    """Return a float64 copy with NaN for infinite values, whose differences and means mean nothing.

    Parameters
    ----------
    values : numpy.ndarray
        Any shape.

    Returns
    -------
    numpy.ndarray
        Float64, of the same shape.

    Examples
    --------
    >>> without_infinities(np.array([1.0, -np.inf]))
    array([ 1., nan])
    """
    found = values.astype(np.float64)
    found[np.isinf(found)] = np.nan
    return found


def fill_missing(plane: Array, mask: npt.NDArray[np.bool_] | None, *, mirrored: bool = True) -> Array:
    """Fill missing pixels from the valid pixels around them, so that a network does not spread them.

    A missing pixel gets the value at its mirror image: as far behind the nearest valid pixel as it lies before it. So
    filled areas have the noise of their surroundings. Areas of one value, or with the nearest pixels continued in
    stripes, look like structure to a network, which then keeps the noise beside them. Where the mirror image is missing
    too, the pixel gets the value of the nearest valid pixel.

    The filled values depend on the whole array: pass one that does not depend on chunking, such as a plane or a tile.

    Parameters
    ----------
    plane : numpy.ndarray
        Shape ``(..., h, w)``; each plane is filled from its own pixels, and with 0 if all of them are missing.
    mask : numpy.ndarray or None
        Pixels to fill, as `missing` returns them: boolean, of the same shape; None for no pixel.
    mirrored : bool
        False: use the nearest valid pixels only, as recipes without a valid range do.

    Returns
    -------
    numpy.ndarray
        A filled copy, or `plane` itself where nothing is missing.

    Examples
    --------
    >>> plane = np.array([[1.0, 2.0, np.nan, np.nan, np.nan, np.nan, 3.0, 4.0]])
    >>> fill_missing(plane, missing(plane))
    array([[1., 2., 2., 1., 4., 3., 3., 4.]])
    >>> fill_missing(plane, missing(plane), mirrored=False)
    array([[1., 2., 2., 2., 3., 3., 3., 4.]])
    """
    if mask is None:
        return plane
    filled = plane.copy()
    for index in np.ndindex(plane.shape[:-2]):
        filled[index] = _filled(plane[index], mask[index], mirrored)
    return filled


def put_back(result: Array, plane: Array, mask: npt.NDArray[np.bool_] | None) -> Array:
    """Copy the missing pixels of a plane into its result, in place.

    Parameters
    ----------
    result : numpy.ndarray
        Floating-point, shape ``(..., h * scale, w * scale)`` with an integer scale; leading axes broadcast.
    plane : numpy.ndarray
        The source, shape ``(..., h, w)``.
    mask : numpy.ndarray or None
        Pixels to copy: boolean, of the shape of `plane`; None for no pixel.

    Returns
    -------
    numpy.ndarray
        `result`, with the value of each of these pixels in ``scale x scale`` pixels.

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
    # Splitting axes gives a view, output rows as (input row, row within it), so the mask need not be upsampled.
    split = result.reshape(*result.shape[:-2], plane.shape[-2], scale_y, plane.shape[-1], scale_x)
    np.copyto(split, plane[..., :, None, :, None], where=mask[..., :, None, :, None], casting="unsafe")
    return result


def _to_integer(y: Array, target: np.dtype[Any]) -> Array:
    info = np.iinfo(target)
    # float32 has no value between 2^32 - 256 and 2^32, so only 8 and 16 bits can be clipped in the type of y.
    values = np.rint(y, dtype=np.float64 if target.itemsize > 2 else np.result_type(y.dtype, np.float32))
    with np.errstate(invalid="ignore", over="ignore"):
        total = np.add.reduce(values, axis=None)
    if not np.isfinite(total):
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


def _filled(plane: Array, mask: npt.NDArray[np.bool_], mirrored: bool) -> Array:
    if mask.all():
        return np.zeros_like(plane)
    if not mask.any():
        return plane
    source = ndimage.distance_transform_edt(mask, return_distances=False, return_indices=True)
    if mirrored:
        at = np.stack(np.nonzero(mask))
        nearest = source[:, mask]
        mirror = 2 * nearest - at - np.sign(nearest - at)  # the pixel beside an edge gets the one on its other side
        inside = ((mirror >= 0) & (mirror < np.array(plane.shape)[:, None])).all(axis=0)
        inside[inside] = ~mask[tuple(mirror[:, inside])]
        source[:, mask] = np.where(inside, mirror, nearest)
    filled: Array = plane[tuple(source)]
    return filled
