from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from napari.layers import Image

from napari_restore import api
from napari_restore.samples import sample_path
from napari_restore.widgets.reader import get_reader, open_sample_clean, open_sample_noisy, read_ome_zarr


def test_our_ome_zarr_opens_with_pyramid_scale_and_channels(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "o.zarr"
    source = api.open_image(sample_path("cells_noisy"))
    api.denoise(sample_path("cells_noisy"), path, model=checkpoints["denoiser"])
    reader = get_reader(str(path))
    assert reader is not None
    layers = [Image(data, **arguments) for data, arguments, _ in reader(str(path))]
    assert len(layers) == source.sizes["C"]
    for layer in layers:
        assert layer.multiscale and layer.data[1].shape[-1] < layer.data[0].shape[-1]
        np.testing.assert_allclose(layer.scale, [source.pixel_size.get(a, 1.0) for a in "YX"])
    assert read_ome_zarr(str(path))[0][1]["metadata"]["napari_restore"]["recipe"]["model"]


@pytest.mark.parametrize("name", ["nowhere.zarr", "empty.zarr"])
def test_anything_else_is_declined(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty.zarr").mkdir()
    assert get_reader(str(tmp_path / name)) is None
    assert get_reader([str(tmp_path)]) is None


def test_samples_open() -> None:
    noisy, clean = open_sample_noisy(), open_sample_clean()
    assert len(noisy) == len(clean) == 3
    assert [Image(d, **a).data.dtype for d, a, _ in noisy] == [np.uint16] * 3
    assert noisy[0][1]["name"] != clean[0][1]["name"]
