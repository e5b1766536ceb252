"""Motion is found where there is some, to the pixel, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_restore.intensity.displacement import STEP, Displacement, search, steps_to_pixels, warp


def field(size: int, seed: int = 0) -> np.ndarray:
    values = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(size, size)), 3)
    return np.asarray(6 * values / values.std(), np.float32)


def noise(shape: tuple[int, int], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("shift", [(0, 2), (3, 0), (-5, 4), (1, -1), (1, 0)])
def test_a_shift_is_found(shift: tuple[int, int]) -> None:
    still = field(160)
    other = np.roll(still, shift, (0, 1))
    found = search(still + noise(still.shape, 1), other + noise(still.shape, 2))
    inner = (slice(6, -6), slice(6, -6))
    near = (abs(found.y[inner] - 2 * shift[0]) <= 2) & (abs(found.x[inner] - 2 * shift[1]) <= 2)
    assert near.mean() > 0.9


def test_half_a_pixel_is_found_where_noise_allows_it() -> None:
    still = 3 * field(160)
    other = ndimage.shift(still, (0.5, -0.5), order=3, mode="grid-wrap")
    found = search(still + noise(still.shape, 1), other + noise(still.shape, 2))
    inner = (slice(6, -6), slice(6, -6))
    assert ((found.y[inner] == 1) & (found.x[inner] == -1)).mean() > 0.8


def test_noise_alone_does_not_move() -> None:
    shape = (400, 400)
    found = search(noise(shape, 1), noise(shape, 2))
    assert ((found.y != 0) | (found.x != 0)).mean() < 0.02


def test_still_structure_does_not_move() -> None:
    still = field(300)
    found = search(still + noise(still.shape, 1), still + noise(still.shape, 2))
    assert ((found.y != 0) | (found.x != 0)).mean() < 0.02


def test_moved_takes_from_where_the_structure_is() -> None:
    values = np.arange(8 * 8).reshape(8, 8)
    by = Displacement(np.full((2, 2), 2, np.int8), np.full((2, 2), -4, np.int8))
    assert warp(values, by)[3, 4] == values[4, 2]
    assert warp(values, by)[7, 0] == values[7, 0]  # the edge is repeated


def test_between_pixels_is_the_mean_of_both_sides() -> None:
    values = np.arange(8.0 * 8).reshape(8, 8).astype(np.float32)
    by = Displacement(np.full((2, 2), 1, np.int8), np.full((2, 2), -1, np.int8))
    found = warp(values, by)
    assert found.dtype == np.float32 and found[3, 4] == values[3:5, 3:5].mean()
    mask = np.zeros((8, 8), bool)
    mask[4, 3] = True
    assert warp(mask, by)[3:5, 3:5].all() and warp(mask, by).sum() == 4


def test_steps_cover_the_plane() -> None:
    assert steps_to_pixels(np.array([[1, 2]]), (3, STEP + 1)).tolist() == [[1] * STEP + [2]] * 3
