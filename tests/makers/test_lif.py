"""LIF files of LAS X, beside liffile."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from napari_restore.api import open_image


def test_every_pixel_and_the_scale_beside_liffile(makers: Path) -> None:
    liffile = pytest.importorskip("liffile")
    path = makers / "lif" / "xz-example.lif"
    with liffile.LifFile(path) as file:
        assert open_image(path).series_names == tuple(other.path for other in file.images)
        for number, other in enumerate(file.images):
            image = pickle.loads(pickle.dumps(open_image(path, series=number)))
            # The rows of an x–z scan run along Z.
            letters = "".join(other.dims) if "Y" in other.dims else "".join(other.dims).replace("Z", "Y")
            expected = other.asarray().transpose([letters.index(axis) for axis in image.axes])
            np.testing.assert_array_equal(image.read(tuple(slice(0, n) for n in image.shape)), expected)
            for name, places in other.coords.items():
                axis = letters["".join(other.dims).index(name)]
                factor = 1 if axis == "T" else 1e6
                assert image.pixel_size[axis] == pytest.approx(factor * (places[1] - places[0]))
                assert image.origin.get(axis, 0.0) == pytest.approx(factor * places[0], abs=1e-9)
            assert [channel.color for channel in image.channels] == ["00FF00", "FF0000"]
            assert bool(image.notes) == ("Y" not in other.dims)
