"""Run a job as a generator of events."""

from __future__ import annotations

__all__ = ["BlocksStored", "Started", "restore", "stored_levels", "wait_until_drawn"]

import threading
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_restore import api
from napari_restore.widgets.jobs.job import Job
from napari_restore.widgets.jobs.preflight import free_memory_for
from napari_restore.widgets.jobs.stored_view import StoredView

if TYPE_CHECKING:
    from napari_restore.engine.planning.plan import Plan
    from napari_restore.engine.store.progress import Progress

_PATIENCE = 3.0
"""Most seconds that a run waits for its layers to be drawn."""
_POLL = 0.05
"""Seconds between two checks whether the run was stopped."""


@dataclass(frozen=True)
class Started:
    """The first event of a run: the result has been created, and can be shown.

    Attributes
    ----------
    plan : Plan
        The plan of the run.
    levels : tuple of array
        Levels of the result, level 0 first, in canonical order.
    """

    plan: Plan
    levels: tuple[Any, ...]


@dataclass(frozen=True)
class BlocksStored:
    """The event of blocks that have been stored since the last one: the layers have to be drawn again."""


def restore(job: Job) -> Generator[Started | Progress | BlocksStored, None, None]:
    """Run a job. Call this on a worker thread. Closing the generator stops the run after the batch in progress.

    Parameters
    ----------
    job : Job
        The job.

    Yields
    ------
    Started, Progress or BlocksStored
        `Started` first.

    Raises
    ------
    RestoreError
        See `api.restore`.
    """
    plan = job.plan()
    output = job.choices.output
    if output is None:
        free_memory_for(plan)
        array = np.zeros(plan.shape, plan.dtype)
        events = api.run(plan, array)
    else:
        events = api.run(plan, output, overwrite=job.choices.overwrite)
    try:
        first = next(events)  # the output is created when the first event is asked for
        yield Started(plan, (array,) if output is None else stored_levels(output, plan))
        yield first
        done = (first.stage, first.done)
        for event in events:
            yield event
            if (event.stage, event.done) != done:
                done = (event.stage, event.done)
                yield BlocksStored()
    finally:
        events.close()


def stored_levels(output: str, plan: Plan) -> tuple[StoredView, ...]:
    """Return lazy arrays of all levels of an output, in canonical order; zero where nothing is stored yet."""
    from napari_restore.images.writing.ome_zarr import open_level, stored_axes

    stored = stored_axes(plan.axes).replace("C", "S") if "S" in plan.axes else stored_axes(plan.axes)
    order = [stored.index(letter) for letter in plan.axes]
    return tuple(StoredView(open_level(output, level)).transpose(order) for level in range(plan.levels))


def wait_until_drawn(
    events: Generator[Any, None, None], drawn: threading.Event, stop: threading.Event
) -> Generator[Any, None, None]:
    """Pass events on. After the first, wait until its layers are drawn or the run is stopped.

    Otherwise the network would take all cores while napari makes the layers.
    """
    with closing(events):
        for number, event in enumerate(events):
            yield event
            end = time.monotonic() + _PATIENCE
            while number == 0 and not drawn.wait(_POLL) and not stop.is_set() and time.monotonic() < end:
                pass
