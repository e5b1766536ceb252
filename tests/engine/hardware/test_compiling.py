from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from napari_restore import api
from napari_restore.engine.hardware import compiling
from napari_restore.engine.hardware.compiling import can_compile, pays
from napari_restore.engine.hardware.device import CPU, Device
from napari_restore.models.zoo import find_card

DENOISER, UPSCALER = (find_card(name) for name in (api.DENOISER, api.UPSCALERS[2]))


def test_long_runs_pay_and_short_ones_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "can_compile", lambda device: True)
    assert pays(DENOISER, CPU, 1e9) and not pays(DENOISER, CPU, 1e6)
    assert pays(DENOISER, Device("cuda", 1), 1e12) and not pays(DENOISER, Device("cuda", 1), 1e9)
    assert not pays(DENOISER, Device("mps"), 1e15)
    assert not pays(UPSCALER, CPU, 1e15) and pays(UPSCALER, Device("cuda", 0), 1e12)


def test_nothing_is_compiled_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling.shutil, "which", lambda name: None)
    assert not can_compile(CPU) and not pays(DENOISER, CPU, 1e15)


ENDS = "import os; os._exit(3)"
"""Triton, as it is in a process that already draws by software OpenGL."""
USES = """
import torch
from napari_restore.engine.hardware.compiling import import_compiler

import_compiler()
torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])  # imports torch's compiler, too
"""


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU, for which Triton compiles")
def test_triton_is_not_imported_where_there_is_no_gpu(tmp_path: Path) -> None:
    (tmp_path / "triton").mkdir()
    (tmp_path / "triton" / "__init__.py").write_text(ENDS)
    found = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run([sys.executable, "-c", USES], env=found, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
