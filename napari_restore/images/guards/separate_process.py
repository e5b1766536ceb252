"""Open a file in a separate process first, because a C library may loop forever or crash on a damaged file.

Neither can be caught in the process itself: a signal handler of Python runs only when the library returns.
"""

from __future__ import annotations

__all__ = ["check_opens"]

import functools
import os
import signal
import sys
from subprocess import DEVNULL, TimeoutExpired, run

from napari_restore.errors import SourceError
from napari_restore.images.guards.files import outside_allowed

SECONDS = 5
"""Limit of the processor time of the separate process, where the system has such limits (not on Windows)."""
PATIENCE = 30.0
"""Limit of its time by the clock, which a slow disk or a busy machine takes too."""
_CRASHES = 0xC0000000
"""On Windows, exit codes from here on are those of crashes."""
_CODE = """
import importlib, sys
module, function, source, outside, seconds = sys.argv[1:]
try:
    import resource
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds) + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
except ImportError:
    pass
from napari_restore.images.guards.files import allowing_outside
with allowing_outside(outside == "True"):
    getattr(importlib.import_module(module), function)(source)
"""


def check_opens(source: str, file: str, module: str, function: str) -> None:
    """Check that a library opens a file without looping or crashing, by trying it in a separate process.

    A file is tried once, until it changes. It takes about 0.2 s. Python errors of the trial are ignored, because
    whoever opens the file afterwards gets them too.

    Parameters
    ----------
    source : str
        What will be opened, for example the path of a file and of a dataset in it.
    file : str
        Path of the file; if it does not exist, nothing is tried.
    module, function : str
        Function to call with `source`, which does everything that opening does.

    Raises
    ------
    SourceError
        If the process crashed, or had to be stopped.
    """
    if not sys.executable or getattr(sys, "frozen", False):  # this program is no Python, and would start anew
        return
    try:
        found = os.stat(file)
    except (OSError, ValueError):
        return
    identity = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
    if problem := _tried(source, module, function, outside_allowed(), identity):
        raise SourceError(f"{file} {problem}")


@functools.lru_cache(maxsize=4096)
def _tried(source: str, module: str, function: str, outside: bool, identity: tuple[int, ...]) -> str:
    """Try it, and return what is wrong; "" if nothing is."""
    command = [sys.executable, "-c", _CODE, module, function, source, str(outside), str(SECONDS)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    try:
        done = run(
            command, env=environment, timeout=PATIENCE, check=False, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL
        )
    except TimeoutExpired:
        return _endless(f"{PATIENCE:g} s")
    except OSError:  # no process can be started here: the file is opened without a trial
        return ""
    code = done.returncode
    if code == -getattr(signal, "SIGXCPU", 1 << 32):
        return _endless(f"{SECONDS} s of the processor")
    if code < 0 or code >= _CRASHES:
        return f"makes the library that reads it crash ({_name(code)}), so it is damaged; copy or export it again."
    return ""


def _endless(time: str) -> str:
    return (
        f"was not opened within {time}: it is damaged so that the library that reads it does not end, or it holds very "
        "many datasets; copy or export it again, or name one dataset as FILE::/DATASET."
    )


def _name(code: int) -> str:
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"exit code {code:#x}"
