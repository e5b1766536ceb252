"""Restore batches of tiles with a network on a device."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext, suppress
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from napari_restore.engine.compute.backends.backend import Backend, Eager
from napari_restore.engine.compute.backends.ensemble import ORIENTATIONS, Ensemble
from napari_restore.engine.compute.backends.making import make_backend
from napari_restore.engine.compute.backends.stopping import TICK, check_stop, finished, held, stoppable
from napari_restore.engine.compute.gpu.copies import Arriving, Copies
from napari_restore.engine.compute.gpu.planes import PlaneTiles, restored
from napari_restore.engine.compute.lost_devices import working_device
from napari_restore.engine.hardware.backends import BackendName
from napari_restore.engine.hardware.device import Device
from napari_restore.engine.hardware.devices import cores, set_own_threads
from napari_restore.engine.planning.plan import Plan
from napari_restore.errors import OutOfMemory
from napari_restore.models.card import ModelCard
from napari_restore.models.zoo import load_weights

__all__ = ["Predictor", "predictor_for", "predictor_of", "release_predictors", "use_cores"]

_log = logging.getLogger(__name__)

Tiles = NDArray[np.float32]
Parts = list[Arriving[Tiles]] | list[Arriving[None]]
"""Results of the parts of a batch."""
Mode = Literal["once", "mean", "spread"]
"""Whether a tile goes through the network once, or in eight orientations, for their mean, or mean and spread."""


_OUT_OF_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "ALLOC_FAILED")


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(text in str(error) for text in _OUT_OF_MEMORY)


def use_cores(count: int) -> None:
    """Set the number of cores that torch uses, and release all loaded models, which have a thread for each core."""
    if count != cores():
        torch.set_num_threads(count)
        release_predictors()


class Predictor:
    """A network in evaluation mode on one device, shared by all blocks in progress.

    Batches are computed on *lanes*, which are threads of the predictor, while the callers read, blend and write. A GPU
    has one lane, which does not wait for the GPU: copies of a batch to and from the device overlap the computation of
    other batches. A CPU has one lane for each concurrent batch, and the lanes share the cores: n lanes with one thread
    each restore more tiles per second than one lane with n threads (1.1 to 1.6 times as many on two cores), and the
    work of a caller delays one lane instead of all threads.

    Every batch is padded to the same size, as kernels may round differently for another batch size.

    Parameters
    ----------
    network : Backend or torch.nn.Module
        Back end that runs the network, or a network that torch runs as it is; it takes ``(b, c, h, w)``.
    device : Device
        Device that the network runs on.
    precision : str
        ``"float32"`` or ``"bfloat16"``, of a network that is given as such.
    """

    def __init__(self, network: Backend | nn.Module, device: Device, precision: str = "float32") -> None:
        self.device = device
        if isinstance(network, nn.Module):
            network = Eager(network.to(str(device)).eval(), device, precision)
        self._network: Backend = network
        self._cores = cores() if device.is_cpu else 1
        self._lanes = ThreadPoolExecutor(self._cores, thread_name_prefix=f"network-{device}")
        self._largest: dict[tuple[int, ...], int] = {}
        self._turn = threading.Lock()
        self._room, self._busy = threading.Condition(), 0
        self._copies = Copies(torch.device(str(device))) if device.is_cuda else None

    def __call__(self, tiles: Tiles, batch: int, lanes: int = 1, threads: int | None = None) -> Tiles:
        """Restore at most `batch` tiles.

        Parameters
        ----------
        tiles : numpy.ndarray
            ``(n, channels, height, width)`` float32 in about [0, 1], n at most `batch`.
        batch : int
            Size that the batch is padded to. If memory runs out, it is halved for this and later calls.
        lanes : int
            Number of concurrent batches; on a CPU they share the cores.
        threads : int or None
            Number of CPU threads per batch. Another number changes the last bits of the result. None for an equal
            share of the cores.

        Returns
        -------
        numpy.ndarray
            ``(n, channels, height * scale, width * scale)`` float32.

        Raises
        ------
        OutOfMemory
            If not even one tile fits.
        """
        result: Tiles = _together(self._submit(tiles, batch, lanes, threads).result())
        return result

    @property
    def largest_batch(self) -> int | None:
        """Largest batch that fitted the memory; None if memory has not run out."""
        return min(self._largest.values(), default=None)

    def stream(
        self,
        batches: Iterable[Tiles | PlaneTiles],
        batch: int,
        lanes: int = 1,
        threads: int | None = None,
        *,
        many: bool = True,
        stop: threading.Event | None = None,
    ) -> Generator[Tiles | None, None, None]:
        """Restore batches in order, with the next ones in the network while the caller uses a result.

        Parameters
        ----------
        batches : iterable of numpy.ndarray or PlaneTiles
            Tiles of each batch, as for `__call__`, or tiles of planes on the GPU if the predictor `takes_planes`. They
            are taken as needed: `lanes` + 1 batches are in progress.
        batch, lanes, threads : int
            As for `__call__`.
        many : bool
            Whether to wait until earlier streams have no more batches. Then the blocks of a run go through the network
            one after the other: while one block is computed, others are written and read. If blocks took turns, all
            would be read and written at the same time, and the network would wait.
        stop : threading.Event, optional
            Ends the work once it is set: on a CPU between two layers of the network.

        Yields
        ------
        numpy.ndarray
            The result of each batch, in order; None for tiles of planes, whose results have been written then.

        Raises
        ------
        Cancelled
            If `stop` is set.
        OutOfMemory
            If not even one tile fits.
        """
        waiting: deque[Future[Parts]] = deque()
        left = threading.Event()
        try:
            with held(self._turn, stop) if many else nullcontext():
                for tiles in batches:
                    waiting.append(self._submit(tiles, batch, lanes, threads, left, stop))
                    if len(waiting) > lanes:
                        yield _together(finished(waiting.popleft(), stop))
            while waiting:
                yield _together(finished(waiting.popleft(), stop))
        finally:
            left.set()  # nobody waits for the batches in progress any more
            for future in waiting:
                future.cancel()

    @property
    def takes_planes(self) -> bool:
        """Whether `stream` takes tiles of planes, which it cuts, blends and finishes on its GPU."""
        return self._copies is not None

    def _submit(
        self,
        tiles: Tiles | PlaneTiles,
        batch: int,
        lanes: int,
        threads: int | None,
        *stops: threading.Event | None,
    ) -> Future[Parts]:
        lanes = min(lanes, self._cores)
        return self._lanes.submit(self._restore, tiles, batch, lanes, threads or self._cores // lanes, stops)

    def _restore(
        self, tiles: Tiles | PlaneTiles, batch: int, lanes: int, threads: int, stops: Sequence[threading.Event | None]
    ) -> Parts:
        with stoppable(*stops):
            with self._room:
                while not self._room.wait_for(lambda: self._busy < lanes, TICK):
                    check_stop()
                self._busy += 1
            try:
                if self.device.is_cpu and torch.get_num_threads() != threads:
                    set_own_threads(threads)
                return self._restore_all(tiles, batch)
            finally:
                with self._room:
                    self._busy -= 1
                    self._room.notify_all()

    def _restore_all(self, tiles: Tiles | PlaneTiles, batch: int) -> Parts:
        shape = tiles.shape[1:]
        size, first = min(batch, self._largest.get(shape, batch)), 0
        parts: list[Any] = []
        while first < len(tiles):
            check_stop()
            try:
                parts.append(self._forward(tiles[first : first + size], size))
                first += size
                continue
            except OutOfMemory:
                raise
            except (RuntimeError, MemoryError) as error:
                if not _is_out_of_memory(error):
                    raise
            if self.device.is_cuda:
                torch.cuda.empty_cache()
            if size == 1:
                raise OutOfMemory(
                    f"one tile of {shape[1]} x {shape[2]} pixels does not fit the memory of {self.device}; use a "
                    "smaller tile (it is part of the recipe, since it may change the result), or another device."
                )
            size = self._largest[shape] = size // 2
            _log.warning("%s is out of memory: batches of %d tiles from here on", self.device, size)
        return parts

    def _forward(self, tiles: Tiles | PlaneTiles, size: int) -> Arriving[Tiles] | Arriving[None]:
        """Run the network on one batch, padded to `size` with copies of its last tile."""
        # Bias-free networks compute denormal numbers on dark background, which are slow. The flag is set per thread.
        torch.set_flush_denormal(True)
        with torch.inference_mode():
            if isinstance(tiles, PlaneTiles):
                assert self._copies is not None
                return restored(self._copies, self._network, tiles, size)
            padded = tiles[np.minimum(np.arange(size), len(tiles) - 1)] if len(tiles) < size else tiles
            padded = np.ascontiguousarray(padded)
            if self._copies is None:
                result = self._network(torch.from_numpy(padded).to(str(self.device)))[: len(tiles)].float().cpu()
                return Arriving((result,), lambda arrays: arrays[0])
            with self._copies.settled():
                pinned, given = self._copies.to_gpu(padded)
                # The network may overwrite its result with the next one.
                result = self._network(given)[: len(tiles)].to(torch.float32, copy=True)
                return self._copies.to_host((result,), lambda arrays: arrays[0].copy(), (pinned,), (given,))


def _together(parts: Parts) -> Any:
    """Wait for the parts of a batch; return their tiles as one array, or None."""
    results: list[Any] = [part.result() for part in parts]
    return results[0] if len(results) == 1 else None if results[0] is None else np.concatenate(results)


MOST_LOADED = 4
"""Number of models that stay loaded, each on one device; the least recently used one is released."""
_loading = threading.Lock()


@lru_cache(maxsize=MOST_LOADED)
def _load(card_json: str, device: Device, precision: str, backend: BackendName, mode: Mode) -> Predictor:
    card = ModelCard.model_validate_json(card_json)
    network = make_backend(backend, load_weights(card), card, device, precision)
    return Predictor(network if mode == "once" else Ensemble(network, spread=mode == "spread"), device)


def predictor_of(plan: Plan, device: Device | None = None) -> Predictor:
    """Load the network of a plan, with the plan's precision and back end.

    All code that computes pixels of a plan calls this function, so a preview, a lazy result, a verification and the run
    compute the same pixels.

    Parameters
    ----------
    plan : Plan
        The run.
    device : Device, optional
        Device to use instead of the first device of the plan that is not lost.

    Returns
    -------
    Predictor
        The network on the device, shared by all callers in this process.

    Raises
    ------
    ModelError
        If the weights cannot be loaded.
    """
    recipe = plan.recipe
    chosen = device or working_device(plan) or plan.device
    mode: Mode = "spread" if recipe.uncertainty else "mean" if recipe.ensemble == ORIENTATIONS else "once"
    return predictor_for(plan.card, chosen, recipe.precision, recipe.backend or "eager", mode)


def predictor_for(
    card: ModelCard, device: Device, precision: str | None = None, backend: BackendName = "eager", mode: Mode = "once"
) -> Predictor:
    """Load a model once per process, device, precision and mode, and share it; a precision of None is float32.

    Raises
    ------
    ModelError
        If its weights cannot be loaded.
    """
    with _loading:
        return _load(card.model_dump_json(), device, precision or "float32", backend, mode)


def release_predictors() -> None:
    """Release all loaded models, and the memory of GPUs to other programs.

    Work in progress keeps its model until it ends. The next call of `predictor_for` loads the model again.
    """
    with _loading:
        _load.cache_clear()
    if torch.cuda.is_available():
        with suppress(RuntimeError):  # of a GPU that is lost
            torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
