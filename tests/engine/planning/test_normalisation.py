from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr

from napari_restore import api
from napari_restore.engine.compute.region import restore_region
from napari_restore.engine.planning.normalisation import choose_intensity
from napari_restore.engine.planning.recipe import make_recipe
from napari_restore.errors import RecipeError, SourceError
from napari_restore.images.image import Image
from napari_restore.images.writing.ome_zarr import read_attributes
from napari_restore.intensity.stabilise import CameraNoise

BLIND, FIXED = "restormer-denoise-light", "restormer-gray-denoise-25"


@pytest.fixture(scope="module")
def photons() -> np.ndarray:
    """Two channels of other gain and offset: uint16, CYX."""
    rng, ramp = np.random.default_rng(0), np.tile(np.linspace(5, 300, 256), (256, 1))
    cameras = ((2.0, 100.0, 3.0), (8.0, 400.0, 5.0))
    planes = [dark + gain * rng.poisson(ramp) + rng.normal(0, read, ramp.shape) for gain, dark, read in cameras]
    return np.rint(planes).astype(np.uint16)


def chosen(photons: np.ndarray, model: str, **settings: Any) -> dict[str, Any]:
    return choose_intensity(Image(photons, "CYX"), api.model_card(model), make_recipe(model=model, **settings)).settings


def test_auto_takes_the_noise_for_a_model_of_one_level_alone(photons: np.ndarray) -> None:
    assert chosen(photons, BLIND)["intensity"] == "percentile"
    assert chosen(photons, FIXED)["intensity"] == "poisson-gaussian"
    assert chosen(photons, FIXED, intensity="auto") == chosen(photons, FIXED)
    assert chosen(photons, FIXED, value_range=(0, 4000))["intensity"] == "range"
    assert chosen(photons, BLIND, noise=(2, 100, 3))["intensity"] == "poisson-gaussian"
    # A constant image has no noise to bring anywhere.
    assert chosen(np.full_like(photons, 9), FIXED)["intensity"] == "percentile"


def test_the_noise_of_each_channel_is_estimated(photons: np.ndarray) -> None:
    noise = chosen(photons, FIXED)["noise"]
    assert [gain for gain, _, _ in noise] == pytest.approx([2, 8], rel=0.1)
    assert chosen(photons, FIXED, noise=(2, 100, 3))["noise"] == ((2, 100, 3),)


def test_settings_that_do_not_go_together(photons: np.ndarray) -> None:
    with pytest.raises(RecipeError, match="needs the value range; give value_range"):
        chosen(photons, BLIND, intensity="range")
    with pytest.raises(RecipeError, match="does not use the noise"):
        chosen(photons, BLIND, intensity="percentile", noise=(2, 100, 3))
    with pytest.raises(RecipeError, match="noise has 3 cameras, but the image has 2 channels"):
        chosen(photons, BLIND, noise=[(2, 100, 3)] * 3)
    with pytest.raises(SourceError, match=r"cannot be estimated.*noise=\(gain, offset, read noise\)"):
        chosen(np.full_like(photons, 9), BLIND, intensity="poisson-gaussian")
    with pytest.raises(RecipeError, match=r"camera noise .* is not valid"):
        make_recipe(model=BLIND, noise=(-2, 100, 3))
    with pytest.raises(RecipeError, match="intensity='sqrt'"):
        make_recipe(model=BLIND, intensity="sqrt")


def test_each_channel_reaches_the_network_with_the_noise_it_was_trained_for(photons: np.ndarray) -> None:
    plan = api.plan(photons, axes="CYX", model=FIXED, fetch=False, tile=256)
    seen: list[np.ndarray] = []

    def look(tiles: np.ndarray, batch: int) -> np.ndarray:
        seen.extend(tiles)
        return tiles

    restore_region(plan, tuple(slice(0, n) for n in plan.shape), look)
    for tile in seen:
        noise = np.diff(tile[0], axis=0)[:, 40:] / np.sqrt(2)  # the ramp runs along x
        assert noise.std() == pytest.approx(25 / 255, rel=0.06)


def test_a_stored_result_tells_its_noise_and_goes_on_with_it(
    photons: np.ndarray, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    source, output = tmp_path / "photons.tif", tmp_path / "out.zarr"
    tifffile.imwrite(source, photons, photometric="minisblack", metadata={"axes": "CYX"})
    settings: dict[str, Any] = {"model": checkpoints["denoiser"], "tile": 96, "intensity": "poisson-gaussian"}
    api.denoise(source, output, **settings)
    recipe = (read_attributes(output) or {})["recipe"]
    assert recipe["intensity"] == "poisson-gaussian" and recipe["noise"][0][0] == pytest.approx(2, rel=0.1)
    again = api.plan(source, output=output, model=checkpoints["denoiser"], tile=96)
    assert again.recipe.intensity == "poisson-gaussian" and "noise stabilised" in str(again)
    assert api.verify(output, recompute=2).ok
    lazy = api.denoise(source, **settings)
    np.testing.assert_array_equal(np.asarray(lazy), zarr.open_array(output / "0")[:])


def test_the_mean_survives_a_network_that_changes_nothing_but_the_noise(photons: np.ndarray) -> None:
    """A perfect denoiser of the stabilised values gives the mean of the photons, without the root's bias."""
    camera = (2.0, 100.0, 3.0)
    plan = api.plan(photons[0], axes="YX", model=BLIND, noise=camera, dtype="float64", tile=256)
    ramp = np.linspace(5, 300, 256)
    perfect = plan.scales[0].normalise(CameraNoise(*camera).unstabilise(CameraNoise(*camera).expected(100 + 2 * ramp)))

    def denoiser(tiles: np.ndarray, batch: int) -> np.ndarray:
        return np.broadcast_to(perfect, tiles.shape).astype(np.float32)

    result = restore_region(plan, (slice(0, 256), slice(0, 256)), denoiser)
    np.testing.assert_allclose(result[128], 100 + 2 * ramp, rtol=1e-3)
