"""Open LIF files of Leica through the package liffile; uncompressed pixels are read directly from the file."""

from __future__ import annotations

__all__ = ["ENDINGS", "open", "recognises"]

import builtins
import os
import struct
from dataclasses import replace
from typing import Any

import numpy as np

from napari_restore.errors import AxesError, RestoreError, SourceError
from napari_restore.images.image import Channel, Image
from napari_restore.images.lazy_arrays import StridedArray
from napari_restore.images.readers.microscopes.lif_layout import Dimension, Part, check_part, list_parts
from napari_restore.images.readers.reader import check_level, series_number
from napari_restore.images.units import unit_name

ENDINGS: tuple[str, ...] = (".lif",)

_COLORS = {
    "gray": "FFFFFF", "grey": "FFFFFF", "red": "FF0000", "green": "00FF00", "blue": "0000FF",
    "cyan": "00FFFF", "magenta": "FF00FF", "yellow": "FFFF00",
}  # fmt: skip


def recognises(source: Any) -> bool:
    """Check whether a source is a LIF file, by its first bytes."""
    if not isinstance(source, str) or not source.lower().endswith(ENDINGS) or not os.path.isfile(source):
        return False
    with builtins.open(source, "rb") as file:
        head = file.read(9)
    return len(head) == 9 and struct.unpack("<I4xB", head) == (0x70, 0x2A)


def open(source: str, *, axes: str | None = None, level: int = 0, series: int | str = 0) -> Image:
    """Open a LIF file without reading pixels.

    Each image of the file is a series, and so is each tile, rotation, loop and slice of one, and each band of a
    wavelength scan of several channels. The bands of one channel are channels.

    Parameters
    ----------
    source : str
        Path of the file.
    axes : str, optional
        If given, it must equal the axes of the file.
    level : int
        0, because the format has no pyramids.
    series : int or str
        Number or name of the image.

    Returns
    -------
    Image
        With pixel size and origin in micrometres, seconds between time points, and names, colours and display limits
        of the channels.

    Raises
    ------
    AxesError
        If `axes` is not equal to the axes of the file.
    SourceError
        If liffile is not installed, the file is damaged, or the series or level does not exist.
    """
    path = os.path.abspath(source)
    check_level(level, 1, path, "LIF has no pyramids")
    try:
        with _lif_file(path) as file:
            images = list(file.images)
            parts = list_parts(images)
            part = parts[series_number(series, [one.name for one in parts], path)]
            check_part(part, path)
            lost = len(file.xml_element.findall(".//Data/Image")) - len(images)
            image = _image(path, images[part.number], part)
    except (RestoreError, MemoryError):
        raise
    except Exception as error:  # errors of liffile, ElementTree and number conversion
        raise SourceError(f"{path} cannot be read as LIF: {error!r}. Copy or export it again.") from error
    if axes is not None and axes.upper() != image.axes:
        raise AxesError(f"{path} has the axes {image.axes}, not {axes!r}; leave axes out.")
    names = tuple(one.name for one in parts)
    doubles = (f"{lost} more images have the name of another one, and cannot be opened.",) if lost > 0 else ()
    title = os.path.basename(path) + (f" [{part.name}]" if len(parts) > 1 else "")
    return replace(image, name=title, series_count=len(parts), series_names=names, notes=(*image.notes, *doubles))


def _lif_file(path: str) -> Any:
    try:
        import liffile
    except ImportError as error:
        raise SourceError(
            f"{path} needs the package liffile; install it with: pip install 'napari-restore[lif]' (or pip install "
            "liffile)."
        ) from error
    return liffile.LifFile(path, squeeze=False)


def _image(path: str, image: Any, part: Part) -> Image:
    block = image.memory_block
    dtype = np.dtype(part.channels[0].dtype)
    shape = tuple(dimension.length for dimension in part.dimensions)
    end = part.offset + sum((d.length - 1) * d.stride for d in part.dimensions if d.stride > 0) + dtype.itemsize
    if end > block.size or block.offset + end > os.path.getsize(path):
        raise SourceError(
            f"{path} is truncated: the image {part.name!r} has {os.path.getsize(path) - block.offset} of {end} bytes. "
            "Copy the file again."
        )
    data = StridedArray(path, dtype, shape, tuple(d.stride for d in part.dimensions), block.offset + part.offset)
    placed = {axis: d for axis, d in zip(part.axes, part.dimensions, strict=True) if axis not in "CS"}
    size, origin, units = _scale(placed)
    if "T" in part.axes and "T" not in size and (step := _time_step(image, placed["T"].length)):
        size["T"], units["T"] = step, "second"
    origin |= _tile_origin(image, part, placed)
    return Image(
        data=data,
        axes=part.axes,
        pixel_size=size,
        origin=origin,
        units=units | dict.fromkeys(set(origin) - set(units), "micrometer"),
        channels=_channels(image, part),
        chunks=tuple(n if axis in "YXS" else 1 for axis, n in zip(part.axes, shape, strict=True)),
        location=path,
        notes=part.notes,
    )


def _scale(placed: dict[str, Dimension]) -> tuple[dict[str, float], dict[str, float], dict[str, str]]:
    """Return pixel size, origin and unit of each axis; metres are converted to micrometres."""
    size, origin, units = {}, {}, {}
    for axis, dimension in placed.items():
        unit = unit_name(dimension.unit)
        if unit is None or dimension.step is None:
            continue
        factor = 1e6 if unit == "meter" else 1.0
        size[axis] = float(f"{dimension.step * factor:.12g}")
        if dimension.origin:
            origin[axis] = float(f"{dimension.origin * factor:.12g}")
        units[axis] = "micrometer" if unit == "meter" else unit
    return size, origin, units


def _tile_origin(image: Any, part: Part, placed: dict[str, Dimension]) -> dict[str, float]:
    """Return the position of a tile on the stage, if rows and columns are parallel to its axes."""
    scan, tile = image.xml_element.find("./Data/Image/Attachment[@Name='TileScanInfo']"), part.others.get("M")
    tiles = [] if scan is None else scan.findall("Tile")
    turned = scan is not None and any(scan.get(key) == "1" for key in ("FlipX", "FlipY", "SwapXY"))
    if tile is None or tile >= len(tiles) or turned:
        return {}
    positions = {axis: tiles[tile].get(f"Pos{axis}") for axis in "YX" if axis in placed}
    return {
        axis: float(f"{1e6 * float(position):.12g}") for axis, position in positions.items() if position is not None
    }


def _time_step(image: Any, count: int) -> float | None:
    """Return the mean number of seconds between two time points, from the time stamps."""
    stamps = image.timestamps
    if stamps is None or len(stamps) < count or len(stamps) % count:
        return None
    each = stamps[:: len(stamps) // count]
    seconds = float((each[-1] - each[0]) / np.timedelta64(1, "ms")) / 1000
    return seconds / (count - 1) if seconds > 0 else None


def _channels(image: Any, part: Part) -> tuple[Channel, ...]:
    """Return names, colours and display limits."""
    letters = [dimension.letter for dimension in part.dimensions]
    band = next((d for d in part.dimensions if d.letter in "λΛ"), None)
    if band is not None:
        bands = np.arange(band.length) * (band.step or 0) + band.origin
        known = band.step is not None and band.unit == "m"
        return tuple(Channel(f"{1e9 * at:.4g} nm" if known else f"{band.letter} {n}") for n, at in enumerate(bands))
    if "S" in letters:
        return ()
    described = tuple(
        Channel(
            name=channel.name or channel.table or None,
            color=_COLORS.get(channel.table.lower()),
            window=_window(image, channel.offset, channel.full),
        )
        for channel in part.channels
    )
    return described if any(channel != Channel() for channel in described) else ()


def _window(image: Any, offset: int, full: float) -> tuple[float, float] | None:
    """Return the display limits of the channel that begins at an offset."""
    scaling = image.xml_element.findall("./Data/Image/Attachment[@Name='ViewerScaling']/ChannelScalingInfo")
    offsets = sorted(
        int(channel.get("BytesInc") or 0)
        for channel in image.xml_element.findall("./Data/Image/ImageDescription/Channels/ChannelDescription")
    )
    if len(scaling) != len(offsets):
        return None
    found = scaling[offsets.index(offset)]
    low, high = float(found.get("BlackValue") or 0), float(found.get("WhiteValue") or 1)
    return (low * full, high * full) if 0 <= low < high <= 1 else None
