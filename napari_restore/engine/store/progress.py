"""The progress of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Progress"]


@dataclass(frozen=True)
class Progress:
    """Progress of a run.

    Attributes
    ----------
    stage : {"restoring", "pyramid", "copying"}
        ``"pyramid"`` while coarser levels are computed after the blocks, ``"copying"`` while labels and tables of the
        source are copied after them.
    done, total : int
        Write units (of ``"copying"``: objects) of this stage, those of earlier sessions included.
    tiles_done, tiles_total : int
        Tiles of this session.
    seconds : float
        Seconds since this session (or, for the other stages, this stage) started.
    block : tuple of int or None
        Index of the block whose completion this event reports; None for other events, and on a cluster.
    """

    stage: Literal["restoring", "pyramid", "copying"]
    done: int
    total: int
    tiles_done: int
    tiles_total: int
    seconds: float
    block: tuple[int, ...] | None = None

    @property
    def counts_tiles(self) -> bool:
        """Whether `steps` are tiles."""
        return self.stage == "restoring" and self.tiles_total > 0

    @property
    def steps(self) -> tuple[int, int]:
        """What is done of this stage, and all of it: tiles of this session if there are any to restore, or `done`."""
        return (self.tiles_done, self.tiles_total) if self.counts_tiles else (self.done, self.total)

    @property
    def tiles_per_second(self) -> float:
        """Mean tiles per second of this session."""
        return self.tiles_done / self.seconds if self.seconds > 0 else 0.0

    @property
    def eta_seconds(self) -> float | None:
        """Estimated seconds until the last tile is restored; None before the first tile is."""
        rate = self.tiles_per_second
        return (self.tiles_total - self.tiles_done) / rate if rate else None
