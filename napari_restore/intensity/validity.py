"""Find the pixels of a plane that are no image, by rules that `napari_restore.intensity.bulk` estimates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_restore.intensity.scaling import missing

__all__ = ["REACH", "SQUARE", "Validity", "areas_of", "constant_areas"]

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]

REACH = 2
"""Distance, in pixels, of the pixels that decide whether a pixel is image."""
SQUARE = np.ones((3, 3), bool)
"""Smallest area: the noise of a camera is hardly ever constant over so many pixels."""


@dataclass(frozen=True)
class Validity:
    """Rules that decide which pixels of a channel are image.

    Parameters
    ----------
    low, high : float
        Lowest and highest value of the bulk of the image, in data units. Single pixels beyond are no image. Areas
        beyond are image with a value range of their own, such as bright nuclei beside dim filaments.
    fill : tuple of float
        Fill values, in data units: areas of them are no image.
    exact : tuple of float
        Values of pixels that are no image wherever they are.

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
    exact: tuple[float, ...] = ()

    def missing(self, plane: Array, limits: tuple[float, float] = (-math.inf, math.inf)) -> Mask | None:
        """Find the pixels that are no image.

        These are NaN and infinities, values beyond `limits`, fill, the values `exact`, and single pixels beyond the
        bulk.

        Parameters
        ----------
        plane : numpy.ndarray
            Shape ``(..., h, w)``. A pixel depends on those up to `REACH` pixels away; areas continue beyond the edges.
        limits : (float, float)
            See `napari_restore.intensity.scaling.missing`.

        Returns
        -------
        numpy.ndarray or None
            Boolean, of the same shape; None if all are image.
        """
        mask = missing(plane, limits)
        for areas in (
            *(constant_areas(plane, value) for value in self.fill),
            *(plane == value for value in self.exact),
        ):
            if areas.any():
                mask = areas if mask is None else mask | areas
        outside = self._outside(plane, mask)
        if outside is not None:
            single = outside & ~areas_of(outside)
            if single.any():
                mask = single if mask is None else mask | single
        return mask

    def beyond(self, plane: Array, limits: tuple[float, float] = (-math.inf, math.inf)) -> Mask | None:
        """Find areas beyond the bulk, of at least 3 x 3 pixels: image with a value range of its own.

        Parameters
        ----------
        plane : numpy.ndarray
            See `missing`.
        limits : (float, float)
            See `napari_restore.intensity.scaling.missing`.

        Returns
        -------
        numpy.ndarray or None
            Boolean, of the same shape; None if there are no such areas.
        """
        outside = self._outside(plane, missing(plane, limits))
        if outside is None:
            return None
        for value in self.fill:
            outside &= ~constant_areas(plane, value)
        for value in self.exact:
            outside &= plane != value
        areas = areas_of(outside)
        return areas if areas.any() else None

    def _outside(self, plane: Array, mask: Mask | None) -> Mask | None:
        """Find the finite pixels beyond the bulk; None if there are none."""
        if (self.low, self.high) == (-math.inf, math.inf):
            return None
        # The extremes of integers take a tenth of the time of a mask.
        if plane.dtype.kind in "ui" and plane.size and self.low <= plane.min() and plane.max() <= self.high:
            return None
        outside: Mask = (plane < self.low) | (plane > self.high)
        if mask is not None:
            outside &= ~mask
        return outside if outside.any() else None


def constant_areas(plane: Array, value: float) -> Mask:
    """Find areas of one value: squares of 3 x 3 pixels that all have it.

    Parameters
    ----------
    plane : numpy.ndarray
        Shape ``(..., h, w)``. Pixels outside count as having the value.
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
    return areas_of(plane == value)


def areas_of(mask: Mask) -> Mask:
    """Keep only the squares of 3 x 3 pixels of a mask.

    Parameters
    ----------
    mask : numpy.ndarray
        Boolean, shape ``(..., h, w)``. Pixels outside count as part of it.

    Returns
    -------
    numpy.ndarray
        Boolean, of the same shape.
    """
    if not mask.any():
        return mask
    square = SQUARE.reshape((1,) * (mask.ndim - 2) + (3, 3))
    padded = np.pad(mask, [(0, 0)] * (mask.ndim - 2) + [(REACH, REACH)] * 2, constant_values=True)
    opened: Mask = ndimage.binary_opening(padded, square)[..., REACH:-REACH, REACH:-REACH]
    return opened & mask
