from __future__ import annotations

import pytest

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
