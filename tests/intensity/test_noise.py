from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import skimage.data
from scipy import ndimage

from napari_restore.errors import SourceError
from napari_restore.intensity.noise import NoiseEstimate, estimate_noise
from napari_restore.training.structures import render

Array = np.ndarray[Any, Any]


def photons(name: str, peak: float) -> Array:
    """Expected photons of a photograph with much structure, the brightest pixel at `peak`."""
    image = getattr(skimage.data, name)().astype(float)
    return image / image.max() * peak


def detect(expected: Array, gain: float, offset: float, read_noise: float, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    return gain * rng.poisson(expected) + offset + rng.normal(0, read_noise, expected.shape)


def sigmas(noise: NoiseEstimate | None, expected: Array, gain: float, offset: float, read_noise: float) -> Array:
    """Estimated over true sigma at the quartiles of the levels."""
    assert noise is not None
    quartiles = np.percentile(expected, [25, 50, 75])
    return noise.sigma(gain * quartiles + offset) / np.sqrt(gain**2 * quartiles + read_noise**2)


@pytest.mark.parametrize("filled", [0.3, 0.6])
def test_a_constant_ground_as_registration_leaves_it_is_left_out(filled: float) -> None:
    """Its value lies within that of the data, as their offset was subtracted."""
    image = detect(photons("camera", 150), 2.0, 0.0, 10.0)
    first = int(filled * len(image))
    alone = estimate_noise(image[first:])
    image[:first] = 0
    found = estimate_noise(image)
    assert alone is not None and found is not None
    for level in (50, 150, 250):
        assert found.sigma(level) == pytest.approx(alone.sigma(level), rel=0.1)


@pytest.mark.parametrize("name", ["camera", "coins", "cell"])
@pytest.mark.parametrize(
    ("peak", "gain", "offset", "read_noise"),
    [(50, 1.0, 0.0, 0.5), (200, 2.0, 100.0, 3.0), (100, 20.0, 500.0, 15.0), (150, 0.1, 10.0, 0.1)],
)
def test_sigma_is_found_on_structured_images(
    name: str, peak: float, gain: float, offset: float, read_noise: float
) -> None:
    expected = photons(name, peak)
    noise = estimate_noise(detect(expected, gain, offset, read_noise))
    np.testing.assert_allclose(sigmas(noise, expected, gain, offset, read_noise), 1, atol=0.15)


@pytest.mark.parametrize("name", ["camera", "cell"])
@pytest.mark.parametrize(("peak", "gain"), [(50, 1.0), (200, 2.0), (100, 20.0), (1000, 5.0)])
def test_gain_is_found_on_structured_images(name: str, peak: float, gain: float) -> None:
    noise = estimate_noise(detect(photons(name, peak), gain, 100.0, gain))
    assert noise is not None
    assert noise.gain == pytest.approx(gain, rel=0.15)
    assert noise.correlation == pytest.approx((0, 0), abs=0.15)


def test_line_is_exact_on_a_ramp_and_gives_the_read_noise() -> None:
    ramp = np.linspace(0, 100, 512) * np.ones((512, 1))
    noise = estimate_noise(detect(ramp, 3.0, 200.0, 12.0))
    assert noise is not None
    assert noise.gain == pytest.approx(3, rel=0.05)
    assert noise.read_variance(200.0) == pytest.approx(144, rel=0.15)
    assert noise.sigma_median == pytest.approx(math.sqrt(9 * 50 + 144), rel=0.03)
    assert noise.levels == pytest.approx((200, 500), abs=10)


@pytest.mark.parametrize("blur", [(0.6, 0.6), (0.8, 0.8), (0.7, 0.0)])
def test_correlated_noise_is_seen_and_its_sigma_corrected(blur: tuple[float, float]) -> None:
    expected = photons("camera", 200)
    white = np.random.default_rng(0).normal(size=expected.shape)
    field = ndimage.gaussian_filter(white, blur)
    noise = estimate_noise(expected + 10 * field / field.std())
    assert noise is not None
    truth = [(field[1:] * field[:-1]).mean() / field.var(), (field[:, 1:] * field[:, :-1]).mean() / field.var()]
    assert noise.correlation == pytest.approx(truth, abs=0.1)
    assert noise.sigma_median == pytest.approx(10, rel=0.15)


def test_several_planes_count_as_one_sample() -> None:
    stack = np.stack([detect(np.full((128, 128), level), 2.0, 0.0, 1.0, level) for level in (20, 50, 90)])
    noise = estimate_noise(stack)
    assert noise is not None
    assert noise.gain == pytest.approx(2, rel=0.15)
    assert estimate_noise(list(stack)) == noise


def test_clipped_pixels_are_left_out() -> None:
    expected = photons("camera", 200)
    clipped = np.clip(np.rint(detect(expected, 2.0, 0.0, 4.0)), 20, 380).astype(np.uint16)
    np.testing.assert_allclose(sigmas(estimate_noise(clipped), expected, 2.0, 0.0, 4.0), 1, atol=0.15)


def test_missing_and_hot_pixels_do_not_matter() -> None:
    image = detect(photons("camera", 200), 2.0, 0.0, 4.0)
    clean = estimate_noise(image)
    image[100:140, 100:140] = np.nan
    image[::97, ::89] = np.inf
    image[50::101, 50::103] = 1e6
    damaged = estimate_noise(image)
    assert clean is not None
    assert damaged is not None
    assert damaged.sigma_median == pytest.approx(clean.sigma_median, rel=0.05)


@pytest.mark.parametrize("missing", ["0.11", "0.3", "rows", "grid"])
def test_single_pixels_may_be_missing_all_over(missing: str) -> None:
    image = detect(photons("camera", 200), 2.0, 0.0, 4.0)
    clean = estimate_noise(image)
    if missing == "rows":
        image[::5] = np.nan
    elif missing == "grid":
        image[::7, ::7] = np.nan
    else:
        image[np.random.default_rng(1).random(image.shape) < float(missing)] = np.nan
    found = estimate_noise(image)
    assert clean is not None and found is not None
    assert found.sigma_median == pytest.approx(clean.sigma_median, rel=0.2)
    assert found.correlation == pytest.approx(clean.correlation, abs=0.25)


@pytest.mark.parametrize("missing", [0.01, 0.03, 0.05, 0.11, 0.3])
@pytest.mark.parametrize("blur", [0.7, 1.0])
def test_correlated_noise_is_seen_where_single_pixels_are_missing(missing: float, blur: float) -> None:
    noise = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(512, 512)), blur)
    image = 500 + 20 * noise / noise.std()
    image[np.random.default_rng(1).random(image.shape) < missing] = np.nan
    found = estimate_noise(image)
    assert found is not None and min(found.correlation) > 0.2
    assert found.sigma_median == pytest.approx(20, rel=0.25)


def test_areas_that_are_missing_are_not_filled() -> None:
    plane = np.clip(ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(96, 120)), 5) * 9, 0, 1)
    plane[ndimage.binary_dilation((plane == 0) | (plane == 1), iterations=4)] = np.nan
    assert np.isfinite(plane).sum() > 500
    noise = estimate_noise(plane)  # smooth: of too few pixels, but not of structure that a shift has made
    assert noise is None or noise.sigma_median < 1e-3


def test_a_flat_image_has_a_sigma_but_no_gain() -> None:
    noise = estimate_noise(detect(np.full((256, 256), 100.0), 1.0, 0.0, 0.0))
    assert noise is not None
    assert noise.gain == 0
    assert noise.sigma_median == pytest.approx(10, rel=0.03)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32])
def test_a_constant_image_has_no_noise(dtype: type) -> None:
    noise = estimate_noise(np.full((64, 64), 7, dtype))
    assert noise == NoiseEstimate(0.0, 0.0, (7.0, 7.0), 7.0, (0.0, 0.0))
    assert noise.sigma_median == 0


def test_a_clean_ramp_has_no_noise() -> None:
    noise = estimate_noise(np.arange(256.0) + np.arange(256.0)[:, None])
    assert noise is not None
    assert noise.sigma_median < 1e-6


@pytest.mark.parametrize("shape", [(1, 1), (7, 500), (12, 12), (0, 0), (0, 64, 64), (1, 100_000)])
def test_too_few_pixels_give_no_estimate(shape: tuple[int, ...]) -> None:
    assert estimate_noise(np.random.default_rng(0).normal(size=shape)) is None


def test_nothing_usable_gives_no_estimate() -> None:
    assert estimate_noise([]) is None
    assert estimate_noise(np.full((64, 64), np.nan)) is None
    assert estimate_noise(np.tile([0, 255], (64, 64)).astype(np.uint8)) is None


def test_a_line_of_pixels_is_refused() -> None:
    with pytest.raises(SourceError, match=r"shape \(9,\) is not a plane"):
        estimate_noise(np.zeros(9))


def test_sigma_is_not_extrapolated_below_the_lowest_level() -> None:
    noise = NoiseEstimate(2.0, -150.0, (100.0, 500.0), 300.0, (0.0, 0.0))
    np.testing.assert_allclose(noise.variance([0, 100, 200, 600]), [50, 50, 250, 1050])
    assert noise.read_variance(10) == 0


@pytest.mark.parametrize(("gain", "read_noise", "photons"), [(2.0, 4.0, 200.0), (8.0, 10.0, 40.0), (0.5, 2.0, 2000.0)])
@pytest.mark.parametrize("kind", ["filaments", "nuclei", "membranes", "spots", "vesicles", "electron_micrograph"])
def test_sigma_is_within_a_tenth_where_structure_is_everywhere(
    kind: str, gain: float, read_noise: float, photons: float
) -> None:
    rng = np.random.default_rng(0)
    structure = ndimage.gaussian_filter(render(kind, 512, rng), 1.2)
    signal = photons * (structure - structure.min()) / np.ptp(structure)
    image = np.rint(100 + gain * rng.poisson(signal) + rng.normal(0, read_noise, signal.shape))
    noise = estimate_noise(image)
    assert noise is not None
    levels = np.percentile(signal, (25, 50, 75))
    truth = np.sqrt(read_noise**2 + gain**2 * levels + 1 / 12)  # rounding is noise as well
    np.testing.assert_allclose(noise.sigma(100 + gain * levels), truth, rtol=0.1)
