"""Write files atomically, and delete only what this package made, without following links.

The files that this package makes beside a user's data have predictable names, such as ``.cells.zarr.lock``. A link or a
folder of the user may have the same name, by accident or by intent. So a file is written under a random name and then
renamed, and a folder is deleted only if it `is_ours`.
"""

from __future__ import annotations

__all__ = [
    "OWNER",
    "fresh_file",
    "has_linked_parent",
    "is_link",
    "is_ours",
    "is_plain",
    "open_own",
    "remove_ours",
    "rename",
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
"""Name of the file that describes the run to which a folder belongs."""
_TOKEN = re.compile(r"[0-9a-f]{32}")
_LEFT = 60.0
"""Seconds after which an unfinished file counts as left by a killed process."""


def is_link(path: Path) -> bool:
    """Return whether a path is a link, or on Windows a junction, even a broken one.

    Parameters
    ----------
    path : Path
        The path to check.
    """
    return path.is_symlink() or os.path.isjunction(path) if hasattr(os.path, "isjunction") else path.is_symlink()


def is_plain(path: Path) -> bool:
    """Return whether a path is a regular file, neither a link nor one of several hard links.

    Parameters
    ----------
    path : Path
        The path to check.
    """
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_nlink == 1


def is_ours(folder: Path) -> bool:
    """Return whether a folder was made by a run of this package.

    Such a folder is not a link, its name is the token of a run, and it holds the owner file. It may also be empty or
    missing, because a run may be killed while it creates or deletes the folder.

    Parameters
    ----------
    folder : Path
        The folder to check.
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
    """Delete a folder if it `is_ours`, without following links in it, and return whether it was.

    Parameters
    ----------
    folder : Path
        The folder to delete.
    """
    if not is_ours(folder):
        return False
    shutil.rmtree(folder, ignore_errors=True)
    return True


def has_linked_parent(path: Path) -> bool:
    """Return whether a folder above a path is a link, so that a file there would be written elsewhere.

    Parameters
    ----------
    path : Path
        The path to check.
    """
    return os.path.realpath(path.parent) != os.path.abspath(path.parent)


def rename(source: Path, target: Path) -> None:
    """Rename a file or a folder, and replace an existing file or an empty folder.

    A network file system repeats a request if the reply is lost. If the first request was carried out, the second one
    fails, because the source has gone. So after this error the target is compared with what the source was.

    Parameters
    ----------
    source, target : Path
        Path before, and path afterwards.

    Raises
    ------
    OSError
        If it was not renamed.
    """
    was = os.lstat(source)
    try:
        os.replace(source, target)
    except FileNotFoundError:
        with contextlib.suppress(OSError):
            if os.path.samestat(was, os.lstat(target)):
                return
        raise


@contextlib.contextmanager
def fresh_file(path: Path) -> Iterator[Path]:
    """Replace a file atomically: write to a temporary path beside it, which is renamed at the end.

    After an error, the temporary file is deleted. If `path` is a link, the link is replaced and not followed.

    Parameters
    ----------
    path : Path
        The file to write, in an existing folder.

    Yields
    ------
    Path
        The temporary path.
    """
    fresh = path.with_name(f".{path.stem}.{uuid4().hex}.new{path.suffix}")
    try:
        yield fresh
        rename(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)
    _sweep(path)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all. If `path` is a link, the link is replaced and not followed.

    Parameters
    ----------
    path : Path
        The file to write, in an existing folder.
    content : str or bytes
        All of its content; text is encoded in UTF-8.
    """
    with fresh_file(path) as fresh, open(fresh, "xb") as file:
        file.write(content.encode() if isinstance(content, str) else content)


def _sweep(path: Path) -> None:
    """Delete unfinished copies of a file that killed processes have left."""
    name = re.compile(rf"\.{re.escape(path.stem)}\.[0-9a-f]{{32}}\.new{re.escape(path.suffix)}")
    with contextlib.suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            ours = name.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)
            if ours and time.time() - entry.stat(follow_symlinks=False).st_mtime > _LEFT:
                Path(entry).unlink(missing_ok=True)


def open_own(path: Path, *, append: bool = False) -> BinaryIO:
    """Open a file of this package for writing, from its start or from its end, without following links.

    If `path` is a link or one of several hard links, it is deleted first, and the file it points to stays.

    Parameters
    ----------
    path : Path
        The file to write.
    append : bool
        Whether to keep the content and write behind it.
    """
    if not append or not is_plain(path):
        path.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(path, flags, 0o666), "ab")
