"""What the dock widgets do, without a window: gathered choices become calls of `napari_restore.api`.

Functions that take a `Job` read pixels or load a network; the dock widgets call them from a worker thread.
"""

from __future__ import annotations

__all__ = [
    "Choices",
    "Job",
    "Landed",
    "Look",
    "Started",
    "look",
    "overlap",
    "restore",
    "result_region",
]

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_restore import api
from napari_restore.errors import RestoreError
from napari_restore.widgets.jobs.job import Choices, Job
from napari_restore.widgets.jobs.layers import Region
from napari_restore.widgets.jobs.preflight import Look, free_memory_for, look
from napari_restore.widgets.jobs.stored_view import StoredView

if TYPE_CHECKING:
    from napari_restore.engine.planning.plan import Plan
    from napari_restore.engine.store.progress import Progress


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


def result_region(plan: Plan, region: Region, origin: Region) -> tuple[slice, ...]:
    """Where a region of the layer lies in the result, in canonical order.

    Parameters
    ----------
    plan
        Plan of the layer's part `origin`.
    region, origin
        In the layer's pixels and order.
    """
    slices = {}
    for letter, inner, outer in zip(plan.image.axes, region, origin, strict=True):
        factor = plan.card.scale if letter in "YX" else 1
        start, stop = max(inner.start, outer.start), min(inner.stop, outer.stop)
        if stop <= start:
            raise RestoreError("the region to be restored is not on screen; move there, or choose another region.")
        slices[letter] = slice((start - outer.start) * factor, (stop - outer.start) * factor)
    return tuple(slices[letter] for letter in plan.axes)


def overlap(region: Region, origin: Region) -> Region:
    """The part of a region that lies within another one."""
    return tuple(slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(region, origin, strict=True))


def restore(job: Job) -> Generator[Started | Progress | Landed, None, None]:
    """Carry out a job. Closing the generator stops it after the batch in progress.

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
