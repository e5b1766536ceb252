"""Writes ND2 files of any loops and channels, so that the reader can be tested without a microscope.

The metadata are written as XML, which the format had before its binary form, and which the package nd2 reads as well.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

_MAGIC = 0x0ABECEDA
_TYPES = {bool: "bool", int: "lx_int64", float: "double", str: "CLxStringW"}

TIME, POSITIONS, Z, CUSTOM = 1, 2, 4, 7


def _xml(name: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return f'<{name} runtype="CLxListVariant">{"".join(_xml(k, v) for k, v in value.items())}</{name}>'
    text = str(value).lower() if isinstance(value, bool) else value
    return f'<{name} runtype="{_TYPES[type(value)]}" value="{text}" />'


def _variant(content: Mapping[str, Any]) -> bytes:
    return f"<variant>{''.join(_xml(name, value) for name, value in content.items())}</variant>".encode()


def loop(kind: int, count: int, **more: Any) -> dict[str, Any]:
    """One loop of an experiment: of time, positions, Z, or a custom one."""
    times = {"dStart": 0.0, "dPeriod": 0.0, "dDuration": 0.0} if kind == TIME else {}
    return {"eType": kind, "uLoopPars": {"uiCount": count, **times, **more}}


def positions(places: Mapping[str, tuple[float, float]]) -> dict[str, Any]:
    """A loop of named positions, X and Y in micrometres."""
    points = {f"p{n}": {"dPosX": x, "dPosY": y, "dPosName": name} for n, (name, (x, y)) in enumerate(places.items())}
    return loop(POSITIONS, len(places), Points=points)


def write_nd2(
    path: Path,
    frames: Sequence[np.ndarray | None],
    loops: Sequence[Mapping[str, Any]] = (),
    channels: Sequence[tuple[str, int]] = (("GFP", 0x00FF00),),
    calibration: float | None = 0.25,
    stage: tuple[float, float, float] = (0.0, 0.0, 0.0),
    times: Sequence[float] = (),
    sequence: int | None = None,
    compression: int = 2,
    probes: bool = True,
) -> Path:
    """Write frames of rows × columns × components; None for one that is not there. Colours are BGR numbers.

    The package nd2 cannot read the metadata of channels without a probe.
    """
    first = next(frame for frame in frames if frame is not None)
    height, width, components = first.shape
    colored = components == 3 * len(channels)
    attributes = {
        "uiWidth": width, "uiHeight": height, "uiWidthBytes": width * components * first.itemsize,
        "uiComp": components, "uiBpcInMemory": 8 * first.itemsize, "uiBpcSignificant": 8 * first.itemsize,
        "uiSequenceCount": len(frames) if sequence is None else sequence, "eCompression": compression,
    }  # fmt: skip
    planes = {
        f"a{n}": {
            "sDescription": name,
            "uiColor": color,
            "uiCompCount": 3 if colored else 1,
            "uiSampleIndex": n,
            **({"pFluorescentProbe": {"sName": "probe"}} if probes else {}),
        }
        for n, (name, color) in enumerate(channels)
    }
    x, y, z = stage
    metadata = {
        "bCalibrated": calibration is not None, "dCalibration": calibration or 1.0, "dXPos": x, "dYPos": y, "dZPos": z,
        "sPicturePlanes": {"uiCount": len(channels), "sPlaneNew": planes},
    }  # fmt: skip
    experiment: dict[str, Any] = {}
    for one in reversed(loops):
        experiment = {**one, **({"ppNextLevelEx": {"next": experiment}} if experiment else {})}
    chunks = {
        b"ImageAttributesLV!": _variant(attributes),
        b"ImageMetadataSeqLV|0!": _variant(metadata),
        b"CustomData|AcqTimesCache!": np.asarray(times or range(len(frames)), "<f8").tobytes(),
    }
    if experiment:
        chunks[b"ImageMetadataLV!"] = _variant(experiment)
    content = struct.pack("<IIQ32s64s", _MAGIC, 32, 64, b"ND2 FILE SIGNATURE CHUNK NAME01!", b"Ver3.0")
    table = b""
    for number, frame in enumerate(frames):
        if frame is not None:
            data = np.ascontiguousarray(frame).tobytes()
            chunks[b"ImageDataSeq|%d!" % number] = bytes(8) + (zlib.compress(data) if compression == 0 else data)
    for name, data in chunks.items():
        room = 4072 if name.startswith(b"ImageDataSeq") else len(name)
        table += name + struct.pack("<QQ", len(content), len(data))
        content += struct.pack("<IIQ", _MAGIC, room, len(data)) + name.ljust(room, b"\0") + data
    end = b"ND2 CHUNK MAP SIGNATURE 0000001!" + struct.pack("<Q", len(content))
    table += end
    content += struct.pack("<IIQ", _MAGIC, 32, len(table)) + b"ND2 FILEMAP SIGNATURE NAME 0001!" + table
    path.write_bytes(content)
    return path
