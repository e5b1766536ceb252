from __future__ import annotations

from pathlib import Path

import dask.array as da
import numpy as np
import pytest

from napari_restore import api
from napari_restore.engine.memory import block_bytes, network_bytes, run_bytes, tile_bytes
from napari_restore.engine.recipe import make_recipe
from napari_restore.errors import RecipeError


@pytest.fixture
def volume() -> da.Array:
    return da.zeros((40, 4096, 4096), chunks=(1, 512, 512), dtype=np.uint16)


@pytest.mark.parametrize(
    ("text", "count"), [("8GB", 8e9), ("1.5 GB", 1.5e9), ("2GiB", 2**31), ("500M", 5e8), ("7", 7), (4096, 4096)]
)
def test_a_budget_is_a_number_with_a_unit(text: str, count: float) -> None:
    assert make_recipe(model="m", memory_budget=text).memory_budget == count


@pytest.mark.parametrize("text", ["much", "8 apples", "-1GB", "1.2.3GB", 0])
def test_other_budgets_are_refused(text: str) -> None:
    with pytest.raises(RecipeError, match="memory_budget"):
        make_recipe(model="m", memory_budget=text)


def test_a_run_is_fitted_into_its_budget(checkpoints: dict[str, Path], volume: da.Array) -> None:
    taken, blocks = [], []
    for budget in ("4GB", "1GB", "500MB", "300MB"):
        plan = api.plan(volume, axes="ZYX", model=checkpoints["denoiser"], value_range=(0, 1), memory_budget=budget)
        assert plan.memory_bytes <= plan.recipe.memory_budget and budget[:-2] in str(plan)
        taken.append(plan.memory_bytes)
        blocks.append(np.prod(plan.block))
    assert taken == sorted(taken, reverse=True) and blocks[-1] < blocks[0]


def test_a_run_that_cannot_fit_is_refused_with_the_numbers(
    checkpoints: dict[str, Path], volume: da.Array, tmp_path: Path
) -> None:
    settings = {"axes": "ZYX", "model": checkpoints["denoiser"], "value_range": (0, 1), "shards": (1, 4096, 4096)}
    words = r"the run takes .*memory_budget 50\.0 MB: 1 blocks in progress of .* MB each.*tiles.*smaller shards"
    with pytest.raises(RecipeError, match=words):
        api.denoise(volume, tmp_path / "o.zarr", memory_budget="50MB", **settings)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_what_is_counted(checkpoints: dict[str, Path], volume: da.Array) -> None:
    settings = {"axes": "ZYX", "value_range": (0, 1), "shards": (1, 1024, 1024), "lanes": 1}
    plan = api.plan(volume, model=checkpoints["denoiser"], workers=1, **settings)  # type: ignore[arg-type]
    computed, moved = block_bytes(plan)
    assert moved >= 3 * 2 * 1024**2 and computed >= 2 * 2 * 1024**2
    assert network_bytes(plan) >= tile_bytes(plan.card, plan.grid)
    assert run_bytes(plan.with_settings(workers=3)) == run_bytes(plan) + 2 * moved
    assert network_bytes(plan.with_settings(lanes=2)) > 1.5 * network_bytes(plan)


def test_the_budget_is_no_part_of_the_result(checkpoints: dict[str, Path], stack: np.ndarray) -> None:
    settings = {"axes": "ZYX", "model": checkpoints["denoiser"]}
    one, other = (api.plan(stack, memory_budget=budget, **settings) for budget in (None, "2GB"))  # type: ignore[arg-type]
    assert one.fingerprint == other.fingerprint
