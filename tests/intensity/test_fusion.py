"""Fusion: noise falls where planes agree, nothing moves where they do not, and a part gives the bits of the whole."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from noisy_planes import CAMERA, NOISE, exposed, structure
from numpy.typing import NDArray
from scipy import ndimage

from napari_restore.intensity.fusion import REACH, STEP, Fused, FusionNoise, Neighbour, fuse
from napari_restore.intensity.scaling import missing
from napari_restore.intensity.stabilise import CameraNoise

MISSING = partial(missing, limits=(-1e6, 1e6))


def expected(photons: NDArray[np.float64]) -> NDArray[np.float64]:
    return CAMERA.offset + CAMERA.gain * photons


def error(fused: Fused, photons: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean((fused.values - expected(photons)) ** 2)))


def fuse_all(middle: NDArray[np.generic], others: list[NDArray[np.generic]], **settings: object) -> Fused:
    return fuse(middle, [Neighbour(other) for other in others], NOISE, **settings)  # type: ignore[arg-type]


def test_four_planes_that_agree_halve_the_noise_and_say_so() -> None:
    truth = structure()
    fused = fuse_all(exposed(truth, 0), [exposed(truth, k) for k in range(1, 5)])
    alone = fuse_all(exposed(truth, 0), [])
    assert 0.43 < error(fused, truth) / error(alone, truth) < 0.5
    assert 0.43 < fused.noise.mean() < 0.5
    assert 4.3 < fused.planes.mean() <= 5
    assert abs((fused.values - expected(truth)).mean()) < 0.1


@pytest.mark.parametrize("photons", [3.0, 30.0])
def test_noise_alone_does_not_lower_the_weights_and_does_not_flicker(photons: float) -> None:
    truth = photons / 40 * structure(200)
    planes = [exposed(truth, k) for k in range(6)]
    pairs = [(fuse_all(planes[k], planes[k + 1 : 6] + planes[:k]), planes[k]) for k in (2, 3)]
    assert min(fused.planes.mean() for fused, _ in pairs) > 5.8
    fused, alone = (
        np.std(ndimage.gaussian_filter(b.astype(float) - a, 2))
        for a, b in ([f.values for f, _ in pairs], [p for _, p in pairs])
    )
    assert fused < 0.12 * alone  # the same planes are averaged: a plain mean would not change at all


def test_no_neighbour_is_the_plane_itself() -> None:
    plane = exposed(structure(), 0)
    fused = fuse_all(plane, [])
    np.testing.assert_array_equal(fused.values, plane)
    assert fused.planes.max() == fused.noise.max() == 1 and fused.weights == ()


def test_other_structure_counts_nowhere_that_there_is_structure() -> None:
    truth, other = structure(seed=0), structure(seed=1)
    fused = fuse_all(exposed(truth, 0), [exposed(other, k) for k in range(1, 5)])
    apart = ndimage.minimum_filter(abs(truth - other) > 10, 5)
    assert apart.any() and fused.planes[apart].mean() < 1.1  # like blobs nearby may agree
    assert error(fused, truth) < error(fuse_all(exposed(truth, 0), []), truth)


@pytest.mark.parametrize("change", ["blinks", "jumps"])
def test_a_speck_that_is_there_once_is_not_thinned(change: str) -> None:
    truth = np.full((120, 120), 10.0)
    speck = np.zeros_like(truth)
    speck[60, 60] = 1500
    speck = ndimage.gaussian_filter(speck, 1.5)
    other = truth + (np.roll(speck, 30, axis=1) if change == "jumps" else 0)
    fused = fuse_all(exposed(truth + speck, 0), [exposed(other, k) for k in range(1, 5)])
    kept = (fused.values - expected(truth))[54:67, 54:67].sum() / (CAMERA.gain * speck).sum()
    assert 0.9 < kept < 1.1
    ghost = (fused.values - expected(truth))[54:67, 84:97].sum() / (CAMERA.gain * speck).sum()
    assert abs(ghost) < 0.08


def test_structure_that_moves_is_followed() -> None:
    truth = structure(200)
    planes = [exposed(np.roll(truth, 3 * k, axis=1), k) for k in range(3)]
    inner = (slice(20, -20), slice(20, -20))
    fused = fuse_all(planes[1], [planes[0], planes[2]])
    here = expected(np.roll(truth, 3, axis=1))
    assert np.std((fused.values - here)[inner]) < 0.75 * np.std((planes[1] - here)[inner])


def test_brightness_is_divided_out() -> None:
    truth = structure()
    dim = exposed(0.6 * truth, 1)
    told = fuse(exposed(truth, 0), [Neighbour(dim, 0.6, CAMERA.offset * 0.4)], NOISE)
    untold = fuse(exposed(truth, 0), [Neighbour(dim)], NOISE)
    bright = truth > 20
    assert told.planes[bright].mean() > untold.planes[bright].mean() + 0.2
    assert abs((told.values - expected(truth))[bright].mean()) < 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -3.4e38])
def test_missing_pixels_stay_and_are_not_spread(value: float) -> None:
    truth = structure(240)
    planes = [exposed(truth, k).astype(np.float32) for k in range(3)]
    whole = fuse_all(planes[0], planes[1:], missing=MISSING)
    planes[0][90:100, 90:100] = value
    planes[1][120:130, 120:130] = value
    fused = fuse_all(planes[0], planes[1:], missing=MISSING)
    np.testing.assert_array_equal(fused.values[90:100, 90:100], planes[0][90:100, 90:100])
    rest = np.ones(truth.shape, bool)
    rest[90:100, 90:100] = False
    assert np.isfinite(fused.values[rest]).all() and abs(fused.values[rest] - whole.values[rest]).max() < 30
    assert fused.planes[120:130, 120:130].max() <= 2
    far = np.ones(truth.shape, bool)
    far[90 - REACH : 130 + REACH, 90 - REACH : 130 + REACH] = False
    np.testing.assert_array_equal(fused.values[far], whole.values[far])


def test_a_plane_without_pixels_counts_nowhere() -> None:
    plane = exposed(structure(), 0).astype(np.float32)
    fused = fuse_all(plane, [np.full_like(plane, np.nan)], missing=MISSING)
    np.testing.assert_array_equal(fused.values, plane)


@pytest.mark.parametrize("noise", [NOISE, FusionNoise(CameraNoise(0.0, 0.0, 20.0), (0.5, 0.3))])
def test_a_part_gives_the_bits_of_the_whole(noise: FusionNoise) -> None:
    truth = structure(301)
    planes = [exposed(np.roll(truth, 2 * k, axis=0), k)[:, :293] for k in range(3)]
    whole = fuse(planes[1], [Neighbour(planes[0]), Neighbour(planes[2], 1.1, -3.0)], noise)
    height, width = planes[0].shape
    for rows, columns in [((0, 40), (90, 200)), ((101, 170), (130, 131)), ((250, 301), (200, 293))]:
        begins = [max(0, (low - REACH) // STEP * STEP) for low in (rows[0], columns[0])]
        ends = [
            min(length, -(-(high + REACH) // STEP) * STEP) for high, length in ((rows[1], height), (columns[1], width))
        ]
        cut = tuple(slice(low, high) for low, high in zip(begins, ends, strict=True))
        part = fuse(planes[1][cut], [Neighbour(planes[0][cut]), Neighbour(planes[2][cut], 1.1, -3.0)], noise)
        inner = tuple(slice(r[0] - b, r[1] - b) for r, b in zip((rows, columns), begins, strict=True))
        outer = (slice(*rows), slice(*columns))
        for name in ("values", "planes", "noise"):
            np.testing.assert_array_equal(getattr(part, name)[inner], getattr(whole, name)[outer])


def test_correlated_noise_is_not_taken_for_change() -> None:
    rng = np.random.default_rng(0)
    blurred = [5 * ndimage.gaussian_filter(rng.normal(size=(200, 200)), 0.7) for _ in range(5)]
    sigma = float(np.std(blurred))
    rho = float(np.mean([np.corrcoef(b[1:].ravel(), b[:-1].ravel())[0, 1] for b in blurred]))
    camera = CameraNoise(0.0, 0.0, sigma)
    others = [Neighbour(b) for b in blurred[1:]]
    knowing, naive = (fuse(blurred[0], others, FusionNoise(camera, (r, r))).planes.mean() for r in (rho, 0.0))
    assert knowing > 4 > naive + 1


def test_strength_averages_more() -> None:
    truth = structure()
    planes = [exposed(truth * (1 + 0.04 * k), k) for k in range(3)]
    counted = [float(fuse_all(planes[0], planes[1:], strength=s).planes.mean()) for s in (0.5, 1.0, 2.0)]
    assert all(less < more for less, more in pairwise(counted))


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (7, 130), (66, 2)])
def test_planes_of_any_shape(shape: tuple[int, int]) -> None:
    planes = [exposed(np.full(shape, 20.0), k) for k in range(3)]
    fused = fuse_all(planes[0], planes[1:])
    assert fused.values.shape == shape and np.isfinite(fused.values).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float16, np.float32, np.float64])
def test_data_types(dtype: type) -> None:
    truth = np.full((40, 40), 20.0)
    planes = [exposed(truth, k).astype(dtype) for k in range(3)]
    fused = fuse_all(planes[0], planes[1:])
    assert fused.values.dtype == np.result_type(dtype, np.float32)
    assert abs(fused.values.mean() - 140) < 1


def test_colour_samples_agree_together() -> None:
    truth = np.stack([structure(seed=0), structure(seed=1), np.full((160, 160), 20.0)])
    changed = truth.copy()
    changed[0] = 0
    planes = [exposed(truth, 0), exposed(changed, 1)]
    fused = fuse_all(planes[0], planes[1:])
    assert fused.values.shape == truth.shape and fused.planes.shape == truth.shape[1:]
    assert fused.planes[truth[0] > 30].mean() < 1.1  # of the others too, which have not changed
    alone = fuse_all(planes[0][2], [planes[1][2]])
    assert alone.planes.mean() > 1.7


def test_one_sample_is_a_plane() -> None:
    truth = structure()
    planes = [exposed(truth, k) for k in range(3)]
    flat, nested = fuse_all(planes[0], planes[1:]), fuse_all(planes[0][None], [plane[None] for plane in planes[1:]])
    np.testing.assert_array_equal(flat.values, nested.values[0])
