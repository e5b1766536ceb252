"""A cluster on this machine, for tests, and what is run on it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import dask

__all__ = ["KNOWN", "SETTINGS", "SHAPE", "two_workers"]

SETTINGS: dict[str, Any] = {"tile": 64, "halo": 4, "workers": 2, "device": "cpu"}
SHAPE = (12, 32, 260)
KNOWN: dict[str, Any] = SETTINGS | {
    "value_range": (0, 200), "valid_range": "all", "fill_values": "none", "neighbours": "none", "axes": "ZYX",
    "chunks": (1, 32, 260), "shards": (1, 32, 260),
}  # fmt: skip


@contextmanager
def two_workers() -> Iterator[Any]:
    """A scheduler and two worker processes, which are started again when they die (not if they die while starting)."""
    from distributed import Client, LocalCluster

    for name in ("distributed.nanny", "distributed.scheduler", "distributed.core"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
        here = LocalCluster(
            n_workers=2, threads_per_worker=2, resources={"disk": 1}, dashboard_address=":0", memory_limit=0
        )
        try:
            with Client(here) as client:
                yield client
        finally:
            with suppress(TimeoutError):  # a nanny whose worker was killed while starting does not always end
                here.close(timeout=30)
