from __future__ import annotations

from pathlib import Path

import dask.array as da
import numpy as np
import pytest

from napari_restore import api
from napari_restore.engine.hardware import host_memory
from napari_restore.engine.hardware.device import CPU
from napari_restore.engine.hardware.devices import free_memory
from napari_restore.engine.planning.memory import block_bytes, network_bytes, run_bytes, tile_bytes
from napari_restore.engine.planning.recipe import make_recipe
from napari_restore.errors import OutputError, RecipeError
from napari_restore.widgets.jobs.preflight import free_memory_for


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


def write(path: Path, **contents: str) -> None:
    path.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (path / name.replace("__", ".")).write_text(f"{content}\n")


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Control groups of a machine; to be filled."""
    monkeypatch.setattr(host_memory, "_MOUNT", tmp_path / "cgroup")
    monkeypatch.setattr(host_memory, "_OWN", tmp_path / "own")
    return tmp_path / "cgroup"


def test_a_job_of_slurm_has_the_memory_of_the_job(groups: Path) -> None:
    groups.with_name("own").write_text("0::/system.slice/slurmstepd.scope/job_7/step_0/user/task_0\n")
    job = groups / "system.slice/slurmstepd.scope/job_7"
    # 16 MB of 20 that are taken are files that need not be kept.
    write(job, memory__max="100000000", memory__high="max", memory__current="20000000",
          memory__stat="anon 4000000\ninactive_file 16000000")  # fmt: skip
    write(job / "step_0/user/task_0", memory__max="max", memory__current="4000000", memory__stat="inactive_file 0")
    assert host_memory.available_memory() == free_memory(CPU) == 96_000_000
    write(job / "step_0", memory__max="max", memory__high="50000000", memory__current="4000000",
          memory__stat="inactive_file 0")  # fmt: skip
    assert free_memory(CPU) == 46_000_000


def test_a_container_has_the_memory_of_its_limit(groups: Path, checkpoints: dict[str, Path], stack: np.ndarray) -> None:
    # Of the first version: its own group is the root of what it sees, by another name.
    groups.with_name("own").write_text("5:cpu,memory:/docker/4f2a\n1:name=systemd:/docker/4f2a\n")
    plan = api.plan(stack, axes="ZYX", model=checkpoints["denoiser"])
    assert free_memory_for(plan) > 1e6
    usage = {"memory__usage_in_bytes": "900", "memory__stat": "total_inactive_file 100"}
    write(groups / "memory", memory__limit_in_bytes="10800", **usage)
    assert free_memory(CPU) == 10_000
    with pytest.raises(OutputError, match=r"of 10\.0 kB free memory half"):
        free_memory_for(plan)
    write(groups / "memory", memory__limit_in_bytes="500")
    assert free_memory(CPU) == 0


def test_where_there_are_no_groups_all_that_is_free_may_be_taken(groups: Path) -> None:
    assert host_memory.available_memory() > 1e8
    groups.with_name("own").write_text("0::/\n")
    assert host_memory.available_memory() > 1e8
