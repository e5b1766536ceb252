"""Copy batches to and from a GPU while it computes others."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["Copies", "Part", "Result"]

Part = tuple[torch.Tensor, "torch.cuda.Event | None"]
"""Restored tiles in the host's memory, and the event that marks the end of the copy to it."""


class Result:
    """The result of a batch; on a GPU, its copy to the host may not have ended.

    Parameters
    ----------
    parts : list of tuple
        Tiles of each part of the batch, ``(n, channels, height, width)`` float32, and the event of its copy; the event
        is None if there is nothing to wait for.
    """

    def __init__(self, parts: list[Part]) -> None:
        self._parts = parts

    def tiles(self) -> NDArray[np.float32]:
        """Wait for the copies from the device, and return the tiles."""
        for _, arrived in self._parts:
            if arrived is not None:
                arrived.synchronize()
        arrays = [part.numpy() for part, _ in self._parts]
        return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


class Copies:
    """Copies to and from a GPU, on CUDA streams other than the stream that computes.

    The host's memory is pinned, as only such copies are asynchronous. Torch keeps pinned memory for later copies, and
    does not reuse it before a copy has ended. Memory of the GPU belongs to the stream on which it was allocated:
    `record_stream` keeps it from being reused before another stream has done its work with it.

    Parameters
    ----------
    device : torch.device
        The GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.incoming = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self.outgoing = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def to_device(self, tiles: torch.Tensor) -> torch.Tensor:
        """Start the copy of a batch to the GPU; later work of the current stream waits for it."""
        computing = torch.cuda.current_stream(self.device)
        with torch.cuda.stream(self.incoming):
            copied = tiles.pin_memory().to(self.device, non_blocking=True)
        computing.wait_stream(self.incoming)
        copied.record_stream(computing)
        return copied

    def to_host(self, result: torch.Tensor) -> Part:
        """Start the copy of a result to the host, as float32, after its computation."""
        result = result.to(torch.float32, copy=True)  # the network may overwrite its result with the next one
        self.outgoing.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self.outgoing):
            host = torch.empty(result.shape, dtype=result.dtype, pin_memory=True)
            host.copy_(result, non_blocking=True)
            arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            arrived.record(self.outgoing)
        result.record_stream(self.outgoing)
        return host, arrived
