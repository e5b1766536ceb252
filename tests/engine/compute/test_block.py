"""What a block does when the source, the memory or the device fails under it."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zarr
from stored_files import files

from napari_restore import api, retrying
from napari_restore.engine.compute import block as task
from napari_restore.engine.compute import lost_devices as devices
from napari_restore.engine.compute.block import Receipt
from napari_restore.engine.compute.predictor import Predictor, predictor_of
from napari_restore.engine.hardware.device import CPU, Device
from napari_restore.engine.planning import plan as plan_module
from napari_restore.engine.run.local import run_blocks
from napari_restore.engine.store.sinks import ArraySink
from napari_restore.errors import ChunkError, DeviceLost, OutOfMemory
from napari_restore.images.image import Image
from napari_restore.images.writing.layout import WriteUnit

SETTINGS: dict[str, Any] = {
    "axes": "ZYX", "chunks": (1, 64, 64), "shards": (1, 64, 64), "tile": 64, "halo": 8, "value_range": (100, 1200),
    "workers": 1,
}  # fmt: skip
GPU = Device("cuda", 0)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "sleep", lambda seconds: None)
    monkeypatch.setattr(devices, "_lost", set())


@pytest.fixture
def source(tmp_path: Path, stack: np.ndarray) -> Path:
    """A Zarr with checksums, in chunks that are not those of the result."""
    array = zarr.create_array(
        tmp_path / "in.zarr", shape=stack.shape, dtype=stack.dtype, chunks=(1, 40, 40),
        compressors=zarr.codecs.ZstdCodec(checksum=True), dimension_names=("z", "y", "x"),
    )  # fmt: skip
    array[:] = stack
    return tmp_path / "in.zarr"


def flip(path: Path) -> Callable[[], object]:
    """Flip a bit of a file; what is returned puts it back."""
    whole = path.read_bytes()
    path.write_bytes(whole[:-9] + bytes([whole[-9] ^ 4]) + whole[-8:])
    return lambda: path.write_bytes(whole)


def receipts(plan: Any) -> list[Receipt]:
    """Restore into memory, and collect what each block leaves."""
    found: list[Receipt] = []
    for _ in run_blocks(plan, ArraySink(plan), found.append):
        pass
    return found


def test_a_damaged_chunk_is_named(source: Path, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    flip(source / "c/1/0/1")
    with pytest.raises(ChunkError, match=r"in.zarr: chunk \(1, 0, 1\).*'c/1/0/1'.*damaged"):
        api.restore(source, model=checkpoints["local"], output=tmp_path / "out.zarr", **SETTINGS)


def test_a_damaged_chunk_is_filled_listed_and_healed(
    source: Path, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    settings = SETTINGS | {"model": checkpoints["local"]}
    api.restore(source, output=tmp_path / "whole.zarr", **settings)
    heal, output = flip(source / "c/1/0/1"), tmp_path / "out.zarr"
    api.restore(source, output=output, on_error="fill", **settings)
    whole, filled = (zarr.open_array(path, path="0")[:] for path in (tmp_path / "whole.zarr", output))
    assert (filled[1, :40, 40:80] == 100).all()
    other = np.ones(whole.shape, bool)
    other[1] = False
    np.testing.assert_array_equal(filled[other], whole[other])
    found = api.verify(output)
    # The chunk lies in two blocks of its plane, and in the halo of the two others.
    assert list(found.filled) == [WriteUnit(0, (1, y, x)) for y in (0, 1) for x in (0, 1)] and not found.ok
    assert "filled: level 0, unit 1/0/0" in str(found) and "chunk (1, 0, 1)" in str(found)
    assert list(api.verify(output, repair=True).filled) == list(found.filled)  # the source is as damaged as before
    np.testing.assert_array_equal(zarr.open_array(output, path="0")[:], filled)
    heal()
    assert api.verify(output, repair=True).ok
    assert contents(output) == contents(tmp_path / "whole.zarr")


def contents(path: Path) -> dict[str, bytes]:
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*/c/**/*") if file.is_file()}


@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_a_source_that_was_mended_leaves_no_trace(
    source: Path, checkpoints: dict[str, Path], tmp_path: Path, version: str
) -> None:
    settings = SETTINGS | {"model": checkpoints["local"], "ome_version": version}
    settings["shards"] = settings["shards"] if version == "0.5" else None
    api.restore(source, output=tmp_path / "whole.zarr", **settings)
    heal = flip(source / "c/1/0/1")
    with pytest.raises(ChunkError):
        api.restore(source, output=tmp_path / "out.zarr", **settings)
    heal()
    api.restore(source, output=tmp_path / "out.zarr", **settings)
    assert files(tmp_path / "out.zarr") == files(tmp_path / "whole.zarr") and api.verify(tmp_path / "out.zarr").ok


def test_a_value_range_is_chosen_from_what_can_be_read(
    source: Path, checkpoints: dict[str, Path], stack: np.ndarray, tmp_path: Path
) -> None:
    flip(source / "c/1/0/1")
    settings = {"model": checkpoints["local"], **SETTINGS, "value_range": None}
    with pytest.raises(ChunkError):
        api.plan(source, **settings)
    chosen = api.plan(source, on_error="fill", **settings)
    assert chosen.recipe.value_range == api.plan(stack[[0, 2]], **settings).recipe.value_range


def test_what_is_filled_does_not_depend_on_the_blocks(
    source: Path, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    flip(source / "c/0/1/1")
    results = []
    for side in (64, 128):
        layout = {"chunks": (1, 64, 64), "shards": (1, side, side), "model": checkpoints["local"]}
        api.restore(source, output=tmp_path / f"{side}.zarr", on_error="fill", **SETTINGS | layout)
        results.append(zarr.open_array(tmp_path / f"{side}.zarr", path="0")[:])
    np.testing.assert_array_equal(*results)


def test_channels_are_filled_each_with_its_own_value(stack: np.ndarray, checkpoints: dict[str, Path]) -> None:
    class Broken:
        shape, dtype = (2, 64, 64), np.dtype("u2")

        def __getitem__(self, region: tuple[slice, ...]) -> np.ndarray:
            if region[2].stop > 32:
                raise ValueError("broken")
            return np.full([s.stop - s.start for s in region], 500, "u2")

    image = Image(Broken(), "CYX", chunks=(1, 64, 32))
    plan = api.plan(stack[:2, :64, :64], model=checkpoints["local"], **SETTINGS | {"axes": "CYX"})
    ranges = ((100.0, 900.0), (200.0, 900.0))
    recipe = plan.recipe.model_copy(update={"on_error": "fill", "value_range": ranges})
    plan = replace(plan, image=image, recipe=recipe)
    sink, found = ArraySink(plan), []
    list(run_blocks(plan, sink, found.append))
    assert sink.array[0, :, 32:].tolist() == np.full((64, 32), 100).tolist()
    assert sink.array[1, :, 32:].tolist() == np.full((64, 32), 200).tolist()
    assert all("broken" in receipt.filled[0] for receipt in found)


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES])
def test_a_disk_that_fails_for_a_moment_is_asked_again(
    stack: np.ndarray, checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    plan, read, left = api.plan(stack, model=checkpoints["local"], **SETTINGS), Image.read, 2

    def failing(image: Image, region: tuple[slice, ...]) -> np.ndarray:
        nonlocal left
        if left:
            left -= 1
            raise ChunkError("somewhere") from OSError(number, "for a moment")
        return read(image, region)

    monkeypatch.setattr(Image, "read", failing)
    found = receipts(plan)
    assert [receipt.retries for receipt in found] == [2] + [0] * (plan.blocks - 1)
    assert found[0].failures == ("somewhere",) * 2


def test_a_disk_that_fails_for_good(
    stack: np.ndarray, checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, tries = api.plan(stack, model=checkpoints["local"], **SETTINGS), 0

    def failing(image: Image, region: tuple[slice, ...]) -> np.ndarray:
        nonlocal tries
        tries += 1
        raise ChunkError("somewhere") from OSError(errno.EIO, "for good")

    monkeypatch.setattr(Image, "read", failing)
    with pytest.raises(ChunkError, match="somewhere"):
        receipts(plan)
    assert tries in (4, 8)  # another block may have begun


def test_a_smaller_batch_is_on_the_receipt(
    stack: np.ndarray, checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = api.plan(stack, model=checkpoints["local"], **SETTINGS | {"batch": 4, "shards": (1, 128, 128)})
    roomy = Predictor(predictor_of(plan)._network, CPU)
    forward = roomy._forward

    def narrow(tiles: np.ndarray, size: int) -> np.ndarray:
        if size > 2:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")
        return forward(tiles, size)

    monkeypatch.setattr(roomy, "_forward", narrow)
    monkeypatch.setattr(task, "predictor_of", lambda *_: roomy)
    assert {receipt.batch for receipt in receipts(plan)} == {2}


def test_memory_that_comes_back(
    stack: np.ndarray, checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, compute, left = api.plan(stack, model=checkpoints["local"], **SETTINGS), task.restore_region, 2

    def failing(*arguments: Any) -> np.ndarray:
        nonlocal left
        left -= 1
        if left >= 0:
            raise MemoryError("Unable to allocate 1. GiB")
        return compute(*arguments)

    monkeypatch.setattr(task, "restore_region", failing)
    found = receipts(plan)
    assert found[0].retries == 2 and "out of memory" in found[0].failures[0]
    left = 100
    with pytest.raises(OutOfMemory, match="fewer workers"):
        receipts(plan)


@pytest.mark.parametrize("error", [RuntimeError("CUDA error: unspecified launch failure"), "AcceleratorError"])
def test_a_device_that_is_lost(
    stack: np.ndarray, checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch, error: Any
) -> None:
    if isinstance(error, str):
        if not hasattr(torch, error):
            pytest.skip(f"this torch has no {error}")
        error = getattr(torch, error)("CUDA error: the launch timed out and was terminated")
    plan = api.plan(stack, model=checkpoints["local"], **SETTINGS)
    expected = ArraySink(plan)
    list(run_blocks(plan, expected))
    calls = 0

    def on_a_gpu(plan: Any, device: Device = GPU) -> Any:
        predict = predictor_of(plan, CPU)

        def dying(tiles: np.ndarray, batch: int) -> np.ndarray:
            nonlocal calls
            calls += 1
            if calls > 8:
                raise error
            return predict(tiles, batch)

        return dying if device == GPU else predict

    monkeypatch.setattr(task, "predictor_of", on_a_gpu)
    monkeypatch.setattr("napari_restore.engine.run.local.predictor_of", on_a_gpu)
    recipe = plan.recipe.model_copy(update={"device": "cuda:0"})
    with pytest.raises(DeviceLost, match=r"cuda:0 stopped working.*device='auto'"):
        receipts(replace(plan, recipe=recipe))
    calls, devices._lost = 0, set()
    chosen = replace(plan, recipe=recipe, spares=(CPU,))
    sink, found = ArraySink(chosen), []
    list(run_blocks(chosen, sink, found.append))
    assert {receipt.device for receipt in found} == {"cuda:0", "cpu"}
    assert sum(receipt.retries for receipt in found) == 1
    np.testing.assert_array_equal(sink.array, expected.array)


def test_an_error_of_the_program_is_no_lost_device() -> None:
    assert not devices.is_device_lost(RuntimeError("shapes cannot be multiplied"), GPU)
    assert not devices.is_device_lost(RuntimeError("CUDA error: out of memory"), GPU)
    assert not devices.is_device_lost(RuntimeError("CUDA error: unspecified launch failure"), CPU)


def test_spares_only_where_the_device_was_left_open(stack: np.ndarray, checkpoints: dict[str, Path]) -> None:
    named = api.plan(stack, model=checkpoints["local"], **SETTINGS | {"device": "cpu"})
    assert named.spares == ()


def test_what_all_channels_share_is_worked_out_once(
    checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the work grows with the square of the channels."""
    image = np.random.default_rng(0).poisson(100, (40, 8, 8)).astype(np.uint16)
    plan = api.plan(image, axes="CYX", model=checkpoints["local"])
    calls, scales_of = [], plan_module.scales_of
    monkeypatch.setattr(plan_module, "scales_of", lambda *arguments: calls.append(1) or scales_of(*arguments))
    for _ in api.run(plan, np.zeros(plan.shape, plan.dtype)):
        pass
    assert plan.blocks == 40 and len(calls) == 1
