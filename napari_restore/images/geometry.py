"""Compute the positions of pixels: pixel size and origin of an axis, and the half-pixel shift of up- and downscaling.

A pixel is as wide as the distance between two centres, and extends by half of it on each side of its centre. Scaling
does not change the extent of an image. So the centre of the first new pixel is not that of the first old one:

    old   |     0     |     1     |         centres at 0 and 1
    new   |  0  |  1  |  2  |  3  |         centres at -1/4, 1/4, 3/4 and 5/4
"""

from __future__ import annotations

__all__ = ["Sampling", "first_centre"]

import math
from dataclasses import dataclass
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", float, NDArray[np.float64])


def first_centre(width: Number) -> Number:
    """Return the centre of the first new pixel, in old pixels from the centre of the first old pixel.

    Parameters
    ----------
    width : float or numpy.ndarray
        Width of a new pixel in old pixels: 1/2 after upscaling by 2, 2 after downscaling by 2.

    Returns
    -------
    float or numpy.ndarray
        (width - 1) / 2.

    Examples
    --------
    >>> first_centre(1 / 2), first_centre(2.0)
    (-0.25, 0.5)
    """
    return (width - 1) / 2


@dataclass(frozen=True)
class Sampling:
    """Positions of the pixels along one axis: the centre of pixel q is origin + q × pixel_size.

    Attributes
    ----------
    pixel_size : float
        Distance from one centre to the next, in the unit of the axis; negative for decreasing positions.
    origin : float
        Position of the centre of the first pixel, in the same unit.

    Raises
    ------
    ValueError
        If the pixel size is zero, or one of the two is not finite.
    """

    pixel_size: float = 1.0
    origin: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.pixel_size) and math.isfinite(self.origin)) or self.pixel_size == 0:
            raise ValueError(
                f"pixel size {self.pixel_size} and origin {self.origin} are not finite, or the size is zero."
            )

    @classmethod
    def between(cls, start: float, stop: float, count: int) -> Self:
        """Return the sampling of pixels between two outer edges.

        Parameters
        ----------
        start, stop : float
            Positions of the outer edges, in the unit of the axis.
        count : int
            Number of pixels.

        Returns
        -------
        Sampling
            Of these pixels.
        """
        size = (stop - start) / count
        return cls(size, start + size / 2)

    @classmethod
    def of(cls, positions: NDArray[np.number], tolerance: float = 1e-3) -> Self | None:
        """Return the sampling of evenly spaced positions.

        Parameters
        ----------
        positions : numpy.ndarray
            Positions of the centres, shape ``(count,)``, in the unit of the axis.
        tolerance : float
            Largest deviation of a step from the mean step, as a share of the mean step.

        Returns
        -------
        Sampling or None
            None if the positions are not evenly spaced.
        """
        if positions.ndim != 1 or len(positions) < 2 or not np.issubdtype(positions.dtype, np.number):
            return None
        steps = np.diff(positions.astype(float))
        mean = float(steps.mean())
        if not mean or not math.isfinite(mean) or not np.allclose(steps, mean, rtol=tolerance, atol=0):
            return None
        return cls(mean, float(positions[0]))

    def upscaled(self, factor: float) -> Self:
        """Return the sampling after upscaling.

        Parameters
        ----------
        factor : float
            New pixels per old pixel.

        Returns
        -------
        Sampling
            Of the new pixels.
        """
        return type(self)(self.pixel_size / factor, self.origin + first_centre(1 / factor) * self.pixel_size)

    def downscaled(self, factor: float) -> Self:
        """Return the sampling after downscaling.

        Parameters
        ----------
        factor : float
            Old pixels per new pixel.

        Returns
        -------
        Sampling
            Of the new pixels.
        """
        return type(self)(self.pixel_size * factor, self.origin + first_centre(factor) * self.pixel_size)

    def starting_at(self, first: int) -> Self:
        """Return the sampling of a region that starts at a pixel.

        Parameters
        ----------
        first : int
            Index of the first pixel of the region.

        Returns
        -------
        Sampling
            Of the pixels of the region.
        """
        return type(self)(self.pixel_size, self.origin + first * self.pixel_size)

    def positions(self, count: int) -> NDArray[np.float64]:
        """Return the centres of pixels.

        Parameters
        ----------
        count : int
            Number of pixels.

        Returns
        -------
        numpy.ndarray
            Shape ``(count,)``, float64, in the unit of the axis.
        """
        return self.origin + np.arange(count, dtype=np.float64) * self.pixel_size

    def edges(self, count: int) -> tuple[float, float]:
        """Return the outer edges of the first and the last pixel.

        Parameters
        ----------
        count : int
            Number of pixels.

        Returns
        -------
        (float, float)
            In the unit of the axis; the second is smaller for decreasing positions.

        Examples
        --------
        >>> Sampling(0.5, 10.0).edges(4)
        (9.75, 11.75)
        """
        half = self.pixel_size / 2
        return self.origin - half, self.origin + (count - 1) * self.pixel_size + half
