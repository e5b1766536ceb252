from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import torch
from torch import nn

from napari_restore import api
from napari_restore.engine.compute import predictor
from napari_restore.engine.compute.backends.compiled import Compiled
from napari_restore.engine.hardware.compiling import can_compile
from napari_restore.engine.hardware.device import CPU
from napari_restore.images.writing import ome_zarr
from napari_restore.models.zoo import find_card
from napari_restore.networks.restormer import TransformerBlock

# What torch itself does as its compiler is imported.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script_method.*:DeprecationWarning")


DENOISER, UPSCALER = (find_card(name) for name in (api.DENOISER, api.UPSCALERS[2]))


def test_what_gains_nothing_is_not_compiled_even_if_asked_for() -> None:
    image = np.zeros((64, 64), np.uint16)
    assert "compiled first" in str(api.plan(image, model=DENOISER.name, device="cpu", backend="compiled"))
    assert "compiled first" not in str(api.plan(image, model=UPSCALER.name, device="cpu", backend="compiled"))


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(TransformerBlock(8, 2, 2.66, bias=False, layer_norm="BiasFree")).eval()


@pytest.mark.skipif(not can_compile(CPU), reason="there is no C++ compiler")
def test_a_compiled_network_gives_the_same() -> None:
    tile = torch.rand(1, 8, 16, 16)
    with torch.inference_mode():
        assert torch.allclose(Compiled(network(), CPU)(tile), network()(tile), rtol=0, atol=1e-5)


def test_a_network_that_cannot_be_compiled_runs_as_it_is(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("fatal error: Python.h: No such file")

    properly = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", lambda block, **how: properly(block, backend=broken, **how))
    tile = torch.rand(1, 8, 16, 16)
    fast = Compiled(network(), CPU)
    with caplog.at_level(logging.WARNING), torch.inference_mode():
        assert torch.equal(fast(tile), network()(tile)) and torch.equal(fast(tile), network()(tile))
    assert len(caplog.records) == 1 and "Python.h" in caplog.text


@pytest.mark.long
def test_no_variant_of_a_block_falls_back_silently(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch compiles 8 variants of one function unless told otherwise, and runs all later ones as they are."""
    graphs = 0

    def counted(graph: Any, inputs: Any) -> Any:
        nonlocal graphs
        graphs += 1
        return graph.forward

    properly = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", lambda block, **how: properly(block, backend=counted, **how))
    torch._dynamo.reset()
    networks = [network() for _ in range(3)]
    compiled = [Compiled(each, CPU, precision) for each, precision in zip(networks, PRECISIONS, strict=True)]
    sides = (16, 24, 32, 40, 48, 56)

    def restore_all() -> None:
        with torch.inference_mode():
            for fast in compiled:
                for side in sides * 2:  # the second time there is nothing left to compile
                    fast(torch.rand(1, 8, side, side))

    with ThreadPoolExecutor(1) as lane:  # torch keeps the limit for each thread
        lane.submit(restore_all).result()
    # One for each size and precision: the third network shares those of the first.
    assert graphs == 2 * len(sides) > 8


PRECISIONS = ("float32", "bfloat16", "float32")


def test_the_plan_says_whether_it_compiles() -> None:
    image = np.arange(64**2, dtype=np.uint16).reshape(64, 64)
    assert api.plan(image).recipe.backend == "eager"
    chosen = api.plan(image, backend="compiled")
    assert chosen.recipe.backend == "compiled" and "compiled first" in str(chosen)
    assert chosen.fingerprint == api.plan(image).fingerprint


@pytest.mark.long
def test_whatever_computes_pixels_of_a_plan_uses_its_compiled_network(
    checkpoints: dict[str, Path], stack: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A preview, a lazy result, a check and an estimate are made by the very network of the run, bit for bit."""
    # A compiler of torch that rounds otherwise, and needs none of C++.
    properly = torch.nn.Module.compile
    backend = "aot_eager_decomp_partition"
    monkeypatch.setattr(torch.nn.Module, "compile", lambda block, **how: properly(block, backend=backend, **how))
    settings: dict[str, Any] = {
        "model": checkpoints["denoiser"], "axes": "ZYX", "tile": 64, "halo": 8, "value_range": (100, 1200),
        "chunks": (1, 64, 64), "shards": (1, 64, 64), "device": "cpu", "dtype": "float32",
    }  # fmt: skip
    predictor.release_predictors()
    plan = api.plan(stack, backend="compiled", **settings)
    output = tmp_path / "out.zarr"
    list(api.run(plan, output))
    stored = np.asarray(ome_zarr.open_level(output, 0)[...])

    region = (slice(1, 2), slice(20, 75), slice(30, 90))
    np.testing.assert_array_equal(api.part(plan, region), stored[region])
    lazy = api.restore(da.from_array(stack, chunks=(1, 40, 50)), backend="compiled", **settings)
    np.testing.assert_array_equal(lazy[region].compute(scheduler="synchronous"), stored[region])
    np.testing.assert_array_equal(api.restore(stack, backend="compiled", **settings), stored)
    assert api.report(plan).seconds > 0
    assert api.verify(output, recompute=2, source=stack).ok
    assert predictor._load.cache_info().currsize == 1  # nobody has loaded another one

    # And it is another one without being compiled, or the above would say nothing.
    plain = api.part(api.plan(stack, backend="eager", **settings), region)
    assert 0 < np.abs(plain - stored[region]).max() < 1
