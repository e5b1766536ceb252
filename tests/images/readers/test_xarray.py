import pickle

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from napari_restore.errors import AxesError
from napari_restore.images.image import Channel
from napari_restore.images.opening import open_image


@pytest.mark.parametrize("lazy", [False, True])
def test_xarray(lazy):
    pixels = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    array = xr.DataArray(
        da.from_array(pixels, chunks=(1, 3, 2)) if lazy else pixels,
        dims=("channel", "y", "x"),
        coords={"channel": ["a", "b"], "y": ("y", [1.0, 1.5, 2.0], {"units": "um"}), "x": [0.0, 1.0, 3.0, 4.0]},
        name="cells",
    )
    image = open_image(array)
    assert (image.axes, image.name, image.channels) == ("CYX", "cells", (Channel("a"), Channel("b")))
    assert image.pixel_size == {"Y": 0.5} and image.origin == {"Y": 1.0} and image.units == {"Y": "micrometer"}
    assert image.chunks == ((1, 3, 2) if lazy else (2, 3, 4))
    for one in (image, pickle.loads(pickle.dumps(image))):
        np.testing.assert_array_equal(one.read((slice(1, 2), slice(1, 3), slice(0, 2))), pixels[1:2, 1:3, 0:2])


def test_xarray_with_other_dimensions_asks_for_axes():
    array = xr.DataArray(np.zeros((2, 3, 4)), dims=("plane", "y", "x"))
    with pytest.raises(AxesError, match="plane"):
        open_image(array)
    assert open_image(array, axes="ZYX").axes == "ZYX"
