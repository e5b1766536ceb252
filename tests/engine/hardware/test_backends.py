from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_restore import api
from napari_restore.engine.hardware import backends, compiling
from napari_restore.engine.hardware.backends import choose_backend
from napari_restore.engine.hardware.converted import Conversion, keep_converted, refuse
from napari_restore.engine.hardware.device import CPU, Device
from napari_restore.errors import RecipeError
from napari_restore.models.chain import denoised_first
from napari_restore.models.zoo import find_card

DENOISER, UPSCALER = (find_card(name) for name in (api.DENOISER, api.UPSCALERS[2]))
SHAPE = (1, 1, 256, 256)


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_RESTORE_CACHE", str(tmp_path))
    monkeypatch.setattr(compiling, "can_compile", lambda device: True)


def chosen(pixels: float, wanted: Any = None, card: Any = DENOISER, device: Device = CPU) -> str:
    return choose_backend(card, device, "float32", SHAPE, pixels, wanted).name


def test_where_it_is_installed_openvino_takes_long_runs_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "openvino_version", lambda: "1.2.3")
    assert chosen(1e9) == chosen(1e9, card=UPSCALER) == "openvino"
    assert chosen(1e5) == "eager" and chosen(1e5, "openvino") == "openvino"
    assert chosen(1e9, "eager") == "eager" and chosen(1e9, "compiled") == "compiled"
    assert chosen(1e9, device=Device("cuda", 0)) == "eager" and chosen(1e12, device=Device("cuda", 0)) == "compiled"
    with pytest.raises(
        RecipeError, match=r"OpenVINO runs on a CPU, and not on 'cuda:0'; use device='cpu', or backend='eager'"
    ):
        chosen(1e9, "openvino", device=Device("cuda", 0))


def test_what_was_converted_before_is_used_in_short_runs_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "openvino_version", lambda: "1.2.3")
    keep_converted(Conversion(DENOISER, SHAPE, "float32", "1.2.3"), b"network")
    assert chosen(1e5) == "openvino" and chosen(1e5, card=UPSCALER) == "eager"
    monkeypatch.setattr(backends, "openvino_version", lambda: "1.2.4")
    assert chosen(1e5) == "eager"


def test_of_two_networks_both_have_to_be_converted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "openvino_version", lambda: "1.2.3")
    both = denoised_first(DENOISER, UPSCALER)
    keep_converted(Conversion(UPSCALER, SHAPE, "float32", "1.2.3"), b"network")
    assert chosen(1e5, card=both) == "eager" and chosen(1e9, card=both) == "openvino"
    keep_converted(Conversion(DENOISER, SHAPE, "float32", "1.2.3"), b"network")
    assert chosen(1e5, card=both) == "openvino"
    refuse(Conversion(DENOISER, SHAPE, "float32", "1.2.3"), "it differs")
    assert chosen(1e9, card=both) != "openvino"


def test_what_disagreed_with_torch_is_not_chosen_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "openvino_version", lambda: "1.2.3")
    refuse(Conversion(UPSCALER, SHAPE, "float32", "1.2.3"), "it differs")
    assert chosen(1e9, card=UPSCALER) == "eager" and chosen(1e9) == "openvino"


def test_a_long_run_without_it_says_what_it_would_gain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "openvino_version", lambda: None)
    monkeypatch.setattr(compiling, "can_compile", lambda device: False)
    why = {pixels: choose_backend(DENOISER, CPU, "float32", SHAPE, pixels, None).why for pixels in (1e6, 1e9)}
    assert why == {1e6: "", 1e9: 'OpenVINO would take about 56 % of the time: pip install "napari-restore[openvino]"'}
    image = np.zeros((1, 1), np.uint16)
    large = np.broadcast_to(image, (9000, 9000))
    settings: dict[str, Any] = {"value_range": (0, 9), "device": "cpu", "valid_range": "all", "fill_values": "none"}
    assert "OpenVINO would take" in str(api.plan(large, **settings))
    with pytest.raises(RecipeError, match=r"not installed; pip install .*\[openvino\].*, or use backend='eager'"):
        api.plan(large, backend="openvino", **settings)


def test_the_version_is_found_without_an_import() -> None:
    import importlib.util
    import sys

    there = importlib.util.find_spec("openvino") is not None
    before = "openvino" in sys.modules
    assert (backends.openvino_version() is not None) == there
    assert ("openvino" in sys.modules) == before
