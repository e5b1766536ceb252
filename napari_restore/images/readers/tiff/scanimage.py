"""Name the axes of a ScanImage TIFF, whose pages are channels, frames and slices in turn."""

from __future__ import annotations

__all__ = ["name_axes"]

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tifffile


def name_axes(tiff: tifffile.TiffFile) -> None:
    """Replace the one axis of pages by volumes, slices, frames and channels, if the metadata and the pages agree.

    Channels follow each other fastest, then the frames of a slice, then slices, then volumes.

    Parameters
    ----------
    tiff : tifffile.TiffFile
        The open file; the axes and shape of its series are changed. Other files are left as they are.
    """
    if not tiff.is_scanimage or len(tiff.series) != 1:
        return
    from tifffile import TiffPageSeries

    series = tiff.series[0]
    told = dict(re.findall(r"^SI\.(\S+) *= *(.*?)\s*$", series.keyframe.software, re.MULTILINE))
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
    tiff.series[0] = TiffPageSeries(list(series), shape, series.dtype, axes, kind="scanimage")


def _count(told: dict[str, str], name: str) -> int | None:
    """Return a positive whole number; None for anything else, such as ``Inf``."""
    value = told.get(name, "")
    return int(value) if value.isdecimal() and int(value) else None
