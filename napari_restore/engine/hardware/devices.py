"""The devices of this machine, their precision, cores and memory: which there are, and which are chosen."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import torch

from napari_restore.engine.hardware.host_memory import available_memory
from napari_restore.errors import RecipeError
from napari_restore.models.card import ModelCard

__all__ = [
    "choose_device", "choose_precision", "cores", "devices", "devices_of", "free_memory", "set_own_threads",
    "spare_devices",
]  # fmt: skip


def choose_device(wanted: str) -> str:
    """Resolve ``"auto"`` to the best device here, and check that a named one exists.

    ``"cuda"`` and ``"cuda:all"`` are all GPUs, and several devices have commas between them.

    Raises
    ------
    RecipeError
        If the device is unknown or not on this machine.
    """
    if wanted == "auto":
        if torch.cuda.is_available():
            return "cuda:0"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    if wanted in ("cuda", "cuda:all") and torch.cuda.device_count() > 1:
        return ",".join(f"cuda:{number}" for number in range(torch.cuda.device_count()))
    if "," in wanted:
        return ",".join(choose_device(part.strip()) for part in wanted.split(","))
    if wanted == "cuda:all":
        wanted = "cuda:0"
    try:
        device = torch.device(wanted)
    except RuntimeError:
        raise RecipeError(
            f"device {wanted!r} is unknown; use 'auto', 'cpu', 'cuda', 'cuda:1', 'cuda:all' or 'mps'."
        ) from None
    there = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if (device.index or 0) >= there.get(device.type, 0):
        raise RecipeError(f"device {wanted!r} is not on this machine; use 'auto' or 'cpu'.")
    return f"cuda:{device.index or 0}" if device.type == "cuda" else device.type


def devices_of(device: str) -> list[str]:
    """Give the devices of a recipe one by one; a single process uses the first of them."""
    return device.split(",")


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
    """Bytes that a run may count on: free memory of the GPU, the least of several, or what this process may take."""
    if "," in device:
        return min(map(free_memory, devices_of(device)))
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(torch.device(device))[0])
    return available_memory()


_threads_of_torch = threading.Lock()


def cores() -> int:
    """Cores for a network on the CPU: as torch was told (``OMP_NUM_THREADS``, `torch.set_num_threads`), or all."""
    # A thread that has just started tells; this one may have numbers of its own, as those of lanes have.
    with _threads_of_torch, ThreadPoolExecutor(1) as fresh:
        return fresh.submit(torch.get_num_threads).result()


def set_own_threads(count: int) -> None:
    """Set torch's threads for this thread. Torch sets them for all that start later as well, which is taken back."""
    with _threads_of_torch, ThreadPoolExecutor(1) as fresh:
        before = fresh.submit(torch.get_num_threads).result()
        torch.set_num_threads(count)
        fresh.submit(torch.set_num_threads, before).result()
