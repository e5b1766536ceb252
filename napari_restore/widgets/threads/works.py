"""Start and stop the work of one dock widget by name, one at a time for each name."""

from __future__ import annotations

__all__ = ["Works"]

import threading
from collections.abc import Callable, Collection, Generator, Iterator
from typing import Any

from napari_restore.widgets.threads.turns import Turns
from napari_restore.widgets.threads.work import Work


class Works:
    """All work of one dock widget. Items of work that was replaced or dropped are not delivered.

    Parameters
    ----------
    turns : Turns
        Work counts as ended when all steps that its items have added to this queue have run.
    """

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._current: dict[str, Work] = {}

    def start(
        self,
        name: str,
        start: Callable[[threading.Event], Generator[Any, None, None]],
        event: Callable[[Any], None],
        ended: Callable[[BaseException | None], None],
        /,
    ) -> None:
        """Start work, and drop earlier work of the same name; see `Work`."""

        def arrived(item: Any) -> None:
            if self._current.get(name) is work:
                event(item)

        def end(error: BaseException | None) -> None:
            if self._current.get(name) is work:
                del self._current[name]
                ended(error)

        self.drop(name)
        work = self._current[name] = Work(start, arrived, lambda error: self._turns.call(lambda: end(error)))

    def stop(self, name: str, /) -> bool:
        """Ask work to stop, and return whether there is any. It stays current until its `ended` is called."""
        if name not in self._current:
            return False
        self._current[name].stop()
        return True

    def drop(self, name: str, /) -> bool:
        """Ask work to stop, and forget it: its items are not delivered. Return whether there was any."""
        stopped = self.stop(name)
        self._current.pop(name, None)
        return stopped

    def end(self, *, keep: Collection[str] = ()) -> None:
        """Drop all work, except that of the names `keep`."""
        for name in [name for name in self._current if name not in keep]:
            self.drop(name)

    def __contains__(self, name: object, /) -> bool:
        return name in self._current

    def __getitem__(self, name: str, /) -> Work:
        return self._current[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._current)

    def __len__(self) -> int:
        return len(self._current)
