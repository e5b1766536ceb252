"""Devices that stop working in the middle of a run, and what a run may use instead."""

from __future__ import annotations

import torch

from napari_restore.engine.hardware.device import Device
from napari_restore.engine.planning.plan import Plan

__all__ = ["is_device_lost", "mark_lost", "working_device"]

_lost: set[Device] = set()

_COMPLAINTS = ("CUDA error", "CUDA driver error", "cuDNN error", "CUBLAS_STATUS", "NVML", "MPS backend")
"""How the messages of torch begin, or what they hold, when it is the device that fails and not the program."""


def is_device_lost(error: RuntimeError, device: Device) -> bool:
    """Tell whether an error says that a GPU stopped working; running out of memory does not."""
    if device.is_cpu or isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error):
        return False
    accelerator = getattr(torch, "AcceleratorError", None)  # since torch 2.8
    return (accelerator is not None and isinstance(error, accelerator)) or any(
        complaint in str(error) for complaint in _COMPLAINTS
    )


def mark_lost(device: Device) -> None:
    """Let no later block of this process use a device."""
    _lost.add(device)


def working_device(plan: Plan) -> Device | None:
    """Return the first device of a plan, or of those it may go on with, that is not lost; None where all are."""
    return next((device for device in (plan.device, *plan.spares) if device not in _lost), None)
