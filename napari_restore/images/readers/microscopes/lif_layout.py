"""What images are in a LIF file, and how the pixels of each lie in it.

Each image has a list of dimensions and a list of channels, with the distance of neighbours in bytes; dimensions and
channels may follow each other in any order.
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
    """A dimension: its letter and length, first position and distance of positions in its unit, and bytes between."""

    letter: str
    length: int
    origin: float
    step: float | None
    unit: str
    stride: int


@dataclass(frozen=True)
class LifChannel:
    """A channel: its data type and colour tag (1 red, 2 green, 3 blue), name, lookup table, and where it begins."""

    dtype: str
    tag: int
    name: str
    table: str
    offset: int
    full: float


@dataclass(frozen=True)
class Part:
    """One image: a file's image, or a part of it where it has more dimensions than an image here.

    Attributes
    ----------
    name : str
        Of the file's image, and what sets the part apart.
    number : int
        Of the file's image.
    axes : str
        In canonical order; nothing for what is no image.
    dimensions : tuple of Dimension
        One for each axis.
    channels : tuple of LifChannel
        Those of the part.
    offset : int
        Of the first pixel from the beginning of the image's memory, in bytes.
    others : dict of str to int
        Its index along each other dimension.
    notes : tuple of str
        What of the image was called something else.
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
        The images that liffile finds.

    Returns
    -------
    list of Part
        In the order of the file.
    """
    parts: list[Part] = []
    for number, image in enumerate(images):
        description = image.xml_element.find("./Data/Image/ImageDescription")
        if image.is_flim or description is None:
            parts.append(Part(image.path, number))  # takes part in the numbering, so that it is named when asked for
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
        for place, (group, axis) in enumerate(groups):
            extra = [band] if band is not None else [axis] if axis is not None else []
            chosen = {dimension.letter: dimension for dimension in plane if dimension.letter in "TZYX"}
            chosen |= {("S" if d.letter == "S" else "C"): d for d in extra}
            axes = "".join(letter for letter in "TCZYXS" if letter in chosen)
            words = [f"{_WORDS.get(d.letter, d.letter)} {i}" for d, i in zip(others, index, strict=True)]
            words += [f"channel {place}"] if len(groups) > 1 else []
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
    """Give a scan without rows its rows: the planes of an x–z scan run along Z, those of an x–t scan along T."""
    by_letter = {dimension.letter: dimension for dimension in dimensions}
    if by_letter.get("Y", Dimension("Y", 1, 0, None, "", 0)).length > 1:
        return dimensions, ()
    rows = next((by_letter[letter] for letter in "ZT" if letter in by_letter), None)
    if rows is None or "X" not in by_letter:
        return dimensions, ()
    # A row has no distance to the next one in space where they follow each other in time.
    step, unit = (rows.step, rows.unit) if rows.letter == "Z" else (None, "")
    renamed = Dimension("Y", rows.length, rows.origin if step else 0.0, step, unit, rows.stride)
    others = [dimension for dimension in dimensions if dimension.letter not in ("Y", rows.letter)]
    kind = "x–z" if rows.letter == "Z" else "x–t"
    return [*others, renamed], (f"It is an {kind} scan: its rows run along {rows.letter}, and are called Y here.",)


def _groups(channels: list[LifChannel]) -> Iterator[tuple[list[LifChannel], Dimension | None]]:
    """Yield channels that are one image together, with the axis that they are in it."""
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
    """Return where the first channel begins; of colour that is red, wherever it lies."""
    if axis is not None and axis.letter == "S":
        return next(channel.offset for channel in group if channel.tag == 1)
    return group[0].offset


def check_part(part: Part, path: str) -> None:
    """Raise SourceError for what is no image that can be restored."""
    if not part.axes:
        reason = part.notes[0] if part.notes else "it holds photon data (FLIM)"
        raise SourceError(f"series {part.name!r} of {path} is not supported: {reason}; export it as TIFF in LAS X.")
    if not {"Y", "X"} <= set(part.axes):
        raise SourceError(f"series {part.name!r} of {path} has no plane: its axes are {part.axes}.")
