"""The steps before and after a network on a GPU have the bits of those on the host, and a safe order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stand_in_gpu import OnStandIn, StandIn, stand_in_gpu

from napari_restore import api
from napari_restore.engine.compute.gpu.planes import GpuPlane
from napari_restore.engine.compute.predictor import Predictor
from napari_restore.engine.compute.region import restore_region
from napari_restore.engine.hardware.device import CPU, Device
from napari_restore.engine.planning.plan import Plan
from napari_restore.errors import ModelError
from napari_restore.images.lazy_arrays import Region

GPU = Device("cuda", 0)


class Sharpens(torch.nn.Module):
    """Elementwise, so that a batch on the stand-in has the bits of one on the CPU."""

    scale = 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x * 1.7 - 0.3
        if self.scale > 1:
            y = y.repeat_interleave(self.scale, -1).repeat_interleave(self.scale, -2)
        return y * y


class Enlarges(Sharpens):
    scale = 2


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with stand_in_gpu(monkeypatch) as found:
        yield found


@pytest.fixture
def on_gpu(monkeypatch: pytest.MonkeyPatch) -> list[GpuPlane]:
    """Planes that were finished on the GPU."""
    found: list[GpuPlane] = []
    enter = GpuPlane.enter

    def entered(plane: GpuPlane, *arguments: Any) -> Any:
        found.extend([plane] if plane.normalised is None else [])
        return enter(plane, *arguments)

    monkeypatch.setattr(GpuPlane, "enter", entered)
    return found


def pixels(dtype: type[np.generic], shape: tuple[int, ...] = (2, 150, 170)) -> np.ndarray:
    rng = np.random.default_rng(0)
    bright = (60 if dtype is np.int8 else 100) + 20 * np.sin(np.arange(shape[-1]) / 9)
    return rng.poisson(np.broadcast_to(bright, shape) * (1 if np.dtype(dtype).itemsize == 1 else 200)).astype(dtype)


def plan_of(given: np.ndarray, model: Path, axes: str = "ZYX", **settings: Any) -> Plan:
    high = float(given.max()) * 0.8
    return api.plan(
        given, axes=axes, model=model, device="cpu", tile=64, blend=8, batch=3, precision="float32", backend="eager",
        value_range=(high / 7, high), valid_range=(-1, 1e6), fill_values=(), **settings,
    )  # fmt: skip


def same(plan: Plan, region: Region, network: torch.nn.Module, *, graph: bool = False) -> np.ndarray:
    """Check that a region has the same bits on both, and return it."""
    expected = restore_region(plan, region, Predictor(network, CPU))
    found = restore_region(plan, region, Predictor(OnStandIn(network, graph=graph), GPU))
    np.testing.assert_array_equal(found, expected, strict=True)
    return found


WHOLE = (slice(0, 2), slice(0, 150), slice(0, 170))
REGIONS = [WHOLE, (slice(1, 2), slice(37, 101), slice(90, 170)), (slice(0, 1), slice(149, 150), slice(0, 1))]


@pytest.mark.parametrize("graph", [False, True], ids=["a result each", "one memory for all results"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16, np.float32])
def test_bits_are_those_of_the_host(
    gpu: StandIn, on_gpu: list[GpuPlane], checkpoints: dict[str, Path], dtype: type[np.generic], graph: bool
) -> None:
    plan = plan_of(pixels(dtype), checkpoints["local"])
    for region in REGIONS:
        found = same(plan, region, Sharpens(), graph=graph)
        assert found.dtype == dtype and (len(np.unique(found)) > 1 or found.size == 1)
    assert len(on_gpu) == 4 and gpu.faults == []


def test_values_beyond_the_type_are_clipped_alike(
    gpu: StandIn, on_gpu: list[GpuPlane], checkpoints: dict[str, Path]
) -> None:
    class Extremes(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x - 0.8) * 1e4

    plan = plan_of(pixels(np.uint16), checkpoints["local"])
    found = same(plan, WHOLE, Extremes())
    assert {0, 65535} <= set(np.unique(found).tolist()) and len(on_gpu) == 2


def test_super_resolution(gpu: StandIn, on_gpu: list[GpuPlane], checkpoints: dict[str, Path]) -> None:
    plan = plan_of(pixels(np.uint16), checkpoints["upscaler"])
    for region in ((slice(0, 2), slice(0, 300), slice(0, 340)), (slice(0, 1), slice(31, 205), slice(3, 340))):
        same(plan, region, Enlarges())
    assert len(on_gpu) == 3 and gpu.faults == []


def test_colours(gpu: StandIn, on_gpu: list[GpuPlane], checkpoints: dict[str, Path]) -> None:
    plan = plan_of(pixels(np.uint8, (70, 90, 3)), checkpoints["colour_denoiser"], "YXS")
    same(plan, (slice(0, 70), slice(0, 90), slice(0, 3)), Sharpens())
    assert len(on_gpu) == 1 and gpu.faults == []


def test_planes_with_other_steps_stay_on_the_host(
    gpu: StandIn, on_gpu: list[GpuPlane], checkpoints: dict[str, Path]
) -> None:
    """One hot pixel, an area beyond the range, a fill value: in one plane of three, the other two are on the GPU."""
    given = pixels(np.uint16, (3, 150, 170))
    for change in ("hot", "area", "fill"):
        image = given.copy()
        image[1, 40 : 41 if change == "hot" else 50, 60 : 61 if change == "hot" else 70] = (
            0 if change == "fill" else 60000
        )
        plan = plan_of(image, checkpoints["local"])
        limits = {"valid_range": ((0.0, 50000.0),), "fill_values": ((0.0,),)}
        plan = replace(plan, recipe=plan.recipe.model_copy(update=limits))
        on_gpu.clear()
        same(plan, (slice(0, 3), slice(0, 150), slice(0, 170)), Sharpens())
        assert len(on_gpu) == 2 and gpu.faults == []


def test_batches_become_smaller_where_memory_runs_out(
    gpu: StandIn, on_gpu: list[GpuPlane], checkpoints: dict[str, Path]
) -> None:
    class Small(Sharpens):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            held = super().forward(x)
            if len(x) > 1 and x.is_cuda:
                raise torch.OutOfMemoryError("no room")
            return held

    same(plan_of(pixels(np.uint16), checkpoints["local"]), WHOLE, Small())
    assert len(on_gpu) == 2 and gpu.emptied and gpu.faults == []


def test_infinite_values_are_an_error(gpu: StandIn, on_gpu: list[GpuPlane], checkpoints: dict[str, Path]) -> None:
    class Broken(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x / 0

    plan = plan_of(pixels(np.uint16), checkpoints["local"])
    with pytest.raises(ModelError, match="NaN or infinite"):
        restore_region(plan, WHOLE, Predictor(OnStandIn(Broken()), GPU))
    assert on_gpu


def test_copies_overlap_with_computation(gpu: StandIn, on_gpu: list[GpuPlane], checkpoints: dict[str, Path]) -> None:
    """The lane waits for the GPU only when small arrays are first copied there; the caller, for the rows."""
    plan = plan_of(pixels(np.uint16), checkpoints["local"])
    predict = Predictor(OnStandIn(Sharpens()), GPU)
    restore_region(plan, WHOLE, predict)
    gpu.waits.clear()
    gpu.works.clear()
    restore_region(plan, WHOLE, predict)
    assert "copy in that the host waits for" not in {work.what for work in gpu.works}
    assert {waiting for waiting, _ in gpu.waits} == {"cuda:0/default", predict._copies.outgoing.name, gpu.host()}
