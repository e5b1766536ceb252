"""A denoiser before super-resolution, in one run: two networks in a row on one tile grid."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from numpy.typing import NDArray
from scipy import ndimage
from stored_files import files
from typer.testing import CliRunner

from napari_restore import api
from napari_restore.cli import app
from napari_restore.errors import ModelError, OutputError, RecipeError

TILES: dict[str, Any] = {"tile": 64, "halo": 8, "blend": 16, "workers": 1}


def plane(noise: float, shape: tuple[int, ...] = (96, 120)) -> NDArray[np.float32]:
    rng = np.random.default_rng(0)
    field = ndimage.gaussian_filter(rng.normal(size=shape), (*(0,) * (len(shape) - 2), 5, 5))
    return (np.clip(field / field.std(), 0, 2) / 2 + noise * rng.normal(size=shape)).astype(np.float32)


@pytest.fixture
def settings(checkpoints: dict[str, Path]) -> dict[str, Any]:
    both = {"model": checkpoints["upscaler"], "denoise": checkpoints["denoiser"]}
    return TILES | both | {"axes": "ZYX", "neighbours": "none"}


def test_it_is_one_network_after_the_other(checkpoints: dict[str, Path]) -> None:
    """On a plane of one tile; of several tiles, the seams of the two grids differ."""
    image = plane(0.05)
    range_ = {"axes": "YX", "value_range": (0.0, 1.0), "valid_range": "all", "fill_values": "none"}
    denoised = api.denoise(image, model=checkpoints["denoiser"], **range_)
    expected = api.super_resolve(denoised, model=checkpoints["upscaler"], **range_)
    found = api.super_resolve(image, model=checkpoints["upscaler"], denoise=checkpoints["denoiser"], **range_)
    assert found.shape == (192, 240)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(found - api.super_resolve(image, model=checkpoints["upscaler"], **range_)).max() > 1e-3


# ------------------------------------------------------------------------------------- the same result


@pytest.mark.parametrize(("chunks", "workers"), [((1, 96, 96), 2), ((2, 75, 240), 1), ((3, 192, 100), 3)])
def test_chunks_and_workers(settings: dict[str, Any], tmp_path: Path, chunks: tuple[int, ...], workers: int) -> None:
    image = plane(0.05, (3, 96, 120))
    whole = api.super_resolve(image, **settings)
    given = settings | {"chunks": chunks, "shards": chunks, "workers": workers}
    path = api.super_resolve(image, tmp_path / "a.zarr", **given)
    np.testing.assert_array_equal(zarr.open_array(path / "0", mode="r")[...], whole)


def test_lazy_and_part(settings: dict[str, Any]) -> None:
    image = plane(0.05, (3, 96, 120))
    whole = api.super_resolve(image, **settings)
    region = (slice(1, 3), slice(33, 130), slice(7, 101))
    with dask.config.set(scheduler="threads", num_workers=2):
        lazy = api.super_resolve(da.from_array(image, chunks=(1, 50, 60)), **settings)
        np.testing.assert_array_equal(lazy[region].compute(), whole[region])
    np.testing.assert_array_equal(api.part(api.plan(image, **settings), region), whole[region])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    zarr.create_array(tmp_path / "source.zarr", data=plane(0.05, (3, 96, 120)), chunks=(1, 96, 120))
    return tmp_path / "source.zarr"


def test_interrupted_resumed_and_verified(settings: dict[str, Any], source: Path, tmp_path: Path) -> None:
    given = settings | {"chunks": (1, 64, 64), "shards": (1, 64, 64)}
    api.restore(source, output=tmp_path / "whole.zarr", **given)
    events = api.iter_restore(source, output=tmp_path / "begun.zarr", **given)
    next(event for event in events if event.done >= 5)
    events.close()
    left_out = {name: value for name, value in given.items() if name != "denoise"}
    api.restore(source, output=tmp_path / "begun.zarr", **left_out)  # the denoiser is taken from the stored recipe
    assert files(tmp_path / "begun.zarr") == files(tmp_path / "whole.zarr")
    assert api.verify(tmp_path / "begun.zarr", recompute=3).ok
    report = api.run_report(tmp_path / "begun.zarr")
    assert report.content["denoiser"]["name"] == "denoiser" and "| denoiser | denoiser, SHA-256" in report.page


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0") as here,
        Client(here) as client,
    ):
        yield client


def test_cluster(settings: dict[str, Any], source: Path, tmp_path: Path, cluster: Any) -> None:
    given = settings | {"chunks": (1, 96, 240), "shards": (1, 96, 240)}
    expected = api.super_resolve(plane(0.05, (3, 96, 120)), **settings)
    path = api.restore(source, output=tmp_path / "a.zarr", **given, scheduler=cluster)
    np.testing.assert_array_equal(zarr.open_array(path / "0", mode="r")[...], expected)


# -------------------------------------------------------------------------------------- the fingerprint


def test_the_fingerprint_holds_both_digests(settings: dict[str, Any], checkpoints: dict[str, Path]) -> None:
    image = plane(0.05, (3, 96, 120))
    plan = api.plan(image, **settings)
    identity = plan.identity()
    assert identity["model_sha256"] == api.model_card(checkpoints["upscaler"]).sha256
    assert identity["denoiser_sha256"] == api.model_card(checkpoints["denoiser"]).sha256
    other = api.plan(image, **settings | {"denoise": checkpoints["local"]})
    alone = api.plan(image, **settings | {"denoise": "none"})
    assert len({plan.fingerprint, other.fingerprint, alone.fingerprint}) == 3
    # A run without a denoiser is what it was before there was this setting.
    assert "denoiser_sha256" not in alone.identity() and "denoise" not in alone.recipe.as_json()


def test_another_denoiser_does_not_resume(
    settings: dict[str, Any], checkpoints: dict[str, Path], source: Path, tmp_path: Path
) -> None:
    api.restore(source, output=tmp_path / "a.zarr", **settings)
    with pytest.raises(OutputError, match="denoiser sha256"):
        api.restore(source, output=tmp_path / "a.zarr", **settings | {"denoise": checkpoints["local"]})


# ------------------------------------------------------------------------------------------ what is chosen


def test_auto_denoises_where_noise_hurts(source: Path, tmp_path: Path) -> None:
    noisy, clean = (api.plan(plane(noise), model="swinir-x2-light", axes="YX", denoise="auto") for noise in (0.05, 0))
    assert noisy.recipe.denoise == api.DENOISER and noisy.card.first is not None
    assert "restormer-denoise-light first, in the same run (as the noise is" in str(noisy)
    assert clean.recipe.denoise == "none" and clean.card.first is None
    assert "denoise    none (as " in str(clean)
    assert "denoise " not in str(api.plan(plane(0), model="swinir-x2-light", axes="YX"))
    # Both networks see the halo that they need, and tiles start where both can start.
    first, second = noisy.card.networks
    assert (first.name, second.name) == ("restormer-denoise-light", "swinir-x2-light")
    assert noisy.card.halo == first.halo + second.halo and noisy.card.alignment % first.alignment == 0
    assert noisy.card.bytes_per_pixel >= max(first.bytes_per_pixel, second.bytes_per_pixel)
    colour = np.stack([plane(0.05)] * 3, axis=-1)
    with pytest.raises(ModelError, match="3 input and 3 output channels"):
        api.plan(colour, model="swinir-x2-light", axes="YXS", denoise="restormer-denoise-rgb-light")


def test_auto_resumes_with_the_stored_denoiser(checkpoints: dict[str, Path], source: Path, tmp_path: Path) -> None:
    given = TILES | {"model": checkpoints["upscaler"], "axes": "ZYX"}
    api.restore(source, output=tmp_path / "a.zarr", denoise=checkpoints["denoiser"], **given)
    plan = api.plan(source, output=tmp_path / "a.zarr", denoise="auto", **given)
    assert plan.recipe.denoise == str(checkpoints["denoiser"])


@pytest.mark.parametrize(
    ("model", "denoise", "error", "words"),
    [
        ("denoiser", "auto", RecipeError, "does not super-resolve"),
        ("upscaler", "restormer-gray-denoise-25", ModelError, "one noise level"),
        ("upscaler", "swinir-x2-light", ModelError, "does not denoise"),
        ("upscaler", "restormer-denois-light", ModelError, "did you mean 'restormer-denoise-light'"),
    ],
)
def test_what_cannot_be(
    checkpoints: dict[str, Path], model: str, denoise: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        api.plan(plane(0.05), model=checkpoints[model], denoise=denoise, axes="YX")


def test_neighbours_and_the_denoiser(settings: dict[str, Any]) -> None:
    """A denoiser before the model makes neighbours useful."""
    still = np.stack([plane(0)] * 4) * 200
    image = np.random.default_rng(1).poisson(still + 20).astype(np.uint16)
    plan = api.plan(image, model="swinir-x2-light", axes="ZYX", denoise=api.DENOISER)
    assert plan.fuses and "planes agree" in str(plan)
    assert not api.plan(image, model="swinir-x2-light", axes="ZYX").fuses


def test_on_the_command_line(settings: dict[str, Any], source: Path, tmp_path: Path) -> None:
    words = ["upscale", str(source), str(tmp_path / "a.zarr"), "--axes", "ZYX", "--neighbours", "none"]
    words += ["--model", str(settings["model"]), "--denoise", str(settings["denoise"]), "--tile", "64", "--halo", "8"]
    result = CliRunner().invoke(app, [*words, "--blend", "16"])
    assert result.exit_code == 0, result.output
    expected = api.super_resolve(plane(0.05, (3, 96, 120)), **settings)
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "a.zarr" / "0", mode="r")[...], expected)
