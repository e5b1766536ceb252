"""Follow a function that reports its progress to another function, as a generator."""

from __future__ import annotations

__all__ = ["Stopped", "follow"]

import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

Event = TypeVar("Event")
Result = TypeVar("Result")

_PAUSE = 0.2
"""Seconds between two events."""


class Stopped(Exception):
    """The function was asked to stop while it was reporting its progress."""


def follow(call: Callable[[Callable[[Event], None]], Result], event: Event) -> Generator[Event | Result, None, None]:
    """Call a function on a thread of its own.

    Parameters
    ----------
    call : callable
        Called with a function that takes its progress, and raises `Stopped` once the generator is closed.
    event : object
        The progress before the first is reported.

    Yields
    ------
    object
        The latest progress, five times a second; then what the function has returned.
    """
    latest, closed = event, threading.Event()

    def told(progress: Event) -> None:
        nonlocal latest
        latest = progress
        if closed.is_set():
            raise Stopped

    with ThreadPoolExecutor(1, thread_name_prefix="napari-restore-call") as pool:
        returning = pool.submit(call, told)
        try:
            yield latest
            while not wait([returning], timeout=_PAUSE).done:
                yield latest
        finally:
            closed.set()
    yield latest
    yield returning.result()
