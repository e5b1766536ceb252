from __future__ import annotations

import pickle

import pytest

from napari_restore import api
from napari_restore.engine.hardware.device import CPU, Device, parse_devices
from napari_restore.errors import RecipeError


@pytest.mark.parametrize("names", ["auto", "cpu", "mps", "cuda", "cuda:0", "cuda:12", "cuda:0,cuda:2", "cpu,cpu"])
def test_names_are_read_and_written_as_they_are(names: str) -> None:
    read = parse_devices(names)
    assert ",".join(map(str, read)) == names
    assert pickle.loads(pickle.dumps(read)) == read


@pytest.mark.parametrize(
    "name", ["", "gpu", "cuda:", "cuda:-1", "cuda:01", "cuda:x", "auto:1", "CPU", "cpu,", "xpu:0", "cuda:0;1", "cuda 1"]
)
def test_what_is_no_device_is_refused(name: str) -> None:
    with pytest.raises(RecipeError, match=r"device '.*' is unknown; use 'auto', 'cpu'"):
        parse_devices(name)


def test_what_a_device_is() -> None:
    facts = {
        name: (d.kind, d.index, d.is_auto, d.is_cpu, d.is_cuda)
        for name in ("auto", "cpu", "cuda", "cuda:3", "mps")
        for d in parse_devices(name)
    }
    assert facts == {
        "auto": ("auto", None, True, False, False),
        "cpu": ("cpu", None, False, True, False),
        "cuda": ("cuda", None, False, False, True),
        "cuda:3": ("cuda", 3, False, False, True),
        "mps": ("mps", None, False, False, False),
    }


def test_a_plan_knows_its_devices(stack: object) -> None:
    plan = api.plan(stack, axes="ZYX", device="cpu, cpu")
    assert plan.recipe.device == "cpu,cpu" and plan.devices == (CPU, CPU) and plan.device == CPU
    assert plan.with_settings(device="cuda:1").device == Device("cuda", 1)
