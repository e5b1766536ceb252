"""Describe how a device computes, as the last bits of a result depend on that.

The description is stored with a result, and compared when the run is resumed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import torch

from napari_restore.engine.hardware.backends import BackendName, openvino_version
from napari_restore.engine.hardware.devices import forbid_tf32

__all__ = ["arithmetic", "other_arithmetic"]

_ENVIRONMENT = (
    "ATEN_CPU_CAPABILITY", "CUBLAS_WORKSPACE_CONFIG", "DNNL_DEFAULT_FPMATH_MODE", "DNNL_MAX_CPU_ISA", "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS", "NVIDIA_TF32_OVERRIDE", "ONEDNN_DEFAULT_FPMATH_MODE", "ONEDNN_MAX_CPU_ISA",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
)  # fmt: skip
"""Environment variables by which the libraries under torch choose their kernels."""


def arithmetic(device: str, backend: BackendName | None = None) -> dict[str, str]:
    """Describe how a device of this machine computes: its chip, torch, and the settings that choose kernels.

    Parameters
    ----------
    device : str
        Name of a device, such as ``"cpu"`` or ``"cuda:0"``. Of several names, separated by commas, the first is used.
    backend : str or None
        Back end of the network; None is torch as it is.

    Returns
    -------
    dict of str to str
        Two devices with equal descriptions compute the same bits for the same recipe.
    """
    first = device.split(",")[0]
    found = {"torch": torch.__version__, "device": first.partition(":")[0]}
    if first == "cpu":
        found |= {
            "instructions": torch.backends.cpu.get_cpu_capability(),
            "oneDNN": str(torch.backends.mkldnn.enabled),
        }
    elif first.startswith("cuda") and torch.cuda.is_available():
        forbid_tf32()  # as whoever loads a network does
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


def other_arithmetic(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Describe how two results of `arithmetic` differ.

    Parameters
    ----------
    before : Mapping of str to str
        Description that is stored with a result; empty if there is none.
    now : Mapping of str to str
        Description of the device that resumes the run.

    Returns
    -------
    str
        The differences in words; empty if there are none, or if `before` is empty.
    """
    names = sorted(before.keys() | now.keys()) if before else ()
    return "; ".join(
        f"{name}: {before.get(name, 'none')} then, {now.get(name, 'none')} now"
        for name in names
        if before.get(name) != now.get(name)
    )
