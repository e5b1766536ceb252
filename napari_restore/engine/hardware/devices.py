"""The devices of this machine, their cores and memory: which there are, and which are chosen."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import torch

from napari_restore.engine.hardware.device import CPU, Device, parse_devices
from napari_restore.engine.hardware.host_memory import available_memory
from napari_restore.errors import RecipeError

__all__ = [
    "choose_devices", "cores", "devices", "free_memory", "set_own_threads", "spare_devices",
]  # fmt: skip


def choose_devices(names: str) -> tuple[Device, ...]:
    """Choose the devices of a recipe among those of this machine.

    Parameters
    ----------
    names : str
        ``"auto"`` for the best device here, ``"cuda"`` and ``"cuda:all"`` for all GPUs; several devices have commas
        between them.

    Returns
    -------
    tuple of Device
        At least one, each of them on this machine. A single process uses the first.

    Raises
    ------
    RecipeError
        If a device is unknown or not on this machine.
    """
    return tuple(itertools.chain.from_iterable(map(_chosen, parse_devices(names))))


def _chosen(wanted: Device) -> tuple[Device, ...]:
    here = devices()
    if wanted.is_auto:
        return (next((device for device in here if not device.is_cpu), CPU),)
    like = [device for device in here if device.kind == wanted.kind]
    found = like if wanted.index is None else like[wanted.index : wanted.index + 1]
    if not found:
        raise RecipeError(f"device {str(wanted)!r} is not on this machine; use 'auto' or 'cpu'.")
    return tuple(found)


def spare_devices(device: Device) -> tuple[Device, ...]:
    """Devices of this machine that a run may go on with when the one that was chosen for it stops working."""
    if device.is_cpu:
        return ()
    return (*(other for other in devices() if other.is_cuda and other != device), CPU)


def devices() -> tuple[Device, ...]:
    """Devices of this machine that a network can run on: the CPU, then GPUs in their order."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    gpus = (Device("cuda", index) for index in range(count))
    return (CPU, *gpus, *((Device("mps"),) if torch.backends.mps.is_available() else ()))


def free_memory(device: Device) -> int:
    """Bytes that a run may count on: free memory of the GPU, or what this process may take of the host's."""
    if device.is_cuda:
        return int(torch.cuda.mem_get_info(torch.device(str(device)))[0])
    return available_memory()


_threads_of_torch = threading.Lock()


def cores() -> int:
    """Cores for a network on the CPU: as torch was told (``OMP_NUM_THREADS``, `torch.set_num_threads`), or all."""
    # A thread that has just started tells; this one may have numbers of its own, as those of lanes have.
    with _threads_of_torch, ThreadPoolExecutor(1) as fresh:
        return fresh.submit(torch.get_num_threads).result()


def set_own_threads(count: int) -> None:
    """Set torch's threads for this thread. Torch sets them for all that start later as well, which is taken back."""
    torch.get_num_threads()  # a thread's first question, or its first work, sets the number that all have
    with _threads_of_torch, ThreadPoolExecutor(1) as fresh:
        before = fresh.submit(torch.get_num_threads).result()
        torch.set_num_threads(count)
        fresh.submit(torch.set_num_threads, before).result()
