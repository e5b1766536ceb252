from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from typer.testing import CliRunner

from napari_restore import api
from napari_restore.assessment import blocks
from napari_restore.cli import app
from napari_restore.errors import OutputError, RecipeError, SourceError

TRUTH = 200 + 100 * np.sin(np.arange(128) / 9) * np.cos(np.arange(96) / 7)[:, None]
NOISE = (1.0, 0.0, 0.5)
SMALL: dict[str, Any] = {
    "model": Path(__file__).parents[1] / "weights/restormer-sigma25-tiny.safetensors",
    "tile": 64, "halo": 8, "blend": 16, "neighbours": "none",
}  # fmt: skip


def noisy(count: int = 0, seed: int = 0) -> np.ndarray:
    truth = np.stack([TRUTH] * count) if count else TRUTH
    return np.random.default_rng(seed).poisson(truth).astype(np.uint16)


def vesicle(y: int, x: int, peak: float) -> np.ndarray:
    rows, columns = np.mgrid[: TRUTH.shape[0], : TRUTH.shape[1]]
    return np.asarray(peak * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * 2.0**2)))


def test_an_honest_result_has_no_places() -> None:
    found = api.assess(noisy(), TRUTH, axes="YX", noise=NOISE)
    assert found.places == [] and found.line.startswith("None of 48 windows") and found.location is None
    assert found.residual is not None and found.residual.shape == TRUTH.shape
    assert found.significance is not None and found.significance.shape == (6, 8)
    assert found.content["residual"]["mean_square"] == pytest.approx(1, abs=0.1)
    assert found.content["photometry"]["within_3_sigma"] == found.content["photometry"]["count"]


@pytest.mark.parametrize(("peak", "added"), [(60.0, True), (-60.0, False)])
def test_what_was_added_or_taken_away_is_the_first_place(peak: float, added: bool) -> None:
    found = api.assess(noisy(), TRUTH + vesicle(40, 70, peak), axes="YX", noise=NOISE)
    worst = found.places[0]
    assert worst.added == added and worst.kind in ("structure", "contrast") and worst.log10_p < -6
    assert worst.y[0] <= 40 < worst.y[1] and worst.x[0] <= 70 < worst.x[1]
    assert found.residual is not None and (np.sign(found.residual[40, 70]) < 0) == added
    assert "| added |" in found.page if added else "| taken away |" in found.page


def test_contrast_that_was_lost_is_found() -> None:
    contrast = np.random.default_rng(3).normal(0, 30, TRUTH.shape)
    source = np.random.default_rng(4).poisson(300 + contrast)
    found = api.assess(source, 300 + 0.6 * contrast, axes="YX", noise=NOISE)
    assert found.content["residual"]["by_kind"]["contrast"] > 25 and not found.places[0].added


def test_neighbouring_planes_that_miss_the_same_are_found() -> None:
    texture = np.random.default_rng(5).normal(0, 13, TRUTH.shape)
    source = np.random.default_rng(6).poisson(np.stack([TRUTH + texture] * 3))
    found = api.assess(source, np.stack([TRUTH] * 3), axes="ZYX", noise=(1.6, 0.0, 0.0))
    assert found.content["residual"]["by_kind"]["neighbours"] > 20


def test_coarser_levels_of_the_maps_keep_every_peak(tmp_path: Path) -> None:
    truth = np.tile(TRUTH, (3, 6))  # 288 x 768
    bad = truth.copy()
    bad[:96, :128] += vesicle(62, 66, 60)
    source = np.random.default_rng(0).poisson(truth).astype(np.uint16)
    api.assess(source, bad, tmp_path / "maps", axes="YX", noise=NOISE)
    group = zarr.open_group(tmp_path / "maps/residual", mode="r")
    assert group.attrs["ome"]["multiscales"][0]["type"] == "extreme"
    first, second, third = (np.asarray(group[str(level)]) for level in range(3))
    assert third.shape == (72, 192) and len(list(group.array_keys())) == 3
    blocks_of_two = first.reshape(144, 2, 384, 2).swapaxes(1, 2).reshape(144, 384, 4)
    assert np.array_equal(np.abs(second), np.abs(blocks_of_two).max(-1))
    assert third[62 // 4, 66 // 4] == first[60:64, 64:68].min() < -6
    assert list(zarr.open_group(tmp_path / "maps/significance", mode="r").array_keys()) == ["0"]


def test_the_maps_do_not_depend_on_blocks_and_workers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bad = np.stack([TRUTH + vesicle(62, 66, 60)] * 3)  # at the corner of four blocks
    whole = api.assess(noisy(3), bad, tmp_path / "whole", axes="ZYX", noise=NOISE, workers=1)
    monkeypatch.setattr(blocks, "SIDE", 64)
    monkeypatch.setattr(blocks, "RUN", 2)
    cut = api.assess(noisy(3), bad, tmp_path / "cut", axes="ZYX", noise=NOISE, workers=3)
    first, second = (api.open_image(tmp_path / name / "residual") for name in ("whole", "cut"))
    one, other = (np.asarray(image.data[:, :, :]) for image in (first, second))
    assert len(cut.content["blocks"]) == 8 and len(whole.content["blocks"]) == 1
    sizes = np.abs(one), np.abs(other)  # where two filters respond alike, the sign is that of either
    assert sizes[0].max() > 6 and np.abs(sizes[0] - sizes[1]).max() < 0.2
    assert [place.y for place in whole.places] == [place.y for place in cut.places]


def test_the_assessment_is_kept_in_our_result(tmp_path: Path) -> None:
    stack = noisy(2)[:, :64, :64]
    path = api.denoise(stack, tmp_path / "clean.zarr", axes="ZYX", **SMALL)
    found = api.assess(stack, path, axes="ZYX", noise=NOISE)
    place = Path(path) / "assessment"
    assert found.location is not None and Path(found.location) == place
    assert json.loads((place / "assessment.json").read_text())["line"] == found.line
    assert (place / "assessment.md").read_text() == found.page == str(found)
    significance = api.open_image(place / "significance")
    assert significance.shape == (2, 4, 4) and significance.sampling("X").pixel_size == 16
    assert significance.sampling("X").origin == 7.5
    assert api.verify(path).ok
    assert found.line in str(api.run_report(path)) and str(place) in str(api.run_report(path))
    with pytest.raises(OutputError, match="holds an assessment already; replace it with overwrite=True"):
        api.assess(stack, path, axes="ZYX", noise=NOISE)
    api.assess(stack, path, axes="ZYX", noise=NOISE, overwrite=True)
    next((Path(path) / "0").rglob("c/*/*/*")).unlink()
    with pytest.raises(OutputError, match="not complete"):
        api.assess(stack, path, axes="ZYX", noise=NOISE, overwrite=True)


def test_the_report_of_the_run_lists_the_places(tmp_path: Path) -> None:
    stack = noisy(2)[:, :64, :64]
    path = Path(api.denoise(stack, tmp_path / "clean.zarr", axes="ZYX", **SMALL))
    assert f"napari-restore assess SOURCE {path}" in str(api.run_report(path))
    level = zarr.open_array(path / "0", mode="r+")
    level[1, 20:24, 8:56] += np.asarray(level[...]).dtype.type(60)  # retouched
    found = api.assess(stack, path, axes="ZYX", noise=NOISE)
    page, written = str(api.run_report(path)), (tmp_path / "clean.zarr.report.html").read_text()
    assert "## Where to look" in page and found.places
    assert f"| {found.places[0].where('ZYX')} | added |" in page and found.places[0].where("ZYX") in written
    interrupted = path / "assessment" / "assessment.json"
    interrupted.unlink()
    api.assess(stack, path, axes="ZYX", noise=NOISE)  # nothing has to be replaced
    assert interrupted.is_file()


def test_super_resolution_is_compared_on_the_pixels_of_the_source() -> None:
    fine = np.kron(TRUTH, np.ones((2, 2)))
    found = api.assess(noisy(), fine, axes="YX", noise=NOISE, psf=0.5)
    assert found.content["scale"] == 2 and found.places == []
    assert found.content["likeness"]["coefficient"] > 0.9
    assert found.content["beyond_cut_off"]["from"] == "point spread function"
    fine[80:84, 100:104] += 90
    fitted = api.assess(noisy(), fine, axes="YX", noise=NOISE)
    assert fitted.places[0].added and any("fitted" in note for note in fitted.content["notes"])


@pytest.mark.parametrize("hole", [np.nan, np.inf, -np.inf])
def test_missing_pixels_are_left_out(hole: float) -> None:
    source, result = noisy().astype(np.float32), TRUTH + vesicle(70, 20, 60.0)
    for plane in (source, result):
        plane[10:20, 30:50], plane[40, 40] = hole, hole
    found = api.assess(source, result, axes="YX", noise=NOISE)
    assert found.places[0].added and found.places[0].y[0] <= 70 < found.places[0].y[1]
    assert found.residual is not None and not found.residual[10:20, 30:50].any()
    assert (
        found.content["notes"]
        == api.assess(noisy(), TRUTH + vesicle(70, 20, 60.0), axes="YX", noise=NOISE).content["notes"]
    )
    large = api.assess(source, np.kron(result, np.ones((2, 2))), axes="YX", noise=NOISE, psf=1.5)
    assert large.content["beyond_cut_off"]["after"] is None
    assert "Power beyond the cut-off of the optics: none; all sampled crops of the result have missing" in large.page


def test_regions_are_compared_by_their_sums() -> None:
    labels = np.zeros(TRUTH.shape, np.uint8)
    labels[10:40, 10:40], labels[60:90, 60:120] = 4, 9
    result = TRUTH.copy()
    result[labels == 9] *= 1.05
    found = api.assess(noisy(), result, axes="YX", noise=NOISE, regions=labels).content["photometry"]
    listed = {row["label"]: row["deviation"] for row in found["listed"]}
    assert listed[9] > 10 and abs(listed[4]) < 4 and found["regions"] == "labels"


def test_regions_may_have_colour_samples_as_the_source_has() -> None:
    labels = np.zeros((*TRUTH.shape, 3), np.uint8)
    labels[10:40, 10:40, :], labels[60:90, 60:120, 2] = 4, 9
    source = np.stack([noisy(seed=seed) for seed in range(3)], -1)
    found = api.assess(source, np.stack([TRUTH] * 3, -1), axes="YXS", noise=NOISE, regions=labels)
    listed = {(row["channel"], row["label"]) for row in found.content["photometry"]["listed"]}
    assert listed == {(0, 4), (1, 4), (2, 4), (2, 9)}


def test_wrong_settings_are_refused() -> None:
    for wrong in ({"tolerance": 1.0}, {"significance": 0.0}, {"workers": 0}, {"noise": (1, 2)}, {"noise": "no"}):
        with pytest.raises(RecipeError):
            api.assess(noisy(), TRUTH, axes="YX", **wrong)  # type: ignore[arg-type]
    with pytest.raises(SourceError, match="both or neither"):
        api.assess(noisy(), TRUTH, axes="YX", noise=NOISE, wavelength=0.5)


def test_foreign_folders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(OutputError, match="no assessment"):
            api.assess(noisy(), TRUTH, tmp_path / "mine", axes="YX", noise=NOISE, overwrite=overwrite)
    assert (tmp_path / "mine" / "notes.txt").read_text() == "mine"


def test_on_the_command_line(tmp_path: Path) -> None:
    import tifffile

    tifffile.imwrite(tmp_path / "noisy.tif", noisy())
    tifffile.imwrite(tmp_path / "clean.tif", (TRUTH + vesicle(40, 70, 60)).astype(np.float32))
    call = ["assess", str(tmp_path / "noisy.tif"), str(tmp_path / "clean.tif"), "--noise", "1,0,0.5"]
    done = CliRunner().invoke(app, [*call, "--output", str(tmp_path / "trust")])
    assert done.exit_code == 0, done.output
    assert "| added | " in done.output and str(tmp_path / "trust") in done.output
    told = CliRunner().invoke(app, [*call, "--json"])
    assert json.loads(told.output)["places"][0]["added"]
