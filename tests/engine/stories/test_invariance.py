"""The result is a function of the input, the model and the recipe, and of nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import tifffile
import zarr

from napari_restore import api
from napari_restore.errors import RecipeError

SETTINGS: dict[str, Any] = {"tile": 32, "halo": 4, "blend": 8, "dtype": "float32", "batch": 1, "workers": 1}
MODELS = ("denoiser", "upscaler")


@pytest.fixture(scope="module")
def source() -> np.ndarray:
    """Noisy blobs, ZYX, whose sides are multiples of nothing."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:45, :58]
    signal = 200 + 800 * np.stack([np.sin(y / 9 + z) ** 2 * np.cos(x / 7) ** 2 for z in range(2)])
    return rng.poisson(signal).astype(np.uint16)


@pytest.fixture(scope="module", params=MODELS)
def case(request: pytest.FixtureRequest, checkpoints: dict[str, Path], source: np.ndarray) -> tuple[Path, np.ndarray]:
    """A model, and what it makes of the array in memory."""
    model = checkpoints[request.param]
    return model, api.restore(source, model=model, axes="ZYX", **SETTINGS)


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """Largest difference, relative to the range of values."""
    assert one.shape == other.shape and one.dtype == other.dtype == np.float32
    return float(np.abs(one - other).max() / np.ptp(other))


def stored(source: Any, path: Path, **settings: Any) -> np.ndarray:
    """Level 0 of the OME-Zarr that a source becomes."""
    return np.asarray(zarr.open_array(api.restore(source, output=path, **settings) / "0", mode="r")[...])


@pytest.mark.parametrize("workers", [2, 4])
def test_workers(case: tuple[Path, np.ndarray], source: np.ndarray, workers: int) -> None:
    model, expected = case
    blocks = {"chunks": (1, 16, 16), "shards": (1, 32, 32)}
    result = api.restore(source, model=model, axes="ZYX", **SETTINGS | blocks | {"workers": workers})
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize(
    ("chunks", "shards"), [((1, 7, 300), (1, 35, 300)), ((2, 16, 13), (2, 16, 13)), ((1, 20, 20), (2, 40, 60))]
)
def test_chunks_and_shards(
    case: tuple[Path, np.ndarray], source: np.ndarray, tmp_path: Path, chunks: tuple[int, ...], shards: tuple[int, ...]
) -> None:
    model, expected = case
    settings = SETTINGS | {"chunks": chunks, "shards": shards}
    np.testing.assert_array_equal(stored(source, tmp_path / "a.zarr", model=model, axes="ZYX", **settings), expected)


@pytest.mark.parametrize("batch", [3, 8])
def test_batches(case: tuple[Path, np.ndarray], source: np.ndarray, batch: int) -> None:
    # A kernel may add up in another order for another batch: equal to rounding, and exactly equal for one batch size.
    model, expected = case
    result = api.restore(source, model=model, axes="ZYX", **SETTINGS | {"batch": batch})
    assert difference(result, expected) <= 1e-5
    blocks = {"batch": batch, "chunks": (1, 23, 31), "shards": (1, 23, 31)}
    assert difference(api.restore(source, model=model, axes="ZYX", **SETTINGS | blocks), result) <= 1e-5


@pytest.mark.parametrize("kind", ["dask", "zarr", "tiff", "tiff in tiles"])
def test_how_the_source_is_stored(case: tuple[Path, np.ndarray], source: np.ndarray, tmp_path: Path, kind: str) -> None:
    model, expected = case
    given: Any = tmp_path / "source.tif"
    if kind == "dask":
        given = da.from_array(source, chunks=((1, 1), (13, 17, 15), (7, 51)))
    elif kind == "zarr":
        given = tmp_path / "source.zarr"
        zarr.create_array(given, data=source, chunks=(2, 11, 20))
    elif kind == "tiff":
        tifffile.imwrite(given, source, compression="zlib", rowsperstrip=5, photometric="minisblack")
    else:
        tifffile.imwrite(given, source, tile=(16, 32), photometric="minisblack")
    # The value range is estimated anew from each of them.
    np.testing.assert_array_equal(stored(given, tmp_path / "a.zarr", model=model, axes="ZYX", **SETTINGS), expected)


def test_lazy_result_on_threads(case: tuple[Path, np.ndarray], source: np.ndarray) -> None:
    model, expected = case
    lazy = api.restore(da.from_array(source, chunks=(1, 20, 58)), model=model, axes="ZYX", **SETTINGS)
    with dask.config.set(scheduler="threads", num_workers=2):
        np.testing.assert_array_equal(lazy.compute(), expected)
        np.testing.assert_array_equal(lazy[1, 20:33, 5:9].compute(), expected[1, 20:33, 5:9])


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A scheduler and two workers, in this process: results travel as they would between machines."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0") as here,
        Client(here) as client,
    ):
        yield client


def test_lazy_result_on_a_cluster(
    case: tuple[Path, np.ndarray], source: np.ndarray, tmp_path: Path, cluster: Any
) -> None:
    model, expected = case
    tifffile.imwrite(tmp_path / "source.tif", source, photometric="minisblack")
    settings = SETTINGS | {"chunks": (1, 32, 32), "shards": (1, 32, 32)}
    lazy = api.restore(tmp_path / "source.tif", model=model, axes="ZYX", **settings)
    np.testing.assert_array_equal(cluster.compute(lazy).result(), expected)


@pytest.mark.parametrize("axes", ["XYZ", "YZX", "ZXY"])
def test_transposed_axes(case: tuple[Path, np.ndarray], source: np.ndarray, axes: str) -> None:
    model, expected = case
    order = ["ZYX".index(letter) for letter in axes]
    turned = source.transpose(order)
    np.testing.assert_array_equal(api.restore(turned, model=model, axes=axes, **SETTINGS), expected.transpose(order))
    lazy = api.restore(da.from_array(turned), model=model, axes=axes, **SETTINGS)
    np.testing.assert_array_equal(lazy.compute(scheduler="synchronous"), expected.transpose(order))


def test_channels_behind_depth(checkpoints: dict[str, Path], source: np.ndarray) -> None:
    image = np.stack([source, source[::-1] * 3])[:, :, :32, :40]
    settings = SETTINGS | {"model": checkpoints["denoiser"]}
    expected = api.denoise(image, axes="CZYX", **settings)
    result = api.denoise(image.swapaxes(0, 1), axes="ZCYX", **settings)
    np.testing.assert_array_equal(result, expected.swapaxes(0, 1))


def test_colour_samples_in_front(checkpoints: dict[str, Path], source: np.ndarray) -> None:
    image = np.stack([source[0], source[1], source[0] // 2])[:, :32, :40]
    settings = SETTINGS | {"model": checkpoints["colour_denoiser"]}
    expected = api.denoise(image, axes="SYX", **settings)
    result = api.denoise(np.moveaxis(image, 0, -1), axes="YXS", **settings)
    np.testing.assert_array_equal(np.moveaxis(result, -1, 0), expected)


@pytest.mark.parametrize("kind", MODELS)
def test_ensemble(checkpoints: dict[str, Path], source: np.ndarray, tmp_path: Path, kind: str) -> None:
    """The mean over the orientations is the same for any blocks, is resumed, and turns with the image."""
    given = SETTINGS | {"model": checkpoints[kind], "axes": "ZYX"}
    one, mean = (api.restore(source, ensemble=count, **given) for count in (1, 8))
    assert difference(mean, one) > 1e-6
    np.testing.assert_array_equal(api.restore(source, **given), one)
    blocks = {"chunks": (1, 16, 16), "shards": (1, 32, 32), "workers": 2}
    np.testing.assert_array_equal(stored(source, tmp_path / "a.zarr", ensemble=8, **given | blocks), mean)
    (tmp_path / "a.zarr/0/c/1/0/1").unlink()
    np.testing.assert_array_equal(stored(source, tmp_path / "a.zarr", **given | blocks), mean)
    lazy = api.restore(da.from_array(source, chunks=(1, 20, 58)), ensemble=8, **given)
    np.testing.assert_array_equal(lazy.compute(scheduler="synchronous"), mean)
    whole = given | {"value_range": (0, 1200), "valid_range": "all", "tile": (48, 64), "halo": 0}
    image = np.pad(source[0], ((0, 3), (0, 6)), "reflect")
    expected = np.rot90(api.restore(image, ensemble=8, **whole | {"axes": "YX"}))
    rotated = api.restore(np.rot90(image).copy(), ensemble=8, **whole | {"axes": "YX", "tile": (64, 48)})
    assert difference(rotated, expected) <= 1e-5
    plan, usual = (api.plan(source, ensemble=count, **given) for count in (8, 1))
    assert plan.fingerprint != usual.fingerprint == api.plan(source, **given).fingerprint
    assert "mean over 8 flips" in str(plan) and plan.memory_bytes > usual.memory_bytes
    assert "ensemble" not in usual.recipe.as_json() and plan.recipe.as_json()["ensemble"] == 8
    with pytest.raises(RecipeError, match="ensemble=3: Input should be 1 or 8"):
        api.plan(source, ensemble=3, **given)


def test_strength(checkpoints: dict[str, Path], source: np.ndarray, tmp_path: Path) -> None:
    """The mix of source and result is the same for any blocks, workers and faces, and is part of the run's identity."""
    given = SETTINGS | {"model": checkpoints["denoiser"], "axes": "ZYX"}
    whole = api.restore(source, **given)
    mixed = api.restore(source, strength=0.3, **given)
    np.testing.assert_allclose(mixed, 0.7 * source + 0.3 * whole, rtol=1e-5)
    np.testing.assert_array_equal(api.restore(source, strength=1, **given), whole)
    np.testing.assert_array_equal(api.restore(source, strength=0, **given), source.astype(np.float32))
    blocks = {"chunks": (1, 16, 16), "shards": (1, 32, 32), "workers": 2}
    np.testing.assert_array_equal(stored(source, tmp_path / "a.zarr", strength=0.3, **given | blocks), mixed)
    lazy = api.restore(da.from_array(source, chunks=(1, 20, 58)), strength=0.3, **given)
    np.testing.assert_array_equal(lazy.compute(scheduler="synchronous"), mixed)
    # A resumed run keeps the strength, and computes what is missing with it.
    (tmp_path / "a.zarr/0/c/1/0/1").unlink()
    np.testing.assert_array_equal(stored(source, tmp_path / "a.zarr", **given | blocks), mixed)
    assert "30 % of the restored image" in str(api.plan(source, strength=0.3, **given))
    assert api.plan(source, strength=1.0, **given).fingerprint == api.plan(source, **given).fingerprint
    assert api.plan(source, strength=0.3, **given).fingerprint != api.plan(source, **given).fingerprint
    with pytest.raises(RecipeError, match="makes 2 times as many pixels along Y and X; leave out strength="):
        api.plan(source, strength=0.3, **given | {"model": checkpoints["upscaler"]})
