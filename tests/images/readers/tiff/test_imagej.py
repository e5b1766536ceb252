import numpy as np
import pytest

from napari_restore.images.image import Channel
from napari_restore.images.readers.tiff.imagej import imagej_metadata
from napari_restore.images.readers.tiff.metadata import TiffMetadata


def test_imagej_in_pixels_has_no_pixel_size():
    for unit in ({}, {"unit": "pixel"}):
        assert imagej_metadata({"spacing": 2.0, **unit}, (1.0, 1.0), None) == TiffMetadata()


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
    assert found.origin == origin and not found.notes


def test_a_spacing_that_no_slices_have_is_said():
    found = imagej_metadata({"unit": "um", "spacing": 0.0}, (4.0, 2.0), None)
    assert "Z" not in found.pixel_size and "along Z" in found.notes[0]
