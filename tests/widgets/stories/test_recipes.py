"""Recipes that are loaded in a dock widget: what has a control is shown there, and what has none is kept and said."""

from __future__ import annotations

import ast
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from docks import click, dock_in, to_disk
from extra_setting import NAME, extra_setting
from napari import Viewer
from qtpy.QtWidgets import QCheckBox, QGroupBox, QLabel
from superqt import QCollapsible
from typer.testing import CliRunner

from napari_restore import api, cli
from napari_restore.engine.planning.recipe import Recipe, make_recipe, settings
from napari_restore.errors import RecipeError
from napari_restore.images.writing import ome_zarr
from napari_restore.widgets.dock import RestoreDock, SuperResolutionDock
from napari_restore.widgets.jobs.calls import as_command, as_python, load_recipe, save_recipe
from napari_restore.widgets.jobs.job import Choices
from napari_restore.widgets.panels.controls.intensity_edit import _KINDS


@pytest.fixture
def added() -> Iterator[None]:
    with extra_setting():
        yield


def said(dock: RestoreDock) -> str:
    """The line of what is kept without a control; empty where none is shown."""
    line: Any = dock.form.carried_row.note
    return "" if dock.form.carried_row.isHidden() else str(line.text())


def python_call(code: str) -> Recipe:
    """The recipe that the call of `api.restore` in a piece of Python asks for."""
    (call,) = (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call))
    given = {
        word.arg: ast.literal_eval(word.value) for word in call.keywords if word.arg not in ("output", "overwrite")
    }
    return make_recipe(**given)  # type: ignore[arg-type]


def command_call(words: str, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """The recipe that a command line asks for."""
    given: dict[str, Any] = {}
    monkeypatch.setattr(
        "napari_restore.cli.restoring._run", lambda *place, **options: given.update(options["settings"], model=place[2])
    )
    result = CliRunner().invoke(cli.app, shlex.split(words)[1:])
    assert result.exit_code == 0, result.output
    return make_recipe(**given)


STORED: dict[str, tuple[str, dict[str, Any]]] = {
    "as it comes": ("denoiser", {}),
    "channels": ("denoiser", {"tile": (64, 96), "halo": 8, "dtype": "float32", "pyramid": False}),
    "noise": ("local", {"intensity": "poisson-gaussian", "noise": [(1.2345678901, 90, 2), (1, 91.5, 3)], "batch": 2}),
    "version 0.4": ("upscaler", {"ome_version": "0.4", "chunks": (1, 1, 64, 64), "mean": (0.1,), "img_range": 255.0}),
    "how": ("denoiser", {"workers": 2, "lanes": 1, "on_error": "fill", "fsync": True, "memory_budget": 2_345_678_901}),
    "as earlier versions did": ("denoiser", {"valid_range": "all", "fill_values": "none", "neighbours": "none"}),
    "neighbours": ("denoiser", {"neighbours": "Z,1", "fill_values": [(0,), ()], "valid_range": (0, 4000)}),
    "whole planes": ("denoiser", {"padding": "authors", "backend": "eager", "value_range": (3, 4000)}),
}


@pytest.mark.parametrize("case", STORED)
def test_copying_the_call_keeps_every_setting_of_a_result(
    viewer: Viewer, checkpoints: dict[str, Path], stack: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    case: str,
) -> None:  # fmt: skip
    name, given = STORED[case]
    source = tmp_path / "cells.tif"
    tifffile.imwrite(source, np.stack([stack, stack[:, ::-1] * 2]), metadata={"axes": "CZYX"}, ome=True)
    result = tmp_path / "made.zarr"
    api.restore(source, model=checkpoints[name], output=result, **given)
    stored = Recipe.from_json((ome_zarr.read_attributes(result) or {})["recipe"])
    viewer.open(source, plugin="napari")
    dock = dock_in(viewer, kind=SuperResolutionDock if name == "upscaler" else None)
    dock.input.axes.setText("CZYX")
    loaded = load_recipe(result)
    assert loaded.recipe == stored
    dock.form.show_choices(loaded)
    to_disk(dock, tmp_path / "again.zarr")
    assert dock.choices().recipe == stored
    job = dock.job()
    assert python_call(as_python(job)) == command_call(as_command(job), monkeypatch) == stored
    for setting, value in stored:
        control = dock.form.controls.get(setting)
        usual = value == settings()[setting].default
        if not usual and setting not in ("model", "axes") and (control is None or control.value() != value):
            assert setting in said(dock), setting
    save_recipe(dock.choices(), tmp_path / "kept.json")
    assert load_recipe(tmp_path / "kept.json").recipe == stored


def test_a_setting_that_is_added_goes_round(
    added: None, viewer: Viewer, checkpoints: dict[str, Path], stack: np.ndarray, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    source = tmp_path / "cells.tif"
    tifffile.imwrite(source, stack, metadata={"axes": "ZYX"}, ome=True)
    viewer.open(source, plugin="napari")
    dock = dock_in(viewer, checkpoints["denoiser"])
    save_recipe(Choices.of(str(checkpoints["denoiser"]), sharpness=0.5), tmp_path / "recipe.json")
    dock.form.show_choices(load_recipe(tmp_path / "recipe.json"))
    assert said(dock) == f"Also set by the recipe: {NAME} 0.5."
    to_disk(dock, tmp_path / "o.zarr")
    job = dock.job()
    assert python_call(as_python(job)).model_dump()[NAME] == 0.5
    assert command_call(as_command(job), monkeypatch).model_dump()[NAME] == 0.5
    click_drop(dock)
    assert NAME not in as_python(dock.job())


def click_drop(dock: RestoreDock) -> None:
    dock.form.carried_row.button.click()


def test_controls_are_those_that_the_schema_names(dock: RestoreDock) -> None:
    named = {name: setting.control for name, setting in settings().items() if setting.control}
    del named["denoise"]  # it is for super-resolution: see `test_denoise_first.py`
    assert named.keys() - {"model", "axes"} == dock.form.controls.keys()
    boxes = {box.title(): box for box in dock.findChildren(QGroupBox) if box.title()}
    boxes |= {box.text(): box for box in dock.findChildren(QCollapsible)}
    for name, place in named.items():
        box, label = place.split(" › ")
        labels = [found.text() for kind in (QLabel, QCheckBox) for found in boxes[box].findChildren(kind)]
        assert label in labels, name
    assert {kind for kind in _KINDS if kind is not None} == set(settings()["intensity"].values)
    precisions = dock.performance.precision
    assert {precisions.itemData(i) for i in range(precisions.count())} == {None, *settings()["precision"].values}
    assert settings()["tile"].help in dock.performance.tile.toolTip()


def test_what_a_control_cannot_show_is_kept_until_it_is_changed(qtbot: Any, dock: RestoreDock) -> None:
    loaded = dock.choices().replaced(
        tile=(64, 96), halo=2000, memory_budget=1_234_567_890, value_range=((0, 1), (2, 3))
    )
    dock.form.show_choices(loaded)
    assert dock.choices().recipe == loaded.recipe
    line = said(dock)
    for words in ("tile 64,96", "halo 2000", "memory_budget 1234567890", "value_range 0.0,1.0 and 2.0,3.0"):
        assert words in line
    dock.performance.tile.setValue(128)
    assert dock.choices().recipe.tile == 128 and dock.choices().recipe.halo == 2000
    assert "tile" not in said(dock)
    click(qtbot, dock.form.carried_row.button)
    assert dock.choices().recipe.halo is None and said(dock) == ""


def test_another_model_takes_only_what_is_about_the_network_away(
    dock: RestoreDock, checkpoints: dict[str, Path]
) -> None:
    loaded = dock.choices().replaced(halo=2000, img_range=255.0, chunks=(1, 64, 64), batch=1000, backend="compiled")
    dock.form.show_choices(loaded)
    assert said(dock) == "Also set by the recipe: img_range 255.0; halo 2000; batch 1000."
    assert dock.form.storage.native("chunks").text() == "1,64,64"
    dock.model.choose(str(checkpoints["local"]))
    assert said(dock) == "Also set by the recipe: batch 1000."
    recipe = dock.choices().recipe
    assert (recipe.halo, recipe.batch, recipe.chunks, recipe.backend) == (None, 1000, (1, 64, 64), "compiled")


def test_the_source_of_a_recipe_is_told_and_not_taken_for_the_layer(dock: RestoreDock, tmp_path: Path) -> None:
    dock.form.show_choices(dock.choices().replaced(axes="TZYX", level=1))
    assert said(dock) == "Of its own source, and not of this layer: axes TZYX; level 1."
    assert dock.job().plan(fetch=False).image.axes == "ZYX"
    save_recipe(dock.choices(), tmp_path / "kept.json")
    assert load_recipe(tmp_path / "kept.json").recipe.level == 1
    dock.form.show_choices(dock.choices().replaced(axes="ZYX", level=0))
    assert said(dock) == ""


def test_a_level_of_a_file_is_copied_where_the_layer_is_that_level(
    viewer: Viewer, checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "cells.zarr"
    plane = np.random.default_rng(0).poisson(100, (1, 520, 300)).astype(np.uint16)
    api.restore(plane, axes="ZYX", model=checkpoints["denoiser"], output=source)
    viewer.open(source, plugin="napari-restore")
    dock = dock_in(viewer, checkpoints["denoiser"])
    to_disk(dock, tmp_path / "o.zarr")
    for level in (0, 1):
        dock.form.show_choices(dock.choices().replaced(level=1))
        to_disk(dock, tmp_path / "o.zarr")
        layer = dock.input.layer()
        assert layer is not None
        if level:  # the layer of a person who has thrown the largest level away
            data = layer.data[1]
            layer.multiscale, layer.data = False, data
        assert python_call(as_python(dock.job())).level == level
        assert command_call(as_command(dock.job()), monkeypatch).level == level


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"model": "m", "tiel": 3}', "no setting 'tiel'"),
        ('{"model": "m", "precision": "float16"}', "float32"),
        ("{}", "names no model"),
    ],
)
def test_a_recipe_that_cannot_be_used_is_named(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(RecipeError, match=words) as error:
        load_recipe(tmp_path / "r.json")
    assert str(tmp_path / "r.json") in str(error.value)


def test_a_recipe_file_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(
        '{"model": "m", "intensity": null, "value_range": [1.5, 9.0], "noise": null, "dtype": "same", "pyramid": true,'
        ' "device": "auto", "precision": null, "tile": [64, 96], "halo": 8, "memory_budget": null, "img_range": null,'
        ' "mean": null, "blend": null, "padding": "reflect", "ome_version": "0.5", "on_error": "raise", "fsync": false,'
        ' "output": "o.zarr", "overwrite": true}'
    )
    expected = Choices.of("m", value_range=(1.5, 9.0), tile=(64, 96), halo=8, output="o.zarr", overwrite=True)
    assert load_recipe(tmp_path / "r.json") == expected
