import numpy as np
import pytest

from napari_restore.images.cf_attributes import missing_values, notes_on_packing, representable


@pytest.mark.parametrize(
    ("attributes", "dtype", "expected"),
    [
        ({"_FillValue": np.int16(-9999), "missing_value": 7}, "i2", (-9999.0, 7.0)),
        ({"missing_value": [1.0, 1.0, 2.5]}, "f4", (1.0, 2.5)),
        ({"missing_value": [1.0, 2.5]}, "u1", (1.0,)),
        ({"_FillValue": -1}, "u2", ()),
        ({"_FillValue": np.nan, "missing_value": np.inf}, "f8", ()),
        ({"_FillValue": 1e300}, "f4", ()),
        ({"_FillValue": "AAAAAAAA+H8="}, "f8", ()),
        ({"_FillValue": None}, "f8", ()),
        ({"_FillValue": {"odd": [1]}}, "f8", ()),
        ({}, "u2", ()),
    ],
)
def test_only_numbers_that_the_array_can_hold_are_missing(attributes, dtype, expected):
    assert missing_values(attributes, np.dtype(dtype)) == expected


def test_a_type_that_cannot_be_restored_has_none():
    assert representable([0], np.dtype("S3")) == ()


def test_packed_values_are_said():
    (note,) = notes_on_packing({"scale_factor": 0.5, "units": "photon"})
    assert "packed (scale_factor 0.5)" in note and not notes_on_packing({"units": "photon"})
