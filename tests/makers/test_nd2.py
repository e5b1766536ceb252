"""ND2 files of NIS-Elements, beside the package nd2."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from napari_restore.api import open_image


def test_every_pixel_and_what_is_said(makers: Path) -> None:
    nd2 = pytest.importorskip("nd2")
    path = makers / "nd2" / "cluster.nd2"
    image = pickle.loads(pickle.dumps(open_image(path)))
    with nd2.ND2File(path) as other:
        letters = "".join(other.sizes)
        expected = other.asarray().transpose([letters.index(axis) for axis in image.axes])
        size, channels = other.voxel_size(), other.metadata.channels
        frames = [other.frame_metadata(n).channels[0] for n in (0, 20)]
    np.testing.assert_array_equal(image.read(tuple(slice(0, n) for n in image.shape)), expected)
    region = (slice(1, 3), slice(1, 2), slice(4, 9), slice(7, 20), slice(30, 38))
    np.testing.assert_array_equal(image.read(region), expected[region])
    assert {axis: image.pixel_size[axis] for axis in "ZYX"} == {"Z": size.z, "Y": size.y, "X": size.x}
    seconds = (frames[1].time.relativeTimeMs - frames[0].time.relativeTimeMs) / 2000
    assert image.pixel_size["T"] == pytest.approx(seconds) and seconds == pytest.approx(10.65, abs=0.01)
    assert [channel.name for channel in image.channels] == [channel.channel.name for channel in channels]
    assert [channel.color for channel in image.channels] == ["78E90F", "FE0100"]
    # The stage has the position of the middle of the image.
    stage = frames[0].position.stagePositionUm
    middle = {axis: image.origin[axis] + (image.sizes[axis] - 1) / 2 * image.pixel_size[axis] for axis in "YX"}
    assert middle == {"Y": pytest.approx(stage.y), "X": pytest.approx(stage.x)} and image.origin["Z"] == stage.z
