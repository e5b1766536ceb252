"""A generator on a thread of its own that can be stopped, with its items brought to the main thread."""

from __future__ import annotations

__all__ = ["Work"]

import threading
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any

from qtpy.QtCore import QObject, Qt, Signal

from napari_restore.widgets.threads.loading import load_libraries

_going_on: set[Work] = set()
"""Work whose end has not arrived on the main thread yet.

It is kept here because a queued signal keeps nobody alive, and because a QObject should be deleted on its own thread.
"""


class Work(QObject):
    """A generator that runs on a thread of its own; made on the main thread.

    Items are sent by a queued signal, so they arrive in their order, on turns of the event loop. A window that closes
    takes nothing away: the thread goes on until the generator has ended or was closed after a stop.

    Parameters
    ----------
    start
        Makes the generator, on the thread. It gets the event that `stop` sets.
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

    _sent = Signal(object)
    """A callable and its argument, as one object."""

    def __init__(
        self,
        start: Callable[[threading.Event], Generator[Any, None, None]],
        event: Callable[[Any], None],
        ended: Callable[[BaseException | None], None],
    ) -> None:
        super().__init__()
        self.stopping, self.finished = threading.Event(), threading.Event()
        self._event, self._ended = event, ended
        # Queued, not automatic: an item never arrives while another one is being taken.
        self._sent.connect(self._arrived, Qt.ConnectionType.QueuedConnection)
        self._thread = threading.Thread(target=self._produce, args=(start,), name="napari-restore")
        _going_on.add(self)
        self._thread.start()

    def stop(self) -> None:
        """Ask for the end; `ended` is called when it has come."""
        self.stopping.set()

    def _produce(self, start: Callable[[threading.Event], Generator[Any, None, None]]) -> None:
        """Run the generator to its end, or close it."""
        # An error is an item like others: it belongs into the dock widget and not into a traceback.
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
        self._thread.join()  # it has nothing left to do
        _going_on.discard(self)
        self._ended(error)
