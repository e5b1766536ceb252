"""Running a plan on a Dask cluster: what is missing, through a bounded window, and what failed named at the end."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from napari_restore.engine.compute.block import Receipt
from napari_restore.engine.hardware.device import CPU, Device
from napari_restore.engine.hardware.devices import free_memory
from napari_restore.engine.planning.plan import Plan
from napari_restore.engine.run.cluster.local import processes
from napari_restore.engine.run.cluster.retries import ANSWER, Window, within
from napari_restore.engine.run.cluster.worker import Run, first_pixel, obstacle
from napari_restore.engine.run.cluster.workers import NAMED, Cluster, check_sendable, on_device
from napari_restore.engine.run.local import Stages, coarser_levels
from napari_restore.engine.store.progress import Progress
from napari_restore.errors import BlocksFailed, ClusterError, SourceError
from napari_restore.images.writing import ome_zarr
from napari_restore.images.writing.layout import WriteUnit

if TYPE_CHECKING:
    from napari_restore.engine.store.sinks import OmeZarrSink

__all__ = ["run_on", "stages_on", "stages_on_devices"]

REGISTER = 60.0
"""Seconds that workers have for taking in a run."""


def run_on(
    cluster: Cluster,
    plan: Plan,
    sink: OmeZarrSink,
    record: Callable[[Receipt], Any] = lambda receipt: None,
    *,
    memory: float = math.inf,
) -> Generator[Progress, None, None]:
    """Restore the blocks that an output is missing, and then the coarser levels, on a cluster.

    Closing the generator stops the workers after the batches in progress; what is stored stays.

    Parameters
    ----------
    cluster
        Who does it.
    plan, sink
        The run, and its output.
    record
        Called with the receipt of each block.
    memory
        Bytes that a worker may use, where it does not have a limit of its own.

    Yields
    ------
    Progress
        At the start, after each block, and every quarter of a second.

    Raises
    ------
    ClusterError
        If a worker cannot reach source, output or weights, or the scheduler is lost.
    BlocksFailed
        At the end, if some blocks could not be made on any worker.
    """
    cluster.check_backend(plan.recipe.backend)
    cluster.fit(plan, memory)
    check_sendable((plan, sink), plan.image)
    name = f"napari-restore-{uuid4().hex[:12]}"
    count, missing = sink.missing()
    yield _Restored(plan, count).progress()
    if not count and not _coarse_missing(plan, sink):
        return
    run = Run(plan, sink, cluster.at_once, cluster.threads)
    try:
        if within(REGISTER, lambda: [cluster.client.register_plugin(run, name=name)]) is None:
            raise ClusterError(
                f"the workers at {cluster.address} do not all take the run within {REGISTER:.0f} s; look for one that "
                "hangs, and restart it."
            )
        _check_reach(cluster, name, plan)
        yield from _restored(cluster, name, plan, count, missing, record)
        yield from _coarser(cluster, name, plan, sink)
    finally:
        with suppress(OSError, RuntimeError):  # the scheduler was lost, and all that it had been told with it
            if cluster.client.status == "running":
                within(ANSWER, lambda: cluster.client.unregister_worker_plugin(name))


@contextmanager
def stages_on_devices(plan: Plan) -> Iterator[tuple[Plan, Stages]]:
    """Start a process for each device of a plan on this machine, and end them afterwards.

    Yields
    ------
    Plan
        The plan as one of the processes carries it out, with a single device.
    Stages
        What carries it out: see `run_on`.
    """
    devices = plan.devices
    alone = on_device(plan, Device("cuda", 0) if plan.device.is_cuda else plan.device)  # a process sees one GPU
    check_sendable(alone, plan.image)
    with processes(devices, plan.recipe.workers or 1) as client:
        yield alone, stages_on(Cluster(client, plan.device, None), memory=free_memory(CPU) // len(devices))


def stages_on(cluster: Cluster, memory: float = math.inf) -> Stages:
    """Give `run_on` for a cluster the form that reports are made of."""
    return lambda plan, sink, record: run_on(cluster, plan, sink, record, memory=memory)


class _Restored:
    """Counts what a run has restored, of so many blocks that were missing."""

    def __init__(self, plan: Plan, missing: int) -> None:
        self.total, self.done, self.tiles = plan.blocks, plan.blocks - missing, 0
        self.tiles_total = round(plan.tiles * missing / plan.blocks)
        self._began = time.monotonic()

    def progress(self) -> Progress:
        tiles = min(self.tiles, self.tiles_total) if self.done < self.total else self.tiles_total
        return Progress("restoring", self.done, self.total, tiles, self.tiles_total, time.monotonic() - self._began)


def _check_reach(cluster: Cluster, name: str, plan: Plan) -> None:
    """Refuse workers that cannot read the source or the weights, or see another output."""
    try:
        pixel = first_pixel(plan)
    except SourceError:
        pixel = None  # what cannot be read here is no worker's fault
    answers = cluster.ask(obstacle, name, pixel)
    problems = Counter(answer for answer in answers.values() if answer is not None)
    if problems:
        listed = "; ".join(f"{text} ({count} of {len(answers)} workers)" for text, count in problems.most_common(NAMED))
        raise ClusterError(
            f"workers at {cluster.address} cannot do this run: {listed}. Source, output and weights have to be at the "
            "same place on every machine: a shared disk, or an object store with credentials on each."
        )


def _restored(
    cluster: Cluster, name: str, plan: Plan, count: int, missing: Any, record: Callable[[Receipt], Any]
) -> Generator[Progress, None, None]:
    restored, window = _Restored(plan, count), Window(cluster, name)
    with closing(window.run(plan.unit_of(index) for index in missing)) as receipts:
        for receipt in receipts:
            if receipt is not None:
                restored.done += 1
                restored.tiles += receipt.tiles
                record(receipt)
            yield restored.progress()
    _raise_failed(window, plan)


def _raise_failed(window: Window, plan: Plan) -> None:
    if not window.failed:
        return
    named = "; ".join(f"{unit}: {error}" for unit, error in list(window.failed.items())[:NAMED])
    more = f"; and {len(window.failed) - NAMED} more" if len(window.failed) > NAMED else ""
    raise BlocksFailed(
        f"{len(window.failed)} of {plan.blocks} blocks could not be made by any worker ({named}{more}); all others are "
        "stored. Mend what is named, and the same call makes what is missing."
    )


def _coarse_missing(plan: Plan, sink: OmeZarrSink) -> bool:
    return any(not ome_zarr.stored_units(sink.path, level).all() for level in range(1, plan.levels))


def _coarser(cluster: Cluster, name: str, plan: Plan, sink: OmeZarrSink) -> Generator[Progress, None, None]:
    """Make the missing write units of the coarser levels, one level after the other."""

    def make(missing: list[WriteUnit]) -> Generator[Receipt | None, None, None]:
        window = Window(cluster, name)
        yield from window.run(missing)
        _raise_failed(window, plan)

    yield from coarser_levels(plan, sink.path, make)
