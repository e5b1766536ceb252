"""Trials of the fault campaign: processes that are forked and killed, and faults injected into the package.

Nothing here is a hook in the product: functions are wrapped from outside, in a child process that is forked from one in
which everything is imported already, so that a trial takes a second and not ten.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import pickle
import random
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import ome_zarr_models  # noqa: F401  here and not in every child
import safetensors.torch
import tifffile
import torch
import zarr

from napari_restore import api, retrying
from napari_restore.engine.compute import block as task
from napari_restore.engine.run import local as run
from napari_restore.engine.store import lock, sinks
from napari_restore.errors import RestoreError
from napari_restore.images import staging
from napari_restore.models.architecture import build

SHAPE, CHUNK = (6, 64, 264), (1, 32, 88)
SETTINGS: dict[str, Any] = {
    "axes": "ZYX", "tile": 64, "halo": 8, "blend": 8, "workers": 2, "value_range": (0, 300), "chunks": (1, 32, 132),
    "shards": (1, 32, 264), "device": "cpu", "batch": 1,
}  # fmt: skip
"""12 blocks at level 0 and 6 at level 1."""
NETWORK: dict[str, Any] = {
    "in_channels": 1, "embed_dim": 4, "depths": (1,), "heads": (1,), "window": 8, "head": "none",
}  # fmt: skip
PATIENCE = 60.0
"""Seconds after which a child counts as hanging."""


@dataclass
class Child:
    """A forked process that calls one function.

    Attributes
    ----------
    pid
        Its number.
    pipe
        Where its result comes from.
    """

    pid: int
    pipe: int

    def stopped(self) -> bool:
        """Wait until it has suspended itself; return False if it ended instead."""
        return os.WIFSTOPPED(os.waitpid(self.pid, os.WUNTRACED)[1])

    def result(self, patience: float = PATIENCE) -> tuple[str, Any]:
        """Wait for the end: ``("done", value)``, ``("RestoreError", its class and text)``, ``("killed", "")``, ...

        A child that does not end in time is killed and gives ``("hang", "")``.
        """
        ready, _, _ = select.select([self.pipe], [], [], patience)
        if not ready:
            os.kill(self.pid, signal.SIGKILL)
        with os.fdopen(self.pipe, "rb") as file:
            content = file.read()
        with_status = _reap(self.pid)
        if not ready:
            return "hang", ""
        if not content:
            return "killed", with_status
        found: tuple[str, Any] = pickle.loads(content)
        return found


def _reap(pid: int) -> int:
    try:
        return os.waitpid(pid, 0)[1]
    except ChildProcessError:  # it was waited for already
        return 0


def fork(function: Callable[[], Any]) -> Child:
    """Call a function in a forked process."""
    reading_end, writing_end = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing_end)
        return Child(pid, reading_end)
    os.close(reading_end)
    try:
        torch.set_num_threads(1)
        logging.disable()
        result: tuple[str, Any] = ("done", function())
    except RestoreError as error:
        result = ("RestoreError", (type(error).__name__, str(error)))
    except BaseException as error:
        result = ("error", repr(error))
    with os.fdopen(writing_end, "wb") as file:
        pickle.dump(result, file)
    os._exit(0)


def make_inputs(folder: Path) -> None:
    """Write a model and two sources: a Zarr with checksums, and a TIFF whose compression has one."""
    torch.manual_seed(0)
    safetensors.torch.save_file(
        build("swinir", NETWORK).state_dict(), folder / "model.safetensors", metadata={"name": '"faults"'}
    )
    pixels = np.random.default_rng(0).poisson(100, SHAPE).astype(np.uint16)
    codec = zarr.codecs.ZstdCodec(checksum=True)
    array = zarr.create_array(
        folder / "source.zarr", shape=SHAPE, dtype=np.uint16, chunks=CHUNK, compressors=codec,
        dimension_names=("z", "y", "x"),
    )  # fmt: skip
    array[:] = pixels
    tifffile.imwrite(
        folder / "source.tif", pixels, compression="deflate", photometric="minisblack", metadata={"axes": "ZYX"}
    )


def restore(folder: Path, output: Path, *, source: str = "source.zarr", **settings: Any) -> list[Any]:
    """Restore one of the sources; return the receipts of the blocks."""
    receipts: list[Any] = []
    restore_block = task.restore_block

    def kept(*arguments: Any) -> Any:
        receipts.append(run_block(*arguments))
        return receipts[-1]

    run_block, run.restore_block = run.restore_block, kept
    try:
        overwrite = settings.pop("overwrite", False)
        chosen = SETTINGS | settings
        place = source if "://" in source else folder / source
        api.restore(place, model=folder / "model.safetensors", output=output, overwrite=overwrite, **chosen)
    finally:
        run.restore_block = restore_block
    return receipts


def files(path: Path) -> dict[str, bytes]:
    """Return names and bytes of all files of a result."""
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def kill() -> None:
    """Kill this process, as a power cut would."""
    os.kill(os.getpid(), signal.SIGKILL)


def stop() -> None:
    """Suspend this process until it is continued."""
    os.kill(os.getpid(), signal.SIGSTOP)


def _half(content: Any) -> memoryview:
    view = memoryview(content).cast("B")
    return view[: len(view) // 2]


# Owner and name of the function, whether it has been done when the fault comes, and how often a run comes by.
POINTS: dict[str, tuple[Any, str, bool, int]] = {
    "before the lock": (sinks, "OutputLock", False, 1),
    "while the lock is made": (Path, "touch", False, 1),
    "metadata written beside": (staging.Stage, "move_in", False, 1),
    "output made": (staging.Stage, "move_in", True, 1),
    "before a block": (run, "restore_block", False, 12),
    "before write": (staging.Stage, "put", False, 18),
    "in the temporary file": (staging, "_write_all", False, 18),
    "before rename": (staging, "_make_folders", True, 18),
    "after rename": (staging.Stage, "put", True, 18),
    "between blocks": (run, "restore_block", True, 12),
    "during the pyramid": (sinks, "downsample_unit", False, 6),
    "at the end": (sinks.OmeZarrSink, "close", False, 1),
    "lock given back": (sinks.OmeZarrSink, "close", True, 1),
}


def at_point(name: str, number: int, fault: Callable[[], None]) -> None:
    """Inject a fault when this process passes a point for the given time, counted from 1."""
    owner, attribute, after, _ = POINTS[name]
    original, passed = getattr(owner, attribute), 0

    def wrapped(*arguments: Any, **settings: Any) -> Any:
        nonlocal passed
        passed += 1
        now = passed == number
        if now and name == "in the temporary file":
            original(arguments[0], _half(arguments[1]))
        if now and not after:
            fault()
            if name == "in the temporary file":
                arguments[0].seek(0)
        result = original(*arguments, **settings)
        if now and after:
            fault()
        return result

    setattr(owner, attribute, wrapped)


def short_waits(period: float = 0.05) -> None:
    """Shorten heartbeats and pauses between retries, so that trials are short."""
    lock.PERIOD = period
    retrying.sleep = lambda seconds: time.sleep(seconds / 200)


def failing_source(number: int, *, share: float = 0.0, chunk: str = "", seed: int = 0) -> None:
    """Let reads of the source fail: at random, or always if the name of a file ends in `chunk`."""
    from zarr.storage import _local

    original, dice = _local._get, random.Random(seed)

    def failing(path: Path, *arguments: Any) -> Any:
        of_source = "source.zarr/c/" in path.as_posix()
        if of_source and (dice.random() < share or (chunk and path.as_posix().endswith(chunk))):
            raise OSError(number, os.strerror(number), str(path))
        return original(path, *arguments)

    _local._get = failing


def failing_output(number: int, share: float, seed: int = 0) -> None:
    """Let writing, syncing and renaming of objects fail at random, after half of the write."""
    original, dice = staging._write_all, random.Random(seed)

    def failing(file: Any, content: Any) -> None:
        if dice.random() < share:
            original(file, _half(content))
            raise OSError(number, os.strerror(number))
        original(file, content)

    staging._write_all = failing


def flip(path: Path, dice: random.Random) -> Callable[[], object]:
    """Flip one bit of a file (of a TIFF, of its compressed pixels), and return a function that flips it back."""
    whole = path.read_bytes()
    damaged = bytearray(whole)
    start, length = 0, len(damaged)
    if path.suffix == ".tif":  # its tags have no checksum: a flip there may as well be what somebody has written
        with tifffile.TiffFile(path) as tiff:
            page = tiff.pages[dice.randrange(len(tiff.pages))]
            place = dice.randrange(len(page.dataoffsets))
            start, length = page.dataoffsets[place], page.databytecounts[place]
    damaged[start + dice.randrange(length)] ^= 1 << dice.randrange(8)
    path.write_bytes(damaged)
    return lambda: path.write_bytes(whole)


def flips_in_output(folder: Path, whole: Path, count: int, seed: int) -> dict[str, int]:
    """Flip bits of a complete result one after the other; each has to be found, named and repaired."""
    dice, tally = random.Random(seed), {"trials": 0, "found": 0, "healed": 0, "silent": 0}
    expected = files(whole)
    names = [name for name in expected if "/c/" in name]
    for _ in range(count):
        tally["trials"] += 1
        name = dice.choice(names)
        flip(whole / name, dice)
        level, _, *index = name.split("/")
        found = api.verify(whole)
        named = [(unit.level, unit.index) for unit in found.bad] == [(int(level), tuple(map(int, index)))]
        tally["found"] += named and not found.ok
        tally["silent"] += found.ok
        healed = api.verify(whole, repair=True)
        tally["healed"] += healed.ok and files(whole) == expected
    return tally


def flips_in_metadata(whole: Path, count: int, seed: int) -> dict[str, int]:
    """Flip bits of the metadata of a complete result; each has to be found, also one that does not change the JSON."""
    dice, tally = random.Random(seed), {"trials": 0, "found": 0, "healed": 0, "silent": 0}
    expected = files(whole)
    names = [name for name in expected if name.endswith(".json")]
    for _ in range(count):
        tally["trials"] += 1
        name = dice.choice(names)
        back = flip(whole / name, dice)
        found = api.verify(whole)
        tally["found"] += not found.ok
        tally["silent"] += found.ok
        healed = api.verify(whole, repair=True)
        there = files(whole)
        tally["healed"] += healed.ok and all(_says(there[key], expected[key]) for key in names)
        back()
    return tally


def _says(found: bytes, expected: bytes) -> bool:
    """Return whether metadata are as before; an attribute whose name was changed stays beside the right one."""
    there, wanted = json.loads(found), json.loads(expected)
    free = [content.pop("attributes", {}) for content in (there, wanted)]
    return bool(there == wanted and free[0] | free[1] == free[0])


def flips_in_source(folder: Path, source: str, expected: dict[str, bytes], count: int, seed: int) -> dict[str, int]:
    """Flip bits of a source one after the other.

    Without a word about errors, the run is to end and to name the place; with ``on_error="fill"`` it is to end well,
    list what was filled, and be healed once the source is whole. A flip that the codec decodes to the same pixels
    shows as the expected result.
    """
    dice = random.Random(seed)
    tally = {"trials": 0, "found": 0, "healed": 0, "silent": 0, "harmless": 0}
    place = folder / source
    names = [file for file in place.rglob("*") if "c" in file.parts and file.is_file()] if place.is_dir() else [place]
    for number in range(count):
        tally["trials"] += 1
        output = folder / f"flipped-{seed}-{number}.zarr"
        back = flip(sorted(names)[dice.randrange(len(names))], dice)
        try:
            restore(folder, output, source=source)
            raised = False
        except RestoreError as error:
            raised = source in str(error)
        if not raised:
            same = pixels(files(output)) == pixels(expected)
            tally["harmless" if same else "silent"] += 1
            back()
            continue
        tally["found"] += 1
        try:
            restore(folder, output, source=source, on_error="fill")
            listed = bool(api.verify(output).filled)
        except RestoreError:  # the file itself cannot be opened: nothing is written that could be wrong
            listed = True
        back()
        if output.exists():
            restored = api.verify(output, repair=True)
            tally["healed"] += listed and restored.ok and pixels(files(output)) == pixels(expected)
        else:
            restore(folder, output, source=source)
            tally["healed"] += listed and pixels(files(output)) == pixels(expected)
    return tally


def pixels(contents: dict[str, bytes]) -> dict[str, bytes]:
    """Return the stored objects without metadata, which contain the source and the execution of the run."""
    return {name: content for name, content in contents.items() if "/c/" in name}


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path | None]:
    """Mount a file system of a given size; None if it cannot be mounted."""
    import subprocess

    disk = folder / f"disk-{time.monotonic_ns()}"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)]
    if not hasattr(os, "geteuid") or os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        yield None
        return
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


TRANSIENT = (errno.EIO, errno.EACCES)
