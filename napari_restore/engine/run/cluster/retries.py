"""Send write units to a cluster, retry failed ones on other workers, and duplicate stragglers.

Only a bounded number of write units is on the cluster at a time. There is no graph of the whole run, so a run of a
million blocks costs the scheduler as much as one of a thousand.
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
from napari_restore.engine.run.cluster.worker import Failure, compute_unit
from napari_restore.errors import ClusterError, DiskFull, ModelError, OutputTaken, RestoreError
from napari_restore.images.writing.layout import WriteUnit

__all__ = ["ANSWER", "Pool", "Window", "within"]

TRIES = 3
"""Number of times that a write unit is tried, each time on another worker if there is one."""
TICK = 0.25
"""Seconds between two values for the caller while no write unit is finished."""
REFRESH = 2.0
"""Seconds between two queries for the workers of the cluster."""
PATIENCE = 300.0
"""Seconds without any worker after which a run ends."""
STRAGGLER, TIMES_MEDIAN = 30.0, 4.0
"""A write unit is a straggler after so many seconds and so many times the median duration. A copy is sent then."""
STANDSTILL = 900.0
"""Seconds without a finished write unit after which a run ends, if they are also 20 times the median duration."""
ANSWER = 20.0
"""Seconds that the cluster has for an answer when a run ends. A worker that hangs gives none."""


_FINAL = (DiskFull, ModelError, OutputTaken)
"""Errors that do not depend on the block or the worker, so that a retry would fail too."""


class Pool(Protocol):
    """Interface of the workers of a run. See `napari_restore.engine.run.cluster.workers.Cluster`."""

    client: Any

    @property
    def shares(self) -> dict[str, float] | None:
        """Amounts of a worker's resources that one write unit takes."""

    def workers(self) -> dict[str, int]:
        """Return the address of each present worker, and how many write units it takes at a time."""


@dataclass
class _Attempt:
    """A task of Dask that computes a write unit."""

    unit: WriteUnit
    began: float
    future: Any
    only: frozenset[str]
    """Addresses of the workers that may run it; if empty, any worker."""


@dataclass
class _History:
    """Failed and present attempts at a write unit that is not finished."""

    tries: int = 0
    failed_on: set[str] = field(default_factory=set)
    attempts: set[str] = field(default_factory=set)


class Window:
    """Window of write units that are on a cluster at the same time, a few more than its workers can take.

    Parameters
    ----------
    pool : Pool
        The workers.
    name : str
        Name of the run, under which the workers have registered it.

    Attributes
    ----------
    failed : dict of WriteUnit to RestoreError
        Write units that failed on every try, and the last error of each.
    retries : int
        Number of retries and copies.
    """

    def __init__(self, pool: Pool, name: str) -> None:
        self.pool, self.name = pool, name
        self.failed: dict[WriteUnit, RestoreError] = {}
        self.retries = 0
        self._numbers = itertools.count()
        self._attempts: dict[str, _Attempt] = {}
        self._histories: dict[WriteUnit, _History] = {}
        self._to_retry: deque[WriteUnit] = deque()
        self._suspects: list[WriteUnit] = []
        self._seconds: deque[float] = deque(maxlen=200)
        self._outcomes = _Outcomes(pool.client, f"{name}-{uuid4().hex[:8]}")
        self._failures_in_a_row, self._last_success = 0, time.monotonic()
        self._workers: dict[str, int] = {}
        self._refreshed = self._workers_seen = -float("inf")

    @property
    def size(self) -> int:
        """Number of write units that may be on the cluster: what the workers take at a time, and one more for each."""
        return max(1, sum(self._workers.values()) + len(self._workers))

    def run(self, units: Iterable[WriteUnit]) -> Generator[Receipt | None, None, None]:
        """Compute write units on the cluster.

        Parameters
        ----------
        units : iterable of WriteUnit
            Read one by one, when the window has room.

        Yields
        ------
        Receipt or None
            The receipt of each write unit when it is finished, and None every `TICK` seconds in between.

        Raises
        ------
        ClusterError
            If the scheduler is lost, or there is no worker for a long time.
        RestoreError
            The last error, if many write units fail in a row.
        """
        source = iter(units)
        try:
            yield from self._drained(source, lambda: self.size)
            # A worker that dies loses all its write units, and only one of them is the cause. Retry each of them alone.
            suspects, self._suspects = self._suspects, []
            yield from self._drained(iter(suspects), lambda: 1)
            for unit in self._suspects:
                self.failed[unit] = RestoreError("workers die when they compute it, even if they do nothing else")
        finally:
            self.close()

    def close(self) -> None:
        """Cancel all tasks."""
        self._outcomes.close()
        futures = [attempt.future for attempt in self._attempts.values()]
        self._attempts.clear()
        if futures and self.pool.client.status == "running":
            within(ANSWER, lambda: self.pool.client.cancel(futures, force=True))

    def _drained(self, source: Iterator[WriteUnit], size: Callable[[], int]) -> Generator[Receipt | None, None, None]:
        while True:
            self._refresh_workers()
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
        size += len(self._stragglers())  # stragglers must not keep other write units waiting
        while len(self._attempts) < size:
            unit = self._to_retry.popleft() if self._to_retry else next(source, None)
            if unit is None:
                return
            self._send(unit)

    def _send(self, unit: WriteUnit) -> None:
        history = self._histories.setdefault(unit, _History())
        others = [address for address in self._workers if address not in history.failed_on]
        only = frozenset(others if history.failed_on else ())
        # Without a hash in their keys, Dask takes all tasks of a run for one group, whose duration it estimates.
        key = f"{self.name}-unit-{next(self._numbers)}"
        future = self.pool.client.submit(
            compute_unit, self.name, unit, self._outcomes.topic, key, key=key, pure=False, workers=sorted(only) or None,
            resources=self.pool.shares, allow_other_workers=False,
        )  # fmt: skip
        self._attempts[key] = _Attempt(unit, time.monotonic(), future, only)
        history.attempts.add(key)
        self._outcomes.expect(future)

    def _settle(self, key: str, outcome: Any) -> Receipt | None:
        """Record the outcome of an attempt, and return its receipt if it finished its write unit."""
        attempt = self._attempts.pop(key, None)
        if attempt is None:
            return None
        history = self._histories[attempt.unit]
        history.attempts.discard(key)
        if isinstance(outcome, Receipt):
            self._failures_in_a_row, self._last_success = 0, time.monotonic()
            self._seconds.append(time.monotonic() - attempt.began)
            self._cancel_copies(history)
            del self._histories[attempt.unit]
            return outcome
        self._handle_failure(attempt.unit, history, outcome)
        return None

    def _cancel_copies(self, history: _History) -> None:
        """Cancel the copies of a finished write unit. A copy that is running already writes the same bytes."""
        copies = [self._attempts.pop(key).future for key in history.attempts if key in self._attempts]
        if copies:
            self.pool.client.cancel(copies, force=True)

    def _handle_failure(self, unit: WriteUnit, history: _History, outcome: Any) -> None:
        """Retry a write unit or give it up, or raise an error that ends the run."""
        from distributed import KilledWorker

        self._failures_in_a_row += 1
        too_many = self._failures_in_a_row >= max(8, TRIES * self.size)
        if isinstance(outcome, KilledWorker):
            self._suspects.append(unit)
            if too_many:
                raise ClusterError(
                    f"the workers at {_address(self.pool.client)} die with any block ({outcome}); look at their logs "
                    "and their memory. Stored blocks stay, and the same call resumes the run."
                )
            return
        if not isinstance(outcome, Failure):
            raise ClusterError(
                f"the scheduler at {_address(self.pool.client)} was lost, or has cancelled the run "
                f"({type(outcome).__name__}: {outcome}). Stored blocks stay: start the cluster again, and the same "
                "call resumes the run."
            )
        history.tries += 1
        history.failed_on.add(outcome.worker)
        if too_many or isinstance(outcome.error, _FINAL):
            raise outcome.error
        if history.attempts:
            return  # a copy may still succeed
        if history.tries < TRIES:
            self.retries += 1
            self._to_retry.append(unit)
            return
        del self._histories[unit]
        self.failed[unit] = outcome.error

    def _refresh_workers(self) -> None:
        """Query the workers of the cluster, at most every `REFRESH` seconds."""
        now = time.monotonic()
        if now - self._refreshed < REFRESH:
            return
        self._refreshed = now
        try:
            self._workers = self.pool.workers()
        except (OSError, RuntimeError) as error:
            raise ClusterError(
                f"the scheduler at {_address(self.pool.client)} does not answer ({error}). Stored blocks stay: start "
                "the cluster again, and the same call resumes the run."
            ) from error
        if self._workers or self._workers_seen < 0:
            self._workers_seen = now
        if now - self._workers_seen > PATIENCE:
            raise ClusterError(
                f"there was no worker at {_address(self.pool.client)} for {PATIENCE:.0f} s. Stored blocks stay: start "
                "workers, and the same call resumes the run."
            )
        self._resend_unreachable()

    def _resend_unreachable(self) -> None:
        """Send write units again whose workers are gone. The scheduler would keep them until these workers return."""
        for key, attempt in list(self._attempts.items()):
            if attempt.only and attempt.only.isdisjoint(self._workers):
                del self._attempts[key]
                self._histories[attempt.unit].attempts.discard(key)
                self.pool.client.cancel([attempt.future], force=True)
                self._send(attempt.unit)

    def _check_progress(self) -> None:
        """Raise if no write unit was finished for a long time, whatever the scheduler reports of its workers."""
        if not self._seconds:
            return
        silent = time.monotonic() - self._last_success
        if silent > max(STANDSTILL, 20 * statistics.median(self._seconds)):
            raise ClusterError(
                f"no worker at {_address(self.pool.client)} has finished a block for {silent:.0f} s; find the workers "
                "that hang, and restart them. Stored blocks stay, and the same call resumes the run."
            )

    def _copy_stragglers(self, size: int) -> None:
        """Send copies of stragglers to other workers, if these have nothing else to do."""
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
        """Return the newest attempt at each write unit, if it has taken very long."""
        if not self._seconds:
            return []
        late = time.monotonic() - max(STRAGGLER, TIMES_MEDIAN * statistics.median(self._seconds))
        newest = {attempt.unit: attempt for attempt in self._attempts.values()}
        return [attempt for attempt in newest.values() if attempt.began < late]

    def _holders(self, keys: set[str]) -> set[str]:
        """Return the workers to which the scheduler has given tasks with these keys."""
        found = within(ANSWER, self.pool.client.processing) or {}
        return {worker for worker, tasks in found.items() if keys & set(map(str, tasks))}


def _address(client: Any) -> str:
    return str(getattr(client.scheduler, "address", "?"))


class _Outcomes:
    """Queue of the outcomes of tasks: from events of the workers, and from the scheduler for tasks without an event.

    Its methods never wait for a worker.
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
        """Queue the error of a task that failed or was lost. A finished task has sent an event."""
        if future.status != "finished":
            self._found.put((future.key, _error_of(future)))

    def close(self) -> None:
        with suppress(Exception):  # the scheduler may be gone
            self._client.unsubscribe_topic(self.topic)

    def get(self, seconds: float) -> list[tuple[str, Any]]:
        """Return the outcomes in the queue, after waiting up to `seconds` for the first."""
        found = []
        with suppress(queue.Empty):
            found.append(self._found.get(timeout=seconds))
            while True:
                found.append(self._found.get_nowait())
        return found


def _error_of(future: Any) -> Any:
    try:
        return future.result(timeout=ANSWER)
    except BaseException as error:  # CancelledError is not an Exception
        return error


def within(seconds: float, call: Callable[[], Any]) -> Any:
    """Call a function that may hang, and return its value, or None if it takes longer than `seconds` or fails."""
    answers: list[Any] = []

    def ask() -> None:
        with suppress(Exception):
            answers.append(call())

    thread = threading.Thread(target=ask, name="ask-cluster", daemon=True)
    thread.start()
    thread.join(seconds)
    return answers[0] if answers else None
