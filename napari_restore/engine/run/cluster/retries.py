"""A bounded window of write units on a cluster: retries on other workers, copies for stragglers, suspects on their own.

There is no graph of the whole run, only the write units that are on their way. The scheduler knows nothing of the
others, so a run of a million blocks costs it as much as one of a thousand.
"""

from __future__ import annotations

import itertools
import pickle
import queue
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import uuid4

from napari_restore.engine.compute.block import Receipt
from napari_restore.engine.run.cluster.worker import Failure, carry_out
from napari_restore.errors import ClusterError, DiskFull, ModelError, OutputTaken, RestoreError
from napari_restore.images.writing.layout import WriteUnit

__all__ = ["ANSWER", "Pool", "Window", "within"]

TRIES = 3
"""How often a write unit is tried, each time on another worker if there is one."""
TICK = 0.25
"""Seconds after which the caller hears something, even if nothing is done."""
LOOK = 2.0
"""Seconds between two looks at which workers there are."""
PATIENCE = 300.0
"""Seconds without any worker after which a run ends."""
STRAGGLER, TIMES_MEDIAN = 30.0, 4.0
"""Seconds, and times the median of those so far, that a write unit may take before another worker makes it as well."""
STANDSTILL = 900.0
"""Seconds, if they are also 20 times the median of those so far, without any write unit, after which a run ends."""
ANSWER = 20.0
"""Seconds that the cluster has for an answer when a run ends: a worker that stands still gives none."""


_FINAL = (DiskFull, ModelError, OutputTaken)
"""Errors that are no block's own, and that another worker would meet as well."""


class Pool(Protocol):
    """The workers that take part. See `napari_restore.engine.run.cluster.workers.Cluster`."""

    client: Any

    @property
    def shares(self) -> dict[str, float] | None:
        """What of a worker's resources one write unit takes."""

    def workers(self) -> dict[str, int]:
        """Address of each worker there is now, and how many write units it takes at a time."""


@dataclass
class _Attempt:
    """A write unit on its way to a worker, as a task of Dask."""

    unit: WriteUnit
    began: float
    future: Any
    only: frozenset[str]
    """Workers that it was sent to; empty: any."""


@dataclass
class _History:
    """What was tried to make a write unit that is not done."""

    tries: int = 0
    failed_on: set[str] = field(default_factory=set)
    attempts: set[str] = field(default_factory=set)


class Window:
    """Sends write units to a cluster, a few more than it can work on, and gives what comes back.

    Parameters
    ----------
    pool
        The workers.
    name
        Of the run, known to the workers.

    Attributes
    ----------
    failed : dict of WriteUnit to RestoreError
        Those that were given up, and why.
    retries : int
        How often one was sent again.
    """

    def __init__(self, pool: Pool, name: str) -> None:
        self.pool, self.name = pool, name
        self.failed: dict[WriteUnit, RestoreError] = {}
        self.retries = 0
        self._numbers = itertools.count()
        self._attempts: dict[str, _Attempt] = {}
        self._histories: dict[WriteUnit, _History] = {}
        self._again: deque[WriteUnit] = deque()
        self._suspects: list[WriteUnit] = []
        self._seconds: deque[float] = deque(maxlen=200)
        self._outcomes = _Outcomes(pool.client, f"{name}-{uuid4().hex[:8]}")
        self._in_a_row, self._settled = 0, time.monotonic()
        self._workers: dict[str, int] = {}
        self._looked = self._seen = -float("inf")

    @property
    def size(self) -> int:
        """How many write units may be on their way: what the workers take at a time, and one in reserve for each."""
        return max(1, sum(self._workers.values()) + len(self._workers))

    def run(self, units: Iterable[WriteUnit]) -> Generator[Receipt | None, None, None]:
        """Have write units made.

        Yields
        ------
        Receipt or None
            Of each write unit that is done; None after every `TICK` seconds without one.

        Raises
        ------
        ClusterError
            If the scheduler is lost, or there is no worker for long.
        RestoreError
            The last error, if one unit after the other fails.
        """
        source = iter(units)
        try:
            yield from self._drained(source, lambda: self.size)
            # Workers that died took innocent units with them: alone, a unit can only accuse itself.
            suspects, self._suspects = self._suspects, []
            yield from self._drained(iter(suspects), lambda: 1)
            for unit in self._suspects:
                self.failed[unit] = RestoreError("workers that try it die, also when they do nothing else")
        finally:
            self.close()

    def close(self) -> None:
        """Ask for nothing more."""
        self._outcomes.close()
        futures = [attempt.future for attempt in self._attempts.values()]
        self._attempts.clear()
        if futures and self.pool.client.status == "running":
            within(ANSWER, lambda: self.pool.client.cancel(futures, force=True))

    def _drained(self, source: Iterator[WriteUnit], size: Callable[[], int]) -> Generator[Receipt | None, None, None]:
        while True:
            self._look()
            self._fill(source, size())
            if not self._attempts:
                return
            found = self._outcomes.get(TICK)
            if not found:
                self._check_progress()
                self._copy_stragglers(size())
                yield None
            for key, outcome in found:
                receipt = self._settle(key, outcome)
                if receipt is not None:
                    yield receipt

    def _fill(self, source: Iterator[WriteUnit], size: int) -> None:
        size += len(self._stragglers())  # what stands still is no reason to have others wait
        while len(self._attempts) < size:
            unit = self._again.popleft() if self._again else next(source, None)
            if unit is None:
                return
            self._send(unit)

    def _send(self, unit: WriteUnit) -> None:
        history = self._histories.setdefault(unit, _History())
        others = [address for address in self._workers if address not in history.failed_on]
        only = frozenset(others if history.failed_on else ())
        # The name of a task carries no hash, so that Dask takes all tasks of a run for one kind.
        key = f"{self.name}-unit-{next(self._numbers)}"
        future = self.pool.client.submit(
            carry_out, self.name, unit, self._outcomes.topic, key, key=key, pure=False, workers=sorted(only) or None,
            resources=self.pool.shares, allow_other_workers=False,
        )  # fmt: skip
        self._attempts[key] = _Attempt(unit, time.monotonic(), future, only)
        history.attempts.add(key)
        self._outcomes.expect(future)

    def _settle(self, key: str, outcome: Any) -> Receipt | None:
        """Take note of what an attempt has come to, and give its receipt if its write unit is done by it."""
        attempt = self._attempts.pop(key, None)
        if attempt is None:
            return None
        history = self._histories[attempt.unit]
        history.attempts.discard(key)
        if isinstance(outcome, Receipt):
            self._in_a_row, self._settled = 0, time.monotonic()
            self._seconds.append(time.monotonic() - attempt.began)
            self._forget(history)
            del self._histories[attempt.unit]
            return outcome
        self._give_another_chance(attempt.unit, history, outcome)
        return None

    def _forget(self, history: _History) -> None:
        """Ask no more for the copies of a write unit that is done; one that is running goes on, and writes the same."""
        copies = [self._attempts.pop(key).future for key in history.attempts if key in self._attempts]
        if copies:
            self.pool.client.cancel(copies, force=True)

    def _give_another_chance(self, unit: WriteUnit, history: _History, outcome: Any) -> None:
        from distributed import KilledWorker

        self._in_a_row += 1
        too_many = self._in_a_row >= max(8, TRIES * self.size)
        if isinstance(outcome, KilledWorker):
            self._suspects.append(unit)
            if too_many:
                raise ClusterError(
                    f"the workers at {_address(self.pool.client)} die, whatever they are given ({outcome}); look at "
                    "their logs, and at their memory: blocks that are stored stay, the same call goes on."
                )
            return
        if not isinstance(outcome, Failure):
            raise ClusterError(
                f"the scheduler at {_address(self.pool.client)} was lost, or the run was cancelled there "
                f"({type(outcome).__name__}: {outcome}); blocks that are stored stay: start the cluster again, and the "
                "same call goes on."
            )
        history.tries += 1
        history.failed_on.add(outcome.worker)
        if too_many or isinstance(outcome.error, _FINAL):
            raise outcome.error
        if history.attempts:
            return  # a copy is on its way
        if history.tries < TRIES:
            self.retries += 1
            self._again.append(unit)
            return
        del self._histories[unit]
        self.failed[unit] = outcome.error

    def _look(self) -> None:
        """See which workers there are."""
        now = time.monotonic()
        if now - self._looked < LOOK:
            return
        self._looked = now
        try:
            self._workers = self.pool.workers()
        except (OSError, RuntimeError) as error:
            raise ClusterError(
                f"the scheduler at {_address(self.pool.client)} does not answer ({error}); blocks that are stored "
                "stay: start the cluster again, and the same call goes on."
            ) from error
        if self._workers or self._seen < 0:
            self._seen = now
        if now - self._seen > PATIENCE:
            raise ClusterError(
                f"there was no worker at {_address(self.pool.client)} for {PATIENCE:.0f} s; blocks that are stored "
                "stay: start workers, and the same call goes on."
            )
        self._recall_unreachable()

    def _recall_unreachable(self) -> None:
        """Send again what was meant for workers that are gone: the scheduler would keep it for their return."""
        for key, attempt in list(self._attempts.items()):
            if attempt.only and attempt.only.isdisjoint(self._workers):
                del self._attempts[key]
                self._histories[attempt.unit].attempts.discard(key)
                self.pool.client.cancel([attempt.future], force=True)
                self._send(attempt.unit)

    def _check_progress(self) -> None:
        """End a run in which nothing comes back any more, whatever the scheduler says of its workers."""
        if not self._seconds:
            return
        silent = time.monotonic() - self._settled
        if silent > max(STANDSTILL, 20 * statistics.median(self._seconds)):
            raise ClusterError(
                f"no worker at {_address(self.pool.client)} has ended a block for {silent:.0f} s; look for workers "
                "that hang, and restart them: blocks that are stored stay, the same call goes on."
            )

    def _copy_stragglers(self, size: int) -> None:
        """Let other workers try what some have had for very long, when there is nothing else to do."""
        late = self._stragglers()
        if len(self._attempts) - len(late) >= size:
            return
        for attempt in late:
            history = self._histories[attempt.unit]
            if len(history.attempts) < min(TRIES, len(self._workers)):
                history.failed_on.update(self._holders(history.attempts))
                self.retries += 1
                self._send(attempt.unit)

    def _stragglers(self) -> list[_Attempt]:
        """Give the newest tasks of units that have taken very long, finished or not."""
        if not self._seconds:
            return []
        late = time.monotonic() - max(STRAGGLER, TIMES_MEDIAN * statistics.median(self._seconds))
        newest = {attempt.unit: attempt for attempt in self._attempts.values()}
        return [attempt for attempt in newest.values() if attempt.began < late]

    def _holders(self, keys: set[str]) -> set[str]:
        """Tell which workers have been given tasks."""
        found = within(ANSWER, self.pool.client.processing) or {}
        return {worker for worker, tasks in found.items() if keys & set(map(str, tasks))}


def _address(client: Any) -> str:
    return str(getattr(client.scheduler, "address", "?"))


class _Outcomes:
    """Takes in what tasks have come to: events of the workers, and from the scheduler what has no event.

    Nothing here waits for a worker.
    """

    def __init__(self, client: Any, topic: str) -> None:
        self.topic = topic
        self._client = client
        self._found: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        client.subscribe_topic(topic, self._take_in)

    def _take_in(self, event: tuple[float, dict[str, Any]]) -> None:
        content = event[1]
        self._found.put((content["key"], pickle.loads(content["outcome"])))

    def expect(self, future: Any) -> None:
        future.add_done_callback(self._ended)

    def _ended(self, future: Any) -> None:
        """Take in a task that failed, or was lost: the scheduler tells why. What is finished tells itself."""
        if future.status != "finished":
            self._found.put((future.key, _error_of(future)))

    def close(self) -> None:
        with suppress(Exception):  # the scheduler may be gone
            self._client.unsubscribe_topic(self.topic)

    def get(self, seconds: float) -> list[tuple[str, Any]]:
        """Give all there is, after waiting for the first."""
        found = []
        with suppress(queue.Empty):
            found.append(self._found.get(timeout=seconds))
            while True:
                found.append(self._found.get_nowait())
        return found


def _error_of(future: Any) -> Any:
    try:
        return future.result(timeout=ANSWER)
    except BaseException as error:  # also CancelledError
        return error


def within(seconds: float, call: Callable[[], Any]) -> Any:
    """Call something that may wait for who stands still; None if it takes longer, or fails."""
    answers: list[Any] = []

    def ask() -> None:
        with suppress(Exception):
            answers.append(call())

    thread = threading.Thread(target=ask, name="ask-cluster", daemon=True)
    thread.start()
    thread.join(seconds)
    return answers[0] if answers else None
