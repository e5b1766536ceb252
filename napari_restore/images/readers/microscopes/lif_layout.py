"""List the images in a LIF file, and the memory layout of their pixels.

Each image has a list of dimensions and a list of channels, with their strides in bytes; dimensions and channels may
have any order.
"""

from __future__ import annotations

__all__ = ["Dimension", "LifChannel", "Part", "list_parts"]

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from napari_restore.errors import SourceError

_LETTERS = {1: "X", 2: "Y", 3: "Z", 4: "T", 5: "λ", 6: "A", 7: "N", 8: "Q", 9: "Λ", 10: "M", 11: "L"}
_WORDS = {
    "λ": "emission", "Λ": "excitation", "A": "rotation", "N": "XT slice", "Q": "T slice", "M": "tile", "L": "loop",
}  # fmt: skip
_RGB = {1, 2, 3}


@dataclass(frozen=True)
class Dimension:
    """A dimension: its letter, length, first position, step and unit, and its stride in bytes."""

    letter: str
    length: int
    origin: float
    step: float | None
    unit: str
    stride: int


@dataclass(frozen=True)
class LifChannel:
    """A channel: its data type, colour tag (1 red, 2 green, 3 blue), name, lookup table, and offset in bytes."""

    dtype: str
    tag: int
    name: str
    table: str
    offset: int
    full: float


@dataclass(frozen=True)
class Part:
    """One image: an image of the file, or a part of one that has more dimensions than an `Image`.

    Attributes
    ----------
    name : str
        Name of the image of the file, and the indices of the part.
    number : int
        Number of the image of the file.
    axes : str
        Letters in canonical order; empty if it is not an image.
    dimensions : tuple of Dimension
        One dimension per axis.
    channels : tuple of LifChannel
        Channels of the part.
    offset : int
        Offset of the first pixel in the memory block of the image, in bytes.
    others : dict of str to int
        Index along each other dimension.
    notes : tuple of str
        Notes on renamed dimensions.
    """

    name: str
    number: int
    axes: str = ""
    dimensions: tuple[Dimension, ...] = ()
    channels: tuple[LifChannel, ...] = ()
    offset: int = 0
    others: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def list_parts(images: Sequence[Any]) -> list[Part]:
    """Return all images of a file.

    Parameters
    ----------
    images : sequence of liffile.LifImage
        Images found by liffile.

    Returns
    -------
    list of Part
        Images in the order of the file.
    """
    parts: list[Part] = []
    for number, image in enumerate(images):
        description = image.xml_element.find("./Data/Image/ImageDescription")
        if image.is_flim or description is None:
            parts.append(Part(image.path, number))  # it keeps its number, so that opening it raises the error
        else:
            parts += _parts_of(image.path, number, description)
    return parts


def _parts_of(name: str, number: int, description: Element) -> Iterator[Part]:
    dimensions = [_dimension(element) for element in description.findall("./Dimensions/DimensionDescription")]
    channels = sorted(map(_channel, description.findall("./Channels/ChannelDescription")), key=lambda c: c.offset)
    letters = [dimension.letter for dimension in dimensions]
    if not channels or len(set(letters)) < len(letters):
        yield Part(name, number, notes=("it has no channel, or one dimension twice",))
        return
    plane, notes = _plane([dimension for dimension in dimensions if dimension.length > 1 or dimension.letter in "YX"])
    groups = list(_groups(channels))
    band = next((d for d in plane if d.letter in "λΛ" and len(groups) == 1 and len(channels) == 1), None)
    others = [d for d in plane if d.letter not in "TZYX" and d is not band]
    for index in itertools.product(*(range(dimension.length) for dimension in others)):
        for group_number, (group, axis) in enumerate(groups):
            extra = [band] if band is not None else [axis] if axis is not None else []
            chosen = {dimension.letter: dimension for dimension in plane if dimension.letter in "TZYX"}
            chosen |= {("S" if d.letter == "S" else "C"): d for d in extra}
            axes = "".join(letter for letter in "TCZYXS" if letter in chosen)
            words = [f"{_WORDS.get(d.letter, d.letter)} {i}" for d, i in zip(others, index, strict=True)]
            words += [f"channel {group_number}"] if len(groups) > 1 else []
            yield Part(
                name=", ".join([name, *words]),
                number=number,
                axes=axes,
                dimensions=tuple(chosen[letter] for letter in axes),
                channels=tuple(group),
                offset=_first(group, axis) + sum(d.stride * i for d, i in zip(others, index, strict=True)),
                others={d.letter: i for d, i in zip(others, index, strict=True)},
                notes=notes,
            )


def _dimension(element: Element) -> Dimension:
    length = int(element.attrib["NumberOfElements"])
    extent = float(element.get("Length") or 0)
    return Dimension(
        letter=_LETTERS.get(int(element.attrib["DimID"]), f"dimension {element.attrib['DimID']}"),
        length=length,
        origin=float(element.get("Origin") or 0),
        step=extent / (length - 1) if length > 1 and extent and np.isfinite(extent) else None,
        unit=element.get("Unit") or "",
        stride=int(element.attrib["BytesInc"]),
    )


def _channel(element: Element) -> LifChannel:
    bits, kind = int(element.attrib["Resolution"]), "f" if element.get("DataType") == "1" else "u"
    size = next((size for size in (1, 2, 4, 8) if bits <= 8 * size), 8)
    properties = {p.findtext("Key"): p.findtext("Value") for p in element.findall("ChannelProperty")}
    return LifChannel(
        dtype=f"<{kind}{size}",
        tag=int(element.get("ChannelTag") or 0),
        name=properties.get("DyeName") or "",
        table=element.get("LUTName") or "",
        offset=int(element.get("BytesInc") or 0),
        full=float(2**bits - 1),
    )


def _plane(dimensions: list[Dimension]) -> tuple[list[Dimension], tuple[str, ...]]:
    """Rename a dimension to Y in a scan without rows: Z in an x–z scan, T in an x–t scan."""
    by_letter = {dimension.letter: dimension for dimension in dimensions}
    if by_letter.get("Y", Dimension("Y", 1, 0, None, "", 0)).length > 1:
        return dimensions, ()
    rows = next((by_letter[letter] for letter in "ZT" if letter in by_letter), None)
    if rows is None or "X" not in by_letter:
        return dimensions, ()
    # Rows of an x–t scan have no distance in space.
    step, unit = (rows.step, rows.unit) if rows.letter == "Z" else (None, "")
    renamed = Dimension("Y", rows.length, rows.origin if step else 0.0, step, unit, rows.stride)
    others = [dimension for dimension in dimensions if dimension.letter not in ("Y", rows.letter)]
    kind = "x–z" if rows.letter == "Z" else "x–t"
    return [*others, renamed], (f"It is an {kind} scan: its rows run along {rows.letter}, and are called Y here.",)


def _groups(channels: list[LifChannel]) -> Iterator[tuple[list[LifChannel], Dimension | None]]:
    """Yield groups of channels that are one image, with the axis that they form."""
    size = np.dtype(channels[0].dtype).itemsize
    same = len({channel.dtype for channel in channels}) == 1
    triples = [channels[n : n + 3] for n in range(0, len(channels), 3)]
    if same and all({c.tag for c in t} == _RGB and t[2].offset - t[0].offset == 2 * size for t in triples):
        for triple in triples:
            red, green = (next(c for c in triple if c.tag == tag) for tag in (1, 2))
            yield triple, Dimension("S", 3, 0.0, None, "", green.offset - red.offset)
        return
    steps = set(np.diff([channel.offset for channel in channels]).tolist())
    if len(channels) == 1:
        yield channels, None
    elif same and len(steps) == 1:
        yield channels, Dimension("C", len(channels), 0.0, None, "", steps.pop())
    else:
        yield from (([channel], None) for channel in channels)


def _first(group: list[LifChannel], axis: Dimension | None) -> int:
    """Return the offset of the first channel; for colour, that of red."""
    if axis is not None and axis.letter == "S":
        return next(channel.offset for channel in group if channel.tag == 1)
    return group[0].offset


def check_part(part: Part, path: str) -> None:
    """Raise SourceError for an image that cannot be restored."""
    if not part.axes:
        reason = part.notes[0] if part.notes else "it holds photon data (FLIM)"
        raise SourceError(f"series {part.name!r} of {path} is not supported: {reason}; export it as TIFF in LAS X.")
    if not {"Y", "X"} <= set(part.axes):
        raise SourceError(f"series {part.name!r} of {path} has no plane: its axes are {part.axes}.")
