"""One block: read its source with the halo, restore every tile that touches it, blend, and bring it back.

A block needs no other block. Two blocks that share a tile compute the same numbers for it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_restore.engine.compute.neighbours import FusedPlanes
from napari_restore.engine.compute.padding import authors_padded, fitted
from napari_restore.engine.planning.normalisation import Scale
from napari_restore.engine.planning.plan import Plan
from napari_restore.errors import ModelError
from napari_restore.images.lazy_arrays import Region
from napari_restore.intensity.scaling import fill_from_nearest, put_back, to_dtype
from napari_restore.intensity.validity import Validity
from napari_restore.tiling.blend import Canvas, cut_tile, source_window

__all__ = ["Cancelled", "Predict", "restore_region"]

Predict = Callable[[NDArray[np.float32], int], NDArray[np.float32]]
"""Restores ``(n, channels, height, width)`` tiles; the second argument is the size of a full batch."""
Item = TypeVar("Item")
Outer = tuple[int, ...]
TileIndex = tuple[Outer, int, int]
"""Of a plane image, and of the tile along its Y and X."""

_ROWS = 16
"""Rows of the result that are brought back to the user's units at a time."""


class Cancelled(Exception):
    """The run was asked to stop; raised between two batches of tiles."""


def restore_region(
    plan: Plan,
    region: Region,
    predict: Predict,
    after_batch: Callable[[int], None] = lambda tiles: None,
) -> NDArray[Any]:
    """Compute a region of the result.

    Parameters
    ----------
    plan
        The run.
    region
        One slice per axis in canonical order, in pixels of the result.
    predict
        The network. While a result of a `Predictor` is blended in, the next batches are in the network.
    after_batch
        Called with the number of tiles of each batch that is done; may raise `Cancelled`.

    Returns
    -------
    numpy.ndarray
        The region in canonical order, of the plan's data type.

    Raises
    ------
    ChunkError
        If the source cannot be read there.
    """
    work = _RegionWork(plan, region)
    with closing(_restored(work, predict, after_batch)) as results:
        for (outer, ky, kx), result in results:
            work.add(outer, ky, kx, result)
    return work.result()


def _restored(
    work: _RegionWork, predict: Predict, after_batch: Callable[[int], None]
) -> Generator[tuple[TileIndex, NDArray[np.float32]], None, None]:
    """Yield every tile of a region, restored, in order."""
    recipe, indices = work.plan.recipe, deque[list[TileIndex]]()
    batch, tiles = recipe.batch or 1, work.tiles()

    def batches() -> Iterator[NDArray[np.float32]]:
        after_batch(0)  # the wait for the network may have been long, and the run stopped meanwhile
        while group := list(islice(tiles, batch)):
            indices.append([index for index, _ in group])
            yield group[0][1][None] if len(group) == 1 else np.stack([tile for _, tile in group])

    # Any function will do, such as one that stands for a network; only a Predictor has more than one batch in progress.
    stream = getattr(predict, "stream", None)
    lanes = recipe.lanes or 1
    few = work.batches <= 2 * lanes  # a preview does not wait for a block
    results = (
        stream(batches(), batch, lanes, recipe.threads, many=not few)
        if stream
        else (predict(tiles, batch) for tiles in batches())
    )
    with closing(results):
        for result in results:
            with np.errstate(invalid="ignore", over="ignore"):  # told below, and not as a warning
                total = np.add.reduce(result, axis=None)
            if not np.isfinite(total):
                raise ModelError(
                    f"{work.plan.card.name} makes NaN or infinite values of finite pixels; its weights are damaged, or "
                    f"too large for {recipe.precision or 'float32'}. Fetch them again, or use another model."
                )
            done = indices.popleft()
            yield from zip(done, result, strict=True)
            after_batch(len(done))


@dataclass
class _Apart:
    """A tile with areas beyond the bulk of the image: they go through the network once more, at their own range.

    The two results are merged as two exposures of one scene are.

    Attributes
    ----------
    areas
        ``(channels, height, width)`` of the tile.
    scale
        That of the areas.
    first
        The result of everything else, once it is there.
    """

    areas: NDArray[np.bool_]
    scale: Scale
    first: NDArray[np.float32] | None = None

    def merged(self, second: NDArray[np.float32], scale: Scale) -> NDArray[np.float32]:
        """Put the areas of the second result into the first, in its scale."""
        assert self.first is not None
        areas = self.areas if len(self.areas) == len(second) else self.areas.any(axis=0, keepdims=True)
        factor = second.shape[-1] // areas.shape[-1]
        areas = areas.repeat(factor, axis=-2).repeat(factor, axis=-1)
        return np.where(areas, scale.normalise(self.scale.restore(second)), self.first)


class _RegionWork:
    """A region on its way from source pixels to result pixels, plane by plane.

    A *plane image* is what goes through the network at once: ``(channels, height, width)``, one for each index of the
    `outer` axes. A one-channel model takes every channel and colour sample on its own; otherwise the samples are its
    channels. A gray image goes through a colour model as three equal samples, and their mean comes back.
    """

    def __init__(self, plan: Plan, region: Region) -> None:
        self.plan = plan
        self.axes, scale = plan.axes, plan.card.scale
        where = dict(zip(self.axes, region, strict=True))
        self.y, self.x = ((where[a].start, where[a].stop) for a in "YX")
        self.first_channel = where["C"].start if "C" in where else 0
        probe = self._canvas()
        self.needed = probe.tiles()
        y0, y1, x0, x1 = source_window(plan.grid, *probe.input_ranges)
        self.origin = (y0, x0)
        source = where | {"Y": slice(y0, y1), "X": slice(x0, x1)}
        self.samples_are_channels = plan.card.in_channels > 1 and plan.repeats == 1
        if self.samples_are_channels:
            source["S"] = slice(0, plan.card.in_channels)
        self.fused = FusedPlanes(plan, source) if plan.fuses else None
        own = self.fused.own() if self.fused else plan.image.read(tuple(source[a] for a in self.axes))
        self.pixels = self._channels_first(own)
        self.first = {axis: source[axis].start for axis in self.axes}
        rows, columns = self.y[1] - self.y[0], self.x[1] - self.x[0]
        self.values = np.empty((*self.pixels.shape[:-3], self.out_channels, rows, columns), plan.dtype)
        self.canvases: dict[Outer, Canvas] = {}
        self.missing: dict[Outer, NDArray[np.bool_] | None] = {}
        self.apart: dict[TileIndex, _Apart] = {}
        self.scale = scale

    @property
    def batches(self) -> int:
        """How many batches go through the network."""
        return -(-math.prod(self.pixels.shape[:-3]) * len(self.needed) // (self.plan.recipe.batch or 1))

    def _canvas(self) -> Canvas:
        return Canvas(self.plan.grid, self.y, self.x, channels=self.out_channels, scale=self.plan.card.scale)

    @property
    def out_channels(self) -> int:
        """Channels of a finished plane image."""
        return 1 if self.plan.repeats > 1 else self.plan.card.out_channels

    def _channels_first(self, block: NDArray[Any]) -> NDArray[Any]:
        """Bring ``(outer..., y, x[, s])`` to ``(outer..., channels, y, x)``."""
        if "S" not in self.axes:
            return block[..., None, :, :]
        block = np.moveaxis(block, -1, -3)
        return block if self.samples_are_channels else block[..., None, :, :]

    def _intensity(self, outer: Outer) -> Scale:
        """How the values of the channel that a plane image belongs to are brought to the network's."""
        return self._of_channel(self.plan.scales, outer)

    def _of_channel(self, given: Sequence[Item], outer: Outer) -> Item:
        """Choose what is given for each channel, or for all, for the channel that a plane image belongs to."""
        channel = self.first_channel + outer[self.axes.index("C")] if "C" in self.axes else 0
        return given[channel if len(given) > 1 else 0]

    def tiles(self) -> Iterator[tuple[TileIndex, NDArray[np.float32]]]:
        """Yield every tile that the region needs, brought to what the network was trained on, plane by plane."""
        for outer in np.ndindex(self.pixels.shape[:-3]):
            scale, valid = self._intensity(outer), self._of_channel(self.plan.validity, outer)
            self.missing[outer] = valid.missing(self.pixels[outer], scale.limits)
            plane = self._plane(outer)
            for ky, kx in self.needed:
                if self.plan.recipe.padding == "authors":  # the one tile is the whole plane
                    tile = authors_padded(plane, self.plan.card)
                else:
                    tile = cut_tile(plane, self.origin, self.plan.grid, ky, kx)
                for filled in self._filled(tile, (outer, ky, kx), scale, valid):
                    yield (outer, ky, kx), np.repeat(filled, self.plan.repeats, axis=0)

    def _plane(self, outer: Outer) -> NDArray[Any]:
        """A plane image, with its neighbours averaged in where the recipe says so."""
        if self.fused is None:
            own: NDArray[Any] = self.pixels[outer]
            return own
        letters = [axis for axis in self.axes if axis not in ("YX" if not self.samples_are_channels else "YXS")]
        place = {axis: self.first[axis] + index for axis, index in zip(letters, outer, strict=True)}
        valid, limits = self._of_channel(self.plan.validity, outer), self._intensity(outer).limits
        return self.fused.plane(place, partial(valid.missing, limits=limits))

    def _filled(
        self, tile: NDArray[Any], index: TileIndex, scale: Scale, valid: Validity
    ) -> Iterator[NDArray[np.float32]]:
        """Yield a tile with what is no image filled, and once more for areas beyond the bulk of the image.

        Tile by tile, and not block by block, so that the filling does not depend on the blocks.
        """
        missing, areas = valid.missing(tile, scale.limits), valid.beyond(tile, scale.limits)
        if areas is None:
            yield scale.normalise(fill_from_nearest(tile, missing))
            return
        low, high = np.percentile(tile[areas], (1, 99), method="nearest")
        self.apart[index] = _Apart(areas, scale.reaching(float(low), float(high)))
        yield scale.normalise(fill_from_nearest(tile, areas if missing is None else areas | missing))
        yield self.apart[index].scale.normalise(fill_from_nearest(tile, missing))

    def add(self, outer: Outer, ky: int, kx: int, result: NDArray[np.float32]) -> None:
        """Blend in the result of a tile; the last one of a row of tiles finishes the rows above the next."""
        if self.plan.repeats > 1:
            result = result.mean(axis=0, keepdims=True)
        apart = self.apart.get((outer, ky, kx))
        if apart is not None and apart.first is None:
            apart.first = result
            return
        if apart is not None:
            result = self.apart.pop((outer, ky, kx)).merged(result, self._intensity(outer))
        if outer not in self.canvases:
            self.canvases[outer] = self._canvas()
        if self.plan.recipe.padding == "authors":
            height, width = self.plan.grid.tile_shape
            result = fitted(result, height * self.scale, width * self.scale)
        canvas = self.canvases[outer]
        canvas.add(ky, kx, result)
        for first, rows in canvas.finished():
            self._finish(outer, first, rows)
        if (ky, kx) == self.needed[-1]:
            del self.canvases[outer], self.missing[outer]

    def _finish(self, outer: Outer, top: int, finished: NDArray[np.float32]) -> None:
        """Bring rows back to the user's units and data type, with missing pixels as they were.

        A few at a time: what is in float64 stays in the processor's cache.
        """
        scale, plane = self._intensity(outer), self.values[outer]
        for first in range(0, finished.shape[-2], _ROWS):
            values = scale.restore(finished[:, first : first + _ROWS])
            self._put_back(values, outer, self.y[0] + top + first)
            plane[:, top + first : top + first + values.shape[-2]] = to_dtype(values, self.plan.dtype)

    def _put_back(self, values: NDArray[Any], outer: Outer, first_row: int) -> None:
        """Put the missing pixels of the source back into rows of the result, in place."""
        s, missing = self.scale, self.missing[outer]
        if missing is None:
            return
        (y0, y1), (x0, x1) = (
            (low // s, -(-high // s)) for low, high in ((first_row, first_row + values.shape[-2]), self.x)
        )
        window = (
            slice(None),
            slice(y0 - self.origin[0], y1 - self.origin[0]),
            slice(x0 - self.origin[1], x1 - self.origin[1]),
        )
        source, mask = self.pixels[outer][window], missing[window]
        if not mask.any():
            return
        # With upscaling, a region may begin or end within the copies of one input pixel.
        whole = np.zeros((len(values), source.shape[-2] * s, source.shape[-1] * s))
        top, left = first_row - y0 * s, self.x[0] - x0 * s
        inner = whole[:, top : top + values.shape[-2], left : left + values.shape[-1]]
        inner[...] = values
        put_back(whole, source, mask)
        values[...] = inner

    def result(self) -> NDArray[Any]:
        """The finished region in canonical order."""
        if "S" not in self.axes:
            return self.values[..., 0, :, :]
        values = self.values if self.samples_are_channels else self.values[..., 0, :, :]
        return np.moveaxis(values, -3, -1)
