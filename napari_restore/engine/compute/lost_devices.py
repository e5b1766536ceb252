"""Detect devices that stop working during a run, and choose another one."""

from __future__ import annotations

import torch

from napari_restore.engine.hardware.device import Device
from napari_restore.engine.planning.plan import Plan

__all__ = ["is_device_lost", "is_lost", "mark_lost", "working_device"]

_lost: set[Device] = set()

_MESSAGES = ("CUDA error", "CUDA driver error", "cuDNN error", "CUBLAS_STATUS", "NVML", "MPS backend")
"""Parts of torch's error messages by which a failing device differs from a fault of the program."""


def is_device_lost(error: RuntimeError, device: Device) -> bool:
    """Return whether an error means that a GPU stopped working; running out of memory does not."""
    if device.is_cpu or isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error):
        return False
    accelerator = getattr(torch, "AcceleratorError", None)  # since torch 2.8
    return (accelerator is not None and isinstance(error, accelerator)) or any(text in str(error) for text in _MESSAGES)


def mark_lost(device: Device) -> None:
    """Exclude a device from all later blocks of this process."""
    _lost.add(device)


def is_lost(device: Device) -> bool:
    """Return whether a device stopped working in this process."""
    return device in _lost


def working_device(plan: Plan) -> Device | None:
    """Return the first device of a plan that is not lost, its spare devices included; None if all are lost."""
    return next((device for device in (plan.device, *plan.spares) if device not in _lost), None)
