import json

import numpy as np
import pytest

from napari_restore.images.image import Channel
from napari_restore.images.ome_metadata import ome_attributes


def attributes(letters="YX", dtype="u1", channels=(), **more):
    return ome_attributes(letters, 2, np.dtype(dtype), {"Y": 2.0}, {}, {}, channels, "name", "0.5", **more)["ome"]


def test_attributes_are_plain_json():
    made = attributes("CYX", channels=[Channel("a", None, (np.float32(1), np.int64(3)))])
    assert json.loads(json.dumps(made)) == made


def test_channels_that_say_nothing_make_no_omero():
    assert "omero" not in attributes(channels=[Channel()])


def test_the_colour_of_a_single_channel_is_white():
    assert attributes(channels=[Channel("a")])["omero"]["channels"][0]["color"] == "FFFFFF"


@pytest.mark.parametrize(
    ("dtype", "window", "expected"),
    [
        ("i2", None, (-32768, 32767, -32768, 32767)),
        ("f4", None, (0, 1, 0, 1)),
        ("f4", (-3, 8), (-3, 8, -3, 8)),
        ("u1", (0, 300), (0, 300, 0, 300)),
    ],
)
def test_windows(dtype, window, expected):
    window = attributes(dtype=dtype, channels=[Channel("a", None, window)])["omero"]["channels"][0]["window"]
    assert tuple(window[key] for key in ("min", "max", "start", "end")) == expected


def test_translation_is_half_a_pixel_of_level_0_at_level_1():
    second = attributes()["multiscales"][0]["datasets"][1]["coordinateTransformations"]
    assert second[0]["scale"] == [4.0, 2.0] and second[1]["translation"] == [1.0, 0.5]
