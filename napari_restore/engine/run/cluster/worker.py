"""What happens on the workers of a cluster: a run arrives once at each of them, and its write units by number.

The run (plan and sink, a few kilobytes) comes as a plugin, which Dask also gives to workers that join later; a write
unit is then a name and a few integers on its way there, and a `Receipt` or a `Failure` on its way back.
"""

from __future__ import annotations

import asyncio
import pickle
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from distributed import WorkerPlugin, get_worker

from napari_restore.errors import OutOfMemory, RestoreError

# The scheduler imports this module too, to read what is sent; it needs no torch.
if TYPE_CHECKING:
    from napari_restore.engine.compute.block import Receipt
    from napari_restore.engine.planning.plan import Plan
    from napari_restore.engine.planning.recipe import Recipe
    from napari_restore.engine.store.sinks import OmeZarrSink
    from napari_restore.images.image import Image
    from napari_restore.images.writing.layout import WriteUnit
    from napari_restore.models.card import ModelCard

__all__ = ["Failure", "Run", "carry_out", "first_pixel", "obstacle", "planned"]

PATIENCE = 30.0
"""Seconds that a worker gives the tiles in progress when a run is stopped."""


@dataclass(frozen=True)
class Failure:
    """Why a write unit could not be made on one worker."""

    unit: WriteUnit
    worker: str
    error: RestoreError


class Run(WorkerPlugin):
    """A run, on one worker.

    Parameters
    ----------
    plan, sink
        What is run, and where it goes.
    at_once
        Write units in progress at a time on one worker, however many threads it has.
    threads
        Threads of torch in each worker process.
    """

    def __init__(self, plan: Plan, sink: OmeZarrSink, at_once: int, threads: int) -> None:
        self._sent = pickle.dumps((plan, sink))
        self.at_once, self.threads = at_once, threads

    def setup(self, worker: Any) -> None:
        """Get ready; nothing is opened yet."""
        self._slots, self._stop = threading.BoundedSemaphore(self.at_once), threading.Event()
        self._opening, self._idle = threading.Lock(), threading.Condition()
        self._busy, self._cores_before = 0, 0
        self.address: str = worker.address

    async def teardown(self, worker: Any) -> None:
        """Stop between two batches of tiles, and wait for that: nothing is written once a run is over."""
        self._stop.set()
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
        """Open source and output, once: not in `setup`, which keeps a worker from answering the scheduler."""
        with self._opening:
            return self._opened

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Wait for a turn, and be waited for when the run is stopped."""
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

    def check(self, tiles: int = 0) -> None:
        """Raise `Cancelled` if the run was stopped."""
        from napari_restore.engine.compute.region import Cancelled

        if self._stop.is_set():
            raise Cancelled


def planned(image: Image, card: ModelCard, recipe: Recipe) -> Plan | RestoreError:
    """Make a plan on the worker that this is called on; what is wrong with it comes back as a value."""
    from napari_restore.engine.planning.planner import make_plan

    try:
        return make_plan(image, card, recipe)
    except RestoreError as error:
        return error


def carry_out(name: str, unit: WriteUnit, topic: str, key: str) -> None:
    """Make a write unit of a run on the worker that this is called on, and tell what came of it as an event.

    A value that is returned stays with the worker until it is fetched, and fetching waits for ever where a worker
    stands still. An event goes by way of the scheduler, like the message that the task is done.

    Parameters
    ----------
    name
        Of the run.
    unit
        What is made.
    topic, key
        Of the event, and of the task in it.
    """
    outcome = _outcome(name, unit)
    get_worker().log_event(topic, {"key": key, "outcome": pickle.dumps(outcome)})


def _outcome(name: str, unit: WriteUnit) -> Receipt | Failure:
    """Make a write unit; what goes wrong is a value."""
    from napari_restore.engine.compute.region import Cancelled

    worker = get_worker()
    run: Any = worker.plugins.get(name)
    if run is None:
        return Failure(unit, worker.address, RestoreError("the run was stopped"))
    try:
        with run.slot():
            return _made(run, unit)
    except Cancelled:
        return Failure(unit, worker.address, RestoreError("the run was stopped"))
    except RestoreError as error:
        return Failure(unit, worker.address, error)
    except MemoryError as error:
        return Failure(unit, worker.address, OutOfMemory(f"out of memory: {error}"))
    except Exception as error:  # it may hold what cannot be sent
        return Failure(unit, worker.address, RestoreError(f"{type(error).__name__}: {error}"))


def _made(run: Run, unit: WriteUnit) -> Receipt:
    from napari_restore.engine.compute.block import Receipt, restore_block

    plan, sink = run.open()
    if unit.level == 0:
        return restore_block(plan, sink, plan.block_of(unit), run.check)
    sink.downsample(unit)
    return Receipt(unit.index, 0, 0.0, run.address)


def obstacle(name: str, pixel: bytes | None, dask_worker: Any) -> str | None:
    """Say what keeps a worker from doing a run: other pixels or none, another output or none, no weights.

    Parameters
    ----------
    name
        Of the run.
    pixel
        The first pixel of the source as the caller reads it; None if that failed.
    dask_worker
        The worker, given by Dask.
    """
    from napari_restore.images.writing.ome_zarr import read_attributes
    from napari_restore.models.checkpoint import file_digest
    from napari_restore.models.zoo import local_card, weights_path

    try:
        plan, sink = dask_worker.plugins[name].open()
        if pixel is not None and first_pixel(plan) != pixel:
            return f"the source {plan.image.location} holds other pixels there"
        attributes = read_attributes(sink.path) or {}
        if attributes.get("fingerprint") != plan.fingerprint:
            return f"the output {sink.path} is not there"
        path = weights_path(local_card(plan.card))
        if not path.is_file():
            return f"the weights {path} are not there"
        if file_digest(path) != plan.card.sha256:
            return f"the weights {path} are others there"
    except Exception as error:
        return str(error) or repr(error)
    return None


def first_pixel(plan: Plan) -> bytes:
    """Read one pixel of the source, and with it one chunk."""
    return plan.image.read((slice(0, 1),) * len(plan.image.shape)).tobytes()
