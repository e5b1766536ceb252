"""Which values are image: fill values and outliers are found before anything is estimated from an image.

Fill values (what stitching, registration, masks and saturation leave) are constant over areas, and an area of fill ends
at an edge: noise makes neither. Outliers (hot and dead pixels, dust, fill without an area) are further from the bulk of
the image than its own structure and noise reach.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_restore.intensity.noise import NoiseEstimate
from napari_restore.intensity.scaling import ValueRange, estimate_range, missing

__all__ = ["REACH", "Validity", "constant_areas", "fill_values", "robust_range", "valid_range", "without_fill"]

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]

REACH = 2
"""Pixels beside a pixel that decide whether it is image."""
_SQUARE = np.ones((3, 3), bool)
"""What is constant over so many pixels is an area: noise of a camera hardly ever makes one."""
_RING = 3
"""Width in pixels of the ring around an area in which fill is not found, and what a camera has clipped is."""
_AT_MOST_AROUND = 0.05
"""Share of that ring that may have the value. Measured: 0.3 to 0.6 around areas of a camera's black level, 0.08 to 0.2
around saturated structure, 0.00 around the fill of registration."""
_LEAST_SHARE = 1e-4
"""Of all pixels that lie in areas of one value, for it to be a fill value."""
_MOST_VALUES = 8
"""Fill values that are looked for at most, those of the largest areas."""
_MARGIN = 4
"""Pixels around fill that have no say in what is estimated: optics and resampling spread what was there."""
_FAR_FROM_BULK = 3.0
"""Times the distance between the median's side of the image and its 1st or 99th percentile from which the brightest or
darkest thousandth is no part of the range. Of 40 micrographs none reaches 2.5."""
_ABSURD = 30.0
"""Times the distance between the percentiles 1 and 99, beyond these, from which a value has no say at all."""
_NOISE_REACH = 12.0
"""The same, in standard deviations of the noise: a dim and sparse image is not taken for noise."""
_CAP = 0.5
"""Part of the range beyond its ends up to which values are image."""
_CAP_NOISE = 8.0
"""The same in standard deviations of the noise there: a peak of noise is no outlier."""


@dataclass(frozen=True)
class Validity:
    """Which pixels of a channel are image.

    Parameters
    ----------
    low, high : float
        Lowest and highest value, in data units, of the image's bulk. Single pixels beyond are no image; areas beyond
        are image at a range of their own: bright nuclei beside dim filaments.
    fill : tuple of float
        Values that fill areas without being image.

    Examples
    --------
    >>> plane = np.zeros((5, 9)); plane[1:4, 1:4] = 9; plane[2, 7] = 8
    >>> valid = Validity(0, 5)
    >>> np.argwhere(valid.missing(plane)).tolist(), int(valid.beyond(plane).sum())
    ([[2, 7]], 9)
    """

    low: float = -math.inf
    high: float = math.inf
    fill: tuple[float, ...] = ()

    def missing(self, plane: Array, limits: tuple[float, float] = (-math.inf, math.inf)) -> Mask | None:
        """Tell which pixels are no image: NaN, infinite, beyond `limits`, fill, and single pixels beyond the bulk.

        Parameters
        ----------
        plane : numpy.ndarray
            Shape ``(..., h, w)``. Pixels up to `REACH` away decide, and what lies outside counts as like the edge.
        limits : (float, float)
            See `napari_restore.intensity.scaling.missing`.

        Returns
        -------
        numpy.ndarray or None
            Boolean, of the same shape; None if all are image.
        """
        mask = missing(plane, limits)
        for value in self.fill:
            areas = constant_areas(plane, value)
            if areas.any():
                mask = areas if mask is None else mask | areas
        outside = self._outside(plane, mask)
        if outside is not None:
            single = outside & ~_areas(outside)
            if single.any():
                mask = single if mask is None else mask | single
        return mask

    def beyond(self, plane: Array, limits: tuple[float, float] = (-math.inf, math.inf)) -> Mask | None:
        """Tell which pixels lie in areas beyond the bulk, of at least 3 x 3 pixels: image at a range of its own.

        Parameters and result are those of `missing`.
        """
        outside = self._outside(plane, missing(plane, limits))
        if outside is None:
            return None
        for value in self.fill:
            outside &= ~constant_areas(plane, value)
        areas = _areas(outside)
        return areas if areas.any() else None

    def _outside(self, plane: Array, mask: Mask | None) -> Mask | None:
        """Tell which pixels are finite and beyond the bulk; None if none is."""
        if (self.low, self.high) == (-math.inf, math.inf):
            return None
        outside: Mask = (plane < self.low) | (plane > self.high)
        if mask is not None:
            outside &= ~mask
        return outside if outside.any() else None


def constant_areas(plane: Array, value: float) -> Mask:
    """Tell which pixels of a plane lie in areas of one value: in squares of 3 x 3 pixels that all have it.

    Parameters
    ----------
    plane : numpy.ndarray
        Shape ``(..., h, w)``. What lies outside counts as having the value.
    value : float
        In data units.

    Returns
    -------
    numpy.ndarray
        Boolean, of the same shape. It depends on pixels up to 2 away.

    Examples
    --------
    >>> constant_areas(np.array([[0, 0, 5], [0, 7, 6], [8, 0, 9]]), 0)
    array([[ True,  True, False],
           [ True, False, False],
           [False, False, False]])
    """
    same: Mask = plane == value
    if not same.any():
        return same
    return _areas(same)


def _areas(mask: Mask) -> Mask:
    """Keep of a mask the squares of 3 x 3 pixels; what lies outside counts as part of it."""
    square = _SQUARE.reshape((1,) * (mask.ndim - 2) + (3, 3))
    padded = np.pad(mask, [(0, 0)] * (mask.ndim - 2) + [(REACH, REACH)] * 2, constant_values=True)
    opened: Mask = ndimage.binary_opening(padded, square)[..., REACH:-REACH, REACH:-REACH]
    return opened & mask


def fill_values(planes: Sequence[Array]) -> tuple[float, ...]:
    """Find the values that fill areas of an image without being image.

    A value fills if at least a ten-thousandth of the pixels lie in constant areas of it, and hardly any pixel around
    these areas has it. What a camera clips at its black level, or saturated structure, is surrounded by single pixels
    of the same value and stays image; a plane of one value is fill.

    Parameters
    ----------
    planes : sequence of numpy.ndarray
        Crops of one channel, shape ``(..., h, w)``, integer or floating-point.

    Returns
    -------
    tuple of float
        In data units, that of the largest areas first; without NaN and infinities, which are never image.

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
    return tuple(value for value in largest if counts[value] >= _LEAST_SHARE * total and _ends_at_an_edge(flat, value))


def _centres_of_squares(plane: Array) -> Array:
    """Values of the pixels whose eight neighbours are all like them."""
    if min(plane.shape[-2:]) < 3:
        return plane[..., :0].ravel()
    centre, same = plane[..., 1:-1, 1:-1], np.ones(1, bool)
    height, width = plane.shape[-2:]
    for dy in range(3):
        for dx in range(3):
            same = same & (centre == plane[..., dy : height - 2 + dy, dx : width - 2 + dx])
    chosen: Array = centre[np.broadcast_to(same, centre.shape)]
    return chosen


def _ends_at_an_edge(planes: Sequence[Array], value: float) -> bool:
    """Tell whether hardly any pixel beside the areas of a value has it too."""
    around = alike = 0
    square = _SQUARE[None]
    for plane in planes:
        areas = constant_areas(plane, value)
        if areas.any():
            near = ndimage.binary_dilation(areas, square)
            ring = ndimage.binary_dilation(near, square, iterations=_RING - 1) & ~near
            around += int(np.count_nonzero(ring))
            alike += int(np.count_nonzero(ring & (plane == value)))
    return alike <= _AT_MOST_AROUND * around


def without_fill(planes: Sequence[Array], fill: Sequence[float]) -> tuple[list[npt.NDArray[np.float64]], float]:
    """Give crops as float64 with NaN where they are fill, not finite, close to fill, or absurdly far from the rest.

    If nothing else were left of all crops together, the pixels close to fill stay.

    Returns
    -------
    values : list of numpy.ndarray
        The crops.
    share : float
        Share of all pixels that are fill or not finite.
    """
    values = [plane.astype(np.float64) for plane in planes]
    masks = [~np.isfinite(plane) for plane in values]
    for plane, mask in zip(planes, masks, strict=True):
        for value in fill:
            mask |= constant_areas(plane, value)
    total = sum(mask.size for mask in masks)
    share = sum(int(np.count_nonzero(mask)) for mask in masks) / total if total else 0.0
    close = [_dilated(mask) for mask in masks]
    if all(mask.all() for mask in close):
        close = masks
    for plane, mask in zip(values, close, strict=True):
        plane[mask] = np.nan
    low, high = _absurd(values)
    for plane in values:
        plane[(plane < low) | (plane > high)] = np.nan
    return values, share


def _absurd(planes: Sequence[npt.NDArray[np.float64]]) -> tuple[float, float]:
    """Values beyond which even an estimate that is robust would suffer: single pixels of "no data", say."""
    finite = [plane[np.isfinite(plane)] for plane in planes]
    if not sum(values.size for values in finite):
        return -math.inf, math.inf
    low, high = (float(value) for value in np.percentile(np.concatenate(finite), (1, 99), method="nearest"))
    reach = _ABSURD * (high - low)
    return (low - reach, high + reach) if reach else (-math.inf, math.inf)


def _dilated(mask: Mask) -> Mask:
    if not mask.any():
        return mask
    grown: Mask = ndimage.binary_dilation(mask, _SQUARE.reshape((1,) * (mask.ndim - 2) + (3, 3)), iterations=_MARGIN)
    return grown


def robust_range(planes: Sequence[npt.NDArray[np.float64]], noise: NoiseEstimate | None) -> ValueRange:
    """Estimate the range of an image from crops without fill: the brightest or darkest hundredth never decides it.

    The range is that of `estimate_range`, the percentiles 0.1 and 99.9. Where one of these lies three times as far out
    as the percentile 1 or 99 (or 36 standard deviations of the noise, if that is more), it is a percentile of the
    outliers; they are left out then, and the percentiles are those of the rest.

    Parameters
    ----------
    planes : sequence of numpy.ndarray
        The crops that `without_fill` returns.
    noise : NoiseEstimate or None
        Of these crops.
    """
    values = np.concatenate([plane[np.isfinite(plane)] for plane in planes]) if planes else np.zeros(0)
    if values.size == 0:
        return ValueRange(0.0, 1.0)
    least = _NOISE_REACH * (noise.sigma_median if noise is not None else 0.0)
    darkest, dark, median, bright, brightest = np.percentile(values, (0.1, 1, 50, 99, 99.9), method="nearest")
    above, below = max(bright - dark, least), max(median - dark, least)
    if above > 0 and brightest > dark + _FAR_FROM_BULK * above:
        values = values[values <= dark + _FAR_FROM_BULK * above]
    if below > 0 and darkest < dark - _FAR_FROM_BULK * below:
        values = values[values >= dark - _FAR_FROM_BULK * below]
    return estimate_range(values)


def valid_range(found: ValueRange, noise: NoiseEstimate | None) -> tuple[float, float]:
    """Lowest and highest value that are image: half a range, or eight standard deviations of noise, beyond the range.

    Parameters
    ----------
    found : ValueRange
        Of the image.
    noise : NoiseEstimate or None
        Of the image.

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
