"""Receive what workers send about their tasks, without waiting for a worker."""

from __future__ import annotations

import pickle
import queue
from contextlib import suppress
from typing import Any

__all__ = ["ANSWER", "Outcomes"]

ANSWER = 20.0
"""Seconds that the scheduler has to send the error of a task."""


class Outcomes:
    """Queue of the outcomes of tasks: from events of the workers, and from the scheduler for tasks without an event.

    Its methods never wait for a worker.

    Parameters
    ----------
    client : distributed.Client
        Connected to the cluster.
    topic : str
        Topic of the events of `napari_restore.engine.run.cluster.worker.compute_unit`.
    """

    def __init__(self, client: Any, topic: str) -> None:
        self.topic = topic
        self._client = client
        self._found: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        client.subscribe_topic(topic, self._take_in)

    def _take_in(self, event: tuple[float, dict[str, Any]]) -> None:
        content = event[1]
        self._found.put((content["key"], pickle.loads(content["outcome"]) if "outcome" in content else None))

    def expect(self, future: Any) -> None:
        """Queue the error of a task too."""
        future.add_done_callback(self._ended)

    def _ended(self, future: Any) -> None:
        """Queue the error of a task that failed or was lost. A finished task has sent an event."""
        if future.status != "finished":
            self._found.put((future.key, _error_of(future)))

    def close(self) -> None:
        """Receive nothing more."""
        with suppress(Exception):  # the scheduler may be gone
            self._client.unsubscribe_topic(self.topic)

    def get(self, seconds: float) -> list[tuple[str, Any]]:
        """Return what is in the queue, after waiting up to `seconds` for the first.

        Returns
        -------
        list of (str, object)
            Key of a task, and its outcome: a `Receipt` or `Failure`; the error of a task that was lost; or None for a
            sign that the task goes on.
        """
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
