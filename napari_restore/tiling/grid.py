"""Compute the global tile grid of a plane, one axis at a time.

Along one axis the tiles start at multiples of a stride, counted from the image origin. The last tile is moved back so
that it ends at the end of the (padded) axis. All origins are multiples of the network's alignment. Overlapping tiles
are blended over `blend` pixels in the middle of the overlap, so `halo` pixels at each inner edge of a tile are not
used::

    tile k-1   |----------------------------|
    tile k                  |----------------------------|
                            <halo><blend><halo>
    weight k   ______________     ________________
                            _____/

Every method is O(1) in the length of the axis (`TileGrid.touching` is linear in the number of tiles that it returns),
so a plane may have 10^6 x 10^6 pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from napari_restore.errors import RecipeError

__all__ = ["AxisTiling", "TileGrid", "plane_grid"]

# Ramps are rounded to multiples of 2^-24, so that their differences are exact in float32 and the weights of all tiles
# sum to exactly one along an axis.
_RAMP_STEPS = 2.0**24


@dataclass(frozen=True)
class AxisTiling:
    """Tile grid along one axis. All positions are in input pixels from the image origin.

    Parameters
    ----------
    length : int
        Pixels of the plane along this axis, at least 1.
    tile : int
        Length of a tile in pixels, a multiple of `alignment`. A shorter plane gets one shorter tile (`size`).
    halo : int
        Pixels at each inner edge of a tile that are context only and have no weight in the result.
    blend : int
        Pixels over which neighbouring tiles are blended; 0 is a hard step.
    alignment : int
        Alignment of the network: tile sizes and tile origins are multiples of it.

    Raises
    ------
    RecipeError
        If a value is out of range, `tile` is no multiple of `alignment`, or `tile - 2 * halo - blend` is not a
        positive multiple of `alignment`.

    Examples
    --------
    >>> axis = AxisTiling(length=300, tile=128, halo=16, blend=16, alignment=8)
    >>> axis.count, [axis.origin(k) for k in range(axis.count)], [axis.seam(k) for k in range(1, axis.count)]
    (4, [0, 80, 160, 176], [96, 176, 224])
    """

    length: int
    tile: int
    halo: int
    blend: int
    alignment: int

    def __post_init__(self) -> None:
        for name, minimum in (("length", 1), ("tile", 1), ("halo", 0), ("blend", 0), ("alignment", 1)):
            value = getattr(self, name)
            if value < minimum:
                raise RecipeError(f"{name} {value} is too small; it must be {minimum} pixels or more.")
        self._check_alignment()

    def _check_alignment(self) -> None:
        step = self.alignment
        if self.tile % step:
            below, above = self.tile // step * step, -(-self.tile // step) * step
            choice = f"{below} or {above}" if below else f"{above}"
            raise RecipeError(f"tile {self.tile} is not a multiple of {step} (the model's alignment); use {choice}.")
        overlap = 2 * self.halo + self.blend
        if overlap >= self.tile:
            smallest = (overlap // step + 1) * step
            raise RecipeError(
                f"halo {self.halo} on both sides and blend {self.blend} leave nothing of a tile of {self.tile} pixels; "
                f"use a tile of {smallest} or more, or a smaller halo or blend."
            )
        if overlap % step:
            below, above = self.blend - overlap % step, self.blend + step - overlap % step
            choice = f"{below} or {above}" if below >= 0 else f"{above}"
            raise RecipeError(
                f"2 x halo {self.halo} + blend {self.blend} = {overlap} is not a multiple of {step} (the model's "
                f"alignment); with this halo use blend {choice}."
            )

    @property
    def padded(self) -> int:
        """`length` rounded up to a multiple of `alignment`; the pixels past `length` are padded by reflection."""
        return -(-self.length // self.alignment) * self.alignment

    @property
    def size(self) -> int:
        """Length of every tile of this axis in pixels: `tile`, or `padded` if that is less."""
        return min(self.tile, self.padded)

    @property
    def stride(self) -> int:
        """Pixels from one tile origin to the next (fewer before the last tile)."""
        return self.tile - 2 * self.halo - self.blend

    @property
    def count(self) -> int:
        """Number of tiles."""
        return -(-(self.padded - self.size) // self.stride) + 1

    def origin(self, k: int) -> int:
        """Return the first pixel of a tile: a multiple of `alignment`, with the whole tile inside ``[0, padded)``.

        Parameters
        ----------
        k : int
            Index of the tile.

        Returns
        -------
        int
            In input pixels.

        Raises
        ------
        IndexError
            If `k` is not in ``range(count)``.
        """
        self._check_index(k, 0)
        return min(k * self.stride, self.padded - self.size)

    def seam(self, k: int) -> int:
        """Return the first of the `blend` pixels over which tiles ``k - 1`` and `k` are blended.

        They are centred in the overlap of the two tiles, so they are `halo` pixels or more away from either tile's
        edge.

        Parameters
        ----------
        k : int
            Index of the second tile.

        Returns
        -------
        int
            In input pixels.

        Raises
        ------
        IndexError
            If `k` is not in ``range(1, count)``.
        """
        self._check_index(k, 1)
        overlap = self.origin(k - 1) + self.size - self.origin(k)
        return self.origin(k) + (overlap - self.blend) // 2

    def support(self, k: int) -> tuple[int, int]:
        """Return the pixels ``[low, high)`` of the padded axis in which a tile has weight.

        Parameters
        ----------
        k : int
            Index of the tile.

        Returns
        -------
        (int, int)
            In input pixels.

        Raises
        ------
        IndexError
            If `k` is not in ``range(count)``.
        """
        self._check_index(k, 0)
        low = self.seam(k) if k > 0 else 0
        high = self.seam(k + 1) + self.blend if k + 1 < self.count else self.padded
        return low, high

    def touching(self, low: int, high: int) -> range:
        """Return the tiles that have weight in the pixels ``[low, high)``.

        Parameters
        ----------
        low, high : int
            In input pixels.

        Returns
        -------
        range
            Indices of the tiles; empty if the pixels are none, or outside the padded axis.
        """
        if low >= high or high <= 0 or low >= self.padded:
            return range(0)
        return range(self._seams_up_to(low - self.blend), self._seams_up_to(high - 1) + 1)

    def weights(self, k: int, scale: int = 1) -> npt.NDArray[np.float32]:
        """Return the blending weights of a tile along this axis.

        The weight is ``R(k) - R(k + 1)``, where ``R(k)`` rises from 0 to 1 over the `blend` pixels from `seam(k)`; the
        sum over all tiles telescopes to exactly one. The ramp is the smoothstep 3t^2 - 2t^3, sampled at the centres of
        the output pixels (not a cosine, whose last bit depends on the math library).

        Parameters
        ----------
        k : int
            Index of the tile, in ``range(count)``.
        scale : int
            Output pixels per input pixel.

        Returns
        -------
        numpy.ndarray
            float32, shape ``(size * scale,)``, values in [0, 1], read-only because tiles share the array.

        Raises
        ------
        IndexError
            If `k` is not in ``range(count)``.
        """
        start = self.origin(k)
        rise = self.seam(k) - start if k > 0 else None
        fall = self.seam(k + 1) - start if k + 1 < self.count else None
        return _trapezoid(self.size, rise, fall, self.blend, scale)

    def _seams_up_to(self, position: int) -> int:
        """Count the seams that begin at or before `position`."""
        regular = self.count - 2  # all seams but the last lie at k * stride + halo
        if regular < 0:
            return 0
        if self.seam(regular + 1) <= position:
            return regular + 1
        return min(max((position - self.halo) // self.stride, 0), regular)

    def _check_index(self, k: int, first: int) -> None:
        if not first <= k < self.count:
            raise IndexError(f"tile {k} is not in {first}..{self.count - 1}, the tiles of an axis of {self.length}")


@lru_cache(maxsize=256)
def _trapezoid(size: int, rise: int | None, fall: int | None, blend: int, scale: int) -> npt.NDArray[np.float32]:
    """Compute the weights of a tile whose ramps begin at `rise` and `fall` within it (None: no neighbour there).

    The cache is keyed by the shape of the trapezoid and not by the tile, because all inner tiles share one shape.
    """
    values = np.ones(size * scale) if rise is None else _ramp(size, rise, blend, scale)
    if fall is not None:
        values = values - _ramp(size, fall, blend, scale)
    weights = values.astype(np.float32)
    weights.flags.writeable = False
    return weights


def _ramp(size: int, start: int, blend: int, scale: int) -> npt.NDArray[np.float64]:
    """Compute a ramp from 0 to 1 over the pixels ``[start, start + blend)`` of a tile, at `scale` samples per pixel."""
    values = np.zeros(size * scale)
    values[(start + blend) * scale :] = 1.0
    t = (np.arange(blend * scale) + 0.5) / max(blend * scale, 1)
    values[start * scale : (start + blend) * scale] = np.rint(t * t * (3.0 - 2.0 * t) * _RAMP_STEPS) / _RAMP_STEPS
    return values


@dataclass(frozen=True)
class TileGrid:
    """Tile grid of a plane: one `AxisTiling` along y and one along x.

    A tile is given by its indices ``(ky, kx)``, a rectangle by two half-open ranges ``(low, high)``.

    Attributes
    ----------
    y, x : AxisTiling
        Grid along each axis.
    """

    y: AxisTiling
    x: AxisTiling

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the plane in input pixels."""
        return self.y.length, self.x.length

    @property
    def tile_shape(self) -> tuple[int, int]:
        """Height and width of every tile in input pixels."""
        return self.y.size, self.x.size

    @property
    def counts(self) -> tuple[int, int]:
        """Number of tiles along y and along x."""
        return self.y.count, self.x.count

    @property
    def count(self) -> int:
        """Number of tiles of the whole plane."""
        return self.y.count * self.x.count

    def origin(self, ky: int, kx: int) -> tuple[int, int]:
        """Return the first row and column of a tile.

        Parameters
        ----------
        ky, kx : int
            Indices of the tile.

        Returns
        -------
        (int, int)
            In input pixels.
        """
        return self.y.origin(ky), self.x.origin(kx)

    def touching(self, y_range: tuple[int, int], x_range: tuple[int, int]) -> list[tuple[int, int]]:
        """Return the tiles that have weight in a rectangle.

        Parameters
        ----------
        y_range, x_range : (int, int)
            Rows and columns ``(low, high)`` of the rectangle in input pixels.

        Returns
        -------
        list of (int, int)
            Indices ``(ky, kx)`` of the tiles, in row-major order.
        """
        columns = self.x.touching(*x_range)
        return [(ky, kx) for ky in self.y.touching(*y_range) for kx in columns]


def plane_grid(
    height: int, width: int, *, tile: int | tuple[int, int], halo: int, blend: int, alignment: int
) -> TileGrid:
    """Lay the global tile grid over a plane.

    Parameters
    ----------
    height, width : int
        Shape of the plane in pixels.
    tile : int or (int, int)
        Side of a tile in pixels, or its height and width; multiples of `alignment`.
    halo, blend, alignment : int
        See `AxisTiling`; the same for both axes.

    Returns
    -------
    TileGrid
        The grid.

    Raises
    ------
    RecipeError
        If a value is not allowed; the message names one that is.

    Examples
    --------
    >>> grid = plane_grid(1000, 700, tile=256, halo=32, blend=32, alignment=8)
    >>> grid.counts, grid.touching((0, 100), (0, 200))
    ((6, 4), [(0, 0), (0, 1)])
    """
    tile_y, tile_x = tile if isinstance(tile, tuple) else (tile, tile)
    return TileGrid(
        AxisTiling(height, tile_y, halo, blend, alignment), AxisTiling(width, tile_x, halo, blend, alignment)
    )
