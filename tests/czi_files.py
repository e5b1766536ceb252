"""Writes CZI files of any dimensions, tiles and levels, so that the reader can be tested without a microscope."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

PIXEL_TYPES = {("u1", 1): 0, ("u2", 1): 1, ("f4", 1): 2, ("u1", 3): 3, ("u2", 3): 4}


@dataclass
class Block:
    """A sub-block: pixels (rows × columns, BGR behind), where it lies, and what else is said of it."""

    pixels: np.ndarray
    y: int = 0
    x: int = 0
    at: Mapping[str, int] = field(default_factory=dict)
    size: tuple[int, int] | None = None
    compression: int = 0
    data: bytes | None = None
    pixel_type: int | None = None

    def entry(self, position: int) -> bytes:
        height, width = self.pixels.shape[:2]
        tall, wide = self.size or (height, width)
        samples = 1 if self.pixels.ndim == 2 else self.pixels.shape[2]
        kind = PIXEL_TYPES.get((self.pixels.dtype.str[1:], samples), -1)
        kind = kind if self.pixel_type is None else self.pixel_type
        dimensions = [("X", self.x, wide, width), ("Y", self.y, tall, height)]
        dimensions += [(letter, start, 1, 1) for letter, start in self.at.items()]
        head = struct.pack("<2siqiiB5xi", b"DV", kind, position, 0, self.compression, 0, len(dimensions))
        return head + b"".join(struct.pack("<4siifi", d.encode(), s, n, s, k) for d, s, n, k in dimensions)


def _segment(name: bytes, content: bytes) -> bytes:
    room = -(-len(content) // 32) * 32
    return struct.pack("<16sqq", name, room, len(content)) + content.ljust(room, b"\0")


def write_czi(
    path: Path,
    blocks: Sequence[Block],
    xml: str = "",
    time_stamps: Sequence[float] = (),
    directory: bool = True,
    part: int = 0,
) -> Path:
    """Write a CZI file; without its directory, as one that was cut off while it was written."""
    parts: list[bytes] = []
    position = 32 + 512
    entries = []
    for block in blocks:
        data = block.pixels.tobytes() if block.data is None else block.data
        entry = block.entry(position)
        entries.append(entry)
        note = b"<METADATA />"
        head = struct.pack("<iiq", len(note), 0, len(data)) + entry
        parts.append(_segment(b"ZISRAWSUBBLOCK", head.ljust(256, b"\0") + note + data))
        position += len(parts[-1])
    places = {}
    content = struct.pack("<i", len(entries)).ljust(128, b"\0") + b"".join(entries)
    encoded = xml.encode()
    stamps = struct.pack("<ii", 8 + 8 * len(time_stamps), len(time_stamps)) + np.asarray(time_stamps, "<f8").tobytes()
    named = struct.pack("<2s10xqi16s8s80s", b"A1", 0, 0, b"", b"CZTIMS", b"TimeStamps")
    segments = {
        "directory": _segment(b"ZISRAWDIRECTORY", content),
        "xml": _segment(b"ZISRAWMETADATA", struct.pack("<ii", len(encoded), 0).ljust(256, b"\0") + encoded),
    }
    if time_stamps:
        head = struct.pack("<i12x", len(stamps)) + named
        segments["stamps"] = _segment(b"ZISRAWATTACH", head.ljust(256, b"\0") + stamps)
    if not directory:
        del segments["directory"]
    for name, segment in segments.items():
        places[name] = position
        parts.append(segment)
        position += len(segment)
    if time_stamps:
        places["attachments"] = position
        entry = named[:12] + struct.pack("<q", places["stamps"]) + named[20:]
        parts.append(_segment(b"ZISRAWATTDIR", struct.pack("<i", 1).ljust(256, b"\0") + entry))
    header = struct.pack(
        "<4i16s16siqqiq",
        *(1, 0, 0, 0, b"", b"", part),
        *(places.get("directory", 0), places["xml"], 0, places.get("attachments", 0)),
    )
    path.write_bytes(_segment(b"ZISRAWFILE", header.ljust(512, b"\0")) + b"".join(parts))
    return path


def czi_xml(
    scale: Mapping[str, float] | None = None,
    channels: Sequence[Mapping[str, str]] = (),
    scenes: Sequence[tuple[str, str]] = (),
    extra: str = "",
) -> str:
    """Metadata as ZEN writes them: scale in metres, channels with Name, Color, Low, High, scenes with their centres."""
    distances = "".join(f'<Distance Id="{a}"><Value>{v}</Value></Distance>' for a, v in (scale or {}).items())
    named = "".join(f'<Channel Id="Channel:{n}" Name="{c["Name"]}" />' for n, c in enumerate(channels))
    shown = "".join(
        f'<Channel Id="Channel:{n}">'
        + "".join(f"<{key}>{value}</{key}>" for key, value in c.items() if key != "Name")
        + "</Channel>"
        for n, c in enumerate(channels)
    )
    placed = "".join(
        f'<Scene Index="{n}" Name="{name}"><CenterPosition>{center}</CenterPosition></Scene>'
        for n, (name, center) in enumerate(scenes)
    )
    return (
        "<ImageDocument><Metadata><Information><Image><Dimensions>"
        f"<Channels>{named}</Channels><S><Scenes>{placed}</Scenes></S>{extra}"
        "</Dimensions></Image></Information>"
        f"<Scaling><Items>{distances}</Items></Scaling>"
        f"<DisplaySetting><Channels>{shown}</Channels></DisplaySetting></Metadata></ImageDocument>"
    )
