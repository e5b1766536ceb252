"""A network on a device: tiles in, restored tiles out, one batch at a time."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from napari_restore.engine.compiled import Compiled
from napari_restore.errors import OutOfMemory, RecipeError
from napari_restore.models.card import ModelCard
from napari_restore.models.zoo import load_weights

__all__ = ["Predictor", "choose_device", "choose_precision", "devices", "free_memory", "predictor_for", "spare_devices"]

_log = logging.getLogger(__name__)

Tiles = NDArray[np.float32]


def choose_device(wanted: str) -> str:
    """Resolve ``"auto"`` to the best device here, and check that a named one exists.

    Raises
    ------
    RecipeError
        If the device is unknown or not on this machine.
    """
    if wanted == "auto":
        if torch.cuda.is_available():
            return "cuda:0"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(wanted)
    except RuntimeError:
        raise RecipeError(f"device {wanted!r} is unknown; use 'auto', 'cpu', 'cuda', 'cuda:1' or 'mps'.") from None
    there = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if (device.index or 0) >= there.get(device.type, 0):
        raise RecipeError(f"device {wanted!r} is not on this machine; use 'auto' or 'cpu'.")
    return f"cuda:{device.index or 0}" if device.type == "cuda" else device.type


def spare_devices(device: str) -> tuple[str, ...]:
    """Devices of this machine that a run may go on with when the one that was chosen for it stops working."""
    others = tuple(f"cuda:{i}" for i in range(torch.cuda.device_count()) if f"cuda:{i}" != device)
    return () if device == "cpu" else (*others, "cpu")


def choose_precision(card: ModelCard, device: str) -> Literal["float32", "bfloat16"]:
    """Choose bfloat16 where the device multiplies matrices in it, and the model is known to lose 0.02 dB at most."""
    loss_allowed = 0.02
    if card.bfloat16_loss is None or card.bfloat16_loss > loss_allowed:
        return "float32"
    if device.startswith("cuda"):
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:  # AMX: without matrix units bfloat16 saves nothing on a CPU
        fast = device == "cpu" and bool(torch.cpu.get_capabilities().get("amx_bf16"))
    return "bfloat16" if fast else "float32"


def devices() -> tuple[str, ...]:
    """Names of the devices of this machine that a network can run on: ``("cpu", "cuda:0")``."""
    gpus = tuple(f"cuda:{index}" for index in range(torch.cuda.device_count()))
    return ("cpu", *gpus, *(("mps",) if torch.backends.mps.is_available() else ()))


def free_memory(device: str) -> int:
    """Bytes that a run may count on: free memory of the GPU, or what this machine has available."""
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(torch.device(device))[0])
    import psutil

    return int(psutil.virtual_memory().available)


_OUT_OF_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "ALLOC_FAILED")


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(text in str(error) for text in _OUT_OF_MEMORY)


class Predictor:
    """A network in evaluation mode on one device, shared by all blocks in progress.

    Batches are computed one after the other on a thread of the device's own, so callers read and write while another
    one's batch is in the network, and torch keeps a single pool of threads. Every batch is padded to the same size,
    since kernels may round differently for another one.

    Parameters
    ----------
    network
        Takes ``(b, c, h, w)``.
    device, precision, compile_first
        See `Recipe`. A network that is compiled takes minutes for its first batch.
    """

    def __init__(
        self, network: nn.Module, device: str, precision: str = "float32", *, compile_first: bool = False
    ) -> None:
        self.device = torch.device(device)
        self.precision = precision
        network = network.to(self.device).eval()
        self._network = Compiled(network, device) if compile_first else network
        self._lane = ThreadPoolExecutor(1, thread_name_prefix=f"network-{device}")
        self._largest: dict[tuple[int, ...], int] = {}

    def __call__(self, tiles: Tiles, batch: int) -> Tiles:
        """Restore at most `batch` tiles.

        Parameters
        ----------
        tiles
            ``(n, channels, height, width)`` float32 in about [0, 1], n at most `batch`.
        batch
            Size that the batch is padded to. When memory runs out it is halved, for this and later calls.

        Returns
        -------
        numpy.ndarray
            ``(n, channels, height * scale, width * scale)`` float32.

        Raises
        ------
        OutOfMemory
            If not even one tile fits.
        """
        return self._lane.submit(self._restore, tiles, batch).result()

    @property
    def largest_batch(self) -> int | None:
        """Tiles that fitted the memory together, where that was fewer than asked for."""
        return min(self._largest.values(), default=None)

    def _restore(self, tiles: Tiles, batch: int) -> Tiles:
        shape = tiles.shape[1:]
        size = min(batch, self._largest.get(shape, batch))
        while True:
            try:
                return np.concatenate([self._forward(tiles[i : i + size], size) for i in range(0, len(tiles), size)])
            except (RuntimeError, MemoryError) as error:
                if not _is_out_of_memory(error):
                    raise
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            if size == 1:
                raise OutOfMemory(
                    f"one tile of {shape[1]} x {shape[2]} pixels does not fit the memory of {self.device}; use a "
                    "smaller tile (it is part of the recipe, since it may change the result), or another device."
                )
            size = self._largest[shape] = size // 2
            _log.warning("%s is out of memory: batches of %d tiles from here on", self.device, size)

    def _forward(self, tiles: Tiles, size: int) -> Tiles:
        """One batch through the network, padded to `size` with repeats of its last tile."""
        # Bias-free networks on dark background meet denormal numbers, which are slow; the flag belongs to the thread.
        torch.set_flush_denormal(True)
        padded = tiles[np.minimum(np.arange(size), len(tiles) - 1)] if len(tiles) < size else tiles
        with (
            torch.inference_mode(),
            torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"),
        ):
            result = self._network(torch.from_numpy(np.ascontiguousarray(padded)).to(self.device))
        return result[: len(tiles)].float().cpu().numpy()


_loading = threading.Lock()


@cache
def _load(card_json: str, device: str, precision: str, compile_first: bool) -> Predictor:
    network = load_weights(ModelCard.model_validate_json(card_json))
    return Predictor(network, device, precision, compile_first=compile_first)


def predictor_for(
    card: ModelCard, device: str, precision: str | None = None, *, compile_first: bool = False
) -> Predictor:
    """Load a model once a process and device, and share it afterwards; a precision that is open is float32.

    Raises
    ------
    ModelError
        If its weights cannot be loaded.
    """
    with _loading:
        return _load(card.model_dump_json(), device, precision or "float32", compile_first)
