"""Stop a network between two of its layers, on the thread that runs it, and whatever waits for such a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from napari_restore.errors import Cancelled

# Workers of a cluster import this module where the scheduler does, which must not need torch.
if TYPE_CHECKING:
    from torch import nn

__all__ = ["TICK", "check_stop", "finished", "held", "raise_if_set", "stop_between", "stoppable"]

Result = TypeVar("Result")

TICK = 0.05
"""Seconds between two looks whether what is waited for was stopped."""
_own = threading.local()


@contextmanager
def stoppable(*stops: threading.Event | None) -> Iterator[None]:
    """Let networks that run on this thread be stopped.

    Parameters
    ----------
    *stops : threading.Event or None
        Once one of them is set, `check_stop` raises on this thread.
    """
    _own.stops = stops
    try:
        yield
    finally:
        _own.stops = ()


def check_stop() -> None:
    """Raise `Cancelled` if what runs on this thread was stopped."""
    for stop in getattr(_own, "stops", ()):
        raise_if_set(stop)


def raise_if_set(stop: threading.Event | None) -> None:
    """Raise `Cancelled` if there is an event and it is set."""
    if stop is not None and stop.is_set():
        raise Cancelled("the work was stopped")


def finished(future: Future[Result], stop: threading.Event | None) -> Result:
    """Wait for a result, unless it was stopped before it was begun. One that was begun raises by itself."""
    while not wait_for([future], TICK).done:
        if stop is not None and stop.is_set() and future.cancel():
            raise_if_set(stop)
    return future.result()


@contextmanager
def held(lock: threading.Lock, stop: threading.Event | None) -> Iterator[None]:
    """Wait for a lock and hold it, unless the work is stopped before."""
    while not lock.acquire(timeout=TICK):
        raise_if_set(stop)
    try:
        yield
    finally:
        lock.release()


def stop_between(network: nn.Module, *layers: type[nn.Module]) -> None:
    """Check before each layer of a network whether it was stopped. A layer takes a share of a batch's time.

    Parameters
    ----------
    network : torch.nn.Module
        The network, on a CPU, for one back end. A GPU has taken all layers of a batch before the first of them is done.
    *layers : type of torch.nn.Module
        Types of the layers. The compiler of torch must not see the check, so they are not within compiled ones.
    """
    for part in network.modules():
        if isinstance(part, layers):
            part.register_forward_pre_hook(lambda layer, given: check_stop())
