import numpy as np

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
