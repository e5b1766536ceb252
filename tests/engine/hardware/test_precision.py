from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from napari_restore.engine.hardware import precision
from napari_restore.engine.hardware.device import CPU, Device
from napari_restore.engine.hardware.precision import bfloat16_gain, choose_precision
from napari_restore.models.card import ModelCard
from napari_restore.models.zoo import find_card


@pytest.fixture(autouse=True)
def nothing_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAPARI_RESTORE_CACHE", str(tmp_path))
    monkeypatch.setattr(precision, "_known", {})
    return tmp_path / "speed"


def tiny() -> ModelCard:
    card = find_card("restormer-denoise-light")
    small = {**card.hyperparameters, "dim": 8, "blocks": (1, 1, 1, 1), "refinement_blocks": 1, "heads": (1, 1, 1, 1)}
    return card.model_copy(update={"hyperparameters": small, "bfloat16_loss": 0.001})


@pytest.mark.parametrize(("gain", "chosen"), [(2.0, "bfloat16"), (1.0, "float32")])
def test_a_model_has_the_precision_that_it_is_faster_in(
    gain: float, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "_timed", lambda card: gain)
    assert choose_precision(tiny(), CPU) == chosen
    for loss in (None, 0.03):  # whatever it gains
        assert choose_precision(tiny().model_copy(update={"bfloat16_loss": loss}), CPU) == "float32"
    assert choose_precision(tiny(), Device("mps")) == "float32"


def test_a_machine_times_a_model_once(nothing_known: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = bfloat16_gain(tiny())
    assert 0.01 < found < 100
    (kept,) = nothing_known.iterdir()
    assert json.loads(kept.read_bytes())["bfloat16_gain"] == found
    monkeypatch.setattr(precision, "_timed", lambda card: pytest.fail("timed again"))
    monkeypatch.setattr(precision, "_known", {})  # as in another process
    assert bfloat16_gain(tiny()) == found
    for damaged in (b"{", b"[]", b'{"key": 1}'):
        kept.write_bytes(damaged)
        monkeypatch.setattr(precision, "_known", {})
        with pytest.raises(pytest.fail.Exception, match="timed again"):
            bfloat16_gain(tiny())


def test_another_processor_or_torch_is_timed_anew(nothing_known: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gains = iter((1.0, 2.0, 3.0))
    monkeypatch.setattr(precision, "_timed", lambda card: next(gains))
    assert bfloat16_gain(tiny()) == 1
    monkeypatch.setattr(precision, "processor", lambda: "another one")
    assert bfloat16_gain(tiny()) == 2
    monkeypatch.setattr(torch, "__version__", "0.0")
    assert bfloat16_gain(tiny()) == 3 and len(list(nothing_known.iterdir())) == 3


def test_timing_leaves_the_threads_of_torch_as_they_are() -> None:
    before = torch.get_num_threads()
    bfloat16_gain(tiny())
    assert torch.get_num_threads() == before


def test_what_bfloat16_may_cost() -> None:
    """An error of this size beside that of a result of 35 dB."""
    lost = 10 * torch.log10(torch.tensor((10**-3.5 + precision.BFLOAT16_ERROR**2) / 10**-3.5))
    assert float(lost) == pytest.approx(precision.LOSS_ALLOWED, rel=1e-3)
