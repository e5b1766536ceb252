"""Find workers that have stopped sending heartbeats: suspended processes, and machines without a network."""

from __future__ import annotations

import time
from collections.abc import Mapping

__all__ = ["Heartbeats"]

SILENT = 15.0
"""Seconds without a heartbeat after which a worker counts as silent. Dask takes minutes to give a worker up."""
INTERVALS = 10
"""A worker is not silent before it has missed this number of heartbeats."""


class Heartbeats:
    """The last heartbeat of each worker, and when it was first seen here.

    The time of a heartbeat is by the scheduler's clock. It is only compared with itself, because that clock may differ
    from the one of this machine.
    """

    def __init__(self) -> None:
        self._last: dict[str, tuple[float, float]] = {}

    def silent(self, heartbeats: Mapping[str, float]) -> set[str]:
        """Take in the present workers, and return the addresses of those that are silent.

        Parameters
        ----------
        heartbeats : mapping of str to float
            Time of the last heartbeat of each present worker, by its address.
        """
        now, earlier = time.monotonic(), self._last
        self._last = {
            address: earlier[address] if address in earlier and earlier[address][0] == beat else (beat, now)
            for address, beat in heartbeats.items()
        }
        # The interval of Dask grows with the number of workers: it is at most 1 + workers / 200 seconds.
        limit = max(SILENT, INTERVALS * (1 + len(heartbeats) / 200))
        return {address for address, (_, since) in self._last.items() if now - since > limit}
