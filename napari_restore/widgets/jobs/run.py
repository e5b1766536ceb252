"""A run, as a generator of events: the result is there, tiles are done, blocks have landed."""

from __future__ import annotations

__all__ = ["Landed", "Started", "restore", "stored_levels", "wait_until_drawn"]

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
"""Seconds that a run waits for the window to draw its layers."""
_POLL = 0.05
"""Seconds between two looks at whether it was stopped meanwhile."""


@dataclass(frozen=True)
class Started:
    """The first event of a run: the result is there, empty, and can be shown.

    Attributes
    ----------
    plan
        What is run.
    levels
        Arrays of the result, the largest first, in canonical order.
    """

    plan: Plan
    levels: tuple[Any, ...]


@dataclass(frozen=True)
class Landed:
    """Blocks have landed since the last such event: what was shown of the result is out of date."""


def restore(job: Job) -> Generator[Started | Progress | Landed, None, None]:
    """Carry out a job; for a worker thread. Closing the generator stops it after the batch in progress.

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
                yield Landed()
    finally:
        events.close()


def stored_levels(output: str, plan: Plan) -> tuple[StoredView, ...]:
    """Lazy arrays of all levels of an output, in canonical order; zero where nothing is stored yet."""
    from napari_restore.images.writing.ome_zarr import open_level, stored_axes

    stored = stored_axes(plan.axes).replace("C", "S") if "S" in plan.axes else stored_axes(plan.axes)
    order = [stored.index(letter) for letter in plan.axes]
    return tuple(StoredView(open_level(output, level)).transpose(order) for level in range(plan.levels))


def wait_until_drawn(
    events: Generator[Any, None, None], drawn: threading.Event, stop: threading.Event
) -> Generator[Any, None, None]:
    """Pass events on; after the first, wait until its layers are drawn, or until the stop.

    So napari makes layers before the network takes all cores for itself.
    """
    with closing(events):
        for number, event in enumerate(events):
            yield event
            end = time.monotonic() + _PATIENCE
            while number == 0 and not drawn.wait(_POLL) and not stop.is_set() and time.monotonic() < end:
                pass
