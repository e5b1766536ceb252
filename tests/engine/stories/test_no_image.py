"""Fill, specks and hot pixels in a run as a whole: no say, back as they are, and no trace of blocks."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import xarray as xr
import zarr
from scipy import ndimage

from napari_restore import api
from napari_restore.engine.planning.recipe import Recipe, make_recipe

MODEL = "swinir-denoise-light"


def scene(side: int = 96) -> tuple[np.ndarray, np.ndarray]:
    """A truth, and what a camera records of it."""
    rng = np.random.default_rng(2)
    y, x = np.mgrid[:side, :side]
    truth = 300 + 150 * np.sin(x / 6) * np.cos(y / 8)
    return truth, truth + rng.normal(0, 12, truth.shape)


def psnr(result: np.ndarray, truth: np.ndarray, where: np.ndarray) -> float:
    return float(10 * np.log10(np.ptp(truth) ** 2 / np.mean((np.asarray(result, np.float64) - truth)[where] ** 2)))


@pytest.mark.parametrize(
    ("dtype", "fill"),
    [("float32", -3.4028235e38), ("uint16", 0), ("int16", -32768)] + [
        pytest.param(dtype, fill, marks=pytest.mark.long)
        for dtype, fill in (("float32", -9999.0), ("float64", 1e20), ("uint16", 65535), ("int32", -2147483648))
    ],
)  # fmt: skip
def test_fill_has_no_say_and_comes_back(dtype: str, fill: float) -> None:
    truth, noisy = scene()
    mask = np.zeros(noisy.shape, bool)
    mask[:, :11], mask[-6:] = True, True
    plain = noisy.astype(dtype)
    filled = plain.copy()
    filled[mask] = fill
    inside = ~ndimage.binary_dilation(mask, iterations=8)
    without, result = (np.asarray(api.denoise(image, axes="YX", model=MODEL)) for image in (plain, filled))
    np.testing.assert_array_equal(result[mask], filled[mask])
    assert psnr(result, truth, inside) > psnr(without, truth, inside) - 0.3


def test_noise_beside_fill_is_removed_as_elsewhere() -> None:
    """What a network sees in the place of fill has noise too: where it had stripes, 5.8 counts of noise stayed."""
    noisy = np.random.default_rng(0).poisson(200, (64, 64)).astype(np.float32)
    noisy[:, :20] = -9999
    result = np.asarray(api.denoise(noisy, axes="YX", model="restormer-denoise-light"))
    assert (result[:, :20] == -9999).all()
    for beside in (slice(20, 24), slice(24, 32), slice(40, 64)):  # the noise of the source is 14.1 counts
        assert np.sqrt(np.mean((result[:, beside] - 200) ** 2)) < 1.5


def test_fill_comes_back_where_it_is_enlarged() -> None:
    _, noisy = scene(64)
    image = noisy.astype(np.float32)
    image[:, :9] = -32768
    result = np.asarray(api.super_resolve(image, axes="YX", scale=2))
    assert (result[:, :18] == -32768).all() and result[:, 18:].min() > 0


@pytest.mark.parametrize("radius", [4, 12])
def test_a_saturated_speck_spoils_nothing(radius: int) -> None:
    truth, noisy = scene()
    plain = np.rint(noisy).astype(np.uint16)
    y, x = np.mgrid[:96, :96]
    disk = (y - 40) ** 2 + (x - 50) ** 2 <= radius**2
    speck = np.where(disk, 65535, plain).astype(np.uint16)
    inside = ~ndimage.binary_dilation(disk, iterations=4)
    without, result = (np.asarray(api.denoise(image, axes="YX", model=MODEL)) for image in (plain, speck))
    assert psnr(result, truth, inside) > psnr(without, truth, inside) - 1
    assert (result[disk] == 65535).all()


def test_bright_structure_is_restored_at_its_own_range() -> None:
    truth, noisy = scene()
    y, x = np.mgrid[:96, :96]
    bright = 9000 * np.exp(-((y - 40) ** 2 + (x - 50) ** 2) / (2 * 3.0**2))
    rng = np.random.default_rng(0)
    image = noisy + bright + rng.normal(0, 1, truth.shape) * np.sqrt(20 * bright)
    result = np.asarray(api.denoise(image, axes="YX", model=MODEL))
    nucleus = bright > 2000
    error = [np.sqrt(np.mean((values - truth - bright)[nucleus] ** 2)) for values in (image, result)]
    assert error[1] < error[0]
    away = bright < 1
    assert psnr(result, truth, away) > psnr(image, truth, away) + 5


@pytest.mark.long
def test_blocks_leave_no_trace(tmp_path: Path) -> None:
    _, noisy = scene(160)
    image = np.rint(noisy).astype(np.uint16)
    image[:, :30], image[50, 60], image[80:95, 70:100], image[120:130, 120:130] = 0, 65535, 9000, 65535
    settings = {"model": MODEL, "tile": 64, "halo": 8, "blend": 8, "batch": 1, "axes": "YX"}
    whole = np.asarray(api.denoise(image, **settings))
    api.denoise(image, tmp_path / "a.zarr", chunks=(32, 32), shards=(32, 64), **settings)
    stored = zarr.open_array(tmp_path / "a.zarr" / "0", mode="r")
    np.testing.assert_array_equal(np.asarray(stored[:]).reshape(whole.shape), whole)
    assert (whole[:, :30] == 0).all() and whole[50, 60] == 65535


def test_the_plan_says_what_is_no_image() -> None:
    _, noisy = scene()
    noisy[:, :11] = -9999
    text = str(api.plan(noisy, axes="YX", model=MODEL))
    assert "fill -9999, unchanged in the result" in text and "11 % of the sample" in text


def test_what_is_given_stays() -> None:
    _, noisy = scene()
    recipe = api.plan(noisy, axes="YX", model=MODEL, valid_range=(0, 500), fill_values=7).recipe
    assert recipe.valid_range == ((0.0, 500.0),) and recipe.fill_values == ((7.0,),)
    recipe = api.plan(noisy, axes="YX", model=MODEL, valid_range="all", fill_values="none").recipe
    assert recipe.valid_range == () and recipe.fill_values == ()
    assert make_recipe(model=MODEL, valid_range=(-np.inf, np.inf)).valid_range == ()


def test_a_recipe_of_earlier_does_as_it_did() -> None:
    earlier = {"model": MODEL, "value_range": [[0, 1]]}
    recipe = Recipe.from_json(earlier)
    assert recipe.valid_range == () and recipe.fill_values == ()
    assert not {"valid_range", "fill_values"} & recipe.as_json().keys()
    assert not {"valid_range", "fill_values"} & recipe.pixel_settings().keys()


@pytest.mark.parametrize("kind", ["tiff", "hdf5", "zarr", "xarray", "given"])
@pytest.mark.parametrize("value", [0, -9999])
def test_values_that_the_source_declares_have_no_say_and_come_back(tmp_path: Path, kind: str, value: int) -> None:
    truth, noisy = scene()
    plain = np.rint(noisy).astype(np.int16)
    mask = np.random.default_rng(0).random(plain.shape) < 0.05  # single pixels, and values within the valid range
    holes, source, settings = np.where(mask, np.int16(value), plain), "", {}
    if kind == "tiff":
        source = str(tmp_path / "a.tif")
        text = str(value)
        tag = (42113, 2, len(text) + 1, text, True)
        tifffile.imwrite(source, holes, photometric="minisblack", metadata=None, extratags=[tag])
    elif kind == "hdf5":
        source = str(tmp_path / "a.h5")
        with h5py.File(source, "w") as file:
            file.create_dataset("a", data=holes).attrs["_FillValue"] = np.int16(value)
    elif kind == "zarr":
        source = str(tmp_path / "a.zarr")
        zarr.create_array(source, data=holes, attributes={"missing_value": value})
    elif kind == "xarray":
        source = xr.DataArray(holes, dims=("y", "x"), attrs={"_FillValue": value})  # type: ignore[assignment]
    else:
        source, settings = holes, {"axes": "YX", "missing_values": value}  # type: ignore[assignment]
    plan = api.plan(source, model=MODEL, **settings)
    assert plan.recipe.missing_values == ((float(value),),)
    assert f"pixels of the value {value}, unchanged in the result" in str(plan)
    without = np.asarray(api.denoise(plain, axes="YX", model=MODEL))
    result = np.asarray(api.denoise(source, model=MODEL, **settings))
    assert (result[mask] == value).all()
    assert psnr(result, truth, ~mask) > psnr(without, truth, ~mask) - 1


def test_declared_values_can_be_ignored() -> None:
    _, noisy = scene()
    array = xr.DataArray(noisy, dims=("y", "x"), attrs={"_FillValue": -1})
    recipe = api.plan(array, model=MODEL, missing_values="none").recipe
    assert recipe.missing_values == () and "missing_values" not in recipe.pixel_settings()
