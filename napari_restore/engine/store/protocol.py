"""The interface of sinks, which take the blocks of a run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from napari_restore.engine.compute.block import BlockStore
from napari_restore.engine.planning.plan import Block

__all__ = ["Sink"]


class Sink(BlockStore, Protocol):
    """Interface of the objects that store finished blocks."""

    def missing(self) -> tuple[int, Iterable[Block]]:
        """Return the number of blocks that are not stored, and their indices."""

    def settle(self, index: Block) -> None:
        """Compute what depends on a stored block alone, on the thread that stored it."""
