"""A run that is gone on with on a machine that has changed ends in the bytes of one that nothing happened to.

Every condition that may differ between the kill and the resume is varied, and each setting of a recipe is either part
of the pixels, or kept, or shown here not to matter.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from stored_files import files

from napari_restore import api
from napari_restore.engine.compute.predictor import release_predictors
from napari_restore.engine.planning.memory import LIBRARIES
from napari_restore.engine.planning.recipe import _KEPT_ON_RESUME, EXECUTION_FIELDS, Recipe
from napari_restore.errors import RecipeError

GB = 10**9
SETTINGS: dict[str, Any] = {"device": "cpu"}
SHAPE = (4, 300, 330)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "stack.tif"
    pixels = np.random.default_rng(0).poisson(100, SHAPE).astype(np.float32)
    tifffile.imwrite(path, pixels, photometric="minisblack", metadata={"axes": "ZYX"})
    return path


@contextmanager
def machine(cores: int, memory: float = 64 * GB, **environment: str) -> Iterator[None]:
    """As on a machine of so many cores and bytes."""
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("napari_restore.engine.hardware.devices.available_memory", lambda: int(memory))
        for name, value in environment.items():
            patch.setenv(name, value)
        torch.set_num_threads(cores)
        release_predictors()
        try:
            yield
        finally:
            torch.set_num_threads(before)
            release_predictors()


def begin(source: Path, output: Path, model: Path, **settings: Any) -> None:
    events = api.iter_restore(source, output=output, model=model, **SETTINGS | settings)
    next(event for event in events if event.done >= 1)
    events.close()
    assert 1 <= len(list(output.glob("0/c/*/*/*"))) < 4


CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "the same": ({"cores": 2}, {"cores": 2}, {}),
    "more cores": ({"cores": 1}, {"cores": 4}, {}),
    "fewer cores": ({"cores": 4}, {"cores": 1}, {}),
    "less memory: fewer lanes, and a core left over": ({"cores": 2}, {"cores": 2, "memory": 0.31 * GB}, {}),
    "one lane of two threads, then more memory": ({"cores": 2, "memory": 0.31 * GB}, {"cores": 2}, {}),
    "less memory, and fewer cores": ({"cores": 4}, {"cores": 2, "memory": 0.31 * GB}, {}),
    "lanes as given": ({"cores": 2}, {"cores": 2}, {"lanes": 1}),
    "more blocks at a time": ({"cores": 2}, {"cores": 2}, {"workers": 3}),
    "a budget": ({"cores": 2}, {"cores": 2}, {"memory_budget": "400MB"}),
    "on the disk first": ({"cores": 2}, {"cores": 2}, {"fsync": True}),
    "another environment": ({"cores": 2}, {"cores": 2, "TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "7"}, {}),
    "filling": ({"cores": 2}, {"cores": 2}, {"on_error": "fill"}),
    "other files allowed": ({"cores": 2}, {"cores": 2}, {"allow_outside": True}),
}


Whole = Callable[[dict[str, Any]], dict[str, bytes]]


@pytest.fixture(scope="module")
def whole(source: Path, checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """The files of a run on a machine that nothing happens to."""
    made: dict[str, dict[str, bytes]] = {}

    def on(conditions: dict[str, Any]) -> dict[str, bytes]:
        if str(conditions) not in made:
            output = tmp_path_factory.mktemp("whole") / "whole.zarr"
            with machine(**conditions):
                api.denoise(source, output, model=checkpoints["local"], **SETTINGS)
            made[str(conditions)] = files(output)
        return made[str(conditions)]

    return on


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_gone_on_with_on_another_machine(
    source: Path, whole: Whole, checkpoints: dict[str, Path], tmp_path: Path, change: str, overwrite: bool
) -> None:
    before, after, settings = CHANGES[change]
    output = tmp_path / "out.zarr"
    with machine(**before):
        begin(source, output, checkpoints["local"], overwrite=overwrite)
    with machine(**after):
        events = api.iter_restore(
            source, output=output, model=checkpoints["local"], overwrite=overwrite, **SETTINGS | settings
        )
        assert next(events).done >= 1, "begun anew: what was stored is lost"
        for _ in events:
            pass
    assert files(output) == whole(before)


def test_a_tight_machine_takes_the_blocks_that_are_there(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).poisson(100, (2, 1600, 1700)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "in.tif", pixels, photometric="minisblack", metadata={"axes": "ZYX"})
    call: dict[str, Any] = {"model": checkpoints["local"], "overwrite": True, "tile": 256, "backend": "eager"}
    call |= SETTINGS
    with machine(1):
        roomy = api.plan(tmp_path / "in.tif", **{k: v for k, v in call.items() if k != "overwrite"})
        events = api.iter_restore(tmp_path / "in.tif", output=tmp_path / "out.zarr", **call)
        next(event for event in events if event.done == 1)
        events.close()
    with machine(1, 0.42 * GB):
        alone = api.plan(tmp_path / "in.tif", **{k: v for k, v in call.items() if k != "overwrite"})
        assert alone.block != roomy.block, "as it would choose by itself"
        events = api.iter_restore(tmp_path / "in.tif", output=tmp_path / "out.zarr", **call)
        assert next(events).done == 1
        events.close()


def test_what_is_stored_is_not_deleted_for_want_of_memory(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).poisson(100, (2, 1600, 1700)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "in.tif", pixels, photometric="minisblack", metadata={"axes": "ZYX"})
    call: dict[str, Any] = {"model": checkpoints["local"], "tile": 256, "backend": "eager", "workers": 1}
    call |= SETTINGS
    with machine(1):
        roomy = api.plan(tmp_path / "in.tif", **call)
        events = api.iter_restore(tmp_path / "in.tif", output=tmp_path / "out.zarr", overwrite=True, **call)
        next(event for event in events if event.done == 1)
        events.close()
    before = files(tmp_path / "out.zarr")
    with machine(1, roomy.memory_bytes - LIBRARIES - 1e6):
        assert api.plan(tmp_path / "in.tif", **call).memory_bytes < roomy.memory_bytes, "it could begin anew"
        with pytest.raises(RecipeError, match=r"more than the .* free memory"):
            api.denoise(tmp_path / "in.tif", tmp_path / "out.zarr", overwrite=True, **call)
    assert files(tmp_path / "out.zarr") == before


@pytest.mark.parametrize(
    ("then", "now"),
    [({"tile": 64}, {}), ({}, {"tile": 64}), ({"halo": 16}, {"halo": 24}), ({"dtype": "uint16"}, {})],
    ids=str,
)
def test_another_call_with_overwrite_begins_anew(
    source: Path, checkpoints: dict[str, Path], tmp_path: Path, then: dict[str, Any], now: dict[str, Any]
) -> None:
    """What was given then and is open now is not the same call, though all that is given now fits."""
    begin(source, tmp_path / "out.zarr", checkpoints["local"], overwrite=True, **then)
    events = api.iter_restore(
        source, output=tmp_path / "out.zarr", model=checkpoints["local"], overwrite=True, **SETTINGS | now
    )
    assert next(events).done == 0
    events.close()


def test_other_arithmetic_is_said(
    source: Path, checkpoints: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    begin(source, tmp_path / "out.zarr", checkpoints["local"])
    attributes: Callable[[], Any] = lambda: json.loads((tmp_path / "out.zarr/zarr.json").read_text())  # noqa: E731
    assert attributes()["attributes"]["napari_restore"]["arithmetic"]["torch"] == torch.__version__
    with machine(1, ONEDNN_MAX_CPU_ISA="SSE41"):
        api.denoise(source, tmp_path / "out.zarr", model=checkpoints["local"], **SETTINGS)
    assert "other arithmetic (ONEDNN_MAX_CPU_ISA: none then, SSE41 now): last bits may differ" in caplog.text


def test_each_setting_is_part_of_the_pixels_or_is_varied_here() -> None:
    """A new field is to be thought of: in `EXECUTION_FIELDS` if it changes no pixel, and then in `CHANGES`, or kept."""
    varied = {name for _, _, settings in CHANGES.values() for name in settings}
    assert EXECUTION_FIELDS - _KEPT_ON_RESUME - {"device"} == varied
    assert {"batch", "backend", "threads"} == _KEPT_ON_RESUME
    assert set(Recipe.model_fields) >= EXECUTION_FIELDS


def test_recipes_of_earlier_versions_keep_their_fingerprint(source: Path, checkpoints: dict[str, Path]) -> None:
    plan = api.plan(source, model=checkpoints["local"], tile=64, halo=8, value_range=(0, 300), **SETTINGS)
    stored = plan.recipe.model_dump(mode="json")
    stored.pop("threads")  # which they did not know
    assert Recipe.model_validate(stored).pixel_settings() == plan.recipe.pixel_settings()
    assert "threads" not in json.dumps(plan.identity())
