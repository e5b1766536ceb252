"""Copy to and from a GPU while it computes other batches.

Memory is kept until the GPU is known to have finished with it, and no destructor of torch calls CUDA: if a GPU is lost,
CUDA calls fail, and an error in a destructor ends the process. After `record_stream`, and for torch's pinned memory,
destructors make such calls, so neither is used.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray

__all__ = ["TYPES", "Arriving", "Copies", "torch_type"]

_log = logging.getLogger(__name__)

_SPARE = 16
"""Number of pinned buffers that are kept for later batches."""
_CONSTANTS = 1000
"""Number of small arrays, such as the weights of rows, that are kept on the GPU."""

Read = TypeVar("Read")


class Arriving(Generic[Read]):
    """Results on their way from a GPU to the host.

    Parameters
    ----------
    hosts : sequence of torch.Tensor
        Memory of the host that they are copied to.
    read : callable
        Function that reads it, as arrays; the memory belongs to later results afterwards.
    arrived : torch.cuda.Event or None
        Event that marks the end of the copies, and of all work before them; None if there is nothing to wait for.
    used : tuple of torch.Tensor
        What the GPU uses until then.
    done : callable
        Called when the memory has been read.
    """

    def __init__(
        self,
        hosts: Sequence[torch.Tensor],
        read: Callable[[list[NDArray[Any]]], Read],
        arrived: torch.cuda.Event | None = None,
        used: tuple[torch.Tensor, ...] = (),
        done: Callable[[], None] = lambda: None,
    ) -> None:
        self._hosts, self._read, self._arrived, self._used, self._done = hosts, read, arrived, used, done

    def result(self) -> Read:
        """Wait for the copies, and read the result; called once."""
        if self._arrived is not None:
            self._arrived.synchronize()
        found = self._read([host.numpy() for host in self._hosts])
        self._arrived, self._used = None, ()
        self._done()
        return found

    def __del__(self) -> None:
        """Wait, also for a result that nobody wants: the GPU still writes to its memory."""
        if self._arrived is not None:
            with suppress(RuntimeError):  # of a GPU that is lost
                self._arrived.synchronize()


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
        self._constants: dict[tuple[str, bytes], torch.Tensor] = {}

    @contextmanager
    def settled(self) -> Iterator[None]:
        """After an error, wait for the GPU before the memory of what was begun is released."""
        try:
            yield
        except BaseException:
            with suppress(RuntimeError):  # of a GPU that is lost
                for stream in (self.incoming, torch.cuda.current_stream(self.device), self.outgoing):
                    stream.synchronize()
            raise

    def to_gpu(self, array: NDArray[Any]) -> tuple[torch.Tensor, torch.Tensor]:
        """Start to copy an array to the GPU; later work of the current stream waits for it.

        Returns
        -------
        pinned, copied : torch.Tensor
            The pinned memory that is copied from, and the tensor of the GPU; both are to be kept until then.
        """
        pinned = self._pinned(array.shape, array.dtype.newbyteorder("="))
        np.copyto(pinned.numpy(), array)
        with torch.cuda.stream(self.incoming):
            copied = pinned.to(self.device, non_blocking=True)
        torch.cuda.current_stream(self.device).wait_stream(self.incoming)
        return pinned, copied

    def constant(self, array: NDArray[Any]) -> torch.Tensor:
        """Return a small array on the GPU, which is kept for later calls; the first one waits for the GPU."""
        key = (array.dtype.str, array.tobytes())
        if key not in self._constants:
            if len(self._constants) >= _CONSTANTS:
                self._constants.clear()
            self._constants[key] = torch.from_numpy(array.copy()).to(self.device)
        return self._constants[key]

    def to_host(
        self,
        results: Sequence[torch.Tensor],
        read: Callable[[list[NDArray[Any]]], Read],
        pinned: tuple[torch.Tensor, ...],
        used: tuple[torch.Tensor, ...],
    ) -> Arriving[Read]:
        """Start to copy results of the current stream to the host.

        Parameters
        ----------
        results : sequence of torch.Tensor
            Results in the memory of the GPU, which no later work overwrites.
        read : callable
            Reads the results in the memory of the host.
        pinned, used : tuple of torch.Tensor
            Pinned memory and tensors of the GPU that the work up to here uses.
        """
        hosts = tuple(self._pinned(each.shape, _NUMPY[each.dtype]) for each in results)
        self.outgoing.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self.outgoing):
            for host, each in zip(hosts, results, strict=True):
                host.copy_(each, non_blocking=True)
            arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            arrived.record(self.outgoing)
        return Arriving(hosts, read, arrived, (*used, *results, *pinned), lambda: self._keep(arrived, *pinned, *hosts))

    def _keep(self, arrived: torch.cuda.Event, *pinned: torch.Tensor) -> None:
        """Keep pinned memory for later batches."""
        with self._lock:
            self._spare = [*self._spare, *((each, arrived) for each in pinned)][-_SPARE:]

    def _pinned(self, shape: Sequence[int], dtype: DTypeLike) -> torch.Tensor:
        """Return pinned memory that no copy uses."""
        with self._lock:
            for place, (spare, arrived) in enumerate(self._spare):
                if (spare.shape, _NUMPY[spare.dtype]) == (tuple(shape), dtype):
                    del self._spare[place]
                    arrived.synchronize()  # has arrived; so this thread knows it, too
                    return spare
        return _pinned(shape, dtype)


def torch_type(dtype: DTypeLike) -> torch.dtype:
    """Return torch's name of a data type of NumPy."""
    return torch.from_numpy(np.empty(0, dtype)).dtype


TYPES = frozenset(map(np.dtype, (np.uint8, np.int8, np.uint16, np.int16, np.float32)))
"""Data types that are copied."""
_NUMPY = {torch_type(dtype): dtype for dtype in TYPES}


def _pinned(shape: Sequence[int], dtype: DTypeLike) -> torch.Tensor:
    """Return new pinned memory. It is unpinned when it is released, and an error of that is ignored."""
    memory = np.empty(tuple(shape), dtype)
    cuda, address = torch.cuda.cudart(), memory.ctypes.data  # type: ignore[no-untyped-call]
    if int(cuda.cudaHostRegister(address, memory.nbytes, 0)):
        _log.warning("memory of the host could not be pinned, so copies to and from the GPU do not overlap computation")
    else:
        weakref.finalize(memory, cuda.cudaHostUnregister, address)
    return torch.from_numpy(memory)
