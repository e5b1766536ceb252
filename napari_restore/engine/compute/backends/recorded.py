"""Replay the kernels of a network from CUDA graphs."""

from __future__ import annotations

import torch
from torch import Tensor

from napari_restore.engine.compute.backends.backend import Backend

__all__ = ["Recorded"]

_WARM_UP = 2
"""Batches before a graph is recorded: libraries choose their algorithms in the first ones."""


class Recorded(Backend):
    """A network on CUDA, whose kernels are recorded as a CUDA graph for each shape of a batch, and then replayed.

    A result is overwritten by the next batch of its shape. Torch's compiler can record graphs itself (its mode
    "reduce-overhead"), but on the thread that has imported it only; the lanes of a predictor are other threads.

    Parameters
    ----------
    network : Backend
        The network. It must not wait for the GPU.
    """

    def __init__(self, network: Backend) -> None:
        self.network = network
        self._graphs: dict[torch.Size, tuple[torch.cuda.CUDAGraph, Tensor, Tensor]] = {}

    def __call__(self, tiles: Tensor) -> Tensor:
        if tiles.shape not in self._graphs:
            with torch.cuda.device(tiles.device):
                self._graphs[tiles.shape] = self._recorded(tiles)
        graph, given, result = self._graphs[tiles.shape]
        given.copy_(tiles)
        graph.replay()
        return result

    def _recorded(self, tiles: Tensor) -> tuple[torch.cuda.CUDAGraph, Tensor, Tensor]:
        # A network keeps what it computes once for a size (the layouts of SwinIR). Traced by the compiler, that would
        # be part of each batch; and torch cannot trace it for a GPU.
        with torch.compiler.set_stance("force_eager"):
            self.network(tiles)
        given, before, stream = tiles.clone(), torch.cuda.current_stream(), torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(before)
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP):
                self.network(given)
        before.wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # Other threads, of other networks, may allocate memory meanwhile.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            result = self.network(given)
        return graph, given, result
