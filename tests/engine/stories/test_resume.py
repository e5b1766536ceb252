"""Nothing that is stored is lost, and a run that was interrupted ends as one that was not: byte for byte."""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from interrupted_runs import PLANES, SETTINGS, begin, stored
from stored_files import files

from napari_restore import api
from napari_restore.engine.compute import block as task
from napari_restore.errors import ModelError, OutputError


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
    predictor_of = task.predictor_of

    def counting(*arguments: Any, **how: Any) -> Callable[..., Any]:
        predict = predictor_of(*arguments, **how)

        def counted(tiles: np.ndarray, batch: int) -> np.ndarray:
            nonlocal calls
            calls += 1
            assert not closing.wait(0)
            return predict(tiles, batch)

        return counted

    monkeypatch.setattr(task, "predictor_of", counting)
    events = api.iter_restore(source, output=output, model=checkpoints["denoiser"], **SETTINGS)
    next(event for event in events if event.tiles_done > 0)
    before = calls
    events.close()
    assert calls <= before + 2 * SETTINGS["workers"]  # the batches in progress, not the blocks
    assert stored(output) < PLANES
    closing.set()  # from here on, a batch would be one of the closed run
    time.sleep(0.2)
    monkeypatch.setattr(task, "predictor_of", predictor_of)
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


@pytest.mark.parametrize("pyramid", [True, False])
def test_an_object_that_goes_during_the_run_is_not_taken_for_an_empty_one(
    source: Path, checkpoints: dict[str, Path], whole: dict[str, bytes], tmp_path: Path, pyramid: bool
) -> None:
    """Another program deletes files, or a network file system lists what has gone."""
    output, settings = tmp_path / "out.zarr", SETTINGS | {"pyramid": pyramid}
    events = api.iter_restore(source, output=output, model=checkpoints["denoiser"], **settings)
    next(event for event in events if event.done >= 3)
    next(output.glob("0/c/*/*/*")).unlink()
    with pytest.raises(OutputError, match=r"level 0, unit .* was stored and is not there: .* run the same again"):
        list(events)
    api.denoise(source, output, model=checkpoints["denoiser"], **settings)
    stored_now = {name: content for name, content in files(output).items() if "/c/" in name}
    assert stored_now == {name: whole[name] for name in stored_now} and len(stored_now) == PLANES * (1 + pyramid)


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
    with pytest.raises(OutputError, match=r"result.dtype: float32 stored, uint16 now"):
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
        ({"tile": 96}, "tile: 64 stored, 96 now"),
        ({"value_range": (0, 200)}, "value range: "),
        ({"dtype": "float32"}, "result.dtype: uint16 stored, float32 now"),
        ({"pyramid": False}, "result.levels: 2 stored, 1 now"),
        ({"chunks": (1, 16, 260)}, "chunks: "),
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
        OutputError, match=r"\(other weights: denoiser of digest \w{12} stored, denoiser of digest \w{12} now\)"
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


def test_another_source_of_the_same_shape_is_refused(
    source: Path, other_source: Path, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    output = tmp_path / "out.zarr"
    begin(source, output, checkpoints["denoiser"], blocks=1)
    before = files(output)
    with pytest.raises(
        OutputError, match=r"of another source \(.*stack.tif then, .*other.tif now: .* in 8 of 8 compared regions"
    ):
        api.denoise(other_source, output, model=checkpoints["denoiser"], **SETTINGS)
    assert files(output) == before
    api.denoise(source, output, model=checkpoints["denoiser"], **SETTINGS)
    before = files(output)
    with pytest.raises(OutputError, match=r"overwrite=True"):  # a result that is complete is no other's either
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
