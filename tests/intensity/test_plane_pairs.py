"""What belongs together is told from a scene cut and a dropped frame; brightness is fitted where it changed."""

from __future__ import annotations

import numpy as np
import pytest
from noisy_planes import CAMERA, NOISE, exposed, structure
from numpy.typing import NDArray

from napari_restore.intensity.fusion import FusionNoise
from napari_restore.intensity.plane_pairs import Pair, calibrated, compare, sample_regions, summarise
from napari_restore.intensity.stabilise import CameraNoise


def pair(plane: NDArray[np.generic], other: NDArray[np.generic], noise: FusionNoise = NOISE) -> Pair:
    first, second = (summarise([p[region] for region in sample_regions(*p.shape)]) for p in (plane, other))
    return compare(first, second, noise)


def test_the_next_plane_belongs_and_is_as_bright() -> None:
    truth = structure(256)
    found = pair(exposed(truth, 0), exposed(truth, 1))
    assert (found.gain, found.offset, found.reason) == (1.0, 0.0, "")
    assert found.agreement > 0.8


@pytest.mark.parametrize("gain", [0.5, 0.85, 1.3])
def test_bleaching_is_found(gain: float) -> None:
    truth = structure(256) + 5
    found = pair(exposed(truth, 0), exposed(truth * gain, 1))
    assert found.reason == ""
    assert found.gain == pytest.approx(gain, rel=0.03)
    # What the other shows of a level.
    level = CAMERA.offset + CAMERA.gain * 60
    assert found.gain * level + found.offset == pytest.approx(CAMERA.offset + CAMERA.gain * 60 * gain, rel=0.03)


def test_noise_does_not_bias_the_brightness_towards_the_darker_plane() -> None:
    truth = 0.15 * structure(256)  # few photons
    errors = []
    for seed in range(3):
        planes = exposed(truth, 2 * seed), exposed(0.7 * truth, 2 * seed + 1)
        errors += [pair(*planes).gain / 0.7 - 1, 1 / (pair(*planes[::-1]).gain * 0.7) - 1]
    # Least squares without noise in x gives slopes that are too small in both directions: the signs would differ.
    assert abs(np.mean(errors[::2]) - np.mean(errors[1::2])) < 0.02 and abs(np.mean(errors)) < 0.03


def test_flicker_of_a_bright_field_is_found() -> None:
    truth = 400 + structure(256)
    camera = FusionNoise(CameraNoise(2.0, 800.0, 40.0))  # the darkest level seen is far above the camera's own
    found = pair(exposed(truth, 0), exposed(truth * 0.8, 1), camera)
    assert found.reason == "" and found.gain == pytest.approx(0.8, rel=0.05)


def test_motion_is_not_brightness() -> None:
    truth = structure(256)
    found = pair(exposed(truth, 0), exposed(np.roll(truth, 4, axis=1), 1))
    assert (found.gain, found.offset) == (1.0, 0.0)


@pytest.mark.parametrize("other", ["cut", "dark"])
def test_what_shows_something_else_is_left_out(other: str) -> None:
    truth = structure(256)
    shown = exposed(structure(256, seed=5) if other == "cut" else np.zeros_like(truth), 1)
    assert pair(exposed(truth, 0), shown).reason == "shows something else"


def test_constant_empty_and_copied_planes_are_left_out() -> None:
    plane = exposed(structure(256), 0).astype(np.float32)
    assert pair(plane, np.full_like(plane, 100)).reason == "constant"
    assert pair(plane, np.full_like(plane, np.nan)).reason == "constant"
    assert pair(plane, plane).reason == "a copy"
    half, rest = plane.copy(), plane.copy()
    half[:128], rest[128:] = np.nan, np.nan
    assert pair(half, rest).reason == "no pixels in common"


def test_the_sample_depends_on_the_shape_alone_and_lies_within() -> None:
    for height, width in [(1, 1), (100, 384), (385, 4000), (100_000, 90_000)]:
        regions = list(sample_regions(height, width))
        assert len(regions) in (1, 3, 9)
        assert all(0 <= s.start < s.stop <= n for r in regions for s, n in zip(r, (height, width), strict=True))


@pytest.mark.parametrize("shape", [(1, 1), (5, 9), (8, 300)])
def test_small_planes(shape: tuple[int, int]) -> None:
    found = pair(exposed(np.full(shape, 30.0), 0), exposed(np.full(shape, 30.0), 1))
    assert found.gain > 0


def test_the_gain_of_a_sparse_image_is_that_of_its_bright_pixels() -> None:
    """The noise of the background alone says nothing of the gain."""
    rng = np.random.default_rng(0)
    truth = np.zeros((192, 192))
    truth[20:60, 20:60] = 60
    pairs = [tuple(2.0 * rng.poisson(truth) + rng.normal(0, 4, truth.shape) for _ in range(2)) for _ in range(4)]
    found = calibrated(FusionNoise(CameraNoise(0.3, 0.0, 4.0)), pairs)
    assert found.camera.gain == pytest.approx(2.0, rel=0.15)
    # Structure that moves is no noise, and fine structure that stays is none either.
    moved = [(one, np.roll(other, 5, axis=1)) for one, other in pairs]
    assert calibrated(FusionNoise(CameraNoise(0.3, 0.0, 4.0)), moved).camera.gain < 2.6
    grain = truth * rng.uniform(0.5, 1.5, truth.shape)
    still = [tuple(2.0 * rng.poisson(grain) + rng.normal(0, 4, truth.shape) for _ in range(2)) for _ in range(4)]
    assert calibrated(FusionNoise(CameraNoise(0.3, 0.0, 4.0)), still).camera.gain == pytest.approx(2.0, rel=0.15)


@pytest.mark.parametrize("fill", [np.nan, np.inf, -np.inf, -1e30])
def test_missing_pixels_do_not_change_the_noise(fill: float) -> None:
    rng = np.random.default_rng(0)
    truth = structure(192)
    pairs = [tuple(2.0 * rng.poisson(truth) + rng.normal(0, 4, truth.shape) for _ in range(2)) for _ in range(4)]
    guess = FusionNoise(CameraNoise(3.0, 0.0, 6.0))
    expected = calibrated(guess, pairs).camera
    for one, other in pairs:
        one[40:60, 50:90], other[:, 100] = fill, fill
        other[::48, ::48] = fill  # dead pixels
    found = calibrated(guess, pairs, lambda plane: ~np.isfinite(plane) | (plane < -1e20)).camera
    assert found.gain == pytest.approx(expected.gain, rel=0.05)
    assert found.read_noise == pytest.approx(expected.read_noise, rel=0.05)
