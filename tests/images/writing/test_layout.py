import pickle

import numpy as np
import pytest

from napari_restore.errors import OutputError
from napari_restore.images.writing.layout import WriteUnit, level_shape, stored_axes, to_stored


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


def test_write_units_above_one_another() -> None:
    unit = WriteUnit(0, (4, 1, 13, 6))
    assert unit.above == WriteUnit(1, (4, 1, 6, 3)) and unit.above.above == WriteUnit(2, (4, 1, 3, 1))
    assert unit.name == "4/1/13/6" and str(unit.above) == "level 1, unit 4/1/6/3"


def test_write_units_are_sorted_level_by_level_and_sent() -> None:
    units = [WriteUnit(1, (0, 0)), WriteUnit(0, (1, 0)), WriteUnit(0, (0, 9))]
    assert sorted(units) == [units[2], units[1], units[0]]
    assert pickle.loads(pickle.dumps(units)) == units and len({*units, *pickle.loads(pickle.dumps(units))}) == 3
