"""Faults of sources, before or during a run: they are removed, replaced, incomplete or malicious."""

from __future__ import annotations

import os
import shutil
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numcodecs
import numpy as np
import tifffile
import zarr

from benchmarks.faults import trials

if TYPE_CHECKING:
    from benchmarks.faults.campaign import Campaign, Row

__all__ = ["incomplete_sources", "lost_sources", "replaced_sources"]

SOURCES = ("source.zarr", "source.tif", "raw.tif")


def _prepared(todo: Campaign, number: int) -> tuple[Path, str]:
    """Make a folder for a trial, with the model and one of the sources."""
    room, name = todo.room(), SOURCES[number % len(SOURCES)]
    shutil.copy(todo.folder / "model.safetensors", room)
    _put_back(todo.folder, room, name)
    return room, name


def _put_back(folder: Path, room: Path, name: str) -> None:
    target = room / name
    shutil.rmtree(target) if target.is_dir() and not target.is_symlink() else target.unlink(missing_ok=True)
    if name == "raw.tif":
        tifffile.imwrite(
            target, tifffile.imread(folder / "source.tif"), photometric="minisblack", metadata={"axes": "ZYX"}
        )
    else:
        (shutil.copytree if (folder / name).is_dir() else shutil.copy)(folder / name, target)


def _in_the_middle(todo: Campaign, row: Row, count: int, fault: Callable[[Path], Any], expected: str) -> None:
    """Change a source at a random block; then put it back, and run to the end."""
    for number in range(count):
        room, name = _prepared(todo, number)
        passing = todo.dice.randint(2, 10)

        def disturbed(room: Path = room, name: str = name, passing: int = passing) -> None:
            trials.short_waits()
            trials.at_point("before a block", passing, lambda: fault(room / name))
            trials.restore(room, room / "out.zarr", source=name)

        kind, value = trials.fork(disturbed).result()
        told = kind == "RestoreError" and value[0] == expected
        row.add(trials=1, interrupted=kind == "RestoreError", hangs=kind == "hang", found=told)
        if kind == "done" and not _same(todo, room):  # a file that was open all the time was read to its end
            row.add(silent=1)
        elif kind != "done" and not told:
            row.notes.append(f"{name}: {kind} {value}")
        moved = room / "moved"
        shutil.rmtree(moved) if moved.is_dir() else moved.unlink(missing_ok=True)
        todo.must(lambda room=room, name=name: _put_back(todo.folder, room, name))  # type: ignore[misc]

        def resumed(room: Path = room, name: str = name) -> bool:
            trials.restore(room, room / "out.zarr", source=name)
            return bool(trials.api.verify(room / "out.zarr").ok)

        kind, value = trials.fork(resumed).result()
        if kind == "done" and value and _same(todo, room):
            row.add(healed=1)
        else:
            row.add(wrong=1)
            row.notes.append(f"{name}: not healed: {kind} {value}")
        shutil.rmtree(room)


def _same(todo: Campaign, room: Path) -> bool:
    return trials.pixels(trials.files(room / "out.zarr")) == trials.pixels(todo.whole)


def lost_sources(todo: Campaign, row: Row, count: int) -> None:
    """Move a source away, as if its disk were unmounted."""
    _in_the_middle(todo, row, count, lambda path: path.rename(path.with_name("moved")), "SourceLost")


def replaced_sources(todo: Campaign, row: Row, count: int) -> None:
    """Replace a source by an image with other pixels."""

    def replaced(path: Path) -> None:
        pixels = np.random.default_rng(9).poisson(150, trials.SHAPE).astype(np.uint16)
        if path.suffix == ".zarr":
            zarr.open_array(path, mode="r+")[:] = pixels
            return
        fresh = path.with_name("fresh.tif")
        compression = "deflate" if path.name == "source.tif" else None
        tifffile.imwrite(fresh, pixels, photometric="minisblack", metadata={"axes": "ZYX"}, compression=compression)
        os.replace(fresh, path)

    _in_the_middle(todo, row, count, replaced, "SourceChanged")


def _without_strips(path: Path, dice: Any) -> None:
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[dice.randrange(len(tiff.pages))]
        tags = [page.tags[code] for code in dice.choice(((273,), (279,), (273, 279)))]
    with path.open("r+b") as file:
        for tag in tags:
            file.seek(tag.valueoffset)
            file.write(bytes(struct.calcsize(tag.dataformat) if hasattr(tag, "dataformat") else 4))


def _harmful_chunk(path: Path, dice: Any) -> None:
    chunk = dice.choice(sorted(file for file in path.rglob("*") if file.is_file() and "c" in file.parts))
    chunk.unlink()
    what = dice.choice(("bomb", "link", "pipe", "device", "huge"))
    if what == "bomb":
        chunk.write_bytes(bytes(numcodecs.Zstd(9).encode(bytes(3 * 10**8))))
    elif what == "huge":
        chunk.touch()
        os.truncate(chunk, 2**36)
    elif what == "pipe":
        os.mkfifo(chunk)
    else:
        chunk.symlink_to("/etc/passwd" if what == "link" else "/dev/zero")


def incomplete_sources(todo: Campaign, row: Row, count: int) -> None:
    """Remove strips of a TIFF, or replace a chunk by a malicious one; then put the source back."""
    for number in range(count):
        room, name = _prepared(todo, number)
        harm = _harmful_chunk if name.endswith(".zarr") else _without_strips
        harm(room / name, todo.dice)

        def tried(room: Path = room, name: str = name) -> None:
            trials.short_waits()
            trials.restore(room, room / "out.zarr", source=name)

        began = time.monotonic()
        kind, value = trials.fork(tried).result()
        row.add(trials=1, interrupted=kind == "RestoreError", found=kind == "RestoreError", hangs=kind == "hang")
        if kind == "done":
            row.add(silent=not _same(todo, room))
        elif kind != "RestoreError":
            row.notes.append(f"{name}: {kind} {value} after {time.monotonic() - began:.0f} s")
        todo.must(lambda room=room, name=name: _put_back(todo.folder, room, name))  # type: ignore[misc]
        kind, value = trials.fork(tried).result()
        healed = kind == "done" and _same(todo, room)
        row.add(healed=healed, wrong=not healed)
        if not healed:
            row.notes.append(f"{name}: not healed: {kind} {value}")
        shutil.rmtree(room)
