from __future__ import annotations

import numpy as np
import pytest

from napari_restore.thumbnail import display_limits, middle, picture_of


def test_the_middle_is_bounded() -> None:
    found = middle({"T": 9, "C": 20, "Z": 4, "Y": 5000, "X": 300}, 1024)
    assert [s.stop - s.start for s in found] == [1, 6, 1, 1024, 300]
    assert [s.start for s in found] == [4, 0, 1, 1988, 0]


def test_one_channel_is_gray_between_its_limits() -> None:
    plane = np.array([[[0, 50, 100, 300]]], np.uint16)
    assert picture_of(plane, [(0, 100)]).tolist() == [[0, 128, 255, 255]]


def test_channels_are_added_in_their_colours() -> None:
    channels = np.array([[[1.0, 0.0, np.nan]], [[0.0, 1.0, 1.0]]])
    made = picture_of(channels, [(0, 1), (0, 1)], ["FF0000", None])
    assert made[0].tolist() == [[255, 0, 0], [255, 0, 255], [255, 0, 255]]


@pytest.mark.parametrize("shape", [(1000, 300), (257, 256), (3, 2000), (5, 5)])
def test_large_planes_are_shrunk(shape: tuple[int, int]) -> None:
    made = picture_of(np.full((1, *shape), 7.0), [(0, 14)])
    assert max(made.shape) <= 256 and set(made.ravel().tolist()) == {128}


def test_limits_leave_out_what_is_not_finite() -> None:
    noisy = np.append(np.linspace(0, 1, 5000), [np.nan, np.inf]).reshape(1, 2, -1)
    ((low, high),) = display_limits(noisy)
    assert 0 < low < 0.01 and 0.99 < high < 1
    assert display_limits(np.full((1, 2, 2), np.nan)) == [(0.0, 1.0)]
