"""Restore one block, store it, and return a receipt of a few bytes."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_restore.engine.compute.fusion_counts import FusionCounts
from napari_restore.engine.compute.lost_devices import is_device_lost, mark_lost, working_device
from napari_restore.engine.compute.predictor import predictor_of
from napari_restore.engine.compute.region import restore_region
from napari_restore.engine.planning.plan import Block, Plan
from napari_restore.engine.planning.reading import Filled, RetryingImage, fill_in, with_retries
from napari_restore.errors import DeviceLost, OutOfMemory
from napari_restore.retrying import Retries, retried
from napari_restore.ways_out import WayOut

__all__ = ["BlockStore", "Receipt", "restore_block"]

MEMORY = Retries(
    pauses=(0.5, 2.0), may_pass=lambda error: isinstance(error, MemoryError) and not isinstance(error, OutOfMemory)
)
"""For memory that other blocks will free. A single tile that does not fit the device's memory is not retried."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Receipt:
    """Facts about a finished block.

    Attributes
    ----------
    index : tuple of int
        Index of the block, in canonical order.
    tiles : int
        Number of tiles that went through the network.
    seconds : float
        Time from reading the source to the stored object.
    worker : str
        Host and process that computed the block.
    filled : tuple of str
        Parts of the source that could not be read and were filled, one text for each.
    retries : int
        Number of attempts that failed before.
    device : str
        Device that the network ran on.
    batch : int
        Number of tiles that went through the network together; less than in the recipe if memory ran out.
    failures : tuple of str
        Error message of each attempt that failed.
    fusion : dict or None
        Statistics of the averaging of neighbouring planes, as `FusionCounts.as_json`; None if there was none.
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
    fusion: dict[str, Any] | None = None


class BlockStore(Protocol):
    """A store that takes finished blocks."""

    def write(
        self,
        index: Block,
        block: NDArray[Any],
        filled: Sequence[str] = (),
        uncertainty: NDArray[np.float32] | None = None,
    ) -> None:
        """Store a block, in canonical order, the list of filled parts of its source, and its uncertainty."""


def restore_block(
    plan: Plan,
    store: BlockStore,
    index: Block,
    after_batch: Callable[[int], None] = lambda tiles: None,
    stop: threading.Event | None = None,
) -> Receipt:
    """Restore one block and store it, in the calling thread.

    Parameters
    ----------
    plan : Plan
        The run, with its value range chosen.
    store : BlockStore
        Store that the block is written to.
    index : tuple of int
        Index of the block, in canonical order.
    after_batch : callable
        Called with the number of tiles of each finished batch.
    stop : threading.Event, optional
        Ends the work once it is set.

    Returns
    -------
    Receipt
        Facts about the block.

    Raises
    ------
    Cancelled
        If `stop` is set.
    DeviceLost
        If the device stops working and the plan has no other device.
    OutOfMemory
        If there is not enough memory, after all retries.
    RestoreError
        If the source of the block cannot be read, or the block cannot be stored.
    """
    recipe = plan.recipe
    assert recipe.value_range is not None
    began, work = time.monotonic(), _Work(plan, index, after_batch, stop)
    block = work.restored()
    filled = tuple(dict.fromkeys(str(part) for part in work.image.filled if work.of_its_planes(part)))
    store.write(index, block, filled, work.uncertainty)
    failures = (*work.image.failures, *work.failures)
    return Receipt(
        index, work.tiles, time.monotonic() - began, f"{socket.gethostname()}:{os.getpid()}", filled,
        len(failures), str(work.device), work.batch, failures, work.fusion.as_json(),
    )  # fmt: skip


class _Work:
    """The computation of one block, over all its attempts."""

    def __init__(
        self, plan: Plan, index: Block, after_batch: Callable[[int], None], stop: threading.Event | None
    ) -> None:
        self.plan, self.region, self.after_batch, self.stop = plan, plan.region(index), after_batch, stop
        self.image = self._retrying_image()
        self.tiles, self.device, self.batch = 0, plan.device, 0
        self.failures: list[str] = []
        self.fusion = FusionCounts()
        self.uncertainty: NDArray[np.float32] | None = None

    def _retrying_image(self) -> RetryingImage:
        low = tuple(pair[0] for pair in self.plan.recipe.value_range or ())
        return with_retries(self.plan.image, self.plan.recipe.on_error, low)

    def restored(self) -> NDArray[Any]:
        """Compute the block, with retries and on another device where that helps."""
        try:
            return retried(self._on_a_working_device, MEMORY, lambda error: self._again(f"out of memory: {error}"))
        except OutOfMemory:
            raise
        except MemoryError as error:
            raise OutOfMemory(
                f"there is not enough memory for a block ({error}); use fewer workers, or free memory and run the "
                "same again: stored blocks are kept."
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
                        f"{self.device} stopped working during the run: {error}. Stored blocks are kept",
                        WayOut(
                            "run the same again, with device='auto' or 'cpu' if the device does not work again.",
                            "run the same again, with --device auto or cpu if the device does not work again.",
                            "run the same again, with the Device auto or cpu if the device does not work again.",
                        ),
                    ) from error
                self._again(f"{self.device} stopped working: {error}")

    def _again(self, failure: str) -> None:
        _log.warning("block retried: %s", failure)
        self.failures += [*self.image.failures, failure]
        self.image, self.tiles = self._retrying_image(), 0

    def _count(self, done: int) -> None:
        self.tiles += done
        self.after_batch(done)

    def _record(self, fusion: FusionCounts) -> None:
        self.fusion = fusion

    def _keep(self, uncertainty: NDArray[np.float32]) -> None:
        self.uncertainty = uncertainty

    def _computed(self) -> NDArray[Any]:
        recipe = self.plan.recipe
        predict = predictor_of(self.plan, self.device)
        plan = self.plan.with_image(self.image)
        block = restore_region(plan, self.region, predict, self._count, self._record, self._keep, self.stop)
        self.batch = min(recipe.batch or 1, getattr(predict, "largest_batch", None) or recipe.batch or 1)
        for part in self.image.filled:
            self._fill_result(block, part)
        return block

    def of_its_planes(self, part: Filled) -> bool:
        """Return whether a part of the source is in the planes of the block, and not only in their neighbours."""
        each = zip(self.plan.axes, self.region, part.region, strict=True)
        return all(a in "YXS" or (p.start < own.stop and own.start < p.stop) for a, own, p in each)

    def _fill_result(self, block: NDArray[Any], part: Filled) -> None:
        """Set the pixels of the result that lie over a filled part of the source to the fill value."""
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
        if self.uncertainty is not None:
            self.uncertainty[tuple(inside)] = np.nan
