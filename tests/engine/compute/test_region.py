from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from napari_restore import api
from napari_restore.engine.compute.region import restore_region
from napari_restore.engine.planning.plan import Plan
from napari_restore.errors import ModelError
from napari_restore.models.zoo import find_card, load_weights
from napari_restore.quality.metrics import seam_ratio

Tiles = NDArray[np.float32]


def identity(tiles: Tiles, batch: int) -> Tiles:
    return tiles


def doubled(tiles: Tiles, batch: int) -> Tiles:
    return np.kron(tiles, np.ones((2, 2), np.float32))


def region(plan: Plan, **where: slice) -> tuple[slice, ...]:
    whole = dict(zip(plan.axes, (slice(0, n) for n in plan.shape), strict=True))
    return tuple((whole | where).values())


@pytest.mark.parametrize("axes", ["ZYX", "CYX", "TYX"])
def test_an_identity_network_returns_the_image(checkpoints: dict[str, Path], stack: np.ndarray, axes: str) -> None:
    plan = api.plan(stack, axes=axes, model=checkpoints["denoiser"], tile=32, halo=4, blend=8)
    result = restore_region(plan, region(plan), identity)
    np.testing.assert_array_equal(result, stack)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "float32", "float64"])
def test_every_dtype_comes_back(checkpoints: dict[str, Path], stack: np.ndarray, dtype: str) -> None:
    image = (stack[0] // 8).astype(dtype)
    plan = api.plan(image, model=checkpoints["denoiser"], tile=32, halo=4, blend=8)
    result = restore_region(plan, region(plan), identity)
    assert result.dtype == image.dtype
    np.testing.assert_allclose(result, image, rtol=1e-6, atol=1e-4)


def test_colour_samples_go_through_together_or_one_by_one(checkpoints: dict[str, Path]) -> None:
    image = np.random.default_rng(0).integers(0, 255, (50, 60, 3), np.uint8)
    for model, channels in (("colour_denoiser", 3), ("denoiser", 1)):
        plan = api.plan(image, axes="YXS", model=checkpoints[model], tile=32, halo=4, blend=8)
        seen = set()

        def look(tiles: Tiles, batch: int, seen: set[int] = seen) -> Tiles:
            seen.add(tiles.shape[1])
            return tiles

        result = restore_region(plan, region(plan), look)
        np.testing.assert_array_equal(result, image)
        assert seen == {channels}


def test_odd_regions_of_an_upscaled_plane(checkpoints: dict[str, Path], stack: np.ndarray) -> None:
    plan = api.plan(stack[0], model=checkpoints["upscaler"], tile=64, halo=8, blend=16)
    whole = restore_region(plan, region(plan), doubled)
    np.testing.assert_array_equal(whole, np.kron(stack[0], np.ones((2, 2), np.uint16)))
    part = restore_region(plan, region(plan, Y=slice(33, 98), X=slice(1, 202)), doubled)
    np.testing.assert_array_equal(part, whole[33:98, 1:202])


@pytest.mark.parametrize(("bad", "dtype"), [(-3.4e38, "float32"), (1e10, "float64"), (-(2**31), "int32")])
@pytest.mark.parametrize("noise", [None, (1.0, 0.0, 1.0)])
def test_a_value_for_no_data_does_not_spread(bad: float, dtype: str, noise: tuple[float, ...] | None) -> None:
    """Attention sums squares over a tile: one such pixel would spoil all of it."""
    image = np.random.default_rng(0).poisson(100, (64, 64)).astype(dtype)
    expected = api.denoise(image, value_range=(60, 140), noise=noise, dtype="float32")
    image[20:22, 30] = bad
    result = api.denoise(image, value_range=(60, 140), noise=noise, dtype="float32")
    assert (result[20:22, 30] == np.float32(bad)).all()
    away = np.ones(image.shape, bool)
    away[12:30, 22:39] = False
    assert np.abs(result - expected)[away].max() < 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_bad_pixels_stay_and_do_not_spread(checkpoints: dict[str, Path], stack: np.ndarray, bad: float) -> None:
    image = stack[0].astype(np.float32)
    image[20, 30] = image[0, 0] = image[74, 109] = bad
    image[40:44, 50:60] = bad
    result = api.denoise(image, model=checkpoints["denoiser"], tile=64, halo=8, blend=16)
    np.testing.assert_array_equal(~np.isfinite(result), ~np.isfinite(image))
    np.testing.assert_array_equal(result[~np.isfinite(image)], image[~np.isfinite(image)])


def test_a_bad_pixel_covers_its_copies_when_upscaled(checkpoints: dict[str, Path], stack: np.ndarray) -> None:
    image = stack[0].astype(np.float32)
    image[33, 45] = np.nan
    plan = api.plan(image, model=checkpoints["upscaler"], tile=64, halo=8, blend=16)
    part = restore_region(plan, region(plan, Y=slice(67, 100), X=slice(91, 120)), doubled)
    assert np.argwhere(np.isnan(part)).tolist() == [[0, 0]]


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (7, 3), (64, 64), (65, 200)])
def test_any_size(checkpoints: dict[str, Path], shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 1000, shape).astype(np.uint16)
    assert api.denoise(image, model=checkpoints["denoiser"]).shape == shape
    assert api.super_resolve(image, model=checkpoints["upscaler"]).shape == (2 * shape[0], 2 * shape[1])


@pytest.mark.parametrize("shape", [(160, 160), (141, 290)])
@pytest.mark.parametrize("tile", [64, 128, 256])
@pytest.mark.parametrize("model", ["local", "upscaler"])
def test_swinir_in_tiles_equals_the_whole_image(
    checkpoints: dict[str, Path], model: str, tile: int, shape: tuple[int, int]
) -> None:
    image = np.random.default_rng(0).random(shape, np.float32)
    halo = {64: 16, 128: 24, 256: 40}[tile]
    settings = {"tile": tile, "halo": halo, "value_range": (0, 1)}
    tiled = api.restore(image, model=checkpoints[model], **settings)  # type: ignore[arg-type]
    with torch.inference_mode():
        whole = load_weights(find_card(checkpoints[model]))(torch.from_numpy(image)[None, None])[0, 0].numpy()
    assert np.abs(tiled - whole).max() <= 1e-4


def test_swinir_in_tiles_equals_the_whole_image_for_the_bundled_model() -> None:
    image = tile_source()[:91, :141]
    settings = {"model": "swinir-x2-light", "value_range": (0, 1)}
    with torch.inference_mode():
        whole = load_weights(find_card("swinir-x2-light"))(torch.from_numpy(image)[None, None])[0, 0].numpy()
    for tile, halo in ((128, None), (64, 16)):
        tiled = api.restore(image, tile=tile, halo=halo, **settings)  # type: ignore[arg-type]
        assert np.abs(tiled - whole).max() <= 1e-4, tile


def tile_source() -> NDArray[np.float32]:
    """A plane of the bundled image, ragged, in [0, 1]."""
    from napari_restore.samples import sample_path

    plane = api.open_image(sample_path("cells_noisy")).read((slice(1, 2), slice(0, 331), slice(0, 402)))[0]
    return ((plane - 90.0) / 250.0).astype(np.float32)


def test_restormer_leaves_no_seams_with_the_bundled_model() -> None:
    """The same borders in the result without tiles tell what of the gradient there is the cell's own."""
    image = tile_source()
    settings = {"model": api.DENOISER, "value_range": (0, 1)}
    untiled = api.restore(image, tile=408, **settings)  # type: ignore[arg-type]
    grid = api.plan(image, tile=128, **settings).grid  # type: ignore[arg-type]
    tiled = api.restore(image, tile=128, **settings)  # type: ignore[arg-type]
    middles = [[a.seam(k) + a.blend // 2 for k in range(1, a.count)] for a in (grid.y, grid.x)]
    assert all(middles)
    assert seam_ratio(tiled, *middles) <= 1.02 * seam_ratio(untiled, *middles)


@pytest.mark.parametrize(("shape", "axes"), [((75, 110), "YX"), ((2, 40, 50), "CYX"), ((40, 50, 1), "YXS")])
def test_gray_through_a_colour_model(checkpoints: dict[str, Path], shape: tuple[int, ...], axes: str) -> None:
    image = np.random.default_rng(0).random(shape).astype(np.float32)
    settings = {"axes": axes, "tile": 128, "value_range": (0, 1)}
    result = api.denoise(image, model=checkpoints["colour_denoiser"], **settings)
    assert result.shape == image.shape
    colour = np.stack([image if axes != "YXS" else image[..., 0]] * 3, axis=-1)
    together = api.denoise(colour, model=checkpoints["colour_denoiser"], **settings | {"axes": axes.strip("S") + "S"})
    np.testing.assert_allclose(result.reshape(together.shape[:-1]), together.mean(axis=-1), atol=1e-6)
    plan = api.plan(image, model=checkpoints["colour_denoiser"], **settings)
    assert "repeated 3 times" in str(plan) and plan.tiles == len(together.reshape(-1, *together.shape[-3:]))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_network_that_makes_no_numbers_is_refused(
    checkpoints: dict[str, Path], stack: np.ndarray, value: float
) -> None:
    plan = api.plan(stack, axes="ZYX", model=checkpoints["denoiser"], tile=32, halo=4, blend=8)

    def broken(tiles: Tiles, batch: int) -> Tiles:
        result = tiles.copy()
        result[0, 0, 3, 4] = value
        return result

    with pytest.raises(ModelError, match="returns NaN or infinite values for finite pixels"):
        restore_region(plan, region(plan), broken)
    image = stack.astype(np.float32)
    image[1, 5, 6] = value  # what is no number in the source stays, and is no fault of the network
    plan = api.plan(image, axes="ZYX", model=checkpoints["denoiser"], tile=32, halo=4, blend=8)
    assert np.isfinite(restore_region(plan, region(plan), identity)).sum() == image.size - 1


def brighter(tiles: Tiles, batch: int) -> Tiles:
    return tiles + np.float32(0.25)


@pytest.mark.parametrize("axes", ["ZYX", "CYX", "YXS"])
@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_strength_mixes_the_result_with_the_source(checkpoints: dict[str, Path], axes: str, dtype: str) -> None:
    image = np.random.default_rng(0).integers(0, 400, (3, 50, 60)).astype(dtype)
    image = np.moveaxis(image, 0, -1) if axes == "YXS" else image
    given = {"tile": 32, "halo": 4, "blend": 8, "value_range": (0, 400), "valid_range": "all", "fill_values": "none"}
    for strength, added in ((1.0, 100), (0.5, 50), (0.1, 10), (0.0, 0)):
        plan = api.plan(image, axes=axes, model=checkpoints["denoiser"], strength=strength, **given)
        result = restore_region(plan, region(plan), brighter)
        assert result.dtype == image.dtype
        np.testing.assert_allclose(result, image + np.array(added, dtype), atol=1e-3)
        part = restore_region(plan, region(plan, Y=slice(13, 41), X=slice(5, 50)), brighter)
        np.testing.assert_array_equal(part, result[tuple(region(plan, Y=slice(13, 41), X=slice(5, 50)))])


@pytest.mark.parametrize("dtype", ["int64", "uint64", "float64"])
def test_no_strength_is_the_source_exactly(checkpoints: dict[str, Path], dtype: str) -> None:
    image = np.random.default_rng(0).integers(2**60, 2**60 + 999, (40, 40)).astype(dtype)
    if dtype == "float64":
        image[3, 4], image[5, 6] = np.nan, np.inf
    plan = api.plan(image, model=checkpoints["denoiser"], strength=0, tile=32, halo=4, blend=8)
    np.testing.assert_array_equal(restore_region(plan, region(plan), brighter), image)


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_strength_leaves_missing_pixels_as_they_are(checkpoints: dict[str, Path], strength: float) -> None:
    image = np.random.default_rng(0).poisson(100, (64, 64)).astype(np.float32)
    image[20:30, 30:50], image[5, 5] = -1e30, np.nan
    plan = api.plan(image, model=checkpoints["denoiser"], strength=strength, fill_values=-1e30)
    result = restore_region(plan, region(plan), brighter)
    np.testing.assert_array_equal(result[20:30, 30:50], image[20:30, 30:50])
    assert np.isnan(result[5, 5]) and np.isfinite(result[31:]).all()
