"""Where blocks go: into an array in memory, or into an OME-Zarr that is its own journal."""

from __future__ import annotations

import errno
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import zarr
from numpy.typing import NDArray

from napari_restore import __version__
from napari_restore.engine.planning.plan import Block, Plan
from napari_restore.engine.planning.recipe import for_each
from napari_restore.engine.store.coarse import CoarseUnits, covered
from napari_restore.engine.store.filled import read_marks, remove_mark, write_mark
from napari_restore.engine.store.lock import OutputLock
from napari_restore.engine.store.resume import check_output, continues, remaining_bytes
from napari_restore.errors import DiskFull, OutputError
from napari_restore.images.image import Channel
from napari_restore.images.staging import Stage
from napari_restore.images.store import Place, is_url, place_of
from napari_restore.images.writing import ome_zarr
from napari_restore.images.writing.metadata_copy import put_attributes
from napari_restore.images.writing.pyramid import downsample_unit
from napari_restore.wording import human_bytes

if TYPE_CHECKING:
    from napari_restore.engine.store.object_lock import ObjectLock

__all__ = ["ArraySink", "OmeZarrSink", "lock_output"]


class ArraySink:
    """Collects blocks in an array in canonical order: a new one, or one that is given.

    Raises
    ------
    OutputError
        If the array given has not the shape and data type of the result.
    """

    def __init__(self, plan: Plan, array: NDArray[Any] | None = None) -> None:
        self.plan = plan
        self.array: NDArray[Any] = np.empty(plan.shape, plan.dtype) if array is None else array
        if (self.array.shape, self.array.dtype) != (plan.shape, plan.dtype):
            raise OutputError(
                f"the array given is {self.array.shape} of {self.array.dtype}, the result {plan.shape} of "
                f"{plan.dtype}; make it with numpy.zeros(plan.shape, plan.dtype)."
            )

    def missing(self) -> tuple[int, Iterable[Block]]:
        """All blocks: nothing is there before a run."""
        return self.plan.blocks, self.plan.indices()

    def write(self, index: Block, block: NDArray[Any], filled: Sequence[str] = ()) -> None:
        """Copy a block to its place; what was filled is in the log alone."""
        self.array[self.plan.region(index)] = block

    def settle(self, index: Block) -> None:
        """Do nothing: an array has no coarser levels."""


class OmeZarrSink:
    """Writes each block as one stored object of an OME-Zarr, and knows by looking which are there.

    It holds the lock of the output until it is closed, which `with` does, or no longer there. A copy that was pickled
    writes as long as the lock is held where it was made.

    Parameters
    ----------
    plan
        The run.
    path
        The output: a directory, or a URL of an object store. It is created with its metadata, or, if a run of the same
        fingerprint and source began it, continued.
    overwrite
        Delete what is there first, unless it is the beginning of this very run: see `continues`.

    Raises
    ------
    OutputInUse
        If another run is writing it.
    OutputError
        See `check_output`.
    """

    def __init__(self, plan: Plan, path: Path | str, *, overwrite: bool = False) -> None:
        check_output(plan, path, overwrite=overwrite)
        place = place_of(path)  # what a link points to is replaced, not the link
        self.plan, self.path = plan, place.location
        lock = lock_output(self.path, fsync=plan.recipe.fsync)
        self.guard = lock.guard
        self._release = weakref.finalize(self, lock.release)
        try:
            check_output(plan, path, overwrite=overwrite)  # another run may have ended between the check and the lock
            self._begin(place, overwrite)
        except BaseException:
            self.close()
            raise
        self._coarse: CoarseUnits | None = None
        self.order = ome_zarr.stored_order(plan.axes)
        self.marked = read_marks(self.path)

    def _begin(self, place: Place, overwrite: bool) -> None:
        """Make the output, or make what is there ready to be continued."""
        if overwrite and place.holds() == "zarr" and not continues(self.plan, place.location):
            place.delete(self.stage)
        if place.holds() == "zarr":
            place.sweep()
            self._note_crops()
        else:
            place.create(self._create, self.stage)

    def _note_crops(self) -> None:
        """Add what could not be read of the source when the run began: a mended source leaves no trace in a result."""
        attributes = ome_zarr.read_attributes(self.path) or {}
        there = attributes.get("source_crops")
        if there and self.plan.source_crops.keys() - there.keys():
            crops = self.plan.source_crops | there
            put_attributes(self.path, {ome_zarr.ATTRIBUTES: attributes | {"source_crops": crops}}, self.stage)

    @property
    def stage(self) -> Stage | None:
        """What an output on a disk is written through; an object store has none."""
        return self.guard if isinstance(self.guard, Stage) else None

    def close(self) -> None:
        """Give back the lock. May be called twice."""
        self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @cached_property
    def _levels(self) -> list[zarr.Array[Any]]:
        """Opened once in each process."""
        return [ome_zarr.open_level(self.path, level, "r+") for level in range(self.plan.levels)]

    @property
    def array(self) -> zarr.Array[Any]:
        """Level 0."""
        return self._levels[0]

    def __getstate__(self) -> dict[str, Any]:
        left = ("_release", "_levels")
        return {key: value for key, value in self.__dict__.items() if key not in left} | {"_coarse": None}

    def _create(self, path: Path | str) -> None:
        plan, image, recipe = self.plan, self.plan.image, self.plan.recipe
        assert recipe.chunks is not None
        scale = plan.card.scale
        size = {axis: image.pixel_size.get(axis, 1.0) for axis in plan.axes if axis != "S"}
        origin = {axis: image.origin.get(axis, 0.0) for axis in size}
        for axis in "YX":
            # The centre of the first of `scale` new pixels lies half an old pixel minus half a new one further back.
            origin[axis] -= size[axis] * (1 - 1 / scale) / 2
            size[axis] /= scale
        ome_zarr.create(
            path,
            shape=plan.shape,
            dtype=plan.dtype,
            axes=plan.axes,
            chunks=recipe.chunks,
            shards=recipe.shards,
            levels=plan.levels,
            pixel_size=size,
            origin=origin,
            units={axis: unit for axis, unit in image.units.items() if axis in size},
            channels=_channels(plan),
            name=f"{image.name} · {plan.card.name}",
            version=recipe.ome_version,
            attributes={
                "version": __version__,
                "fingerprint": plan.fingerprint,
                "identity": plan.identity(),
                "recipe": recipe.model_dump(mode="json"),
                "model": plan.card.model_dump(mode="json", include={"name", "title", "paper", "licence", "sha256"}),
                "source": image.location or image.name,
                "source_crops": plan.source_crops,
            },
        )

    def missing(self) -> tuple[int, Iterable[Block]]:
        """Blocks whose stored object is not there, by one listing of the output."""
        levels = [ome_zarr.stored_units(self.path, level) for level in range(self.plan.levels)]
        stored = levels[0]
        # What was made of blocks with marks is deleted when those are made anew: coarser levels then wait for the end.
        self._coarse = None if self.marked else CoarseUnits(levels)
        count = int(stored.size - np.count_nonzero(stored))
        return count, (index for index in self.plan.indices() if not stored[self._stored_index(index)])

    def _stored_index(self, index: Block) -> Block:
        return tuple(index[axis] for axis in self.order)

    def write(self, index: Block, block: NDArray[Any], filled: Sequence[str] = ()) -> None:
        """Write one stored object, whole and once, and behind it those of coarser levels that it covers.

        It gets a mark if some of its source was filled.
        """
        stored_index, pixels = self._stored_index(index), ome_zarr.to_stored(block, self.plan.axes)
        self.guard.check()
        try:
            if stored_index in self.marked:
                self.discard_above(stored_index)
            if filled:
                write_mark(self.array, stored_index, filled, self.stage)
            ome_zarr.write_unit(self.array, stored_index, pixels, self.stage)
            if stored_index in self.marked and not filled:
                remove_mark(self.array, stored_index, self.stage)
            self._write_covered(stored_index, pixels)
        except OSError as error:
            raise self._explained(
                OutputError(f"{self.path} cannot be written: {error}; run it again."), error
            ) from error
        except OutputError as error:
            raise self._explained(error, error.__cause__) from error.__cause__

    def _write_covered(self, stored_index: Block, pixels: NDArray[Any]) -> None:
        counts = ome_zarr.unit_counts(self.array)
        for level, unit, coarse in covered(stored_index, counts, pixels, self.plan.levels):
            ome_zarr.write_unit(self._levels[level], unit, coarse, self.stage)
            if self._coarse is not None:
                self._coarse.put(level, unit)

    def discard_above(self, stored_index: tuple[int, ...]) -> None:
        """Delete what the coarser levels made of a block, because it is going to be another one."""
        for level in range(1, self.plan.levels):
            above = (*stored_index[:-2], *(i >> level for i in stored_index[-2:]))
            ome_zarr.delete_unit(self._levels[level], above, self.stage)

    def _explained(self, error: OutputError, cause: BaseException | None) -> OutputError:
        """Say of a full disk how much is missing."""
        if not isinstance(cause, OSError) or cause.errno not in (errno.ENOSPC, errno.EDQUOT):
            return error
        needed, missing, total = remaining_bytes(self.plan, self.path)
        free = (place_of(self.path).free() or (0, ""))[0]
        return DiskFull(
            f"{self.path} cannot be finished: {cause.strerror or cause}. {missing} of {total} stored objects are "
            f"missing, about {human_bytes(needed)} more; {human_bytes(free)} are free there. Make room and run the "
            "same again: what is stored stays."
        )

    def downsample(self, level: int, stored_index: tuple[int, ...]) -> None:
        """Make one stored object of a coarser level from the level before, in whatever process this is called."""
        self.guard.check()
        try:
            downsample_unit(self.path, level, stored_index, self.stage)
        except OutputError as error:
            raise self._explained(error, error.__cause__) from error.__cause__

    def settle(self, index: Block) -> None:
        """Make the units of coarser levels that wait for nothing but this block, which is stored.

        One that cannot be made is left to `napari_restore.engine.run.local.build_pyramid`, which says why.
        """
        if self._coarse is None:
            return
        level, unit = 0, self._stored_index(index)
        while above := self._coarse.above(level, unit):
            level, (unit, to_make) = level + 1, above
            if to_make:
                try:
                    self.downsample(level, unit)
                except OutputError:
                    return


def lock_output(path: Path | str, *, fsync: bool = False) -> OutputLock | ObjectLock:
    """Lock an output, on a disk or in an object store."""
    if is_url(path):
        from napari_restore.engine.store.object_lock import ObjectLock

        return ObjectLock(str(path))
    return OutputLock(Path(path), fsync=fsync)


def _channels(plan: Plan) -> tuple[Channel, ...]:
    """Channels of the result: those of the image, displayed by the run's value range where nothing else is known."""
    if "S" in plan.axes:
        return _colour_samples(plan)
    count = plan.image.sizes.get("C", 1)
    windows = for_each(plan.recipe.value_range or (), count)
    channels = plan.image.channels or (Channel(),) * count
    same_units = plan.dtype == plan.image.dtype
    return tuple(
        replace(channel, window=channel.window if channel.window and same_units else window)
        for channel, window in zip(channels, windows, strict=True)
    )


def _colour_samples(plan: Plan) -> tuple[Channel, ...]:
    """Channels that the samples of an RGB or RGBA image are stored as, displayed by one window, or hues would shift."""
    count = plan.shape[plan.axes.index("S")]
    if count not in (3, 4):
        return ()
    # Of uint8 the whole range is shown, as every viewer shows a picture.
    window = plan.recipe.value_range[0] if plan.recipe.value_range and plan.dtype != np.uint8 else None
    # Added to the colours, a shown alpha would turn an opaque picture white.
    return tuple(
        Channel(name, window=window, shown=name != "alpha") for name in ("red", "green", "blue", "alpha")[:count]
    )
