"""What the last bits of a network's results depend on besides the recipe: kept with a result, and compared later."""

from __future__ import annotations

import os
from collections.abc import Mapping

import torch

from napari_restore.engine.hardware.backends import BackendName, openvino_version

__all__ = ["arithmetic", "other_arithmetic"]

_ENVIRONMENT = (
    "ATEN_CPU_CAPABILITY", "CUBLAS_WORKSPACE_CONFIG", "DNNL_DEFAULT_FPMATH_MODE", "DNNL_MAX_CPU_ISA", "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS", "NVIDIA_TF32_OVERRIDE", "ONEDNN_DEFAULT_FPMATH_MODE", "ONEDNN_MAX_CPU_ISA",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
)  # fmt: skip
"""Variables by which the libraries under torch choose their kernels."""


def arithmetic(device: str, backend: BackendName | None = None) -> dict[str, str]:
    """Say how a device of this machine computes: the chip, torch, and its settings that choose kernels.

    Parameters
    ----------
    device
        Such as ``"cpu"`` or ``"cuda:0"``; of several, with commas, the first counts.
    backend
        What runs the network; None is torch as it is.

    Returns
    -------
    dict of str to str
        Two of the same content give the same bits for the same recipe.
    """
    first = device.split(",")[0]
    found = {"torch": torch.__version__, "device": first.partition(":")[0]}
    if first == "cpu":
        found |= {
            "instructions": torch.backends.cpu.get_cpu_capability(),
            "oneDNN": str(torch.backends.mkldnn.enabled),
        }
    elif first.startswith("cuda") and torch.cuda.is_available():
        found |= {
            "chip": torch.cuda.get_device_name(first),
            "cuDNN": str(torch.backends.cudnn.version()),  # type: ignore[no-untyped-call]
            "TF32": str(torch.backends.cudnn.allow_tf32),
            "search for kernels": str(torch.backends.cudnn.benchmark),
        }
    if backend == "openvino":
        found["OpenVINO"] = openvino_version() or "none"
    found["precision of products"] = torch.get_float32_matmul_precision()
    return found | {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}


def other_arithmetic(there: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Say in what two differ; "" if in nothing, or if nothing is known of the earlier one."""
    names = sorted(there.keys() | now.keys()) if there else ()
    return "; ".join(
        f"{name}: {there.get(name, 'none')} then, {now.get(name, 'none')} now"
        for name in names
        if there.get(name) != now.get(name)
    )
