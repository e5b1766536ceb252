from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_restore import api
from napari_restore.engine.record.pictures import pictures_of
from napari_restore.images.writing import ome_zarr

SETTINGS: dict[str, Any] = {
    "tile": 64, "halo": 8, "workers": 1, "value_range": (0, 2000), "valid_range": "all", "fill_values": "none",
    "neighbours": "none", "device": "cpu",
}  # fmt: skip


def replaced(source: np.ndarray, removed: np.ndarray, output: Path, model: Path, axes: str, **settings: Any) -> Any:
    """Pictures of a result whose pixels are the source minus what is given."""
    plan = api.plan(source, model=model, axes=axes, **SETTINGS, **settings)
    api.denoise(source, output, model=model, axes=axes, **SETTINGS, **settings)
    ome_zarr.open_level(output, 0, "r+")[...] = (source - removed).astype(source.dtype)
    return pictures_of(plan, output)


def spread(removed: dict[str, Any]) -> float:
    """Standard deviation of a histogram."""
    centres, density = np.array(removed["centres"]), np.array(removed["density"])
    return float(np.sqrt((centres**2 * density).sum() / density.sum()))


def test_noise_alone_follows_the_bell_curve(tmp_path: Path, checkpoints: dict[str, Path]) -> None:
    rng = np.random.default_rng(0)
    truth = np.broadcast_to(np.linspace(200, 1500, 400), (300, 400))
    noisy = rng.poisson(truth).astype(np.float32)
    made = replaced(noisy, noisy - truth, tmp_path / "o.zarr", checkpoints["local"], "YX")
    assert "estimated" in made.removed["noise"] and 0.9 < spread(made.removed) < 1.1
    width = made.removed["centres"][1] - made.removed["centres"][0]
    assert sum(made.removed["density"]) * width == pytest.approx(1, abs=0.01)
    more = replaced(noisy, 3 * (noisy - truth), tmp_path / "more.zarr", checkpoints["local"], "YX")
    assert spread(more.removed) > 2 * spread(made.removed)


def test_the_noise_of_the_recipe_comes_first(tmp_path: Path, checkpoints: dict[str, Path]) -> None:
    truth = np.full((120, 130), 900.0)
    noisy = np.random.default_rng(0).normal(truth, 30).astype(np.float32)
    made = replaced(
        noisy, noisy - truth, tmp_path / "o.zarr", checkpoints["denoiser"], "YX", intensity="poisson-gaussian",
        noise=[(1.0, 0.0, 0.5)],
    )  # fmt: skip
    assert made.removed["noise"] == "the noise of the recipe" and 0.9 < spread(made.removed) < 1.1


@pytest.mark.parametrize(
    ("shape", "axes"), [((3, 2, 90, 100), "ZCYX"), ((90, 100, 3), "YXS"), ((2, 90, 100, 3), "TYXS")]
)
def test_any_axes_have_four_pictures(
    shape: tuple[int, ...], axes: str, tmp_path: Path, checkpoints: dict[str, Path]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    api.denoise(pixels, tmp_path / "o.zarr", model=checkpoints["local"], axes=axes, **SETTINGS)
    plan = api.plan(pixels, model=checkpoints["local"], axes=axes, **SETTINGS)
    assert pictures_of(plan, tmp_path / "o.zarr").html.count("<img ") == 4


def test_what_super_resolution_removed_is_on_the_grid_of_the_source(
    tmp_path: Path, checkpoints: dict[str, Path]
) -> None:
    pixels = np.random.default_rng(0).poisson(500, (70, 90)).astype(np.float32)
    settings = SETTINGS | {"halo": 16}
    api.super_resolve(pixels, tmp_path / "o.zarr", model=checkpoints["upscaler"], axes="YX", **settings)
    plan = api.plan(pixels, model=checkpoints["upscaler"], axes="YX", **settings)
    ome_zarr.open_level(tmp_path / "o.zarr", 0, "r+")[...] = pixels.repeat(2, axis=0).repeat(2, axis=1)
    made = pictures_of(plan, tmp_path / "o.zarr")
    assert made.removed["density"][30] == max(made.removed["density"]) and spread(made.removed) < 0.1


@pytest.mark.parametrize("hole", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rows", [7, 90])
def test_missing_pixels_are_left_out(hole: float, rows: int, tmp_path: Path, checkpoints: dict[str, Path]) -> None:
    source = np.random.default_rng(0).normal(1000, 30, (90, 100)).astype(np.float32)
    source[:rows, :50] = hole
    source[:rows, 50:] = -hole
    removed = np.random.default_rng(1).normal(0, 30, source.shape).astype(np.float32)
    found = replaced(source, removed, tmp_path / "o.zarr", checkpoints["local"], "YX")
    assert found.html.count("<img ") == 4 and np.isfinite(found.removed["density"]).all()
    assert (sum(found.removed["density"]) > 0) == (rows < 90)
