"""Devices that stop working in the middle of a run, and what a run may use instead."""

from __future__ import annotations

import torch

from napari_restore.engine.planning.plan import Plan

__all__ = ["is_device_lost", "mark_lost", "working_device"]

_lost: set[str] = set()

_COMPLAINTS = ("CUDA error", "CUDA driver error", "cuDNN error", "CUBLAS_STATUS", "NVML", "MPS backend")
"""How the messages of torch begin, or what they hold, when it is the device that fails and not the program."""


def is_device_lost(error: RuntimeError, device: str) -> bool:
    """Tell whether an error says that a GPU stopped working; running out of memory does not."""
    if device == "cpu" or isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error):
        return False
    accelerator = getattr(torch, "AcceleratorError", None)  # since torch 2.8
    return (accelerator is not None and isinstance(error, accelerator)) or any(
        complaint in str(error) for complaint in _COMPLAINTS
    )


def mark_lost(device: str) -> None:
    """Let no later block of this process use a device."""
    _lost.add(device)


def working_device(plan: Plan, default: str | None = None) -> str:
    """Return the first device of a plan that is not lost; `default`, or the plan's own, where all are."""
    for device in (plan.recipe.device, *plan.spares):
        if device not in _lost:
            return device
    return plan.recipe.device if default is None else default
