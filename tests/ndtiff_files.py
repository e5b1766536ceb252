"""Writes NDTiff data sets: an index, and files with pixels and metadata where it says that they are."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Shot = tuple[Mapping[str, int | str], np.ndarray, Mapping[str, Any]]


def write_ndtiff(
    folder: Path,
    shots: Sequence[Shot],
    summary: Mapping[str, Any] | None = None,
    per_file: int = 100,
    pixel_type: int | None = None,
    compression: int = 0,
) -> Path:
    """Write a data set of images, each with its axes and metadata."""
    folder.mkdir(parents=True, exist_ok=True)
    noted = json.dumps(dict(summary or {})).encode()
    head = struct.pack("<2sHIIIIII", b"II", 42, 0, 483729, 3, 3, 2355492, len(noted)) + noted
    index = b""
    for begin in range(0, len(shots), per_file):
        name = f"x_NDTiffStack{f'_{begin // per_file}' if begin else ''}.tif"
        content = head
        for axes, pixels, metadata in shots[begin : begin + per_file]:
            kind = 2 if pixels.ndim == 3 else {1: 0, 2: 1}[pixels.itemsize]
            kind = kind if pixel_type is None else pixel_type
            text, label = json.dumps(dict(metadata)).encode(), json.dumps(dict(axes)).encode()
            offset = len(content)
            content += pixels.tobytes() + text
            index += struct.pack("<I", len(label)) + label + struct.pack("<I", len(name)) + name.encode()
            index += struct.pack("<8I", offset, pixels.shape[1], pixels.shape[0], kind, compression, 0, 0, 0)
            index = index[:-12] + struct.pack("<3I", offset + pixels.nbytes, len(text), 0)
        (folder / name).write_bytes(content)
    (folder / "NDTiff.index").write_bytes(index)
    return folder
