"""TIFFs in the layouts of other programs, that several tests read."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tifffile


def companion_ome(
    folder: Path,
    uuid: str = 'UUID="urn:uuid:b4803e24-0000-4000-8000-000000000000"',
    described: str = "all.companion.ome",
) -> np.ndarray:
    """Write files of two planes each, which say that another file describes them; that may be one of them."""
    pixels = np.random.default_rng(0).integers(0, 250, (3, 2, 20, 30)).astype(np.uint16)
    ids = [f"urn:uuid:c7f5eb85-0000-4000-8000-00000000000{n}" for n in range(3)]
    blocks = "".join(
        f'<TiffData IFD="0" FirstT="{n}" PlaneCount="2"><UUID FileName="part{n}.ome.tif">{one}</UUID></TiffData>'
        for n, one in enumerate(ids)
    )
    whole_set = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" {}><Image ID="Image:0" Name="cells"><Pixels '
        'ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" SizeX="30" SizeY="20" SizeZ="1" SizeC="2" SizeT="3" '
        'PhysicalSizeX="0.3"><Channel ID="Channel:0:0" Name="a" SamplesPerPixel="1"/>'
        f'<Channel ID="Channel:0:1" Name="b" SamplesPerPixel="1"/>{blocks}</Pixels></Image></OME>'
    )
    for n, one in enumerate(ids):
        pointer = f'<OME xmlns="http://x" UUID="{one}"><BinaryOnly MetadataFile="{described}" UUID="urn:uuid:0"/></OME>'
        mine = described == f"part{n}.ome.tif"
        xml = whole_set.format(f'UUID="{one}"') if mine else pointer
        options = {"metadata": None, "photometric": "minisblack"}
        tifffile.imwrite(folder / f"part{n}.ome.tif", pixels[n], description=xml, **options)  # type: ignore[arg-type]
    if described.endswith(".companion.ome"):
        (folder / described).write_text(whole_set.format(uuid))
    return pixels


def micro_manager(path: Path, planes: Mapping[tuple[int, int, int, int], np.ndarray], **summary: Any) -> None:
    """Write a TIFF as Micro-Manager does: with a summary, an index map, and pixels 162 bytes behind each directory.

    Parameters
    ----------
    path
        The file.
    planes
        16-bit planes by channel, slice, frame and position.
    summary
        What was planned, such as Frames; 1 of everything else.
    """
    height, width = next(iter(planes.values())).shape
    told = {"MicroManagerVersion": "2.0.0", "Prefix": "run", "Width": width, "Height": height, "PixelType": "GRAY16"}
    told |= {
        "Frames": 1,
        "Slices": 1,
        "Channels": 1,
        "Positions": 1,
        "SlicesFirst": True,
        "TimeFirst": False,
        **summary,
    }
    text = json.dumps(told).encode()
    first = 40 + len(text) + len(text) % 2
    of_plane = b'{"Camera": "-"}\0'
    size = 162 + 2 * height * width + len(of_plane)
    places = [first + number * size for number in range(len(planes))]
    behind = first + len(planes) * size
    content = bytearray(b"II" + struct.pack("<HI", 42, first))
    content += struct.pack("<8I", 54773648, behind, 483765892, behind, 99384722, behind, 2355492, len(text)) + text
    content += bytes(first - len(content))
    for place, pixels in zip(places, planes.values(), strict=True):
        tags = {256: width, 257: height, 258: 16, 259: 1, 262: 1, 273: place + 162, 277: 1, 278: height}
        tags[279] = 2 * height * width
        directory = struct.pack("<H", len(tags) + 1)
        directory += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
        directory += struct.pack("<HHII", 51123, 2, len(of_plane), place + size - len(of_plane))
        directory += struct.pack("<I", 0 if place == places[-1] else place + size)
        content += directory.ljust(162, b"\0") + pixels.astype("<u2").tobytes() + of_plane
    content += struct.pack("<2I", 3453623, len(planes))
    for index, place in zip(planes, places, strict=True):
        content += struct.pack("<5I", *index, place)
    path.write_bytes(content)
