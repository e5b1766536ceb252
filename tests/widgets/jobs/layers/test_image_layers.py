from __future__ import annotations

from pathlib import Path

import dask.array as da
import numpy as np
import xarray
import zarr
from napari.layers import Image

from napari_restore.widgets.jobs.layers.image_layers import describe_layer, layer_image, suggested_axes


def test_axes_are_suggested_by_labels_and_rgb() -> None:
    assert suggested_axes(Image(np.zeros((2, 3, 4, 5)), axis_labels=("c", "z", "y", "x"))) == "CZYX"
    assert suggested_axes(Image(np.zeros((2, 4, 5)), axis_labels=("time", "Y", "X"))) == "TYX"
    assert suggested_axes(Image(np.zeros((2, 4, 5)), axis_labels=("channels", "Y", "X"))) == "CYX"
    assert suggested_axes(Image(np.zeros((2, 4, 5)), axis_labels=("s", "y", "x"))) == "ZYX"  # no colour samples
    assert suggested_axes(Image(np.zeros((4, 5, 3)), rgb=True)) == "YXS"
    assert suggested_axes(Image(np.zeros((7, 4, 5)))) == "ZYX"


def test_every_kind_of_array_can_be_read(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 200, (3, 20, 30)).astype(np.uint8)
    stored = zarr.create_array(tmp_path / "a.zarr", shape=pixels.shape, chunks=(1, 8, 8), dtype=pixels.dtype)
    stored[...] = pixels
    region = (slice(1, 3), slice(2, 12), slice(0, 30))
    lazy = da.from_array(pixels, chunks=(1, 10, 10))
    for data in (pixels, lazy, stored, xarray.DataArray(pixels, dims=("z", "y", "x")), [lazy, lazy[:, ::2, ::2]]):
        layer = Image(data, rgb=False)
        image = layer_image(layer, "ZYX", region)
        np.testing.assert_array_equal(image.read((slice(None),) * 3), pixels[region])
        assert describe_layer(layer, "ZYX").startswith("Z 3 · Y 20 · X 30, uint8, 1.8 kB")
