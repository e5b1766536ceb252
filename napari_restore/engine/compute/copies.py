"""Copy batches to and from a GPU while it computes others.

Memory is kept until the GPU is known to have finished with it, and no destructor of torch calls CUDA: if a GPU is lost,
CUDA calls fail, and an error in a destructor ends the process. After `record_stream`, and for torch's pinned memory,
destructors make such calls, so neither is used.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["Copies", "Part", "Result"]

_SPARE = 8
"""Number of pinned buffers that are kept for later batches."""


class Part:
    """Restored tiles on their way from a GPU to the host.

    Parameters
    ----------
    host : torch.Tensor
        Memory of the host that they are copied to, ``(n, channels, height, width)`` float32.
    arrived : torch.cuda.Event or None
        Event that marks the end of the copy, and of all work before it; None if there is nothing to wait for.
    used : tuple of torch.Tensor
        What the GPU uses until then.
    done : callable
        Called once the pinned memory can be used again.
    """

    def __init__(
        self,
        host: torch.Tensor,
        arrived: torch.cuda.Event | None = None,
        used: tuple[torch.Tensor, ...] = (),
        done: Callable[[], None] = lambda: None,
    ) -> None:
        self._host, self._arrived, self._used, self._done = host, arrived, used, done

    def tiles(self) -> NDArray[np.float32]:
        """Wait for the copy, and return the tiles; called once."""
        if self._arrived is None:
            return self._host.numpy()
        self._arrived.synchronize()
        found: NDArray[np.float32] = self._host.numpy().copy()
        self._arrived, self._used = None, ()
        self._done()
        return found

    def __del__(self) -> None:
        """Wait, also for a result that nobody wants: the GPU still writes to its memory."""
        if self._arrived is not None:
            with suppress(RuntimeError):  # of a GPU that is lost
                self._arrived.synchronize()


class Result:
    """The result of a batch; on a GPU, its copy to the host may not have ended.

    Parameters
    ----------
    parts : list of Part
        Tiles of each part of the batch.
    """

    def __init__(self, parts: list[Part]) -> None:
        self._parts = parts

    def tiles(self) -> NDArray[np.float32]:
        """Wait for the copies from the device, and return the tiles."""
        arrays = [part.tiles() for part in self._parts]
        return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


class Copies:
    """Copies to and from a GPU, on CUDA streams other than the stream that computes.

    The host's memory is pinned, as only such copies are asynchronous.

    Parameters
    ----------
    device : torch.device
        The GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.incoming = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self.outgoing = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._spare: list[tuple[torch.Tensor, torch.cuda.Event]] = []
        self._lock = threading.Lock()

    def through(self, network: Callable[[torch.Tensor], torch.Tensor], tiles: torch.Tensor, count: int) -> Part:
        """Start to copy a batch to the GPU, to compute it, and to copy its first `count` results to the host.

        Parameters
        ----------
        network : callable
            The network.
        tiles : torch.Tensor
            The batch, ``(b, channels, height, width)`` float32, in any memory of the host.
        count : int
            Number of results.

        Returns
        -------
        Part
            The results, in progress.
        """
        given = self._pinned(tiles.shape)
        given.copy_(tiles)
        computing = torch.cuda.current_stream(self.device)
        try:
            with torch.cuda.stream(self.incoming):
                copied = given.to(self.device, non_blocking=True)
            computing.wait_stream(self.incoming)
            # The network may overwrite its result with the next one.
            result = network(copied)[:count].to(torch.float32, copy=True)
            host = self._pinned(result.shape)
            self.outgoing.wait_stream(computing)
            with torch.cuda.stream(self.outgoing):
                host.copy_(result, non_blocking=True)
                arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
                arrived.record(self.outgoing)
        except BaseException:
            with suppress(RuntimeError):  # of a GPU that is lost
                self.incoming.synchronize()
                computing.synchronize()
            raise
        return Part(host, arrived, (given, copied, result), lambda: self._keep(arrived, given, host))

    def _keep(self, arrived: torch.cuda.Event, *pinned: torch.Tensor) -> None:
        """Keep pinned memory for later batches."""
        with self._lock:
            self._spare = [*self._spare, *((each, arrived) for each in pinned)][-_SPARE:]

    def _pinned(self, shape: torch.Size) -> torch.Tensor:
        """Return pinned memory that no copy uses."""
        with self._lock:
            for place, (spare, arrived) in enumerate(self._spare):
                if spare.shape == shape:
                    del self._spare[place]
                    arrived.synchronize()  # has arrived; so this thread knows it, too
                    return spare
        return _pinned(shape)


def _pinned(shape: torch.Size) -> torch.Tensor:
    """Return new pinned memory. It is unpinned when it is released, and an error of that is ignored."""
    memory = np.empty(tuple(shape), np.float32)
    cuda, address = torch.cuda.cudart(), memory.ctypes.data  # type: ignore[no-untyped-call]
    if not int(cuda.cudaHostRegister(address, memory.nbytes, 0)):
        weakref.finalize(memory, cuda.cudaHostUnregister, address)
    return torch.from_numpy(memory)
