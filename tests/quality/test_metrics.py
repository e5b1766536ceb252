from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

from napari_restore import api
from napari_restore.errors import SourceError
from napari_restore.quality.metrics import (
    fit_gain_offset,
    photometric_fit,
    psnr,
    residual_autocorrelation,
    seam_ratio,
    ssim,
)
from napari_restore.samples import sample_path


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def test_psnr_is_that_of_the_formula_and_does_not_wrap() -> None:
    reference, image = np.zeros((8, 8), np.uint8), np.full((8, 8), 10, np.uint8)
    assert psnr(reference, image, 255) == pytest.approx(20 * math.log10(25.5))
    assert psnr(image, reference, 255) == psnr(reference, image, 255)
    assert psnr(image, image, 255) == math.inf


@pytest.mark.parametrize("hole", [np.nan, np.inf])
def test_pixels_that_are_not_finite_are_left_out(hole: float) -> None:
    first, second = noise(32, 32), noise(32, 32, seed=1)
    holed = second.copy()
    holed[:10, :] = hole
    assert psnr(first, holed, 1.0) == pytest.approx(psnr(first[10:], second[10:], 1.0))
    assert ssim(first, holed, 1.0) == pytest.approx(ssim(first[10:], second[10:], 1.0))
    single = [each.astype(np.float32) for each in (first, second)]
    assert ssim(*single, 1.0) == ssim(*(each.astype(np.float64) for each in single), 1.0)
    colours = [np.stack([first, first]), np.stack([holed, second])]
    each = [ssim(first[10:], second[10:], 1.0), ssim(first, second, 1.0)]
    assert min(each) < ssim(*colours, 1.0, channel_axis=0) < max(each)
    assert math.isnan(psnr(first, np.full_like(first, hole), 1.0))
    assert math.isnan(ssim(first, np.full_like(first, hole), 1.0))


def test_ssim_falls_with_noise() -> None:
    reference = np.random.default_rng(0).uniform(size=(32, 32))
    assert ssim(reference, reference, 1.0) == pytest.approx(1.0)
    slight, strong = (ssim(reference, reference + s * noise(32, 32), 1.0) for s in (0.05, 0.5))
    assert 1 > slight > strong


def test_ssim_averages_over_channels() -> None:
    first, second = noise(2, 16, 16), noise(2, 16, 16, seed=1)
    single = [ssim(a, b, 1.0) for a, b in zip(first, second, strict=True)]
    assert ssim(first, second, 1.0, channel_axis=0) == pytest.approx(np.mean(single))


def test_seam_ratio_of_noise_is_one_and_grows_with_a_step() -> None:
    image = noise(256, 256)
    assert seam_ratio(image, [64, 128, 192], [64, 128, 192]) == pytest.approx(1, abs=0.1)
    image[:, 128:] += 10
    assert seam_ratio(image, [], [128]) > 7
    assert seam_ratio(image, [128], []) == pytest.approx(1, abs=0.15)
    assert seam_ratio(image, [], [127]) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize(("blend", "factor"), [(0, 1), (16, 1), (32, 1), (16, 2)])
def test_edges_of_the_source_at_a_border_are_no_seam(blend: int, factor: int) -> None:
    """A border at each of many places of an image without seams, which has more edges at some of them."""
    clean, noisy = (api.open_image(sample_path(f"cells_{kind}")) for kind in ("clean", "noisy"))
    part = (slice(1, 2), slice(0, 220), slice(0, 400))
    truth = ndimage.gaussian_filter(clean.read(part)[0].astype(float), 0.7)
    source = noisy.read(part)[0].reshape(220 // factor, factor, 400 // factor, factor).mean((1, 3))
    steps = np.arange(399)
    plain, beside, seen = [], [], []
    for place in range(50, 320, 10):
        band = list(range(place, place + blend + 1))
        plain.append(seam_ratio(truth, [], band))
        beside.append(seam_ratio(truth, [], band, source=source))
        rise = np.clip((np.arange(400) - place + 0.5) / max(1, blend), 0, 1)
        size = 3 * (1 + blend) * np.abs(np.diff(truth, axis=1))[:, abs(steps - place) < 50].mean()
        seen.append(seam_ratio(truth + size * rise, [], band, source=source))
    assert np.quantile(plain, 0.1) < 0.4 and np.quantile(plain, 0.9) > 1.5
    # Two places are at the edge of a cell, where the source has more noise than edges.
    assert np.quantile(beside, 0.1) > 0.75 and np.quantile(beside, 0.9) < 1.3
    assert np.median(beside) == pytest.approx(1, abs=0.05) and min(seen) > 1.3


def test_seam_ratio_when_the_source_tells_nothing() -> None:
    image = noise(64, 64)
    image[:, 32:] += 10
    flat = seam_ratio(image, [], [32], source=np.zeros((64, 64)))
    assert flat > 5 and seam_ratio(image, [], [32], source=np.full((64, 64), np.nan)) == flat
    assert seam_ratio(image, [], [32], source=np.zeros((1, 1))) == flat
    assert math.isnan(seam_ratio(image, [], [1], source=image))  # too near to the end to compare both sides


def test_seam_ratio_compares_each_axis_with_itself() -> None:
    image = 100.0 * np.arange(50)[:, None] + np.arange(50)
    assert seam_ratio(image, [], [10, 20]) == pytest.approx(1)
    assert seam_ratio(image.astype(np.uint16), [10], [10, 20]) == pytest.approx(1)


def test_seam_ratio_of_flat_and_damaged_images() -> None:
    flat = np.zeros((20, 20))
    assert math.isnan(seam_ratio(flat, [10], [10]))
    assert math.isnan(seam_ratio(noise(20, 20), [], []))
    flat[10:] = 1
    assert seam_ratio(flat, [10], [10]) == math.inf
    damaged = np.arange(20.0) * np.ones((20, 1))
    damaged[3:5, 8:12] = np.nan
    assert seam_ratio(damaged, [], [10]) == pytest.approx(1)


def test_gain_and_offset_are_found_in_noise_and_holes() -> None:
    image = np.random.default_rng(0).uniform(size=(50, 50))
    reference = 3 * image - 2 + 0.01 * noise(50, 50)
    image[0], reference[1] = np.nan, np.inf
    assert fit_gain_offset(image, reference) == pytest.approx((3, -2), abs=0.01)
    assert fit_gain_offset(np.full(9, 5, np.uint8), np.full(9, 2, np.uint8)) == (1, -3)


def test_autocorrelation_of_white_and_blurred_noise() -> None:
    white = noise(256, 256)
    assert residual_autocorrelation(white) == pytest.approx((0, 0), abs=0.02)
    blurred = ndimage.gaussian_filter(white, (1, 0))
    expected = math.exp(-1 / 4)  # a blur of sigma s leaves exp(-lag^2 / 4 s^2)
    assert residual_autocorrelation(blurred) == pytest.approx((expected, 0), abs=0.03)
    assert residual_autocorrelation(blurred, lag=2)[0] == pytest.approx(expected**4, abs=0.03)


def test_autocorrelation_leaves_out_missing_pixels() -> None:
    stripes = np.tile([1.0, -1.0], (20, 10))
    stripes[5, 5] = np.nan
    assert residual_autocorrelation(stripes) == pytest.approx((1, -1), abs=0.01)
    assert residual_autocorrelation(np.full((9, 9), 3)) == (0, 0)
    assert residual_autocorrelation(np.full((9, 9), np.nan)) == (0, 0)


def test_unfit_arrays_are_refused() -> None:
    with pytest.raises(SourceError, match="differ in shape"):
        psnr(np.zeros((4, 4)), np.zeros((4, 5)), 1.0)
    with pytest.raises(SourceError, match="too small for SSIM"):
        ssim(np.zeros((6, 9)), np.zeros((6, 9)), 1.0)
    with pytest.raises(SourceError, match="not one plane"):
        seam_ratio(np.zeros(5), [], [])
    with pytest.raises(SourceError, match="border 5 is not between"):
        seam_ratio(np.zeros((5, 5)), [5], [])
    with pytest.raises(SourceError, match="no finite pixel"):
        fit_gain_offset(np.full(3, np.nan), np.zeros(3))
    with pytest.raises(SourceError, match="lag 9 is not in"):
        residual_autocorrelation(np.zeros((9, 20)), lag=9)


def test_photometric_fit_sees_lost_contrast_through_noise_that_blurs_a_fit_of_pixels() -> None:
    truth = 100 + 50 * ndimage.gaussian_filter(noise(256, 256), 24) / 0.012
    seen = truth + 40 * noise(256, 256, seed=1)
    slope, offset = photometric_fit(0.95 * truth + 5, seen)
    assert slope == pytest.approx(0.95, abs=0.005) and offset == pytest.approx(5, abs=1)
    assert fit_gain_offset(seen, 0.95 * truth + 5)[0] < 0.9


def test_photometric_fit_of_small_and_constant_planes() -> None:
    small = noise(5, 40)
    assert photometric_fit(2 * small + 1, small) == pytest.approx((2, 1))
    assert photometric_fit(np.full((64, 64), 7), np.full((64, 64), 5)) == (1, 2)
    with pytest.raises(SourceError, match="not one plane"):
        photometric_fit(noise(2, 64, 64), noise(2, 64, 64))
    with pytest.raises(SourceError, match="use 1 or more"):
        photometric_fit(small, small, block=0)
