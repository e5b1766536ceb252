"""Mutations of files: of bits, of parts, of integers (with boundary values), and of values in JSON or XML."""

from __future__ import annotations

import json
import random
import re
import struct
from pathlib import Path
from typing import Any

import numcodecs

__all__ = ["mutate"]

NUMBERS = (0, 1, 2, 7, 8, 127, 128, 255, 256, 32767, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1)
ODD: tuple[Any, ...] = (
    None, True, -1, 0, 1.5, 1e308, "abc", "", [], {}, [None], [-1, -1, -1], 2**70, "../../etc/passwd", "/etc/passwd",
    "\0", "x" * 10_000, [[[[]]]], [0, 0, 0], [2**40] * 3,
)  # fmt: skip
_BOMB = bytes(numcodecs.Zstd(9).encode(bytes(10**8)))
_GZIP_BOMB = bytes(numcodecs.GZip(9).encode(bytes(10**8)))


def mutate(path: Path, dice: random.Random) -> str:
    """Damage a file, or one file of a folder.

    Parameters
    ----------
    path : Path
        A file, or a folder such as a Zarr.
    dice : random.Random
        Random generator.

    Returns
    -------
    str
        Description of the mutations.
    """
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file() and not file.is_symlink())
        metadata = [file for file in files if file.suffix == ".json" or file.name.startswith(".z")]
        path = dice.choice(metadata if metadata and dice.random() < 0.6 else files)
    content = path.read_bytes()
    ways = [_flipped, _numbers, _cut, _doubled, _zeroed, _noise]
    if path.suffix == ".json" or path.name.startswith(".z"):
        ways += [_odd_json] * 12
    if b"<OME" in content or b"ImageJ=" in content:
        ways += [_odd_text] * 4
    if path.parent.name.isdecimal() or path.name.replace(".", "").isdecimal():
        ways += [_replaced] * 2
    told = []
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        way = dice.choice(ways)
        content = way(content, dice)
        told.append(way.__name__.strip("_"))
    path.write_bytes(content)
    return f"{path.name}: {', '.join(told)}"


def _place(content: bytes, dice: random.Random) -> int:
    """Choose an offset, more often near the start and the end, where directories are."""
    length = max(len(content), 1)
    near = min(length, 512)
    return dice.choice((dice.randrange(near), length - 1 - dice.randrange(near), dice.randrange(length)))


def _flipped(content: bytes, dice: random.Random) -> bytes:
    damaged = bytearray(content or b"\0")
    for _ in range(dice.choice((1, 1, 3, 10))):
        damaged[_place(damaged, dice)] ^= 1 << dice.randrange(8)
    return bytes(damaged)


def _numbers(content: bytes, dice: random.Random) -> bytes:
    width = dice.choice((1, 2, 4, 8))
    number = dice.choice(NUMBERS) & (256**width - 1)
    place = _place(content, dice)
    return content[:place] + number.to_bytes(width, dice.choice(("little", "big"))) + content[place + width :]


def _cut(content: bytes, dice: random.Random) -> bytes:
    return content[: _place(content, dice)]


def _doubled(content: bytes, dice: random.Random) -> bytes:
    start, stop = sorted((_place(content, dice), _place(content, dice)))
    return content[:stop] + content[start:stop] * dice.choice((1, 2, 20)) + content[stop:]


def _zeroed(content: bytes, dice: random.Random) -> bytes:
    place, length = _place(content, dice), dice.choice((4, 16, 64, 512))
    return content[:place] + bytes(length) + content[place + length :]


def _noise(content: bytes, dice: random.Random) -> bytes:
    place, length = _place(content, dice), dice.choice((4, 16, 64))
    return content[:place] + dice.randbytes(length) + content[place + length :]


def _replaced(content: bytes, dice: random.Random) -> bytes:
    """Replace a chunk by something else."""
    return dice.choice((b"", b"\0", _BOMB, _GZIP_BOMB, struct.pack("<IIII", 2, 2**31, 2**31, 64) + content[16:]))


def _odd_json(content: bytes, dice: random.Random) -> bytes:
    """Replace a value in JSON by one of another type, remove it, or nest it very deeply."""
    try:
        root = json.loads(content)
    except (ValueError, RecursionError):
        return _flipped(content, dice)
    if dice.random() < 0.03:
        return dice.choice((b"[" * 100_000, b'{"a":' * 50_000, b'{"zarr_format":' + b"9" * 5000 + b"}"))
    places = list(_places(root))
    if not places:
        return b"5"
    holder, key = dice.choice(places)
    if isinstance(holder, dict) and dice.random() < 0.2:
        del holder[key]
    else:
        holder[key] = dice.choice(ODD)
    return json.dumps(root).encode()


def _places(node: Any) -> Any:
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield node, key
        yield from _places(value)


def _odd_text(content: bytes, dice: random.Random) -> bytes:
    """Replace a number or name in an OME-XML or an ImageJ description by another one of the same length."""
    found = list(re.finditer(rb'(?<=[="])[-0-9.]+', content))
    if not found:
        return _flipped(content, dice)
    match = dice.choice(found)
    new = dice.choice(
        (b"9" * len(match[0]), b"-" + b"1" * (len(match[0]) - 1), b"x" * len(match[0]), b"0" * len(match[0]))
    )
    return content[: match.start()] + new + content[match.end() :]
