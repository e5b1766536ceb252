"""Folder and keys of what is measured or converted once on this machine, and kept in the user's cache.

Environment
-----------
``NAPARI_RESTORE_CACHE``
    Folder of the cache; by default the cache folder of the user. It may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from napari_restore.files import write_whole

__all__ = ["cache_folder", "keep_measured", "kept_measurement", "networks_digest", "processor"]


def cache_folder(name: str) -> Path:
    """Return a subfolder of the cache; it need not exist.

    Parameters
    ----------
    name : str
        Name of the subfolder; empty for the cache itself.

    Returns
    -------
    Path
        The folder.
    """
    chosen = os.environ.get("NAPARI_RESTORE_CACHE")
    if chosen:
        return Path(chosen).expanduser() / name
    import pooch

    return Path(pooch.os_cache("napari-restore")) / name


def keep_measured(path: Path, key: Mapping[str, Any], name: str, value: float) -> None:
    """Keep a value that was measured on this machine.

    Parameters
    ----------
    path : Path
        File in the cache.
    key : mapping of str to object
        Everything that the value depends on, as JSON types.
    name : str
        Name of the value in the file.
    value : float
        The value.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps({"key": dict(key), name: value}))


def kept_measurement(path: Path, key: Mapping[str, Any], name: str) -> float | None:
    """Return a value that `keep_measured` has kept; None if there is none for this key, or it cannot be read.

    Parameters
    ----------
    path : Path
        File in the cache.
    key : mapping of str to object
        Everything that the value depends on, as JSON types.
    name : str
        Name of the value in the file.
    """
    with suppress(OSError, ValueError, KeyError, TypeError):
        content = json.loads(path.read_bytes())
        if content["key"] == key:
            return float(content[name])
    return None


@cache
def processor() -> str:
    """Return the name of the processor, with the vector extensions that torch uses on it."""
    import torch

    return f"{_processor_name()}, {torch.backends.cpu.get_cpu_capability()}"


def _processor_name() -> str:
    """Return the name of the processor that the system reports."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # no Linux
        return platform.processor() or platform.machine()
    told = dict(line.replace("\t", "").split(":", 1) for line in reversed(lines) if ":" in line)
    named = " ".join(told[name].strip() for name in ("model name", "cpu family", "model", "stepping") if name in told)
    return named or platform.machine()


@cache
def networks_digest() -> str:
    """Return the SHA-256 of the source code of the networks: conversions are repeated if it has changed."""
    from napari_restore import networks

    folder, found = Path(next(iter(networks.__path__))), hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()
