"""Make the plan of a run on a worker of a cluster, and check that plan and source can be sent to workers."""

from __future__ import annotations

import io
import time
from asyncio import CancelledError
from concurrent.futures import CancelledError as FutureCancelled
from dataclasses import replace
from typing import Any
from uuid import uuid4

from napari_restore.engine.hardware.device import Device
from napari_restore.engine.planning.plan import Plan
from napari_restore.engine.planning.recipe import Recipe
from napari_restore.engine.run.cluster.backends import check_backend, shared_backend
from napari_restore.engine.run.cluster.worker import planned
from napari_restore.engine.run.cluster.workers import Cluster
from napari_restore.errors import ClusterError, RestoreError, SourceError
from napari_restore.images.image import Image
from napari_restore.models.card import ModelCard
from napari_restore.wording import human_bytes, human_duration

__all__ = ["check_sendable", "on_device", "plan_on"]

CHECK = 5.0
"""Seconds between two checks that the worker that makes a plan still answers."""
PLANNED = 1800.0
"""Seconds that a worker has to make a plan, which reads a sample of the source and times the network."""
LARGEST = 16 * 2**20
"""Largest pickled size of a run in bytes. A source on a disk takes a few thousand bytes."""


def plan_on(cluster: Cluster, image: Image, card: ModelCard, recipe: Recipe) -> Plan:
    """Make a plan on a worker, because tile, batch and device depend on the hardware of the workers.

    Parameters
    ----------
    cluster : Cluster
        The workers.
    image : Image
        The source.
    card : ModelCard
        The model.
    recipe : Recipe
        The settings.

    Raises
    ------
    RestoreError
        See `napari_restore.engine.planning.planner.make_plan`.
    ClusterError
        If the workers or the scheduler are lost.
    """
    from distributed.comm.core import CommClosedError

    check_sendable((image, card), image)
    check_backend(recipe.backend, cluster.openvino)
    try:
        while (plan := _planned_by(cluster, list(cluster.workers()), image, card, recipe)) is None:
            pass
    except (CancelledError, FutureCancelled, ConnectionError, CommClosedError) as error:
        raise ClusterError(
            f"the scheduler at {cluster.address} was lost while the run was planned ({type(error).__name__}: {error}); "
            "start the cluster again, and repeat the call."
        ) from error
    if isinstance(plan, RestoreError):
        raise plan
    if not recipe.backend and plan.recipe.backend == "openvino":
        plan = plan.with_settings(backend=shared_backend(cluster.openvino))
    return on_device(plan, plan.device)


def _planned_by(
    cluster: Cluster, workers: list[str], image: Image, card: ModelCard, recipe: Recipe
) -> Plan | RestoreError | None:
    """Make a plan on one of these workers, and return None if they are gone or silent before it is made."""
    if not workers:
        raise ClusterError(
            f"the workers at {cluster.address} are gone, or send no heartbeats; start some, and repeat the call."
        )
    began = time.monotonic()
    future = cluster.client.submit(
        planned, image, card, recipe, pure=False, key=f"napari-restore-plan-{uuid4().hex}",
        resources=cluster.resources or None, workers=workers,
    )  # fmt: skip
    while True:
        try:
            plan: Plan | RestoreError = future.result(timeout=CHECK)
            return plan
        except TimeoutError:
            if future.status == "error":  # the task itself raised a TimeoutError
                raise
            if set(workers).isdisjoint(cluster.workers()) or future.key in cluster.held_by_silent():
                future.cancel()
                return None
            if time.monotonic() - began > PLANNED:
                future.cancel()
                raise ClusterError(
                    f"no worker at {cluster.address} has made the plan within {human_duration(PLANNED)}; see whether "
                    "the workers can read the source, and repeat the call."
                ) from None


def on_device(plan: Plan, device: Device) -> Plan:
    """Return the plan with another device."""
    return replace(plan, recipe=plan.recipe.model_copy(update={"device": str(device)}))


def check_sendable(content: Any, image: Image) -> None:
    """Raise if the content to send holds an image in memory, because each worker would need all of it."""
    import cloudpickle

    try:
        cloudpickle.dump(content, _Limited())
    except _TooLarge:
        raise SourceError(
            f"{image.name} ({human_bytes(image.nbytes)}) is in the memory of this process, and workers cannot read it; "
            "store it as OME-Zarr, Zarr or TIFF on a shared disk or s3://, and give its path."
        ) from None
    except Exception as error:
        raise SourceError(f"{image.name} cannot be sent to workers ({error}); store it, and give its path.") from error


class _TooLarge(Exception):
    pass


class _Limited(io.RawIOBase):
    """File that discards what is written, and raises when it is more than `LARGEST` bytes."""

    taken = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        size: int = memoryview(data).nbytes
        self.taken += size
        if self.taken > LARGEST:
            raise _TooLarge
        return size
