from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from napari.layers import Image

from napari_restore import api
from napari_restore.images.writing import ome_zarr
from napari_restore.samples import sample_path
from napari_restore.widgets.viewer.files.reader import get_reader, open_sample_clean, open_sample_noisy, read_ome_zarr


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


def test_a_colour_image_opens_in_its_colours(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 50, 4), np.uint8)
    tifffile.imwrite(tmp_path / "cells.tif", pixels, photometric="rgb", extrasamples=["unassalpha"])
    api.denoise(tmp_path / "cells.tif", tmp_path / "o.zarr", model=checkpoints["denoiser"])
    layers = [Image(data, **arguments) for data, arguments, _ in read_ome_zarr(str(tmp_path / "o.zarr"))]
    assert [layer.name.rpartition(" · ")[2] for layer in layers] == ["red", "green", "blue", "alpha"]
    assert [layer.visible for layer in layers] == [True, True, True, False]
    for layer, colour in zip(layers, [*np.eye(3), np.ones(3)], strict=True):
        np.testing.assert_allclose(layer.colormap.map(np.array([1.0]))[0, :3], colour, atol=1e-6)
        assert layer.blending == "additive" and tuple(layer.contrast_limits) == (0, 255)


def test_a_plate_is_declined_and_its_images_are_not(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    plate = {"rows": [{"name": "A"}], "columns": [{"name": "1"}]}
    well = {"path": "A/1", "rowIndex": 0, "columnIndex": 0}
    group = zarr.create_group(
        tmp_path / "in/screen.zarr", attributes={"ome": {"version": "0.5", "plate": {**plate, "wells": [well]}}}
    )
    group.create_group("A/1", attributes={"ome": {"version": "0.5", "well": {"images": [{"path": "0"}]}}})
    ome_zarr.create(tmp_path / "in/screen.zarr/A/1/0", shape=(40, 50), dtype="u2", axes="YX", chunks=(40, 50))
    ome_zarr.open_level(tmp_path / "in/screen.zarr/A/1/0", 0, "r+")[...] = np.arange(2000).reshape(40, 50)
    api.restore_batch(tmp_path / "in/screen.zarr", tmp_path / "out", model=checkpoints["denoiser"])
    made = tmp_path / "out/screen.zarr"
    assert ome_zarr.read_attributes(made) is not None and get_reader(str(made)) is None
    assert get_reader(str(made / "A/1/0")) is not None


def test_an_ome_zarr_in_one_file_opens_in_a_viewer(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    api.denoise(sample_path("cells_noisy"), tmp_path / "o.zarr", model=checkpoints["denoiser"])
    for name in ("o.ozx", "o.zarr.zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for file in sorted((tmp_path / "o.zarr").rglob("*")):
                if file.is_file():
                    archive.write(file, file.relative_to(tmp_path / "o.zarr"))
        reader = get_reader(str(tmp_path / name))
        assert reader is not None
        for (data, arguments, _), (folder_data, folder, _) in zip(
            reader(str(tmp_path / name)), read_ome_zarr(str(tmp_path / "o.zarr")), strict=True
        ):
            layer = Image(data, **arguments)
            assert layer.multiscale and arguments["scale"] == folder["scale"] and arguments["name"] == folder["name"]
            np.testing.assert_array_equal(np.asarray(data[1]), np.asarray(folder_data[1]))
