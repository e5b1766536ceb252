"""Running a plan on this machine: blocks through a bounded window of workers, then the coarser levels."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from napari_restore.engine.compute.block import Receipt, restore_block
from napari_restore.engine.compute.predictor import predictor_of
from napari_restore.engine.compute.region import Cancelled
from napari_restore.engine.planning.plan import Block, Plan
from napari_restore.engine.store.progress import Progress
from napari_restore.engine.store.protocol import Sink
from napari_restore.engine.store.sinks import OmeZarrSink
from napari_restore.images.writing import ome_zarr
from napari_restore.images.writing.layout import WriteUnit

__all__ = ["Stages", "bounded_map", "build_pyramid", "coarser_levels", "run_blocks", "run_here"]

Stages = Callable[[Plan, OmeZarrSink, Callable[[Receipt], Any]], Generator[Progress, None, None]]
"""What carries out a plan into an OME-Zarr, and hands on the receipt of each block."""

TICK = 0.25
"""Seconds between two progress events while no block is done."""


Item = TypeVar("Item")
Done = TypeVar("Done")


def bounded_map(
    function: Callable[[Item], Done], items: Iterable[Item], *, workers: int, stop: threading.Event
) -> Generator[Done | None, None, None]:
    """Call a function on items from worker threads, a few of them waiting at a time.

    Yields what the function returns for each item, and None every `TICK` seconds in between, so the caller can report
    and be closed.
    When closed, or when a call fails, `stop` is set, no more items start, and those in progress are waited for.
    """
    source = iter(items)
    waiting: set[Future[Done]] = set()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="block")
    try:
        while True:
            # One more than there are workers, so that none of them ever waits for this thread.
            while len(waiting) <= workers and (item := next(source, None)) is not None:
                waiting.add(pool.submit(function, item))
            if not waiting:
                return
            finished, waiting = wait(waiting, timeout=TICK, return_when=FIRST_COMPLETED)
            for future in finished:
                yield future.result()
            if not finished:
                yield None
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


class _Counter:
    """Counts tiles from all workers, and stops them between two batches."""

    def __init__(self, stop: threading.Event) -> None:
        self.stop, self.value = stop, 0
        self._lock = threading.Lock()

    def __call__(self, tiles: int) -> None:
        with self._lock:
            self.value += tiles
        if self.stop.is_set():
            raise Cancelled


def run_blocks(
    plan: Plan, sink: Sink, record: Callable[[Receipt], Any] = lambda receipt: None
) -> Generator[Progress, None, None]:
    """Restore the blocks that a sink is missing.

    Closing the generator stops the run after the batches in progress; what is stored stays.

    Parameters
    ----------
    plan
        The run, its value range chosen.
    sink
        Where the blocks go.
    record
        Called with the receipt of each block, on the thread that asks for events.

    Yields
    ------
    Progress
        At the start, after each block, and every quarter of a second.

    Raises
    ------
    RestoreError
        The error of the first block that fails; blocks that are stored stay.
    """
    recipe = plan.recipe
    assert recipe.workers is not None and recipe.value_range is not None
    count, indices = sink.missing()
    done, stop = plan.blocks - count, threading.Event()
    counter, began = _Counter(stop), time.monotonic()
    tiles_total = round(plan.tiles * count / plan.blocks)

    def progress() -> Progress:
        tiles = min(counter.value, tiles_total) if done < plan.blocks else tiles_total
        return Progress("restoring", done, plan.blocks, tiles, tiles_total, time.monotonic() - began)

    yield progress()
    if not count:
        return
    # Here, since a model that cannot be loaded is no block's error.
    predictor_of(plan)

    def restore(index: Block) -> Receipt:
        receipt = restore_block(plan, sink, index, counter)
        sink.settle(index)
        return receipt

    with closing(bounded_map(restore, indices, workers=recipe.workers, stop=stop)) as steps:
        for receipt in steps:
            if receipt is not None:
                done += 1
                record(receipt)
            yield progress()


def coarser_levels(
    plan: Plan, path: Path | str, make: Callable[[list[WriteUnit]], Generator[Any, None, None]]
) -> Generator[Progress, None, None]:
    """Make the missing write units of the coarser levels, one level after the other.

    Parameters
    ----------
    plan
        The run, the blocks of which are stored.
    path
        The output.
    make
        Makes write units of a level; yields None while it waits, else what came of one.

    Yields
    ------
    Progress
        Of a level after each write unit, and as often as `make` yields; seconds count from the first level on.
    """
    began = time.monotonic()
    for level in range(1, plan.levels):
        total = math.prod(ome_zarr.unit_counts(ome_zarr.open_level(path, level)))
        missing = list(ome_zarr.missing_units(path, level))
        done = total - len(missing)
        with closing(make(missing)) as steps:
            for made in steps:
                done += made is not None
                yield Progress("pyramid", done, total, 0, 0, time.monotonic() - began)


def build_pyramid(sink: OmeZarrSink) -> Generator[Progress, None, None]:
    """Compute the missing write units of the coarser levels, one level after the other."""

    def make(missing: list[WriteUnit]) -> Generator[WriteUnit | None, None, None]:
        def downsample(unit: WriteUnit) -> WriteUnit:
            sink.downsample(unit)
            return unit

        workers = sink.plan.recipe.workers or 1
        return bounded_map(downsample, missing, workers=workers, stop=threading.Event())

    yield from coarser_levels(sink.plan, sink.path, make)


def run_here(
    plan: Plan, sink: OmeZarrSink, record: Callable[[Receipt], Any] = lambda receipt: None
) -> Generator[Progress, None, None]:
    """Carry out a plan on this machine: its blocks, and then its coarser levels."""
    yield from run_blocks(plan, sink, record)
    yield from build_pyramid(sink)
