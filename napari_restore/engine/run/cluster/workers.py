"""Choose and check the workers of a Dask cluster for a run, and make the plan on one of them."""

from __future__ import annotations

import io
import math
import threading
import time
from asyncio import CancelledError
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError as FutureCancelled
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

from napari_restore.engine.hardware.device import Device
from napari_restore.engine.planning.plan import Plan
from napari_restore.engine.planning.recipe import Recipe
from napari_restore.engine.run.cluster.backends import check_backend, shared_backend
from napari_restore.engine.run.cluster.worker import planned
from napari_restore.errors import ClusterError, RestoreError, SourceError
from napari_restore.images.image import Image
from napari_restore.models.card import ModelCard
from napari_restore.wording import human_bytes

__all__ = ["NAMED", "Cluster", "check_sendable", "connected", "on_device", "plan_on"]

ANSWER = 60.0
"""Seconds that workers have to answer a question before the run."""
FIRST_WORKER = 10.0
"""Seconds to wait for the first worker of a cluster without workers."""
CHECK = 5.0
"""Seconds between two checks that the worker that makes a plan still exists."""
LARGEST = 16 * 2**20
"""Largest pickled size of a run in bytes. A source on a disk takes a few thousand bytes."""
NAMED = 5
"""Largest number of blocks or workers that a message names."""


class Cluster:
    """Workers of a Dask cluster that offer the resources of a run.

    Parameters
    ----------
    client : distributed.Client
        Connected to the cluster.
    device : Device
        The device of the recipe.
    resources : mapping of str to float, optional
        Resources that a worker must offer, such as ``{"GPU": 1}``, and that a run takes; its blocks in progress on the
        worker share them. By default ``{"GPU": 1}`` for CUDA, and for "auto" if any worker offers a GPU; else none.

    Attributes
    ----------
    resources : dict of str to float
        The chosen resources.
    at_once : int
        Largest number of blocks in progress on a worker.

    Raises
    ------
    ClusterError
        If no worker offers the resources, or workers have other versions of this package, torch, zarr or Python.
    """

    def __init__(self, client: Any, device: Device, resources: Mapping[str, float] | None) -> None:
        self.client, self.at_once = client, 1
        everyone = self._everyone()
        if not everyone:
            raise ClusterError(f"the scheduler at {self.address} has no workers; start some, and repeat the call.")
        self.resources = dict(resources) if resources is not None else _needed(device, everyone)
        self._check_offer(everyone)
        self._facts: dict[str, dict[str, Any]] = self.ask(_facts_asker())
        self._check_versions()

    @property
    def address(self) -> str:
        """Address of the scheduler."""
        return str(self.client.scheduler.address)

    def _everyone(self) -> dict[str, Any]:
        deadline = time.monotonic() + FIRST_WORKER
        while not (workers := self._known()) and time.monotonic() < deadline:
            time.sleep(0.2)
        return workers

    def _known(self) -> dict[str, Any]:
        """Return the scheduler's description of each present worker, by address."""
        if self.client.status != "running":
            raise ConnectionError("the connection was lost")
        # `client.scheduler_info` may hold only a few of the workers, or none.
        found = self.client.sync(self.client.scheduler.identity, n_workers=-1, callback_timeout=ANSWER)
        return dict(found["workers"])

    def _offers(self, worker: Mapping[str, Any]) -> bool:
        offer = worker.get("resources") or {}
        return all(offer.get(name, 0) >= amount for name, amount in self.resources.items())

    def workers(self) -> dict[str, int]:
        """Return the address of each worker that offers the resources, and how many blocks it takes at a time."""
        found = self._known()
        return {address: self._takes(worker) for address, worker in found.items() if self._offers(worker)}

    def _takes(self, worker: Mapping[str, Any]) -> int:
        return max(1, min(self.at_once, int(worker["nthreads"])))

    @property
    def shares(self) -> dict[str, float] | None:
        """Amounts of a worker's resources that one block takes: a little less than its part, because of rounding."""
        parts = self.at_once / 0.999 if self.at_once > 1 else 1
        return {name: amount / parts for name, amount in self.resources.items()} or None

    def _check_offer(self, everyone: Mapping[str, Any]) -> None:
        if any(self._offers(worker) for worker in everyone.values()):
            return
        offered = {str(worker.get("resources") or {}) for worker in everyone.values()}
        wanted = " ".join(f"{name}={amount:g}" for name, amount in self.resources.items())
        raise ClusterError(
            f"none of the {len(everyone)} workers at {self.address} offers {self.resources} (they offer "
            f'{", ".join(sorted(offered))}); start workers with --resources "{wanted}", or give resources={{}} '
            "(--resources none) to use any worker."
        )

    def ask(self, question: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
        """Call a function on every worker that takes part, and return the answers by address.

        Raises
        ------
        ClusterError
            If a worker does not answer, or the function fails.
        """
        answers: list[Any] = []

        def call() -> None:
            try:
                answers.append(self.client.run(question, *arguments, workers=list(self.workers()), on_error="return"))
            except Exception as error:  # raised below, on the calling thread
                answers.append(error)

        thread = threading.Thread(target=call, name="ask-workers", daemon=True)
        thread.start()
        thread.join(ANSWER)
        if not answers:
            raise ClusterError(
                f"the workers at {self.address} did not all answer within {ANSWER:.0f} s; find the worker that hangs, "
                "and restart it."
            )
        if isinstance(answers[0], Exception):
            raise ClusterError(f"the workers at {self.address} cannot be asked: {answers[0]!r}.") from answers[0]
        for worker, answer in answers[0].items():
            if isinstance(answer, Exception):
                raise ClusterError(f"worker {worker} cannot answer: {answer!r}.") from answer
        return dict(answers[0])

    def _check_versions(self) -> None:
        """Raise if the packages of workers have other versions than here, because results could differ."""
        here = _facts_asker()()["versions"]
        problems = Counter(
            f"{name} {theirs or 'not installed'} (here {here[name]})"
            for facts in self._facts.values()
            for name, theirs in facts["versions"].items()
            if str(theirs).partition("+")[0] != str(here[name]).partition("+")[0]
        )
        builds = {facts["versions"]["torch"] for facts in self._facts.values()}
        if not problems and len(builds) > 1:
            problems = Counter({f"several builds of torch ({', '.join(sorted(map(str, builds)))})": len(self._facts)})
        if problems:
            listed = "; ".join(f"{text} on {count} of {len(self._facts)} workers" for text, count in problems.items())
            raise ClusterError(f"{self.address}: {listed}. Install the same versions on all machines.")

    @property
    def openvino(self) -> list[str | None]:
        """Version of OpenVINO of each worker; None for a worker that has none."""
        return [facts["openvino"] for facts in self._facts.values()]

    @property
    def threads(self) -> int:
        """Number of torch threads in each worker: cores of a machine divided by its workers, the least of all machines.

        All workers use the same number, because the rounding of a sum depends on the number of threads.
        """
        hosts = Counter(facts["host"] for facts in self._facts.values())
        shares: list[int] = [facts["cores"] // hosts[facts["host"]] for facts in self._facts.values()]
        return max(1, min(shares))

    def fit(self, plan: Plan, memory: float = math.inf) -> None:
        """Choose how many blocks a worker has in progress, by its memory.

        Parameters
        ----------
        plan : Plan
            The run; its `workers` is the largest number.
        memory : float
            Bytes that a worker without a memory limit may use.

        Raises
        ------
        ClusterError
            If the memory of a worker is too small for one block.
        """
        workers = self._known()
        taking_part = [worker for worker in workers.values() if self._offers(worker)]
        limit = min((worker["memory_limit"] or memory for worker in taking_part), default=memory)
        for at_once in range(plan.recipe.workers or 1, 0, -1):
            needed = replace(plan, recipe=plan.recipe.model_copy(update={"workers": at_once})).memory_bytes
            if needed <= limit:
                self.at_once = at_once
                return
        raise ClusterError(
            f"one block takes about {human_bytes(needed)} of memory, and a worker at {self.address} may use "
            f"{human_bytes(int(limit))}; choose smaller shards or a smaller batch, or start workers with more "
            "(--memory-limit)."
        )


def _needed(device: Device, everyone: Mapping[str, Any]) -> dict[str, float]:
    """Return the resources for a device."""
    any_gpu = any((worker.get("resources") or {}).get("GPU") for worker in everyone.values())
    return {"GPU": 1} if device.is_cuda or (device.is_auto and any_gpu) else {}


def _facts_asker() -> Callable[[], dict[str, Any]]:
    """Return a function that is pickled with its code, because this package may be missing on the workers."""

    def facts() -> dict[str, Any]:
        import importlib.metadata
        import platform
        import socket

        from dask.system import CPU_COUNT

        versions: dict[str, str | None] = {"Python": ".".join(platform.python_version_tuple()[:2])}
        for name in ("napari-restore", "torch", "zarr"):
            try:
                versions[name] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                versions[name] = None
        try:
            openvino = importlib.metadata.version("openvino")
        except importlib.metadata.PackageNotFoundError:
            openvino = None
        return {"versions": versions, "openvino": openvino, "cores": CPU_COUNT, "host": socket.gethostname()}

    return facts


@contextmanager
def connected(scheduler: Any, device: Device, resources: Mapping[str, float] | None = None) -> Iterator[Cluster]:
    """Connect to a cluster until the ``with`` statement ends.

    Parameters
    ----------
    scheduler : str, distributed.Client or distributed.deploy.Cluster
        Address of a scheduler, such as ``"tcp://head:8786"``; a client, which is left open; or a cluster object of
        Dask, such as ``dask_jobqueue.SLURMCluster``.
    device : Device
        See `Cluster`.
    resources : mapping of str to float, optional
        See `Cluster`.

    Yields
    ------
    Cluster
        The workers.

    Raises
    ------
    ClusterError
        If there is no scheduler, or no worker can take part.
    """
    from distributed import Client

    if isinstance(scheduler, Client):
        if scheduler.asynchronous:
            raise ClusterError("the client is asynchronous; pass one made with asynchronous=False, or an address.")
        if scheduler.status != "running":
            raise ClusterError(f"the client is {scheduler.status}; connect it again, or pass the scheduler's address.")
        yield Cluster(scheduler, device, resources)
        return
    try:
        client: Any = Client(scheduler, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, TypeError) as error:
        raise ClusterError(
            f"there is no Dask scheduler at {scheduler} ({error}); start one (dask scheduler), or check the address."
        ) from error
    with client:
        yield Cluster(client, device, resources)


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
    """Make a plan on one of these workers, and return None if all of them are gone before it is made."""
    if not workers:
        raise ClusterError(f"the workers at {cluster.address} are gone; start some, and repeat the call.")
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
            if set(workers).isdisjoint(cluster.workers()):
                future.cancel()
                return None


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
