"""Code that runs on the workers of a cluster.

A run (plan and sink, a few kilobytes) is sent to each worker once, as a plugin, which Dask also sends to workers that
join later. The task for a write unit then holds only a name and a few integers, and returns a `Receipt` or a `Failure`.
"""

from __future__ import annotations

import asyncio
import math
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from distributed import WorkerPlugin, get_worker

from napari_restore.engine.compute.backends.stopping import raise_if_set
from napari_restore.errors import Cancelled, OutOfMemory, RestoreError

# The scheduler imports this module too, to read messages, and must not need torch.
if TYPE_CHECKING:
    from napari_restore.engine.compute.block import Receipt
    from napari_restore.engine.planning.plan import Plan
    from napari_restore.engine.planning.recipe import Recipe
    from napari_restore.engine.store.sinks import OmeZarrSink
    from napari_restore.images.image import Image
    from napari_restore.images.writing.layout import WriteUnit
    from napari_restore.models.card import ModelCard

__all__ = ["Failure", "Run", "compute_unit", "first_pixel", "obstacle", "planned"]

SIGN = 10.0
"""Shortest time between two signs that a task goes on, in seconds."""
PATIENCE = 30.0
"""Seconds for which a worker waits for what is in progress when a run is stopped."""


@dataclass(frozen=True)
class Failure:
    """Error with which a write unit failed on a worker.

    Attributes
    ----------
    unit : WriteUnit
        The write unit.
    worker : str
        Address of the worker.
    error : RestoreError
        The error.
    """

    unit: WriteUnit
    worker: str
    error: RestoreError


class Run(WorkerPlugin):
    """Plugin of a worker that holds a run.

    Parameters
    ----------
    plan : Plan
        The run.
    sink : OmeZarrSink
        Its output.
    at_once : int
        Number of write units in progress on a worker, for any number of threads.
    threads : int
        Number of torch threads in each worker process.
    """

    def __init__(self, plan: Plan, sink: OmeZarrSink, at_once: int, threads: int) -> None:
        self._sent = pickle.dumps((plan, sink))
        self.at_once, self.threads = at_once, threads

    def setup(self, worker: Any) -> None:
        """Prepare the run. Source and output are opened later, by `open`."""
        self._slots, self.stop = threading.BoundedSemaphore(self.at_once), threading.Event()
        self._opening, self._idle = threading.Lock(), threading.Condition()
        self._busy, self._cores_before = 0, 0
        self.address: str = worker.address

    async def teardown(self, worker: Any) -> None:
        """Stop, and wait until nothing more is written."""
        self.stop.set()
        await asyncio.to_thread(self._wait_until_idle)

    def _wait_until_idle(self) -> None:
        with self._idle:
            self._idle.wait_for(lambda: not self._busy, timeout=PATIENCE)
        if self._cores_before:
            from napari_restore.engine.compute.predictor import use_cores

            use_cores(self._cores_before)

    @cached_property
    def _opened(self) -> tuple[Plan, OmeZarrSink]:
        from napari_restore.engine.compute.predictor import use_cores
        from napari_restore.engine.hardware.devices import cores

        self._cores_before = cores()
        use_cores(self.threads)
        plan, sink = pickle.loads(self._sent)
        return plan, sink

    def open(self) -> tuple[Plan, OmeZarrSink]:
        """Open source and output, once. `setup` must not do this, because it blocks the worker's event loop."""
        with self._opening:
            return self._opened

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Wait for one of `at_once` slots, and hold it. `teardown` waits until all slots are free."""
        with self._idle:
            self._busy += 1
        try:
            with self._slots:
                self.check()
                yield
        finally:
            with self._idle:
                self._busy -= 1
                self._idle.notify_all()

    def check(self) -> None:
        """Raise `Cancelled` if the run was stopped."""
        raise_if_set(self.stop)


def planned(image: Image, card: ModelCard, recipe: Recipe) -> Plan | RestoreError:
    """Make a plan on this worker, and return it or its error."""
    from napari_restore.engine.planning.planner import make_plan

    try:
        return make_plan(image, card, recipe)
    except RestoreError as error:
        return error


def compute_unit(name: str, unit: WriteUnit, topic: str, key: str) -> None:
    """Compute a write unit of a run on this worker, and send the outcome as an event.

    Meanwhile, events without an outcome are signs that it goes on: one at its start, and then after batches of tiles.

    A return value would stay on the worker until it is fetched, and fetching waits for ever if the worker hangs. An
    event goes through the scheduler, like the message that the task is finished.

    Parameters
    ----------
    name : str
        Name of the run.
    unit : WriteUnit
        The write unit.
    topic : str
        Topic of the event.
    key : str
        Key of the task, which is sent with the event.
    """
    worker = get_worker()
    outcome = _outcome(name, unit, _Signs(lambda: worker.log_event(topic, {"key": key})))
    worker.log_event(topic, {"key": key, "outcome": pickle.dumps(outcome)})


class _Signs:
    """Send signs, at most one every `SIGN` seconds."""

    def __init__(self, send: Callable[[], Any]) -> None:
        self._send, self._sent = send, -math.inf

    def __call__(self) -> None:
        now = time.monotonic()
        if now - self._sent >= SIGN:
            self._sent = now
            self._send()


def _outcome(name: str, unit: WriteUnit, sign: Callable[[], None]) -> Receipt | Failure:
    """Compute a write unit, and return its receipt or its failure."""
    worker = get_worker()
    run: Any = worker.plugins.get(name)
    if run is None:
        return Failure(unit, worker.address, RestoreError("the run was stopped"))
    try:
        with run.slot():
            return _computed(run, unit, sign)
    except Cancelled:
        return Failure(unit, worker.address, RestoreError("the run was stopped"))
    except RestoreError as error:
        return Failure(unit, worker.address, error)
    except MemoryError as error:
        return Failure(unit, worker.address, OutOfMemory(f"out of memory: {error}"))
    except Exception as error:  # the error itself may not be picklable
        return Failure(unit, worker.address, RestoreError(f"{type(error).__name__}: {error}"))


def _computed(run: Run, unit: WriteUnit, sign: Callable[[], None]) -> Receipt:
    from napari_restore.engine.compute.block import Receipt, restore_block

    plan, sink = run.open()
    sign()
    if unit.level == 0:
        return restore_block(plan, sink, plan.block_of(unit), lambda tiles: sign(), run.stop)
    sink.downsample(unit)
    return Receipt(unit.index, 0, 0.0, run.address)


def obstacle(name: str, pixel: bytes | None, dask_worker: Any) -> str | None:
    """Return why a worker cannot do a run, or None: it does not see the same source, output or weights.

    Parameters
    ----------
    name : str
        Name of the run.
    pixel : bytes or None
        The first pixel of the source as the caller reads it; None if it cannot be read.
    dask_worker : distributed.Worker
        The worker; Dask passes it.
    """
    from napari_restore.images.writing.ome_zarr import read_attributes
    from napari_restore.models.checkpoint import file_digest
    from napari_restore.models.zoo import local_card, weights_path

    try:
        plan, sink = dask_worker.plugins[name].open()
        if pixel is not None and first_pixel(plan) != pixel:
            return f"the source {plan.image.location} has other pixels on the worker"
        attributes = read_attributes(sink.path) or {}
        if attributes.get("fingerprint") != plan.fingerprint:
            return f"the output {sink.path} is missing on the worker"
        for card in plan.card.networks:
            path = weights_path(local_card(card))
            if not path.is_file():
                return f"the weights {path} are missing on the worker"
            if file_digest(path) != card.sha256:
                return f"the weights {path} are different on the worker"
    except Exception as error:
        return str(error) or repr(error)
    return None


def first_pixel(plan: Plan) -> bytes:
    """Read the first pixel of the source (which reads one chunk)."""
    return plan.image.read((slice(0, 1),) * len(plan.image.shape)).tobytes()
