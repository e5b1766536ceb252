"""The unit of work: one block restored and stored, and the few bytes that are said of it afterwards."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from napari_restore.engine.block import restore_region
from napari_restore.engine.plan import Block, Plan
from napari_restore.engine.predictor import predictor_for

__all__ = ["BlockStore", "Receipt", "restore_block"]


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
    """

    index: Block
    tiles: int
    seconds: float
    worker: str
    filled: tuple[str, ...] = ()
    retries: int = 0


class BlockStore(Protocol):
    """Takes finished blocks."""

    def write(self, index: Block, block: NDArray[Any]) -> None:
        """Store a block, in canonical order."""


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
    RestoreError
        If the source cannot be read there, or the block cannot be stored.
    """
    recipe = plan.recipe
    assert recipe.value_range is not None
    began, tiles = time.monotonic(), 0

    def count(done: int) -> None:
        nonlocal tiles
        tiles += done
        after_batch(done)

    predict = predictor_for(plan.card, recipe.device, recipe.precision)
    store.write(index, restore_region(plan, plan.region(index), predict, recipe.value_range, count))
    return Receipt(index, tiles, time.monotonic() - began, f"{socket.gethostname()}:{os.getpid()}")
