from __future__ import annotations

import pytest
import torch

from napari_restore import api
from napari_restore.engine.compute.backends.making import make_backend
from napari_restore.engine.hardware.arithmetic import arithmetic
from napari_restore.engine.hardware.device import CPU, Device
from napari_restore.engine.hardware.devices import choose_devices, devices, free_memory, spare_devices
from napari_restore.errors import RecipeError

GPUS = tuple(Device("cuda", index) for index in range(3))


@pytest.fixture
def three_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def chosen(names: str) -> str:
    return ",".join(map(str, choose_devices(names)))


def test_on_this_machine() -> None:
    assert chosen("cpu") == chosen("cpu:0") == "cpu"
    assert chosen("auto") in {"cpu", "cuda:0", "mps"}
    assert free_memory(CPU) > 1e8
    assert api.devices() == tuple(map(str, devices()))
    with pytest.raises(RecipeError, match="not on this machine"):
        choose_devices(f"cuda:{torch.cuda.device_count()}")
    with pytest.raises(RecipeError, match="unknown"):
        choose_devices("gpu")


@pytest.mark.usefixtures("three_gpus")
def test_on_a_machine_with_three_gpus() -> None:
    assert devices() == (CPU, *GPUS)
    assert chosen("auto") == chosen("cuda:0") == "cuda:0"
    assert chosen("cuda") == chosen("cuda:all") == "cuda:0,cuda:1,cuda:2"
    assert chosen("cuda:2, cpu") == "cuda:2,cpu"
    assert spare_devices(GPUS[1]) == (GPUS[0], GPUS[2], CPU) and spare_devices(CPU) == ()
    for missing in ("cuda:3", "cpu:1", "mps", "cuda:0,cuda:7"):
        with pytest.raises(RecipeError, match=r"device '(cuda:[37]|cpu:1|mps)' is not on this machine"):
            choose_devices(missing)


def test_the_gpu_of_a_mac(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert chosen("auto") == chosen("mps") == "mps" and spare_devices(Device("mps")) == (CPU,)


@pytest.mark.parametrize("asked", ["arithmetic", "network"])
def test_convolutions_of_a_gpu_are_float32(monkeypatch: pytest.MonkeyPatch, asked: str) -> None:
    """Also for who asks for the arithmetic before a network is loaded: what is stored is compared at a resume."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a chip")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(torch.nn.Module, "to", lambda network, device: network)
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = True
    try:
        if asked == "network":
            make_backend("eager", torch.nn.Identity(), api.model_card("swinir-x2-light"), GPUS[0], "float32")
            assert torch.backends.cudnn.allow_tf32 is False
        assert arithmetic("cuda:0")["TF32"] == "False" and torch.backends.cudnn.allow_tf32 is False
    finally:
        torch.backends.cudnn.allow_tf32 = before
