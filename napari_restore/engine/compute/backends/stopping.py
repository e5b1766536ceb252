"""Stop a network between two of its layers, on the thread that runs it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from napari_restore.errors import Cancelled

__all__ = ["check_stop", "raise_if_set", "stop_between", "stoppable"]

_own = threading.local()


@contextmanager
def stoppable(stop: threading.Event | None) -> Iterator[None]:
    """Let networks that run on this thread be stopped.

    Parameters
    ----------
    stop : threading.Event or None
        Once it is set, `check_stop` raises on this thread.
    """
    _own.stop = stop
    try:
        yield
    finally:
        _own.stop = None


def check_stop() -> None:
    """Raise `Cancelled` if what runs on this thread was stopped."""
    raise_if_set(getattr(_own, "stop", None))


def raise_if_set(stop: threading.Event | None) -> None:
    """Raise `Cancelled` if there is an event and it is set."""
    if stop is not None and stop.is_set():
        raise Cancelled("the work was stopped")


def stop_between(network: nn.Module, *layers: type[nn.Module]) -> None:
    """Check before each layer of a network whether it was stopped. A layer takes a share of a batch's time.

    Parameters
    ----------
    network : torch.nn.Module
        The network, on a CPU. A GPU has taken all layers of a batch before the first of them is done.
    *layers : type of torch.nn.Module
        Types of the layers. The compiler of torch must not see the check, so they are outside compiled ones.
    """
    for part in network.modules():
        if isinstance(part, layers):
            part.register_forward_pre_hook(lambda layer, given: check_stop())
