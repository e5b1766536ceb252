"""Cut tiles out of a plane and blend their results into a rectangle of the result.

Tiles that reach past the end of the plane are padded by reflection (without repeating the last pixel, as ``numpy.pad``
with mode "reflect"). The first tile starts at the origin, so nothing is padded there. On one grid, the value of a pixel
does not depend on the rectangle that it is computed for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from napari_restore.tiling.grid import AxisTiling, TileGrid

__all__ = ["Canvas", "cut_tile", "source_window", "tile_pixels"]

Scalar = TypeVar("Scalar", bound=np.generic)


def source_window(grid: TileGrid, y_range: tuple[int, int], x_range: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the smallest window of the plane that contains all pixels of the tiles of a rectangle.

    Parameters
    ----------
    grid : TileGrid
        The grid of the plane.
    y_range, x_range : (int, int)
        Rows and columns ``(low, high)`` of the rectangle in *input* pixels, not empty. For a rectangle of the result at
        scale s see `Canvas.input_ranges`.

    Returns
    -------
    (y0, y1, x0, x1) : tuple of int
        The window ``[y0:y1, x0:x1]`` of the plane, inside its bounds.

    Raises
    ------
    ValueError
        If no tile touches the rectangle.

    Examples
    --------
    >>> from napari_restore.tiling.grid import plane_grid
    >>> grid = plane_grid(1000, 700, tile=256, halo=32, blend=32, alignment=8)
    >>> source_window(grid, (512, 600), (0, 100))
    (320, 736, 0, 256)
    """
    return (*_source_range(grid.y, *y_range), *_source_range(grid.x, *x_range))


def cut_tile(
    window: npt.NDArray[Scalar], origin: tuple[int, int], grid: TileGrid, ky: int, kx: int
) -> npt.NDArray[Scalar]:
    """Cut one tile out of a window of the plane, reflecting the plane at its end.

    Parameters
    ----------
    window : numpy.ndarray
        Pixels ``[y0:y1, x0:x1]`` of the plane, shape ``(..., y1 - y0, x1 - x0)``: at least those of `source_window`.
    origin : (int, int)
        ``(y0, x0)`` in input pixels.
    grid : TileGrid
        The grid of the plane.
    ky, kx : int
        Indices of the tile along y and x.

    Returns
    -------
    numpy.ndarray
        Shape ``(..., *grid.tile_shape)``. A view of `window` unless the tile reaches past the plane's end.

    Raises
    ------
    ValueError
        If `window` lacks pixels of the tile.
    """
    rows, columns = tile_pixels(window.shape[-2:], origin, grid, ky, kx)
    tile = window[..., rows, :] if isinstance(rows, slice) else window.take(rows, axis=-2)
    return tile[..., columns] if isinstance(columns, slice) else tile.take(columns, axis=-1)


def tile_pixels(
    shape: Sequence[int], origin: tuple[int, int], grid: TileGrid, ky: int, kx: int
) -> tuple[slice | npt.NDArray[np.intp], slice | npt.NDArray[np.intp]]:
    """Return the rows and columns of one tile in a window of the plane.

    Parameters
    ----------
    shape : (int, int)
        Height and width of the window.
    origin : (int, int)
        ``(y0, x0)`` of the window, in input pixels.
    grid : TileGrid
        The grid of the plane.
    ky, kx : int
        Indices of the tile along y and x.

    Returns
    -------
    rows, columns : slice or numpy.ndarray
        A slice, or indices where the plane is reflected.

    Raises
    ------
    ValueError
        If the window lacks pixels of the tile.
    """
    return _tile_rows(grid.y, ky, origin[0], shape[0]), _tile_rows(grid.x, kx, origin[1], shape[1])


class Canvas:
    """A rectangle of the result plane in which weighted results of tiles are summed, one row of tiles at a time.

    The canvas holds only the rows that further tiles can add to, and returns rows that are complete (`finished`).

    Tiles are added in row-major order (that of `TileGrid.touching`): a float32 sum depends on its order, and the result
    must not depend on the rectangle.

    Parameters
    ----------
    grid : TileGrid
        The grid of the input plane.
    y_range, x_range : (int, int)
        Rows and columns ``(low, high)`` of the rectangle in *output* pixels, inside the result plane and not empty.
    channels : int
        Length of the leading axis of the results.
    scale : int
        Output pixels per input pixel along each axis.

    Raises
    ------
    ValueError
        If the rectangle is empty or not inside the result plane.

    Examples
    --------
    >>> from napari_restore.tiling.grid import plane_grid
    >>> grid = plane_grid(50, 50, tile=32, halo=4, blend=8, alignment=8)
    >>> canvas = Canvas(grid, (10, 40), (0, 50), channels=1)
    >>> for ky, kx in canvas.tiles():
    ...     canvas.add(ky, kx, np.full((1, 32, 32), 7.0, np.float32))
    ...     for first, rows in canvas.finished():
    ...         print(first, rows.shape, bool(np.allclose(rows, 7.0)))
    0 (1, 10, 50) True
    10 (1, 12, 50) True
    22 (1, 8, 50) True
    """

    def __init__(
        self, grid: TileGrid, y_range: tuple[int, int], x_range: tuple[int, int], *, channels: int = 1, scale: int = 1
    ) -> None:
        for name, (low, high), axis in (("y", y_range, grid.y), ("x", x_range, grid.x)):
            if not 0 <= low < high <= axis.length * scale:
                raise ValueError(f"{name} range {low}..{high} is not inside the output's 0..{axis.length * scale}")
        self.grid = grid
        self.y_range = y_range
        self.x_range = x_range
        self.scale = scale
        self._rows = self.grid.y.touching(y_range[0] // scale, -(-y_range[1] // scale))
        self._columns = self.grid.x.touching(x_range[0] // scale, -(-x_range[1] // scale))
        spans = [_clip(self.grid.y, ky, y_range, scale)[0] for ky in self._rows]
        height = max(span.stop - span.start for span in spans)
        self._sum = self._empty((channels, height, x_range[1] - x_range[0]))
        self._top = self._done = 0  # rows of the rectangle: the first in memory, and the first not yet returned
        self._latest = (-1, -1)

    @property
    def input_ranges(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Rows and columns of the rectangle in input pixels, partly covered pixels included, as for `source_window`."""
        (y0, y1), (x0, x1), s = self.y_range, self.x_range, self.scale
        return (y0 // s, -(-y1 // s)), (x0 // s, -(-x1 // s))

    def tiles(self) -> list[tuple[int, int]]:
        """Return the tiles ``(ky, kx)`` of the rectangle, in the order in which they must be added."""
        return self.grid.touching(*self.input_ranges)

    def add(self, ky: int, kx: int, result: Any) -> None:
        """Add the weighted result of tile ``(ky, kx)``, clipped to the rectangle; a tile outside of it adds nothing.

        Parameters
        ----------
        ky, kx : int
            Indices of the tile along y and x; tiles are added in row-major order.
        result : numpy.ndarray
            Floating-point, shape ``(channels, height * scale, width * scale)`` with the height and width of
            `TileGrid.tile_shape`. Pixels without weight may have any value, NaN included.

        Raises
        ------
        ValueError
            If the shape is wrong or the tile is out of order.
        """
        expected = (len(self._sum), *(n * self.scale for n in self.grid.tile_shape))
        if result.shape != expected:
            raise ValueError(f"the result of a tile has shape {result.shape}; the canvas expects {expected}")
        if (ky, kx) <= self._latest:
            raise ValueError(f"tile {(ky, kx)} comes after tile {self._latest}; add tiles once, in row-major order")
        self._latest = (ky, kx)
        rows, tile_rows = _clip(self.grid.y, ky, self.y_range, self.scale)
        columns, tile_columns = _clip(self.grid.x, kx, self.x_range, self.scale)
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return
        self._move_to(self._done)
        total = self._sum[:, rows.start - self._top : rows.stop - self._top, columns]
        part = result[:, tile_rows, tile_columns]
        down = self.grid.y.weights(ky, self.scale)[tile_rows]
        across = self.grid.x.weights(kx, self.scale)[tile_columns]
        self._blend(total, part, down, across)

    def finished(self) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
        """Yield the rows that are complete since the last tile was added: those above the next row of tiles.

        Yields
        ------
        first : int
            Index of the first of these rows within the rectangle.
        rows : numpy.ndarray
            Shape ``(channels, n, columns)``: a view that is valid until the next tile is added.
        """
        ky, kx = self._latest
        if kx != self._columns[-1] or ky not in self._rows:
            return
        last = ky == self._rows[-1]
        stop = self.y_range[1] if last else min(self.grid.y.support(ky + 1)[0] * self.scale, self.y_range[1])
        first, self._done = self._done, max(self._done, stop - self.y_range[0])
        if self._done > first:
            yield first, self._sum[:, first - self._top : self._done - self._top]

    def _move_to(self, top: int) -> None:
        """Discard the rows above `top`."""
        gone = top - self._top
        if not gone:
            return
        kept = self._sum.shape[1] - gone
        self._sum[:, :kept] = self._copy(self._sum[:, gone:])
        self._sum[:, kept:] = 0
        self._top = top

    # What depends on where the sums are: `napari_restore.engine.compute.gpu.planes` has them on a GPU.

    def _empty(self, shape: tuple[int, ...]) -> Any:
        return np.zeros(shape, np.float32)

    def _copy(self, sums: Any) -> Any:
        return sums.copy()

    def _blend(self, total: Any, part: Any, down: npt.NDArray[np.float32], across: npt.NDArray[np.float32]) -> None:
        """Add part of a tile, with the weights of its rows and columns, to the sums."""
        for y in _alone_and_blended(down):
            for x in _alone_and_blended(across):
                given, here = part[:, y, x], total[:, y, x]
                # No other tile has weight here; adding zero makes -0.0 to 0.0, as the sum does.
                if down[y.start] == across[x.start] == 1:
                    np.add(given, np.float32(0), out=here)
                else:
                    weights = np.multiply.outer(down[y], across[x])
                    here += np.multiply(given, weights, dtype=np.float32)


def _alone_and_blended(weights: npt.NDArray[np.float32]) -> Iterator[slice]:
    """Divide the weights along an axis into the part where they are one, and those before and after it."""
    ones = np.flatnonzero(weights == 1)
    first, last = (int(ones[0]), int(ones[-1]) + 1) if len(ones) else (0, 0)
    for start, stop in ((0, first), (first, last), (last, len(weights))):
        if start < stop:
            yield slice(start, stop)


def _mirror(index: npt.NDArray[np.intp], length: int) -> npt.NDArray[np.intp]:
    """Fold indices past the end of an axis back into ``[0, length)``, as often as needed."""
    period = max(2 * (length - 1), 1)  # an axis of one pixel has nothing to reflect: it is repeated
    folded = index % period
    return np.minimum(folded, period - folded) if length > 1 else folded


def _source_range(axis: AxisTiling, low: int, high: int) -> tuple[int, int]:
    """Return the range of plane pixels of the tiles that touch ``[low, high)``."""
    tiles = axis.touching(low, high)
    if not tiles:
        raise ValueError(f"no tile touches {low}..{high} of an axis of {axis.length} pixels")
    start, stop = axis.origin(tiles[0]), axis.origin(tiles[-1]) + axis.size
    if stop > axis.length:  # the reflection may need pixels before the start of the tile
        start = max(min(start, 2 * axis.length - stop - 1), 0)
    return start, min(stop, axis.length)


def _tile_rows(axis: AxisTiling, k: int, window_start: int, window_size: int) -> slice | npt.NDArray[np.intp]:
    """Return the pixels of tile `k` in a window of the axis: a slice, or indices where the plane is reflected."""
    start, stop = axis.origin(k), axis.origin(k) + axis.size
    if stop <= axis.length:
        first, last = start - window_start, stop - window_start
        rows: slice | npt.NDArray[np.intp] = slice(first, last)
    else:
        rows = _mirror(np.arange(start, stop), axis.length) - window_start
        first, last = int(rows.min()), int(rows.max()) + 1
    if first < 0 or last > window_size:
        raise ValueError(
            f"tile {k} needs pixels {first + window_start}..{last + window_start}, but the window holds "
            f"{window_start}..{window_start + window_size}; use the window of source_window"
        )
    return rows


def _clip(axis: AxisTiling, k: int, wanted: tuple[int, int], scale: int) -> tuple[slice, slice]:
    """Return the part of tile `k` with weight in the `wanted` output pixels, as rows of the canvas and of the tile."""
    support_low, support_high = axis.support(k)
    low, high = max(support_low * scale, wanted[0]), min(support_high * scale, wanted[1])
    offset = axis.origin(k) * scale
    return slice(low - wanted[0], high - wanted[0]), slice(low - offset, high - offset)
