"""Run a plan on this machine: restore blocks in a pool of threads, then compute the coarser levels."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from napari_restore.engine.compute.block import Receipt, restore_block
from napari_restore.engine.compute.predictor import predictor_of
from napari_restore.engine.compute.speed import Stopwatch, remember_tile_seconds
from napari_restore.engine.planning.plan import Block, Plan
from napari_restore.engine.store.progress import Progress
from napari_restore.engine.store.protocol import Sink
from napari_restore.engine.store.sinks import OmeZarrSink
from napari_restore.errors import OutputError
from napari_restore.images.lazy_arrays import Region
from napari_restore.images.writing import ome_zarr
from napari_restore.images.writing.layout import WriteUnit

__all__ = ["Stages", "bounded_map", "build_pyramid", "coarser_levels", "run_blocks", "run_here"]

_log = logging.getLogger(__name__)

Stages = Callable[[Plan, OmeZarrSink, Callable[[Receipt], Any]], Generator[Progress, None, None]]
"""A function that runs a plan into an OME-Zarr, and calls its third argument with the receipt of each block."""

TICK = 0.25
"""Seconds between two progress events while no block is finished."""


Item = TypeVar("Item")
Done = TypeVar("Done")


def bounded_map(
    function: Callable[[Item], Done], items: Iterable[Item], *, workers: int, stop: threading.Event
) -> Generator[Done | None, None, None]:
    """Call a function for each item in a pool of threads, with at most one item waiting for a thread.

    When the generator is closed or a call fails, it sets `stop`, starts no more items and waits for those in progress.

    Parameters
    ----------
    function : callable
        Called with an item.
    items : iterable
        Read one by one, when a thread needs an item.
    workers : int
        Number of threads.
    stop : threading.Event
        Set at the end, so that `function` can return early.

    Yields
    ------
    Any or None
        What `function` returns, in the order of completion, and None every `TICK` seconds in between, so that the
        caller can report progress or close the generator.
    """
    source = iter(items)
    waiting: set[Future[Done]] = set()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="block")
    try:
        while True:
            # One item more than there are workers, so that no worker waits for this thread.
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
    """Counter of tiles over all workers."""

    def __init__(self) -> None:
        self.value = 0
        self._lock = threading.Lock()

    def __call__(self, tiles: int) -> None:
        with self._lock:
            self.value += tiles


def run_blocks(
    plan: Plan,
    sink: Sink,
    record: Callable[[Receipt], Any] = lambda receipt: None,
    *,
    first: Region | None = None,
) -> Generator[Progress, None, None]:
    """Restore the blocks that are missing in a sink.

    Closing the generator stops the run, on a CPU in the middle of a batch. Stored blocks stay.

    Parameters
    ----------
    plan : Plan
        The run, with its value range chosen.
    sink : Sink
        Stores the blocks.
    record : callable
        Called with the receipt of each block, on the thread that iterates over the events.
    first : tuple of slice, optional
        Region of the result whose blocks are restored before all others.

    Yields
    ------
    Progress
        At the start, after each block, and every quarter of a second.

    Raises
    ------
    RestoreError
        The error of the first block that fails. Stored blocks stay.
    """
    recipe = plan.recipe
    assert recipe.workers is not None and recipe.value_range is not None
    for warning in plan.warnings:
        _log.warning("%s", warning)
    count, indices = sink.missing()
    if first is not None:
        indices = _first_in(plan, first, sink.missing()[1], indices)
    done, stop = plan.blocks - count, threading.Event()
    counter, began = _Counter(), time.monotonic()
    tiles_total = round(plan.tiles * count / plan.blocks)

    def progress(block: Block | None = None) -> Progress:
        tiles = min(counter.value, tiles_total) if done < plan.blocks else tiles_total
        return Progress("restoring", done, plan.blocks, tiles, tiles_total, time.monotonic() - began, block)

    yield progress()
    if not count:
        return
    # Load the model before any block, so that an error of loading is not reported as an error of a block.
    predictor_of(plan)
    watch = Stopwatch(counter)

    def restore(index: Block) -> Receipt:
        receipt = restore_block(plan, sink, index, watch, stop)
        sink.settle(index)
        return receipt

    with closing(bounded_map(restore, indices, workers=recipe.workers, stop=stop)) as steps:
        for receipt in steps:
            if receipt is not None:
                done += 1
                record(receipt)
            yield progress(None if receipt is None else receipt.index)
    remember_tile_seconds(plan, watch.tiles, watch.seconds)


def _first_in(plan: Plan, region: Region, some: Iterable[Block], others: Iterable[Block]) -> Iterator[Block]:
    """Yield the blocks that overlap with a region, and then all others; both iterables are over the same blocks."""

    def overlaps(index: Block) -> bool:
        spans = zip(plan.region(index), region, strict=True)
        return all(one.start < other.stop and other.start < one.stop for one, other in spans)

    yield from filter(overlaps, some)
    yield from (index for index in others if not overlaps(index))


def coarser_levels(
    plan: Plan, path: Path | str, make: Callable[[list[WriteUnit]], Generator[Any, None, None]]
) -> Generator[Progress, None, None]:
    """Compute the missing write units of the coarser levels, one level after the other.

    Parameters
    ----------
    plan : Plan
        The run, with all blocks stored.
    path : Path or str
        The output, a path or URL.
    make : callable
        Takes the missing write units of a level and computes them. It yields a value for each, and None while it waits.

    Yields
    ------
    Progress
        One event for each value of `make`. Done and total count the write units of the level; the seconds count from
        the start of the first level.

    Raises
    ------
    OutputError
        If a block is not stored any more.
    """
    if (gone := next(ome_zarr.missing_units(path, 0), None)) is not None:
        raise OutputError(
            f"{gone} of {path} was stored and is not there: another program deletes files, or the file system does not "
            "show all of them yet; run the same again, which computes it."
        )
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
    plan: Plan,
    sink: OmeZarrSink,
    record: Callable[[Receipt], Any] = lambda receipt: None,
    *,
    first: Region | None = None,
) -> Generator[Progress, None, None]:
    """Run a plan on this machine: first its blocks, then its coarser levels.

    Parameters
    ----------
    plan : Plan
        The run, with its value range chosen.
    sink : OmeZarrSink
        Stores the blocks and coarser levels.
    record : callable
        Called with the receipt of each block, on the thread that iterates over the events.
    first : tuple of slice, optional
        Region of the result whose blocks are restored before all others.
    """
    yield from run_blocks(plan, sink, record, first=first)
    yield from build_pyramid(sink)
