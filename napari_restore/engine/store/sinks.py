"""Sinks for blocks: an array in memory, or an OME-Zarr, whose stored objects tell which blocks are done."""

from __future__ import annotations

import errno
import logging
import weakref
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from napari_restore.engine.hardware.arithmetic import arithmetic, other_arithmetic
from napari_restore.engine.planning.plan import Block, Plan
from napari_restore.engine.planning.source_identity import crop_digests, differing_crops
from napari_restore.engine.store.coarse import CoarseUnits, covered
from napari_restore.engine.store.create import UNCERTAINTY, create_output
from napari_restore.engine.store.ending import finish, is_complete
from napari_restore.engine.store.filled import in_doubt, read_marks, remove_mark, write_mark
from napari_restore.engine.store.lock import OutputLock
from napari_restore.engine.store.replaced import delete_kept, kept_results, put_back, set_aside
from napari_restore.engine.store.resume import check_output, continues, remaining_bytes
from napari_restore.errors import DiskFull, OutputError
from napari_restore.images.staging import Stage
from napari_restore.images.store import Place, Prefix, place_of
from napari_restore.images.writing import ome_zarr
from napari_restore.images.writing.layout import WriteUnit
from napari_restore.images.writing.metadata_copy import put_attributes
from napari_restore.images.writing.pyramid import downsample_unit
from napari_restore.images.writing.unit_writer import UnitWriter, group_in
from napari_restore.wording import human_bytes

if TYPE_CHECKING:
    from napari_restore.engine.store.object_lock import ObjectLock

__all__ = ["ArraySink", "OmeZarrSink", "lock_output"]

_log = logging.getLogger(__name__)
Pixels = NDArray[np.float32]


class ArraySink:
    """Sink that collects blocks in an array in memory.

    Parameters
    ----------
    plan : Plan
        The run.
    array : numpy.ndarray, optional
        The array to write to, with axes in canonical order; by default a new one.

    Raises
    ------
    OutputError
        If `array` does not have the shape and data type of the result.
    """

    def __init__(self, plan: Plan, array: NDArray[Any] | None = None) -> None:
        self.plan = plan
        self.array: NDArray[Any] = np.empty(plan.shape, plan.dtype) if array is None else array
        if (self.array.shape, self.array.dtype) != (plan.shape, plan.dtype):
            raise OutputError(
                f"the given array is {self.array.shape} of {self.array.dtype}, the result {plan.shape} of "
                f"{plan.dtype}; make it with numpy.zeros(plan.shape, plan.dtype)."
            )

    def missing(self) -> tuple[int, Iterable[Block]]:
        """Return all blocks, because an array holds none before a run."""
        return self.plan.blocks, self.plan.indices()

    def write(
        self, index: Block, block: NDArray[Any], filled: Sequence[str] = (), uncertainty: Pixels | None = None
    ) -> None:
        """Copy a block to its region of the array.

        Parameters
        ----------
        index : tuple of int
            Index of the block.
        block : numpy.ndarray
            Pixels of the block, with axes in canonical order.
        filled : sequence of str
            Ignored: for an array, filled regions are only logged.
        uncertainty : numpy.ndarray or None
            Ignored: `napari_restore.api` refuses it for an array.
        """
        self.array[self.plan.region(index)] = block

    def settle(self, index: Block) -> None:
        """Do nothing, because an array has no coarser levels.

        Parameters
        ----------
        index : tuple of int
            Index of the block.
        """


class OmeZarrSink:
    """Sink that writes each block as one stored object of an OME-Zarr, and lists the objects to find missing blocks.

    It holds the lock of the output until it is closed (by `with` or `close`) or garbage-collected. A pickled copy can
    write while the original holds the lock.

    Parameters
    ----------
    plan : Plan
        The run.
    path : Path or str
        The output: a directory, or a URL of an object store. It is created with its metadata. If a run with the same
        fingerprint and source started it, it is resumed.
    overwrite : bool
        Replace an existing Zarr, unless it is an incomplete result of the same run (see `continues`). The old result is
        kept beside the output until the new one is complete.

    Raises
    ------
    OutputInUse
        If another run is writing to it.
    OutputError
        See `check_output`.
    """

    def __init__(self, plan: Plan, path: Path | str, *, overwrite: bool = False) -> None:
        check_output(plan, path, overwrite=overwrite)
        place = place_of(path)  # resolves links: the target of a link is replaced, not the link
        self.plan, self.path = plan, place.location
        lock = lock_output(self.path, fsync=plan.recipe.fsync)
        self.guard = lock.guard
        self._release = weakref.finalize(self, lock.release)
        self._lock_owner = lock.owner if isinstance(lock, OutputLock) else None
        try:
            check_output(plan, path, overwrite=overwrite)  # another run may have ended since the first check
            self._begin(place, overwrite)
        except BaseException:
            self.close()
            raise
        self._coarse: CoarseUnits | None = None
        self.writer = UnitWriter(self.path, self.stage)
        self.uncertainty = UnitWriter(self.path, self.stage, UNCERTAINTY)
        self.marked = read_marks(self.path)

    def _begin(self, place: Place, overwrite: bool) -> None:
        """Create the output, or prepare an existing one to be resumed."""
        if self._lock_owner is not None and place.holds() == "nothing" and not overwrite and self._put_back(place):
            check_output(self.plan, place.location)
        if place.holds() == "zarr" and not (overwrite and not continues(self.plan, place.location)):
            place.sweep()
            self._note_crops()
            self._compare_arithmetic()
        elif place.holds() == "zarr":
            self._replace(place)
        else:
            place.create(partial(create_output, self.plan), self.stage)

    def _put_back(self, place: Place) -> bool:
        """Put back the old result that an interrupted run moved aside, if that run created no new output."""
        assert self.stage is not None and isinstance(place.location, Path)
        if not put_back(place.location, self.stage):
            return False
        _log.warning("%s: put back the result that an interrupted run was about to replace", self.path)
        return True

    def _replace(self, place: Place) -> None:
        """Replace a result: on a disk, keep the old one beside the output until the new one is complete.

        In an object store nothing can be moved, so the old result is deleted.
        """
        if self.stage is None or self._lock_owner is None:
            place.delete()
            place.create(partial(create_output, self.plan))
            return
        assert isinstance(place.location, Path)
        known = self.plan.source_crops  # read before anything is moved
        if kept_results(place.location):
            if is_complete(place.location):
                delete_kept(place.location, self.stage)
                set_aside(place.location, self.stage, self._lock_owner)
            else:  # an interrupted run started it, and the result that it replaces is kept
                place.delete(self.stage)
        else:
            set_aside(place.location, self.stage, self._lock_owner)
        place.create(partial(create_output, self.plan), self.stage)
        now = crop_digests(self.plan.image)
        if known.keys() - now.keys() or differing_crops(known, now):
            place.delete(self.stage)
            put_back(place.location, self.stage)
            raise OutputError(
                f"the source of this run is read from {self.path}, so it cannot be replaced, and was put back; choose "
                "an output elsewhere."
            )

    def finish(self) -> None:
        """Gather the digests, and delete the replaced result. It is called when a run has finished without an error."""
        if self.stage is not None and isinstance(self.path, Path):
            finish(self.path, self.stage)

    def _note_crops(self) -> None:
        """Store the digests of those crops of the source that could not be read when the run started."""
        attributes = ome_zarr.read_attributes(self.path) or {}
        stored = attributes.get("source_crops")
        if stored and self.plan.source_crops.keys() - stored.keys():
            crops = self.plan.source_crops | stored
            put_attributes(self.path, {ome_zarr.ATTRIBUTES: attributes | {"source_crops": crops}}, self.stage)

    def _compare_arithmetic(self) -> None:
        """Warn if this machine may round the last bits differently from the machine that started the run."""
        stored = (ome_zarr.read_attributes(self.path) or {}).get("arithmetic")
        recipe = self.plan.recipe
        now = arithmetic(recipe.device, recipe.backend)
        other = other_arithmetic(stored if isinstance(stored, dict) else {}, now)
        if other:
            _log.warning("%s is resumed with other arithmetic (%s): last bits may differ", self.path, other)

    @property
    def stage(self) -> Stage | None:
        """Stage through which an output on a disk is written; None for an object store."""
        return self.guard if isinstance(self.guard, Stage) else None

    def close(self) -> None:
        """Release the lock. It may be called twice."""
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

    def missing(self) -> tuple[int, Iterable[Block]]:
        """Return the number of blocks that are not stored or in doubt, and their indices."""
        levels = [ome_zarr.stored_units(self.path, level) for level in range(self.plan.levels)]
        stored = levels[0]
        if self.plan.recipe.uncertainty:
            stored &= ome_zarr.stored_units(group_in(self.path, UNCERTAINTY), 0)
        # When a filled block is computed again, the coarser objects above it are deleted. With filled blocks, coarser
        # levels are therefore computed at the end.
        self._coarse = None if self.marked else CoarseUnits(levels)
        for unit, reasons in self.marked.items():
            if in_doubt(reasons):
                stored[unit.index] = False
        count = int(stored.size - np.count_nonzero(stored))
        return count, (index for index in self.plan.indices() if not stored[self.plan.unit_of(index).index])

    def write(
        self, index: Block, block: NDArray[Any], filled: Sequence[str] = (), uncertainty: Pixels | None = None
    ) -> None:
        """Write a block as one object, whole or not at all, and then the coarser objects that need this block only.

        Parameters
        ----------
        index : tuple of int
            Index of the block.
        block : numpy.ndarray
            Pixels of the block, with axes in canonical order.
        filled : sequence of str
            Filled regions of its source, in words: they mark the block as filled.
        uncertainty : numpy.ndarray or None
            Uncertainty of the block, if the recipe asks for it. It is stored first, so a block that is stored has it.

        Raises
        ------
        OutputTaken
            If another run has taken over the output.
        DiskFull
            If there is no room.
        OutputError
            If the object cannot be written.
        """
        unit, pixels = self.plan.unit_of(index), ome_zarr.to_stored(block, self.plan.axes)
        self.guard.check()
        try:
            if unit in self.marked:
                self.discard_above(unit)
            if filled:
                write_mark(self.writer.place, unit, filled, self.stage)
            if uncertainty is not None:
                self.uncertainty.write(unit, ome_zarr.to_stored(uncertainty, self.plan.axes))
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
        """Delete the coarser write units that were computed from one that is about to change.

        Parameters
        ----------
        unit : WriteUnit
            The write unit that is about to change.
        """
        while unit.level + 1 < self.plan.levels:
            unit = unit.above
            self.writer.delete(unit)

    def _explained(self, error: OutputError, cause: BaseException | None) -> OutputError:
        """Return the error to raise: if the disk is full, one that says how much room is needed."""
        if not isinstance(cause, OSError) or cause.errno not in (errno.ENOSPC, errno.EDQUOT):
            return error
        needed, missing, total = remaining_bytes(self.plan, self.path)
        free = (place_of(self.path).free() or (0, ""))[0]
        kept = kept_results(self.path) if isinstance(self.path, Path) else []
        note = f" The result that this one replaces takes room too, in {kept[0]}." if kept else ""
        return DiskFull(
            f"{self.path} cannot be finished: {cause.strerror or cause}. {missing} of {total} objects are not stored "
            f"yet, about {human_bytes(needed)}; {human_bytes(free)} are free on that disk. Make room, and start the "
            f"same run again: it is resumed, and what is stored stays.{note}"
        )

    def downsample(self, unit: WriteUnit) -> None:
        """Compute a write unit of a coarser level from the level before it. Any process may call this.

        Parameters
        ----------
        unit : WriteUnit
            The write unit to compute, of level 1 or a coarser one.

        Raises
        ------
        OutputError
            See `write`.
        """
        self.guard.check()
        try:
            downsample_unit(self.writer, unit)
        except OutputError as error:
            raise self._explained(error, error.__cause__) from error.__cause__

    def settle(self, index: Block) -> None:
        """Compute the coarser write units for which only this block, now stored, was missing.

        One that fails is left to `napari_restore.engine.run.local.build_pyramid`, which raises the error.

        Parameters
        ----------
        index : tuple of int
            Index of the stored block.
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
    """Lock an output, on a disk or in an object store.

    Parameters
    ----------
    path : Path or str
        The output, a path or URL.
    fsync : bool
        See `Stage`; an object store has no use for it.

    Raises
    ------
    OutputInUse
        If another run that is alive holds the lock.
    OutputError
        If the lock cannot be created.
    """
    place = place_of(path)
    if isinstance(place, Prefix):
        from napari_restore.engine.store.object_lock import ObjectLock

        return ObjectLock(place.url)
    return OutputLock(place.path, fsync=fsync)
