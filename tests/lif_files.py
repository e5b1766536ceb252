"""Writes LIF files of any dimensions and channels, so that the reader can be tested without a microscope."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

NUMBERS = {"X": 1, "Y": 2, "Z": 3, "T": 4, "λ": 5, "A": 6, "N": 7, "Q": 8, "Λ": 9, "M": 10, "L": 11}


@dataclass
class Stored:
    """An image of a LIF file.

    `axes` has one letter per dimension of `pixels`, in the order of the file; C stands for channels and S for red,
    green and blue (in the order of `tags`). `extents` are origin, length and unit of a dimension.
    """

    name: str
    pixels: np.ndarray
    axes: str
    extents: dict[str, tuple[float, float, str]]
    tables: Sequence[str] = ()
    tags: Sequence[int] = (1, 2, 3)
    more: str = ""
    bits: int = 0

    def xml(self, number: int) -> str:
        strides = dict(zip(self.axes, self.pixels.strides, strict=True))
        lengths = dict(zip(self.axes, self.pixels.shape, strict=True))
        dimensions = "".join(
            f'<DimensionDescription DimID="{NUMBERS[a]}" NumberOfElements="{lengths[a]}" BytesInc="{strides[a]}" '
            f'BitInc="0" Origin="{self.extents.get(a, (0, 0, ""))[0]}" Length="{self.extents.get(a, (0, 0, ""))[1]}" '
            f'Unit="{self.extents.get(a, (0, 0, ""))[2]}" />'
            for a in self.axes
            if a not in "CS"
        )
        bits = self.bits or 8 * self.pixels.itemsize
        kind = int(self.pixels.dtype.kind == "f")
        channels = "".join(
            f'<ChannelDescription DataType="{kind}" ChannelTag="{self.tags[s] if "S" in self.axes else 0}" '
            f'Resolution="{bits}" NameOfMeasuredQuantity="" Min="0" Max="{2**bits - 1}" Unit="" '
            f'LUTName="{self.tables[c] if c < len(self.tables) else ""}" IsLUTInverted="0" '
            f'BytesInc="{c * strides.get("C", 0) + s * strides.get("S", 0)}" BitInc="0" />'
            for c in range(lengths.get("C", 1))
            for s in range(lengths.get("S", 1))
        )
        return (
            f'<Element Name="{self.name}" UniqueID="{number}"><Data><Image><ImageDescription>'
            f"<Channels>{channels}</Channels><Dimensions>{dimensions}</Dimensions></ImageDescription>{self.more}"
            f'</Image></Data><Memory Size="{self.pixels.nbytes}" MemoryBlockID="MemBlock_{number}" /></Element>'
        )


def write_lif(path: Path, images: Sequence[Stored]) -> Path:
    """Write a LIF file."""
    inside = "".join(image.xml(number) for number, image in enumerate(images))
    xml = (
        f'<LMSDataContainerHeader Version="2"><Element Name="{path.stem}"><Data><Experiment /></Data>'
        f'<Memory Size="0" MemoryBlockID="MemBlock_none" /><Children>{inside}</Children></Element>'
        "</LMSDataContainerHeader>"
    )
    text = xml.encode("utf-16-le")
    parts = [struct.pack("<IIBI", 0x70, len(text) + 5, 0x2A, len(xml)), text]
    for number, image in enumerate(images):
        name = f"MemBlock_{number}"
        data = np.ascontiguousarray(image.pixels).tobytes()
        parts.append(struct.pack("<IIBQBI", 0x70, 14 + 2 * len(name), 0x2A, len(data), 0x2A, len(name)))
        parts += [name.encode("utf-16-le"), data]
    path.write_bytes(b"".join(parts))
    return path
