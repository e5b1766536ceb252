from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from torch import nn

from napari_restore import api
from napari_restore.engine.compute.compiled import Compiled
from napari_restore.engine.hardware.compiling import can_compile
from napari_restore.models.zoo import find_card
from napari_restore.networks.restormer import TransformerBlock

# What torch itself does as its compiler is imported.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script_method.*:DeprecationWarning")


DENOISER, UPSCALER = (find_card(name) for name in (api.DENOISER, api.UPSCALERS[2]))


def test_what_gains_nothing_is_not_compiled_even_if_asked_for() -> None:
    image = np.zeros((64, 64), np.uint16)
    assert "compiled first" in str(api.plan(image, model=DENOISER.name, device="cpu", compiled=True))
    assert "compiled first" not in str(api.plan(image, model=UPSCALER.name, device="cpu", compiled=True))


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(TransformerBlock(8, 2, 2.66, bias=False, layer_norm="BiasFree")).eval()


@pytest.mark.skipif(not can_compile("cpu"), reason="there is no C++ compiler")
def test_a_compiled_network_gives_the_same() -> None:
    tile = torch.rand(1, 8, 16, 16)
    with torch.inference_mode():
        assert torch.allclose(Compiled(network(), "cpu")(tile), network()(tile), rtol=0, atol=1e-5)


def test_a_network_that_cannot_be_compiled_runs_as_it_is(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("fatal error: Python.h: No such file")

    properly = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", lambda block, **how: properly(block, backend=broken, **how))
    tile = torch.rand(1, 8, 16, 16)
    fast = Compiled(network(), "cpu")
    with caplog.at_level(logging.WARNING), torch.inference_mode():
        assert torch.equal(fast(tile), network()(tile)) and torch.equal(fast(tile), network()(tile))
    assert len(caplog.records) == 1 and "Python.h" in caplog.text


def test_the_plan_says_whether_it_compiles() -> None:
    image = np.arange(64**2, dtype=np.uint16).reshape(64, 64)
    assert api.plan(image).recipe.compiled is False
    chosen = api.plan(image, compiled=True)
    assert chosen.recipe.compiled is True and "compiled first" in str(chosen)
    assert chosen.fingerprint == api.plan(image).fingerprint
