"""Check a job before its run: plan, noise, time, free space, and whether it is possible."""

from __future__ import annotations

__all__ = ["Preflight", "free_memory_for", "look_at", "make_preflight"]

import threading
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_restore import api
from napari_restore.errors import Cancelled, OutputError
from napari_restore.images.store import Place, place_of
from napari_restore.widgets.jobs.job import Job

if TYPE_CHECKING:
    from napari_restore.engine.compute.estimate import Report
    from napari_restore.engine.planning.choices.models import Recommendation
    from napari_restore.engine.planning.plan import Plan

_MEMORY_SHARE = 0.5
"""Fraction of the free memory that a result in memory may take."""


@dataclass(frozen=True)
class Preflight:
    """The outcome of a preflight.

    Attributes
    ----------
    report : Report
        Plan, noise and run time.
    free_bytes : int or None
        Free bytes in memory, or on the disk of the output; None if the output has no known limit.
    stored_blocks : int
        Blocks of this run that the output already holds.
    devices : tuple of str
        Devices of this machine.
    no_memory : str
        Why the result cannot be kept in memory; empty if it can.
    obstacle : str
        Why the run is not possible with the current choices; empty if it is.
    recommended : tuple of Recommendation
        Models of the same task, best for the layer first.
    measuring : bool
        Whether the speed of the network is being measured: another preflight with the time follows.
    """

    report: Report
    free_bytes: int | None
    stored_blocks: int = 0
    devices: tuple[str, ...] = ("cpu",)
    no_memory: str = ""
    obstacle: str = ""
    recommended: tuple[Recommendation, ...] = ()
    measuring: bool = False

    @property
    def plan(self) -> Plan:
        """The plan of the report."""
        return self.report.plan

    @property
    def stored_bytes(self) -> int:
        """Uncompressed bytes of the result and its coarser levels, each with a quarter of the pixels, and of copies."""
        levels = self.plan.output_bytes * 4 // 3 if self.plan.levels > 1 else self.plan.output_bytes
        return levels + self.plan.image.copied_bytes


def make_preflight(job: Job) -> Preflight:
    """Return the outcome of `look_at`."""
    *_, found = look_at(job, threading.Event())
    assert isinstance(found, Preflight)
    return found


def look_at(job: Job, stop: threading.Event) -> Generator[str | Preflight, None, None]:
    """Plan a job, estimate its noise and time, and check the space for its result. Call this on a worker thread.

    Nothing is downloaded: the time of a model whose weights are missing is not estimated.

    Parameters
    ----------
    job : Job
        The job.
    stop : threading.Event
        Ends the measurement of the speed once it is set; then no preflight with the time is yielded.

    Yields
    ------
    str or Preflight
        What is being found out, and the preflight: first without the time, if the speed of the network has to be
        measured, and at last with it. Its `obstacle` is set if the output cannot take the result.

    Raises
    ------
    RestoreError
        If the run is not possible for any output.
    """
    from napari_restore.engine.compute.estimate import with_time
    from napari_restore.engine.store.resume import continues

    output, obstacle = job.choices.output, ""
    recipe = job.choices.recipe
    cards = [job.choices.card()]
    if recipe.denoise not in ("none", "auto"):
        cards.append(api.model_card(recipe.denoise))
    here = not any(api.weights_state(card).startswith("will") for card in cards)
    yield f"Reading a sample of {job.image.name}…"
    try:
        # Comparing an output with the plan takes the digest of the weights, so they have to be here.
        plan = job.plan(fetch=False) if here else job.in_memory().plan(fetch=False)
    except OutputError as error:
        plan, obstacle = job.in_memory().plan(fetch=False), error.told("window")
    yield f"Estimating the noise of {job.image.name}…"
    report = api.report(plan, timed=False)
    recommended = api.recommend(report)
    no_memory = ""
    free: int | None
    try:
        free = free_memory_for(plan)
    except OutputError as error:
        free, no_memory = _available(), error.told("window")
    blocks = 0
    if output is None:
        obstacle = no_memory
    else:
        place = place_of(output)
        replaced = job.choices.overwrite and here and not continues(plan, output)
        blocks = 0 if replaced or obstacle or not here else _stored_blocks(place)
        room = place.free()
        free = None if room is None else room[0]
    unknown = here and report.seconds is None
    found = Preflight(report, free, blocks, api.devices(), no_memory, obstacle, recommended, unknown)
    yield found
    if unknown:
        yield "Measuring the speed of the network…"
        with suppress(Cancelled):
            yield replace(found, report=with_time(report, stop), measuring=False)


def free_memory_for(plan: Plan) -> int:
    """Return the free memory in bytes.

    Parameters
    ----------
    plan : Plan
        The plan of a result in memory.

    Raises
    ------
    OutputError
        If the result would take more than half of it.
    """
    from napari_restore.wording import human_bytes

    free = _available()
    if plan.output_bytes > _MEMORY_SHARE * free:
        raise OutputError(
            f"the result takes {human_bytes(plan.output_bytes)}, and of {human_bytes(free)} free memory half may be "
            "used; choose an OME-Zarr as output, which is written block by block."
        )
    return free


def _available() -> int:
    from napari_restore.engine.hardware.host_memory import available_memory

    return available_memory()


def _stored_blocks(place: Place) -> int:
    from napari_restore.images.writing import ome_zarr

    if place.holds() != "zarr" or ome_zarr.read_attributes(place.location) is None:
        return 0
    return int(np.count_nonzero(ome_zarr.stored_units(place.location, 0)))
