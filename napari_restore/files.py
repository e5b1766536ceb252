"""Writing files whole, and deleting what is ours: never through a link, and nothing that does not carry our mark.

What this package makes beside a user's data has names that can be foreseen, such as ``.cells.zarr.lock``. A link or a
folder of the user's may stand there: by accident in a copied folder, or because somebody has put it there. So a file is
written under a name that nobody can foresee and renamed, and a folder is deleted only if it `is_ours`.
"""

from __future__ import annotations

__all__ = [
    "OWNER",
    "fresh_file",
    "is_link",
    "is_ours",
    "is_plain",
    "open_own",
    "remove_ours",
    "way_is_straight",
    "write_whole",
]

import contextlib
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

OWNER = "owner.json"
"""The file that says whose a folder is."""
_TOKEN = re.compile(r"[0-9a-f]{32}")
_LEFT = 60.0
"""Seconds after which a file that was begun, and has no name yet, was left by a process that was killed."""


def is_link(path: Path) -> bool:
    """Tell whether a path is a link itself, whatever it points to; on Windows a junction is one too."""
    return path.is_symlink() or os.path.isjunction(path) if hasattr(os.path, "isjunction") else path.is_symlink()


def is_plain(path: Path) -> bool:
    """Tell whether a path is a file of its own: no link, and no second name of another file."""
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_nlink == 1


def is_ours(folder: Path) -> bool:
    """Tell whether a folder was made by a run of this package.

    Its name is a run's token, it is no link, and it holds the file of its owner, or nothing: a run may be killed after
    it has made the folder. One that is not there is nobody's.
    """
    if not _TOKEN.fullmatch(folder.name) or is_link(folder):
        return False
    try:
        mark = os.lstat(folder / OWNER)
    except NotADirectoryError:
        return False
    except FileNotFoundError:
        try:
            return not os.listdir(folder)
        except FileNotFoundError:
            return True
    return stat.S_ISREG(mark.st_mode)


def remove_ours(folder: Path) -> bool:
    """Delete a folder if it `is_ours`, and tell whether it was. Links in it are deleted, not followed."""
    if not is_ours(folder):
        return False
    shutil.rmtree(folder, ignore_errors=True)
    return True


def way_is_straight(path: Path) -> bool:
    """Tell whether no folder above a path is a link, so that writing there stays below the folder that was meant."""
    return os.path.realpath(path.parent) == os.path.abspath(path.parent)


@contextlib.contextmanager
def fresh_file(path: Path) -> Iterator[Path]:
    """Give a name beside a file, to write it under; it is renamed at the end, and deleted if that is not reached.

    A link in the file's place is replaced, not followed.

    Parameters
    ----------
    path
        The file, whose folder is there.
    """
    fresh = path.with_name(f".{path.stem}.{uuid4().hex}.new{path.suffix}")
    try:
        yield fresh
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)
    _sweep(path)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all. A link in its place is replaced, not followed."""
    with fresh_file(path) as fresh, open(fresh, "xb") as file:
        file.write(content.encode() if isinstance(content, str) else content)


def _sweep(path: Path) -> None:
    """Delete what killed processes have left of a file."""
    name = re.compile(rf"\.{re.escape(path.stem)}\.[0-9a-f]{{32}}\.new{re.escape(path.suffix)}")
    with contextlib.suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            ours = name.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)
            if ours and time.time() - entry.stat(follow_symlinks=False).st_mtime > _LEFT:
                Path(entry).unlink(missing_ok=True)


def open_own(path: Path, *, append: bool = False) -> BinaryIO:
    """Open a file of this package's that outlasts a process under one name, to write it anew or to go on with it.

    A link that stands in its place is deleted, and so is a second name of another file (a hard link).
    """
    if not append or not is_plain(path):
        path.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(path, flags, 0o666), "ab")
