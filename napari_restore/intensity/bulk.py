"""Find the bulk of an image, its pixels without fill and outliers, from which everything else is estimated.

Fill values (of stitching, registration, masks and saturation) are constant over areas, and such an area ends at an
edge; noise has neither. Outliers (hot and dead pixels, dust, fill without an area) are further from the bulk of the
image than its structure and noise.
"""

from __future__ import annotations

__all__ = ["fill_values", "robust_range", "valid_range", "without_fill"]

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_restore.intensity.noise import NoiseEstimate
from napari_restore.intensity.scaling import ValueRange, estimate_range
from napari_restore.intensity.validity import SQUARE, areas_of, constant_areas

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_RING = 3
"""Width, in pixels, of the ring around an area. Clipped values of a camera also occur in the ring, fill does not."""
_AT_MOST_AROUND = 0.05
"""Largest share of that ring that may have the value of the fill. Measured: 0.3 to 0.6 around areas of a camera's black
level, 0.08 to 0.2 around saturated structure, 0.00 around the fill of registration."""
_LEAST_SHARE = 1e-4
"""Smallest share of all pixels in areas of one value for which it is a fill value."""
_MOST_VALUES = 8
"""Largest number of fill values, those of the largest areas."""
_MARGIN = 4
"""Width, in pixels, of the margin around fill that no estimate uses: optics and resampling spread the fill value."""
_FAR_FROM_BULK = 3.0
"""Largest distance of the brightest or darkest thousandth that is part of the range, as a multiple of the distance of
the 99th or 1st percentile. None of 40 micrographs reaches 2.5."""
_ABSURD = 30.0
"""Largest distance of a value beyond the percentiles 1 and 99 that estimates use, as a multiple of their distance."""
_GAP = 10.0
"""Least distance, to the next value, of an extreme value of many pixels that estimates leave out, as a multiple of the
distance of the percentiles 1 and 99 of the others."""
_RARE = 0.99
"""Share of other values from which an extreme value is rare, so that the percentiles 1 and 99 are others."""
_NOISE_REACH = 12.0
"""Smallest distance of these percentiles, in standard deviations of the noise: a dim and sparse image is not taken for
noise."""
_CAP = 0.5
"""Largest distance of image values beyond the ends of the range, as a part of the range."""
_CAP_NOISE = 8.0
"""The same in standard deviations of the noise there: a peak of noise is no outlier."""


def fill_values(planes: Sequence[Array]) -> tuple[float, ...]:
    """Find the fill values of an image.

    A value is fill if at least a ten-thousandth of the pixels lie inside constant areas of it, and it is rare around
    these areas. Pixels clipped at a camera's black level, and saturated structure, are surrounded by single
    pixels of the same value: they are image. A plane of one value is fill, and so is the lowest or highest value if
    more than a hundredth of the pixels have it, and it is far from all others: noise has values between.

    Parameters
    ----------
    planes : sequence of numpy.ndarray
        Crops of one channel, shape ``(..., h, w)``, integer or floating-point.

    Returns
    -------
    tuple of float
        In data units, the value of the largest areas first; without NaN and infinities, which are never image.

    Examples
    --------
    >>> plane = np.random.default_rng(0).poisson(9.0, (64, 64)); plane[:, :8] = 0
    >>> fill_values([plane])
    (0.0,)
    """
    flat = [plane.reshape(-1, *plane.shape[-2:]) for plane in planes]
    total = sum(plane.size for plane in flat)
    counts: dict[float, int] = {}
    for plane in flat:
        for value, count in zip(*np.unique(_centres_of_squares(plane), return_counts=True), strict=True):
            if math.isfinite(value):
                counts[float(value)] = counts.get(float(value), 0) + int(count)
    largest = sorted(counts, key=lambda value: -counts[value])[:_MOST_VALUES]
    least = _LEAST_SHARE * total
    # An area has at most nine pixels for each of these centres.
    found = [value for value in largest if SQUARE.size * counts[value] >= least and _is_fill(flat, value, least)]
    return tuple(dict.fromkeys([*found, *_lonely_values(flat)]))


def _centres_of_squares(plane: Array) -> Array:
    """Return the values of the pixels whose eight neighbours all have the same value."""
    if min(plane.shape[-2:]) < 3:
        return plane[..., :0].ravel()
    centre, same = plane[..., 1:-1, 1:-1], np.ones(1, bool)
    height, width = plane.shape[-2:]
    for dy in range(3):
        for dx in range(3):
            same = same & (centre == plane[..., dy : height - 2 + dy, dx : width - 2 + dx])
    chosen: Array = centre[np.broadcast_to(same, centre.shape)]
    return chosen


def _is_fill(planes: Sequence[Array], value: float, least: float) -> bool:
    """Check that areas of a value have at least so many pixels, and hardly any pixel around them has that value."""
    inside = around = alike = 0
    square = SQUARE[None]
    for plane in planes:
        areas = constant_areas(plane, value)
        if areas.any():
            inside += int(np.count_nonzero(areas))
            near = ndimage.binary_dilation(areas, square)
            ring = ndimage.binary_dilation(near, square, iterations=_RING - 1) & ~near
            around += int(np.count_nonzero(ring))
            alike += int(np.count_nonzero(ring & (plane == value)))
    return inside >= least and alike <= _AT_MOST_AROUND * around


def _lonely_values(planes: Sequence[Array]) -> tuple[float, ...]:
    """Return the lowest and the highest value if it is that of many pixels, and far from all other values."""
    values = _finite(planes)
    if not values.size:
        return ()
    lowest, highest = float(values.min()), float(values.max())
    _, first, last = _without_lonely(values)
    return (*((lowest,) if first > -math.inf else ()), *((highest,) if last < math.inf else ()))


def _without_lonely(values: Floats) -> tuple[Floats, float, float]:
    """Return the values without lonely ones, and the lowest and the highest of the rest, infinite if none is lonely."""
    first, last = -math.inf, math.inf
    if values.size and (rest := _others(values, float(values.min()))) is not None:
        values, first = rest, float(rest.min())
    if values.size and (rest := _others(values, float(values.max()))) is not None:
        values, last = rest, float(rest.max())
    return values, first, last


def _others(values: Floats, extreme: float) -> Floats | None:
    """Return the values other than an extreme; None if it is rare, or close to the next value."""
    others = values != extreme
    if np.count_nonzero(others) > _RARE * values.size:
        return None
    rest = values[others]
    if not rest.size:
        return None
    gap = min(abs(float(rest.min()) - extreme), abs(float(rest.max()) - extreme))
    low, high = (float(value) for value in np.percentile(rest, (1, 99), method="nearest"))
    return rest if high > low and gap > _GAP * (high - low) else None


def without_fill(
    planes: Sequence[Array], fill: Sequence[float], exact: Sequence[float] = ()
) -> tuple[list[Floats], float]:
    """Convert crops to float64, with NaN for pixels that are fill, not finite, close to fill, or far from the rest.

    Pixels close to fill are kept if no others would remain in all crops together, and those close to single pixels that
    are not finite: beside areas only are values mixed with fill.

    Parameters
    ----------
    planes : sequence of numpy.ndarray
        Crops of one channel, shape ``(..., h, w)``, integer or floating-point, data units.
    fill : sequence of float
        Fill values, in data units, as `fill_values` returns them.
    exact : sequence of float
        Values of pixels that are no image wherever they are; those around them are image.

    Returns
    -------
    values : list of numpy.ndarray
        The crops, float64.
    share : float
        Share of all pixels that are fill or not finite.
    """
    values = [plane.astype(np.float64) for plane in planes]
    masks = [~np.isfinite(plane) for plane in values]
    for plane, mask in zip(planes, masks, strict=True):
        for value in fill:
            mask |= constant_areas(plane, value)
    close = [_dilated(areas_of(mask)) for mask in masks]
    for plane, mask in zip(planes, masks, strict=True):
        for value in exact:
            mask |= plane == value
    total = sum(mask.size for mask in masks)
    share = sum(int(np.count_nonzero(mask)) for mask in masks) / total if total else 0.0
    if all((near | mask).all() for near, mask in zip(close, masks, strict=True)):
        close = masks
    for plane, near, mask in zip(values, close, masks, strict=True):
        plane[near | mask] = np.nan
    low, high = _absurd(values)
    for plane in values:
        plane[(plane < low) | (plane > high)] = np.nan
    return values, share


def _absurd(planes: Sequence[Floats]) -> tuple[float, float]:
    """Return the values beyond which single pixels, such as "no data", would change even a robust estimate."""
    values = _finite(planes)
    if not values.size:
        return -math.inf, math.inf
    values, first, last = _without_lonely(values)
    low, high = (float(value) for value in np.percentile(values, (1, 99), method="nearest", overwrite_input=True))
    reach = _ABSURD * (high - low)
    return (max(low - reach, first), min(high + reach, last)) if reach else (first, last)


def _finite(planes: Sequence[Array]) -> Floats:
    """Return the finite values of all crops in one new array, made without a second copy of them."""
    values, end = np.empty(sum(int(np.count_nonzero(np.isfinite(plane))) for plane in planes)), 0
    for plane in planes:
        found = plane[np.isfinite(plane)]
        values[end : end + found.size] = found
        end += found.size
    return values


def _dilated(mask: Mask) -> Mask:
    if not mask.any():
        return mask
    grown: Mask = ndimage.binary_dilation(mask, SQUARE.reshape((1,) * (mask.ndim - 2) + (3, 3)), iterations=_MARGIN)
    return grown


def robust_range(planes: Sequence[Floats], noise: NoiseEstimate | None) -> ValueRange:
    """Estimate the value range of an image from crops without fill, robustly against outliers.

    The range is that of `estimate_range`, the percentiles 0.1 and 99.9. Where one of these is three times as far out as
    the percentile 1 or 99 (or 36 standard deviations of the noise, if that is more), it is a percentile of outliers:
    they are left out, and the percentiles of the rest are used.

    Parameters
    ----------
    planes : sequence of numpy.ndarray
        Crops as `without_fill` returns them.
    noise : NoiseEstimate or None
        Noise of these crops.

    Returns
    -------
    ValueRange
        In data units; 0..1 if no pixel is image.
    """
    values = _finite(planes)
    if values.size == 0:
        return ValueRange(0.0, 1.0)
    least = _NOISE_REACH * (noise.sigma_median if noise is not None else 0.0)
    shares = (0.1, 1, 50, 99, 99.9)
    darkest, dark, median, bright, brightest = np.percentile(values, shares, method="nearest", overwrite_input=True)
    above, below = max(bright - dark, least), max(median - dark, least)
    if above > 0 and brightest > dark + _FAR_FROM_BULK * above:
        values = values[values <= dark + _FAR_FROM_BULK * above]
    if below > 0 and darkest < dark - _FAR_FROM_BULK * below:
        values = values[values >= dark - _FAR_FROM_BULK * below]
    return estimate_range(values, overwrite=True)


def valid_range(found: ValueRange, noise: NoiseEstimate | None) -> tuple[float, float]:
    """Return the lowest and highest value of the bulk of an image.

    They lie half a range, or eight standard deviations of the noise if that is more, beyond the value range.

    Parameters
    ----------
    found : ValueRange
        Value range of the image.
    noise : NoiseEstimate or None
        Noise of the image.

    Returns
    -------
    (float, float)
        In data units.

    Examples
    --------
    >>> valid_range(ValueRange(100, 300), None)
    (0.0, 400.0)
    """
    reach = _CAP * (found.high - found.low)
    low, high = (_CAP_NOISE * float(noise.sigma(v)) if noise is not None else 0.0 for v in (found.low, found.high))
    return found.low - max(reach, low), found.high + max(reach, high)
