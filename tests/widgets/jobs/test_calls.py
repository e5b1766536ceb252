from __future__ import annotations

import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask.array as da
import numpy as np
import pytest
import tifffile
from docks import objects
from napari.layers import Image
from typer.testing import CliRunner

from napari_restore import api
from napari_restore.cli import app
from napari_restore.engine.planning.recipe import Recipe, make_recipe
from napari_restore.errors import RecipeError, SourceError
from napari_restore.images.writing import ome_zarr
from napari_restore.widgets.jobs.calls import as_command, as_python, load_recipe, save_recipe
from napari_restore.widgets.jobs.job import Choices, Job
from napari_restore.widgets.jobs.layers.image_layers import whole
from napari_restore.widgets.jobs.run import restore


def job_of(layer: Image, axes: str, checkpoint: Path, output: Path | None) -> Job:
    choices = Choices.of(str(checkpoint), tile=96, halo=8, output=None if output is None else str(output))
    return Job.of(layer, axes, whole(layer), choices)


def test_the_copied_call_makes_the_same_output(checkpoints: dict[str, Path], stack: np.ndarray, tmp_path: Path) -> None:
    layer = Image(stack, name="cells", scale=(2, 0.5, 0.5))
    job = job_of(layer, "ZYX", checkpoints["denoiser"], tmp_path / "a.zarr")
    for _ in restore(job):
        pass
    code = as_python(job).replace("a.zarr", "b.zarr")
    exec(code, {"viewer": SimpleNamespace(layers={"cells": layer})})
    first, second = (ome_zarr.read_attributes(tmp_path / name) for name in ("a.zarr", "b.zarr"))
    assert first is not None and second is not None and first["fingerprint"] == second["fingerprint"]
    np.testing.assert_array_equal(
        ome_zarr.open_level(tmp_path / "a.zarr", 0)[...], ome_zarr.open_level(tmp_path / "b.zarr", 0)[...]
    )
    assert load_recipe(tmp_path / "a.zarr").recipe.tile == 96


def test_a_file_has_a_command(
    make_napari_viewer: Any, checkpoints: dict[str, Path], stack: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "cells.tif"
    tifffile.imwrite(path, stack, metadata={"axes": "ZYX"}, ome=True)
    layer = Image(stack, name="cells")
    with pytest.raises(SourceError, match="whole files"):
        as_command(job_of(layer, "ZYX", checkpoints["denoiser"], tmp_path / "o.zarr"))
    (layer,) = make_napari_viewer().open(path, plugin="napari")
    words = shlex.split(as_command(job_of(layer, "ZYX", checkpoints["denoiser"], tmp_path / "o.zarr")))
    assert words[:4] == ["napari-restore", "denoise", str(path), str(tmp_path / "o.zarr")]
    assert words[words.index("--tile") + 1] == "96"
    with pytest.raises(RecipeError, match="OME-Zarr"):
        as_command(job_of(layer, "ZYX", checkpoints["denoiser"], None))


def test_settings_that_differ_are_all_in_the_command(
    make_napari_viewer: Any, checkpoints: dict[str, Path], stack: np.ndarray, tmp_path: Path
) -> None:
    """The command writes what the job writes."""
    path = tmp_path / "cells.tif"
    tifffile.imwrite(path, np.stack([stack, stack]), metadata={"axes": "CZYX"}, ome=True)
    (layer,) = make_napari_viewer().open(path, plugin="napari")
    job = job_of(layer, "CZYX", checkpoints["upscaler"], tmp_path / "a.zarr")
    job = Job.of(
        layer, "CZYX", whole(layer),
        job.choices.replaced(value_range=(100.5, 900.0), dtype="float32", pyramid=False, ome_version="0.4",
                             memory_budget=2 * 10**9),
    )  # fmt: skip
    for _ in restore(job):
        pass
    words = shlex.split(as_command(job).replace("a.zarr", "b.zarr"))
    assert words[:2] == ["napari-restore", "upscale"]
    assert CliRunner().invoke(app, words[1:]).exit_code == 0
    first, second = (ome_zarr.read_attributes(tmp_path / name) for name in ("a.zarr", "b.zarr"))
    assert first is not None and second is not None and first["fingerprint"] == second["fingerprint"]
    own = Job.of(layer, "CZYX", whole(layer), job.choices.replaced(value_range=((1.0, 2.0), (3.0, 4.5))))
    assert "value_range=((1.0, 2.0), (3.0, 4.5))" in as_python(own)
    assert "--range 1.0,3.0 2.0,4.5" in as_command(own)


def test_a_region_of_a_lazy_layer_is_copied_as_it_is_run(
    checkpoints: dict[str, Path], stack: np.ndarray, tmp_path: Path
) -> None:
    """Scale, place, units and channels too, and without reading more than the region."""
    pixels = np.stack([stack, stack[:, ::-1]], 1)
    units = ("um", "pixel", "um", "um")
    layer = Image(da.from_array(pixels), name="cells", scale=(2, 1, 0.5, 0.25), translate=(1, 0, 2, 3), units=units)
    region = (slice(1, 3), slice(0, 2), slice(10, 70), slice(20, 100))
    job = Job.of(layer, "ZCYX", region, job_of(layer, "ZCYX", checkpoints["denoiser"], tmp_path / "a.zarr").choices)
    for _ in restore(job):
        pass
    exec(as_python(job).replace("a.zarr", "b.zarr"), {"viewer": SimpleNamespace(layers={"cells": layer})})
    assert objects(tmp_path / "a.zarr") == objects(tmp_path / "b.zarr") != {}


def test_recipes_come_back_as_they_were(checkpoints: dict[str, Path], stack: np.ndarray, tmp_path: Path) -> None:
    layer = Image(stack[:2, :40, :48], name="cells")
    choices = Choices.of(
        str(checkpoints["denoiser"]), value_range=((90.25, 65535.125),), dtype="float32", tile=64, halo=8, blend=24,
        memory_budget=10**9, output=str(tmp_path / "a.zarr"),
    )  # fmt: skip
    save_recipe(choices, tmp_path / "recipe.json")
    assert load_recipe(tmp_path / "recipe.json") == choices
    job = Job.of(layer, "ZYX", whole(layer), choices)
    for _ in restore(job):
        pass
    loaded, stored = load_recipe(tmp_path / "a.zarr"), (ome_zarr.read_attributes(tmp_path / "a.zarr") or {})["recipe"]
    assert loaded.recipe == Recipe.from_json(stored) and loaded.output is None
    assert loaded.recipe.chunks is not None and loaded.recipe.shards is not None  # which have no control


def test_a_recipe_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text("[]")
    with pytest.raises(RecipeError, match="no recipe"):
        load_recipe(tmp_path / "recipe.json")
    assert api.DENOISER


def test_the_command_takes_every_setting_that_it_is_copied_with(
    checkpoints: dict[str, Path], stack: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those without a control too, which a recipe brought along."""
    choices = Choices.of(
        str(checkpoints["denoiser"]), intensity="poisson-gaussian", value_range=(-5.5, 99.0), noise=(2.0, 100.0, 1.5),
        dtype="float32", pyramid=False, device="cpu", precision="float32", tile=(64, 96), halo=8, memory_budget=10**9,
        img_range=255.0, mean=(0.5,), blend=16, padding="authors", ome_version="0.4", on_error="fill", fsync=True,
        axes="ZYX", level=1, series=2, chunks=(1, 64, 64), shards=(2, 128, 128), batch=3, workers=2, lanes=4,
        backend="eager", valid_range=((0.0, 9.5),), fill_values=((0.0,), ()), threads=2, neighbours="T,3",
        output="s3://bucket/o.zarr", overwrite=True,
    )  # fmt: skip
    layer, of_source = Image(stack, name="cells"), {"axes": "ZYX", "level": 1, "series": 2}
    monkeypatch.setattr("napari_restore.widgets.jobs.calls._file_of", lambda job: ("cells.tif", of_source))
    monkeypatch.setattr("napari_restore.api.model_card", lambda model, **_: SimpleNamespace(scale=1))
    words = shlex.split(as_command(Job.of(layer, "ZYX", whole(layer), choices)))
    given: dict[str, Any] = {}
    monkeypatch.setattr(
        "napari_restore.cli.restoring._run", lambda *place, **options: given.update(options, place=place)
    )
    result = CliRunner().invoke(app, words[1:])
    assert result.exit_code == 0, result.output
    assert given["place"] == ("cells.tif", choices.output, choices.model) and given["overwrite"]
    assert make_recipe(model=choices.model, **given["settings"]) == choices.recipe
