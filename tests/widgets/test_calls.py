from __future__ import annotations

import shlex
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from napari.layers import Image

from napari_restore import api
from napari_restore.errors import RecipeError, SourceError
from napari_restore.images import ome_zarr
from napari_restore.widgets.calls import as_command, as_python, load_recipe
from napari_restore.widgets.controller import Choices, Job, restore
from napari_restore.widgets.source import whole


def job_of(layer: Image, axes: str, checkpoint: Path, output: Path | None) -> Job:
    choices = Choices(str(checkpoint), tile=96, halo=8, output=None if output is None else str(output))
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
    assert load_recipe(tmp_path / "a.zarr").tile == 96


def test_a_file_has_a_command(checkpoints: dict[str, Path], stack: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "cells.tif"
    tifffile.imwrite(path, stack, metadata={"axes": "ZYX"}, ome=True)
    layer = Image(stack, name="cells")
    with pytest.raises(SourceError, match="whole files"):
        as_command(job_of(layer, "ZYX", checkpoints["denoiser"], tmp_path / "o.zarr"))
    from napari.layers._source import layer_source

    with layer_source(path=str(path)):
        layer = Image(stack, name="cells")
    words = shlex.split(as_command(job_of(layer, "ZYX", checkpoints["denoiser"], tmp_path / "o.zarr")))
    assert words[:4] == ["napari-restore", "denoise", str(path), str(tmp_path / "o.zarr")]
    assert words[words.index("--tile") + 1] == "96"
    with pytest.raises(RecipeError, match="OME-Zarr"):
        as_command(job_of(layer, "ZYX", checkpoints["denoiser"], None))


def test_a_recipe_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text("[]")
    with pytest.raises(RecipeError, match="no recipe"):
        load_recipe(tmp_path / "recipe.json")
    assert api.DENOISER
