from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_restore.errors import AxesError
from napari_restore.images.image import Image
from napari_restore.images.opening import open_image


def opened_pages(
    path: Path, pages: int, axes: str | None, shape: tuple[int, ...], *, bigtiff: bool = False, **tags: str
) -> Image | None:
    """Write pages whose pixels are their number, and check where they are in the image; None if no axes fit."""
    with tifffile.TiffWriter(path, bigtiff=bigtiff) as tiff:
        for page in range(pages):
            tiff.write(np.full((20, 40), page, np.int16), photometric="minisblack", metadata=None, **tags)
    if axes is None:
        with pytest.raises(AxesError, match="does not define its axes"):
            open_image(path)
        return None
    image = open_image(path)
    assert image.axes == axes and image.data.shape == (*shape, 20, 40)
    pixels = np.asarray(image.data[tuple(slice(0, n) for n in image.data.shape)])
    np.testing.assert_array_equal(pixels[..., 3, 4], np.arange(pages).reshape(shape))
    return image


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
    image = opened_pages(tmp_path / "a.tif", pages, axes, shape, bigtiff=True, software=told)
    if image is not None:
        assert image.pixel_size.get("Z") == (2.5 if "Z" in image.axes else None)


VERSION_3 = (
    "state.configName='two'\rstate.acq.numberOfChannelsSave=2\rstate.acq.savingChannel1=1\rstate.acq.savingChannel2=1\r"
    "state.acq.savingChannel3=0\rstate.acq.numberOfFrames={frames}\rstate.acq.numberOfZSlices={slices}\r"
    "state.acq.zStepSize=1.5\rstate.acq.averaging={averaging}\rstate.acq.frameRate=4\rstate.acq.zoomFactor=2\r"
)
VERSION_4 = (
    "Frame Number = 1\nscanimage.SI4.channelsSave = [1;3]\nscanimage.SI4.stackNumSlices = {slices}\n"
    "scanimage.SI4.stackZStepSize = 1.5\nscanimage.SI4.acqNumFrames = {frames}\n"
    "scanimage.SI4.acqNumAveragedFrames = {averaging}\nscanimage.SI4.scanFrameRate = 4\n"
    "scanimage.SI4.fastZEnable = {fast}\nscanimage.SI4.fastZPeriod = 0.75\nscanimage.SI4.scanZoomFactor = 2\n"
)
VERSION_5 = VERSION_4.replace("SI4", "SI5")
EARLY_2015 = (
    "scanimage.SI.hChannels.channelSave = [1;2]\nscanimage.SI.hStackManager.numSlices = {slices}\n"
    "scanimage.SI.hStackManager.framesPerSlice = {frames}\nscanimage.SI.hStackManager.stackZStepSize = 1.5\n"
    "scanimage.SI.hRoiManager.scanFrameRate = 4\nscanimage.SI.hScan2D.logAverageFactor = {averaging}\n"
)


@pytest.mark.parametrize(
    ("description", "slices", "frames", "averaging", "fast", "pages", "axes", "shape", "interval"),
    [
        (VERSION_3, 1, 6, 0, 0, 12, "TCYX", (6, 2), 0.25),
        (VERSION_3, 3, 1, 0, 0, 6, "ZCYX", (3, 2), None),
        (VERSION_3, 3, 4, 1, 0, 6, "ZCYX", (3, 2), None),  # four frames are averaged into one
        (VERSION_4, 1, 6, 1, 0, 12, "TCYX", (6, 2), 0.25),
        (VERSION_4, 1, 6, 2, 0, 6, "TCYX", (3, 2), 0.5),
        (VERSION_4, 3, 1, 1, 1, 12, "TZCYX", (2, 3, 2), 0.75),
        (VERSION_4, 3, 1, 1, 0, 12, "TZCYX", (2, 3, 2), None),  # volumes by a motor: nobody knows when
        (VERSION_5, 2, 3, 1, 0, 12, "ZTCYX", (2, 3, 2), 0.25),
        (EARLY_2015, 1, 5, 1, 0, 10, "TCYX", (5, 2), 0.25),
        (VERSION_3, 1, 6, 0, 0, 7, None, (), None),  # not a multiple of two channels
    ],
)
def test_before_2016(
    tmp_path: Path, description: str, slices: int, frames: int, averaging: int, fast: int, pages: int,
    axes: str | None, shape: tuple[int, ...], interval: float | None,
) -> None:  # fmt: skip
    told = description.format(slices=slices, frames=frames, averaging=averaging, fast=fast)
    image = opened_pages(tmp_path / "a.tif", pages, axes, shape, description=told)
    if image is not None:
        assert image.pixel_size.get("Z") == (1.5 if "Z" in image.axes else None)
        assert image.pixel_size.get("T") == interval and "Y" not in image.pixel_size
        assert any("no field of view" in note for note in image.notes)
