from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_restore.intensity.bulk import fill_values, robust_range, valid_range, without_fill
from napari_restore.intensity.noise import estimate_noise
from napari_restore.intensity.scaling import ValueRange, estimate_range


def camera(side: int = 192, offset: float = 100.0, seed: int = 0) -> np.ndarray:
    """Blobs as a camera records them: photon and read noise on an offset."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    photons = np.full((side, side), 3.0)
    for _ in range(60):
        cy, cx, radius, bright = *rng.uniform(0, side, 2), rng.uniform(2, 7), rng.uniform(10, 100)
        photons += bright * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * radius**2))
    return np.rint(rng.poisson(photons) * 2 + offset + rng.normal(0, 4, photons.shape))


@pytest.mark.parametrize("fill", [0.0, -1.0, -9999.0, -1e6, 65535.0, 3.4028234663852886e38])
@pytest.mark.parametrize("share", [0.02, 0.6])
def test_fill_of_registration_is_found(fill: float, share: float) -> None:
    image = camera()
    image[: round(share * len(image))] = fill
    assert fill_values([image]) == (fill,)


@pytest.mark.parametrize("fill", [0.0, 50.0, 65535.0, -3.4e38])
@pytest.mark.parametrize("place", [(5, 5), (0, 0), (61, 30)])
def test_the_smallest_area_of_fill_is_found(fill: float, place: tuple[int, int]) -> None:
    plane = np.random.default_rng(0).normal(200, 15, (64, 64))
    plane[place[0] : place[0] + 3, place[1] : place[1] + 3] = fill
    assert fill_values([plane]) == (fill,)


def test_chance_makes_no_fill() -> None:
    """Dim counts often have the same value in nine pixels."""
    planes = [np.random.default_rng(seed).poisson(mean, (256, 256)) for seed, mean in enumerate((0.05, 0.3, 1, 3, 10))]
    assert [fill_values([plane]) for plane in planes] == [()] * 5


def test_two_fills_of_one_image_are_found() -> None:
    image = camera()
    image[:20], image[-30:, :40] = 0, 65535
    assert set(fill_values([image])) == {0.0, 65535.0}


def test_what_a_camera_clips_stays_image() -> None:
    dark = np.maximum(camera(offset=-4), 0)  # its ground is at the black level, and most of it is zero
    assert np.mean(dark == 0) > 0.1 and fill_values([dark]) == ()
    saturated = np.minimum(camera(), 160)
    assert np.mean(saturated == 160) > 0.05 and fill_values([saturated]) == ()


def test_a_frame_that_was_dropped_is_fill_and_others_are_not() -> None:
    assert fill_values([camera(), np.zeros((192, 192)), camera(seed=1)]) == (0.0,)


def test_an_image_of_one_value_has_a_range_all_the_same() -> None:
    planes, share = without_fill([np.full((64, 64), 7.0)], (7.0,))
    assert share == 1.0
    assert robust_range(planes, estimate_noise(planes)) == ValueRange(0.0, 1.0)


def found(image: np.ndarray) -> tuple[ValueRange, tuple[float, float]]:
    planes, _ = without_fill([image], fill_values([image]))
    noise = estimate_noise(planes)
    range_ = robust_range(planes, noise)
    return range_, valid_range(range_, noise)


@pytest.mark.parametrize("share", [0.0005, 0.0015, 0.003])
@pytest.mark.parametrize("value", [5000, 65535, -3.4e38])
def test_hot_and_dead_pixels_do_not_move_the_range(share: float, value: float) -> None:
    image = camera()
    expected = estimate_range(image)
    image.flat[np.random.default_rng(1).choice(image.size, int(share * image.size), replace=False)] = value
    range_, valid = found(image)
    assert abs(range_.low - expected.low) <= 4 and abs(range_.high - expected.high) <= 0.1 * expected.high
    assert not valid[0] <= value <= valid[1]


@pytest.mark.parametrize("radius", [4, 7, 12, 25])
def test_a_saturated_speck_does_not_move_the_range(radius: int) -> None:
    image = camera(256)
    expected = estimate_range(image)
    y, x = np.mgrid[:256, :256]
    image[(y - 90) ** 2 + (x - 60) ** 2 <= radius**2] = 65535
    range_, _ = found(image)
    assert abs(range_.high - expected.high) <= 0.05 * expected.high


def test_the_range_of_an_ordinary_image_is_that_of_its_percentiles() -> None:
    for seed in range(4):
        image = camera(seed=seed)
        assert found(image)[0] == estimate_range(image)


def test_peaks_of_noise_are_within_the_valid_range() -> None:
    noise = np.random.default_rng(0).poisson(4.0, (256, 256)) * 10.0
    low, high = found(noise)[1]
    assert low < noise.min() and noise.max() < high


@pytest.mark.parametrize("value", [-9999.0, 65535.0, -3.4028234663852886e38, -2147483648.0])
@pytest.mark.parametrize("share", [0.02, 0.11, 0.4])
def test_a_value_far_from_all_others_is_fill_even_in_single_pixels(value: float, share: float) -> None:
    image = camera()
    expected = estimate_range(image)
    image.flat[np.random.default_rng(1).choice(image.size, int(share * image.size), replace=False)] = value
    assert fill_values([image]) == (value,)
    range_, valid = found(image)
    assert abs(range_.high - expected.high) <= 0.1 * expected.high and not valid[0] <= value <= valid[1]


def test_values_with_others_between_stay_image() -> None:
    rng = np.random.default_rng(0)
    for image in (rng.poisson(0.05, (256, 256)), rng.choice([0, 255], (256, 256)), rng.poisson(3, (256, 256)) * 100,
                  np.where(rng.random((256, 256)) < 0.3, 0, rng.normal(500, 100, (256, 256)))):  # fmt: skip
        assert fill_values([image]) == ()


def test_missing_values_have_no_say_and_those_around_do() -> None:
    image = camera()
    expected = estimate_range(image)
    image[::2, ::3] = 0
    planes, share = without_fill([image], (), (0.0,))
    assert share == pytest.approx(1 / 6, abs=0.01) and np.isnan(planes[0]).sum() == (image == 0).sum()
    assert abs(robust_range(planes, None).low - expected.low) <= 4


@pytest.mark.parametrize("share", [0.02, 0.11])
def test_values_between_single_pixels_that_are_not_finite_count(share: float) -> None:
    image = camera().astype(float)
    expected = estimate_range(image)
    image[np.random.default_rng(1).random(image.shape) < share] = np.nan
    planes, missing = without_fill([image], ())
    assert missing == pytest.approx(share, abs=0.01)
    assert np.isfinite(planes[0]).sum() > 0.9 * np.isfinite(image).sum()
    found_range = robust_range(planes, None)
    assert abs(found_range.high - expected.high) <= 0.15 * expected.high and abs(found_range.low - expected.low) <= 8


def test_the_margin_of_an_area_does_not_count() -> None:
    image = camera().astype(float)
    image[:, :40] = np.nan
    (plane,), _ = without_fill([image], ())
    assert np.isnan(plane[:, :44]).all() and np.isfinite(plane[:, 44:]).all()


def test_values_mixed_with_fill_do_not_count_between_areas() -> None:
    there = np.outer(np.arange(512) % 40 < 10, np.arange(512) % 40 < 10)
    mixed = np.clip(ndimage.distance_transform_edt(there) / 4, 0, 1)
    image = (1000 + 20 * np.random.default_rng(0).normal(size=there.shape)) * mixed
    image[~there] = np.nan
    planes, _ = without_fill([image], ())
    assert robust_range(planes, None).low > 900
