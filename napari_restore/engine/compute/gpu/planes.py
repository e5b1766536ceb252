"""Do the steps before and after the network on a GPU: raw planes go in, finished planes come out.

Every step is that of the host, in the same order and precision, so the result has the same bits: normalise in float64,
cut tiles with the plane reflected at its end, blend in float32, return to data units in float64, round and clip. Each
product and each sum is an operation of its own, as a fused one would round once instead of twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_restore.engine.compute.gpu.copies import Arriving, Copies, torch_type
from napari_restore.errors import OutOfMemory
from napari_restore.intensity.scaling import ValueRange
from napari_restore.tiling.blend import Canvas, tile_pixels
from napari_restore.tiling.grid import TileGrid

__all__ = ["GpuPlane", "PlaneTiles", "restored"]

_ROWS = 512
"""Rows that are normalised, or returned to data units, at a time: their float64 values take 16 bytes a pixel."""


@dataclass
class GpuPlane:
    """A plane image whose tiles are cut, blended and finished on a GPU.

    All of its pixels are image: none is missing or outside the valid range.

    Attributes
    ----------
    pixels : numpy.ndarray
        Raw pixels of the window that all tiles need, ``(channels, height, width)``.
    origin : (int, int)
        First row and column of the window in the plane.
    grid : TileGrid
        Grid of the plane.
    y, x : (int, int)
        Rows and columns of the result.
    scale : ValueRange
        Normalisation.
    enlarged : int
        Output pixels per input pixel along each axis.
    result : numpy.ndarray
        Memory for the result, ``(channels, rows, columns)``.
    """

    pixels: NDArray[Any]
    origin: tuple[int, int]
    grid: TileGrid
    y: tuple[int, int]
    x: tuple[int, int]
    scale: ValueRange
    enlarged: int
    result: NDArray[Any]
    normalised: torch.Tensor | None = None
    canvas: _GpuCanvas | None = None

    def enter(self, copies: Copies) -> tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]:
        """Copy the plane to the GPU and normalise it, if that has not been done.

        Returns
        -------
        pinned, used : tuple of torch.Tensor
            What is to be kept until the GPU has finished.
        """
        if self.normalised is not None:
            return (), ()
        pinned, raw = copies.to_gpu(self.pixels)
        normalised = torch.empty(raw.shape, dtype=torch.float32, device=copies.device)
        low, high = self.scale.low, self.scale.high
        for first in range(0, raw.shape[1], _ROWS):
            rows = _exact(raw[:, first : first + _ROWS]).sub_(low).div_(high - low)
            normalised[:, first : first + _ROWS] = rows.to(torch.float32)
        self.canvas = _GpuCanvas(
            self.grid, self.y, self.x, channels=len(self.result), scale=self.enlarged, copies=copies
        )
        self.normalised = normalised  # at last: memory may run out before
        return (pinned,), (raw,)

    def tile(self, ky: int, kx: int, copies: Copies) -> torch.Tensor:
        """Cut a tile, ``(channels, height, width)``."""
        assert self.normalised is not None
        rows, columns = tile_pixels(self.normalised.shape[-2:], self.origin, self.grid, ky, kx)
        tile = self.normalised
        for axis, pixels in ((1, rows), (2, columns)):
            if isinstance(pixels, slice):
                tile = tile.narrow(axis, pixels.start, pixels.stop - pixels.start)
            else:
                tile = tile.index_select(axis, copies.constant(pixels))
        return tile

    def add(self, ky: int, kx: int, result: torch.Tensor) -> list[tuple[int, torch.Tensor]]:
        """Blend the result of a tile; return the first row and the finished values of the rows that are complete."""
        assert self.canvas is not None
        self.canvas.add(ky, kx, result)
        found = [(first, self._finished(rows)) for first, rows in self.canvas.finished()]
        if self.canvas.is_complete:
            self.normalised = self.canvas = None
        return found

    def _finished(self, rows: Any) -> torch.Tensor:
        """Return rows to data units and data type."""
        low, high = self.scale.low, self.scale.high
        finished = torch.empty(rows.shape, dtype=torch_type(self.result.dtype), device=rows.device)
        for first in range(0, rows.shape[1], _ROWS):
            values = rows[:, first : first + _ROWS].to(torch.float64).mul_(high - low).add_(low)
            finished[:, first : first + _ROWS] = _cast(values, self.result.dtype)
        return finished


@dataclass(frozen=True)
class PlaneTiles:
    """Tiles of planes on a GPU, as a batch.

    Attributes
    ----------
    tiles : tuple of (GpuPlane, int, int)
        Plane, and index along y and x; the tiles of a plane in order.
    check : callable
        Called with whether all values of the network are finite, before they are used.
    """

    tiles: tuple[tuple[GpuPlane, int, int], ...]
    check: Callable[[bool], None]

    def __len__(self) -> int:
        return len(self.tiles)

    def __getitem__(self, part: slice) -> PlaneTiles:
        return PlaneTiles(self.tiles[part], self.check)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the batch, as of an array of tiles."""
        plane = self.tiles[0][0]
        return (len(self.tiles), len(plane.pixels), *plane.grid.tile_shape)


class _GpuCanvas(Canvas):
    """A canvas with its sums on a GPU."""

    def __init__(self, *arguments: Any, copies: Copies, **named: Any) -> None:
        self._copies = copies
        super().__init__(*arguments, **named)

    @property
    def is_complete(self) -> bool:
        """Whether the last row has been finished."""
        return self._done == self.y_range[1] - self.y_range[0]

    def _empty(self, shape: tuple[int, ...]) -> torch.Tensor:
        return torch.zeros(shape, dtype=torch.float32, device=self._copies.device)

    def _copy(self, sums: torch.Tensor) -> torch.Tensor:
        return sums.clone()

    def _blend(
        self, total: torch.Tensor, part: torch.Tensor, down: NDArray[np.float32], across: NDArray[np.float32]
    ) -> None:
        rows, columns = self._copies.constant(down), self._copies.constant(across)
        total.add_(part * (rows[:, None] * columns[None, :]))


def restored(
    copies: Copies, network: Callable[[torch.Tensor], torch.Tensor], batch: PlaneTiles, size: int
) -> Arriving[None]:
    """Restore tiles, and write the rows of their planes that are complete to the planes' results.

    Parameters
    ----------
    copies : Copies
        Copies to and from the GPU.
    network : callable
        The network; it may overwrite its result with the next one.
    batch : PlaneTiles
        At most `size` tiles.
    size : int
        Size that the batch is padded to with copies of its last tile.

    Returns
    -------
    Arriving
        The rows; reading them writes them to the results.
    """
    pinned: tuple[torch.Tensor, ...] = ()
    used: tuple[torch.Tensor, ...] = ()
    with copies.settled():
        for plane in {id(plane): plane for plane, _, _ in batch.tiles}.values():
            more_pinned, more_used = plane.enter(copies)
            pinned, used = (*pinned, *more_pinned), (*used, *more_used)
        cut = [plane.tile(ky, kx, copies) for plane, ky, kx in batch.tiles]
        result = network(torch.stack(cut + cut[-1:] * (size - len(cut))))[: len(cut)].to(torch.float32)
        rows, where = [torch.isfinite(result.sum()).reshape(1).to(torch.uint8)], list[tuple[GpuPlane, int]]()
        try:
            for (plane, ky, kx), values in zip(batch.tiles, result, strict=True):
                for first, finished in plane.add(ky, kx, values):
                    rows.append(finished)
                    where.append((plane, first))
        except torch.OutOfMemoryError as error:  # a tile is blended once, so this batch cannot be begun anew
            raise OutOfMemory(
                f"there is not enough memory on {copies.device} to blend tiles ({error}); use smaller shards, or "
                "another device."
            ) from error

        def write(arrays: list[NDArray[Any]]) -> None:
            batch.check(bool(arrays[0][0]))
            for (plane, first), array in zip(where, arrays[1:], strict=True):
                plane.result[:, first : first + array.shape[1]] = array

        return copies.to_host(rows, write, pinned, used)


def _exact(raw: torch.Tensor) -> torch.Tensor:
    """Return raw pixels as new float64 values; torch has few operations for unsigned integers of 16 bits."""
    if raw.dtype == torch.uint16:
        return (raw.view(torch.int16).to(torch.int32) & 0xFFFF).to(torch.float64)
    return raw.to(torch.float64)


def _cast(values: torch.Tensor, dtype: np.dtype[Any]) -> torch.Tensor:
    """Cast finite float64 values as `napari_restore.intensity.scaling.to_dtype` does."""
    if dtype.kind == "f":
        limit = float(np.finfo(dtype).max)
        return values.clamp_(-limit, limit).to(torch.float32)
    info = np.iinfo(dtype)
    whole = values.round_().clamp_(info.min, info.max).to(torch.int32)
    if dtype == np.uint16:  # as the signed integer of the same bits
        return (whole - (whole > 0x7FFF).to(torch.int32) * 0x10000).to(torch.int16).view(torch.uint16)
    return whole.to(torch_type(dtype))
