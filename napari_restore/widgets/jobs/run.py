"""Run a job as a generator of events."""

from __future__ import annotations

__all__ = ["BlocksStored", "Started", "restore", "wait_until_drawn"]

import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_restore import api
from napari_restore.errors import RestoreError
from napari_restore.widgets.jobs.filling import FillingView, StoredMask
from napari_restore.widgets.jobs.job import Job
from napari_restore.widgets.jobs.layers.image_layers import Region
from napari_restore.widgets.jobs.layers.stored_view import StoredView
from napari_restore.widgets.jobs.preflight import free_memory_for
from napari_restore.widgets.jobs.regions import result_region

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
    levels : tuple of FillingView
        Levels of the result, level 0 first, in canonical order; pixels that are not restored yet are transparent.
    stored_blocks : callable
        Returns the number of blocks that are stored, those of earlier sessions included; exact before and after the
        run.
    """

    plan: Plan
    levels: tuple[FillingView, ...]
    stored_blocks: Callable[[], int]


@dataclass(frozen=True)
class BlocksStored:
    """The event of blocks that have been stored since the last one: the layers have to be drawn again."""


def restore(job: Job, on_screen: Region | None = None) -> Generator[Started | Progress | BlocksStored, None, None]:
    """Run a job. Call this on a worker thread. Closing the generator stops the run.

    Parameters
    ----------
    job : Job
        The job.
    on_screen : tuple of slice, optional
        Region of the layer that is restored before the rest of the job's region.

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
    first: Region | None = None
    if on_screen is not None:
        with suppress(RestoreError):  # the job's region is not on screen
            first = result_region(plan, on_screen, job.region)
    if output is None:
        free_memory_for(plan)
        array = np.zeros(plan.shape, plan.dtype)
        filling: _Filling = _InMemory(plan, array)
        events = api.run(plan, array, first=first)
    else:
        filling = _Stored(plan, output)
        events = api.run(plan, output, overwrite=job.choices.overwrite, first=first)
    try:
        started = next(events)  # the output is created when the first event is asked for
        yield Started(plan, filling.levels(), filling.stored_blocks)
        yield started
        done = (started.stage, started.done)
        for event in events:
            filling.take(event)
            yield event
            if (event.stage, event.done) != done:
                done = (event.stage, event.done)
                yield BlocksStored()
        filling.end()
    finally:
        events.close()
        filling.end()


class _Filling(Protocol):
    """Keeps track of which pixels of a result are restored."""

    def levels(self) -> tuple[FillingView, ...]:
        """Return views of all levels; called once the output has been created."""

    def stored_blocks(self) -> int:
        """Return the number of blocks that are stored, as of the last update."""

    def take(self, event: Progress) -> None:
        """Update the masks of the views."""

    def end(self) -> None:
        """Update the masks of the views at the end of the run."""


class _InMemory:
    """Keeps track of a result in memory by the blocks that events name."""

    def __init__(self, plan: Plan, array: NDArray[Any]) -> None:
        self._mask = StoredMask(plan.shape, plan.block)
        self._view = FillingView.of(array, self._mask, plan.axes)

    def levels(self) -> tuple[FillingView, ...]:
        return (self._view,)

    def stored_blocks(self) -> int:
        return int(self._mask.units.sum())

    def take(self, event: Progress) -> None:
        if event.block is not None:
            self._mask.units[event.block] = True

    def end(self) -> None: ...


class _Stored:
    """Keeps track of an OME-Zarr by listing its objects, for at most a twentieth of the time."""

    def __init__(self, plan: Plan, output: str) -> None:
        self._plan, self._output = plan, output
        self._masks: list[tuple[StoredMask, list[int]]] = []
        self._done = ("", 0)
        self._again = 0.0

    def levels(self) -> tuple[FillingView, ...]:
        from napari_restore.images.writing.ome_zarr import open_level, stored_axes

        axes = self._plan.axes
        stored = stored_axes(axes).replace("C", "S") if "S" in axes else stored_axes(axes)
        order = [stored.index(letter) for letter in axes]
        found = []
        for level in range(self._plan.levels):
            array = open_level(self._output, level)
            unit = array.shards or array.chunks
            self._masks.append((StoredMask([array.shape[i] for i in order], [unit[i] for i in order]), order))
            found.append(FillingView.of(StoredView(array).transpose(order), self._masks[-1][0], axes))
        self._list()
        return tuple(found)

    def stored_blocks(self) -> int:
        return int(self._masks[0][0].units.sum())

    def take(self, event: Progress) -> None:
        if (event.stage, event.done) != self._done and time.monotonic() >= self._again:
            self._done = (event.stage, event.done)
            self._list()

    def end(self) -> None:
        if self._masks:
            self._list()

    def _list(self) -> None:
        from napari_restore.images.writing.ome_zarr import stored_units

        began = time.monotonic()
        for level, (mask, order) in enumerate(self._masks):
            mask.units = stored_units(self._output, level).transpose(order)
        self._again = time.monotonic() + 19 * (time.monotonic() - began)


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
