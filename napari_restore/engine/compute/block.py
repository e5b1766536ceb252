"""The unit of work: one block restored and stored, and the few bytes that are said of it afterwards."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from napari_restore.engine.compute.lost_devices import is_device_lost, mark_lost, working_device
from napari_restore.engine.compute.predictor import predictor_of
from napari_restore.engine.compute.region import restore_region
from napari_restore.engine.planning.plan import Block, Plan
from napari_restore.engine.planning.reading import Filled, PatientImage, fill_in, patient
from napari_restore.errors import DeviceLost, OutOfMemory
from napari_restore.retrying import Retries, retried

__all__ = ["BlockStore", "Receipt", "restore_block"]

MEMORY = Retries(
    pauses=(0.5, 2.0), may_pass=lambda error: isinstance(error, MemoryError) and not isinstance(error, OutOfMemory)
)
"""For memory that other blocks give back; a tile that does not fit a device alone never will."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Receipt:
    """What a finished block leaves behind besides its pixels.

    Attributes
    ----------
    index
        Of the block, in canonical order.
    tiles
        How many went through the network.
    seconds
        From reading the source to the stored object.
    worker
        Host and process that did it.
    filled
        What of the source could not be read and was filled instead, one text for each place.
    retries
        Tries that failed before.
    device
        That the network ran on.
    batch
        Tiles that went through the network together: fewer than the recipe says where memory ran out.
    failures
        What each try that failed said.
    """

    index: Block
    tiles: int
    seconds: float
    worker: str
    filled: tuple[str, ...] = ()
    retries: int = 0
    device: str = ""
    batch: int = 0
    failures: tuple[str, ...] = ()


class BlockStore(Protocol):
    """Takes finished blocks."""

    def write(self, index: Block, block: NDArray[Any], filled: Sequence[str] = ()) -> None:
        """Store a block, in canonical order, and what of its source was filled."""


def restore_block(
    plan: Plan, store: BlockStore, index: Block, after_batch: Callable[[int], None] = lambda tiles: None
) -> Receipt:
    """Restore one block and store it, in whatever thread or process this is called.

    Parameters
    ----------
    plan
        The run, its value range chosen.
    store
        Where the block goes.
    index
        Of the block, in canonical order.
    after_batch
        Called with the number of tiles of each batch that is done; may raise `Cancelled`.

    Raises
    ------
    DeviceLost
        If the device stops working and the recipe names no other.
    OutOfMemory
        If there is not enough memory, after some waiting.
    RestoreError
        If the source cannot be read there, or the block cannot be stored.
    """
    recipe = plan.recipe
    assert recipe.value_range is not None
    began, work = time.monotonic(), _Work(plan, index, after_batch)
    block = work.restored()
    filled = tuple(dict.fromkeys(str(part) for part in work.image.filled if work.of_its_planes(part)))
    store.write(index, block, filled)
    failures = (*work.image.failures, *work.failures)
    return Receipt(
        index, work.tiles, time.monotonic() - began, f"{socket.gethostname()}:{os.getpid()}", filled,
        len(failures), str(work.device), work.batch, failures,
    )  # fmt: skip


class _Work:
    """One block on its way, however many tries that takes."""

    def __init__(self, plan: Plan, index: Block, after_batch: Callable[[int], None]) -> None:
        self.plan, self.region, self.after_batch = plan, plan.region(index), after_batch
        self.image = self._patient_image()
        self.tiles, self.device, self.batch = 0, plan.device, 0
        self.failures: list[str] = []

    def _patient_image(self) -> PatientImage:
        low = tuple(pair[0] for pair in self.plan.recipe.value_range or ())
        return patient(self.plan.image, self.plan.recipe.on_error, low)

    def restored(self) -> NDArray[Any]:
        """Compute the block, on another device or once more where that helps."""
        try:
            return retried(self._on_a_working_device, MEMORY, lambda error: self._again(f"out of memory: {error}"))
        except OutOfMemory:
            raise
        except MemoryError as error:
            raise OutOfMemory(
                f"there is not enough memory for a block ({error}); use fewer workers, or free memory and run the same "
                "again: blocks that are stored stay."
            ) from error

    def _on_a_working_device(self) -> NDArray[Any]:
        while True:
            self.device = working_device(self.plan) or self.plan.device
            try:
                return self._computed()
            except RuntimeError as error:
                if not is_device_lost(error, self.device):
                    raise
                mark_lost(self.device)
                if working_device(self.plan) is None:
                    raise DeviceLost(
                        f"{self.device} stopped working in the middle of the run: {error}. Blocks that are stored "
                        "stay: run the same again, with device='auto' or 'cpu' if it does not come back."
                    ) from error
                self._again(f"{self.device} stopped working: {error}")

    def _again(self, failure: str) -> None:
        _log.warning("block tried again: %s", failure)
        self.failures += [*self.image.failures, failure]
        self.image, self.tiles = self._patient_image(), 0

    def _count(self, done: int) -> None:
        self.tiles += done
        self.after_batch(done)

    def _computed(self) -> NDArray[Any]:
        recipe = self.plan.recipe
        predict = predictor_of(self.plan, self.device)
        plan = self.plan.reading(self.image)
        block = restore_region(plan, self.region, predict, self._count)
        self.batch = min(recipe.batch or 1, getattr(predict, "largest_batch", None) or recipe.batch or 1)
        for part in self.image.filled:
            self._fill_result(block, part)
        return block

    def of_its_planes(self, part: Filled) -> bool:
        """Tell whether a part of the source is of the block's own planes, and not of their neighbours alone."""
        each = zip(self.plan.axes, self.region, part.region, strict=True)
        return all(a in "YXS" or (p.start < own.stop and own.start < p.stop) for a, own, p in each)

    def _fill_result(self, block: NDArray[Any], part: Filled) -> None:
        """Make the pixels of the result that lie over a filled part of the source say so: they get the fill value."""
        scale = self.plan.card.scale
        inside, where = [], []
        for axis, own, source in zip(self.plan.axes, self.region, part.region, strict=True):
            s = scale if axis in "YX" else 1
            start, stop = max(own.start, source.start * s), min(own.stop, source.stop * s)
            if axis == "S":
                start, stop = own.start, own.stop
            if start >= stop:
                return
            inside.append(slice(start - own.start, stop - own.start))
            where.append(slice(start, stop))
        fill_in(block[tuple(inside)], self.plan.axes, tuple(where), self.image.fill)
