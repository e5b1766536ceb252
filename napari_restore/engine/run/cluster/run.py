"""Run a plan on a Dask cluster: restore the missing blocks, compute the coarser levels, and name the failed blocks."""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from napari_restore.engine.compute.block import Receipt
from napari_restore.engine.hardware.device import CPU, Device
from napari_restore.engine.hardware.devices import free_memory
from napari_restore.engine.planning.blocks import tile_seconds
from napari_restore.engine.planning.plan import Plan
from napari_restore.engine.run.cluster.backends import check_backend
from napari_restore.engine.run.cluster.local import processes
from napari_restore.engine.run.cluster.planning import check_sendable, on_device
from napari_restore.engine.run.cluster.questions import Question, within
from napari_restore.engine.run.cluster.retries import ANSWER, Window
from napari_restore.engine.run.cluster.worker import Run, first_pixel, obstacle
from napari_restore.engine.run.cluster.workers import NAMED, Cluster
from napari_restore.engine.run.local import Stages, coarser_levels
from napari_restore.engine.store.progress import Progress
from napari_restore.errors import BlocksFailed, ClusterError, SourceError
from napari_restore.images.writing import ome_zarr
from napari_restore.images.writing.layout import WriteUnit

if TYPE_CHECKING:
    from napari_restore.engine.store.sinks import OmeZarrSink

__all__ = ["run_on", "stages_on", "stages_on_devices"]

REGISTER = 60.0
"""Seconds that workers have to register a run."""
CHECK = 2.0
"""Seconds between two looks whether the workers that have not registered it are silent."""
TIDY = 5.0
"""Seconds that workers have to forget a run that has finished. They have `ANSWER` for one that is closed earlier."""

_log = logging.getLogger(__name__)


def run_on(
    cluster: Cluster,
    plan: Plan,
    sink: OmeZarrSink,
    record: Callable[[Receipt], Any] = lambda receipt: None,
    *,
    memory: float = math.inf,
) -> Generator[Progress, None, None]:
    """Restore the missing blocks of an output on a cluster, and then compute its coarser levels.

    Closing the generator stops the workers, on a CPU in the middle of a batch. Stored blocks stay.

    Parameters
    ----------
    cluster : Cluster
        The workers.
    plan : Plan
        The run.
    sink : OmeZarrSink
        Its output.
    record : callable
        Called with the receipt of each block.
    memory : float
        Bytes that a worker without a memory limit may use.

    Yields
    ------
    Progress
        At the start, after each block, and every quarter of a second.

    Raises
    ------
    ClusterError
        If a worker cannot reach source, output or weights, or the scheduler is lost.
    BlocksFailed
        At the end, if some blocks could not be computed by any worker.
    """
    check_backend(plan.recipe.backend, cluster.openvino)
    cluster.fit(plan, memory)
    check_sendable((plan, sink), plan.image)
    name = f"napari-restore-{uuid4().hex[:12]}"
    count, missing = sink.missing()
    yield _Restored(plan, count).progress()
    if not count and not _coarse_missing(plan, sink):
        return
    patience = ANSWER
    try:
        _register(cluster, Run(plan, sink, cluster.at_once, cluster.threads), name)
        _check_reach(cluster, name, plan)
        yield from _restored(cluster, name, plan, count, missing, record)
        yield from _coarser(cluster, name, plan, sink)
        patience = TIDY
    finally:
        if cluster.answering:  # if the scheduler was lost, the registration is lost too
            within(patience, lambda: cluster.client.unregister_worker_plugin(name))


def _register(cluster: Cluster, run: Run, name: str) -> None:
    """Send a run to the workers. Silent workers take no part, and are sent it again when they are back."""
    registered = Question(lambda: cluster.client.register_plugin(run, name=name))
    while not registered.answered(CHECK):
        cluster.workers()
        if cluster.silent:
            silent = ", ".join(sorted(cluster.silent)[:NAMED])
            _log.warning(
                "%d workers send no heartbeats, and take no part until they do: %s", len(cluster.silent), silent
            )
            return
        if registered.seconds > REGISTER:
            raise ClusterError(
                f"some workers at {cluster.address} did not accept the run within {REGISTER:.0f} s; find the worker "
                "that hangs, and restart it."
            )
    registered.answer()


@contextmanager
def stages_on_devices(plan: Plan) -> Iterator[tuple[Plan, Stages]]:
    """Start a process for each device of a plan on this machine, until the ``with`` statement ends.

    Parameters
    ----------
    plan : Plan
        The run, with its devices.

    Yields
    ------
    plan : Plan
        The plan for the processes, with a single device.
    stages : Stages
        The function that runs it: see `run_on`.

    Raises
    ------
    SourceError
        If the source is in memory, where the processes cannot read it.
    ClusterError
        If a process does not start.
    """
    devices = plan.devices
    alone = on_device(plan, Device("cuda", 0) if plan.device.is_cuda else plan.device)  # a process sees one GPU
    check_sendable(alone, plan.image)
    with processes(devices, plan.recipe.workers or 1) as client:
        yield alone, stages_on(Cluster(client, plan.device, None), memory=free_memory(CPU) // len(devices))


def stages_on(cluster: Cluster, memory: float = math.inf) -> Stages:
    """Return `run_on` for a cluster, in the form that `napari_restore.engine.record.run_report.reported` takes.

    Parameters
    ----------
    cluster : Cluster
        The workers.
    memory : float
        See `run_on`.
    """
    return lambda plan, sink, record: run_on(cluster, plan, sink, record, memory=memory)


class _Restored:
    """Counter of the blocks and tiles that a run has restored.

    Parameters
    ----------
    plan : Plan
        The run.
    missing : int
        Number of blocks that were missing when the session started.
    """

    def __init__(self, plan: Plan, missing: int) -> None:
        self.total, self.done, self.tiles = plan.blocks, plan.blocks - missing, 0
        self.tiles_total = round(plan.tiles * missing / plan.blocks)
        self._began = time.monotonic()

    def progress(self) -> Progress:
        tiles = min(self.tiles, self.tiles_total) if self.done < self.total else self.tiles_total
        return Progress("restoring", self.done, self.total, tiles, self.tiles_total, time.monotonic() - self._began)


def _check_reach(cluster: Cluster, name: str, plan: Plan) -> None:
    """Raise if a worker cannot read the source or the weights, or sees another output."""
    try:
        pixel = first_pixel(plan)
    except SourceError:
        pixel = None  # the pixel cannot be read here either, so it cannot be compared
    answers = cluster.ask(obstacle, name, pixel)
    problems = Counter(answer for answer in answers.values() if answer is not None)
    if problems:
        listed = "; ".join(f"{text} ({count} of {len(answers)} workers)" for text, count in problems.most_common(NAMED))
        raise ClusterError(
            f"workers at {cluster.address} cannot do this run: {listed}. Source, output and weights must have the same "
            "path on every machine: use a shared disk, or an object store with credentials on each machine."
        )


def _restored(
    cluster: Cluster, name: str, plan: Plan, count: int, missing: Any, record: Callable[[Receipt], Any]
) -> Generator[Progress, None, None]:
    restored, window = _Restored(plan, count), Window(cluster, name, _batch_seconds(plan))
    with closing(window.run(plan.unit_of(index) for index in missing)) as receipts:
        for receipt in receipts:
            if receipt is not None:
                restored.done += 1
                restored.tiles += receipt.tiles
                record(receipt)
            yield restored.progress()
    _raise_failed(window, plan)


def _batch_seconds(plan: Plan) -> float:
    return (plan.recipe.batch or 1) * tile_seconds(plan.card, plan.grid, plan.device)


def _raise_failed(window: Window, plan: Plan) -> None:
    if not window.failed:
        return
    named = "; ".join(f"{unit}: {error}" for unit, error in list(window.failed.items())[:NAMED])
    more = f"; and {len(window.failed) - NAMED} more" if len(window.failed) > NAMED else ""
    raise BlocksFailed(
        f"{len(window.failed)} of {plan.blocks} blocks could not be computed by any worker ({named}{more}); all others "
        "are stored. Remove the causes, and the same call computes the missing blocks."
    )


def _coarse_missing(plan: Plan, sink: OmeZarrSink) -> bool:
    return any(not ome_zarr.stored_units(sink.path, level).all() for level in range(1, plan.levels))


def _coarser(cluster: Cluster, name: str, plan: Plan, sink: OmeZarrSink) -> Generator[Progress, None, None]:
    """Compute the missing write units of the coarser levels, one level after the other."""

    def make(missing: list[WriteUnit]) -> Generator[Receipt | None, None, None]:
        window = Window(cluster, name)
        yield from window.run(missing)
        _raise_failed(window, plan)

    yield from coarser_levels(plan, sink.path, make)
