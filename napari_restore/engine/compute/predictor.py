"""A network on a device: tiles in, restored tiles out, one batch at a time."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from napari_restore.engine.compute.backends.backend import Backend, Eager
from napari_restore.engine.compute.backends.making import make_backend
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


_OUT_OF_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "ALLOC_FAILED")


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(text in str(error) for text in _OUT_OF_MEMORY)


def use_cores(count: int) -> None:
    """Tell torch how many cores there are; models are loaded anew after that, with lanes for as many."""
    if count != cores():
        torch.set_num_threads(count)
        release_predictors()


class Predictor:
    """A network in evaluation mode on one device, shared by all blocks in progress.

    Batches are computed on *lanes*, threads of the device's own, so that callers read, blend and write meanwhile. A GPU
    has one lane, which starts its work and does not wait for it: the copies of a batch to and from the device overlap
    the computing of others. On a CPU there are as many lanes as batches that may be computed at a time, and they share
    out the cores: one thread in each of n lanes restores more tiles a second than n threads in one lane (1.1 to 1.6
    times as many on two cores), and what callers do takes turns with one lane instead of making all threads wait.

    Every batch is padded to the same size, since kernels may round differently for another one.

    Parameters
    ----------
    network
        What runs it, or a network for torch as it is; takes ``(b, c, h, w)``.
    device, precision
        See `Recipe`; the precision counts for a network that is given as such.
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
        self._copies = _Copies(torch.device(str(device))) if device.is_cuda else None

    def __call__(self, tiles: Tiles, batch: int, lanes: int = 1, threads: int | None = None) -> Tiles:
        """Restore at most `batch` tiles.

        Parameters
        ----------
        tiles
            ``(n, channels, height, width)`` float32 in about [0, 1], n at most `batch`.
        batch
            Size that the batch is padded to. When memory runs out it is halved, for this and later calls.
        lanes
            How many batches are in the network at a time; on a CPU the cores are divided among them.
        threads
            Of the CPU in each lane: another number moves the last bits. None: a lane's part of the cores.

        Returns
        -------
        numpy.ndarray
            ``(n, channels, height * scale, width * scale)`` float32.

        Raises
        ------
        OutOfMemory
            If not even one tile fits.
        """
        return self._submit(tiles, batch, lanes, threads).result().tiles()

    @property
    def largest_batch(self) -> int | None:
        """Tiles that fitted the memory together, where that was fewer than asked for."""
        return min(self._largest.values(), default=None)

    def stream(
        self,
        batches: Iterable[Tiles],
        batch: int,
        lanes: int = 1,
        threads: int | None = None,
        *,
        many: bool = True,
    ) -> Generator[Tiles, None, None]:
        """Restore batches one after the other, with the next ones in the network while a result is worked on.

        Parameters
        ----------
        batches
            Each as for a call. They are asked for as needed: one more than there are lanes is in progress.
        batch, lanes, threads
            As for a call.
        many
            Whether to wait until streams that began earlier have no more batches. Then the blocks of a run go through
            the network one after the other, and while one is computed those before it are written and those after it
            read; if they took turns, all would be read and written at once, and the network would wait.

        Yields
        ------
        numpy.ndarray
            The result of each batch, in order.

        Raises
        ------
        OutOfMemory
            If not even one tile fits.
        """
        waiting: deque[Future[_Result]] = deque()
        try:
            with self._turn if many else nullcontext():
                for tiles in batches:
                    waiting.append(self._submit(tiles, batch, lanes, threads))
                    if len(waiting) > lanes:
                        yield waiting.popleft().result().tiles()
            while waiting:
                yield waiting.popleft().result().tiles()
        finally:
            for future in waiting:
                future.cancel()

    def _submit(self, tiles: Tiles, batch: int, lanes: int, threads: int | None) -> Future[_Result]:
        lanes = min(lanes, self._cores)
        return self._lanes.submit(self._restore, tiles, batch, lanes, threads or self._cores // lanes)

    def _restore(self, tiles: Tiles, batch: int, lanes: int, threads: int) -> _Result:
        with self._room:
            self._room.wait_for(lambda: self._busy < lanes)
            self._busy += 1
        try:
            if self.device.is_cpu and torch.get_num_threads() != threads:
                set_own_threads(threads)
            return self._restore_all(tiles, batch)
        finally:
            with self._room:
                self._busy -= 1
                self._room.notify_all()

    def _restore_all(self, tiles: Tiles, batch: int) -> _Result:
        shape = tiles.shape[1:]
        size = min(batch, self._largest.get(shape, batch))
        while True:
            try:
                return _Result([self._forward(tiles[i : i + size], size) for i in range(0, len(tiles), size)])
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

    def _forward(self, tiles: Tiles, size: int) -> _Part:
        """One batch through the network, padded to `size` with repeats of its last tile."""
        # Bias-free networks on dark background meet denormal numbers, which are slow; the flag belongs to the thread.
        torch.set_flush_denormal(True)
        padded = tiles[np.minimum(np.arange(size), len(tiles) - 1)] if len(tiles) < size else tiles
        given = torch.from_numpy(np.ascontiguousarray(padded))
        with torch.inference_mode():
            on_device = given.to(str(self.device)) if self._copies is None else self._copies.to_device(given)
            result = self._network(on_device)[: len(tiles)]
            # A compiled network may give the same memory again for its next result, so that leaves by a copy.
            return (result.float().cpu(), None) if self._copies is None else self._copies.to_host(result)


_Part = tuple[torch.Tensor, "torch.cuda.Event | None"]
"""Restored tiles in the host's memory, and what to wait for until they are there."""


class _Result:
    """What a lane has made of a batch; on a GPU it may still be under way."""

    def __init__(self, parts: list[_Part]) -> None:
        self._parts = parts

    def tiles(self) -> Tiles:
        """Wait for the copies from the device."""
        for _, arrived in self._parts:
            if arrived is not None:
                arrived.synchronize()
        arrays = [part.numpy() for part, _ in self._parts]
        return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


class _Copies:
    """Copies to and from a GPU on streams of their own, beside the one that computes.

    Both ends of a copy are pinned memory, without which it is not asynchronous; torch keeps that memory for the next
    copies and does not give it away before a copy is done.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.incoming = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self.outgoing = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def to_device(self, tiles: torch.Tensor) -> torch.Tensor:
        """Start the copy of a batch; what is computed next on the current stream waits for it."""
        computing = torch.cuda.current_stream(self.device)
        with torch.cuda.stream(self.incoming):
            copied = tiles.pin_memory().to(self.device, non_blocking=True)
        computing.wait_stream(self.incoming)
        copied.record_stream(computing)
        return copied

    def to_host(self, result: torch.Tensor) -> _Part:
        """Start the copy of a result, as float32, behind what computes it."""
        result = result.to(torch.float32, copy=True)
        self.outgoing.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self.outgoing):
            host = torch.empty(result.shape, dtype=result.dtype, pin_memory=True)
            host.copy_(result, non_blocking=True)
            arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            arrived.record(self.outgoing)
        result.record_stream(self.outgoing)
        return host, arrived


MOST_LOADED = 4
"""Models that stay loaded, each for a device; the one that was not used for longest makes room."""
_loading = threading.Lock()


@lru_cache(maxsize=MOST_LOADED)
def _load(card_json: str, device: Device, precision: str, backend: BackendName) -> Predictor:
    card = ModelCard.model_validate_json(card_json)
    return Predictor(make_backend(backend, load_weights(card), card, device, precision), device)


def predictor_of(plan: Plan, device: Device | None = None) -> Predictor:
    """Load the network of a plan, in its precision and back end.

    Whatever computes pixels of a plan asks here, so a preview, a lazy result, a check and the run make the same ones.

    Parameters
    ----------
    plan
        The run.
    device
        Another device than the first of the plan's that works.

    Raises
    ------
    ModelError
        If the weights cannot be loaded.
    """
    recipe = plan.recipe
    chosen = device or working_device(plan) or plan.device
    return predictor_for(plan.card, chosen, recipe.precision, recipe.backend or "eager")


def predictor_for(
    card: ModelCard, device: Device, precision: str | None = None, backend: BackendName = "eager"
) -> Predictor:
    """Load a model once a process and device, and share it afterwards; a precision that is open is float32.

    Raises
    ------
    ModelError
        If its weights cannot be loaded.
    """
    with _loading:
        return _load(card.model_dump_json(), device, precision or "float32", backend)


def release_predictors() -> None:
    """Forget all models that are loaded, and give the memory of GPUs back to other programs.

    Work in progress keeps its own model until it ends; the next call of `predictor_for` loads anew.
    """
    with _loading:
        _load.cache_clear()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
