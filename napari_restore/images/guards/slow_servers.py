"""Limit the wait for an object of a server: one that sends a byte a second would keep a run waiting for days."""

from __future__ import annotations

__all__ = ["in_time"]

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from napari_restore.errors import SourceTooSlow
from napari_restore.wording import human_bytes, human_duration

START = 30.0
"""Seconds that any object has to arrive, and then that the server has to name its size."""
SLOWEST = 10_000
"""Bytes per second of an object that takes longer. Concurrent blocks share a connection, so one object gets a part."""
LONGEST = 600.0
"""Seconds that the largest object has."""

Result = TypeVar("Result")


async def in_time(reading: Coroutine[Any, Any, Result], size: Callable[[], Awaitable[int]], name: str) -> Result:
    """Wait for an object as long as its size allows.

    Parameters
    ----------
    reading : coroutine
        Reads the object.
    size : callable
        Returns an awaitable of the size of the object in bytes. Only called for an object that is late.
    name : str
        Name of the object in the message.

    Returns
    -------
    object
        What `reading` returns.

    Raises
    ------
    SourceTooSlow
        If the object has not arrived in time.
    """
    task = asyncio.ensure_future(reading)
    try:
        await asyncio.wait({task}, timeout=START)
        if not task.done():
            await asyncio.wait({task}, timeout=min(await _size(size, name) / SLOWEST, LONGEST))
        if not task.done():
            raise _too_slow(name, f"its server sends less than {human_bytes(SLOWEST)} of it a second")
        return task.result()
    except TimeoutError as error:  # of the client itself
        raise _too_slow(name, "its server does not answer in time") from error
    finally:
        task.cancel()


async def _size(size: Callable[[], Awaitable[int]], name: str) -> int:
    try:
        return await asyncio.wait_for(size(), START)
    except FileNotFoundError:  # it has been deleted since
        return 0


def _too_slow(name: str, reason: str) -> SourceTooSlow:
    return SourceTooSlow(
        f"{name} has not arrived within {human_duration(START)}: {reason}. Stored blocks stay: run the same again when "
        "the server is faster, or copy the source to a disk first."
    )
