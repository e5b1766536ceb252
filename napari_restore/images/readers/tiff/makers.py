"""Read pixel sizes, steps and channel names that makers of microscopes and slide scanners store in a TIFF.

Each dialect has one function of the open file and the series. If the dialect has no pixel size, the resolution tags of
the TIFF are used.
"""

from __future__ import annotations

__all__ = ["makers_metadata"]

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np

from napari_restore.images.geometry import Sampling
from napari_restore.images.image import Channel
from napari_restore.images.readers.reader import pixel_sizes
from napari_restore.images.readers.tiff.metadata import TiffMetadata
from napari_restore.images.readers.tiff.scanimage import frame_interval, settings
from napari_restore.images.units import means_no_unit, named_units

if TYPE_CHECKING:
    import tifffile

_RESOLUTION_UNITS = {2: 25400.0, 3: 10000.0, 4: 1000.0, 5: 1.0}
"""Micrometres in the units of the TIFF tag ResolutionUnit: inch, centimetre; millimetre and micrometre of tifffile."""

_MODEL_PIXEL_SCALE = 33550
"""Tag of GeoTIFF for the size of a pixel along X and Y."""

_FINEST_PRINT = 20.0
"""Micrometres: coarser resolution tags, of 1270 pixels an inch and less, are those of a printer or a screen."""


def makers_metadata(tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> TiffMetadata:
    """Read the metadata of a TIFF that is neither OME nor ImageJ.

    Parameters
    ----------
    tiff : tifffile.TiffFile
        The open file.
    series : tifffile.TiffPageSeries
        The series, at its largest level.

    Returns
    -------
    TiffMetadata
        Pixel sizes with their units, and names of the channels.
    """
    found = next((read(tiff, series) for flag, read in _DIALECTS.items() if getattr(tiff, f"is_{flag}")), None)
    return found if found is not None and found.pixel_size else _resolution(series, found or TiffMetadata())


def _told(
    sizes: Mapping[str, Any], unit: str | None, channels: Sequence[str | None] = (), **units: str
) -> TiffMetadata:
    """Return pixel sizes with one spelling of a unit along Z, Y and X; in these dialects 0 means unknown."""
    given, notes = pixel_sizes({axis: size or None for axis, size in sizes.items()})
    units, unknown = named_units({axis: "second" if axis == "T" else unit for axis in given})
    described = tuple(Channel(name=name) for name in channels) if any(channels) else ()
    return TiffMetadata(given, units, described, notes=(*notes, *unknown))


def _lsm(tiff: tifffile.TiffFile, _: tifffile.TiffPageSeries) -> TiffMetadata:
    """Read Zeiss LSM: metres and seconds."""
    told = tiff.lsm_metadata or {}
    sizes = {axis: 1e6 * told.get(f"VoxelSize{axis}", 0.0) for axis in "ZYX"}
    names = (told.get("ChannelColors") or {}).get("ColorNames") or ()
    return _told({**sizes, "T": told.get("TimeIntervall")}, "micrometer", names)


def _stk(tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> TiffMetadata:
    """Read a MetaMorph stack: calibration, which may be switched off, and distance or position of each plane."""
    told = tiff.stk_metadata or {}
    calibrated = bool(told.get("SpatialCalibration", 1))
    sizes = {axis: told.get(f"{axis}Calibration") for axis in "YX"} if calibrated else {}
    unit = told.get("CalibrationUnits") if calibrated else None
    distances = np.ravel(told.get("ZDistance", ()))[: series.shape[0]]
    positions = np.ravel(told.get("AbsoluteZ", ()))
    step = Sampling.of(positions, tolerance=0.1) if np.all(told.get("AbsoluteZValid", 0)) else None
    z = step.pixel_size if step else next((float(d) for d in distances if d), None)
    name = told.get("Name") if "C" not in series.axes else None
    return _told({**sizes, "Z": z}, unit, [name] if isinstance(name, str) else ())


def _svs(_: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> TiffMetadata:
    """Read Aperio: ``MPP``, micrometres per pixel, in the description."""
    found = re.search(r"\|\s*MPP\s*=\s*([0-9.eE+-]+)", series.keyframe.description)
    return _told(dict.fromkeys("YX", found and found[1]), "micrometer")


def _qpi(_: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> TiffMetadata:
    """Read PerkinElmer and Akoya: the channel's name in the XML of its page; the size is in the resolution tags."""
    count = series.shape[series.axes.index("C")] if "C" in series.axes else 1
    names = [_text_of(getattr(series[number], "description", ""), "Name", "Biomarker") for number in range(count)]
    return _told({}, None, names if "S" not in series.axes else ())


def _text_of(xml: str, *tags: str) -> str | None:
    try:
        root = ElementTree.fromstring(re.sub(r"^<\?xml[^>]*\?>", "", xml.strip()))
    except ElementTree.ParseError:
        return None
    return next((text for tag in tags if (text := root.findtext(tag))), None)


def _scn(tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> TiffMetadata:
    """Read Leica SCN: nanometres that an image covers, in its ``view``."""
    sizes = dict(zip(series.axes, series.shape, strict=True))
    try:
        images = ElementTree.fromstring(tiff.scn_metadata or "").findall(".//{*}image")
    except ElementTree.ParseError:
        return TiffMetadata()
    for image in images:
        pixels, view = image.find("{*}pixels"), image.find("{*}view")
        if pixels is None or view is None:
            continue
        if (pixels.get("sizeX"), pixels.get("sizeY")) == (str(sizes.get("X")), str(sizes.get("Y"))):
            covered = {axis: float(view.get(f"size{axis}", 0)) for axis in "YX"}
            return _told({axis: length / 1000 / sizes[axis] for axis, length in covered.items()}, "micrometer")
    return TiffMetadata()


def _scanimage(_: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> TiffMetadata:
    """Read ScanImage: step and, since 2016, field of view in micrometres, and the time between frames or volumes."""
    told = settings(series.keyframe)
    corners = [float(n) for n in re.findall(r"-?[\d.]+(?:[eE][+-]?\d+)?", told.get("hRoiManager.imagingFovUm", ""))]
    lengths = dict(zip(series.axes, series.shape, strict=True))
    sizes: dict[str, Any] = {"Z": told.get("hStackManager.stackZStepSize")}
    if len(corners) == 8:
        for axis, positions in (("X", corners[0::2]), ("Y", corners[1::2])):
            sizes[axis] = (max(positions) - min(positions)) / lengths[axis]
    found = _told({**sizes, "T": frame_interval(told, series.axes)}, "micrometer")
    if told and len(corners) != 8:
        note = "ScanImage wrote its zoom factor and no field of view here; the pixel size along Y and X is unknown."
        return replace(found, notes=(*found.notes, note))
    return found


def _micro_manager(tiff: tifffile.TiffFile, _: tifffile.TiffPageSeries) -> TiffMetadata:
    """Read the summary of Micro-Manager; a size is 0 if it was not calibrated."""
    told = (tiff.micromanager_metadata or {}).get("Summary") or {}
    size, interval = told.get("PixelSize_um"), told.get("Interval_ms") or 0
    names = told.get("ChNames") or ()
    sizes = {"Z": told.get("z-step_um"), "Y": size, "X": size, "T": float(interval) / 1000}
    return _told(sizes, "micrometer", names if isinstance(names, list) else ())


def _shaped(tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> TiffMetadata:
    """Read the JSON of tifffile: the unit of spacing, and of the resolution tags."""
    told = next((one for one in tiff.shaped_metadata or () if list(one.get("shape", ())) == list(series.shape)), {})
    unit = told.get("unit")
    if means_no_unit(unit):
        return TiffMetadata()
    per_x, per_y = series.keyframe.resolution
    sizes = {"X": per_x and 1 / per_x, "Y": per_y and 1 / per_y, "Z": told.get("spacing"), "T": told.get("finterval")}
    return _told(sizes, unit)


def _geotiff(_: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> TiffMetadata:
    """Read the pixel size of a GeoTIFF, whose Y decreases from row to row."""
    scale = np.ravel(series.keyframe.tags.valueof(_MODEL_PIXEL_SCALE, ()))
    found = _told({"Y": -scale[1], "X": scale[0]} if len(scale) >= 2 else {}, None)
    note = "The pixel size is in units of the coordinate system of the GeoTIFF, which is not read."
    return replace(found, notes=(*found.notes, note)) if found.pixel_size else found


def _resolution(series: tifffile.TiffPageSeries, known: TiffMetadata) -> TiffMetadata:
    """Add the pixel size of the resolution tags, unless it is that of a printer."""
    scale = _RESOLUTION_UNITS.get(int(series.keyframe.resolutionunit), math.nan)
    per_x, per_y = series.keyframe.resolution
    sizes = {axis: scale / per if per else math.nan for axis, per in (("Y", per_y), ("X", per_x))}
    if not all(0 < size < _FINEST_PRINT for size in sizes.values()):
        return known
    note = "The pixel size along Y and X is that of the resolution tags."
    return TiffMetadata(
        {**known.pixel_size, **sizes},
        {**known.units, **dict.fromkeys("YX", "micrometer")},
        known.channels,
        known.origin,
        (*known.notes, note),
    )


_DIALECTS: dict[str, Callable[[Any, Any], TiffMetadata]] = {
    "lsm": _lsm,
    "stk": _stk,
    "svs": _svs,
    "qpi": _qpi,
    "scn": _scn,
    "scanimage": _scanimage,
    "micromanager": _micro_manager,
    "geotiff": _geotiff,
    "shaped": _shaped,
}
"""Functions by tifffile's name of the dialect."""
