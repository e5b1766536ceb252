"""Where blocks go: into an array in memory, or into an OME-Zarr that is its own journal."""

from __future__ import annotations

import errno
import logging
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from napari_restore import __version__
from napari_restore.engine.hardware.arithmetic import arithmetic, other_arithmetic
from napari_restore.engine.planning.plan import Block, Plan
from napari_restore.engine.planning.recipe import for_each
from napari_restore.engine.planning.source_identity import crop_digests, differing_crops
from napari_restore.engine.store.coarse import CoarseUnits, covered
from napari_restore.engine.store.ending import finish, is_complete
from napari_restore.engine.store.filled import read_marks, remove_mark, write_mark
from napari_restore.engine.store.lock import OutputLock
from napari_restore.engine.store.replaced import delete_kept, kept_results, put_back, set_aside
from napari_restore.engine.store.resume import check_output, continues, remaining_bytes
from napari_restore.errors import DiskFull, OutputError
from napari_restore.images.image import Channel
from napari_restore.images.staging import Stage
from napari_restore.images.store import Place, Prefix, place_of
from napari_restore.images.writing import ome_zarr
from napari_restore.images.writing.layout import WriteUnit
from napari_restore.images.writing.metadata_copy import put_attributes
from napari_restore.images.writing.pyramid import downsample_unit
from napari_restore.images.writing.unit_writer import UnitWriter
from napari_restore.wording import human_bytes

if TYPE_CHECKING:
    from napari_restore.engine.store.object_lock import ObjectLock

__all__ = ["ArraySink", "OmeZarrSink", "lock_output"]

_log = logging.getLogger(__name__)


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
        Replace what is there, unless it is the beginning of this very run: see `continues`. It is kept beside the
        output until the new one is complete.

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
        self._lock_owner = lock.owner if isinstance(lock, OutputLock) else None
        try:
            check_output(plan, path, overwrite=overwrite)  # another run may have ended between the check and the lock
            self._begin(place, overwrite)
        except BaseException:
            self.close()
            raise
        self._coarse: CoarseUnits | None = None
        self.writer = UnitWriter(self.path, self.stage)
        self.marked = read_marks(self.path)

    def _begin(self, place: Place, overwrite: bool) -> None:
        """Make the output, or make what is there ready to be continued."""
        if self._lock_owner is not None and place.holds() == "nothing" and not overwrite and self._put_back(place):
            check_output(self.plan, place.location)
        if place.holds() == "zarr" and not (overwrite and not continues(self.plan, place.location)):
            place.sweep()
            self._note_crops()
            self._compare_arithmetic()
        elif place.holds() == "zarr":
            self._replace(place)
        else:
            place.create(self._create, self.stage)

    def _put_back(self, place: Place) -> bool:
        """Give the output the result back that an interrupted run had moved aside and begun nothing in the place of."""
        assert self.stage is not None and isinstance(place.location, Path)
        if not put_back(place.location, self.stage):
            return False
        _log.warning("%s: put back the result that an interrupted run was about to replace", self.path)
        return True

    def _replace(self, place: Place) -> None:
        """Begin anew where there is a result: on a disk that stays, beside the output, until the new one is complete.

        In an object store nothing can be moved, and it is deleted.
        """
        if self.stage is None or self._lock_owner is None:
            place.delete()
            place.create(self._create)
            return
        assert isinstance(place.location, Path)
        known = self.plan.source_crops  # read before anything is moved
        if kept_results(place.location):
            if is_complete(place.location):
                delete_kept(place.location, self.stage)
                set_aside(place.location, self.stage, self._lock_owner)
            else:  # what an interrupted run began in the place of a result that is kept
                place.delete(self.stage)
        else:
            set_aside(place.location, self.stage, self._lock_owner)
        place.create(self._create, self.stage)
        now = crop_digests(self.plan.image)
        if known.keys() - now.keys() or differing_crops(known, now):
            place.delete(self.stage)
            put_back(place.location, self.stage)
            raise OutputError(
                f"the input of this run cannot be read any more without what was at {self.path}, which is put back: it "
                "is read from there; choose an output elsewhere."
            )

    def finish(self) -> None:
        """Gather the digests, and delete what this output has replaced; to be called when a run has ended well."""
        if self.stage is not None and isinstance(self.path, Path):
            finish(self.path, self.stage)

    def _note_crops(self) -> None:
        """Add what could not be read of the source when the run began: a mended source leaves no trace in a result."""
        attributes = ome_zarr.read_attributes(self.path) or {}
        there = attributes.get("source_crops")
        if there and self.plan.source_crops.keys() - there.keys():
            crops = self.plan.source_crops | there
            put_attributes(self.path, {ome_zarr.ATTRIBUTES: attributes | {"source_crops": crops}}, self.stage)

    def _compare_arithmetic(self) -> None:
        """Say where this machine may round the last bits another way than the one that began."""
        there = (ome_zarr.read_attributes(self.path) or {}).get("arithmetic")
        recipe = self.plan.recipe
        now = arithmetic(recipe.device, recipe.backend)
        other = other_arithmetic(there if isinstance(there, dict) else {}, now)
        if other:
            _log.warning("%s goes on with other arithmetic (%s): last bits may differ", self.path, other)

    @property
    def stage(self) -> Stage | None:
        """What an output on a disk is written through; an object store has none."""
        return self.guard if isinstance(self.guard, Stage) else None

    def close(self) -> None:
        """Give back the lock. May be called twice."""
        self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.finish()
        finally:
            self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_release"} | {"_coarse": None}

    def _create(self, path: Path | str) -> None:
        plan, image, recipe = self.plan, self.plan.image, self.plan.recipe
        assert recipe.chunks is not None
        placed = {
            axis: image.sampling(axis).upscaled(plan.card.scale if axis in "YX" else 1)
            for axis in plan.axes
            if axis != "S"
        }
        ome_zarr.create(
            path,
            shape=plan.shape,
            dtype=plan.dtype,
            axes=plan.axes,
            chunks=recipe.chunks,
            shards=recipe.shards,
            levels=plan.levels,
            pixel_size={axis: one.pixel_size for axis, one in placed.items()},
            origin={axis: one.origin for axis, one in placed.items()},
            units={axis: unit for axis, unit in image.units.items() if axis in placed},
            channels=_channels(plan),
            name=f"{image.name} · {plan.card.name}",
            version=recipe.ome_version,
            attributes={
                "version": __version__,
                "fingerprint": plan.fingerprint,
                "identity": plan.identity(),
                "recipe": recipe.as_json(),
                "given": plan.given,
                "arithmetic": arithmetic(recipe.device, recipe.backend),
                "digests": not isinstance(path, str),
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
        return count, (index for index in self.plan.indices() if not stored[self.plan.unit_of(index).index])

    def write(self, index: Block, block: NDArray[Any], filled: Sequence[str] = ()) -> None:
        """Write one stored object, whole and once, and behind it those of coarser levels that it covers.

        It gets a mark if some of its source was filled.
        """
        unit, pixels = self.plan.unit_of(index), ome_zarr.to_stored(block, self.plan.axes)
        self.guard.check()
        try:
            if unit in self.marked:
                self.discard_above(unit)
            if filled:
                write_mark(self.writer.place, unit, filled, self.stage)
            self.writer.write(unit, pixels)
            if unit in self.marked and not filled:
                remove_mark(self.writer.place, unit, self.stage)
            self._write_covered(unit, pixels)
        except OSError as error:
            raise self._explained(
                OutputError(f"{self.path} cannot be written: {error}; run it again."), error
            ) from error
        except OutputError as error:
            raise self._explained(error, error.__cause__) from error.__cause__

    def _write_covered(self, unit: WriteUnit, pixels: NDArray[Any]) -> None:
        counts = ome_zarr.unit_counts(self.writer.level(0))
        for coarser, means in covered(unit, counts, pixels, self.plan.levels):
            self.writer.write(coarser, means)
            if self._coarse is not None:
                self._coarse.put(coarser)

    def discard_above(self, unit: WriteUnit) -> None:
        """Delete what the coarser levels made of a write unit, because it is going to be another one."""
        while unit.level + 1 < self.plan.levels:
            unit = unit.above
            self.writer.delete(unit)

    def _explained(self, error: OutputError, cause: BaseException | None) -> OutputError:
        """Say of a full disk how much is missing."""
        if not isinstance(cause, OSError) or cause.errno not in (errno.ENOSPC, errno.EDQUOT):
            return error
        needed, missing, total = remaining_bytes(self.plan, self.path)
        free = (place_of(self.path).free() or (0, ""))[0]
        kept = kept_results(self.path) if isinstance(self.path, Path) else []
        note = f" The result that this one replaces takes room too, in {kept[0]}." if kept else ""
        return DiskFull(
            f"{self.path} cannot be finished: {cause.strerror or cause}. {missing} of {total} stored objects are "
            f"missing, about {human_bytes(needed)} more; {human_bytes(free)} are free there. Make room and run the "
            f"same again: what is stored stays.{note}"
        )

    def downsample(self, unit: WriteUnit) -> None:
        """Make a write unit of a coarser level from the level before, in whatever process this is called."""
        self.guard.check()
        try:
            downsample_unit(self.writer, unit)
        except OutputError as error:
            raise self._explained(error, error.__cause__) from error.__cause__

    def settle(self, index: Block) -> None:
        """Make the write units of coarser levels that wait for nothing but this block, which is stored.

        One that cannot be made is left to `napari_restore.engine.run.local.build_pyramid`, which says why.
        """
        if self._coarse is None:
            return
        unit = self.plan.unit_of(index)
        while above := self._coarse.above(unit):
            unit, to_make = above
            if to_make:
                try:
                    self.downsample(unit)
                except OutputError:
                    return


def lock_output(path: Path | str, *, fsync: bool = False) -> OutputLock | ObjectLock:
    """Lock an output, on a disk or in an object store."""
    place = place_of(path)
    if isinstance(place, Prefix):
        from napari_restore.engine.store.object_lock import ObjectLock

        return ObjectLock(place.url)
    return OutputLock(place.path, fsync=fsync)


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
