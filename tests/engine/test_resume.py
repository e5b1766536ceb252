"""Nothing that is stored is lost, and a run that was interrupted ends as one that was not: byte for byte."""

from __future__ import annotations

import errno
import gc
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from stored_files import files

from napari_restore import api
from napari_restore.engine.compute import block as task
from napari_restore.engine.store.resume import continues
from napari_restore.errors import DiskFull, ModelError, OutputError
from napari_restore.images.staging import Stage

SETTINGS: dict[str, Any] = {"tile": 64, "halo": 4, "workers": 2}
PLANES = 18


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stack of 18 blocks, wide enough for a second level."""
    path = tmp_path_factory.mktemp("source") / "stack.tif"
    pixels = np.random.default_rng(0).poisson(100, (PLANES, 32, 260)).astype(np.uint16)
    tifffile.imwrite(path, pixels, photometric="minisblack", metadata={"axes": "ZYX"})
    return path


@pytest.fixture(scope="module")
def whole(source: Path, checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Every file of a run that nothing interrupted."""
    path = tmp_path_factory.mktemp("whole") / "whole.zarr"
    api.denoise(source, path, model=checkpoints["denoiser"], **SETTINGS)
    return files(path)


def beside(path: Path) -> list[str]:
    """What is in the folder of a result, its report left out."""
    return [name for name in os.listdir(path.parent) if ".report." not in name]


def stored(path: Path) -> int:
    """How many blocks are stored."""
    return sum(not file.name.endswith(".partial") for file in path.glob("0/c/*/*/*"))


def begin(source: Path, output: Path, model: Path, *, blocks: int, **settings: Any) -> None:
    """Run until some blocks are stored, and close."""
    events = api.iter_restore(source, output=output, model=model, **SETTINGS | settings)
    next(event for event in events if event.done >= blocks)
    events.close()
    assert blocks <= stored(output) < PLANES


def test_killed_at_three_moments(
    source: Path, checkpoints: dict[str, Path], whole: dict[str, bytes], tmp_path: Path
) -> None:
    output, rng = tmp_path / "out.zarr", np.random.default_rng(7)
    # As many threads as in this process: with others, sums are taken in another order, and a last bit may differ.
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    command = [sys.executable, "-m", "napari_restore", "denoise", str(source), str(output), "--quiet"]
    command += ["--model", str(checkpoints["denoiser"]), "--tile", "64", "--halo", "4", "--workers", "2"]
    for _ in range(3):
        target = stored(output) + int(rng.integers(1, 4))
        child = subprocess.Popen(command, env=environment)
        while stored(output) < target:
            assert child.poll() is None, "the run ended before it could be killed"
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.05))
        child.kill()
        assert child.wait() == -9
        assert target <= stored(output) < PLANES
    subprocess.run(command, check=True, env=environment)
    assert files(output) == whole


def test_closed_within_a_batch(
    source: Path,
    checkpoints: dict[str, Path],
    whole: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output, calls, closing = tmp_path / "out.zarr", 0, threading.Event()
    predictor_for = task.predictor_for

    def counting(*arguments: Any, **how: Any) -> Callable[..., Any]:
        predict = predictor_for(*arguments, **how)

        def counted(tiles: np.ndarray, batch: int) -> np.ndarray:
            nonlocal calls
            calls += 1
            assert not closing.wait(0)
            return predict(tiles, batch)

        return counted

    monkeypatch.setattr(task, "predictor_for", counting)
    events = api.iter_restore(source, output=output, model=checkpoints["denoiser"], **SETTINGS)
    next(event for event in events if event.tiles_done > 0)
    before = calls
    events.close()
    assert calls <= before + 2 * SETTINGS["workers"]  # the batches in progress, not the blocks
    assert stored(output) < PLANES
    closing.set()  # from here on, a batch would be one of the closed run
    time.sleep(0.2)
    monkeypatch.setattr(task, "predictor_for", predictor_for)
    api.denoise(source, output, model=checkpoints["denoiser"], **SETTINGS)
    assert files(output) == whole


def test_lost_and_empty_objects_are_made_again(
    source: Path, checkpoints: dict[str, Path], whole: dict[str, bytes], tmp_path: Path
) -> None:
    output = tmp_path / "out.zarr"
    api.denoise(source, output, model=checkpoints["denoiser"], **SETTINGS)
    (output / "0/c/3/0/0").unlink()
    (output / "0/c/4/0/0").write_bytes(b"")
    (output / "1/c/5/0/0").unlink()
    (output / "1/c/6/0" / f"0.{'0a' * 16}.partial").write_bytes(b"half of it")
    api.denoise(source, output, model=checkpoints["denoiser"], **SETTINGS)
    assert files(output) == whole


def test_settings_left_open_and_how_to_run_may_differ(
    source: Path, checkpoints: dict[str, Path], whole: dict[str, bytes], tmp_path: Path
) -> None:
    output = tmp_path / "out.zarr"
    begin(source, output, checkpoints["denoiser"], blocks=2)
    api.denoise(source, output, model=checkpoints["denoiser"], workers=1)
    assert files(output) == whole


def test_settings_that_have_a_default_may_be_left_out_too(
    source: Path, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    output = tmp_path / "out.zarr"
    given: dict[str, Any] = {"dtype": "float32", "pyramid": False, "memory_budget": "3GB", "lanes": 2}
    begin(source, output, checkpoints["denoiser"], blocks=2, **given)
    plan = api.plan(source, model=checkpoints["denoiser"], output=output)
    assert (plan.recipe.dtype, plan.levels, plan.recipe.tile) == ("float32", 1, 64)
    assert plan.recipe.memory_budget is None and plan.recipe.lanes == api.plan(source).recipe.lanes
    with pytest.raises(OutputError, match=r"result.dtype: float32 there, uint16 now"):
        api.plan(source, model=checkpoints["denoiser"], output=output, dtype="same")


def test_the_batch_is_kept_on_the_same_kind_of_device(
    source: Path, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    output, chosen = tmp_path / "out.zarr", {"model": checkpoints["denoiser"], "output": tmp_path / "out.zarr"}
    begin(source, output, checkpoints["denoiser"], blocks=2, batch=3)
    assert api.plan(source, **chosen).recipe.batch == 3
    text = (output / "zarr.json").read_text()
    (output / "zarr.json").write_text(text.replace('"device": "cpu"', '"device": "cuda:0"'))
    assert api.plan(source, **chosen, device="cpu").recipe.batch == 1


def test_killed_while_it_was_made(
    source: Path, checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_restore.images.writing import ome_zarr

    output = tmp_path / "out.zarr"
    create = ome_zarr.create

    def half(path: Path, **settings: Any) -> None:
        create(path, **settings)
        (path / "1/zarr.json").unlink()
        raise KeyboardInterrupt

    monkeypatch.setattr(ome_zarr, "create", half)
    with pytest.raises(KeyboardInterrupt):
        api.denoise(source, output, model=checkpoints["denoiser"], **SETTINGS)
    gc.collect()
    assert os.listdir(tmp_path) == []
    monkeypatch.undo()
    begin(source, output, checkpoints["denoiser"], blocks=1)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"tile": 96}, "recipe.tile: 64 there, 96 now"),
        ({"value_range": (0, 200)}, "recipe.value_range: "),
        ({"dtype": "float32"}, "result.dtype: uint16 there, float32 now"),
        ({"pyramid": False}, "result.levels: 2 there, 1 now"),
        ({"chunks": (1, 16, 260)}, "recipe.chunks: "),
    ],
)
def test_another_recipe_is_refused(
    source: Path, checkpoints: dict[str, Path], begun: Path, settings: dict[str, Any], words: str
) -> None:
    before = files(begun)
    with pytest.raises(OutputError, match="result of another recipe") as caught:
        api.denoise(source, begun, model=checkpoints["denoiser"], **SETTINGS | settings)
    assert words in str(caught.value) and "overwrite" in str(caught.value)
    assert files(begun) == before


def test_other_weights_are_refused(source: Path, checkpoints: dict[str, Path], begun: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(checkpoints["denoiser"])
    state["output.weight"] *= 1.5
    other = tmp_path / "denoiser.safetensors"
    save_file(state, other)
    before = files(begun)
    with pytest.raises(
        OutputError, match=r"\(other weights: denoiser of SHA-256 \w{12} there, denoiser of \w{12} now\)"
    ):
        api.denoise(source, begun, model=other, **SETTINGS)
    assert files(begun) == before


def test_weights_that_change_at_their_place_are_noticed(
    source: Path, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    model, output = tmp_path / "model.safetensors", tmp_path / "out.zarr"
    shutil.copy(checkpoints["denoiser"], model)
    begin(source, output, model, blocks=1)
    before = files(output)
    state = load_file(model)
    state["output.weight"] *= 1.5
    save_file(state, model)
    with pytest.raises((OutputError, ModelError)):
        api.denoise(source, output, model=model, **SETTINGS)
    assert files(output) == before


@pytest.fixture
def other_source(source: Path, tmp_path: Path) -> Path:
    """As the source, but for one pixel in a hundred."""
    pixels = tifffile.imread(source)
    pixels.reshape(-1)[::100] += 1
    tifffile.imwrite(tmp_path / "other.tif", pixels, photometric="minisblack", metadata={"axes": "ZYX"})
    return tmp_path / "other.tif"


def test_another_source_of_the_same_shape_is_refused(
    source: Path, other_source: Path, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    output = tmp_path / "out.zarr"
    begin(source, output, checkpoints["denoiser"], blocks=1)
    before = files(output)
    with pytest.raises(
        OutputError, match=r"of another source \(.*stack.tif there, .*other.tif now: .* in 8 of 8 places"
    ):
        api.denoise(other_source, output, model=checkpoints["denoiser"], **SETTINGS)
    assert files(output) == before
    api.denoise(source, output, model=checkpoints["denoiser"], **SETTINGS)
    before = files(output)
    with pytest.raises(OutputError, match=r"--overwrite"):  # a result that is complete is no other's either
        api.denoise(other_source, output, model=checkpoints["denoiser"], **SETTINGS)
    assert files(output) == before


def test_a_source_that_was_moved_is_the_same(
    source: Path, checkpoints: dict[str, Path], whole: dict[str, bytes], tmp_path: Path
) -> None:
    begin(source, tmp_path / "out.zarr", checkpoints["denoiser"], blocks=1)
    shutil.copy(source, tmp_path / "moved.tif")
    api.denoise(tmp_path / "moved.tif", tmp_path / "out.zarr", model=checkpoints["denoiser"], **SETTINGS)
    assert files(tmp_path / "out.zarr") == whole


def test_a_result_that_does_not_know_its_source_goes_on(
    source: Path, checkpoints: dict[str, Path], whole: dict[str, bytes], tmp_path: Path
) -> None:
    output = tmp_path / "out.zarr"
    begin(source, output, checkpoints["denoiser"], blocks=1)
    content = json.loads((output / "zarr.json").read_text())
    content["attributes"]["napari_restore"].pop("source_crops")  # as earlier versions wrote it
    (output / "zarr.json").write_text(json.dumps(content))
    api.denoise(source, output, model=checkpoints["denoiser"], **SETTINGS)
    assert {name for name, content in files(output).items() if whole[name] != content} == {"zarr.json"}


def done_at_start(source: Path, output: Path, settings: dict[str, Any]) -> int:
    """How many blocks a run takes for done when it begins."""
    events = api.iter_restore(source, output=output, **settings)
    first = next(events)
    events.close()
    return first.done


def test_overwrite_goes_on_with_what_it_began_itself(
    source: Path, checkpoints: dict[str, Path], whole: dict[str, bytes], tmp_path: Path
) -> None:
    output, again = tmp_path / "out.zarr", {"model": checkpoints["denoiser"], "overwrite": True, **SETTINGS}
    begin(source, output, checkpoints["denoiser"], blocks=4, overwrite=True)
    plan = api.plan(source, **{name: value for name, value in again.items() if name != "overwrite"})
    assert continues(plan, output)
    vars(plan)["source_crops"] = {}  # as of a source that is out of reach
    assert continues(plan, output)
    there = stored(output)
    assert done_at_start(source, output, again) == there >= 4
    api.denoise(source, output, **again)
    assert files(output) == whole
    assert done_at_start(source, output, again) == 0  # complete: replaced


def test_overwrite_replaces_what_was_begun_of_another_source(
    source: Path, other_source: Path, checkpoints: dict[str, Path], whole: dict[str, bytes], tmp_path: Path
) -> None:
    begin(other_source, tmp_path / "out.zarr", checkpoints["denoiser"], blocks=4, value_range=(0, 200))
    settings = {"model": checkpoints["denoiser"], "overwrite": True, "value_range": (0, 200), **SETTINGS}
    assert done_at_start(source, tmp_path / "out.zarr", settings) == 0


def test_overwrite_replaces(
    source: Path, checkpoints: dict[str, Path], whole: dict[str, bytes], tmp_path: Path
) -> None:
    output, link = tmp_path / "out.zarr", tmp_path / "link.zarr"
    begin(source, output, checkpoints["denoiser"], blocks=1, pyramid=False, dtype="float32")
    (output / "0/c/extra").write_bytes(b"of something else")
    link.symlink_to(output)
    api.denoise(source, link, model=checkpoints["denoiser"], overwrite=True, **SETTINGS)
    assert files(output) == whole
    assert link.is_symlink()


@pytest.fixture(scope="module")
def begun(source: Path, checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output with a block or two, for tests that must not change it."""
    path = tmp_path_factory.mktemp("begun") / "out.zarr"
    begin(source, path, checkpoints["denoiser"], blocks=1)
    return path


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("where", ["same", "inside", "around", "through a link"])
def test_output_and_input_lie_apart(
    begun: Path, checkpoints: dict[str, Path], tmp_path: Path, where: str, overwrite: bool
) -> None:
    folder = tmp_path / "data"
    shutil.copytree(begun, folder / "in.zarr")
    (tmp_path / "link.zarr").symlink_to(folder / "in.zarr")
    outputs = {
        "same": folder / "in.zarr",
        "inside": folder / "in.zarr/out.zarr",
        "around": folder,
        "through a link": tmp_path / "link.zarr/out.zarr",
    }
    before = files(folder)
    with pytest.raises(OutputError, match="inside one another"):
        api.denoise(folder / "in.zarr", outputs[where], model=checkpoints["denoiser"], overwrite=overwrite, **SETTINGS)
    assert files(folder) == before


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["folder", "file"])
def test_what_is_no_zarr_is_never_replaced(
    source: Path, checkpoints: dict[str, Path], tmp_path: Path, name: str, overwrite: bool
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/thesis.txt").write_text("the only copy")
    (tmp_path / "file").write_text("the only copy")
    before = files(tmp_path)
    with pytest.raises(OutputError, match="choose another output"):
        api.denoise(source, tmp_path / name, model=checkpoints["denoiser"], overwrite=overwrite, **SETTINGS)
    assert files(tmp_path) == before


def test_an_empty_folder_is_used(source: Path, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "out.zarr").mkdir()
    begin(source, tmp_path / "out.zarr", checkpoints["denoiser"], blocks=1)


def test_no_space_left(
    source: Path,
    checkpoints: dict[str, Path],
    whole: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output, put, room = tmp_path / "out.zarr", Stage._put, 4

    def put_while_there_is_room(stage: Stage, target: Path, content: Any) -> None:
        nonlocal room
        room -= 1
        if room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        put(stage, target, content)

    monkeypatch.setattr(Stage, "_put", put_while_there_is_room)
    with pytest.raises(DiskFull, match=r"No space left.*32 of 36 stored objects are missing, about .* more") as caught:
        api.denoise(source, output, model=checkpoints["denoiser"], **SETTINGS)
    assert isinstance(caught.value.__cause__, OSError)
    assert beside(output) == ["out.zarr"]
    assert len(list(output.glob("[01]/c/*/*/*"))) == 4
    monkeypatch.undo()
    api.denoise(source, output, model=checkpoints["denoiser"], **SETTINGS)
    assert files(output) == whole


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 160 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount a small file system")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_is_full(
    source: Path, checkpoints: dict[str, Path], whole: dict[str, bytes], small_disk: Path
) -> None:
    output = small_disk / "out.zarr"
    with pytest.raises(DiskFull, match="No space left"):
        api.denoise(source, output, model=checkpoints["denoiser"], **SETTINGS)
    assert 0 < stored(output) < PLANES
    assert beside(output) == ["out.zarr"] and not list(output.rglob("*.partial"))
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    api.denoise(source, output, model=checkpoints["denoiser"], **SETTINGS)
    assert files(output) == whole


def test_a_result_that_cannot_fit_is_refused(
    source: Path, checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = shutil.disk_usage(tmp_path)._replace(free=100_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    with pytest.raises(OutputError, match=r"takes .* before compression, and .* free"):
        api.denoise(source, tmp_path / "out.zarr", model=checkpoints["denoiser"], **SETTINGS)
    assert os.listdir(tmp_path) == []
