"""Run a generator on its own thread, and deliver its items on the main thread."""

from __future__ import annotations

__all__ = ["Work"]

import threading
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any

from qtpy.QtCore import QObject, Qt, Signal

from napari_restore.widgets.threads.loading import load_libraries

_unfinished: set[Work] = set()
"""Work whose end has not reached the main thread.

These references are needed because a queued signal holds none, and because a QObject should be deleted on the thread
that created it.
"""


class Work(QObject):
    """A generator that runs on its own thread. Create it on the main thread.

    A queued signal delivers the items, so they arrive in order, each in a turn of the event loop. Closing the window
    does not end the thread: it ends when the generator is exhausted, or is closed after `stop`.

    Parameters
    ----------
    start : callable
        Called on the thread with the event that `stop` sets; returns the generator.
    event : callable
        Called on the main thread with each item.
    ended : callable
        Called once on the main thread with the exception that ended the generator, or None.

    Attributes
    ----------
    stopping : threading.Event
        Set when the work was asked to stop.
    finished : threading.Event
        Set when the generator has ended.
    """

    _sent = Signal(object)
    """A callable and its argument, in one tuple."""

    def __init__(
        self,
        start: Callable[[threading.Event], Generator[Any, None, None]],
        event: Callable[[Any], None],
        ended: Callable[[BaseException | None], None],
    ) -> None:
        super().__init__()
        self.stopping, self.finished = threading.Event(), threading.Event()
        self._event, self._ended = event, ended
        # Queued, not automatic: an item must not arrive while another one is being handled.
        self._sent.connect(self._arrived, Qt.ConnectionType.QueuedConnection)
        self._thread = threading.Thread(target=self._produce, args=(start,), name="napari-restore")
        _unfinished.add(self)
        self._thread.start()

    def stop(self) -> None:
        """Ask the generator to stop; `ended` is called when it has."""
        self.stopping.set()

    def _produce(self, start: Callable[[threading.Event], Generator[Any, None, None]]) -> None:
        """Run the generator until it ends or is stopped."""
        # The dock widget shows an error; it must not end in a traceback of the thread.
        error: BaseException | None = None
        try:
            load_libraries()
            with closing(start(self.stopping)) as items:
                for item in items:
                    self._sent.emit((self._event, item))
                    if self.stopping.is_set():
                        break
        except Exception as caught:
            error = caught
        finally:
            self.finished.set()
            self._sent.emit((self._end, error))

    def _arrived(self, sent: tuple[Callable[[Any], None], Any]) -> None:
        call, argument = sent
        call(argument)

    def _end(self, error: BaseException | None) -> None:
        self._thread.join()  # returns at once: the thread has nothing left to do
        _unfinished.discard(self)
        self._ended(error)
