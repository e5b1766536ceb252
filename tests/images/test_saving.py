from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import yaozarrs
import zarr
from ome_zarr_models import v05

from napari_restore.errors import OutputError, SourceError
from napari_restore.images.image import Channel, Image
from napari_restore.images.opening import open_image
from napari_restore.images.saving import joined, save_images
from napari_restore.images.writing.ome_zarr import read_attributes

PIXELS = np.random.default_rng(0).integers(0, 4000, (2, 5, 600, 700)).astype(np.uint16)
PLACE = {
    "pixel_size": {"Z": 2.0, "Y": 0.5, "X": 0.25}, "origin": {"Y": 10.0, "X": -3.0},
    "units": {"Z": "micrometer", "Y": "micrometer", "X": "micrometer"},
}  # fmt: skip


def channel(number, pixels=PIXELS, **more):
    described = Channel(f"dye {number}", ("FF0000", "00FF00")[number], (10.0, 500.0 + number))
    return Image(pixels[number], "ZYX", name=f"dye {number}", channels=(described,), **PLACE, **more)


def whole(image):
    return image.read((slice(None),) * len(image.shape))


@pytest.mark.parametrize("kind", ["numpy", "dask", "zarr", "other order"])
def test_pixels_and_place_come_back_from_any_array(kind, tmp_path):
    data, axes = PIXELS, "CZYX"
    if kind == "dask":
        data = da.from_array(PIXELS, chunks=(1, 2, 300, 256))
    elif kind == "zarr":
        data = zarr.create_array(tmp_path / "source.zarr", data=PIXELS, chunks=(1, 5, 100, 128))
    elif kind == "other order":
        data, axes = PIXELS.transpose(2, 3, 1, 0), "YXZC"
    image = Image(data, axes, name="cells", channels=(Channel("a", "FF0000", (1, 9)), Channel("b")), **PLACE)
    calls = []
    save_images(tmp_path / "o.zarr", [image], progress=lambda done, total: calls.append((done, total)))
    found = open_image(tmp_path / "o.zarr")
    np.testing.assert_array_equal(whole(found), PIXELS)
    assert (found.axes, found.name, found.dtype) == ("CZYX", "cells", np.uint16)
    assert found.channels[0] == image.channels[0] and found.channels[1].name == "b"
    assert {a: found.sampling(a) for a in "ZYX"} == {a: image.sampling(a) for a in "ZYX"}
    assert found.units == image.units
    assert [done for done, _ in calls] == list(range(1, calls[0][1] + 1)) and len({total for _, total in calls}) == 1


def test_coarser_levels_cover_the_same_area(tmp_path):
    save_images(tmp_path / "o.zarr", [channel(0)])
    finest, second, third = (open_image(tmp_path / "o.zarr", level=level) for level in range(3))
    assert third.sizes == {"Z": 5, "Y": 150, "X": 175}
    for level, image in enumerate((second, third), 1):
        for axis, n in image.sizes.items():
            assert image.sampling(axis).edges(n) == pytest.approx(finest.sampling(axis).edges(finest.sizes[axis])), (
                level
            )
    expected = PIXELS[0].reshape(5, 300, 2, 350, 2).mean(axis=(2, 4))
    assert np.abs(whole(second) - expected).max() <= 0.5


def test_images_on_one_grid_become_channels_and_others_a_collection(tmp_path):
    images = [channel(0), Image(PIXELS[0, 0, :50], "YX", name="detail"), channel(1)]
    stored = joined(images, "cells")
    assert [(image.name, image.canonical) for image in stored] == [("cells", "CZYX"), ("detail", "YX")]
    save_images(tmp_path / "o.zarr", stored)
    first, second = (open_image(tmp_path / "o.zarr", series=series) for series in (0, 1))
    np.testing.assert_array_equal(whole(first), PIXELS)
    assert [one.name for one in first.channels] == ["dye 0", "dye 1"]
    np.testing.assert_array_equal(whole(second), PIXELS[0, 0, :50])
    yaozarrs.validate_zarr_store(str(tmp_path / "o.zarr"))


@pytest.mark.parametrize("change", ["dtype", "shape", "pixel size", "unit", "colour", "channels"])
def test_images_that_differ_are_not_joined(change):
    other = {
        "dtype": lambda: channel(1, PIXELS.astype("f4")),
        "shape": lambda: channel(1, PIXELS[:, :4]),
        "pixel size": lambda: Image(PIXELS[1], "ZYX", **{**PLACE, "pixel_size": {"Z": 1.0}}),
        "unit": lambda: Image(PIXELS[1], "ZYX", **{**PLACE, "units": {}}),
        "colour": lambda: Image(np.zeros((5, 600, 700, 3), np.uint16), "ZYXS", **PLACE),
        "channels": lambda: Image(PIXELS, "CZYX", **PLACE),
    }[change]()
    assert len(joined([channel(0), other], "both")) == 2
    assert len(joined([channel(0), channel(1)], "both")) == 1


def test_labels_lie_with_the_image_of_their_grid(tmp_path):
    cells = np.zeros((50, 60), np.int32)
    cells[:21, :31], cells[30:] = 7, 9
    images = [channel(0), Image(PIXELS[0, 0, :50, :60], "YX")]
    save_images(tmp_path / "o.zarr", images, {"cells": Image(cells, "YX")})
    yaozarrs.validate_zarr_store(str(tmp_path / "o.zarr"))
    found = open_image(tmp_path / "o.zarr", series=1)
    assert found.annotations is not None and found.annotations.labels == ("cells",)
    assert open_image(tmp_path / "o.zarr", series=0).annotations is None
    np.testing.assert_array_equal(whole(open_image(tmp_path / "o.zarr/1/labels/cells")), cells)


def test_coarser_labels_are_labels(tmp_path):
    cells = np.random.default_rng(1).choice(np.array([0, 3, 1000], np.uint16), (600, 300))
    save_images(tmp_path / "o.zarr", [Image(PIXELS[0, 0, :, :300], "YX")], {"cells": Image(cells, "YX")})
    level = open_image(tmp_path / "o.zarr/labels/cells", level=1)
    assert level.sizes == {"Y": 300, "X": 150} and set(np.unique(whole(level))) == {0, 3, 1000}
    checked = v05.image_label.ImageLabel.from_zarr(zarr.open_group(tmp_path / "o.zarr/labels/cells", mode="r"))
    assert checked.attributes.ome.image_label.source.image == "../../"


def test_nothing_that_exists_is_replaced(tmp_path):
    (tmp_path / "o.zarr").mkdir()
    (tmp_path / "o.zarr/notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        save_images(tmp_path / "o.zarr", [channel(0)])
    assert [file.name for file in tmp_path.rglob("*")] == ["o.zarr", "notes.txt"]


def test_a_save_that_fails_leaves_nothing(tmp_path):
    class Broken:
        shape, dtype = (5, 600, 700), np.dtype("u2")

        def __getitem__(self, region):
            if region[0].start:
                raise OSError("the disk was pulled out")
            return PIXELS[0][region]

    with pytest.raises(SourceError, match="pulled out"):
        save_images(tmp_path / "o.zarr", [Image(Broken(), "ZYX", chunks=(1, 600, 700))])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("dtype", "name"), [("f4", "cells"), ("u2", "a/b"), ("u2", "")])
def test_labels_that_cannot_be_stored_are_refused_before_any_work(dtype, name, tmp_path):
    with pytest.raises(OutputError, match="labels"):
        save_images(tmp_path / "o.zarr", [channel(0)], {name: Image(np.zeros((600, 700), dtype), "YX")})
    assert list(tmp_path.iterdir()) == []


def test_a_saved_image_is_no_result_of_a_run(tmp_path):
    save_images(tmp_path / "o.zarr", [channel(0)])
    assert read_attributes(tmp_path / "o.zarr") is None


def test_a_negative_scale_stays(tmp_path):
    image = Image(PIXELS[0, 0], "YX", pixel_size={"Y": -0.5, "X": 0.5}, origin={"Y": 7.0})
    save_images(tmp_path / "o.zarr", [image])
    found = open_image(tmp_path / "o.zarr", level=1)
    assert found.sampling("Y") == image.sampling("Y").downscaled(2)


def test_a_url_is_refused():
    with pytest.raises(OutputError, match="no folder on a disk"):
        save_images("memory://bucket/o.zarr", [channel(0)])
