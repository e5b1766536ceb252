"""List and read the objects of a Zarr store by ordinary calls; the methods of a store are coroutines."""

from __future__ import annotations

__all__ = ["listed", "read_object", "waited"]

from collections.abc import AsyncIterator, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from zarr.abc.store import Store

T = TypeVar("T")


def waited(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the event loop of zarr, which its object stores are bound to, and return its result."""
    from zarr.core.sync import sync

    result: T = sync(coroutine)
    return result


def listed(names: AsyncIterator[str], most: int | None = None) -> list[str]:
    """Return the names of a listing, at most the first `most`."""

    async def some() -> list[str]:
        found: list[str] = []
        async for name in names:
            found.append(name)
            if len(found) == most:
                break
        return found

    return waited(some())


def read_object(store: Store, key: str) -> bytes | None:
    """Read an object of a store; None if it does not exist."""
    from zarr.buffer import default_buffer_prototype

    found = waited(store.get(key, default_buffer_prototype()))
    return None if found is None else found.to_bytes()
