from __future__ import annotations

from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import xarray
import zarr

from napari_restore import api
from napari_restore.errors import AxesError, ModelError, OutputError, RecipeError, RestoreError, SourceError
from napari_restore.images.writing import ome_zarr
from napari_restore.images.writing.layout import WriteUnit

SMALL = {"tile": 64, "halo": 8}


def test_numpy_in_numpy_out(checkpoints: dict[str, Path], stack: np.ndarray) -> None:
    result = api.denoise(stack, axes="ZYX", model=checkpoints["denoiser"], **SMALL)  # type: ignore[arg-type]
    assert isinstance(result, np.ndarray) and result.shape == stack.shape and result.dtype == stack.dtype
    as_float = api.denoise(stack, axes="ZYX", model=checkpoints["denoiser"], dtype=np.float32, **SMALL)  # type: ignore[arg-type]
    assert as_float.dtype == np.float32
    np.testing.assert_array_equal(as_float.clip(0, 65535).round(), result)


def test_the_users_order_of_axes_comes_back(checkpoints: dict[str, Path], stack: np.ndarray) -> None:
    expected = api.super_resolve(stack, axes="ZYX", model=checkpoints["upscaler"], **SMALL)  # type: ignore[arg-type]
    turned = api.super_resolve(stack.transpose(2, 0, 1), axes="XZY", model=checkpoints["upscaler"], **SMALL)  # type: ignore[arg-type]
    np.testing.assert_array_equal(turned, expected.transpose(2, 0, 1))


def test_xarray_keeps_names_and_coordinates(checkpoints: dict[str, Path], stack: np.ndarray) -> None:
    coords = {"z": [0.0, 2.0, 4.0], "y": np.arange(75) * 0.5, "x": np.arange(110) * 0.5}
    image = xarray.DataArray(stack, dims=("z", "y", "x"), coords=coords, name="cells", attrs={"stain": "DAPI"})
    same = api.denoise(image, model=checkpoints["denoiser"], **SMALL)  # type: ignore[arg-type]
    assert same.dims == image.dims and same.attrs == image.attrs and same.coords.equals(image.coords)
    twice = api.super_resolve(image, model=checkpoints["upscaler"], **SMALL)  # type: ignore[arg-type]
    assert twice.sizes == {"z": 3, "y": 150, "x": 220} and twice.coords["z"].equals(image.coords["z"])
    opened = api.open_image(twice)
    assert opened.pixel_size == {"Z": 2.0, "Y": 0.25, "X": 0.25}
    assert opened.origin == {"Z": 0.0, "Y": -0.125, "X": -0.125}


@pytest.mark.parametrize("lazy", [False, True])
def test_xarray_of_any_order_is_enlarged(checkpoints: dict[str, Path], stack: np.ndarray, lazy: bool) -> None:
    """Along Y and X new coordinates are centres of new pixels, where the old ones are evenly spaced."""
    pixels = stack.transpose(2, 1, 0)
    coords = {
        "x": ("x", 10 - 2.0 * np.arange(110), {"units": "um"}), "y": np.arange(75) ** 2, "s": [5, 7, 9],
        "column": ("x", np.arange(110)), "focus": (("x", "y"), np.zeros((110, 75))), "run": 3,
    }  # fmt: skip
    image = xarray.DataArray(da.from_array(pixels) if lazy else pixels, dims=("x", "y", "s"), coords=coords)
    twice = api.super_resolve(image, model=checkpoints["upscaler"], **SMALL)  # type: ignore[arg-type]
    assert twice.sizes == {"x": 220, "y": 150, "s": 3} and (twice.chunks is not None) == lazy
    assert set(twice.coords) == {"x", "s", "column", "run"} and twice.coords["x"].attrs == {"units": "um"}
    np.testing.assert_allclose(twice.coords["x"], 10.5 - np.arange(220))
    np.testing.assert_allclose(twice.coords["column"], np.arange(220) / 2 - 0.25)
    np.testing.assert_array_equal(twice.coords["s"], [5, 7, 9])


def test_progress_events_lead_to_the_end(checkpoints: dict[str, Path], stack: np.ndarray, tmp_path: Path) -> None:
    events = list(
        api.iter_restore(
            da.from_array(stack), axes="ZYX", output=tmp_path / "o.zarr", model=checkpoints["denoiser"],
            chunks=(1, 32, 32), shards=(1, 64, 64), **SMALL,  # type: ignore[arg-type]
        )
    )  # fmt: skip
    restoring = [event for event in events if event.stage == "restoring"]
    assert (restoring[0].done, restoring[0].eta_seconds) == (0, None)
    assert restoring[-1].done == restoring[-1].total == 12
    assert restoring[-1].tiles_done == restoring[-1].tiles_total > 12
    assert restoring[-1].tiles_per_second > 0 and restoring[-1].eta_seconds == 0
    tiles = [event.tiles_done for event in restoring]
    assert tiles == sorted(tiles)


def test_an_output_is_found_again_by_every_kind_of_source(
    checkpoints: dict[str, Path], stack: np.ndarray, tmp_path: Path
) -> None:
    expected = api.denoise(stack, axes="ZYX", model=checkpoints["denoiser"], **SMALL)  # type: ignore[arg-type]
    array = zarr.create_array(tmp_path / "plain.zarr", shape=stack.shape, chunks=(1, 40, 50), dtype=stack.dtype)
    array[...] = stack
    for name, source in (("path", tmp_path / "plain.zarr"), ("zarr", array), ("dask", da.from_array(stack))):
        out = tmp_path / f"{name}-out.zarr"
        assert api.denoise(source, out, axes="ZYX", model=checkpoints["denoiser"], **SMALL) == out  # type: ignore[arg-type]
        np.testing.assert_array_equal(ome_zarr.open_level(out, 0)[...], expected)


def test_the_recipe_is_stored_with_the_output(checkpoints: dict[str, Path], stack: np.ndarray, tmp_path: Path) -> None:
    api.denoise(stack, tmp_path / "o.zarr", axes="ZYX", model=checkpoints["denoiser"], **SMALL)  # type: ignore[arg-type]
    stored = ome_zarr.read_attributes(tmp_path / "o.zarr")
    assert stored is not None
    plan = api.plan(stack, axes="ZYX", model=checkpoints["denoiser"], **SMALL)  # type: ignore[arg-type]
    assert stored["fingerprint"] == plan.fingerprint
    assert stored["recipe"]["value_range"] == [list(pair) for pair in plan.recipe.value_range or ()]
    assert stored["model"]["sha256"] == plan.card.sha256


@pytest.mark.parametrize(
    ("source", "settings", "error", "words"),
    [
        ("nowhere.tif", {}, SourceError, "nowhere.tif"),
        (np.zeros((3, 4, 5)), {}, AxesError, "axes="),
        (np.zeros((3, 4, 5)), {"axes": "ZY"}, AxesError, "ZY"),
        (np.zeros((3, 4)), {"axes": "QX"}, AxesError, "Q"),
        (np.zeros(9), {}, SourceError, "no plane"),
        (np.zeros((0, 9)), {}, SourceError, "0"),
        (np.zeros((9, 9), complex), {}, SourceError, "complex"),
        (np.zeros((9, 9), bool), {}, SourceError, "bool"),
        (np.zeros((9, 9)), {"model": "restormer-denoise-lite"}, ModelError, "did you mean"),
        (np.zeros((9, 9)), {"model": "missing.pth"}, ModelError, "does not exist"),
        (np.zeros((9, 9)), {"device": "cuda:7"}, RecipeError, "not on this machine"),
        (np.zeros((9, 9)), {"device": "abacus"}, RecipeError, "unknown"),
        (np.zeros((9, 9)), {"tile": 100}, RecipeError, "96 or 104"),
        (np.zeros((9, 9)), {"halo": -1}, RecipeError, "halo -1"),
        (np.zeros((9, 9)), {"batch": -1}, RecipeError, "batch=-1"),
    ],
)
def test_bad_input_is_a_clear_error_before_any_work(
    tmp_path: Path, source: object, settings: dict[str, object], error: type[RestoreError], words: str
) -> None:
    with pytest.raises(error, match=words):
        api.restore(source, **{"model": api.DENOISER, **settings}, output=tmp_path / "out.zarr")  # type: ignore[arg-type]
    assert not (tmp_path / "out.zarr").exists()


def test_scale_and_model_must_agree(checkpoints: dict[str, Path], stack: np.ndarray) -> None:
    with pytest.raises(RecipeError, match="no bundled model upscales by 3"):
        api.super_resolve(stack[0], scale=3)
    with pytest.raises(RecipeError, match="upscales by 2, not by 4"):
        api.super_resolve(stack[0], scale=4, model=checkpoints["upscaler"])


def test_a_damaged_chunk_is_named_and_what_is_stored_stays(
    checkpoints: dict[str, Path], stack: np.ndarray, tmp_path: Path
) -> None:
    codec = zarr.codecs.ZstdCodec(checksum=True)
    array = zarr.create_array(
        tmp_path / "in.zarr", shape=stack.shape, chunks=(1, 75, 110), dtype=stack.dtype, compressors=codec
    )
    array[...] = stack
    chunk = tmp_path / "in.zarr" / "c" / "2" / "0" / "0"
    good = chunk.read_bytes()
    chunk.write_bytes(good[:-40] + b"\0" * 40)
    settings = {"axes": "ZYX", "model": checkpoints["denoiser"], "value_range": (0, 1000), "workers": 1, **SMALL}
    settings |= {"valid_range": "all", "fill_values": "none", "neighbours": "none"}  # no sample is read
    with pytest.raises(SourceError, match="c/2/0/0"):
        api.denoise(tmp_path / "in.zarr", tmp_path / "out.zarr", **settings)
    kept = list(ome_zarr.missing_units(tmp_path / "out.zarr", 0))
    assert kept == [WriteUnit(0, (2, 0, 0))]
    chunk.write_bytes(good)
    api.denoise(tmp_path / "in.zarr", tmp_path / "out.zarr", **settings)
    expected = api.denoise(stack, **settings)
    np.testing.assert_array_equal(ome_zarr.open_level(tmp_path / "out.zarr", 0)[...], expected)


def test_channels_and_samples_at_once_have_no_place_in_ome_zarr(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    image = np.zeros((2, 16, 16, 3), np.uint8)
    assert api.denoise(image, axes="CYXS", model=checkpoints["denoiser"]).shape == image.shape
    with pytest.raises(OutputError, match="CYXS"):
        api.denoise(image, tmp_path / "o.zarr", axes="CYXS", model=checkpoints["denoiser"])
