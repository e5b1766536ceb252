"""Choose and check the workers of a Dask cluster for a run."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from napari_restore.engine.hardware.device import Device
from napari_restore.engine.planning.plan import Plan
from napari_restore.engine.run.cluster.heartbeats import Heartbeats
from napari_restore.engine.run.cluster.questions import Question
from napari_restore.errors import ClusterError
from napari_restore.wording import human_bytes

__all__ = ["NAMED", "Cluster", "connected"]

ANSWER = 60.0
"""Seconds that workers have to answer a question before the run."""
SCHEDULER = 30.0
"""Seconds that the scheduler has to name its workers."""
SOON = 2.0
"""Seconds after which a scheduler that has not yet named its workers is not asked to tidy up at the end of a run."""
CLOSE = 10.0
"""Seconds that the connection has to close; one of them if the scheduler does not answer."""
ATTEMPTS = 3
"""Number of times that workers are asked, if one of them ends meanwhile."""
FIRST_WORKER = 10.0
"""Seconds to wait for the first worker of a cluster without workers."""
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
    silent : set of str
        Addresses of the workers that had stopped sending heartbeats when `workers` was last called.

    Raises
    ------
    ClusterError
        If no worker offers the resources, or workers have other versions of this package, torch, zarr or Python.
    """

    def __init__(self, client: Any, device: Device, resources: Mapping[str, float] | None) -> None:
        self.client, self.at_once, self.address = client, 1, str(client.scheduler.address)
        self.silent: set[str] = set()
        self._heartbeats, self._lost = Heartbeats(), False
        self._asked = math.inf
        everyone = self._everyone()
        if not everyone:
            raise ClusterError(f"the scheduler at {self.address} has no workers; start some, and repeat the call.")
        self.resources = dict(resources) if resources is not None else _needed(device, everyone)
        self._check_offer(everyone)
        self._facts: dict[str, dict[str, Any]] = self.ask(_facts_asker())
        self._check_versions()

    @property
    def answering(self) -> bool:
        """Whether the scheduler is connected, and has answered the last question or was asked just now."""
        return self.client.status == "running" and not self._lost and time.monotonic() - self._asked < SOON

    def _everyone(self) -> dict[str, Any]:
        deadline = time.monotonic() + FIRST_WORKER
        while not (workers := self._known()) and time.monotonic() < deadline:
            time.sleep(0.2)
        return workers

    def _known(self) -> dict[str, Any]:
        """Return the scheduler's description of each present worker, by address."""
        self._asked = time.monotonic()
        try:
            if self.client.status != "running":
                raise ConnectionError("the connection was lost")
            # `client.scheduler_info` may hold only a few of the workers, or none.
            found = self.client.sync(self.client.scheduler.identity, n_workers=-1, callback_timeout=SCHEDULER)
        except (OSError, RuntimeError) as error:
            self._lost = True
            reason = f"no answer within {SCHEDULER:.0f} s" if isinstance(error, TimeoutError) else str(error)
            raise ClusterError(
                f"the scheduler at {self.address} does not answer ({reason}). Stored blocks stay: start the cluster "
                "again, and the same call resumes the run."
            ) from error
        self._asked, self._lost = math.inf, False
        return dict(found["workers"])

    def _offers(self, worker: Mapping[str, Any]) -> bool:
        offer = worker.get("resources") or {}
        return all(offer.get(name, 0) >= amount for name, amount in self.resources.items())

    def workers(self) -> dict[str, int]:
        """Return the address of each worker that takes part, and how many blocks it takes at a time.

        These are the workers that offer the resources and send heartbeats.

        Raises
        ------
        ClusterError
            If the scheduler does not answer.
        """
        offering = {address: worker for address, worker in self._known().items() if self._offers(worker)}
        self.silent = self._heartbeats.silent({name: worker["last_seen"] for name, worker in offering.items()})
        return {address: self._takes(worker) for address, worker in offering.items() if address not in self.silent}

    def held_by_silent(self) -> set[str]:
        """Return the keys of the tasks that the scheduler has given to silent workers."""
        if not self.silent:
            return set()
        with suppress(OSError, RuntimeError, KeyError):  # a worker may be gone since
            found = self.client.sync(
                self.client.scheduler.processing, workers=sorted(self.silent), callback_timeout=SCHEDULER
            )
            return {str(key) for keys in found.values() for key in keys}
        return set()

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
        for attempt in range(1, ATTEMPTS + 1):
            answers = self._answers(question, *arguments)
            ended = [answer for answer in answers.values() if isinstance(answer, OSError)]
            if not ended or attempt == ATTEMPTS:
                break
            time.sleep(1.0)  # until the scheduler knows; the workers that are left are asked again
        for worker, answer in answers.items():
            if isinstance(answer, Exception):
                raise ClusterError(
                    f"worker {worker} cannot answer: {answer!r}; see its log, restart it, and repeat the call."
                ) from answer
        return answers

    def _answers(self, question: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
        """Return the answer of each worker that takes part, or the exception that it raised."""
        if not (workers := list(self.workers())):
            raise ClusterError(f"the workers at {self.address} are gone; start some, and repeat the call.")
        asked = Question(lambda: self.client.run(question, *arguments, workers=workers, on_error="return"))
        if not asked.answered(ANSWER):
            raise ClusterError(
                f"the workers at {self.address} did not all answer within {ANSWER:.0f} s; find the worker that hangs, "
                "and restart it."
            )
        try:
            answers: dict[str, Any] = asked.answer()
        except Exception as error:
            raise ClusterError(f"the workers at {self.address} cannot be asked: {error!r}.") from error
        return answers

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
    answering = True
    try:
        cluster = Cluster(client, device, resources)
        try:
            yield cluster
        finally:
            answering = cluster.answering
    finally:
        with suppress(TimeoutError):  # the scheduler does not answer, and its connection ends with this process
            client.close(CLOSE if answering else CLOSE / 10)
