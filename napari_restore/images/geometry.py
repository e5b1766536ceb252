"""Where pixels lie: pixel size and origin of an axis, and the half-pixel rule of up- and downscaling.

A pixel is as wide as the distance between two centres, and lies half to the left and half to the right of its own. An
image covers what all its pixels cover, and covers the same after it was scaled. So the centre of the first new pixel is
not that of the first old one:

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
    """Return where the centre of the first new pixel lies, counted in old pixels from the centre of the first old one.

    Parameters
    ----------
    width : float or numpy.ndarray
        Width of a new pixel in old ones: 1/2 where twice as many are made of them, 2 where two become one.

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
    """Positions of the pixels along one axis: pixel q has its centre at origin + q × pixel_size.

    Attributes
    ----------
    pixel_size : float
        Distance from one centre to the next, in the unit of the axis; negative where positions fall.
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
        """Return the sampling of `count` pixels whose outer edges are at `start` and `stop`."""
        size = (stop - start) / count
        return cls(size, start + size / 2)

    @classmethod
    def of(cls, positions: NDArray[np.number], tolerance: float = 1e-3) -> Self | None:
        """Return the sampling of evenly spaced positions; None for others.

        Parameters
        ----------
        positions : numpy.ndarray, shape (count,)
            Positions of the centres.
        tolerance : float
            How far a step may differ from the mean step, as a part of that.
        """
        if positions.ndim != 1 or len(positions) < 2 or not np.issubdtype(positions.dtype, np.number):
            return None
        steps = np.diff(positions.astype(float))
        mean = float(steps.mean())
        if not mean or not math.isfinite(mean) or not np.allclose(steps, mean, rtol=tolerance, atol=0):
            return None
        return cls(mean, float(positions[0]))

    def upscaled(self, factor: float) -> Self:
        """Return the sampling after each pixel was replaced by `factor` of them."""
        return type(self)(self.pixel_size / factor, self.origin + first_centre(1 / factor) * self.pixel_size)

    def downscaled(self, factor: float) -> Self:
        """Return the sampling after `factor` pixels were replaced by one."""
        return type(self)(self.pixel_size * factor, self.origin + first_centre(factor) * self.pixel_size)

    def starting_at(self, first: int) -> Self:
        """Return the sampling of the part that begins with pixel `first`."""
        return type(self)(self.pixel_size, self.origin + first * self.pixel_size)

    def positions(self, count: int) -> NDArray[np.float64]:
        """Return the centres of `count` pixels."""
        return self.origin + np.arange(count, dtype=np.float64) * self.pixel_size

    def edges(self, count: int) -> tuple[float, float]:
        """Return the outer edges of the first and the last of `count` pixels; the second is less where positions fall.

        Examples
        --------
        >>> Sampling(0.5, 10.0).edges(4)
        (9.75, 11.75)
        """
        half = self.pixel_size / 2
        return self.origin - half, self.origin + (count - 1) * self.pixel_size + half
