"""Restore one region: read its source with the halo, restore its tiles, blend them, and return to data units.

A region depends on no other region. Two regions that share a tile compute the same values for it.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import groupby, islice
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_restore.engine.compute.backends.stopping import raise_if_set
from napari_restore.engine.compute.fusion_counts import FusionCounts
from napari_restore.engine.compute.gpu.copies import TYPES as GPU_TYPES
from napari_restore.engine.compute.gpu.planes import GpuPlane, PlaneTiles
from napari_restore.engine.compute.neighbours import FusedPlanes
from napari_restore.engine.compute.outlying import OutlyingAreas
from napari_restore.engine.compute.padding import authors_padded, fitted
from napari_restore.engine.compute.uncertainty import RAW, uncertainty_of
from napari_restore.engine.planning.normalisation import Scale
from napari_restore.engine.planning.plan import Plan
from napari_restore.errors import ModelError
from napari_restore.images.lazy_arrays import Region
from napari_restore.intensity.scaling import ValueRange, fill_missing, put_back, to_dtype
from napari_restore.intensity.validity import Validity
from napari_restore.tiling.blend import Canvas, cut_tile, source_window

__all__ = ["Predict", "restore_region"]

Predict = Callable[[NDArray[np.float32], int], NDArray[np.float32]]
"""A function that restores ``(n, channels, height, width)`` tiles; its second argument is the size of a full batch."""
Item = TypeVar("Item")
Outer = tuple[int, ...]
TileIndex = tuple[Outer, int, int]
"""Index of a plane image, and of a tile along Y and X."""

_ROWS = 16
"""Number of rows that are restored to data units at a time."""


def restore_region(
    plan: Plan,
    region: Region,
    predict: Predict,
    after_batch: Callable[[int], None] = lambda tiles: None,
    record: Callable[[FusionCounts], None] = lambda counts: None,
    uncertain: Callable[[NDArray[np.float32]], None] = lambda sigma: None,
    stop: threading.Event | None = None,
) -> NDArray[Any]:
    """Compute a region of the result.

    Parameters
    ----------
    plan : Plan
        The run.
    region : tuple of slice
        One slice per axis in canonical order, in pixels of the result.
    predict : callable
        The network. With a `Predictor`, a result is blended while the next batches are in the network.
    after_batch : callable
        Called with the number of tiles of each finished batch.
    record : callable
        Called at the end with the statistics of the averaging of neighbouring planes, if there was any.
    uncertain : callable
        Called at the end with the uncertainty of the region, if the recipe asks for it: float32 in data units and
        canonical order, NaN for missing pixels. `predict` is one of `predictor_of` then.
    stop : threading.Event, optional
        Ends the work once it is set.

    Returns
    -------
    numpy.ndarray
        The region in canonical order, with the plan's data type.

    Raises
    ------
    Cancelled
        If `stop` is set.
    ChunkError
        If the source of the region cannot be read.
    ModelError
        If the network returns NaN or infinite values.
    """
    work = _RegionWork(plan, region)
    with closing(_restored(work, predict, after_batch, stop)) as results:
        for (outer, ky, kx), result in results:
            work.add(outer, ky, kx, result)
    if work.fused is not None:
        record(work.fused.counts)
    if work.uncertainty is not None:
        uncertain(work.in_canonical_order(work.uncertainty))
    return work.in_canonical_order(work.values)


def _restored(
    work: _RegionWork, predict: Predict, after_batch: Callable[[int], None], stop: threading.Event | None
) -> Generator[tuple[TileIndex, NDArray[np.float32]], None, None]:
    """Yield the restored tiles of a region in order."""
    recipe, indices = work.plan.recipe, deque[list[TileIndex]]()
    batch = recipe.batch or 1
    # `predict` may be any function; only a Predictor has more than one batch in progress.
    stream = getattr(predict, "stream", None)
    tiles = work.tiles(on_gpu=getattr(predict, "takes_planes", False))

    def check(finite: bool) -> None:
        if not finite:
            raise ModelError(
                f"{work.plan.card.name} returns NaN or infinite values for finite pixels; its weights are damaged, "
                f"or too large for {recipe.precision or 'float32'}. Fetch them again, or use another model."
            )

    def batches() -> Iterator[Any]:
        after_batch(0)  # a sign that the network is free for this block
        raise_if_set(stop)  # the run may have been stopped while this block waited for the network
        for _, same in groupby(tiles, key=lambda item: isinstance(item[1], GpuPlane)):
            while group := list(islice(same, batch)):
                indices.append([index for index, _ in group])
                cut: list[Any] = [tile for _, tile in group]
                if isinstance(cut[0], GpuPlane):
                    yield PlaneTiles(
                        tuple((plane, *index[1:]) for (index, _), plane in zip(group, cut, strict=True)), check
                    )
                else:
                    yield cut[0][None] if len(cut) == 1 else np.stack(cut)

    lanes = recipe.lanes or 1
    few = work.batches <= 2 * lanes  # a preview does not wait until a block is finished
    results = (
        stream(batches(), batch, lanes, recipe.threads, many=not few, stop=stop)
        if stream
        else (predict(tiles, batch) for tiles in batches())
    )
    with closing(results):
        for result in results:
            done = indices.popleft()
            if result is not None:  # tiles of planes on a GPU are blended there
                with np.errstate(invalid="ignore", over="ignore"):  # NaN and infinity are an error
                    total = np.add.reduce(result, axis=None)
                check(bool(np.isfinite(total)))
                yield from zip(done, result, strict=True)
            after_batch(len(done))
            raise_if_set(stop)


class _RegionWork:
    """The restoration of a region, plane by plane.

    A *plane image* is ``(channels, height, width)``, the channels being those of the network; there is one for each
    index of the `outer` axes. A one-channel model restores every channel and sample separately; otherwise the samples
    are the channels of the network. A gray image goes through a colour model as equal samples, and the mean of the
    restored samples is the result.
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
        counted = (slice(self.y[0] // scale, -(-self.y[1] // scale)), slice(self.x[0] // scale, -(-self.x[1] // scale)))
        self.fused = FusedPlanes(plan, source, counted) if plan.fuses else None
        own = self.fused.own() if self.fused else plan.image.read(tuple(source[a] for a in self.axes))
        self.pixels = self._channels_first(own)
        self.first = {axis: source[axis].start for axis in self.axes}
        rows, columns = self.y[1] - self.y[0], self.x[1] - self.x[0]
        self.values = np.empty((*self.pixels.shape[:-3], self.out_channels, rows, columns), plan.dtype)
        self.uncertainty = np.empty(self.values.shape, np.float32) if plan.recipe.uncertainty else None
        self.canvases: dict[Outer, Canvas] = {}
        self.missing: dict[Outer, NDArray[np.bool_] | None] = {}
        self.outlying: dict[TileIndex, OutlyingAreas] = {}
        self.scale = scale

    @property
    def batches(self) -> int:
        """Number of batches that go through the network."""
        return -(-math.prod(self.pixels.shape[:-3]) * len(self.needed) // (self.plan.recipe.batch or 1))

    def _canvas(self) -> Canvas:
        channels = (2 if self.plan.recipe.uncertainty else 1) * self.out_channels
        return Canvas(self.plan.grid, self.y, self.x, channels=channels, scale=self.plan.card.scale)

    @property
    def out_channels(self) -> int:
        """Number of channels of a restored plane image."""
        return 1 if self.plan.repeats > 1 else self.plan.card.out_channels

    def _channels_first(self, block: NDArray[Any]) -> NDArray[Any]:
        """Transpose ``(outer..., y, x[, s])`` to ``(outer..., channels, y, x)``."""
        if "S" not in self.axes:
            return block[..., None, :, :]
        block = np.moveaxis(block, -1, -3)
        return block if self.samples_are_channels else block[..., None, :, :]

    def _intensity(self, outer: Outer) -> Scale:
        """Return the normalisation of the channel that a plane image belongs to."""
        return self._of_channel(self.plan.scales, outer)

    def _of_channel(self, given: Sequence[Item], outer: Outer) -> Item:
        """Select the item of a plane image's channel from one item for all channels, or one per channel."""
        channel = self.first_channel + outer[self.axes.index("C")] if "C" in self.axes else 0
        return given[channel if len(given) > 1 else 0]

    def tiles(self, *, on_gpu: bool) -> Iterator[tuple[TileIndex, NDArray[np.float32] | GpuPlane]]:
        """Yield all tiles that touch the region, normalised, plane by plane.

        With `on_gpu`, a plane is yielded in the place of its tiles if these can be cut and blended on the GPU.
        """
        for outer in np.ndindex(self.pixels.shape[:-3]):
            scale, valid = self._intensity(outer), self._of_channel(self.plan.validity, outer)
            missing = valid.missing(self.pixels[outer], scale.limits)
            if on_gpu and missing is None and (gpu_plane := self._on_gpu(outer, scale, valid)):
                for ky, kx in self.needed:
                    yield (outer, ky, kx), gpu_plane
                continue
            self.missing[outer] = missing
            plane = self._plane(outer)
            for ky, kx in self.needed:
                if self.plan.recipe.padding == "authors":  # the one tile is the whole plane
                    tile = authors_padded(plane, self.plan.card)
                else:
                    tile = cut_tile(plane, self.origin, self.plan.grid, ky, kx)
                for filled in self._filled(tile, (outer, ky, kx), scale, valid):
                    repeats = self.plan.repeats
                    yield (outer, ky, kx), filled if repeats == 1 else np.repeat(filled, repeats, axis=0)

    def _on_gpu(self, outer: Outer, scale: Scale, valid: Validity) -> GpuPlane | None:
        """Return a plane image without missing pixels for a GPU; None if it takes steps that only the host does.

        The GPU does the steps of every tile alike: with missing pixels or bright areas, tiles differ.
        """
        recipe, pixels, types = self.plan.recipe, self.pixels[outer], (self.pixels.dtype, np.dtype(self.plan.dtype))
        special = self.fused or self.plan.repeats > 1 or recipe.uncertainty or recipe.padding == "authors"
        if special or recipe.strength < 1 or not isinstance(scale, ValueRange) or not GPU_TYPES.issuperset(types):
            return None
        # At the edge of a tile, pixels of the fill value may count as missing that do not in the plane.
        if any((pixels == value).any() for value in valid.fill) or valid.beyond(pixels, scale.limits) is not None:
            return None
        return GpuPlane(
            pixels, self.origin, self.plan.grid, self.y, self.x, scale, self.scale, self.values[outer]
        )  # fmt: skip

    def _plane(self, outer: Outer) -> NDArray[Any]:
        """Return a plane image, with its neighbours averaged in if the recipe says so."""
        if self.fused is None:
            own: NDArray[Any] = self.pixels[outer]
            return own
        letters = [axis for axis in self.axes if axis not in ("YX" if not self.samples_are_channels else "YXS")]
        index = {axis: self.first[axis] + k for axis, k in zip(letters, outer, strict=True)}
        valid, limits = self._of_channel(self.plan.validity, outer), self._intensity(outer).limits
        return self.fused.plane(index, partial(valid.missing, limits=limits))

    def _filled(
        self, tile: NDArray[Any], index: TileIndex, scale: Scale, valid: Validity
    ) -> Iterator[NDArray[np.float32]]:
        """Yield a tile with its missing pixels replaced, and a second time for areas outside the valid range.

        Pixels are replaced tile by tile, so that their values do not depend on the blocks.
        """
        missing, areas = valid.missing(tile, scale.limits), valid.beyond(tile, scale.limits)
        fill = partial(fill_missing, mirrored=valid != Validity())  # recipes of earlier versions have no valid range
        if areas is None:
            yield scale.normalise(fill(tile, missing))
            return
        low, high = np.percentile(tile[areas], (1, 99), method="nearest")
        self.outlying[index] = OutlyingAreas(areas, scale.extended(float(low), float(high)))
        yield scale.normalise(fill(tile, areas if missing is None else areas | missing))
        yield self.outlying[index].scale.normalise(fill(tile, missing))

    def add(self, outer: Outer, ky: int, kx: int, result: NDArray[np.float32]) -> None:
        """Blend the result of a tile, and finish the rows of the result that no later tile touches."""
        if self.plan.repeats > 1:
            copies = 2 if self.plan.recipe.uncertainty else 1
            result = result.reshape(copies, -1, *result.shape[1:]).mean(axis=1)
        outlying = self.outlying.get((outer, ky, kx))
        if outlying is not None and outlying.first is None:
            outlying.first = result
            return
        if outlying is not None:
            result = self.outlying.pop((outer, ky, kx)).merged(result, self._intensity(outer))
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
        """Restore rows to data units and data type, with missing pixels unchanged.

        A few rows at a time, so that their float64 values stay in the processor's cache.
        """
        scale, plane = self._intensity(outer), self.values[outer]
        for first in range(0, finished.shape[-2], _ROWS):
            restored = scale.restore(finished[:, first : first + _ROWS])
            row = self.y[0] + top + first
            values = restored[: self.out_channels]
            if self.uncertainty is not None:
                sigma = self._uncertainty(values, restored[self.out_channels :], outer, row)
                self.uncertainty[outer][:, top + first : top + first + sigma.shape[-2]] = sigma
            if self.plan.recipe.strength < 1:
                values = self._mixed(values, outer, row)
            if self.plan.recipe.strength > 0:
                self._put_back(values, outer, row)
            plane[:, top + first : top + first + values.shape[-2]] = to_dtype(values, self.plan.dtype)

    def _uncertainty(
        self, values: NDArray[Any], upper: NDArray[Any], outer: Outer, first_row: int
    ) -> NDArray[np.float32]:
        """Return the uncertainty of restored rows, given the rows of the mean plus the spread; NaN for missing ones."""
        numbers = self._of_channel(self.plan.recipe.calibration or (RAW,), outer)
        sigma = uncertainty_of(values, upper - values, numbers)
        missing = self.missing[outer]
        if missing is not None:
            row, column = first_row - self.origin[0], self.x[0] - self.origin[1]
            sigma[missing[:, row : row + sigma.shape[-2], column : column + sigma.shape[-1]]] = np.nan
        return sigma

    def _mixed(self, values: NDArray[Any], outer: Outer, first_row: int) -> NDArray[Any]:
        """Mix restored rows with the same rows of the source, both in data units, by the strength of the recipe."""
        row, column = first_row - self.origin[0], self.x[0] - self.origin[1]
        source: NDArray[Any] = self.pixels[outer][:, row : row + values.shape[-2], column : column + values.shape[-1]]
        strength = self.plan.recipe.strength
        if strength == 0:
            return source  # in its own type: float64 does not hold all integers of 64 bits
        with np.errstate(invalid="ignore", over="ignore"):  # missing pixels are put back afterwards
            return np.asarray((1 - strength) * source.astype(np.float64) + strength * values)

    def _put_back(self, values: NDArray[Any], outer: Outer, first_row: int) -> None:
        """Copy the missing pixels of the source into rows of the result, in place."""
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
        # In super-resolution, a region may begin or end within the result pixels of one input pixel.
        whole = np.zeros((len(values), source.shape[-2] * s, source.shape[-1] * s))
        top, left = first_row - y0 * s, self.x[0] - x0 * s
        inner = whole[:, top : top + values.shape[-2], left : left + values.shape[-1]]
        inner[...] = values
        put_back(whole, source, mask)
        values[...] = inner

    def in_canonical_order(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return values of the region ``(outer..., channels, y, x)`` in canonical order."""
        if "S" not in self.axes:
            return values[..., 0, :, :]
        return np.moveaxis(values if self.samples_are_channels else values[..., 0, :, :], -3, -1)
