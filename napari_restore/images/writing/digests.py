"""Record a digest of every stored object before it is written, so that any changed bit is found.

During a run, each process appends lines to a file of its own in ``0/.digests/``. After the run they are merged into
``0/.sha256sums``, which ``sha256sum --check 0/.sha256sums`` can read. Zarr ignores both. An object store has its own
checksums, so no digests are recorded there.
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
"""File of the digests after a run."""
_FOLDER = "0/.digests"
_LINE = re.compile(r"([0-9a-f]{64})  ([0-9]+(?:/c)?(?:/[0-9]+)+|(?:labels|tables|uncertainty)/.+)")
_HEAD = "# SHA-256 of the lines below: "

_own: dict[tuple[Path, int], Path] = {}  # the file of this process, for each run


def record_digest(stage: Stage, root: Path, name: str, content: Any) -> None:
    """Record the digest of an object that is about to be stored.

    Parameters
    ----------
    stage : Stage
        Stage of the run.
    root : Path
        Folder of the image.
    name : str
        Name of the object in the image, such as ``"0/c/0/1"`` or ``"labels/nuclei/0/c/0/1"``.
    content : bytes-like
        Bytes of the object.
    """
    line = f"{hashlib.sha256(content).hexdigest()}  {name}\n".encode()
    key = (stage.folder, os.getpid())
    if key not in _own:
        _own[key] = _begin(stage, root)
    try:
        _append(_own[key], line, stage.fsync)
    except FileNotFoundError:  # another process has merged the files
        stage.check()
        _own[key] = _begin(stage, root)
        _append(_own[key], line, stage.fsync)


def _begin(stage: Stage, root: Path) -> Path:
    """Create the file of this process; a run that has lost its lock cannot."""
    path = root / _FOLDER / f"{uuid4().hex}.log"
    stage.put(path, b"")
    return path


def _append(path: Path, line: bytes, fsync: bool) -> None:
    """Append a line in one write, because several threads append at once."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
    try:
        os.write(handle, line)
        if fsync:
            os.fsync(handle)
    finally:
        os.close(handle)


@dataclass(frozen=True)
class Digests:
    """Recorded digests of the stored objects of an image.

    Attributes
    ----------
    known : dict of str to set of str
        SHA-256 digests by the name of the object: more than one if it was stored again with other pixels.
    sound : bool
        Whether the list itself is unchanged.
    """

    known: dict[str, set[str]]
    sound: bool = True

    def fits(self, name: str, found: str) -> bool | None:
        """Check whether an object is unchanged.

        Parameters
        ----------
        name : str
            Name of the object in the image.
        found : str
            Its SHA-256.

        Returns
        -------
        bool or None
            None if no digest of the object was recorded.
        """
        return found in self.known[name] if name in self.known else None


def read_digests(root: Path) -> Digests:
    """Read all recorded digests, those of a running or killed run included.

    Parameters
    ----------
    root : Path
        Folder of the image.

    Returns
    -------
    Digests
        Empty if none were recorded.
    """
    known: dict[str, set[str]] = {}
    text, sound = _read(root / SUMS), True
    if text is not None:
        head, _, body = text.partition("\n")
        sound = head == f"{_HEAD}{hashlib.sha256(body.encode()).hexdigest()}"
        _take(known, body.split("\n"))
    for log in _logs(root):
        _take(known, (_read(log) or "").split("\n"))
    return Digests(known, sound)


def _logs(root: Path) -> list[Path]:
    folder = root / _FOLDER
    return [] if is_link(folder) else sorted(folder.glob("*.log"))


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def _take(known: dict[str, set[str]], lines: Iterable[str]) -> None:
    for line in lines:
        if found := _LINE.fullmatch(line):
            known.setdefault(found[2], set()).add(found[1])


def sha256_of(path: Path) -> str | None:
    """Compute the SHA-256 of a file.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    str or None
        64 hexadecimal digits; None if the file does not exist or cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def gather_digests(root: Path, stage: Stage) -> None:
    """Merge all recorded digests into one list after a run, and delete the files of the processes.

    If an object was stored several times with different bytes, the digest of its present bytes is kept.

    Parameters
    ----------
    root : Path
        Folder of the image.
    stage : Stage
        Stage of the run.
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


def _order(name: str) -> tuple[str, list[int], str]:
    """Sort objects by array and position; those of the image before labels and tables."""
    inside = name.split("/")
    return name if not inside[0].isdecimal() else "", [int(part) for part in inside if part.isdecimal()], name
