"""What lies in a folder, to compare results byte by byte."""

from __future__ import annotations

from pathlib import Path

__all__ = ["files"]


def files(path: Path) -> dict[str, bytes]:
    """Names and bytes of all files."""
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}
