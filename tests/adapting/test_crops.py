from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.array
import numpy as np

from napari_restore import api
from napari_restore.adapting.crops import Pool, line_variance, read_pool
from napari_restore.engine.planning.plan import Plan
from napari_restore.engine.planning.sampling import estimate_image_noise

SMALL: dict[str, Any] = {
    "model": Path(__file__).parents[1] / "weights/restormer-sigma25-tiny.safetensors", "intensity": "range",
    "value_range": (0, 1000), "neighbours": "none",
}  # fmt: skip


def noisy(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).poisson(100 + 50 * np.sin(np.arange(shape[-1]) / 9), shape).astype(np.uint16)


def pool_of(plan: Plan, crop: int = 32, partners: str = "") -> Pool:
    return read_pool(plan, estimate_image_noise(plan.image), crop, partners)


def test_no_pixel_is_in_both_parts() -> None:
    plan = api.plan(noisy((256, 320)), axes="YX", **SMALL)
    pool = pool_of(plan)
    seen = np.zeros((256, 320), int)
    for crop in (*pool.training, *pool.held_out):
        y, x = crop.origin
        side = crop.pixels.shape[-1]
        seen[y : y + side, x : x + side] += 1
    assert seen.max() == 1 and seen.mean() == 1
    assert len(pool.held_out) == 2 and len(pool.training) == 18  # of 64 x 64 pixels
    np.testing.assert_allclose(pool.chances.sum(), 1)


def test_pixels_are_normalised_and_have_the_variance_of_their_noise() -> None:
    plan = api.plan(noisy((256, 256)), axes="YX", **SMALL)
    crop = pool_of(plan).training[0]
    y, x = crop.origin
    np.testing.assert_allclose(crop.pixels[0], noisy((256, 256))[y : y + 64, x : x + 64] / 1000, rtol=1e-5)
    assert 0.7 < float(crop.variance.mean() / (crop.pixels.mean() / 1000)) < 1.3  # Poisson: the variance is the mean


def test_offsets_of_lines_are_measured() -> None:
    rng = np.random.default_rng(0)
    structure = 3 * np.sin(np.arange(128) / 9) * np.cos(np.arange(128) / 7)[:, None]
    plane = (structure + rng.normal(size=(128, 128)))[None].astype(np.float32)
    ones = np.ones_like(plane)
    assert max(line_variance(plane, ones)) < 0.05
    rows = line_variance(plane + rng.normal(0, 2, (1, 128, 1)).astype(np.float32), ones)
    assert 2.5 < rows[0] < 5.5 and rows[1] < 0.05
    columns = line_variance(plane + rng.normal(0, 2, (1, 1, 128)).astype(np.float32), ones)
    assert columns[0] < 0.05 and 2.5 < columns[1] < 5.5


def test_the_input_is_averaged_as_in_a_run_without_the_target() -> None:
    stack = np.stack([noisy((96, 128), seed) for seed in range(6)])
    given = SMALL | {"neighbours": {"axis": "T"}}
    plan = api.plan(stack, axes="TYX", **given)
    pool = pool_of(plan, partners="T")
    for crop in pool.training:
        assert crop.partner is not None
        own = crop.pixels - (100 + 50 * np.sin(np.arange(128) / 9))[crop.origin[1] :][: crop.pixels.shape[-1]] / 1000
        other = crop.partner - crop.pixels + own
        assert own.std() < 0.75 * other.std()
        assert abs(np.corrcoef(own.ravel(), other.ravel())[0, 1]) < 0.12
    single = pool_of(api.plan(stack, axes="TYX", **SMALL), partners="T")
    assert single.training[0].pixels.std() > pool.training[0].pixels.std()


def test_a_large_source_is_read_in_parts() -> None:
    read: list[int] = []

    def made(block_info: Any = None) -> np.ndarray:
        read.append(1)
        place = block_info[None]["chunk-location"]
        return noisy((1, 256, 256), seed=place[0] * 10_000 + place[1] * 100 + place[2])

    source = dask.array.map_blocks(
        made, chunks=((1,) * 50, (256,) * 40, (256,) * 40), dtype=np.uint16, meta=np.zeros((0, 0, 0), np.uint16)
    )
    plan = api.plan(source, axes="ZYX", valid_range="all", fill_values="none", **SMALL)
    pool = read_pool(plan, estimate_image_noise(api.open_image(noisy((256, 256)), axes="YX")), 32)
    assert len(pool.training) + len(pool.held_out) == 128 and len(read) <= 300  # of 80 000 chunks
    assert len({crop.origin for crop in pool.training}) > 100


def test_crops_of_missing_pixels_are_left_out() -> None:
    image = noisy((256, 256)).astype(np.float32)
    image[:, :140] = np.nan
    image[200, 200] = np.nan
    pool = pool_of(api.plan(image, axes="YX", **SMALL))
    crops = (*pool.training, *pool.held_out)
    assert crops and min(crop.origin[1] for crop in crops) >= 128
    assert all(np.isfinite(crop.pixels).all() for crop in crops)
    assert sum(int((~crop.there).sum()) for crop in crops) >= 1


def test_neighbours_come_with_the_crops() -> None:
    stack = noisy((3, 192, 192))
    pool = pool_of(api.plan(stack, axes="TYX", **SMALL), partners="T")
    crop = pool.training[0]
    y, x = crop.origin
    assert crop.partner is not None
    found = [
        plane for plane in stack[1:] if np.allclose(plane[y : y + 64, x : x + 64] / 1000, crop.partner[0], rtol=1e-5)
    ]
    assert len(found) == 1


def test_an_image_that_is_too_small_gives_no_crops() -> None:
    pool = pool_of(api.plan(noisy((64, 64)), axes="YX", **SMALL), crop=64)
    assert pool == Pool((), ()) or not pool.held_out


def test_all_crops_of_a_channel_have_the_same_variance_of_lines() -> None:
    rng = np.random.default_rng(0)
    offsets = np.array([0, 30])[:, None, None] * rng.normal(size=(2, 512, 1))  # of two channels
    plane = rng.poisson(200 + 50 * np.sin(np.arange(512) / 9), (2, 512, 512)) + 200 + offsets
    pool = pool_of(api.plan(plane.clip(0, 1000).astype(np.uint16), axes="CYX", **SMALL), crop=64)
    found = {crop.lines[0] for crop in (*pool.training, *pool.held_out)}
    assert len(found) == 2 and min(found) < 1e-5 and 0.8 < max(found) / 0.03**2 < 1.25
