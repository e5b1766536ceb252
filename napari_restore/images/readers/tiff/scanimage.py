"""Read ScanImage TIFFs, whose pages are channels, frames and slices in turn.

Since 2016 the settings are lines ``SI.name = value`` in the tag Software. Versions 4 and 5 wrote
``scanimage.SI4.name = value`` or ``scanimage.SI.name = value`` into the description of each page, and version 3
``state.name=value``. They are read under the names of 2016.
"""

from __future__ import annotations

__all__ = ["frame_interval", "name_axes", "settings"]

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tifffile

_VERSION_4 = {
    "channelsSave": "hChannels.channelSave",
    "stackNumSlices": "hStackManager.numSlices",
    "stackZStepSize": "hStackManager.stackZStepSize",
    "acqNumFrames": "hStackManager.framesPerSlice",
    "acqNumAveragedFrames": "hScan2D.logAverageFactor",
    "scanFrameRate": "hRoiManager.scanFrameRate",
}
_VERSION_3 = {
    "acq.numberOfZSlices": "hStackManager.numSlices",
    "acq.zStepSize": "hStackManager.stackZStepSize",
    "acq.numberOfFrames": "hStackManager.framesPerSlice",
    "acq.frameRate": "hRoiManager.scanFrameRate",
}
"""Names of earlier versions, and the same settings since 2016."""


def settings(page: tifffile.TiffPage) -> dict[str, str]:
    """Read the settings of ScanImage from a page.

    Parameters
    ----------
    page : tifffile.TiffPage
        A page of the file.

    Returns
    -------
    dict of str to str
        Values by the names that they have since 2016, without ``SI.``; empty if there are none.
    """
    if page.software.startswith("SI."):
        return _lines(page.software, r"SI\.")
    told = _lines(page.description, r"state\.")
    if told:
        return _of_version_3(told)
    told = _lines(page.description, r"scanimage\.SI\d?\.")
    named = {_VERSION_4.get(name, name): value for name, value in told.items()}
    if told.get("fastZEnable") in ("1", "true"):  # each volume has one frame of each slice
        named["hStackManager.framesPerSlice"] = "1"
        period = _number(told, "fastZPeriod")
        named |= {"hRoiManager.scanVolumeRate": str(1 / period)} if period else {}
    return named


def _lines(text: str, prefix: str) -> dict[str, str]:
    return dict(re.findall(rf"^{prefix}(\S+?) *= *(.*?)\s*$", text.replace("\r", "\n"), re.MULTILINE))


def _of_version_3(told: dict[str, str]) -> dict[str, str]:
    named = {_VERSION_3.get(name, name): value.strip("'") for name, value in told.items()}
    saved = [name for name, value in told.items() if re.fullmatch(r"acq\.savingChannel\d+", name) and value == "1"]
    named["hChannels.channelSave"] = " ".join(name.removeprefix("acq.savingChannel") for name in saved)
    if told.get("acq.averaging") == "1":  # all frames of a slice are stored as one
        named["hScan2D.logAverageFactor"] = told.get("acq.numberOfFrames", "")
    return named


def name_axes(tiff: tifffile.TiffFile) -> None:
    """Replace the one axis of pages by volumes, slices, frames and channels, if the metadata and the pages agree.

    Channels follow each other fastest, then the frames of a slice, then slices, then volumes.

    Parameters
    ----------
    tiff : tifffile.TiffFile
        The open file; the axes and shape of its series are changed. Other files are left as they are.
    """
    if not tiff.is_scanimage:
        return
    _read_directory(tiff)
    if len(tiff.series) != 1:
        return
    from tifffile import TiffPageSeries

    series = tiff.series[0]
    told = settings(series.keyframe)
    channels = len(re.findall(r"\d+", told.get("hChannels.channelSave", "")))
    pages, plane = len(series), tuple(series.keyframe.shape)
    if not channels or pages % channels:
        return
    groups = pages // channels
    slices = _count(told, "hStackManager.actualNumSlices") or _count(told, "hStackManager.numSlices") or 1
    averaged = _count(told, "hScan2D.logAverageFactor") or 1
    frames = (_count(told, "hStackManager.framesPerSlice") or 0) // averaged
    if not frames:  # it is infinite: no slice ends, so there is one
        slices, frames = 1, groups
    if groups % (slices * frames) == 0:
        lengths = {"T": groups // (slices * frames), "Z": slices, "frames": frames, "C": channels}
    elif groups % frames == 0 and groups < slices * frames:  # it was stopped early
        lengths = {"T": 1, "Z": groups // frames, "frames": frames, "C": channels}
    else:
        return
    if lengths["T"] > 1 and lengths["frames"] > 1:
        if slices > 1:
            return  # two axes of time: nobody could tell them apart
        lengths["T"], lengths["frames"] = lengths["T"] * lengths["frames"], 1
    named = [("T" if axis == "frames" else axis, length) for axis, length in lengths.items() if length > 1]
    axes = "".join(axis for axis, _ in named) + series.keyframe.axes
    shape = (*(length for _, length in named), *plane)
    # Made anew in place: in tifffile 2026.11 the series of a file cannot be replaced.
    TiffPageSeries.__init__(series, list(series), shape, series.dtype, axes, kind="scanimage")


def _read_directory(tiff: tifffile.TiffFile) -> None:
    """Read where each page of a file before 2016 is. tifffile computes it from equal distances, without the last page.

    In files of 2 GiB and more the directory has wrong offsets, so there the computed ones are kept.
    """
    from tifffile import TiffPages

    if not tiff.is_bigtiff and tiff.filehandle.size < 2**31:
        tiff.filehandle.seek(4)
        tiff.pages = TiffPages(tiff)


def frame_interval(told: dict[str, str], axes: str) -> float | None:
    """Return the time between two indices of T, in seconds.

    Parameters
    ----------
    told : dict of str to str
        Settings, as `settings` returns them.
    axes : str
        Axes of the image. If Z comes before T, T is the frames of a slice; otherwise it is volumes.

    Returns
    -------
    float or None
        None if the file does not say it, such as for volumes whose slices were taken in steps of a motor.
    """
    of_frames = "Z" not in axes or axes.index("Z") < axes.find("T")
    rate = _number(told, "hRoiManager.scanFrameRate") if of_frames else None
    rate = rate or _number(told, "hRoiManager.scanVolumeRate")
    return (_count(told, "hScan2D.logAverageFactor") or 1) / rate if rate else None


def _count(told: dict[str, str], name: str) -> int | None:
    """Return a positive whole number; None for anything else, such as ``Inf``."""
    value = told.get(name, "")
    return int(value) if value.isdecimal() and int(value) else None


def _number(told: dict[str, str], name: str) -> float | None:
    """Return a positive number; None for anything else."""
    try:
        value = float(told.get(name, ""))
    except ValueError:
        return None
    return value if 0 < value < float("inf") else None
