from __future__ import annotations

import numpy as np
import pytest

from napari_restore import api
from napari_restore.samples import sample_path
from napari_restore.widgets.jobs.compare.figures import measure_planes
from napari_restore.widgets.jobs.compare.pairs import tile_borders


def test_figures_of_a_perfect_restoration() -> None:
    rng = np.random.default_rng(0)
    truth = np.add.outer(np.arange(64.0), np.arange(64.0))
    found = measure_planes(truth + rng.normal(0, 5, truth.shape), truth, reference=2 * truth + 100)
    numbers = {each.text.split()[0]: float(each.text.split()[1]) for each in found.figures}
    assert numbers["PSNR"] > 100 and numbers["SSIM"] == 1  # whatever gain and offset the reference has
    assert abs(numbers["Whiteness"]) < 0.1 and abs(numbers["Structure"]) < 0.1
    assert [each.mark for each in found.figures] == ["", "", "✓", "✓"]
    assert found.sentence == "What was removed looks like pure noise."
    # The histogram is symmetrical about zero, and has nearly all pixels.
    assert found.counts.argmax() in range(26, 35) and found.counts.sum() > 0.99 * truth.size
    assert 4 * 4.5 < found.reach < 4 * 5.5


def test_structure_that_was_removed_shows() -> None:
    truth = np.add.outer(np.arange(64.0), np.arange(64.0))
    found = measure_planes(truth, truth / 2)
    numbers = {each.text.split()[0]: float(each.text.split()[1]) for each in found.figures}
    assert numbers["Whiteness"] > 0.9 and numbers["Structure"] > 0.9
    assert [each.mark for each in found.figures] == ["?", "?"] and found.sentence.startswith("Part of the image")


@pytest.mark.parametrize("hole", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("factor", [1, 2])
def test_pixels_without_a_value_are_left_out(hole: float, factor: int) -> None:
    rng = np.random.default_rng(0)
    truth = np.add.outer(np.arange(64.0), np.arange(64.0))
    noisy, result = truth + rng.normal(0, 5, truth.shape), np.kron(truth, np.ones((factor, factor)))
    reference = result.copy()
    whole = measure_planes(noisy, result, reference=reference)
    noisy[5:9, 30:40], result[5 * factor : 9 * factor, 30 * factor : 40 * factor] = hole, hole
    reference[-3:, -3:] = hole
    found = measure_planes(noisy, result, reference=reference)
    assert found.sentence == whole.sentence and [each.mark for each in found.figures] == ["", "", "✓", "✓"]
    assert found.figures[1].text == "SSIM 1.000" and "nan" not in str(found.figures)
    assert found.counts.sum() == pytest.approx(whole.counts.sum() - 40, abs=3)
    missing = np.full(reference.shape, hole)
    assert [each.mark for each in measure_planes(noisy, result, reference=missing).figures] == ["✓", "✓"]


def test_says_what_is_doubtful() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(0, 20, (64, 64)).repeat(4, 0).repeat(4, 1)
    rows = rng.normal(0, 5, (256, 1)) * np.ones((1, 256))  # noise of a camera's rows, alike along x
    assert measure_planes(truth + rows, truth).sentence.startswith("What was removed is alike")
    noisy = truth + rng.normal(0, 20, truth.shape)
    assert measure_planes(noisy, (noisy + truth) / 2).sentence == "Some of the noise is left in the result."
    assert measure_planes(truth, 1.5 * truth).sentence.startswith("The result has more contrast")
    assert measure_planes(truth, truth).sentence == "Almost nothing was changed."
    stepped = truth + rng.normal(0, 5, truth.shape)
    stepped[:, 128:] += 60  # a seam
    seen = measure_planes(truth, stepped, borders=([], [128]))
    assert seen.figures[-1].mark == "?" and "Borders between tiles" in seen.sentence
    flat = np.zeros((256, 256))
    assert measure_planes(flat, flat, borders=([], [128])).figures[-1].text == "Seams none"
    assert measure_planes(truth[:1, :1], truth[:1, :1]).counts.size == 0


@pytest.mark.parametrize(("halo", "blend", "mark"), [(8, 8, "✓"), (0, 0, "?")])
def test_seams_of_the_bundled_model_without_halo_and_blend_are_doubtful(halo: int, blend: int, mark: str) -> None:
    image = api.open_image(sample_path("cells_noisy")).read((slice(1, 2), slice(100, 228), slice(180, 308)))[0]
    settings = {"model": "swinir-denoise-light", "tile": 64, "halo": halo, "blend": blend, "value_range": (90, 340)}
    plan, result = api.plan(image, **settings), api.denoise(image, **settings)  # type: ignore[arg-type]
    borders = tile_borders(plan, (0, 0), ((0, image.shape[0]), (0, image.shape[1])))
    assert all(borders)
    found = measure_planes(image, result, borders=borders)
    assert found.figures[-1].mark == mark, found.figures[-1]
    assert ("Borders between tiles" in found.sentence) == (mark == "?")


def test_missing_pixels_are_left_out() -> None:
    rng = np.random.default_rng(0)
    truth = np.add.outer(np.arange(64.0), np.arange(64.0))
    noisy = truth + rng.normal(0, 5, truth.shape)
    noisy[:8] = np.nan
    found = measure_planes(noisy, np.where(np.isnan(noisy), np.nan, truth))
    assert [each.mark for each in found.figures] == ["✓", "✓"] and "nan" not in str(found.figures)
    assert found.sentence == "What was removed looks like pure noise." and 4 * 4.5 < found.reach < 4 * 5.5
    assert 0.99 * 56 * 64 < found.counts.sum() <= 56 * 64
    nothing = np.full((8, 8), np.nan)
    assert measure_planes(nothing, nothing).counts.size == 0
