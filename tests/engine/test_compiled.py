from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from napari_restore import api
from napari_restore.engine import compiled
from napari_restore.engine.compiled import Compiled, can_compile, pays
from napari_restore.networks.swinir import SwinIR

# What torch itself does as its compiler is imported.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script_method.*:DeprecationWarning")


def test_long_runs_pay_and_short_ones_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "can_compile", lambda device: True)
    assert pays("cpu", 1e9) and not pays("cpu", 1e6)
    assert pays("cuda:1", 1e12) and not pays("cuda:1", 1e9)
    assert not pays("mps", 1e15)


def test_nothing_is_compiled_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled.shutil, "which", lambda name: None)
    assert not can_compile("cpu") and not pays("cpu", 1e15)


@pytest.mark.skipif(not can_compile("cpu"), reason="there is no C++ compiler")
def test_a_compiled_network_gives_the_same() -> None:
    torch.manual_seed(0)
    network = SwinIR(in_channels=1, embed_dim=8, depths=(2,), heads=(2,)).eval()
    tile = torch.rand(1, 1, 24, 24)
    with torch.inference_mode():
        assert torch.allclose(Compiled(network, "cpu")(tile), network(tile), rtol=0, atol=1e-5)


def test_a_network_that_cannot_be_compiled_runs_as_it_is(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(tiles: Tensor) -> Tensor:
        raise RuntimeError("fatal error: Python.h: No such file\nand more lines")

    monkeypatch.setattr(torch, "compile", lambda network, **_: broken)
    network = Compiled(nn.Identity(), "cpu")
    with caplog.at_level(logging.WARNING):
        assert network(torch.ones(1)).item() == 1 and network(torch.ones(1)).item() == 1
    assert len(caplog.records) == 1 and "Python.h" in caplog.text and "more lines" not in caplog.text


def test_memory_that_runs_out_is_no_reason_to_go_on_uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(tiles: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr(torch, "compile", lambda network, **_: full)
    with pytest.raises(torch.OutOfMemoryError):
        Compiled(nn.Identity(), "cpu")(torch.ones(1))


def test_the_plan_says_whether_it_compiles() -> None:
    image = np.arange(64**2, dtype=np.uint16).reshape(64, 64)
    assert api.plan(image).recipe.compiled is False
    chosen = api.plan(image, compiled=True)
    assert chosen.recipe.compiled is True and "compiled first" in str(chosen)
    assert chosen.fingerprint == api.plan(image).fingerprint
