"""A digest of every stored object, written before the object is: a flipped bit that changes no pixel is found too.

While a run goes on, each process adds lines to a file of its own in ``0/.digests/``. When it has ended, they are put
together in ``0/.sha256sums``, which ``sha256sum --check 0/.sha256sums`` reads as well. Zarr takes no notice of either.
An object store has checksums of its own, and nothing is kept there.
"""

from __future__ import annotations

__all__ = ["SUMS", "Digests", "gather_digests", "read_digests", "record_digest", "sha256_of"]

import contextlib
import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from napari_restore.files import is_link
from napari_restore.images.staging import Stage

SUMS = "0/.sha256sums"
"""Where they lie when a run has ended."""
_FOLDER = "0/.digests"
_LINE = re.compile(r"([0-9a-f]{64})  ([0-9]+(?:/c)?(?:/[0-9]+)+)")
_HEAD = "# SHA-256 of the lines below: "

_own: dict[tuple[Path, int], Path] = {}  # of each run, the file of this process


def record_digest(stage: Stage, root: Path, name: str, content: Any) -> None:
    """Take down what is about to be stored.

    Parameters
    ----------
    stage
        Of the run.
    root
        Folder of the image.
    name
        Of the object in it, such as ``"0/c/0/1"``.
    content
        Its bytes.
    """
    line = f"{hashlib.sha256(content).hexdigest()}  {name}\n".encode()
    key = (stage.folder, os.getpid())
    if key not in _own:
        _own[key] = _begin(stage, root)
    try:
        _append(_own[key], line, stage.fsync)
    except FileNotFoundError:  # gathered meanwhile
        stage.check()
        _own[key] = _begin(stage, root)
        _append(_own[key], line, stage.fsync)


def _begin(stage: Stage, root: Path) -> Path:
    """Make the file of this process; a run that has lost its lock makes none."""
    path = root / _FOLDER / f"{uuid4().hex}.log"
    stage.put(path, b"")
    return path


def _append(path: Path, line: bytes, fsync: bool) -> None:
    """Add a line in one piece, as threads do it at the same time."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
    try:
        os.write(handle, line)
        if fsync:
            os.fsync(handle)
    finally:
        os.close(handle)


@dataclass(frozen=True)
class Digests:
    """What is known of the stored objects of an image.

    Attributes
    ----------
    known : dict of str to set of str
        SHA-256 by the name of the object: more than one where it was stored again with other pixels.
    sound : bool
        Whether the list itself is as it was written.
    """

    known: dict[str, set[str]]
    sound: bool = True

    def fits(self, name: str, found: str) -> bool | None:
        """Tell whether an object is what was stored; None where nothing is known of it."""
        return found in self.known[name] if name in self.known else None


def read_digests(root: Path) -> Digests:
    """Read all that is known: of runs that have ended, and of one that goes on or was killed."""
    known: dict[str, set[str]] = {}
    text, sound = _read(root / SUMS), True
    if text is not None:
        head, _, body = text.partition("\n")
        sound = head == f"{_HEAD}{hashlib.sha256(body.encode()).hexdigest()}"
        _take(known, body.splitlines())
    for log in _logs(root):
        _take(known, (_read(log) or "").splitlines())
    return Digests(known, sound)


def _logs(root: Path) -> list[Path]:
    folder = root / _FOLDER
    return [] if is_link(folder) else sorted(folder.glob("*.log"))


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return None


def _take(known: dict[str, set[str]], lines: Iterable[str]) -> None:
    for line in lines:
        if found := _LINE.fullmatch(line):
            known.setdefault(found[2], set()).add(found[1])


def sha256_of(path: Path) -> str | None:
    """SHA-256 of a file; None if it is not there, or cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def gather_digests(root: Path, stage: Stage) -> None:
    """Put all that is known into one list, and delete the files of the processes; to be called when a run has ended.

    Of an object that was stored more than once with other bytes, the digest that fits it is kept.
    """
    found = read_digests(root)
    if not found.known or (not _logs(root) and found.sound):
        return
    lines = []
    for name in sorted(found.known, key=_order):
        digests = found.known[name]
        if len(digests) > 1:
            digests = digests & {sha256_of(root / name)} or digests
        lines += [f"{digest}  {name}\n" for digest in sorted(digests)]
    body = "".join(lines)
    stage.put(root / SUMS, f"{_HEAD}{hashlib.sha256(body.encode()).hexdigest()}\n{body}".encode())
    for log in _logs(root):
        stage.discard(log)
    with contextlib.suppress(OSError):
        (root / _FOLDER).rmdir()


def _order(name: str) -> list[int]:
    return [int(part) for part in name.split("/") if part.isdecimal()]
