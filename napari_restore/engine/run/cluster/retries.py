"""Send write units to a cluster, retry failed ones on other workers, and duplicate stragglers.

Only a bounded number of write units is on the cluster at a time. There is no graph of the whole run, so a run of a
million blocks costs the scheduler as much as one of a thousand.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import uuid4

from napari_restore.engine.compute.block import Receipt
from napari_restore.engine.run.cluster.outcomes import Outcomes
from napari_restore.engine.run.cluster.questions import Question, within
from napari_restore.engine.run.cluster.worker import Failure, compute_unit
from napari_restore.errors import ClusterError, DiskFull, ModelError, OutputTaken, RestoreError
from napari_restore.images.writing.layout import WriteUnit
from napari_restore.wording import human_duration

__all__ = ["ANSWER", "Pool", "Window"]

TRIES = 3
"""Number of times that a write unit is tried, each time on another worker if there is one."""
TICK = 0.25
"""Seconds between two values for the caller while no write unit is finished."""
REFRESH = 2.0
"""Seconds between two queries for the workers of the cluster."""
PATIENCE = 300.0
"""Seconds without any worker that sends heartbeats after which a run ends."""
STRAGGLER, TIMES_MEDIAN = 30.0, 4.0
"""A write unit is a straggler after so many seconds and so many times the median duration. A copy is sent then."""
STANDSTILL, TIMES_BATCH = 900.0, 50.0
"""A run ends after so many seconds without a finished write unit or batch of tiles on any worker, if these are also so
many times the estimated time of a batch, and 20 times the median duration of the write units so far."""
ANSWER = 20.0
"""Seconds that the cluster has for an answer when a run ends. A worker that hangs gives none."""

_numbers = itertools.count()
"""Numbers of the tasks of this process. Dask takes a task for an earlier one with its key that it has not forgotten."""
_FINAL = (DiskFull, ModelError, OutputTaken)
"""Errors that do not depend on the block or the worker, so that a retry would fail too."""


class Pool(Protocol):
    """Interface of the workers of a run. See `napari_restore.engine.run.cluster.workers.Cluster`."""

    client: Any

    @property
    def silent(self) -> set[str]:
        """Addresses of the workers that send no heartbeats."""

    @property
    def answering(self) -> bool:
        """Whether the scheduler answers."""

    @property
    def shares(self) -> dict[str, float] | None:
        """Amounts of a worker's resources that one write unit takes."""

    def workers(self) -> dict[str, int]:
        """Return the address of each present worker, and how many write units it takes at a time."""

    def held_by_silent(self) -> set[str]:
        """Return the keys of the tasks that silent workers hold."""


@dataclass
class _Attempt:
    """A task of Dask that computes a write unit."""

    unit: WriteUnit
    began: float
    future: Any
    only: frozenset[str]
    """Addresses of the workers that may run it; if empty, any worker."""
    seen: float
    """When its worker last sent a sign that it goes on."""


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
    batch_seconds : float
        Estimated time of one batch of tiles, for the limits before a write unit is finished.

    Attributes
    ----------
    failed : dict of WriteUnit to RestoreError
        Write units that failed on every try, and the last error of each.
    retries : int
        Number of retries and copies.
    """

    def __init__(self, pool: Pool, name: str, batch_seconds: float = 0.0) -> None:
        self.pool, self.name, self.batch_seconds = pool, name, batch_seconds
        self.failed: dict[WriteUnit, RestoreError] = {}
        self.retries = 0
        self._attempts: dict[str, _Attempt] = {}
        self._histories: dict[WriteUnit, _History] = {}
        self._to_retry: deque[WriteUnit] = deque()
        self._suspects: list[WriteUnit] = []
        self._seconds: deque[float] = deque(maxlen=200)
        self._outcomes = Outcomes(pool.client, f"{name}-{uuid4().hex[:8]}")
        self._failures_in_a_row, self._last_progress = 0, time.monotonic()
        self._workers: dict[str, int] = {}
        self._query: Question | None = None
        self._held: set[str] = set()
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
            If the scheduler is lost, or no worker sends heartbeats or finishes a batch of tiles for a long time.
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
        if futures and self.pool.answering:
            within(ANSWER, lambda: self.pool.client.cancel(futures, force=True))

    def _drained(self, source: Iterator[WriteUnit], size: Callable[[], int]) -> Generator[Receipt | None, None, None]:
        ticked = time.monotonic()
        while True:
            self._refresh_workers()
            if self._workers or not self.pool.silent:
                self._fill(source, size())
                if not self._attempts:
                    return
            for key, outcome in self._outcomes.get(TICK):
                receipt = self._settle(key, outcome)
                if receipt is not None:
                    yield receipt
            if time.monotonic() - ticked >= TICK:
                ticked = time.monotonic()
                self._check_progress()
                self._copy_stragglers(size())
                yield None

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
        only = frozenset(others if history.failed_on or self.pool.silent else ())
        # Without a hash in their keys, Dask takes all tasks of a run for one group, whose duration it estimates.
        key = f"{self.name}-unit-{next(_numbers)}"
        future = self.pool.client.submit(
            compute_unit, self.name, unit, self._outcomes.topic, key, key=key, pure=False, workers=sorted(only) or None,
            resources=self.pool.shares, allow_other_workers=False,
        )  # fmt: skip
        now = time.monotonic()
        self._attempts[key] = _Attempt(unit, now, future, only, now)
        history.attempts.add(key)
        self._outcomes.expect(future)

    def _settle(self, key: str, outcome: Any) -> Receipt | None:
        """Record a sign or the outcome of an attempt, and return its receipt if it finished its write unit."""
        if outcome is None:
            self._last_progress = time.monotonic()
            if key in self._attempts:
                self._attempts[key].seen = self._last_progress
            return None
        attempt = self._attempts.pop(key, None)
        if attempt is None:
            return None
        history = self._histories[attempt.unit]
        history.attempts.discard(key)
        if isinstance(outcome, Receipt):
            self._failures_in_a_row, self._last_progress = 0, time.monotonic()
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
        """Query the workers of the cluster, at most every `REFRESH` seconds, without waiting long for the scheduler."""
        if self._query is None:
            if time.monotonic() - self._refreshed < REFRESH:
                return
            self._query = Question(lambda: (self.pool.workers(), self.pool.held_by_silent()))
        if not self._query.answered(TICK):
            return
        query, self._query, now = self._query, None, time.monotonic()
        self._refreshed = now
        self._workers, self._held = query.answer()
        if self._workers or self._workers_seen < 0:
            self._workers_seen = now
        if now - self._workers_seen > PATIENCE:
            silent = f"; {len(self.pool.silent)} of them send no heartbeats" if self.pool.silent else ""
            raise ClusterError(
                f"there was no worker at {_address(self.pool.client)} for {PATIENCE:.0f} s{silent}. Stored blocks "
                "stay: start workers, and the same call resumes the run."
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

    @property
    def _standstill(self) -> float:
        """Seconds without progress after which a worker that computes must be one that hangs."""
        median = statistics.median(self._seconds) if self._seconds else 0.0
        return max(STANDSTILL, TIMES_BATCH * self.batch_seconds, 20 * median)

    def _check_progress(self) -> None:
        """Raise if nothing was finished for a long time, whatever the scheduler reports of its workers."""
        idle = time.monotonic() - self._last_progress
        if idle > self._standstill:
            raise ClusterError(
                f"no worker at {_address(self.pool.client)} has finished a batch of tiles for {human_duration(idle)}; "
                "find the workers that hang, and restart them. Stored blocks stay, and the same call resumes the run."
            )

    def _copy_stragglers(self, size: int) -> None:
        """Send copies of stragglers to other workers, if these have nothing else to do."""
        late = self._stragglers()
        if len(self._attempts) - len(late) >= size:
            return
        for attempt in late:
            history = self._histories[attempt.unit]
            if len(history.attempts - self._held) < min(TRIES, len(self._workers)):
                history.failed_on.update(self._holders(history.attempts))
                self.retries += 1
                self._send(attempt.unit)

    def _stragglers(self) -> list[_Attempt]:
        """Return the newest attempt at each write unit, if it has taken very long or its worker is silent."""
        newest = {attempt.unit: attempt for attempt in self._attempts.values()}
        return [attempt for attempt in newest.values() if attempt.future.key in self._held or self._is_late(attempt)]

    def _is_late(self, attempt: _Attempt) -> bool:
        now = time.monotonic()
        if self._seconds:
            return now - attempt.began > max(STRAGGLER, TIMES_MEDIAN * statistics.median(self._seconds))
        return now - attempt.seen > self._standstill / 3

    def _holders(self, keys: set[str]) -> set[str]:
        """Return the workers to which the scheduler has given tasks with these keys."""
        found = within(ANSWER, self.pool.client.processing) or {}
        return {worker for worker, tasks in found.items() if keys & set(map(str, tasks))}


def _address(client: Any) -> str:
    return str(getattr(client.scheduler, "address", "?"))
