from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_restore.errors import AxesError
from napari_restore.images.opening import open_image


@pytest.mark.parametrize(
    ("channels", "slices", "frames", "pages", "axes", "shape"),
    [
        ("[1;2]", "3", "1", 6, "ZCYX", (3, 2)),
        ("[1;2]", "3", "1", 12, "TZCYX", (2, 3, 2)),
        ("1", "1", "Inf", 5, "TYX", (5,)),
        ("[1;3]", "2", "4", 16, "ZTCYX", (2, 4, 2)),
        ("[1;2]", "5", "1", 6, "ZCYX", (3, 2)),
        ("[1;2]", "3", "1", 7, None, ()),
    ],
)
def test_pages_are_channels_frames_slices_and_volumes_in_turn(
    tmp_path: Path, channels: str, slices: str, frames: str, pages: int, axes: str | None, shape: tuple[int, ...]
) -> None:
    told = (
        f"SI.VERSION_MAJOR = 2016\nSI.hChannels.channelSave = {channels}\nSI.hStackManager.numSlices = {slices}\n"
        f"SI.hStackManager.framesPerSlice = {frames}\nSI.hStackManager.stackZStepSize = 2.5\n"
    )
    with tifffile.TiffWriter(tmp_path / "a.tif", bigtiff=True) as tiff:
        for page in range(pages):
            plane = np.full((20, 40), page, np.int16)
            tiff.write(plane, software=told, photometric="minisblack", metadata=None)
    if axes is None:
        with pytest.raises(AxesError, match="does not define its axes"):
            open_image(tmp_path / "a.tif")
        return
    image = open_image(tmp_path / "a.tif")
    assert image.axes == axes and image.data.shape == (*shape, 20, 40)
    pixels = np.asarray(image.data[tuple(slice(0, n) for n in image.data.shape)])
    np.testing.assert_array_equal(pixels[..., 3, 4], np.arange(pages).reshape(shape))
    assert image.pixel_size.get("Z") == (2.5 if "Z" in axes else None)
