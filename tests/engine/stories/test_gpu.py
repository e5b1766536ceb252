"""What only a GPU can show. `benchmarks/gpu.py` runs these tests where there is one.

The order of copies and computations is checked without a GPU in tests/engine/compute/gpu/test_copies.py.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_restore import api
from napari_restore.engine.compute.backends.openvino import FLOAT32_ERROR
from napari_restore.engine.compute.gpu.copies import Arriving, Copies
from napari_restore.engine.compute.predictor import Predictor, predictor_for, release_predictors
from napari_restore.engine.compute.region import restore_region
from napari_restore.engine.hardware.arithmetic import arithmetic
from napari_restore.engine.hardware.device import CPU, Device
from napari_restore.engine.hardware.devices import free_memory
from napari_restore.engine.hardware.precision import BFLOAT16_ERROR, choose_precision
from napari_restore.errors import OutOfMemory
from napari_restore.models.card import ModelCard
from napari_restore.models.zoo import find_card

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU: torch.cuda.is_available() is false"),
]
GPU = Device("cuda", 0)
BUNDLED = ("restormer-denoise-light", "restormer-denoise-rgb-light", "swinir-denoise-light", "swinir-x2-light")
TINY = ("denoiser", "local", "upscaler")
TWO = pytest.mark.skipif(torch.cuda.device_count() < 2, reason=f"{torch.cuda.device_count()} GPU, and two are needed")
TRITON = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")


@pytest.fixture(autouse=True)
def nothing_loaded() -> Iterator[None]:
    release_predictors()
    yield
    release_predictors()


def tiles(count: int, side: int = 64, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(count).random((count, channels, side, side), np.float32)


def span(image: np.ndarray) -> float:
    return max(1.0, float(np.abs(image).max()))


def on_both(card: ModelCard, precision: str = "float32") -> tuple[np.ndarray, np.ndarray]:
    """The same tiles on the GPU, and on the CPU in float32."""
    given = tiles(3, 64, card.in_channels)
    return predictor_for(card, GPU, precision)(given, 4), predictor_for(card, CPU)(given, 4)


@pytest.mark.parametrize("name", [*TINY, *BUNDLED])
def test_float32_is_that_of_a_cpu(checkpoints: dict[str, Path], name: str) -> None:
    """Convolutions in TF32, as torch computes them on a GPU by default, would differ by 1e-3."""
    found, expected = on_both(find_card(checkpoints.get(name, name)))
    assert np.abs(found - expected).max() <= FLOAT32_ERROR * span(expected)


@pytest.mark.parametrize("name", BUNDLED)
def test_bfloat16_loses_no_more_than_is_allowed(name: str) -> None:
    card = find_card(name)
    if choose_precision(card, GPU) == "float32":
        pytest.skip(f"{name} is not run in bfloat16 on this GPU")
    found, expected = on_both(card, "bfloat16")
    assert 0 < np.sqrt(np.square(found - expected).mean()) <= BFLOAT16_ERROR * span(expected)


class Slow(torch.nn.Module):
    """Doubles its input, after the GPU has waited: work in a wrong order then gives wrong results."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch.cuda._sleep(20_000_000)
        return x * 2


def test_batches_of_a_stream_are_not_mixed_up() -> None:
    counts = np.random.default_rng(0).integers(1, 5, 60)
    found = Predictor(Slow(), GPU).stream((tiles(int(count), 256) + n for n, count in enumerate(counts)), 4)
    for n, (count, result) in enumerate(zip(counts, found, strict=True)):
        np.testing.assert_array_equal(result, (tiles(int(count), 256) + np.float32(n)) * 2)


@pytest.mark.parametrize("name", TINY)
def test_a_stream_gives_the_bits_of_single_batches(checkpoints: dict[str, Path], name: str) -> None:
    predict = predictor_for(find_card(checkpoints[name]), GPU)
    single = [predict(tiles(n % 4 + 1), 4) for n in range(40)]
    for found, expected in zip(predict.stream((tiles(n % 4 + 1) for n in range(40)), 4), single, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_copies_are_pinned_and_do_not_wait() -> None:
    copies = Copies(torch.device("cuda:0"))

    def begun() -> Arriving[np.ndarray]:
        with torch.inference_mode():
            pinned, copied = copies.to_gpu(tiles(2))
            assert pinned.is_pinned() and copied.is_cuda
            return copies.to_host((copied * 2,), lambda arrays: arrays[0].copy(), (pinned,), (copied,))

    begun().result()  # makes the pinned memory, for which the host may wait
    torch.cuda._sleep(2_000_000_000)  # a second or so
    part = begun()
    assert part._arrived is not None and not part._arrived.query(), "the host waited for the GPU"
    np.testing.assert_array_equal(part.result(), tiles(2) * 2)


@pytest.mark.parametrize("name", ["local", "upscaler"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_steps_on_the_gpu_have_the_bits_of_those_on_the_host(
    checkpoints: dict[str, Path], name: str, dtype: type[np.generic]
) -> None:
    given = np.random.default_rng(0).poisson(100, (2, 300, 500)).astype(dtype)
    plan = api.plan(
        given, axes="ZYX", model=checkpoints[name], device="cuda:0", tile=64, value_range=(10, 180), batch=8,
        valid_range=(0, 1e6), fill_values=(), precision="float32", backend="eager",
    )  # fmt: skip
    region, predict = tuple(slice(0, size) for size in plan.shape), predictor_for(plan.card, GPU)
    assert predict.takes_planes
    on_host = restore_region(plan, region, lambda tiles, batch: predict(tiles, batch))
    np.testing.assert_array_equal(restore_region(plan, region, predict), on_host)


def peak_bytes() -> int:
    return torch.cuda.max_memory_reserved()


def test_out_of_memory_makes_the_batch_smaller(checkpoints: dict[str, Path]) -> None:
    predict = predictor_for(find_card(checkpoints["denoiser"]), GPU)
    expected = [predict(tiles(8, 512)[n : n + 1], 1)[0] for n in range(8)]
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    predict(tiles(1, 512), 1)
    whole = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(2.6 * peak_bytes() / whole)
    try:
        found = predict(tiles(8, 512), 8)
        assert predict.largest_batch in (1, 2, 4)
        np.testing.assert_allclose(found, np.stack(expected), rtol=0, atol=FLOAT32_ERROR * span(np.stack(expected)))
        with pytest.raises(OutOfMemory, match="one tile of 2048 x 2048 pixels does not fit the memory of cuda:0"):
            predict(tiles(1, 2048), 1)
        # And what fits still works.
        np.testing.assert_allclose(predict(tiles(8, 512), 8), found, rtol=0, atol=1e-6)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


LOSES_THE_GPU = """
import json, sys
import numpy as np, torch
from napari_restore import api
from napari_restore.engine.compute.backends.backend import Backend
from napari_restore.engine.compute.predictor import predictor_of
from napari_restore.engine.run.local import run_blocks
from napari_restore.engine.store.sinks import ArraySink

stack = np.random.default_rng(0).poisson(200, (6, 128, 128)).astype(np.uint16)
settings = dict(axes="ZYX", model=sys.argv[1], value_range=(0, 400), shards=(1, 128, 128), chunks=(1, 128, 128),
                precision="float32", backend="eager", workers=1)
plan = api.plan(stack, device="auto", **settings)

class Dies(Backend):
    def __init__(self, network):
        self.network, self.calls = network, 0
    def __call__(self, tiles):
        self.calls += 1
        if self.calls == 3:
            torch.zeros(1, device="cuda")[torch.tensor([7], device="cuda")]  # a device-side assertion
            if sys.argv[2] == "at once":
                torch.cuda.synchronize()
        return self.network(tiles)

predictor = predictor_of(plan)
predictor._network = Dies(predictor._network)
sink, receipts = ArraySink(plan), []
list(run_blocks(plan, sink, receipts.append))
before = api.plan(stack, device="cpu", **settings)
expected = ArraySink(before)
list(run_blocks(before, expected))
apart = np.abs(sink.array.astype(int) - expected.array).max()
print(json.dumps({"devices": sorted({receipt.device for receipt in receipts}), "apart": int(apart)}))
"""


@pytest.mark.parametrize("when", ["at once", "later"])
def test_a_gpu_that_is_lost_is_replaced(checkpoints: dict[str, Path], when: str) -> None:
    """In a process of its own, as a GPU does not come back to a process that has lost it."""
    command = [sys.executable, "-c", LOSES_THE_GPU, str(checkpoints["local"]), when]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert "cuda:0" in found["devices"] and len(found["devices"]) == 2 and found["apart"] <= 1


def stack() -> np.ndarray:
    return np.random.default_rng(0).poisson(200, (5, 200, 300)).astype(np.uint16)


def settings(checkpoints: dict[str, Path], name: str = "local") -> dict[str, object]:
    return {
        "axes": "ZYX", "model": checkpoints[name], "value_range": (0, 400), "precision": "float32", "backend": "eager",
        "shards": (1, 256, 256), "chunks": (1, 128, 128),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["denoiser", "local"])
def test_a_whole_job_is_that_of_a_cpu(checkpoints: dict[str, Path], tmp_path: Path, name: str) -> None:
    for device in ("cpu", "cuda:0"):
        api.denoise(stack(), tmp_path / f"{device[:3]}.zarr", device=device, **settings(checkpoints, name))
    found, expected = (np.asarray(api.open_image(tmp_path / f"{name}.zarr").data[...]) for name in ("cud", "cpu"))
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_a_job_that_was_stopped_goes_on_with_the_same_bits(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    given = settings(checkpoints) | {"device": "cuda:0"}
    api.denoise(stack(), tmp_path / "whole.zarr", **given)
    events = api.run(api.plan(stack(), **given), tmp_path / "stopped.zarr")
    for event in events:
        if event.done == 2:
            break
    events.close()
    api.denoise(stack(), tmp_path / "stopped.zarr", **given)
    whole, stopped = (np.asarray(api.open_image(tmp_path / name).data[...]) for name in ("whole.zarr", "stopped.zarr"))
    np.testing.assert_array_equal(whole, stopped)


@TWO
def test_several_gpus_give_the_bytes_of_one(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    for device in ("cuda:0", "cuda:all"):
        api.denoise(stack(), tmp_path / f"{device.replace(':', '')}.zarr", device=device, **settings(checkpoints))
    one, several = (np.asarray(api.open_image(tmp_path / name).data[...]) for name in ("cuda0.zarr", "cudaall.zarr"))
    np.testing.assert_array_equal(one, several)


@TWO
def test_the_second_gpu_computes_on_itself(checkpoints: dict[str, Path]) -> None:
    card = find_card(checkpoints["local"])
    before = torch.cuda.memory_allocated(0)
    found = predictor_for(card, Device("cuda", 1))(tiles(2), 2)
    assert torch.cuda.memory_allocated(0) == before and torch.cuda.memory_allocated(1) > 0
    np.testing.assert_allclose(found, predictor_for(card, GPU)(tiles(2), 2), rtol=0, atol=FLOAT32_ERROR * span(found))


@TRITON
@pytest.mark.filterwarnings("default")  # of torch's compiler, in other versions of torch and Triton
def test_compiled_graphs_of_two_models(checkpoints: dict[str, Path], caplog: pytest.LogCaptureFixture) -> None:
    """Each on a thread of its own; a result stays as it is while the graph computes the next ones."""
    caplog.set_level(logging.WARNING)
    for name in ("denoiser", "local"):
        card = find_card(checkpoints[name])
        compiled, eager = (predictor_for(card, GPU, backend=backend) for backend in ("compiled", "eager"))
        expected = [eager(tiles(n % 4 + 1), 4) for n in range(12)]
        found = list(compiled.stream((tiles(n % 4 + 1) for n in range(12)), 4))
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=2 * FLOAT32_ERROR * span(other))
    assert not [text for text in caplog.messages if "could not be compiled" in text]


@pytest.mark.parametrize("name", BUNDLED)
def test_a_batch_takes_no_more_memory_than_is_planned(name: str) -> None:
    card = find_card(name)
    given, predict = tiles(4, 256, card.in_channels), predictor_for(card, GPU)
    predict(given, 4)  # libraries take their own memory once
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    predict(given, 4)
    assert torch.cuda.max_memory_allocated() - before <= given.size / card.in_channels * card.bytes_per_pixel


def test_what_is_said_of_a_gpu() -> None:
    assert 0 < free_memory(GPU) <= torch.cuda.get_device_properties(0).total_memory
    said = arithmetic("cuda:0")
    assert said["chip"] == torch.cuda.get_device_name(0) and said["TF32"] == "False"
