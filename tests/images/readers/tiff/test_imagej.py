import numpy as np
import pytest

from napari_restore.images.image import Channel
from napari_restore.images.readers.tiff.imagej import imagej_metadata
from napari_restore.images.readers.tiff.metadata import TiffMetadata


def test_imagej_in_pixels_has_no_pixel_size():
    for unit in ({}, {"unit": "pixel"}):
        assert imagej_metadata({"spacing": 1.0, **unit}, (1.0, 1.0), None) == TiffMetadata()
        found = imagej_metadata({"spacing": 2.0, **unit}, (4.0, 4.0), None)
        assert found.pixel_size == {} and "pixel size X 0.25, Y 0.25, Z 2 without a unit" in found.notes[0]


def test_imagej_micron_and_escaped_unit():
    for unit in ("micron", "\\u00B5m"):
        found = imagej_metadata({"unit": unit, "spacing": 2.0}, (4.0, 2.0), None)
        assert found.pixel_size == {"X": 0.25, "Y": 0.5, "Z": 2.0}
        assert found.units == dict.fromkeys("XYZ", "micrometer")


def test_imagej_lookup_tables_and_limits():
    green = np.zeros((3, 256), "u1")
    green[1] = np.arange(256)
    found = imagej_metadata({"LUTs": [green], "mode": "color", "min": 3.0, "max": 70.0}, (1.0, 1.0), None)
    assert found.channels == (Channel(color="00FF00", window=(3.0, 70.0)),)


def test_imagej_with_too_few_limits_has_none():
    assert imagej_metadata({"Ranges": (1.0, 2.0)}, (1.0, 1.0), 2).channels == ()


@pytest.mark.parametrize(
    ("told", "sizes", "units", "origin"),
    [
        ({"spacing": -0.5}, (0.25, 0.5, -0.5), ("micrometer",) * 3, {}),
        (
            {"spacing": 2.0, "yunit": "nm", "zunit": "mm"},
            (0.25, 0.5, 2.0),
            ("micrometer", "nanometer", "millimeter"),
            {},
        ),
        (
            {"spacing": 2.0, "xorigin": 10, "zorigin": "1"},
            (0.25, 0.5, 2.0),
            ("micrometer",) * 3,
            {"X": -2.5, "Z": -2.0},
        ),
        ({"spacing": 2.0, "zunit": "pixel"}, (0.25, 0.5, None), ("micrometer", "micrometer", None), {}),
    ],
)
def test_each_axis_has_its_own_unit_sign_and_origin(told, sizes, units, origin):
    found = imagej_metadata({"unit": "um", **told}, (4.0, 2.0), None)
    assert tuple(found.pixel_size.get(axis) for axis in "XYZ") == sizes
    assert tuple(found.units.get(axis) for axis in "XYZ") == units
    assert found.origin == origin and bool(found.notes) == (None in sizes)


def test_a_spacing_that_no_slices_have_is_said():
    found = imagej_metadata({"unit": "um", "spacing": 0.0}, (4.0, 2.0), None)
    assert "Z" not in found.pixel_size and "along Z" in found.notes[0]


@pytest.mark.parametrize("unit", ["furlong", "u", "1e-6 m"])
def test_an_unknown_unit_keeps_the_numbers_and_is_said(unit):
    found = imagej_metadata({"unit": unit, "spacing": 2.0}, (4.0, 2.0), None)
    assert found.pixel_size == {"X": 0.25, "Y": 0.5, "Z": 2.0} and found.units == {}
    assert f"The unit '{unit}' of X and Y and Z is unknown" in found.notes[0]


def test_a_calibration_of_the_values_is_said():
    for told in ({"c0": -32768.0, "c1": 1.0}, {"c0": "0", "c1": "2.5"}):
        (note,) = imagej_metadata({"unit": "um", "spacing": 1.0, **told}, (4.0, 2.0), None).notes
        assert "restored as they are stored" in note
    assert not imagej_metadata({"unit": "um", "spacing": 1.0, "c0": 0, "c1": 1}, (4.0, 2.0), None).notes
