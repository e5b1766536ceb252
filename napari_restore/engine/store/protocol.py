"""What a run asks of the place that its blocks go to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from napari_restore.engine.compute.block import BlockStore
from napari_restore.engine.planning.plan import Block

__all__ = ["Sink"]


class Sink(BlockStore, Protocol):
    """Where finished blocks go."""

    def missing(self) -> tuple[int, Iterable[Block]]:
        """How many blocks are not stored yet, and their indices."""

    def settle(self, index: Block) -> None:
        """Do what a stored block makes possible, on the thread that has stored it."""
