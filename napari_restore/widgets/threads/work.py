"""Work on a thread of its own that can be stopped, with its events brought to the main thread."""

from __future__ import annotations

__all__ = ["Work", "drawn_first"]

import queue
import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from typing import Any

from napari.qt.threading import create_worker

from napari_restore.widgets.threads.loading import load_libraries

_WAIT = 0.2
"""Seconds between two looks of the worker at whether it was dropped."""

_PATIENCE = 3.0
"""Seconds that work waits for the window to show its layers."""
_POLL = 0.05
"""Seconds between two looks at whether it was stopped meanwhile."""


class Work:
    """A generator that runs on a worker thread.

    Parameters
    ----------
    start
        Makes the generator, on the worker thread. It gets the event that `stop` sets.
    event
        Called on the main thread with each item.
    ended
        Called once on the main thread with the error, or None.

    Attributes
    ----------
    stopping
        Set when the end was asked for.
    finished
        Set when nothing runs any more.
    """

    def __init__(
        self,
        start: Callable[[threading.Event], Generator[Any, None, None]],
        event: Callable[[Any], None],
        ended: Callable[[BaseException | None], None],
    ) -> None:
        self.stopping, self.finished = threading.Event(), threading.Event()
        self._event, self._ended = event, ended
        self._items: queue.Queue[tuple[Callable[[Any], None], Any]] = queue.Queue()
        self._worker = create_worker(self._run, start, _start_thread=False)
        self._worker.yielded.connect(self._arrived)
        self._worker.start()

    def stop(self) -> None:
        """Ask for the end; `ended` is called when it has come."""
        self.stopping.set()

    def _produce(self, start: Callable[[threading.Event], Generator[Any, None, None]]) -> None:
        """Run the generator to its end, or close it, whatever becomes of the window meanwhile."""
        # An error is an event like others: it belongs into the dock widget and not into a traceback.
        error: BaseException | None = None
        try:
            load_libraries()
            with closing(start(self.stopping)) as events:
                for event in events:
                    self._items.put((self._event, event))
                    if self.stopping.is_set():
                        break
        except Exception as caught:
            error = caught
        finally:
            self.finished.set()
            self._items.put((self._ended, error))

    def _run(self, start: Callable[[threading.Event], Generator[Any, None, None]]) -> Generator[Any, None, None]:
        # napari drops a worker's generator, unclosed, when its window closes; the work has a thread of its own.
        threading.Thread(target=self._produce, args=(start,), name="napari-restore").start()
        while True:
            with suppress(queue.Empty):
                yield (item := self._items.get(timeout=_WAIT))
                if item[0] == self._ended:
                    return
            if self.finished.is_set() and self._items.empty():
                return

    @staticmethod
    def _arrived(item: tuple[Callable[[Any], None], Any]) -> None:
        call, argument = item
        call(argument)


def drawn_first(
    events: Generator[Any, None, None], drawn: threading.Event, stop: threading.Event
) -> Generator[Any, None, None]:
    """Events, the first followed by a wait until its layers are drawn, or until the stop.

    So napari makes layers before the network takes all cores for itself.
    """
    with closing(events):
        for number, event in enumerate(events):
            yield event
            end = time.monotonic() + _PATIENCE
            while number == 0 and not drawn.wait(_POLL) and not stop.is_set() and time.monotonic() < end:
                pass
