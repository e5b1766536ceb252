from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_restore import api
from napari_restore.engine.planning.plan import Plan
from napari_restore.engine.planning.recipe import Recipe
from napari_restore.errors import RecipeError

SETTINGS: dict[str, Any] = {
    "value_range": (0, 100), "valid_range": "all", "fill_values": "none", "neighbours": "none", "device": "cpu",
    "precision": "float32", "backend": "eager", "memory_budget": 20 * 10**9, "lanes": 2,
}  # fmt: skip


def planned(shape: tuple[int, ...], model: str | Path = api.DENOISER, **settings: Any) -> Plan:
    pixels = np.broadcast_to(np.zeros((1,) * len(shape), np.uint16), shape)
    return api.plan(pixels, model=model, axes="ZYX"[-len(shape) :], **{**SETTINGS, **settings})


@pytest.mark.parametrize("model", [api.DENOISER, "swinir-denoise-light"])
@pytest.mark.parametrize("shape", [(2048, 2048), (1024, 1024), (8, 512, 512), (4096, 3000), (2, 1200, 1920)])
def test_overlap_costs_at_most_a_quarter(model: str, shape: tuple[int, ...]) -> None:
    plan = planned(shape, model)
    assert plan.grid.count * np.prod(plan.grid.tile_shape) <= 1.25 * shape[-1] * shape[-2]
    assert plan.tile_share <= 1.25


def test_a_single_small_plane_has_tiles_for_two_cores() -> None:
    assert planned((512, 512)).grid.count == 2 and planned((4, 512, 512)).grid.count == 1


def test_little_memory_gives_smaller_tiles() -> None:
    sides = [max(planned((2048, 2048), memory_budget=memory).grid.tile_shape) for memory in (10**9, 3 * 10**9)]
    assert sides[0] < sides[1]


@pytest.mark.parametrize(
    ("settings", "window"),
    [({}, 112), ({"tile": 256}, 112), ({"tile": 72}, 0), ({"tile": (256, 248)}, 0), ({"padding": "authors"}, 0),
     ({"halo": 12}, 112), ({"halo": 12, "blend": 16}, 0), ({"attention_window": 0}, 0),
     ({"attention_window": 168}, 168), ({"model": "swinir-denoise-light"}, 0)],
    ids=str,
)  # fmt: skip
def test_windows_are_chosen_where_tiles_fit(settings: dict[str, Any], window: int) -> None:
    plan = planned((300, 400), **settings)
    assert plan.recipe.attention_window == window
    assert plan.card.hyperparameters.get("attention_window") == (window or None)
    assert ("windows of" in str(plan)) == bool(window)


def test_a_tile_that_does_not_fit_the_wanted_windows() -> None:
    with pytest.raises(RecipeError, match="tile 72 is not a multiple of 16"):
        planned((300, 400), tile=72, attention_window=112)


def test_models_without_a_measured_window_keep_the_attention_of_a_tile(checkpoints: dict[str, Path]) -> None:
    assert planned((300, 400), checkpoints["denoiser"]).recipe.attention_window == 0


def test_earlier_recipes_keep_the_attention_of_a_tile() -> None:
    stored = planned((300, 400), tile=72).recipe.as_json()
    assert "attention_window" not in stored and Recipe.from_json(stored).attention_window == 0
    assert planned((300, 400)).recipe.as_json()["attention_window"] == 112
