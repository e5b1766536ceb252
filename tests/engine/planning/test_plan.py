from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import dask.array as da
import numpy as np
import pytest

from napari_restore import api
from napari_restore.errors import ModelError, RecipeError
from napari_restore.images.image import Image
from napari_restore.models.zoo import find_card


def test_everything_open_is_chosen(checkpoints: dict[str, Path], stack: np.ndarray) -> None:
    plan = api.plan(stack, axes="ZYX", model=checkpoints["upscaler"])
    # Open in a recipe means: as the card says, half of what is free, and no uncertainty.
    may_stay_open = ("img_range", "mean", "memory_budget", "noise", "calibration")
    open_fields = [name for name, value in plan.recipe if value is None and name not in may_stay_open]
    assert open_fields == []
    assert plan.shape == (3, 150, 220) and plan.dtype == np.uint16
    assert plan.tiles == 3 * plan.grid.count
    for word in ("Z 3 · Y 75 · X 110", "uint16", "halo", "upscaler", "memory"):
        assert word in str(plan)


def test_value_range_is_of_each_channel(checkpoints: dict[str, Path]) -> None:
    image = np.stack([np.tile(np.arange(100), (100, 1)), np.tile(np.arange(100), (100, 1)) * 10])
    plan = api.plan(image, axes="CYX", model=checkpoints["denoiser"])
    assert plan.recipe.value_range == ((0, 99), (0, 990))


def test_tile_off_the_grid_names_a_way_out(checkpoints: dict[str, Path], stack: np.ndarray) -> None:
    with pytest.raises(RecipeError, match=r"tile 100 is not a multiple of 8.* 96 or 104"):
        api.plan(stack, axes="ZYX", model=checkpoints["denoiser"], tile=100)


def test_a_small_tile_gets_a_smaller_halo(checkpoints: dict[str, Path], stack: np.ndarray) -> None:
    grid = api.plan(stack, axes="ZYX", model=checkpoints["local"], tile=64).grid
    assert (grid.x.halo, grid.x.blend, grid.x.stride) == (16, 16, 16)


@pytest.mark.parametrize("halo", [0, 3, 20, 37])
def test_any_halo_leaves_tiles_on_the_networks_grid(checkpoints: dict[str, Path], stack: np.ndarray, halo: int) -> None:
    grid = api.plan(stack, axes="ZYX", model=checkpoints["local"], tile=128, halo=halo).grid
    assert grid.x.stride % 8 == 0 and grid.x.halo == halo


def test_wrong_number_of_samples(checkpoints: dict[str, Path], stack: np.ndarray) -> None:
    with pytest.raises(ModelError, match="takes 3 colour samples"):
        api.plan(stack[:2].transpose(1, 2, 0), axes="YXS", model=checkpoints["colour_denoiser"])


def test_wrong_number_of_ranges(checkpoints: dict[str, Path], stack: np.ndarray) -> None:
    with pytest.raises(RecipeError, match="2 pairs, but the image has 3 channels"):
        api.plan(stack, axes="CYX", model=checkpoints["denoiser"], value_range=((0, 1), (0, 2)))


def test_shards_are_multiples_of_chunks(checkpoints: dict[str, Path], stack: np.ndarray) -> None:
    with pytest.raises(RecipeError, match="not multiples"):
        api.plan(stack, axes="ZYX", model=checkpoints["denoiser"], chunks=(1, 32, 32), shards=(1, 48, 64))


def test_a_million_blocks_are_planned_at_once(checkpoints: dict[str, Path]) -> None:
    volume = da.zeros((1_000_000, 4096, 4096), chunks=(1, 4096, 4096), dtype=np.uint16)
    settings = {"axes": "ZYX", "chunks": (1, 512, 512), "shards": (1, 4096, 4096), "value_range": (0, 1)}
    began = time.process_time()
    api.plan(volume, model=checkpoints["denoiser"], **settings)  # type: ignore[arg-type]
    assert time.process_time() - began < 5
    tracemalloc.start()
    plan = api.plan(volume, model=checkpoints["denoiser"], **settings)  # type: ignore[arg-type]
    assert plan.blocks == 1_000_000 and plan.tiles > 1e6 and next(plan.indices()) == (0, 0, 0)
    assert tracemalloc.get_traced_memory()[1] < 3e8
    tracemalloc.stop()


def test_little_memory_makes_the_tile_smaller(
    checkpoints: dict[str, Path], stack: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = find_card(checkpoints["denoiser"])
    room = 2 * 100**2 * card.bytes_per_pixel
    monkeypatch.setattr("napari_restore.engine.hardware.devices.free_memory", lambda device: room)
    assert api.plan(stack, axes="ZYX", model=checkpoints["denoiser"]).recipe.tile == 96
    room = 2 * 73**2 * card.bytes_per_pixel
    assert api.plan(stack, axes="ZYX", model=checkpoints["denoiser"]).recipe.tile == 72
    monkeypatch.setattr("napari_restore.engine.hardware.devices.free_memory", lambda device: 1000)
    with pytest.raises(
        RecipeError, match=r"the run takes .* MB, more than the 1\.0 kB free memory: 1 blocks .* smaller"
    ):
        api.plan(stack, axes="ZYX", model=checkpoints["denoiser"])


def test_a_notebook_shows_what_the_text_says() -> None:
    pixels = np.random.default_rng(0).poisson(100, (2, 64, 70)).astype(np.uint16)
    plan = api.plan(Image(pixels, "ZYX", name="<i>cells</i>", notes=("a < b",)), device="cpu")
    shown = plan._repr_html_()
    assert shown.count("<tr>") == len(str(plan).splitlines())
    assert "&lt;i&gt;cells&lt;/i&gt;" in shown and "<i>" not in shown and "a &lt; b" in shown
