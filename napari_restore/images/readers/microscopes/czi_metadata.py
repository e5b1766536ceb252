"""Read sizes, times, scenes and channels from the XML of a CZI file. Missing values are unknown."""

from __future__ import annotations

__all__ = ["CziChannel", "CziMetadata", "Scene", "read_metadata"]

import math
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

import numpy as np


@dataclass(frozen=True)
class Scene:
    """A scene: its name, and the position of its centre on the stage (Y, X, in micrometres)."""

    name: str | None = None
    center: tuple[float, float] | None = None


@dataclass(frozen=True)
class CziChannel:
    """A channel: name, colour as RRGGBB, display limits as parts of the range of the data type, and whether shown."""

    name: str | None = None
    color: str | None = None
    window: tuple[float, float] | None = None
    shown: bool = True


@dataclass(frozen=True)
class CziMetadata:
    """Metadata in the XML.

    Attributes
    ----------
    pixel_size : dict of str to float
        Pixel size along X, Y and Z, in micrometres.
    z_start : float or None
        Position of the first plane along Z, in micrometres.
    times : tuple of float
        Times of the time points in seconds; empty if there is no list.
    time_attachment : str or None
        Name of the attachment with the times.
    time_step : float or None
        Seconds between two time points, if the file has no list.
    scenes : dict of int to Scene
        Scenes by their number.
    channels : tuple of CziChannel
        Channels, in the order of their numbers.
    notes : tuple of str
        Notes on unreadable metadata.
    """

    pixel_size: dict[str, float] = field(default_factory=dict)
    z_start: float | None = None
    times: tuple[float, ...] = ()
    time_attachment: str | None = None
    time_step: float | None = None
    scenes: dict[int, Scene] = field(default_factory=dict)
    channels: tuple[CziChannel, ...] = ()
    notes: tuple[str, ...] = ()


def read_metadata(xml: str) -> CziMetadata:
    """Read the XML of a CZI file.

    Parameters
    ----------
    xml : str
        The XML; may be empty.

    Returns
    -------
    CziMetadata
        Its metadata.
    """
    try:
        root = ElementTree.fromstring(xml) if xml else ElementTree.Element("none")
    except ElementTree.ParseError as error:
        return CziMetadata(notes=(f"Its metadata are damaged ({error}); sizes and names are unknown.",))
    base = "Metadata/Information/Image/Dimensions"
    sizes = {
        str(distance.get("Id")): float(f"{1e6 * size:.12g}")  # 1e-7 m are 0.1 µm, not 0.09999999999999999
        for distance in root.findall("Metadata/Scaling/Items/Distance")
        if (size := _number(distance.findtext("Value"))) and size > 0
    }
    z, t = (root.find(f"{base}/{letter}") for letter in "ZT")
    z_step = _step(z)
    if "Z" not in sizes and z_step:
        sizes["Z"] = abs(z_step)
    return CziMetadata(
        pixel_size={axis: size for axis, size in sizes.items() if axis in "XYZ"},
        z_start=None if z is None else _number(z.findtext("StartPosition")),
        times=_offsets(t),
        time_attachment=None if t is None else t.findtext("Positions/BinaryList/AttachmentName"),
        time_step=_step(t),
        scenes=dict(_scene(scene, index) for index, scene in enumerate(root.findall(f"{base}/S/Scenes/Scene"))),
        channels=_channels(root, base),
    )


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _offsets(axis: ElementTree.Element | None) -> tuple[float, ...]:
    """Return the listed positions of an axis."""
    text = "" if axis is None else axis.findtext("Positions/List/Offsets") or ""
    found = [_number(part) for part in text.split()]
    return tuple(number for number in found if number is not None) if None not in found else ()


def _step(axis: ElementTree.Element | None) -> float | None:
    """Return the distance of the positions of an axis."""
    if axis is None:
        return None
    listed = _offsets(axis)
    if len(listed) > 1:
        return float(np.diff(listed).mean())
    return _number(axis.findtext("Positions/Interval/Increment")) or None


def _point(text: str | None) -> tuple[float, float] | None:
    """Parse a point written as X, Y; return Y, X."""
    x, _, y = (text or "").partition(",")
    point = (_number(y.split(",")[0]), _number(x))
    return None if None in point else point  # type: ignore[return-value]


def _scene(scene: ElementTree.Element, index: int) -> tuple[int, Scene]:
    number = _number(scene.get("Index"))
    found = Scene(_scene_name(scene), _point(scene.findtext("CenterPosition")))
    return index if number is None else int(number), found


def _scene_name(scene: ElementTree.Element) -> str | None:
    """Return the name of a scene, preceded by the name of its well if that is different."""
    name, shape = scene.get("Name"), scene.find("Shape")
    well = None if shape is None else shape.get("Name")
    return f"{well} {name}" if name and well and well not in name else name or well or None


def _channels(root: ElementTree.Element, base: str) -> tuple[CziChannel, ...]:
    """Combine the metadata of the image and of the display settings for each channel."""
    described = root.findall(f"{base}/Channels/Channel")
    displayed = root.findall("Metadata/DisplaySetting/Channels/Channel")
    by_identity = {channel.get("Id"): channel for channel in displayed if channel.get("Id")}
    found = []
    for number in range(max(len(described), len(displayed))):
        channel: Any = described[number] if number < len(described) else ElementTree.Element("none")
        display: Any = by_identity.get(channel.get("Id"))
        if display is None:
            display = displayed[number] if number < len(displayed) else ElementTree.Element("none")
        low, high = (_number(display.findtext(key)) for key in ("Low", "High"))
        color = _color(display.findtext("Color")) or _color(channel.findtext("Color"))
        found.append(
            CziChannel(
                name=channel.get("Name") or display.get("Name") or None,
                color=color,
                window=None if high is None or high <= (low or 0) else (max(low or 0.0, 0.0), high),
                shown=(display.findtext("IsSelected") or "true").strip().lower() != "false",
            )
        )
    return tuple(found)


def _color(text: str | None) -> str | None:
    """Convert #RRGGBB or #AARRGGBB to RRGGBB."""
    digits = (text or "").strip().lstrip("#").upper()
    if len(digits) not in (6, 8) or any(digit not in "0123456789ABCDEF" for digit in digits):
        return None
    return digits[-6:]
