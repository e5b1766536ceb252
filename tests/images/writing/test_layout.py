import numpy as np
import pytest

from napari_restore.errors import OutputError
from napari_restore.images.writing.layout import level_shape, stored_axes, to_stored


def test_samples_take_the_place_of_channels():
    assert stored_axes("TZYXS") == "TCZYX"
    block = np.arange(2 * 3 * 4 * 5 * 3).reshape(2, 3, 4, 5, 3)
    stored = to_stored(block, "TZYXS")
    assert stored.shape == (2, 3, 3, 4, 5)
    np.testing.assert_array_equal(stored[:, 1], block[..., 1])


def test_without_samples_nothing_moves():
    block = np.arange(24).reshape(2, 3, 4)
    np.testing.assert_array_equal(to_stored(block, "CYX"), block)


def test_channels_and_samples_together_are_refused_with_a_way_out():
    with pytest.raises(OutputError, match="one at a time"):
        stored_axes("CYXS")


def test_level_shape_rounds_up():
    assert level_shape("CYX", (3, 101, 64), 2) == (3, 26, 16)
    assert level_shape("CYX", (3, 1, 1), 3) == (3, 1, 1)
