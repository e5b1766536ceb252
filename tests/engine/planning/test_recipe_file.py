from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_restore import api, cli
from napari_restore.engine.planning.recipe import make_recipe
from napari_restore.engine.planning.recipe_file import RecipeFile, read_recipe, write_recipe
from napari_restore.errors import RecipeError


def test_a_recipe_comes_back(tmp_path: Path) -> None:
    recipe = make_recipe(model="m", tile=(64, 96), value_range=(0, 9), neighbours="T,3", strength=0.5, axes="ZYX")
    write_recipe(RecipeFile(recipe, "o.zarr", True), tmp_path / "r.json")
    read = read_recipe(tmp_path / "r.json")
    assert read == RecipeFile(recipe, "o.zarr", True)
    kept = api.load_recipe(tmp_path / "r.json")
    assert "axes" not in kept and kept["model"] == "m"
    assert make_recipe(**kept, axes="ZYX") == recipe


def test_the_recipe_of_a_result_makes_the_same_again(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    image = np.random.default_rng(0).poisson(100, (60, 70)).astype(np.uint16)
    api.restore(
        image, model=checkpoints["denoiser"], output=tmp_path / "a.zarr", tile=32, halo=4, blend=8, strength=0.4
    )
    expected = api.restore(image, model=checkpoints["denoiser"], tile=32, halo=4, blend=8, strength=0.4)
    np.testing.assert_array_equal(api.restore(image, **api.load_recipe(tmp_path / "a.zarr")), expected)


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ([], {"model": "swinir-x4-light", "tile": 64, "pyramid": False}),
        (["--tile", "96", "--pyramid"], {"model": "swinir-x4-light", "tile": 96, "pyramid": True}),
        (["--model", "swinir-x2-light", "--scale", "2"], {"model": "swinir-x2-light", "tile": 64, "pyramid": False}),
    ],
)
def test_options_replace_what_a_recipe_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], given: dict[str, Any]
) -> None:
    write_recipe(RecipeFile(make_recipe(model="swinir-x4-light", tile=64, pyramid=False)), tmp_path / "r.json")
    seen: dict[str, Any] = {}
    monkeypatch.setattr(
        "napari_restore.cli.restoring._run", lambda *place, settings, **_: seen.update(settings, model=place[2])
    )
    result = CliRunner().invoke(cli.app, ["upscale", "a", "b.zarr", "--recipe", str(tmp_path / "r.json"), *words])
    assert result.exit_code == 0, result.output
    assert seen == given


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"model": 3}', '{"model": "m", "tiel": 3}'])
def test_a_file_that_is_no_recipe_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "r.json").write_text(content)
    for path in (tmp_path / "r.json", tmp_path, tmp_path / "none.json"):
        with pytest.raises(RecipeError, match=path.name):
            read_recipe(path)
