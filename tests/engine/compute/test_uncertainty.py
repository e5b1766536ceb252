from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr
from scipy.ndimage import gaussian_filter

from napari_restore import api
from napari_restore.engine.run.calibrating import calibrated, fit_calibration, lost_structure
from napari_restore.errors import RecipeError, SourceError
from napari_restore.images.staging import Stage
from napari_restore.images.writing.layout import WriteUnit
from napari_restore.images.writing.unit_writer import UnitWriter

GIVEN: dict[str, Any] = {
    "tile": 32, "halo": 4, "blend": 8, "dtype": "float32", "batch": 1, "workers": 1, "pyramid": False,
}  # fmt: skip
BLOCKS = {"chunks": (16, 16), "shards": (32, 32), "workers": 2}
NUMBERS = (2.0, 0.5, 10.0, 3.0)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    y, x = np.mgrid[:44, :60]
    return np.random.default_rng(0).poisson(100 + 80 * np.sin(y / 9) ** 2 * np.cos(x / 7) ** 2).astype(np.uint16)


def read(path: Path) -> np.ndarray:
    return np.asarray(zarr.open_array(path, mode="r")[...])


@pytest.mark.parametrize("kind", ["even", "uneven"])
def test_the_stated_shares_of_errors_lie_within(kind: str) -> None:
    rng = np.random.default_rng(3)
    spread = rng.gamma(2.0, 1.0, 40_000) if kind == "uneven" else np.full(40_000, 2.0)
    noise = rng.choice([4.0, 9.0], spread.size)
    sigma = np.sqrt((1.5 * spread) ** 2 + (0.2 * noise) ** 2)
    factor, share = fit_calibration(rng.normal(0, sigma), spread, noise)
    found = np.sqrt((factor * spread) ** 2 + (share * noise) ** 2)
    error = rng.normal(0, sigma)
    for within, part in ((1, 0.683), (2, 0.954)):
        assert np.mean(np.abs(error) < within * found) == pytest.approx(part, abs=0.01)
    if kind == "uneven":
        assert factor == pytest.approx(1.5, rel=0.15)


def test_the_truth_of_a_calibration_gets_back_what_the_network_loses() -> None:
    rows, columns = np.mgrid[:96, :96]
    lines = 100.0 + 60 * (np.abs((columns + 2 * rows) % 24 - 12) < 1.5)
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 25, lines.shape)
    plan = api.plan(np.rint(lines + noise).clip(0).astype(np.uint16), axes="YX", model=api.DENOISER, device="cpu")
    again = gaussian_filter(lines, 0.8)  # as a network that loses structure leaves it
    lost = lost_structure(plan, again, noise, 0)
    wanted = lines - again
    assert np.corrcoef(lost.ravel(), wanted.ravel())[0, 1] > 0.5
    assert np.abs(lines - (again + lost)).mean() < np.abs(wanted).mean()


def test_a_run_calibrates_stores_and_resumes_it(
    checkpoints: dict[str, Path], image: np.ndarray, tmp_path: Path
) -> None:
    given = GIVEN | BLOCKS | {"model": checkpoints["denoiser"], "axes": "YX"}
    out = tmp_path / "a.zarr"
    api.denoise(image, out, uncertainty=True, **given)
    result, sigma = read(out / "0"), read(out / "uncertainty/0")
    np.testing.assert_array_equal(result, api.denoise(image, ensemble=8, **given))
    assert sigma.shape == result.shape and sigma.dtype == np.float32 and (sigma > 0).all()
    recipe = api.load_recipe(out)
    factor, gain, offset, read_noise = recipe["calibration"][0]
    assert recipe["ensemble"] == 8 and factor > 0 and min(gain, read_noise) >= 0 and 50 < offset < 200
    before = {name: (out / name).read_bytes() for name in ("0/c/1/1", "uncertainty/0/c/0/1", "uncertainty/0/c/1/1")}
    for name in before:
        (out / name).unlink()
    api.denoise(image, out, uncertainty=True, **given)  # the calibration of the first run is used
    assert {name: (out / name).read_bytes() for name in before} == before
    found = api.verify(out, source=image, recompute=1)
    assert not found.bad and found.fingerprint_intact and found.recomputed == 1
    assert "uncertainty/0/c/0/1" in (out / "0/.sha256sums").read_text()


@pytest.mark.parametrize("kind", ["flipped", "missing", "metadata", "list of digests"])
def test_damage_is_found_and_repaired(
    checkpoints: dict[str, Path], image: np.ndarray, tmp_path: Path, kind: str
) -> None:
    given = GIVEN | BLOCKS | {"model": checkpoints["denoiser"], "axes": "YX", "calibration": (NUMBERS,)}
    out = tmp_path / "a.zarr"
    api.denoise(image, out, uncertainty=True, **given)
    name = {"metadata": "uncertainty/0/zarr.json", "list of digests": "0/.sha256sums"}.get(kind, "uncertainty/0/c/1/1")
    before = (out / name).read_bytes()
    if kind in ("missing", "list of digests"):
        (out / name).unlink()
    else:
        (out / name).write_bytes(before[:40] + bytes([before[40] ^ 1]) + before[41:])
    found = api.verify(out)
    assert not found.ok and name in (*found.metadata, *(f"uncertainty/0/c/{unit.name}" for unit in found.bad))
    assert api.verify(out, repair=True, source=image).ok
    assert (out / name).read_bytes() == before and api.verify(out, source=image, recompute=1).ok


def test_another_uncertainty_behind_right_checksums_is_found_by_computing(
    checkpoints: dict[str, Path], image: np.ndarray, tmp_path: Path
) -> None:
    given = GIVEN | BLOCKS | {"model": checkpoints["denoiser"], "axes": "YX", "calibration": (NUMBERS,)}
    out = tmp_path / "a.zarr"
    api.denoise(image, out, uncertainty=True, **given)
    before = (out / "uncertainty/0/c/1/1").read_bytes()
    stage = Stage(tmp_path / "own")
    stage.folder.mkdir()  # as a run with a fault in its arithmetic
    writer = UnitWriter(out, stage, "uncertainty")
    writer.write(WriteUnit(0, (1, 1)), np.asarray(writer.level(0)[32:44, 32:60]) * np.float32(1.1))
    assert api.verify(out).ok
    assert api.verify(out, recompute=4, source=image).differing == (WriteUnit(0, (1, 1)),)
    assert api.verify(out, recompute=4, repair=True, source=image).ok
    assert (out / "uncertainty/0/c/1/1").read_bytes() == before


def test_it_is_the_same_for_any_blocks_and_missing_pixels_have_none(
    checkpoints: dict[str, Path], image: np.ndarray, tmp_path: Path
) -> None:
    given = GIVEN | {"model": checkpoints["denoiser"], "calibration": NUMBERS, "uncertainty": True, "fill_values": 0}
    holed = image.copy()
    holed[16:32, 20:40] = 0
    found = []
    for name, blocks in (("a", {}), ("b", BLOCKS)):
        api.denoise(holed, tmp_path / f"{name}.zarr", **given | blocks)
        found.append(read(tmp_path / f"{name}.zarr/uncertainty/0"))
    np.testing.assert_array_equal(*found)
    np.testing.assert_array_equal(np.isnan(found[0]), holed == 0)
    result = read(tmp_path / "a.zarr/0")
    floor = np.sqrt(9 + 0.5 * np.maximum(result - 10, 0))
    there = holed > 0
    assert (found[0][there] > 0.999 * floor[there]).all() and (found[0][there] > 1.0001 * floor[there]).any()


def test_colour_samples_and_gray_through_a_colour_model(
    checkpoints: dict[str, Path], image: np.ndarray, tmp_path: Path
) -> None:
    given = GIVEN | {"calibration": NUMBERS, "uncertainty": True, "model": checkpoints["colour_denoiser"]}
    small = image[:32, :32]
    for name, source, axes in (("s", np.stack([small] * 3, -1), "YXS"), ("g", small, "YX")):
        api.denoise(source, tmp_path / f"{name}.zarr", axes=axes, **given)
        result, sigma = (read(tmp_path / f"{name}.zarr" / part) for part in ("0", "uncertainty/0"))
        assert sigma.shape == result.shape and np.isfinite(sigma).all() and (sigma > 3).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"strength": 0.5}, "strength 0.5 mixes it with the noisy source"),
        ({"ensemble": 1}, "leave out ensemble=, or use ensemble=8"),
        ({"model": "upscaler"}, "makes other pixels than those of the source"),
    ],
)
def test_what_has_no_uncertainty_is_refused(
    checkpoints: dict[str, Path], image: np.ndarray, change: dict[str, Any], words: str
) -> None:
    given = {"model": "denoiser"} | change
    with pytest.raises(RecipeError, match=words):
        api.plan(image, uncertainty=True, **given | {"model": checkpoints[given["model"]]})


def test_it_needs_an_output(checkpoints: dict[str, Path], image: np.ndarray) -> None:
    given = {"model": checkpoints["denoiser"], "uncertainty": True}
    for source in (image, da.from_array(image)):
        with pytest.raises(RecipeError, match="stored beside a result in an OME-Zarr, and this result is not stored"):
            api.denoise(source, **given)
    with pytest.raises(RecipeError, match="name an output"):
        next(api.run(api.plan(image, **given), np.zeros_like(image)))


def test_an_image_without_measurable_noise_cannot_be_calibrated(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    flat = np.full((64, 64), 7, np.uint8)
    with pytest.raises(SourceError, match="its noise cannot be estimated; give calibration="):
        api.denoise(flat, tmp_path / "a.zarr", model=checkpoints["denoiser"], uncertainty=True)
    assert not (tmp_path / "a.zarr").exists()


@pytest.mark.parametrize("hole", [np.nan, np.inf, 0])
def test_missing_pixels_do_not_change_the_calibration(
    checkpoints: dict[str, Path], image: np.ndarray, hole: float
) -> None:
    def numbers(pixels: np.ndarray, **settings: Any) -> np.ndarray:
        plan = api.plan(pixels, model=checkpoints["denoiser"], axes="YX", uncertainty=True, **GIVEN, **settings)
        calibration = calibrated(plan).recipe.calibration
        assert calibration is not None
        return np.asarray(calibration[0])

    given: dict[str, Any] = {"value_range": (80, 220)}
    expected = numbers(image.astype(np.float32 if hole else np.uint16), **given)
    holed = image.astype(np.float32 if hole else np.uint16)
    holed[20:26, 30:40], holed[5, 50] = hole, hole
    given |= {} if hole else {"missing_values": 0}
    assert numbers(holed, **given)[0] == pytest.approx(expected[0], rel=0.15)  # the factor on the spread
    nearly_all = np.full(image.shape, np.nan, np.float32)
    nearly_all[:4] = image[:4]
    with pytest.raises(SourceError, match="cannot be calibrated"):
        numbers(nearly_all, value_range=(0, 300))


def test_a_calibration_that_is_given_is_kept(checkpoints: dict[str, Path], image: np.ndarray) -> None:
    plan = api.plan(image, model=checkpoints["denoiser"], uncertainty=True, calibration=NUMBERS)
    assert calibrated(plan) is plan and "2 times the spread" in str(plan)
    assert plan.memory_bytes > api.plan(image, model=checkpoints["denoiser"], ensemble=8).memory_bytes
    unused = api.plan(image, model=checkpoints["denoiser"], calibration=NUMBERS)
    assert unused.recipe.calibration is None and "the calibration of an uncertainty is not used" in str(unused)
    usual = api.plan(image, model=checkpoints["denoiser"])
    assert usual.warnings == ()
    assert not {"uncertainty", "calibration", "ensemble"} & usual.recipe.as_json().keys()
