"""TIFFs and an Imaris file that others have written, pixel for pixel beside tifffile and h5py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile

from napari_restore.api import open_image


def whole(path: Path, **chosen: Any) -> np.ndarray:
    image = open_image(path, **chosen)
    return image.read((slice(None),) * len(image.canonical))


@pytest.mark.parametrize("name", ["MetamorphImage.tif", "rgba_geotiff.tiff", "test_orient1.tif"])
def test_tiffs(makers: Path, name: str) -> None:
    path = makers / "tiff" / name
    with tifffile.TiffFile(path) as tiff:
        levels = [level.asarray() for level in tiff.series[0].levels]
    for level, expected in enumerate(levels):
        np.testing.assert_array_equal(whole(path, level=level), expected)
    assert open_image(path).pixel_size == ({"Y": 0.645, "X": 0.645} if name.startswith("Meta") else {})


@pytest.mark.parametrize("folder", ["companion", "master"])
def test_ome_tiffs_of_one_file_for_each_plane(makers: Path, folder: str) -> None:
    """From each of its files it is the whole image: plane Z of the file with the number Z + 1."""
    files = sorted((makers / "ome-tiff" / folder).glob("*.tiff"))
    assert len(files) == 5
    parts = []
    for file in files:
        with tifffile.TiffFile(file) as tiff:
            parts.append(tiff.pages[0].asarray())
    planes = np.stack(parts)
    for source in (*files, *(makers / "ome-tiff" / folder).glob("*.companion.ome")):
        image = open_image(source)
        assert (image.axes, image.shape) == ("ZYX", (5, 24, 18)), source
        np.testing.assert_array_equal(whole(source), planes)


def test_imaris(makers: Path) -> None:
    path = makers / "imaris/Minimal_IMS_File.ims"
    with h5py.File(path) as file:
        channel, told = file["DataSet/ResolutionLevel 0/TimePoint 0/Channel 0"], file["DataSetInfo/Image"].attrs
        stored, count = channel["Data"][...], int(b"".join(channel.attrs["ImageSizeX"]))
        low, high = (float(b"".join(told[name])) for name in ("ExtMin0", "ExtMax0"))
    image = open_image(path)
    np.testing.assert_array_equal(whole(path), np.squeeze(stored)[: image.sizes["Y"], : image.sizes["X"]])
    assert image.pixel_size["X"] == pytest.approx((high - low) / count)
