"""Where a run stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Progress"]


@dataclass(frozen=True)
class Progress:
    """Where a run stands.

    Attributes
    ----------
    stage
        ``"restoring"``, then ``"pyramid"`` while coarser levels are made.
    done, total
        Blocks of this stage, those of an earlier run included.
    tiles_done, tiles_total
        Tiles of this run.
    seconds
        Since this run began.
    """

    stage: Literal["restoring", "pyramid"]
    done: int
    total: int
    tiles_done: int
    tiles_total: int
    seconds: float

    @property
    def tiles_per_second(self) -> float:
        """Mean rate of this run."""
        return self.tiles_done / self.seconds if self.seconds > 0 else 0.0

    @property
    def eta_seconds(self) -> float | None:
        """Expected time until the last tile is restored; None before the first one is."""
        rate = self.tiles_per_second
        return (self.tiles_total - self.tiles_done) / rate if rate else None
