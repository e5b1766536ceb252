"""Run one trial: open a damaged file in a separate process with limits on time and memory."""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import resource
import select
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fuzz.seeds import MARK
from napari_restore import api
from napari_restore.errors import RestoreError, UnexpectedError
from napari_restore.images.guards import files, separate_process

__all__ = ["Outcome", "run_trial", "use"]

SECONDS = 10.0
"""Limit of the processor time of a trial; a trial that takes six times as long by the clock counts as hanging."""
MEGABYTES = 600.0
"""Limit of the memory of a trial, in addition to that of the parent process."""
_SYSTEM = ("/usr", "/lib", "/etc", "/proc", "/sys", "/dev", "/root/.cache", "/tmp/torchinductor", "/opt")


@dataclass
class Outcome:
    """The outcome of a trial.

    Attributes
    ----------
    fault : str
        Empty, or ``traceback``, ``crash``, ``hang``, ``memory``, ``outside`` or ``code``.
    said : str
        Message of the program, or the traceback.
    seconds, megabytes : float
        Processor time, and memory in addition to that of the parent process.
    """

    fault: str
    said: str
    seconds: float
    megabytes: float


def use(kind: str, path: Path) -> str:
    """Use a file as a user would: open and read it, load it, or verify it. Return a description of the result."""
    if kind in ("tiff", "zarr", "hdf5"):
        image = api.open_image(path)
        part = tuple(slice(0, min(length, 256 if axis in "YX" else 4)) for axis, length in image.sizes.items())
        pixels = image.read(part)
        if (pixels == MARK).mean() > 0.5:
            raise _Outside("pixels of a file outside the folder")
        return f"read {pixels.shape}"
    if kind in ("safetensors", "pickle"):
        image = np.random.default_rng(0).poisson(100, (32, 32)).astype(np.uint16)
        result = api.restore(image, model=path, axes="YX", device="cpu", tile=48, halo=8, value_range=(0, 200))
        return f"restored {result.shape}"
    with contextlib.suppress(RestoreError):
        api.run_report(path / "out.zarr")
    found = api.verify(path / "out.zarr")
    settings: dict[str, Any] = {"device": "cpu", "tile": 48, "halo": 8}
    try:
        api.restore(path / "source.tif", model=path / "model.safetensors", output=path / "out.zarr", **settings)
    except RestoreError as error:
        return f"verified {found.ok}, refused: {error}"
    return f"verified {found.ok}, continued"


def fork_survey(command: list[str], **_: Any) -> subprocess.CompletedProcess[bytes]:
    """Do what the package does in a separate Python process in a forked one, which takes a tenth of the time."""
    module, function, source, outside, seconds = command[3:]
    pid = os.fork()
    if not pid:
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds) + 1))
        with contextlib.suppress(Exception), files.allowing_outside(outside == "True"):
            getattr(importlib.import_module(module), function)(source)
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    return subprocess.CompletedProcess(command, os.waitstatus_to_exitcode(status))


class _Outside(Exception):
    """A trial did something that is forbidden."""


def _watch(room: Path) -> None:
    """Forbid writing outside the folder of the trial, and starting programs."""
    allowed = (str(room), "/dev/null", *sys.path)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "socket.connect"):
            raise _Outside(f"{event} {arguments[:2]}")
        if event == "open" and isinstance(arguments[0], str | bytes):
            path = os.path.abspath(os.fsdecode(arguments[0]))
            flags = arguments[2] if isinstance(arguments[2], int) else 0
            writing = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if writing and not path.startswith((str(room), "/dev/")):
                raise _Outside(f"writes {path}")
            if not writing and not path.startswith((*allowed, *_SYSTEM, sys.prefix, sys.base_prefix, os.getcwd())):
                raise _Outside(f"reads {path}")

    sys.addaudithook(hook)


def run_trial(kind: str, path: Path, room: Path, before: float) -> Outcome:
    """Use a file in a forked process, and classify how the process ended.

    Parameters
    ----------
    kind : str
        See `use`.
    path, room : Path
        The file, and the folder of the trial, which may be read and written.
    before : float
        Megabytes of this process.
    """
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(read)
        _child(lambda: use(kind, path), room, write)
    os.close(write)
    began = time.monotonic()
    content, hang = _collected(read, pid)
    _, status, used = os.wait4(pid, 0)
    seconds = used.ru_utime + used.ru_stime
    megabytes = max(used.ru_maxrss / 1024 - before, 0.0)
    fault, said = pickle.loads(content) if content else ("crash", f"signal {os.WTERMSIG(status)}")
    if hang or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU):
        fault, said = "hang", f"{seconds:.0f} s of the processor, {time.monotonic() - began:.0f} s in all"
    elif not fault and megabytes > MEGABYTES:
        fault = "memory"
    return Outcome(fault, said, seconds, megabytes)


def _child(function: Callable[[], str], room: Path, write: int) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (int(SECONDS), int(SECONDS) + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    separate_process.run = fork_survey
    try:
        _watch(room)
        fault, said = "", function()
    except UnexpectedError:
        fault, said = "traceback", traceback.format_exc()
    except RestoreError as error:
        fault, said = "", f"{type(error).__name__}: {error}"
        if isinstance(error.__cause__, _Outside):
            fault = "outside"
    except _Outside as error:
        fault, said = "outside", str(error)
    except BaseException:
        fault, said = "traceback", traceback.format_exc()
    with os.fdopen(write, "wb") as pipe:
        pickle.dump((fault, said), pipe)
    os._exit(0)


def _collected(read: int, pid: int) -> tuple[bytes, bool]:
    """Collect the output of the child process; kill it if it hangs."""
    hang = not select.select([read], [], [], 6 * SECONDS)[0]
    if hang:
        os.kill(pid, signal.SIGKILL)
    with os.fdopen(read, "rb") as pipe:
        return pipe.read(), hang


def copied(seed: Path, room: Path) -> Path:
    """Copy a seed to the folder of a trial, with links as links."""
    target = room / seed.name
    if seed.is_dir():
        shutil.copytree(seed, target, symlinks=True)
    else:
        shutil.copy2(seed, target)
    return target
