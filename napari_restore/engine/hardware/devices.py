"""List the devices of this machine, and choose among them."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import torch

from napari_restore.engine.hardware.device import CPU, Device, parse_devices
from napari_restore.engine.hardware.host_memory import available_memory
from napari_restore.errors import RecipeError

__all__ = [
    "choose_devices", "cores", "devices", "forbid_tf32", "free_memory", "set_own_threads", "spare_devices",
]  # fmt: skip


def choose_devices(names: str) -> tuple[Device, ...]:
    """Choose devices of this machine by name.

    Parameters
    ----------
    names : str
        Names of devices, separated by commas: ``"auto"`` for the best device of this machine, ``"cuda"`` and
        ``"cuda:all"`` for all GPUs.

    Returns
    -------
    tuple of Device
        At least one device, all of this machine. A single process uses the first.

    Raises
    ------
    RecipeError
        If a device is unknown, or this machine does not have it.
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
    """Return the devices of this machine that a run may use when `device` stops working."""
    if device.is_cpu:
        return ()
    return (*(other for other in devices() if other.is_cuda and other != device), CPU)


def devices() -> tuple[Device, ...]:
    """Return the devices of this machine that a network can run on: the CPU, then GPUs by index."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    gpus = (Device("cuda", index) for index in range(count))
    return (CPU, *gpus, *((Device("mps"),) if torch.backends.mps.is_available() else ()))


def free_memory(device: Device) -> int:
    """Return the free memory of a device: of a GPU, or of the host within the limits of this process.

    Parameters
    ----------
    device : Device
        Device of this machine.

    Returns
    -------
    int
        Free memory in bytes.
    """
    if device.is_cuda:
        return int(torch.cuda.mem_get_info(torch.device(str(device)))[0])
    return available_memory()


def forbid_tf32() -> None:
    """Let GPUs compute convolutions of float32 in float32, in the whole process.

    Torch lets GPUs of NVIDIA round the inputs of a convolution to TF32, which has 11 significant bits: a 16-bit image
    would get steps, and a result would differ from that of a CPU by 1e-3 of the range. Products of matrices are not
    rounded by default.
    """
    torch.backends.cudnn.allow_tf32 = False


_threads_of_torch = threading.Lock()


def cores() -> int:
    """Return the number of cores for a network on the CPU.

    It is what torch was set to (``OMP_NUM_THREADS``, `torch.set_num_threads`), or else all cores.
    """
    # Ask a new thread: the current one may have a number of its own, as the threads of concurrent batches have.
    with _threads_of_torch, ThreadPoolExecutor(1) as fresh:
        return fresh.submit(torch.get_num_threads).result()


def set_own_threads(count: int) -> None:
    """Set how many threads torch uses for work of the current thread, and leave all other threads as they are."""
    torch.get_num_threads()  # a thread's first question, or its first work, sets the number that all have
    with _threads_of_torch, ThreadPoolExecutor(1) as fresh:
        before = fresh.submit(torch.get_num_threads).result()
        torch.set_num_threads(count)  # torch also uses this number for all threads that start later; restore theirs
        fresh.submit(torch.set_num_threads, before).result()
