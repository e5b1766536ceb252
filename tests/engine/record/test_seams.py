from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_restore import api
from napari_restore.engine.planning.plan import Plan
from napari_restore.engine.record.seams import measure_seams
from napari_restore.engine.store.sinks import OmeZarrSink


def stored(plan: Plan, path: Path, pixels: np.ndarray) -> Path:
    sink = OmeZarrSink(plan, path)
    for index in plan.indices():
        sink.write(index, pixels[plan.region(index)])
    return path


@pytest.mark.parametrize("scale", [1, 2])
def test_a_step_at_tile_borders_is_told_from_what_is_in_the_image(
    tmp_path: Path, checkpoints: dict[str, Path], scale: int
) -> None:
    rng = np.random.default_rng(0)
    model = checkpoints["local" if scale == 1 else "upscaler"]
    plan = api.plan(np.zeros((8, 700, 900), np.uint16), axes="ZYX", model=model, tile=96, halo=8, value_range=(0, 1))
    clean = rng.poisson(1000, plan.shape).astype(np.uint16)
    found = measure_seams(plan, stored(plan, tmp_path / "clean.zarr", clean))
    assert found.windows == 6 and found.ratio == pytest.approx(1, abs=0.02) == found.between
    tiles = plan.grid.x
    steps = [(2 * tiles.seam(k) + tiles.blend) * scale // 2 for k in range(1, tiles.count)]
    seamed = clean.copy()
    for first, last in zip(steps[::2], [*steps[1::2], plan.shape[-1]], strict=False):
        seamed[..., first:last] += 100
    found = measure_seams(plan, stored(plan, tmp_path / "seamed.zarr", seamed))
    assert found.ratio is not None and found.between is not None
    assert found.ratio > 1.15 and found.between == pytest.approx(1, abs=0.03)


def test_one_tile_has_no_seam(tmp_path: Path, checkpoints: dict[str, Path]) -> None:
    plan = api.plan(np.zeros((60, 60), np.uint16), model=checkpoints["local"], tile=96, halo=8, value_range=(0, 1))
    found = measure_seams(plan, stored(plan, tmp_path / "o.zarr", np.ones(plan.shape, np.uint16)))
    assert (found.ratio, found.between, found.windows) == (None, None, 0)
